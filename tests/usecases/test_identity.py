"""Who is who: every way in which a person may be in Intercom already, and what follows from each."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from app.core.errors import Unauthorized, Unavailable, Vendor
from app.core.identity import person_key
from app.core.people import Audience, Contact, ContactDraft, Role
from app.integrations.intercom import Conflict
from app.storage import links
from app.storage.links import Link
from app.storage.tables import creations, events
from app.usecases import process_event
from app.usecases.sweep import sweep
from tests.product import SETTINGS, Product, lead

FRIEND = "friend@example.com"
POLICIES = ("skip", "update", "fill_blanks")
LINK = "custom_attributes.Referral Link"


def conflicts(product: Product, monkeypatch: pytest.MonkeyPatch, *answers: Conflict) -> None:
    """The next creations are answered 409."""
    waiting, create = deque(answers), product.intercom.create

    def answered(draft: ContactDraft) -> Contact | Conflict:
        return waiting.popleft() if waiting else create(draft)

    monkeypatch.setattr(product.intercom, "create", answered)


def lost(product: Product, *, after_effect: bool = True) -> None:
    """The next creation's answer never comes."""
    product.intercom.fail("create", Unavailable(Vendor.INTERCOM, "no answer"), after_effect=after_effect)


def send(product: Product, **changes: Any) -> Any:
    """A lead joins and is worked on; the newest activity."""
    product.receive_lead(**changes)
    product.work()
    return product.activity()[-1]


def link(product: Product) -> Link | None:
    key = person_key(product.workspace_id, FRIEND)
    with product.database.reading() as connection:
        return links.links_of(connection, [key]).get(key)


def live(product: Product) -> list[str]:
    return [one.id for one in product.intercom.contacts.values()]


def test_who_may_have_been_made_at_the_end_of_a_long_call_is_looked_for_once_search_must_show_them(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, delay = product.intercom.create, product.services.index_delay.total_seconds()

    def takes_long(draft: ContactDraft) -> Contact | Conflict:
        product.advance(40)
        return create(draft)

    monkeypatch.setattr(product.intercom, "create", takes_long)
    product.intercom.search_lag = True
    lost(product)
    event_id = product.receive_lead()
    product.work()
    product.advance(delay - 30)  # since the attempt was recorded the delay is over
    product.work()
    assert (product.event(event_id).status, product.event(event_id).attempts) == ("retrying", 1)
    product.advance(60)
    product.intercom.index()
    product.work()
    assert [row.outcome for row in product.activity()] == ["created"]
    assert len(live(product)) == 1


class TestAConflict:
    """Search does not show who is in the way; the answer to the creation does."""

    @pytest.mark.parametrize(
        ("state", "policy", "outcome", "cause"),
        [
            ("live", "skip", "skipped", "duplicate_skipped"),
            ("live", "update", "updated", None),
            ("live", "fill_blanks", "updated", None),
            ("archived", "skip", "skipped", "archived_contact"),
            ("archived", "update", "updated", None),
            ("archived", "fill_blanks", "updated", None),
            ("deleted", "skip", "skipped", "archived_contact"),
            ("deleted", "update", "skipped", "archived_contact"),
            ("deleted", "fill_blanks", "skipped", "archived_contact"),
        ],
    )
    def test_with_one_that_is_named_is_decided_by_its_state_and_the_policy(
        self, product: Product, state: str, policy: str, outcome: str, cause: str | None
    ) -> None:
        product.intercom.search_lag = True
        there = product.intercom.put(FRIEND, Role.USER, created_at=1)
        if state != "live":
            getattr(product.intercom, {"archived": "archive", "deleted": "delete"}[state])(there.id)
        product.change(action="create_user", duplicates=policy)
        row = send(product)
        assert (row.outcome, row.cause) == (outcome, cause)
        assert live(product) == ([there.id] if outcome == "updated" or state == "live" else [])

    def test_with_several_is_left_alone(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        product.change(action="create_user", duplicates="update")
        conflicts(product, monkeypatch, Conflict(several=True, message="Multiple existing users match"))
        row = send(product)
        assert (row.outcome, row.cause) == ("skipped", "several_contacts_match")

    @pytest.mark.parametrize("message", ["A contact matching those details already exists", ""])
    def test_with_nobody_named_waits_until_search_shows_them(
        self, product: Product, monkeypatch: pytest.MonkeyPatch, message: str
    ) -> None:
        product.intercom.search_lag = True
        there = product.intercom.put(FRIEND, Role.USER, created_at=1)
        product.change(action="create_user", duplicates="update")
        conflicts(product, monkeypatch, Conflict(message=message))
        event_id = product.receive_lead()
        product.work()
        assert (product.event(event_id).status, product.event(event_id).attempts) == ("retrying", 1)
        product.intercom.index()
        product.advance(60)
        product.work()
        assert [(row.outcome, row.contact_id) for row in product.activity()] == [("updated", there.id)]

    def test_with_nobody_named_and_nobody_found_ends_with_a_cause(
        self, product: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product.change(action="create_user", duplicates="update")
        conflicts(product, monkeypatch, *[Conflict()] * 9)
        event_id = product.receive_lead()
        for _ in range(6):
            product.work()
            product.advance(61)
        assert (product.event(event_id).status, product.event(event_id).cause) == ("dead", "archived_contact")

    @pytest.mark.parametrize("policy", POLICIES)
    def test_with_one_that_is_deleted_by_the_time_it_is_read_makes_the_contact(
        self, product: Product, monkeypatch: pytest.MonkeyPatch, policy: str
    ) -> None:
        product.change(action="create_user", duplicates=policy)
        conflicts(product, monkeypatch, Conflict("f" * 24))
        assert (send(product).outcome, len(live(product))) == ("created", 1)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_with_one_that_can_never_be_read_is_taken_for_archived(
        self, product: Product, monkeypatch: pytest.MonkeyPatch, policy: str
    ) -> None:
        there = product.intercom.put(FRIEND, Role.USER, created_at=1)
        product.intercom.archive(there.id)
        product.change(action="create_user", duplicates=policy)
        conflicts(product, monkeypatch, *[Conflict(there.id)] * 2)
        row = send(product)
        expected = ("skipped", "archived_contact") if policy == "skip" else ("updated", None)
        assert (row.outcome, row.cause) == expected

    def test_with_one_that_was_merged_is_followed(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        product.intercom.search_lag = True
        former = product.intercom.put(FRIEND, Role.USER, created_at=1)
        survivor = product.intercom.put("other@example.com", Role.USER, created_at=1)
        product.intercom.merge(former.id, survivor.id)
        product.change(action="create_user", duplicates="update")
        conflicts(product, monkeypatch, Conflict(former.id))
        row = send(product)
        assert (row.outcome, row.contact_id) == ("updated", survivor.id)


class TestSeveralMatches:
    @pytest.mark.parametrize(
        ("roles", "chosen"),
        [
            ((Role.LEAD, Role.LEAD), 0),
            ((Role.LEAD, Role.USER), 1),
            ((Role.USER, Role.LEAD), 0),
            ((Role.LEAD, Role.LEAD, Role.USER), 2),
            ((Role.USER, Role.USER), None),
            ((Role.USER, Role.LEAD, Role.USER), None),
        ],
    )
    def test_one_user_else_the_oldest_lead_and_the_others_are_named(
        self, product: Product, roles: tuple[Role, ...], chosen: int | None
    ) -> None:
        there = [product.intercom.put(FRIEND, role, created_at=n + 1) for n, role in enumerate(roles)]
        product.change(duplicates="update")
        row = send(product)
        if chosen is None:
            assert (row.outcome, row.cause) == ("skipped", "several_contacts_match")
            named = [one.id for one in there if one.role is Role.USER]
        else:
            assert (row.outcome, row.contact_id) == ("updated", there[chosen].id)
            named = [one.id for one in there if one is not there[chosen]]
        assert all(one in row.detail for one in named)

    def test_one_that_has_another_email_by_now_is_not_the_person(self, product: Product) -> None:
        stale = product.intercom.put(FRIEND, Role.USER, created_at=1)
        right = product.intercom.put(FRIEND, Role.LEAD, created_at=2)
        product.intercom.search_lag = True
        product.intercom.change(stale.id, email="moved@example.com")
        product.change(duplicates="update")
        row = send(product)
        assert row.contact_id == right.id
        assert product.intercom.contacts[stale.id].name is None

    def test_where_all_have_another_email_by_now_the_person_is_made(self, product: Product) -> None:
        stale = product.intercom.put(FRIEND, Role.LEAD, created_at=1)
        product.intercom.search_lag = True
        product.intercom.change(stale.id, email="moved@example.com")
        row = send(product)
        assert (row.outcome, row.contact_id != stale.id) == ("created", True)


class TestBehindALinkedId:
    @pytest.mark.parametrize(
        ("state", "policy", "outcome", "cause"),
        [
            ("archive", "skip", "skipped", "archived_contact"),
            ("archive", "update", "created", None),
            ("archive", "fill_blanks", "created", None),
            ("delete", "skip", "skipped", "archived_contact"),
            ("delete", "update", "skipped", "archived_contact"),
            ("delete", "fill_blanks", "skipped", "archived_contact"),
        ],
    )
    def test_an_archived_or_deleted_contact_is_decided_by_the_policy(
        self, product: Product, state: str, policy: str, outcome: str, cause: str | None
    ) -> None:
        made = send(product).contact_id
        getattr(product.intercom, state)(made)
        product.change(duplicates=policy)
        row = send(product, Company="Bcme")
        assert (row.outcome, row.cause) == (outcome, cause)
        assert live(product) == ([made] if cause is None else [])

    def test_one_that_is_archived_between_reading_and_writing_is_decided_by_the_policy(
        self, product: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = send(product).contact_id
        product.set_up(Audience.LEADS, {**SETTINGS, "mapping": [*SETTINGS["mapping"], row_of("url", LINK)]})
        update = product.intercom.update

        def late(contact_id: str, draft: ContactDraft) -> Any:
            product.intercom.archive(contact_id)
            return update(contact_id, draft)

        monkeypatch.setattr(product.intercom, "update", late)
        row = send(product, url="https://x.test/r")
        assert (row.outcome, row.cause) == ("skipped", "archived_contact")
        assert (live(product), list(product.intercom.archived)) == ([], [made])

    @pytest.mark.parametrize("named", [True, False])
    def test_a_merged_one_is_its_survivor_named_or_found_by_search(self, product: Product, named: bool) -> None:
        made = send(product).contact_id
        survivor = product.intercom.put(FRIEND, Role.USER, created_at=1)
        product.intercom.merge(made, survivor.id if named else None)  # type: ignore[arg-type]
        send(product, Company="Bcme")
        found = link(product)
        assert found is not None
        assert (found.contact_id, found.role) == (survivor.id, "user")
        assert live(product) == [survivor.id]

    def test_one_that_is_gone_altogether_is_made_again_once_where_the_answer_is_lost(self, product: Product) -> None:
        del product.intercom.contacts[send(product).contact_id]
        product.change(duplicates="update")
        product.intercom.search_lag = True
        lost(product)
        product.receive_lead(Company="Bcme")
        for _ in range(3):
            product.work()
            product.advance(60)
        assert len(live(product)) == 1
        product.intercom.index()
        for _ in range(3):
            product.work()
            product.advance(60)
        found = link(product)
        assert found is not None
        assert live(product) == [found.contact_id]


class TestOnePerson:
    @pytest.mark.parametrize("spelling", [FRIEND, "FRIEND@EXAMPLE.COM", " Friend@Example.com "])
    def test_in_any_spelling_is_one_contact(self, product: Product, spelling: str) -> None:
        first = send(product)
        second = send(product, email=spelling, id=8)
        assert (first.contact_id, len(live(product))) == (second.contact_id, 1)

    def test_with_another_plus_address_is_another(self, product: Product) -> None:
        send(product)
        send(product, email="friend+2@example.com", id=8)
        assert len(live(product)) == 2

    def test_who_refers_themselves_is_one_contact_and_marked_twice(self, product: Product) -> None:
        product.set_up(Audience.REFERRERS, {**SETTINGS, "qualification": None})
        rows = [
            send(product, referrer_email="FRIEND@example.com"),
            send(product, type="person_referring", id=9, referrer_email=" friend@Example.com"),
        ]
        assert [(row.outcome, row.cause) for row in rows] == [
            ("created", "self_referral"),
            ("updated", "self_referral"),
        ]
        assert len(live(product)) == 1


class TestACreationOfUnknownOutcome:
    def test_is_ours_and_not_the_older_lead_of_somebody_else_with_the_same_email(self, product: Product) -> None:
        product.intercom.search_lag = True
        older = product.intercom.put(FRIEND, Role.LEAD, created_at=1)
        lost(product)
        product.receive_lead()
        product.work()
        product.intercom.index()
        product.advance(180)
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == ("created", None)
        assert row.contact_id != older.id
        assert older.id in row.detail

    def test_is_the_user_where_there_is_one(self, product: Product) -> None:
        product.intercom.search_lag = True
        user = product.intercom.put(FRIEND, Role.USER, created_at=1)
        lost(product)
        product.receive_lead()
        product.work()
        product.intercom.index()
        product.advance(180)
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause, row.contact_id) == ("skipped", "duplicate_skipped", user.id)

    def test_that_another_campaign_has_made_is_updated_and_belongs_to_that_one(self, product: Product) -> None:
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        rows = [*SETTINGS["mapping"], row_of("url", LINK)]
        product.set_up(Audience.LEADS, {**SETTINGS, "mapping": rows}, other)
        lost(product)
        first = product.receive_lead()
        batch = process_event.claim(product.services, "gone", 10)
        process_event.process(product.services, batch.events[0], batch)  # and never settled
        with product.database.writing() as connection:
            connection.execute(events.update().where(events.c.id == first).values(status="dead"))
        product.advance(240)
        sweep(product.services)
        product.receive(to_campaign=other, **lead(id=70, first_name="Other", url="https://x.test/r"))
        product.work()
        (row,) = product.activity()
        assert (row.campaign_id, row.outcome) == (other, "updated")
        (contact,) = product.intercom.contacts.values()
        assert (contact.name, contact.value(LINK)) == ("Frida", "https://x.test/r")
        found = link(product)
        assert found is not None
        assert (found.made_for_campaign_id, found.made_for_audience) == (product.campaign_id, "leads")

    def test_is_linked_though_writing_what_is_missing_is_not_allowed(self, product: Product) -> None:
        lost(product)
        product.receive_lead()
        product.work()
        forbidden = Unauthorized(Vendor.INTERCOM, "no", status=403)
        product.intercom.fail("create", forbidden)
        product.receive_lead(id=8, email="another@example.com")
        product.work()
        product.advance(180)
        product.work()
        found = link(product)
        assert found is not None
        assert found.made_for_campaign_id == product.campaign_id

    @pytest.mark.parametrize("action", ["create_lead", "create_user"])
    def test_is_not_repeated_by_a_worker_that_slept_for_longer_than_its_lease(
        self, product: Product, action: str
    ) -> None:
        product.intercom.search_lag = True
        product.change(action=action)
        event_id = product.receive_lead()
        slow = process_event.claim(product.services, "slow", 10)
        product.advance(61)
        sweep(product.services)
        product.work("quick")
        outcomes = [process_event.process(product.services, event, slow) for event in slow.events]
        process_event.settle(product.services, "slow", outcomes)
        assert len(live(product)) == 1
        assert product.event(event_id).status == "done"
        with product.database.reading() as connection:
            assert [row.outcome for row in connection.execute(creations.select())] == ["created"]

    def test_is_not_recorded_by_a_worker_whose_lease_nobody_has_taken_over(self, product: Product) -> None:
        product.receive_lead()
        slow = process_event.claim(product.services, "slow", 10)
        product.advance(61)
        sweep(product.services)
        process_event.process(product.services, slow.events[0], slow)
        assert live(product) == []
        product.work()
        assert len(live(product)) == 1


def row_of(field: str, to: str) -> dict[str, Any]:
    return {"from": {"field": field}, "to": to}
