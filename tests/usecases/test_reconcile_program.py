"""Whose webhook never came is found in Referral Factory's list, and so is who was deleted there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.core.errors import ApiError, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Person
from app.integrations.referral_factory import PeoplePage
from app.storage import campaigns, circuits, inbox, people, programs, readings
from app.storage.circuits import Broken, vendor_circuit
from app.storage.people import PersonRecord
from app.storage.tables import audience_readings, events, reconcile_turns
from app.storage.tables import people as people_table
from app.storage.tables import reconciles as reconcile_rows
from app.usecases import reconcile_program
from app.usecases.reconcile_program import ASKED_A_STEP, reconcile_programs
from app.usecases.records import person_record
from schemas.bodies import object_from
from schemas.referral_factory import event_from
from tests.product import SETTINGS, Product

VENDOR = Vendor.REFERRAL_FACTORY
LEADS, REFERRERS = Audience.LEADS, Audience.REFERRERS


@pytest.fixture
def whole(product: Product) -> Product:
    """The product whose leads were read once; Rita refers."""
    whole_audience(product, LEADS)
    product.referral_factory.sign_up("rita@example.com")
    return product


def whole_audience(product: Product, audience: Audience, **columns: Any) -> None:
    row = {"campaign_id": product.campaign_id, "audience": audience.value, "asked_at": product.time}
    ended = {"begun_at": product.time, "ended_at": product.time}
    with product.database.writing() as connection:
        connection.execute(audience_readings.insert().values({**row, **ended, **columns}))


def sign_up(product: Product, name: str = "anna", **more: Any) -> Person:
    rita = next(iter(product.referral_factory.people.values()))
    return product.referral_factory.sign_up(f"{name}@example.com", referrer=rita, **more)


def know(product: Product, person: Person, **columns: Any) -> None:
    """A lead whom a webhook has told of, watched in Intercom."""
    record = person_record(product.campaign_id, product.workspace_id, person)
    known = {"contact_id": f"c{person.text('id')}", "contact_role": "lead", "joined_before_setup": False, **columns}
    record = PersonRecord(**{**{name: getattr(record, name) for name in PersonRecord.__slots__}, **known})
    with product.database.writing() as connection:
        people.save(connection, [record], product.time)


def reconcile(product: Product) -> None:
    """Two looks: what was missed was seen by both."""
    look(product)
    product.advance(60)
    look(product)


def look(product: Product, most: int = 300) -> None:
    """Until nothing is due."""
    for _ in range(most):
        before = turn(product)
        reconcile_programs(product.services)
        if turn(product) == before:
            return


def later(product: Product, seconds: float = 300) -> None:
    product.advance(seconds)
    product.referral_factory.calls.clear()
    look(product)


def turn(product: Product) -> Any:
    with product.database.reading() as connection:
        return connection.execute(select(reconcile_turns)).first()


def history(product: Product) -> list[Any]:
    with product.database.reading() as connection:
        return list(connection.execute(select(reconcile_rows).order_by(reconcile_rows.c.id)))


def found(product: Product) -> list[tuple[str, str | None]]:
    """Topic and email of the events that were added, in order."""
    with product.database.reading() as connection:
        rows = connection.execute(
            select(events).where(events.c.origin == inbox.RECONCILE).order_by(events.c.id)
        ).all()
    return [
        (row.topic, event_from(row.topic, object_from(row.payload, row.content_type)).person.email) for row in rows
    ]


class TestAJoinedThatNeverCame:
    def test_is_added_as_an_event_once_ever(self, whole: Product) -> None:
        anna = sign_up(whole, Company="Acme")
        whole.bell.rings = 0
        reconcile(whole)
        assert found(whole) == [("joined", "anna@example.com")]
        assert whole.bell.rings == 1
        with whole.database.reading() as connection:
            row = connection.execute(select(events)).one()
        assert (row.source, row.campaign_id, row.status) == ("referral_factory", whole.campaign_id, "received")
        assert event_from("joined", object_from(row.payload, row.content_type)).person == anna
        for _ in range(3):
            later(whole)
        assert len(found(whole)) == 1
        assert [(one.found, one.calls) for one in history(whole)] == [(0, 1), (1, 1), (0, 1), (0, 1), (0, 1)]

    def test_is_sent_and_found_no_more(self, whole: Product) -> None:
        sign_up(whole, Company="Acme", Seats="5")
        reconcile(whole)
        whole.work_until_idle()
        assert [one.email for one in whole.intercom.contacts.values()] == ["anna@example.com"]
        with whole.database.writing() as connection:
            connection.execute(events.delete())
        later(whole)
        assert found(whole) == []

    def test_is_told_to_have_been_missed(self, whole: Product) -> None:
        sign_up(whole, Company="Acme", Seats="5")
        reconcile(whole)
        whole.work_until_idle()
        (told,) = whole.activity()
        assert (told.verb, told.outcome, told.cause) == ("send", "created", "webhook_missed")

    def test_is_in_order_with_the_persons_other_events(self, whole: Product) -> None:
        anna = sign_up(whole)
        reconcile(whole)
        whole.receive(**{name: anna.values[name] for name in ("id", "code", "email")}, type="person_invited")
        with whole.database.reading() as connection:
            keys = connection.execute(select(events.c.person_key)).scalars().all()
        assert len(keys) == 2
        assert len(set(keys)) == 1

    def test_has_not_been_missed_while_it_waits(self, whole: Product) -> None:
        anna = sign_up(whole)
        whole.receive(**{name: anna.values[name] for name in ("id", "code", "email")}, type="person_invited")
        reconcile(whole)
        assert found(whole) == []

    @pytest.mark.parametrize(
        ("columns", "missed"),
        [
            ({"joined_before_setup": True}, False),
            ({"joined_before_setup": False}, False),
            ({"joined_before_setup": None, "joined_received_at": "now"}, False),
            ({"joined_before_setup": None, "sent_received_at": "now"}, False),
            ({"joined_before_setup": None}, True),
        ],
    )
    @pytest.mark.parametrize("by", ["id", "email"])
    def test_of_someone_who_is_known(self, whole: Product, columns: dict[str, Any], missed: bool, by: str) -> None:
        anna = sign_up(whole)
        times = {name: whole.time if value == "now" else value for name, value in columns.items()}
        know(whole, anna, contact_id=None, **times, **({"referral_factory_id": None} if by == "email" else {}))
        reconcile(whole)
        assert found(whole) == ([("joined", "anna@example.com")] if missed else [])

    def test_of_someone_without_an_email(self, whole: Product) -> None:
        anna = sign_up(whole)
        whole.referral_factory.people[str(anna.values["id"])] = Person(LEADS, {**anna.values, "email": None})
        reconcile(whole)
        assert found(whole) == [("joined", None)]

    def test_of_an_audience_that_is_not_sent_is_none(self, whole: Product) -> None:
        reconcile(whole)
        assert found(whole) == [], "referrers are not set up"
        whole.set_up(REFERRERS, {**SETTINGS, "qualification": None})
        later(whole)
        assert found(whole) == [], "nor read"
        whole_audience(whole, REFERRERS)
        whole.advance(300)
        reconcile(whole)
        assert found(whole) == [("joined", "rita@example.com")]

    def test_of_an_audience_that_was_not_read_whole_is_none(self, whole: Product) -> None:
        sign_up(whole)
        with whole.database.writing() as connection:
            connection.execute(update(audience_readings).values(cause="cursor_repeated"))
        reconcile(whole)
        assert found(whole) == []

    def test_whose_webhook_comes_between_two_looks_was_not_missed(self, whole: Product) -> None:
        anna = sign_up(whole)
        look(whole)
        assert found(whole) == []
        whole.receive(**{name: anna.values[name] for name in ("id", "code", "email")}, type="person_invited")
        whole.work_until_idle()
        later(whole, 60)
        assert found(whole) == []
        assert turn(whole).unheard == {}
        later(whole, 299)
        assert whole.referral_factory.calls == [], "the next comes after the whole interval"

    def test_in_numbers_that_can_not_be_on_their_way_are_added_at_once(
        self, whole: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reconcile_program, "MOST_UNHEARD", 2)
        for number in range(5):
            sign_up(whole, f"lead{number}")
        look(whole)
        assert len(found(whole)) == 3
        later(whole, 60)
        assert len(found(whole)) == 5

    def test_that_died_is_not_looked_for_again(self, whole: Product) -> None:
        sign_up(whole)
        reconcile(whole)
        with whole.database.writing() as connection:
            connection.execute(update(events).values(status="dead"))
        later(whole, 300)
        assert turn(whole).unheard == {}
        assert len(found(whole)) == 1

    def test_of_another_campaign_is_none(self, whole: Product) -> None:
        rita = whole.referral_factory.sign_up("rita@example.com", campaign_id="3")
        whole.referral_factory.sign_up("anna@example.com", campaign_id="3", referrer=rita)
        reconcile(whole)
        assert found(whole) == []

    def test_costs_a_bounded_number_of_calls_and_queries(self, whole: Product) -> None:
        whole.referral_factory.page_size = 100
        for number in range(450):
            sign_up(whole, f"lead{number}")
        reconcile(whole)
        assert len(found(whole)) == 450
        assert [(one.looked_at, one.found, one.calls) for one in history(whole)] == [(451, 0, 5), (451, 450, 5)]


class TestNobody:
    @pytest.mark.parametrize("how", ["disconnected", "circuit", "archived", "being read", "waits to be read"])
    def test_is_asked_for_of_a_program_that(self, whole: Product, how: str) -> None:
        sign_up(whole)
        with whole.database.writing() as connection:
            if how == "disconnected":
                programs.change(connection, whole.program_id, state="disconnected")
            elif how == "circuit":
                name = vendor_circuit("referral_factory", whole.program_id)
                circuits.open_(connection, Broken(name, "referral_factory_unavailable", timedelta(9)), whole.time)
            elif how == "archived":
                campaigns.change(connection, whole.campaign_id, archived_at=whole.time)
            else:
                readings.ask(connection, whole.campaign_id, "referrers", whole.time)
                if how == "being read":
                    readings.take(connection, whole.program_id, whole.time, timedelta(9))
        reconcile(whole)
        assert whole.referral_factory.calls == []
        assert history(whole) == []

    def test_is_asked_for_before_an_audience_was_read(self, product: Product) -> None:
        reconcile(product)
        assert product.referral_factory.calls == []


class TestQualifiedThere:
    def test_without_a_word_is_remembered_here(self, whole: Product) -> None:
        anna = sign_up(whole)
        know(whole, anna)
        whole.referral_factory.qualify(user_id=anna.text("id"))
        reconcile(whole)
        assert found(whole) == [("qualified", "anna@example.com")]
        whole.work_until_idle()
        assert [row.qualification_state for row in whole.people()] == ["qualified"]
        later(whole)
        assert len(found(whole)) == 1

    def test_of_whom_a_worker_has_in_hand_is_left_to_the_next(self, whole: Product) -> None:
        anna = sign_up(whole)
        know(whole, anna)
        whole.referral_factory.qualify(user_id=anna.text("id"))
        whole.receive("qualified", id=anna.values["id"], email=anna.email)
        reconcile(whole)
        assert found(whole) == []


class TestDeletedThere:
    def test_is_watched_no_more_once_it_was_asked_for(self, whole: Product) -> None:
        anna, bert = sign_up(whole), sign_up(whole, "bert")
        for person in (anna, bert):
            know(whole, person)
        whole.referral_factory.remove(str(anna.values["id"]))
        later(whole, 1)
        assert [name for name, _ in whole.referral_factory.calls] == ["users", "user"]
        states = {row.email: (row.qualification_state, row.qualification_cause) for row in whole.people()}
        assert states == {
            "anna@example.com": ("closed", "unknown_in_referral_factory"),
            "bert@example.com": ("open", None),
        }
        (told,) = whole.activity()
        assert (told.verb, told.outcome, told.cause, told.email) == (
            "qualify",
            "ignored",
            "unknown_in_referral_factory",
            "anna@example.com",
        )
        later(whole)
        assert [name for name, _ in whole.referral_factory.calls] == ["users"]

    def test_is_not_who_only_slipped_through_the_list(self, whole: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        know(whole, sign_up(whole))
        monkeypatch.setattr(whole.referral_factory, "users", lambda *_, **__: PeoplePage(()))
        later(whole, 1)
        assert whole.referral_factory.called("user") == 1
        assert [row.qualification_state for row in whole.people()] == ["open"]

    def test_is_not_who_came_meanwhile(self, whole: Product) -> None:
        anna = sign_up(whole)
        know(whole, anna)
        whole.referral_factory.remove(str(anna.values["id"]))
        reconcile(whole)
        assert whole.referral_factory.called("user") == 0

    def test_in_great_numbers_are_asked_for_in_bites(self, whole: Product) -> None:
        gone = [sign_up(whole, f"lead{number}") for number in range(2 * ASKED_A_STEP + 3)]
        for person in gone:
            know(whole, person)
            whole.referral_factory.remove(str(person.values["id"]))
        whole.referral_factory.fail("user", RateLimited(VENDOR, "budget", after=9), times=1)
        later(whole, 1)
        later(whole, 9)
        assert {row.qualification_state for row in whole.people()} == {"closed"}
        assert history(whole)[0].calls == len(gone) + 1
        assert len(whole.activity()) == len(gone)

    @pytest.mark.parametrize("columns", [{"contact_id": None}, {"qualification_state": "disqualified"}])
    def test_is_not_asked_for_where_nobody_watches(self, whole: Product, columns: dict[str, Any]) -> None:
        anna = sign_up(whole)
        know(whole, anna, **columns)
        whole.referral_factory.remove(str(anna.values["id"]))
        later(whole, 1)
        assert whole.referral_factory.called("user") == 0


class TestSteps:
    def test_go_on_after_a_worker_that_was_killed(self, whole: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        whole.referral_factory.page_size = 2
        for number in range(9):
            sign_up(whole, f"lead{number}")

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt("killed")

        with monkeypatch.context() as patched:
            patched.setattr(inbox, "add", die)
            with pytest.raises(KeyboardInterrupt):
                reconcile_programs(whole.services)
        whole.advance(120)
        reconcile(whole)
        assert len(found(whole)) == 9
        assert len(history(whole)) == 2

    def test_are_done_once_by_several_workers(self, whole: Product) -> None:
        whole.referral_factory.page_size = 2
        for number in range(19):
            sign_up(whole, f"lead{number}")
        with ThreadPoolExecutor(4) as workers:
            for _ in range(4):
                list(workers.map(lambda _: reconcile_programs(whole.services), range(4)))
        look(whole)
        assert len(history(whole)) == 1
        assert history(whole)[0].looked_at == 20
        whole.advance(60)
        with ThreadPoolExecutor(4) as workers:
            for _ in range(4):
                list(workers.map(lambda _: reconcile_programs(whole.services), range(4)))
        look(whole)
        assert len(found(whole)) == 19
        assert len(history(whole)) == 2

    def test_end_where_a_cursor_repeats_and_nobody_is_closed(
        self, whole: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        know(whole, sign_up(whole))
        with monkeypatch.context() as patched:
            patched.setattr(whole.referral_factory, "users", lambda *_, **__: PeoplePage((), "again"))
            later(whole, 1)
        assert (history(whole)[0].cause, history(whole)[0].calls) == ("cursor_repeated", 2)
        assert whole.referral_factory.called("user") == 0

    @pytest.mark.parametrize(
        ("error", "seconds", "cause"),
        [
            (RateLimited(VENDOR, "wait", after=7), 7, "rate_limited"),
            (Unavailable(VENDOR, "down", status=503, down=True), 30, "referral_factory_unavailable"),
            (Rejected(VENDOR, "no", status=400), 300, "referral_factory_refused"),
            (Unauthorized(VENDOR, "no", status=403), 300, "referral_factory_unauthorized"),
        ],
        ids=lambda one: type(one).__name__,
    )
    def test_that_fail_are_done_later(self, whole: Product, error: ApiError, seconds: int, cause: str) -> None:
        sign_up(whole)
        whole.referral_factory.fail("users", error)
        look(whole)
        assert history(whole)[0].cause == cause
        later(whole, seconds - 1)
        assert whole.referral_factory.calls == []
        later(whole, 1)
        later(whole, 60)
        assert found(whole) == [("joined", "anna@example.com")]
        assert history(whole)[0].cause is None

    def test_that_are_refused_begin_at_the_first_page(self, whole: Product) -> None:
        whole.referral_factory.page_size = 1
        for number in range(7):
            sign_up(whole, f"lead{number}")
        reconcile_programs(whole.services)
        whole.referral_factory.fail("users", Rejected(VENDOR, "no such page", status=400))
        look(whole)
        later(whole)
        later(whole, 60)
        assert len(found(whole)) == 7
        assert history(whole)[0].cause is None

    def test_of_the_next_come_after_the_last_is_done(self, whole: Product) -> None:
        look(whole)
        later(whole, 299)
        assert whole.referral_factory.calls == []
        later(whole, 1)
        assert len(history(whole)) == 2

    def test_of_a_refused_token_end_until_the_program_is_connected(self, whole: Product) -> None:
        refused = Unauthorized(VENDOR, "no", status=401)
        whole.referral_factory.fail("users", refused)
        whole.referral_factory.fail("campaigns", refused)
        reconcile(whole)
        with whole.database.reading() as connection:
            program = programs.get(connection, whole.program_id)
        assert program is not None
        assert program.state == "disconnected"
        later(whole)
        assert whole.referral_factory.calls == []


def test_what_is_noted_of_the_list_is_of_watched_leads_only(whole: Product) -> None:
    know(whole, sign_up(whole))
    know(whole, sign_up(whole, "bert"), contact_id=None)
    reconcile(whole)
    with whole.database.reading() as connection:
        swept = dict(connection.execute(select(people_table.c.email, people_table.c.swept_in)).all())  # type: ignore[arg-type]
    assert swept == {"anna@example.com": 1, "bert@example.com": None}
