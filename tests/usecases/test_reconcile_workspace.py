"""What Intercom never told is found: by the contacts that changed lately, or by the watched leads, one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import ApiError, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.identity import person_key
from app.core.people import Audience, Contact, Role
from app.core.qualification import FirstSight, SeenIn, Sight
from app.integrations.intercom import ContactPage
from app.storage import campaigns, circuits, inbox, observations, people, reconciles, workspaces
from app.storage.circuits import Broken, vendor_circuit
from app.storage.observations import NewSights
from app.storage.people import PersonRecord
from app.storage.tables import events, reconcile_turns
from app.storage.tables import reconciles as reconcile_rows
from app.usecases.check_connections import release
from app.usecases.reconcile_steps import BROKEN_OFF
from app.usecases.reconcile_workspace import LEADS_A_STEP, reconcile_workspaces
from app.usecases.set_up_audience import keep_audience
from schemas.bodies import object_from
from schemas.intercom import notification_from
from tests.product import SETTINGS, Product

VENDOR = Vendor.INTERCOM
LEADS = Audience.LEADS
PLAN = "custom_attributes.plan"


def watch(product: Product, name: str = "anna", plan: str | None = "trial", **record: Any) -> Contact:
    """A lead whose contact is known, and what was seen of it until now."""
    contact = product.intercom.put(f"{name}@example.com", Role.LEAD, custom_attributes={"plan": plan})
    person_id = lead(product, name, contact.id, **record)
    see(product, person_id, contact)
    return contact


def lead(product: Product, name: str, contact_id: str | None, **record: Any) -> int:
    email = f"{name}@example.com"
    known = PersonRecord(
        campaign_id=record.pop("campaign_id", product.campaign_id),
        audience=record.pop("audience", "leads"),
        workspace_id=product.workspace_id,
        person_key=person_key(product.workspace_id, email),
        referral_factory_id=f"rf-{name}",
        code=None,
        email=email,
        first_name=None,
        url=None,
        values={},
        contact_id=contact_id,
        contact_role="lead",
        **record,
    )
    with product.database.writing() as connection:
        people.save(connection, [known], product.time)
    return int(product.people()[-1].id)


def see(product: Product, person_id: int, contact: Contact) -> None:
    at, value = contact.updated_at or 0, contact.custom_attributes.get("plan")
    sights = NewSights(PLAN, FirstSight(value, at, True), (Sight(value, at, SeenIn.READ),))
    with product.database.writing() as connection:
        observations.save(connection, [(person_id, sights)], product.time)


def reconcile(product: Product, most: int = 200) -> None:
    """Until nothing is due."""
    for _ in range(most):
        before = turn(product)
        reconcile_workspaces(product.services)
        if turn(product) == before:
            return


def later(product: Product, seconds: float = 300) -> None:
    """The next one, whole."""
    product.advance(seconds)
    product.intercom.calls.clear()
    reconcile(product)


def turn(product: Product) -> Any:
    with product.database.reading() as connection:
        return connection.execute(select(reconcile_turns)).first()


def history(product: Product) -> list[Any]:
    with product.database.reading() as connection:
        return list(connection.execute(select(reconcile_rows).order_by(reconcile_rows.c.id)))


def found(product: Product) -> list[str]:
    """The contacts of which an event was added, in order."""
    with product.database.reading() as connection:
        rows = connection.execute(select(events).where(events.c.origin == inbox.RECONCILE).order_by(events.c.id))
        payloads = [object_from(row.payload, row.content_type) for row in rows]
    return [notification_from(payload).contact_id or "" for payload in payloads]


@pytest.fixture
def watched(product: Product) -> Product:
    """Many watched leads, of whom everything is known."""
    for number in range(5):
        watch(product, f"lead{number}")
    reconcile(product)
    assert found(product) == []
    product.intercom.calls.clear()
    return product


class TestALostWebhook:
    def test_is_found_and_becomes_an_event_that_is_understood(self, watched: Product) -> None:
        anna = watch(watched, "anna")
        watched.advance(60)
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        watched.bell.rings = 0
        later(watched)
        assert found(watched) == [anna.id]
        assert watched.bell.rings == 1
        with watched.database.reading() as connection:
            row = connection.execute(select(events)).one()
        assert (row.source, row.topic, row.status) == ("intercom", "contact.reconcile", "received")
        assert row.person_key == person_key(watched.workspace_id, "anna@example.com")
        notice = notification_from(object_from(row.payload, row.content_type))
        assert (notice.app_id, notice.change, notice.contact) == ("app1", "looked_at", None)
        last = history(watched)[-1]
        assert (last.kind, last.connection_id, last.found, last.calls, last.cause) == ("intercom", 1, 1, 1, None)
        assert last.finished_at == watched.time

    def test_is_one_event_however_often_it_is_seen(self, watched: Product) -> None:
        anna = watch(watched, "anna")
        watched.advance(60)
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        for _ in range(4):
            later(watched)
        assert found(watched) == [anna.id]
        watched.intercom.change(anna.id, custom_attributes={"plan": "basic"})
        later(watched)
        assert found(watched) == [anna.id, anna.id], "and another after another change"

    @pytest.mark.parametrize("known", [1, 6])
    def test_is_none_while_it_may_be_on_its_way(self, product: Product, known: int) -> None:
        for number in range(known - 1):
            watch(product, f"lead{number}")
        anna = watch(product, "anna")
        reconcile(product)
        product.advance(296)
        product.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        later(product, 4)
        assert found(product) == []
        later(product)
        assert found(product) == [anna.id]

    def test_of_a_lead_whose_watch_never_began(self, watched: Product) -> None:
        contact = watched.intercom.put("anna@example.com", Role.LEAD)
        lead(watched, "anna", contact.id)
        later(watched)
        assert found(watched) == [contact.id]

    def test_that_the_index_shows_late_is_found_once_it_shows_it(self, watched: Product) -> None:
        anna = watch(watched, "anna")
        watched.intercom.search_lag = True
        watched.advance(299)
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        later(watched, 1)
        assert found(watched) == []
        watched.intercom.index()
        later(watched)
        assert found(watched) == [anna.id]

    def test_found_while_a_step_of_it_is_open_is_in_order_with_the_persons_other_events(
        self, watched: Product
    ) -> None:
        anna = watch(watched, "anna")
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        watched.receive_lead(email="anna@example.com")
        later(watched)
        claimed = [one.topic for one in inbox_claim(watched)]
        assert claimed == ["joined"]

    def test_of_one_contact_in_two_campaigns_is_one_event(self, watched: Product) -> None:
        anna = watch(watched, "anna")
        other = watched.add_campaign(watched.workspace_id, watched.program_id, "2")
        watched.set_up(LEADS, SETTINGS, other)
        lead(watched, "anna", anna.id, campaign_id=other)
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        later(watched)
        later(watched, 86_400)
        assert found(watched) == [anna.id]


def inbox_claim(product: Product) -> list[Any]:
    with product.database.writing() as connection:
        return inbox.claim(connection, "one", product.time, 50, timedelta(seconds=60))


class TestNothing:
    def test_changed_nothing_is_added_and_one_call_is_made(self, watched: Product) -> None:
        later(watched)
        assert watched.intercom.called("search") == len(watched.intercom.calls) == 1
        assert found(watched) == []
        last = history(watched)[-1]
        assert (last.looked_at, last.found, last.calls) == (5, 0, 1), "those of the overlap"

    def test_is_asked_where_nobody_is_watched(self, product: Product) -> None:
        reconcile(product)
        later(product)
        assert product.intercom.calls == []
        assert [row.finished_at is not None for row in history(product)] == [True, True]

    @pytest.mark.parametrize(
        "record",
        [
            {"audience": "referrers"},
            {"qualification_state": "qualified"},
            {"qualification_state": "closed", "qualification_cause": "already_converted"},
            {"qualification_cause": "contact_deleted"},
        ],
    )
    def test_of_people_who_are_not_watched(self, watched: Product, record: dict[str, Any]) -> None:
        anna = watch(watched, "anna", **record)
        watched.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        later(watched)
        later(watched, 86_400)
        assert found(watched) == []
        assert anna.id not in [arguments[0] for name, arguments in watched.intercom.calls if name == "contact"]

    def test_of_a_campaign_that_is_archived_or_has_no_rule(self, product: Product) -> None:
        watch(product)
        product.change(qualification=None)
        reconcile(product)
        product.change()
        with product.database.writing() as connection:
            campaigns.change(connection, product.campaign_id, archived_at=product.time)
        later(product)
        assert product.intercom.calls == []

    @pytest.mark.parametrize("how", ["disconnected", "circuit"])
    def test_is_asked_of_a_workspace_that_is_away(self, watched: Product, how: str) -> None:
        watched.advance(300)
        with watched.database.writing() as connection:
            if how == "circuit":
                name = vendor_circuit("intercom", watched.workspace_id)
                circuits.open_(connection, Broken(name, "intercom_unavailable", timedelta(10)), watched.time)
            else:
                workspaces.change(connection, watched.workspace_id, state="disconnected")
        reconcile(watched)
        assert watched.intercom.calls == []


class TestTheCheaperWay:
    def test_is_by_id_where_one_is_watched(self, product: Product) -> None:
        anna = watch(product)
        for number in range(300):
            product.intercom.put(f"other{number}@example.com")
        reconcile(product)
        product.intercom.change(anna.id, custom_attributes={"plan": "pro"})
        later(product)
        assert product.intercom.calls == [("contact", (anna.id,))]
        assert found(product) == [anna.id]

    def test_is_a_search_where_many_are_watched(self, watched: Product) -> None:
        for number in range(200):
            watched.intercom.put(f"other{number}@example.com")
        later(watched)
        assert [name for name, _ in watched.intercom.calls] == ["search", "search"]

    def test_is_by_id_where_a_great_many_contacts_change(self, watched: Product) -> None:
        watched.intercom.page_size = 10
        for number in range(300):
            watched.advance(1)
            watched.intercom.put(f"other{number}@example.com")
        later(watched, 0)
        assert [name for name, _ in watched.intercom.calls] == ["search", *["contact"] * 5]

    def test_ends_where_everything_is_older(self, watched: Product) -> None:
        watched.intercom.page_size = 10
        for number in range(300):
            watched.intercom.put(f"other{number}@example.com")
        watched.advance(600)
        reconcile(watched)
        later(watched)
        assert [name for name, _ in watched.intercom.calls] == ["search"]

    def test_looks_at_all_by_id_once_a_day(self, watched: Product) -> None:
        ways = []
        for _ in range(48):
            later(watched, 1800)
            ways.append({name for name, _ in watched.intercom.calls})
        assert ways.count({"contact"}) == 1

    def test_is_by_id_where_the_search_is_refused(self, watched: Product) -> None:
        watched.intercom.fail("search", Rejected(VENDOR, "no", status=400))
        later(watched)
        assert watched.intercom.called("contact") == 5
        assert history(watched)[-1].cause is None


class TestGoneWithoutAWord:
    @pytest.mark.parametrize("how", ["archived", "merged"])
    def test_is_found_by_id_once(self, watched: Product, how: str) -> None:
        anna = watch(watched, "anna")
        if how == "archived":
            watched.intercom.archive(anna.id)
        else:
            survivor = watched.intercom.put("anna@example.com")
            watched.intercom.merge(anna.id, survivor.id)
        later(watched, 86_400)
        later(watched, 86_400)
        assert found(watched) == [anna.id]

    def test_is_no_news_where_it_is_known(self, watched: Product) -> None:
        anna = watch(watched, "anna", qualification_cause="contact_archived")
        watched.intercom.archive(anna.id)
        later(watched, 86_400)
        assert found(watched) == []

    def test_and_there_again(self, watched: Product) -> None:
        anna = watch(watched, "anna", qualification_cause="contact_archived")
        later(watched, 86_400)
        assert found(watched) == [anna.id]


class TestSteps:
    def many(self, product: Product) -> list[Contact]:
        return [watch(product, f"lead{number}") for number in range(LEADS_A_STEP * 3 + 5)]

    def test_are_bounded_and_each_lead_is_asked_for_once(self, product: Product) -> None:
        leads = self.many(product)
        reconcile(product)
        asked = [arguments[0] for name, arguments in product.intercom.calls if name == "contact"]
        assert asked == [one.id for one in leads]
        assert (history(product)[0].looked_at, history(product)[0].calls) == (len(leads), len(leads))

    def test_go_on_after_a_worker_that_was_killed(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        leads = self.many(product)
        for one in leads:
            product.intercom.change(one.id, custom_attributes={"plan": "pro"})
        product.advance(5)

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt("killed")

        with monkeypatch.context() as patched:
            patched.setattr(inbox, "add", die)
            with pytest.raises(KeyboardInterrupt):
                reconcile_workspaces(product.services)
        assert found(product) == []
        reconcile(product)
        assert found(product) == [], "its lease is not over"
        product.advance(120)
        reconcile(product)
        assert found(product) == [one.id for one in leads]
        assert product.intercom.called("contact") == len(leads) + LEADS_A_STEP, "a step was repeated"
        assert len(history(product)) == 1

    def test_go_on_soon_after_a_step_that_broke_off(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a database that is restarted does it, in the middle of keeping a step."""
        (first, *_) = self.many(product)
        product.intercom.change(first.id, custom_attributes={"plan": "pro"})
        product.advance(5)

        def fail(*_: Any, **__: Any) -> None:
            raise ValueError("the database has gone away")

        with monkeypatch.context() as patched:
            patched.setattr(inbox, "add", fail)
            with pytest.raises(ValueError, match="gone away"):
                reconcile_workspaces(product.services)
        product.advance(BROKEN_OFF.total_seconds())
        reconcile(product)
        assert found(product) == [first.id]

    def test_are_done_once_by_two_workers(self, product: Product) -> None:
        leads = self.many(product)
        for one in leads:
            product.intercom.change(one.id, custom_attributes={"plan": "pro"})
        product.advance(5)
        with ThreadPoolExecutor(4) as workers:
            for _ in range(4):
                list(workers.map(lambda _: reconcile_workspaces(product.services), range(4)))
        reconcile(product)
        assert sorted(found(product)) == sorted(one.id for one in leads)
        assert len(history(product)) == 1
        assert history(product)[0].looked_at == product.intercom.called("contact") == len(leads)

    def test_that_come_late_keep_nothing(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        anna = watch(product)
        read = product.intercom.contact

        def overtaken(contact_id: str) -> Any:
            monkeypatch.setattr(product.intercom, "contact", read)
            product.advance(121)
            reconcile(product)
            product.intercom.change(anna.id, custom_attributes={"plan": "pro"})
            return read(contact_id)

        monkeypatch.setattr(product.intercom, "contact", overtaken)
        reconcile_workspaces(product.services)
        assert found(product) == []
        assert [row.looked_at for row in history(product)] == [1]

    def test_end_where_a_cursor_repeats_and_the_next_goes_by_id(
        self, watched: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str | None] = []

        def circle(_query: Any, cursor: str | None = None, *_: Any) -> ContactPage:
            asked.append(cursor)
            times = watched.intercom.now, watched.intercom.now - 500
            page = tuple(Contact(f"c{at}", Role.USER, updated_at=at) for at in times)
            return ContactPage(page, "two" if cursor == "one" else "one", 1000)

        with monkeypatch.context() as patched:
            patched.setattr(watched.intercom, "search", circle)
            later(watched)
        assert asked == [None, "one", "two"]
        known_until = turn(watched).known_until
        assert history(watched)[-1].cause == "cursor_repeated"
        assert known_until < watched.time
        later(watched)
        assert {name for name, _ in watched.intercom.calls} == {"contact"}
        assert turn(watched).known_until == watched.time

    def test_do_not_overlap_and_the_next_is_an_interval_after_the_beginning(self, watched: Product) -> None:
        begun = watched.time
        assert turn(watched).due_at == begun + timedelta(seconds=300)
        watched.advance(299)
        reconcile(watched)
        assert len(history(watched)) == 1
        watched.advance(1)
        reconcile(watched)
        assert len(history(watched)) == 2


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "seconds", "cause"),
        [
            (RateLimited(VENDOR, "wait", after=7, status=429), 7, "rate_limited"),
            (Unavailable(VENDOR, "down", status=503, down=True), 30, "intercom_unavailable"),
            (Unauthorized(VENDOR, "no", status=403), 300, "intercom_permission_missing"),
        ],
        ids=lambda one: type(one).__name__,
    )
    def test_put_it_off_and_it_goes_on_where_it_was(
        self, watched: Product, error: ApiError, seconds: int, cause: str
    ) -> None:
        watched.intercom.fail("search", error)
        later(watched)
        assert (history(watched)[-1].cause, history(watched)[-1].calls) == (cause, 1)
        later(watched, seconds - 1)
        assert watched.intercom.calls == []
        later(watched, 1)
        assert watched.intercom.called("search") >= 1
        assert (history(watched)[1].cause, history(watched)[1].calls) == (None, 2)

    def test_keep_what_was_read_before(self, product: Product) -> None:
        one, two = watch(product, "one"), watch(product, "two")
        for contact in (one, two):
            product.intercom.change(contact.id, custom_attributes={"plan": "pro"})
        product.advance(5)
        real = product.intercom.contact

        def fails_for_two(contact_id: str) -> Any:
            if contact_id == two.id:
                product.intercom.fail("contact", RateLimited(VENDOR, "budget", after=5))
            return real(contact_id)

        product.intercom.contact = fails_for_two  # type: ignore[method-assign]
        reconcile(product)
        assert found(product) == [one.id]
        assert (history(product)[0].looked_at, history(product)[0].calls) == (1, 1), "our own budget is no call"
        product.intercom.contact = real  # type: ignore[method-assign]
        later(product, 5)
        assert found(product) == [one.id, two.id]

    def test_of_one_lead_leave_the_others_alone(self, product: Product) -> None:
        watch(product, "one")
        two = watch(product, "two")
        product.intercom.change(two.id, custom_attributes={"plan": "pro"})
        product.advance(5)
        product.intercom.fail("contact", Rejected(VENDOR, "odd", status=400))
        reconcile(product)
        assert found(product) == [two.id]

    def test_of_the_token_end_it_until_the_workspace_is_connected(self, watched: Product) -> None:
        refused = Unauthorized(VENDOR, "no", status=401)
        watched.intercom.fail("search", refused)
        watched.intercom.fail("me", refused)
        later(watched)
        with watched.database.reading() as connection:
            workspace = workspaces.get(connection, watched.workspace_id)
        assert workspace is not None
        assert workspace.state == "disconnected"
        later(watched)
        assert watched.intercom.calls == []
        with watched.database.writing() as connection:
            workspaces.regain(connection, workspace.id, workspace.token_digest, watched.time)
            release(connection, f"workspace:{workspace.id}", watched.time)
        later(watched, 0)
        assert {name for name, _ in watched.intercom.calls} == {"search", "contact"}, "what was begun, and all by id"


class TestAsked:
    def test_by_a_new_rule_what_was_seen_before_may_decide(self, watched: Product) -> None:
        rule = {**SETTINGS["qualification"], "initial_value": None, "target_values": ["trial"]}
        watched.advance(5)
        keep_audience(watched.services, watched.campaign_id, LEADS, {**SETTINGS, "qualification": rule}, "me")
        reconcile(watched)
        assert watched.intercom.called("contact") == len(found(watched)) == 5

    def test_not_where_the_rule_is_as_it_was(self, watched: Product) -> None:
        before = turn(watched)
        changed = {**SETTINGS, "duplicates": "update"}
        keep_audience(watched.services, watched.campaign_id, LEADS, changed, "me")
        assert turn(watched) == before

    def test_while_one_is_going_on_the_next_follows_at_once(self, product: Product) -> None:
        for number in range(LEADS_A_STEP * 7):
            watch(product, f"lead{number}")
        reconcile_workspaces(product.services)
        product.advance(1)
        with product.database.writing() as connection:
            reconciles.ask(connection, reconciles.INTERCOM, product.workspace_id, product.time)
        product.advance(1)
        reconcile(product)
        assert [row.looked_at for row in history(product)] == [LEADS_A_STEP * 7] * 2
        later(product, 297)
        assert len(history(product)) == 2


class TestTheWholeWay:
    @pytest.fixture
    def referred(self, product: Product) -> tuple[Product, str]:
        """Someone who has joined, is sent, and is known to the reconcile; the contact's id."""
        rita = product.referral_factory.sign_up("rita@example.com")
        anna = product.referral_factory.sign_up("anna@example.com", referrer=rita, Company="Acme", Seats="5")
        product.receive(**{n: anna.values[n] for n in ("id", "code", "email", "first_name")}, type="person_invited")
        product.work_until_idle()
        reconcile(product)
        product.work_until_idle()
        (contact,) = product.intercom.contacts.values()
        return product, contact.id

    def test_a_conversion_that_nobody_told_of_qualifies(self, referred: tuple[Product, str]) -> None:
        product, contact_id = referred
        product.advance(60)
        attributes = {**product.intercom.contacts[contact_id].custom_attributes, "plan": "pro"}
        product.intercom.change(contact_id, custom_attributes=attributes)
        later(product)
        product.work_until_idle()
        assert [row.qualification_state for row in product.people()] == ["qualified"]
        assert product.referral_factory.called("qualify") == 1
        assert (product.activity()[-1].outcome, product.activity()[-1].cause) == ("qualified", "webhook_missed")
        later(product)
        product.work_until_idle()
        assert product.referral_factory.called("qualify") == 1

    def test_nothing_is_found_of_what_is_known(self, referred: tuple[Product, str]) -> None:
        product, _ = referred
        before = len(product.activity())
        for _ in range(3):
            later(product, 86_400)
            product.work_until_idle()
        assert found(product) == []
        assert len(product.activity()) == before

    @pytest.mark.parametrize(("how", "cause"), [("archive", "contact_archived"), ("delete", "contact_archived")])
    def test_a_contact_that_is_gone_leaves_the_referral_open_with_the_cause(
        self, referred: tuple[Product, str], how: str, cause: str
    ) -> None:
        product, contact_id = referred
        getattr(product.intercom, how)(contact_id)
        for _ in range(3):
            later(product, 86_400)
            product.work_until_idle()
        (row,) = product.people()
        assert (row.qualification_state, row.qualification_cause) == ("open", cause)
        assert len(found(product)) == 1

    def test_a_merged_contact_is_followed(self, referred: tuple[Product, str]) -> None:
        product, contact_id = referred
        survivor = product.intercom.put("anna@example.com", custom_attributes={"plan": "pro"})
        product.intercom.merge(contact_id, survivor.id)
        later(product, 86_400)
        product.work_until_idle()
        (row,) = product.people()
        assert row.contact_id == survivor.id
        later(product, 86_400)
        product.work_until_idle()
        assert len(found(product)) == 1
