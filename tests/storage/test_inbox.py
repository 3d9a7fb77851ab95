"""The inbox: kept once, leased to one, in order for each person, and never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from app.storage import event_list, inbox
from app.storage.database import Database
from app.storage.inbox import NewEvent, Settling

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
numbers = count()


def new(person: str | None = None, key: str | None = None, at: datetime = NOW) -> NewEvent:
    return NewEvent(
        key or f"key{next(numbers)}", "referral_factory", "joined", 1, 1, person, "application/json", b"{}", at
    )


def keep(database: Database, *events: NewEvent) -> list[int]:
    with database.writing() as connection:
        return [receipt.event_id for receipt in inbox.keep(connection, events)]


def claim(database: Database, owner: str = "one", limit: int = 10, now: datetime = NOW) -> list[int]:
    with database.writing() as connection:
        return [event.id for event in inbox.claim(connection, owner, now, limit, LEASE)]


def settle(database: Database, event_id: int, person: str | None, status: str = "done", owner: str = "one") -> None:
    settling = Settling(event_id, person, status, 0, next_attempt_at=NOW + timedelta(seconds=10))
    with database.writing() as connection:
        inbox.settle(connection, owner, [settling], NOW)


def test_a_duplicate_is_told_the_first_ones_id(database: Database) -> None:
    with database.writing() as connection:
        (first,) = inbox.keep(connection, [new(key="same")])
        again = inbox.keep(connection, [new(key="same"), new(key="other"), new(key="other")])
    assert first.duplicate is False
    assert [(one.event_id == first.event_id, one.duplicate) for one in again] == [
        (True, True),
        (False, False),
        (False, True),
    ]


def test_a_duplicate_of_a_dead_event_makes_it_due_again(database: Database) -> None:
    (event_id,) = keep(database, new(key="same"))
    claim(database)
    settle(database, event_id, None, "dead")
    assert keep(database, new(key="same")) == [event_id]
    assert claim(database) == [event_id]


def test_a_duplicate_of_a_done_event_does_nothing(database: Database) -> None:
    (event_id,) = keep(database, new(key="same"))
    claim(database)
    settle(database, event_id, None)
    keep(database, new(key="same"))
    assert claim(database) == []


def test_events_are_leased_in_the_order_received_and_only_once(database: Database) -> None:
    ids = keep(database, new(), new(), new())
    assert claim(database, limit=2) == ids[:2]
    assert claim(database, "two") == ids[2:]
    assert claim(database, "three") == []


def test_one_persons_events_go_one_at_a_time_and_in_order(database: Database) -> None:
    first, other, second = keep(database, new("anna"), new("bert"), new("anna"))
    assert claim(database) == [first, other]
    assert claim(database, "two") == []
    settle(database, first, "anna")
    assert claim(database, "two") == [second]


def test_one_that_is_retrying_holds_back_the_next_of_its_person_and_a_dead_one_does_not(database: Database) -> None:
    first, second = keep(database, new("anna"), new("anna"))
    claim(database)
    settle(database, first, "anna", "retrying")
    assert claim(database) == []
    assert claim(database, now=NOW + timedelta(seconds=11)) == [first]
    settle(database, first, "anna", "dead")
    assert claim(database) == [second]


def test_a_person_whose_lease_another_holds_is_passed_over(database: Database) -> None:
    keep(database, new("anna"))
    with database.writing() as connection:
        assert inbox.lease_people(connection, {"anna"}, "bulk", NOW, LEASE) == {"anna"}
    assert claim(database) == []
    with database.writing() as connection:
        inbox.release_people(connection, {"anna"}, "bulk")
    assert len(claim(database)) == 1


def test_what_a_dead_worker_left_is_due_again_once_its_lease_has_run_out(database: Database) -> None:
    (event_id,) = keep(database, new("anna"))
    claim(database)
    later = NOW + LEASE + timedelta(seconds=1)
    with database.writing() as connection:
        assert inbox.give_back_expired(connection, NOW, 7) == 0
        assert inbox.has_expired(connection, later)
        assert inbox.give_back_expired(connection, later, 7) == 1
    assert claim(database, "two", now=later) == [event_id]


def test_an_event_that_kills_every_worker_ends_dead(database: Database) -> None:
    (event_id,) = keep(database, new("anna"))
    now = NOW
    for _ in range(3):
        claim(database, now=now)
        now += LEASE + timedelta(seconds=1)
        with database.writing() as connection:
            inbox.give_back_expired(connection, now, 2)
    with database.reading() as connection:
        event = event_list.get(connection, event_id)
    assert event is not None
    assert (event.status, event.cause) == ("dead", "internal_error")


def test_who_holds_on_keeps_the_lease(database: Database) -> None:
    (event_id,) = keep(database, new("anna"))
    claim(database)
    later = NOW + LEASE + timedelta(seconds=1)
    with database.writing() as connection:
        inbox.extend(connection, "one", [event_id], later + LEASE)
        assert inbox.give_back_expired(connection, later, 7) == 0
        assert inbox.still_ours(connection, "one", [event_id]) == {event_id}
        assert inbox.still_ours(connection, "two", [event_id]) == frozenset()


def test_held_events_are_not_due_until_they_are_released(database: Database) -> None:
    (event_id,) = keep(database, new("anna"))
    claim(database)
    with database.writing() as connection:
        held = Settling(event_id, "anna", "received", 0, next_attempt_at=NOW, held_by="workspace:1")
        inbox.settle(connection, "one", [held], NOW)
    assert claim(database) == []
    with database.writing() as connection:
        assert inbox.release_held(connection, "workspace:1", NOW) == 1
    assert claim(database) == [event_id]


@pytest.mark.parametrize("status", ["dead", "done"])
def test_settled_events_are_replayed_from_their_first_attempt(database: Database, status: str) -> None:
    (event_id,) = keep(database, new("anna"))
    claim(database)
    with database.writing() as connection:
        assert inbox.replay(connection, [event_id], NOW) == 0, "one that is worked on is left alone"
    settle(database, event_id, "anna", status)
    with database.writing() as connection:
        assert inbox.replay(connection, [event_id], NOW) == 1
    assert claim(database) == [event_id]


def test_retention_removes_done_events_and_leaves_dead_ones(database: Database) -> None:
    done, dead = keep(database, new(), new())
    claim(database)
    settle(database, done, None)
    settle(database, dead, None, "dead")
    with database.writing() as connection:
        assert event_list.remove_settled(connection, NOW + timedelta(days=91), 100) == 1
        assert event_list.get(connection, done) is None
        assert event_list.get(connection, dead) is not None
