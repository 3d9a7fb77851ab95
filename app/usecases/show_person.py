"""One person with all that was received about them and done for them, in one list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.core.identity import contact_key, referral_factory_key
from app.storage import activity, audit_log, event_list, evidence, observations, people, qualifications, sync_outcomes

MOST_MOMENTS = 200

DEEDS_A_PAGE = 50
"""Rows of activity, by which a timeline is paged: of everything else there is little."""

MOST_OF_A_KIND = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """``kind`` is ``activity`` or ``event``, and ``row`` a row of that table. A page of a timeline has more of them:
    ``known`` (the person's own row), ``watched`` and ``seen`` (the trigger attribute), ``called`` (Referral Factory
    was told), ``run`` (a sync's or a backfill's outcome), ``by_hand`` (the audit log)."""

    kind: str
    at: datetime
    row: Row[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a timeline ends: before that row of activity, and before that time."""

    activity_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Newest first. ``older`` is where the next page begins; ``None`` where there is none."""

    moments: Sequence[Moment]
    older: Place | None


def known_person(connection: Connection, person_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    person = people.get(connection, person_id)
    if person is None:
        raise InvalidRequest("There is no such person.", status=404, cause=Cause.NOT_FOUND)
    return person


def timeline_of(connection: Connection, person: Row[Any]) -> Sequence[Moment]:
    """Newest first, at most 200: activity, the events that it came of, and those that are not settled yet."""
    rows = activity.of_person(connection, person.campaign_id, person.email, person.referral_factory_id, MOST_MOMENTS)
    named = {row.event_id for row in rows if row.event_id is not None}
    events = event_list.named_or_open(connection, named, person.person_key, MOST_MOMENTS)
    moments = [Moment("activity", row.at, row) for row in rows]
    moments += [Moment("event", row.received_at, row) for row in events]
    return _in_order(moments)[:MOST_MOMENTS]


# Page by page, with all kinds of moments


def timeline_page(connection: Connection, person: Row[Any], before: Place | None) -> TimelinePage:
    """Fifty rows of activity with the events that they came of, and what else happened in their time."""
    rows = activity.of_person(
        connection,
        person.campaign_id,
        person.email,
        person.referral_factory_id,
        DEEDS_A_PAGE + 1,
        before=before.activity_id if before else None,
    )
    deeds, has_more = rows[:DEEDS_A_PAGE], len(rows) > DEEDS_A_PAGE
    older = Place(deeds[-1].id, deeds[-1].at) if has_more else None
    named = {row.event_id for row in deeds if row.event_id is not None}
    received = [
        row
        for row in _events(connection, person, named)
        if row.id in named or _is_within(row.received_at, before, older)
    ]
    moments = [Moment("activity", row.at, row) for row in deeds]
    moments += [Moment("event", row.received_at, row) for row in received]
    for kind in (_own_row, _watches, _sights, _calls, _runs):
        moments += [one for one in kind(connection, person) if _is_within(one.at, before, older)]
    moments += _by_hand(connection, [row.id for row in received])
    return TimelinePage(_in_order(moments), older)


def open_events(connection: Connection, person: Row[Any]) -> Sequence[Row[Any]]:
    """What of the person's is not settled, or was given up, newest first."""
    return _events(connection, person, set())


def _is_within(at: datetime, before: Place | None, older: Place | None) -> bool:
    return (before is None or at < before.at) and (older is None or at >= older.at)


def _in_order(moments: Sequence[Moment]) -> list[Moment]:
    """Of one instant, what was done is later than what was received, and what was seen is between."""
    return sorted(moments, key=_rank, reverse=True)


_IN_AN_INSTANT = ("known", "event", "watched", "seen", "called", "run", "activity", "by_hand")


def _rank(one: Moment) -> tuple[datetime, int, int]:
    return one.at, _IN_AN_INSTANT.index(one.kind), one.row._mapping.get("id", 0)


def _keys(person: Row[Any]) -> list[str]:
    """Under which the person's events are kept: as whoever sent them has named the person."""
    keys = [person.person_key] if person.person_key else []
    if person.contact_id:
        keys.append(contact_key(person.workspace_id, person.contact_id))
    names = (person.referral_factory_id, person.code)
    return keys + [referral_factory_key(person.campaign_id, name) for name in names if name]


def _events(connection: Connection, person: Row[Any], named: set[int]) -> Sequence[Row[Any]]:
    rows = evidence.events_of_person(connection, _keys(person), named, MOST_MOMENTS)
    # A person can be in several campaigns under one key.
    return [row for row in rows if row.id in named or row.campaign_id in (None, person.campaign_id)]


def _own_row(_connection: Connection, person: Row[Any]) -> Iterator[Moment]:
    yield Moment("known", person.joined_received_at or person.created_at, person)


def _watches(connection: Connection, person: Row[Any]) -> Iterator[Moment]:
    for row in observations.watches_of(connection, person.id):
        yield Moment("watched", row.begun_at, row)


def _sights(connection: Connection, person: Row[Any]) -> Iterator[Moment]:
    for row in observations.rows_of(connection, person.id, MOST_OF_A_KIND):
        yield Moment("seen", _of_unix(row.first_at) or person.created_at, row)


def _of_unix(seconds: int) -> datetime | None:
    """``None`` for what no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _calls(connection: Connection, person: Row[Any]) -> Iterator[Moment]:
    for row in qualifications.of_person(connection, person.id, MOST_OF_A_KIND):
        yield Moment("called", row.attempted_at, row)


def _runs(connection: Connection, person: Row[Any]) -> Iterator[Moment]:
    for row in sync_outcomes.of_person(connection, person.id, MOST_OF_A_KIND):
        yield Moment("run", row.at, row)


def _by_hand(connection: Connection, event_ids: Sequence[int]) -> Iterator[Moment]:
    if event_ids:
        kinds, subjects = (Change.EVENT_REPLAYED, Change.EVENT_DISMISSED), [f"event:{one}" for one in event_ids]
        for row in audit_log.about(connection, kinds, subjects):
            yield Moment("by_hand", row.at, row)
