"""Which troubles are told when, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.core.alerts import Changes, State, Trouble, changes, message, wait_after
from app.core.causes import CATALOGUE, Cause

NOBODY: frozenset[str] = frozenset()
X = frozenset({"x"})
SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LOST = Trouble(
    "connection_lost:intercom:1",
    "the connection to Intercom “Acme” is lost",
    Cause.INTERCOM_UNAUTHORIZED,
    SINCE,
    "/workspaces/1",
)


@pytest.mark.parametrize(
    ("stands", "known", "untouched", "expected"),
    [
        (True, None, False, Changes(X, NOBODY, NOBODY, NOBODY)),
        (True, State.BEGUN, False, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
        (True, State.TOLD, False, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
        (True, State.OVER, False, Changes(NOBODY, NOBODY, NOBODY, X)),
        (True, State.OVER, True, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
        (False, None, False, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
        (False, State.BEGUN, False, Changes(NOBODY, X, NOBODY, NOBODY)),
        (False, State.BEGUN, True, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
        (False, State.TOLD, False, Changes(NOBODY, NOBODY, X, NOBODY)),
        (False, State.OVER, False, Changes(NOBODY, NOBODY, NOBODY, NOBODY)),
    ],
)
def test_a_trouble_is_told_once_and_its_end_once(
    stands: bool, known: State | None, untouched: bool, expected: Changes
) -> None:
    found = changes({"x"} if stands else (), {"x": known} if known else {}, {"x"} if untouched else ())
    assert found == expected
    assert bool(found) is (expected != Changes(NOBODY, NOBODY, NOBODY, NOBODY))


def test_attempts_come_further_and_further_apart() -> None:
    waits = [wait_after(attempt) for attempt in range(6)]
    assert waits == sorted(waits)
    assert waits[-1] == waits[-2] == timedelta(hours=1)


def test_a_message_says_what_it_is_what_to_do_and_where() -> None:
    told = message([LOST], [], "https://referloop.example.com")
    text = CATALOGUE[Cause.INTERCOM_UNAUTHORIZED]
    assert told.subject == "Referloop: The connection to Intercom “Acme” is lost"
    for said in ("since 2026-11-22 12:00 UTC", text.remedy, "https://referloop.example.com/workspaces/1"):
        assert said in told.text
    assert told.alerts == [
        {
            "key": "connection_lost:intercom:1",
            "kind": "connection_lost",
            "state": "begun",
            "what": LOST.what,
            "cause": "intercom_unauthorized",
            "since": "2026-11-22T12:00:00+00:00",
            "url": "https://referloop.example.com/workspaces/1",
        }
    ]


def test_several_are_one_message_and_an_end_is_said_to_be_one() -> None:
    assert message([LOST, LOST], [LOST], "").subject.endswith("is lost, and 2 more")
    over = message([], [LOST], "")
    assert over.subject == "Referloop: Over: the connection to Intercom “Acme” is lost"
    assert [one["state"] for one in over.alerts] == ["over"]


def test_a_cause_of_another_version_does_no_harm() -> None:
    unknown = Trouble("events_dead:x", "something", "not_known_here", None, "/events")
    assert CATALOGUE[Cause.INTERNAL_ERROR].remedy in message([unknown], [], "").text
