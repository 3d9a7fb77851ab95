"""Whoever has converted is qualified in Referral Factory once, whatever happens on the way."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import Rejected, Unavailable, Vendor
from app.core.people import Contact
from app.storage import inbox
from app.storage.inbox import LEASE
from app.storage.tables import qualifications
from app.usecases import process_event
from app.usecases.qualify_by_hand import qualify_by_hand
from app.usecases.replay_events import replay_event, replay_events
from app.usecases.sweep import sweep
from tests.product import Product


def unavailable(**more: Any) -> Unavailable:
    return Unavailable(Vendor.REFERRAL_FACTORY, "no answer", **more)


def attempts(product: Product) -> list[str | None]:
    with product.database.reading() as connection:
        return list(connection.execute(select(qualifications.c.outcome).order_by(qualifications.c.id)).scalars())


def friend(product: Product) -> Any:
    return next(one for one in product.people() if one.audience == "leads")


def converted(product: Product) -> tuple[int, Contact]:
    """A watched lead has reached a target, of which a notification tells that nobody has worked on yet."""
    contact = product.turns(product.watched(), plan="pro")
    product.referral_factory.calls.clear()
    return product.notified(contact), contact


def calls(product: Product) -> list[str]:
    return [name for name, _ in product.referral_factory.calls]


def is_qualified(product: Product) -> bool:
    id_ = friend(product).referral_factory_id
    return product.referral_factory.people[id_].values["qualified_at"] is not None


class TestAnAnswerThatNeverComes:
    @pytest.mark.parametrize("taken", [True, False])
    def test_is_asked_for_before_the_call_is_made_again(self, product: Product, taken: bool) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", unavailable(), after_effect=taken)
        product.work_until_idle()
        assert (product.event(event_id).status, product.event(event_id).attempts) == ("retrying", 1)
        assert (attempts(product), product.standing()) == ([None], [("open", "value_not_a_target")])

        product.advance(10)
        product.work_until_idle()
        assert product.event(event_id).status == "done"
        assert calls(product) == (["qualify", "user"] if taken else ["qualify", "user", "qualify"])
        assert is_qualified(product)
        assert (product.standing(), product.told()) == ([("qualified", None)], [("qualified", None)])
        assert set(attempts(product)) == {"done"}

    def test_may_not_come_when_asked_either(self, product: Product) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", unavailable(), after_effect=True)
        product.referral_factory.fail("user", unavailable())
        for _ in range(3):
            product.work_until_idle()
            product.advance(60)
        assert calls(product) == ["qualify", "user", "user"]
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])

    def test_in_the_end_leaves_a_dead_event_that_a_replay_brings_to_its_end(self, product: Product) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", unavailable(), after_effect=True)
        product.referral_factory.fail("user", unavailable(), times=3)
        for _ in range(4):
            product.work_until_idle()
            product.advance(300)
        event = product.event(event_id)
        assert (event.status, event.cause) == ("dead", "referral_factory_unavailable")
        assert product.told() == [("failed", "referral_factory_unavailable")]
        assert replay_events(product.services, "anna@example.com", status=None, source="intercom", topic=None) == 1
        product.work_until_idle()
        assert (calls(product).count("qualify"), product.standing()) == (1, [("qualified", None)])


class Crash(BaseException):
    """The process is gone: nothing of ours runs any more."""


class TestACrash:
    def run_into_it(self, product: Product) -> None:
        with pytest.raises(Crash):
            product.work("crashed")
        product.referral_factory._failures.clear()
        product.advance(LEASE.total_seconds() + 1)
        sweep(product.services)
        product.work_until_idle()

    @pytest.mark.parametrize("taken", [True, False])
    def test_around_the_call_qualifies_once(self, product: Product, taken: bool) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", Crash(), after_effect=taken)  # type: ignore[arg-type]
        self.run_into_it(product)
        assert calls(product) == (["qualify", "user"] if taken else ["qualify", "user", "qualify"])
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])
        assert product.told() == [("qualified", None)]

    def test_before_the_event_is_settled_asks_nobody_again(self, product: Product) -> None:
        event_id, _ = converted(product)
        batch = process_event.claim(product.services, "crashed", 50)
        process_event.process(product.services, batch.events[0], batch)
        product.advance(LEASE.total_seconds() + 1)
        sweep(product.services)
        product.work_until_idle()
        assert calls(product) == ["qualify"]
        assert (product.event(event_id).status, product.event(event_id).cause) == ("done", "already_qualified")
        assert product.told() == [("qualified", None)]


class TestTwoWorkers:
    def emails(self, product: Product) -> tuple[int, int, Contact]:
        """Two notifications of one lead under the keys of different people."""
        first, contact = converted(product)
        renamed = product.intercom.change(contact.id, email="frida@work.example")
        return first, product.notified(renamed, "contact.email.updated"), contact

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_with_one_lead_under_two_names_qualify_once(self, product: Product, order: tuple[int, int]) -> None:
        self.emails(product)
        batch = process_event.claim(product.services, "one", 50)
        assert len(batch.events) == 2
        for index in order:
            outcome = process_event.process(product.services, batch.events[index], batch)
            process_event.settle(product.services, "one", [outcome])
        product.advance(1)
        product.work_until_idle()
        assert calls(product) == ["qualify"]
        assert {product.event(event.id).status for event in batch.events} == {"done"}
        assert product.told() == [("qualified", None)]

    def test_at_the_same_time_do_not_both_look(self, product: Product) -> None:
        self.emails(product)
        one = process_event.claim(product.services, "one", 1)
        two = process_event.claim(product.services, "two", 1)
        first = process_event.process(product.services, one.events[0], one)
        second = process_event.process(product.services, two.events[0], two)
        assert (second.settling.status, second.settling.cause) == ("received", "waiting_in_queue")
        process_event.settle(product.services, "one", [first])
        process_event.settle(product.services, "two", [second])
        product.advance(1)
        product.work_until_idle()
        assert calls(product) == ["qualify"]

    @pytest.mark.parametrize("how", ["settled", "still at it", "crashed in its call"])
    def test_of_whom_one_sleeps_past_its_lease_qualify_once(self, product: Product, how: str) -> None:
        event_id, _ = converted(product)
        batch = process_event.claim(product.services, "sleeper", 50)

        def overslept() -> None:
            product.advance(LEASE.total_seconds() + 1)
            sweep(product.services)
            other = process_event.claim(product.services, "other", 50)
            if how == "crashed in its call":
                product.referral_factory.fail("qualify", Crash(), after_effect=True)  # type: ignore[arg-type]
                with pytest.raises(Crash):
                    process_event.process(product.services, other.events[0], other)
                return
            outcome = process_event.process(product.services, other.events[0], other)
            if how == "settled":
                process_event.settle(product.services, "other", [outcome])
            held.append(outcome)

        held: list[process_event.Outcome] = []
        product.intercom = interrupted(product, overslept)
        outcome = process_event.process(product.services, batch.events[0], batch)
        process_event.settle(product.services, "sleeper", [outcome])
        process_event.settle(product.services, "other", held)
        product.advance(LEASE.total_seconds() + 1)
        sweep(product.services)
        product.work_until_idle()
        assert calls(product).count("qualify") == 1
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])
        assert product.told() == [("qualified", None)]

    def test_of_whom_one_is_asked_by_hand_meanwhile_qualify_once(self, product: Product) -> None:
        event_id, _ = converted(product)
        qualify_by_hand(product.services, friend(product).id, qualified=True, asked_by="ada@example.com")
        product.work_until_idle()
        assert calls(product) == ["user", "qualify"]
        assert product.event(event_id).cause == "already_qualified"


def interrupted(product: Product, meanwhile: Any) -> Any:
    """Intercom, which lets something happen right after its next answer."""
    intercom, waiting = product.intercom, [meanwhile]
    contact = intercom.contact

    def slow(contact_id: str) -> Any:
        answer = contact(contact_id)
        while waiting:
            waiting.pop()()
        return answer

    intercom.contact = slow  # type: ignore[method-assign]
    return intercom


class TestWhatIsDone:
    def test_is_not_done_again_by_a_replay(self, product: Product) -> None:
        event_id, _ = converted(product)
        product.work_until_idle()
        replay_event(product.services, event_id, "anna@example.com")
        product.work_until_idle()
        assert calls(product) == ["qualify"]
        assert product.event(event_id).cause == "already_qualified"

    def test_is_kept_with_its_own_cause_though_the_echo_tells_of_it(self, product: Product) -> None:
        converted(product)
        product.work_until_idle()
        since = friend(product).qualification_since
        product.advance(5)
        product.receive("qualified", id=friend(product).referral_factory_id, type="person_invited")
        product.work_until_idle()
        assert product.standing() == [("qualified", None)]
        assert friend(product).qualification_since == since

    def test_in_referral_factory_already_asks_nobody(self, product: Product) -> None:
        contact = product.watched()
        product.receive("qualified", id=friend(product).referral_factory_id, type="person_invited")
        product.work_until_idle()
        assert product.standing() == [("qualified", "already_qualified")]
        product.referral_factory.calls.clear()
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.status, event.cause, calls(product)) == ("done", "already_qualified", [])

    def test_by_hand_the_other_way_stays(self, product: Product) -> None:
        contact = product.watched()
        qualify_by_hand(product.services, friend(product).id, qualified=False, asked_by="ada@example.com")
        product.receive("qualified", id=friend(product).referral_factory_id, type="person_invited")
        product.work_until_idle()
        product.referral_factory.calls.clear()
        product.tell(product.turns(contact, plan="pro"))
        assert (calls(product), product.standing()[0][0]) == ([], "disqualified")

    @pytest.mark.parametrize("company", ["Acme", "Other"])
    def test_is_not_undone_by_their_joining_once_more(self, product: Product, company: str) -> None:
        converted(product)
        product.work_until_idle()
        one = friend(product)
        product.receive_lead(id=one.referral_factory_id, code=one.code, email=one.email, Company=company, again="1")
        product.advance(-1)
        product.receive_lead(id=one.referral_factory_id, code=one.code, email=one.email, Company=company, again="2")
        product.advance(1)
        product.work_until_idle()
        assert product.told("send")[-1][1] == "superseded"
        assert product.standing() == [("qualified", None)]


def test_whoever_could_not_be_sent_is_known_all_the_same(product: Product) -> None:
    """A reconcile would send them again and again."""
    product.intercom.fail("search_email", Rejected(Vendor.INTERCOM, "no", status=400))
    product.refer()
    product.work_until_idle()
    (person,) = product.people()
    assert (person.qualification_state, person.qualification_cause) == ("open", "value_refused_by_intercom")
    assert (person.sent_received_at, person.joined_received_at) == (None, product.time)


def test_a_lead_keeps_being_watched_when_a_later_signup_is_skipped(product: Product) -> None:
    product.change(duplicates="update")
    product.intercom.put("friend@example.com", name="Frida", created_at=1, custom_attributes={"plan": "trial"})
    contact = product.watched()
    product.change(duplicates="skip")
    one = friend(product)
    product.receive_lead(id=one.referral_factory_id, code=one.code, email=one.email, Company="Other")
    product.work_until_idle()
    assert product.told("send")[-1] == ("skipped", "duplicate_skipped")
    product.tell(product.turns(contact, plan="pro"))
    assert product.standing() == [("qualified", None)]


def test_what_could_not_be_settled_is_known_all_the_same(product: Product) -> None:
    """The event dies of a bug in keeping it; the qualification stands."""
    event_id, _ = converted(product)
    batch = process_event.claim(product.services, "one", 1)
    outcome = process_event.process(product.services, batch.events[0], batch)
    outcome.activity.append({"no such column": 1})
    process_event.settle(product.services, "one", [outcome])
    assert (product.event(event_id).status, product.event(event_id).cause) == ("dead", "internal_error")
    assert product.standing() == [("qualified", None)]
    with product.database.reading() as connection:
        assert inbox.open_people(connection, {friend(product).person_key}) == frozenset()
