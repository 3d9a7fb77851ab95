"""One person with all that was received about them and done for them, in one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import activity, inbox, people

MOST_MOMENTS = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """``kind`` is ``activity`` or ``event``, and ``row`` a row of that table."""

    kind: str
    at: datetime
    row: Row[Any]


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
    events = inbox.named_or_open(connection, named, person.person_key, MOST_MOMENTS)
    moments = [Moment("activity", row.at, row) for row in rows]
    moments += [Moment("event", row.received_at, row) for row in events]
    # Of one instant, what was done is later than what was received.
    return sorted(moments, key=lambda one: (one.at, one.kind == "activity", one.row.id), reverse=True)[:MOST_MOMENTS]
