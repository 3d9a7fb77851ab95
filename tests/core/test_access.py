"""Who may do what, told by tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.core.access import (
    IDLE,
    LASTS,
    Asks,
    Rights,
    Role,
    actor_named,
    difference,
    fault_of_password,
    may_call,
    parts_of_actor,
    session_is_over,
)

OWNER, MANAGER, LOOKER = Rights(Role.OWNER), Rights(Role.TEAMMATE, manage=True), Rights(Role.TEAMMATE)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rights", "method", "asks", "allowed"),
    [
        (OWNER, "POST", Asks.RIGHT_TO_MANAGE, True),
        (OWNER, "DELETE", Asks.OWNER, True),
        (MANAGER, "POST", Asks.RIGHT_TO_MANAGE, True),
        (MANAGER, "POST", Asks.OWNER, False),
        (LOOKER, "GET", Asks.OWNER, True),
        (LOOKER, "HEAD", Asks.RIGHT_TO_MANAGE, True),
        (LOOKER, "POST", Asks.RIGHT_TO_MANAGE, False),
        (LOOKER, "PUT", Asks.RIGHT_TO_MANAGE, False),
        (LOOKER, "PROPFIND", Asks.RIGHT_TO_MANAGE, False),
        (LOOKER, "POST", Asks.NOTHING_MORE, True),
        (LOOKER, "POST", Asks.OWNER, False),
    ],
)
def test_what_changes_something_asks_for_a_right(rights: Rights, method: str, asks: Asks, allowed: bool) -> None:
    assert may_call(rights, method, asks) is allowed


@pytest.mark.parametrize(
    ("password", "fits"),
    [
        ("a few words in a row", True),
        ("elevenchars", False),
        ("twelve chars", True),
        ("x" * 40, False),
        ("abcabcabcabcabc", False),
        ("anna@example.com", False),
        (" ANNA@example.com", False),
        ("ab cd ef " * 200, False),
    ],
)
def test_passwords_that_can_be_chosen(password: str, fits: bool) -> None:
    assert (fault_of_password(password, "anna@example.com") is None) is fits


@pytest.mark.parametrize(
    ("age", "unused", "over"),
    [
        (timedelta(0), timedelta(0), False),
        (LASTS - timedelta(seconds=1), timedelta(0), False),
        (LASTS, timedelta(0), True),
        (timedelta(days=1), IDLE - timedelta(seconds=1), False),
        (timedelta(days=1), IDLE, True),
    ],
)
def test_sessions_end_by_themselves(age: timedelta, unused: timedelta, over: bool) -> None:
    assert session_is_over(NOW - age, NOW - unused, NOW) is over


@pytest.mark.parametrize("token", [None, "Weekly report", "one through another"])
def test_an_actor_is_a_person_and_perhaps_a_token(token: str | None) -> None:
    assert parts_of_actor(actor_named("anna@example.com", token)) == ("anna@example.com", token)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ({"b": 2}, {"b": 3})),
        ({}, {"a": 1}, ({}, {"a": 1})),
        ({"a": 1}, {}, ({"a": 1}, {})),
        ({"a": 1}, {"a": 1}, ({}, {})),
    ],
)
def test_only_what_differs_is_told(before: dict[str, int], after: dict[str, int], told: object) -> None:
    assert difference(before, after) == told
