"""A person is erased on request: nothing names them any more, they are passed by, and may come back by signing up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from cryptography.fernet import Fernet
from sqlalchemy import insert, select

from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.core.identity import contact_key, person_key, reconcile_person_key, referral_factory_key, value_digest
from app.core.people import Audience, Role
from app.metrics import ConnectionsCollector, InboxCollector, PrometheusMetrics
from app.storage import erasing, erasures, inbox, readings, reconciles
from app.storage.inbox import LEASE
from app.storage.tables import audit_log, events, metadata, people
from app.storage.vault import Vault
from app.usecases import erase_person as erasing_verb
from app.usecases import process_event
from app.usecases.erase_person import erase_person, go_on_erasing
from app.usecases.read_campaign import read_campaigns
from app.usecases.receive_event import campaign_door, receive_from_referral_factory
from app.usecases.reconcile_program import reconcile_programs
from tests.product import SETTINGS, Product, lead
from tests.usecases.syncing import Syncing

REFERRERS = {**SETTINGS, "qualification": None}
RITA = "Rita.Ritter@Example.com"
EMAIL = RITA.lower()


class Erasing:
    """Rita, who refers Frida; and what is left of Rita."""

    def __init__(self, product: Product) -> None:
        self.product, self.services = product, product.services
        product.set_up(Audience.REFERRERS, REFERRERS)

    def receive(self, topic: str = "joined", form: bool = False, **payload: Any) -> Any:
        body = urlencode(payload).encode() if form else json.dumps(payload).encode()
        receipt = receive_from_referral_factory(
            self.services,
            campaign_door(self.services, "key-1", topic),
            topic,
            body=body,
            content_type="application/x-www-form-urlencoded" if form else "application/json",
            payload=payload,
            secret="webhook-secret",
        )
        self.product.work_until_idle()
        return receipt

    def rita(self, **more: Any) -> dict[str, Any]:
        said = {
            "id": "r4711",
            "code": "ritacode",
            "email": RITA,
            "first_name": "Ritarella",
            "type": "person_referring",
        }
        return {**said, "url": "https://ref.example/ritacode", "Company": "Ritters Ltd", **more}

    def frida(self, **more: Any) -> dict[str, Any]:
        said = {"referrer_id": "r4711", "referrer_code": "ritacode", "referrer_email": RITA}
        more = {"referrer_first_name": "Ritarella", "referrer_url": "https://ref.example/ritacode", **more}
        return lead(**{**said, **more})

    def person(self, email: str = EMAIL) -> int:
        return next(int(row.id) for row in self.product.people() if row.email == email)

    def erase(self, email: str = EMAIL) -> int:
        return erase_person(self.services, self.person(email), "owner@example.com")

    def everything(self) -> Iterator[tuple[str, Any]]:
        """Every value of every column of every table."""
        with self.product.database.reading() as connection:
            for table in metadata.sorted_tables:
                for row in connection.execute(select(table)):
                    for column, value in row._mapping.items():
                        yield f"{table.name}.{column}", value

    def found(self, *needles: str) -> set[str]:
        """Where one of them stands, in whatever case."""
        texts = [(where, _text(value).casefold()) for where, value in self.everything()]
        return {where for where, text in texts for one in needles if one.casefold() in text}

    def causes(self) -> list[str | None]:
        with self.product.database.reading() as connection:
            return list(connection.execute(select(events.c.cause).order_by(events.c.id)).scalars())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else json.dumps(value, default=str)


@pytest.fixture
def erasing_(product: Product) -> Erasing:
    return Erasing(product)


def everywhere(self: Erasing) -> tuple[str, ...]:
    """Rita in every state and table; her ids and keys besides her names."""
    product = self.product
    self.receive(**self.rita())
    self.receive(form=True, **self.frida())
    self.receive("reward-issued", **self.rita())
    contact = next(one for one in product.intercom.contacts.values() if one.email == EMAIL)
    friends = next(one for one in product.intercom.contacts.values() if one.email != EMAIL)
    shown = {"Referrer Email": RITA, "Referrer Name": "Ritarella", "plan": "trial"}
    product.tell(friends, custom_attributes=shown)
    product.tell(contact, custom_attributes={"plan": "trial"})
    # As a lead too, observed, qualified, and dead, waiting and not understood.
    self.receive(**self.rita(id="r4712", code="ritalead", type="person_invited", referrer_id=9))
    product.tell(contact, custom_attributes={"plan": "pro"})
    self.receive("qualified", **self.rita(id="r4712", code="ritalead", type="person_invited"))
    # Others who mention her.
    self.receive(**lead(id=8, code="franz8", email="franz@example.com", Company=f"I know {RITA.upper()}"))
    Syncing(product).start()
    product.intercom.put(EMAIL, Role.USER, name="Ritarella")
    Syncing(product).run()
    product.receive(**self.rita(id="r4714", code="rita4714"))
    _by_hand(self)
    keys = [person_key(product.workspace_id, EMAIL), contact_key(product.workspace_id, contact.id)]
    keys += [referral_factory_key(product.campaign_id, one) for one in ("r4711", "r4712", "ritacode")]
    return (EMAIL, "Ritarella", "r4711", "r4712", "r4714", "ritacode", "ritalead", "Ritters", contact.id, *keys)


def _by_hand(self: Erasing) -> None:
    """What other work leaves for some moments."""
    product = self.product
    with product.database.writing() as connection:
        refused = {"workspace_id": product.workspace_id, "path": "email", "value_digest": value_digest(EMAIL)}
        connection.execute(insert(metadata.tables["refusals"]).values(until=product.time, **refused))
        turn = reconciles.take(
            connection, reconciles.REFERRAL_FACTORY, product.program_id, product.time, timedelta(seconds=1)
        )
        assert turn is not None
        unheard = {reconcile_person_key("joined", product.campaign_id, "r4711"): 1, "another": 1}
        reconciles.note_unheard(connection, turn, unheard)


def test_every_table_says_what_becomes_of_it() -> None:
    assert erasing.WHAT_BECOMES.keys() == metadata.tables.keys()


def test_no_table_names_them(erasing_: Erasing) -> None:
    needles = everywhere(erasing_)
    assert {
        "people.email",
        "events.payload",
        "activity.email",
        "links.email",
        "sync_outcomes.email",
    } <= erasing_.found(*needles)
    calls = len(erasing_.product.intercom.calls), len(erasing_.product.referral_factory.calls)
    erasing_.erase()
    assert erasing_.found(*needles, value_digest(EMAIL)) == set()
    unheard = reconcile_person_key("joined", erasing_.product.campaign_id, "r4711")
    assert erasing_.found(unheard) == set()
    assert (len(erasing_.product.intercom.calls), len(erasing_.product.referral_factory.calls)) == calls


def _texts_of_files(product: Product) -> bytes:
    path = Path(str(product.database.engine.url.database))
    return b"".join(one.read_bytes() for one in (path, *path.parent.glob(f"{path.name}-wal")))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # on PostgreSQL its own vacuum sees to it
def test_nothing_is_left_in_sqlites_files(erasing_: Erasing) -> None:
    everywhere(erasing_)
    assert EMAIL.encode() in _texts_of_files(erasing_.product)
    erasing_.erase()
    left = _texts_of_files(erasing_.product)
    for name in (EMAIL.encode(), RITA.encode(), b"Ritarella", b"ritacode"):
        assert name not in left


def test_a_record_says_when_and_by_whom_and_names_nobody(erasing_: Erasing) -> None:
    erasing_.receive(**erasing_.rita())
    made = erasing_.erase()
    with erasing_.product.database.reading() as connection:
        (row,) = erasures.page(connection, before=None, limit=50)
    assert (row.id, row.at, row.actor) == (made, erasing_.product.time, "owner@example.com")
    assert row.finished_at is not None
    with erasing_.product.database.reading() as connection:
        audited = connection.execute(select(audit_log)).one()
    assert (audited.kind, audited.person, audited.subject) == ("person_erased", "owner@example.com", "erasure:1")
    assert erasing_.found(EMAIL) == set()


def test_an_unknown_person_is_not_found(erasing_: Erasing) -> None:
    with pytest.raises(InvalidRequest) as refused:
        erase_person(erasing_.services, 12345, "owner@example.com")
    assert refused.value.status == 404


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """All that is logged, however unimportant."""
    configured = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with structlog.testing.capture_logs() as found:
        yield found
    structlog.configure(wrapper_class=configured)


def test_no_log_line_names_them(erasing_: Erasing, logs: list[Any]) -> None:
    erasing_.receive(**erasing_.rita())
    erasing_.erase()
    erasing_.receive("qualified", **erasing_.rita())
    erasing_.receive(**erasing_.rita())
    said = json.dumps(logs, default=str)
    assert "erasure_begun" in said
    for name in (EMAIL, "Ritarella", "r4711", "ritacode"):
        assert name.casefold() not in said.casefold()


def test_no_metric_names_them(erasing_: Erasing) -> None:
    metrics = PrometheusMetrics()
    counting = replace(erasing_.services, metrics=metrics)
    erasing_.services = erasing_.product.services = counting
    erasing_.receive(**erasing_.rita())
    erasing_.erase()
    erasing_.receive(**erasing_.frida())
    erasing_.receive(**erasing_.rita())
    database = erasing_.product.database
    inside = InboxCollector(database, erasing_.product.time.timestamp), ConnectionsCollector(database)
    said = metrics.exposition(*inside).decode()
    assert 'referloop_activity_total{cause="",outcome="created",verb="send"}' in said
    for name in (EMAIL, "Ritarella", "r4711", "ritacode"):
        assert name.casefold() not in said.casefold()


class TestOthers:
    def test_a_leads_events_can_be_worked_on_again_and_come_to_the_same(self, erasing_: Erasing) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        first = erasing_.receive(**{key: one for key, one in erasing_.frida().items() if key != "type"}).event_id
        erasing_.erase()
        frida = next(row for row in product.people() if row.audience == "leads")
        assert (frida.email, frida.referral_factory_id) == ("friend@example.com", "7")
        assert not [name for name in frida._mapping["values"] if name.startswith("referrer.")]
        with product.database.writing() as connection:
            assert inbox.replay(connection, [first], product.time) == 1
        calls = product.referral_factory.called("user")
        product.work_until_idle()
        assert product.event(first).status == "done"
        assert product.referral_factory.called("user") == calls
        assert [(row.outcome, row.audience) for row in product.activity()][-1][1] == "leads"
        assert erasing_.found(EMAIL, "r4711", "Ritarella") == set()

    def test_a_lead_who_comes_later_is_kept_without_their_referrer(self, erasing_: Erasing) -> None:
        erasing_.receive(**erasing_.rita())
        erasing_.erase()
        erasing_.receive(**erasing_.frida())
        assert [row.email for row in erasing_.product.people()] == ["friend@example.com"]
        assert erasing_.found(EMAIL, "r4711", "Ritarella", "ritacode") == set()

    def test_somebody_with_the_same_name_company_and_id_in_another_account_stays(self, erasing_: Erasing) -> None:
        product = erasing_.product
        program_id, _ = product.add_program("other")
        with product.database.writing() as connection:
            row = {"app_id": "app2", "name": "Other", "region": "us", "timezone": "UTC", "state": "connected"}
            table = metadata.tables["workspaces"]
            made = insert(table).values(**row, missing_permissions=[], created_at=product.time).returning(table.c.id)
            workspace_id = connection.execute(made).scalar_one()
        other = product.add_campaign(workspace_id, program_id, "other")
        erasing_.receive(**erasing_.rita())
        with product.database.writing() as connection:
            (row,) = connection.execute(select(people)).all()
            elsewhere = {"campaign_id": other, "workspace_id": workspace_id, "person_key": "of another"}
            connection.execute(insert(people).values({**row._mapping, "id": 2, **elsewhere}))
        erase_person(erasing_.services, 1, "owner@example.com")
        assert [row.campaign_id for row in product.people()] == [other]

    def test_a_friend_of_the_same_campaign_stays(self, erasing_: Erasing) -> None:
        erasing_.receive(**erasing_.rita())
        erasing_.receive(**erasing_.frida())
        before = [row for row in erasing_.product.activity() if row.email == "friend@example.com"]
        erasing_.erase()
        assert [row.email for row in erasing_.product.activity()] == ["friend@example.com"] * len(before)


class TestAsAWhole:
    def test_who_is_in_two_campaigns_is_erased_from_both(self, erasing_: Erasing) -> None:
        product = erasing_.product
        second = product.add_campaign(product.workspace_id, product.program_id, "2")
        product.set_up(Audience.LEADS, SETTINGS, second)
        erasing_.receive(**erasing_.rita())
        product.receive(to_campaign=second, **lead(id=99, code="r99", email=EMAIL))
        product.work_until_idle()
        assert len(product.people()) == 2
        erasing_.erase()
        assert product.people() == []
        assert erasing_.found(EMAIL, "r99") == set()


class TestInHand:
    @pytest.mark.parametrize("key", ["email", "contact", "id"])
    def test_who_is_being_worked_on_is_erased_a_moment_later(
        self, erasing_: Erasing, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product = erasing_.product
        monkeypatch.setattr(erasing_verb, "PATIENCE_SECONDS", 0.0)
        erasing_.receive(**erasing_.rita())
        contact_id = product.people()[0].contact_id
        keys = {
            "email": person_key(product.workspace_id, EMAIL),
            "contact": contact_key(product.workspace_id, contact_id),
            "id": referral_factory_key(product.campaign_id, "r4711"),
        }
        with product.database.writing() as connection:
            inbox.lease_people(connection, {keys[key]}, "worker", product.time, LEASE)
        with pytest.raises(InvalidRequest) as refused:
            erasing_.erase()
        assert (refused.value.status, refused.value.cause) == (409, Cause.WAITING_IN_QUEUE)
        assert len(product.people()) == 1
        with product.database.writing() as connection:
            inbox.release_people(connection, {keys[key]}, "worker")
        erasing_.erase()
        assert product.people() == []
        with product.database.reading() as connection:
            assert connection.execute(select(metadata.tables["person_leases"])).all() == []

    def test_a_worker_who_comes_late_brings_nobody_back(self, erasing_: Erasing) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        product.receive(**erasing_.rita(Company="Ritters and Daughters"))
        batch = process_event.claim(product.services, "slow", 50)
        outcomes = [process_event.process(product.services, event, batch) for event in batch.events]
        product.advance(LEASE.total_seconds() + 1)
        erasing_.erase()
        process_event.settle(product.services, "slow", outcomes)
        product.work_until_idle()
        assert product.people() == []
        assert erasing_.found(EMAIL, "Ritarella", "r4711") == set()

    def test_a_leads_event_in_hand_brings_no_mention_back(self, erasing_: Erasing) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        product.receive(**erasing_.frida())
        batch = process_event.claim(product.services, "slow", 50)
        outcomes = [process_event.process(product.services, event, batch) for event in batch.events]
        erasing_.erase()
        process_event.settle(product.services, "slow", outcomes)
        assert [row.email for row in product.people()] == ["friend@example.com"]
        assert erasing_.found(EMAIL, "r4711", "Ritarella", "ritacode") == set()


@pytest.fixture
def gone(erasing_: Erasing) -> Erasing:
    """Rita joined in Referral Factory too, was sent, and erased."""
    product = erasing_.product
    told = product.referral_factory.sign_up(EMAIL, first_name="Ritarella")
    erasing_.receive(**erasing_.rita(id=told.values["id"], code=told.code))
    erasing_.erase()
    product.intercom.index()
    return erasing_


class TestPassedBy:
    def test_by_a_sweep(self, gone: Erasing) -> None:
        product = gone.product
        with product.database.writing() as connection:
            for audience in ("leads", "referrers"):
                readings.ask(connection, product.campaign_id, audience, product.time)
        while read_campaigns(product.services):
            pass
        assert product.people() == []
        for _ in range(3):
            product.advance(301)
            reconcile_programs(product.services)
            product.work_until_idle()
        assert product.people() == []
        assert gone.found(EMAIL, "Ritarella") == set()

    def test_by_a_sync_which_says_so(self, gone: Erasing) -> None:
        syncing = Syncing(gone.product)
        first = syncing.start(schedule="ongoing")
        syncing.run()
        (outcome,) = syncing.outcomes(first)
        assert (outcome.outcome, outcome.cause) == ("skipped", "erased_on_request")
        assert (outcome.email, outcome.contact_id) == (None, None)
        row = syncing.row(first)
        assert (row.looked_at, row.skipped, row.added) == (1, 1, 0)
        gone.product.advance(901)
        syncing.run()
        row = syncing.row(first)
        assert (row.looked_at, row.skipped) == (1, 1)
        assert gone.product.referral_factory.called("create_user") == 0
        assert gone.found(EMAIL, "Ritarella") == set()

    def test_by_a_sync_that_is_told_by_a_webhook(self, gone: Erasing) -> None:
        product, syncing = gone.product, Syncing(gone.product)
        syncing.start(schedule="ongoing")
        syncing.run()
        contact = next(iter(product.intercom.contacts.values()))
        for _ in range(2):
            event = product.tell(product.intercom.change(contact.id, name="Ritarella R."))
            assert event.status == "done"
            assert (event.payload, event.person_key) == (None, None)
        assert product.referral_factory.called("create_user") == 0
        assert gone.found(EMAIL, "Ritarella", contact.id) == set()

    def test_by_intercoms_webhooks_as_strangers(self, gone: Erasing) -> None:
        contact = next(iter(gone.product.intercom.contacts.values()))
        event = gone.product.tell(contact)
        assert (event.status, event.cause) == ("done", "not_a_tracked_lead")
        assert gone.found(EMAIL, contact.id) == set()

    @pytest.mark.parametrize("topic", ["qualified", "reward-issued"])
    def test_by_other_webhooks_of_referral_factory(self, gone: Erasing, topic: str) -> None:
        named = next(iter(gone.product.referral_factory.people.values()))
        event = gone.receive(topic, id=named.values["id"], email=RITA, first_name="Ritarella")
        assert gone.product.event(event.event_id).cause == "erased_on_request"
        assert gone.product.people() == []
        assert gone.found(EMAIL, "Ritarella") == set()

    def test_outcomes_of_former_runs_stay_as_counted(self, erasing_: Erasing) -> None:
        syncing = Syncing(erasing_.product)
        syncing.contact(EMAIL)
        sync_id = syncing.start()
        syncing.run()
        assert [one.outcome for one in syncing.outcomes(sync_id)] == ["added"]
        erasing_.erase()
        (outcome,) = syncing.outcomes(sync_id)
        assert (outcome.outcome, outcome.cause, outcome.email) == ("added", "erased_on_request", None)
        assert syncing.row(sync_id).added == 1


class TestBack:
    def test_a_new_signup_is_new_and_passed_by_no_longer(self, erasing_: Erasing) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        erasing_.erase()
        product.advance(3600)
        receipt = erasing_.receive(**erasing_.rita(id=5001, code="newcode"))
        assert not receipt.duplicate
        (row,) = product.people()
        assert (row.email, row.referral_factory_id) == (EMAIL, "5001")
        assert [one.email for one in product.activity()] == [EMAIL]
        assert product.event(receipt.event_id).status == "done"
        syncing = Syncing(product)
        product.intercom.index()
        sync_id = syncing.start()
        syncing.run()
        assert [one.email for one in syncing.outcomes(sync_id)] == [EMAIL]
        erasing_.erase()
        assert erasing_.found(EMAIL) == set()

    @pytest.mark.parametrize("names", [("id", "email"), ("code", "email"), ("email",), ("id",), ("code",)])
    def test_a_webhook_need_not_say_all_names_that_referral_factory_has(
        self, gone: Erasing, names: tuple[str, ...]
    ) -> None:
        product = gone.product
        there = next(iter(product.referral_factory.people.values()))
        known = {"id": there.values["id"], "code": there.code, "email": EMAIL}
        receipt = gone.receive(**{name: known[name] for name in names}, type="person_referring", plan="new")
        event = product.event(receipt.event_id)
        assert (event.status, event.cause) == ("done", "duplicate_skipped")
        assert [row.email for row in product.people()] == [EMAIL]
        assert [(row.email, row.cause) for row in product.activity()] == [(EMAIL, "duplicate_skipped")]

    def test_a_late_delivery_of_what_was_erased_brings_nobody_back(self, erasing_: Erasing) -> None:
        product = erasing_.product
        first = erasing_.receive(**erasing_.rita())
        erasing_.erase()
        again = erasing_.receive(**erasing_.rita())
        assert (again.event_id, again.duplicate) == (first.event_id, True)
        assert product.people() == []
        assert product.intercom.called("search_email") <= 2
        assert erasing_.found(EMAIL, "Ritarella") == set()

    def test_open_and_dead_events_go_too(self, erasing_: Erasing) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        waiting = product.receive(**erasing_.rita(Company="Another"))
        dead = product.receive(**erasing_.rita(Company="A third"))
        with product.database.writing() as connection:
            connection.execute(events.update().where(events.c.id == dead).values(status="dead"))
        erasing_.erase()
        product.work_until_idle()
        with product.database.reading() as connection:
            assert connection.execute(select(events.c.id).where(events.c.id.in_([waiting, dead]))).all() == []
        assert product.people() == []


class TestInSteps:
    def test_a_referrer_of_many_is_erased_in_bounded_steps(
        self, erasing_: Erasing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product = erasing_.product
        monkeypatch.setattr(erasing, "STEP", 3)
        erasing_.receive(**erasing_.rita())
        for number in range(10):
            product.receive(**erasing_.frida(id=100 + number, code=f"f{number}", email=f"f{number}@example.com"))
        product.work_until_idle()
        erasing_.erase()
        assert len(product.people()) == 10
        assert erasing_.found(EMAIL, "r4711", "Ritarella", "ritacode") == set()

    def test_what_was_left_is_gone_on_with_by_the_clock(
        self, erasing_: Erasing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        erasing_.receive(**erasing_.frida())
        monkeypatch.setattr(erasing_verb, "AT_ONCE_SECONDS", 0.0)
        erasing_.erase()
        assert [row.audience for row in product.people()] == ["leads"]  # nobody finds her from the first moment on
        assert "people.values" in erasing_.found(EMAIL)
        product.advance(1)
        assert go_on_erasing(product.services) == 1
        assert erasing_.found(EMAIL, "r4711", "Ritarella", "ritacode") == set()
        assert go_on_erasing(product.services) == 0

    def test_a_step_that_dies_is_done_again(self, erasing_: Erasing, monkeypatch: pytest.MonkeyPatch) -> None:
        product = erasing_.product
        erasing_.receive(**erasing_.rita())
        erasing_.receive(**erasing_.frida())
        with monkeypatch.context() as dies:
            dies.setattr(erasing, "change_values", _dies)
            with pytest.raises(RuntimeError):
                erasing_.erase()
        assert go_on_erasing(product.services) == 0  # its lease is not over
        product.advance(LEASE.total_seconds() + 1)
        assert go_on_erasing(product.services) == 1
        assert erasing_.found(EMAIL, "r4711", "Ritarella", "ritacode") == set()


def _dies(*_: object) -> None:
    raise RuntimeError("killed")


def test_the_digests_outlive_a_rotation_of_keys(erasing_: Erasing) -> None:
    product = erasing_.product
    erasing_.receive(**erasing_.rita())
    erasing_.erase()
    with product.database.reading() as connection:
        before = erasures.mark(connection, product.services.vault)
    with product.database.writing() as connection:
        sealed = connection.execute(select(metadata.tables["erasure_keys"].c.sealed)).scalar_one()
        old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
        resealed = Vault([old]).seal(product.services.vault.open(sealed))
        connection.execute(metadata.tables["erasure_keys"].update().values(sealed=resealed))
        assert erasures.make_mark(connection, Vault([new, old])) == before
        assert erasures.mark(connection, Vault([new])) == before


def test_an_email_can_not_be_guessed_from_what_stays(erasing_: Erasing) -> None:
    product = erasing_.product
    erasing_.receive(**erasing_.rita())
    erasing_.erase()
    guesses = [person_key(product.workspace_id, EMAIL), value_digest(EMAIL)]
    guesses += [referral_factory_key(product.campaign_id, "r4711")]
    assert erasing_.found(*guesses) == set()
