"""A contact that an ongoing sync wants comes or changes, and a webhook tells: at once, once, and within limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event as sql_event

from app.core.errors import Unavailable, Vendor
from app.core.people import Contact, Role
from app.storage import programs, syncs
from app.usecases import process_event
from tests.product import Product
from tests.usecases.syncing import Syncing


@pytest.fixture
def syncing(product: Product) -> Syncing:
    return Syncing(product)


@pytest.fixture
def sync_id(syncing: Syncing) -> int:
    """An ongoing sync of users that has had its first look, at nobody."""
    sync_id = syncing.start(contacts="users", schedule="ongoing")
    syncing.run()
    assert syncing.row(sync_id).state == syncs.WATCHING
    syncing.product.advance(60)
    return sync_id


def comes(syncing: Syncing, email: str = "nora@example.com", role: Role = Role.USER, **more: object) -> Contact:
    return syncing.contact(email, role, **more)


def referrers(syncing: Syncing) -> list[str]:
    return sorted(one.email or "" for one in syncing.rf.people.values() if one.referral_factory_id)


@contextmanager
def once_read(product: Product, part: str, happens: Callable[[], None]) -> Iterator[None]:
    """Something happens right after the first statement with such a part."""
    left = [happens]

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if part in statement and left:
            left.pop()()

    sql_event.listen(product.database.engine, "after_cursor_execute", note)
    try:
        yield
    finally:
        sql_event.remove(product.database.engine, "after_cursor_execute", note)


class TestNew:
    def test_a_new_user_is_a_referrer_at_once_with_their_link_in_intercom(
        self, syncing: Syncing, sync_id: int
    ) -> None:
        nora = comes(syncing)
        event = syncing.product.tell(nora, "contact.user.created")
        assert (event.status, event.cause) == ("done", None)
        assert referrers(syncing) == ["nora@example.com"]
        assert syncing.link_of(nora)
        assert syncing.said(sync_id)[nora.id][0] == "added"
        assert syncing.row(sync_id).added == 1
        (told,) = syncing.product.activity()
        assert (told.verb, told.event_id, told.sync_id) == ("enroll", event.id, sync_id)

    def test_their_payload_is_not_kept(self, syncing: Syncing, sync_id: int) -> None:
        assert syncing.product.tell(comes(syncing), "contact.user.created").payload is None

    def test_told_twice_or_found_by_the_next_look_they_are_enrolled_once(
        self, syncing: Syncing, sync_id: int
    ) -> None:
        nora = comes(syncing)
        syncing.product.tell(nora, "contact.user.created")
        syncing.product.tell(nora, "contact.user.updated")
        syncing.product.advance(2000)
        syncing.intercom.index()
        syncing.run()
        assert syncing.rf.called("create_user") == 1
        assert syncing.row(sync_id).added == 1

    def test_two_with_one_email_told_to_two_workers_at_once_are_enrolled_once(
        self, syncing: Syncing, sync_id: int
    ) -> None:
        services = syncing.product.services
        for former in ("old@example.com", "former@example.com"):
            syncing.product.notified(comes(syncing), "contact.user.created", email=former)
        one = process_event.claim(services, "one", 1)
        two = process_event.claim(services, "two", 1)

        def meanwhile() -> None:
            process_event.settle(services, "two", [process_event.process(services, two.events[0], two)])

        with once_read(syncing.product, "FROM links", meanwhile):
            done = process_event.process(services, one.events[0], one)
        process_event.settle(services, "one", [done])
        assert syncing.rf.called("create_user") == 1
        syncing.product.advance(2000)
        syncing.run()
        assert sorted(outcome for outcome, _, _ in syncing.said(sync_id).values()) == ["added", "existing"]

    def test_their_own_joined_webhook_changes_nothing(self, syncing: Syncing, sync_id: int) -> None:
        syncing.product.tell(comes(syncing), "contact.user.created")
        (person,) = syncing.rf.people.values()
        event_id = syncing.product.receive(
            id=person.values["id"], email="nora@example.com", first_name="Nora", type="person_referring"
        )
        syncing.product.work_until_idle()
        assert syncing.product.event(event_id).cause == "already_in_campaign"

    @pytest.mark.parametrize(
        ("role", "email", "name"),
        [
            (Role.LEAD, "lead@example.com", "Lead"),
            (Role.USER, "none", "Nobody"),
            (Role.USER, "blank@example.com", " "),
        ],
        ids=["of another role", "with an email that is none", "with a blank that is mapped"],
    )
    def test_a_contact_is_left_alone(self, syncing: Syncing, sync_id: int, role: Role, email: str, name: str) -> None:
        contact = comes(syncing, email, role, name=name)
        syncing.intercom.calls.clear()
        event = syncing.product.tell(contact, "contact.user.created")
        assert (event.status, event.cause) == ("done", "not_a_tracked_lead")
        assert referrers(syncing) == []
        assert syncing.intercom.calls == []

    @pytest.mark.parametrize("state", [syncs.PAUSED, syncs.CANCELLED])
    def test_a_sync_that_does_not_go_on_follows_nobody(self, syncing: Syncing, sync_id: int, state: str) -> None:
        syncing.set_state(sync_id, state)
        syncing.product.tell(comes(syncing), "contact.user.created")
        assert referrers(syncing) == []

    def test_a_segment_is_not_followed_for_membership_is_in_no_webhook(self, syncing: Syncing) -> None:
        syncing.start(contacts="segment", segment_id="s1", schedule="ongoing")
        syncing.product.tell(comes(syncing), "contact.user.created")
        assert referrers(syncing) == []


class TestLimit:
    def test_without_room_they_are_left_out_and_it_is_said(self, syncing: Syncing, sync_id: int) -> None:
        syncing.limit(account=0)
        nora = comes(syncing)
        event = syncing.product.tell(nora, "contact.user.created")
        assert event.cause == "user_limit_reached"
        assert referrers(syncing) == []
        assert syncing.said(sync_id)[nora.id][:2] == ("skipped", "user_limit_reached")

    def test_the_last_place_is_given_once(self, syncing: Syncing, sync_id: int) -> None:
        syncing.limit(account=1)
        syncing.product.tell(comes(syncing), "contact.user.created")
        syncing.product.tell(comes(syncing, "ole@example.com"), "contact.user.created")
        assert referrers(syncing) == ["nora@example.com"]

    def test_a_place_that_was_not_needed_is_free_again(self, syncing: Syncing, sync_id: int) -> None:
        syncing.limit(account=2)
        syncing.rf.sign_up("nora@example.com")
        syncing.product.tell(comes(syncing), "contact.user.created")
        syncing.product.tell(comes(syncing, "ole@example.com"), "contact.user.created")
        assert referrers(syncing) == ["nora@example.com", "ole@example.com"]


class TestTrouble:
    def test_where_the_answer_never_came_it_is_looked_before_it_is_asked_again(
        self, syncing: Syncing, sync_id: int
    ) -> None:
        lost = Unavailable(Vendor.REFERRAL_FACTORY, "The answer did not come.", sent=True)
        syncing.rf.fail("create_user", lost, after_effect=True)
        nora = comes(syncing)
        assert syncing.product.tell(nora, "contact.user.created").status == "retrying"
        syncing.product.advance(11)
        syncing.product.work_until_idle()
        assert syncing.rf.called("create_user") == 1
        assert syncing.said(sync_id)[nora.id][0] == "added"
        assert syncing.row(sync_id).added == 1

    def test_while_referral_factory_is_away_the_event_waits(self, syncing: Syncing, sync_id: int) -> None:
        down = Unavailable(Vendor.REFERRAL_FACTORY, "Connection refused.", sent=False, down=True)
        syncing.rf.fail("create_user", down)
        event = syncing.product.tell(comes(syncing), "contact.user.created")
        assert (event.status, event.cause) == ("received", "referral_factory_unavailable")
        assert event.held_by is not None

    def test_a_program_that_is_lost_holds_up_nobody_for_the_next_look_finds_them(
        self, syncing: Syncing, sync_id: int
    ) -> None:
        with syncing.product.database.writing() as connection:
            programs.change(connection, syncing.product.program_id, state="disconnected")
        nora = comes(syncing)
        assert syncing.product.tell(nora, "contact.user.created").status == "done"
        with syncing.product.database.writing() as connection:
            programs.change(connection, syncing.product.program_id, state="connected")
        syncing.product.advance(2000)
        syncing.intercom.index()
        syncing.run()
        assert referrers(syncing) == ["nora@example.com"]

    def test_a_watched_lead_is_decided_whatever_a_sync_runs_into(self, syncing: Syncing, sync_id: int) -> None:
        lead = syncing.product.watched("friend@example.com")
        user = syncing.intercom.change(lead.id, role=Role.USER)
        lost = Unavailable(Vendor.REFERRAL_FACTORY, "It broke.", sent=True)
        syncing.rf.fail("create_user", lost)
        changed = syncing.product.turns(user, plan="pro")
        event = syncing.product.tell(changed, "contact.user.updated")
        assert event.status == "retrying"
        assert len(syncing.product.qualified) == 1


class TestChanged:
    def test_a_changed_email_and_name_are_carried_to_referral_factory(self, syncing: Syncing, sync_id: int) -> None:
        nora = comes(syncing)
        syncing.product.tell(nora, "contact.user.created")
        syncing.product.advance(60)
        changed = syncing.intercom.change(nora.id, email="nora@new.example.com", name="Nora B")
        event = syncing.product.tell(changed, "contact.email.updated")
        assert event.status == "done"
        assert referrers(syncing) == ["nora@new.example.com"]
        assert syncing.said(sync_id)[nora.id][0] == "updated"
        (person,) = syncing.rf.people.values()
        assert person.text("first_name") == "Nora B"

    def test_the_echo_of_our_own_write_back_carries_nothing(self, syncing: Syncing, sync_id: int) -> None:
        nora = comes(syncing)
        syncing.product.tell(nora, "contact.user.created")
        syncing.rf.calls.clear()
        syncing.intercom.calls.clear()
        syncing.product.tell(syncing.intercom.contacts[nora.id], "contact.user.updated")
        assert syncing.rf.calls == []
        assert syncing.intercom.calls == []
