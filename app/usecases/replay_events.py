"""Settled events are worked on again: one, or all of a filter after an outage. Or a dead one is let be."""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy import Row

from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import inbox
from app.usecases.services import Services

STEP = 500
"""Events replayed in one transaction: others write in between."""


def replay_event(services: Services, event_id: int) -> None:
    """Make a dead or done event due again.

    Raises: InvalidRequest 404; 409 while it is open, or where its content was not kept.
    """
    event = known_event(services, event_id)
    if event.payload is None:
        _conflict("The content of this event was not kept, for it concerned none of your people.")
    with services.database.writing() as connection:
        replayed = inbox.replay(connection, [event_id], services.now())
    if not replayed:
        _conflict(f"This event is {event.status}: it will be worked on without a replay.")
    services.bell.ring()


def replay_events(services: Services, *, status: str | None, source: str | None, topic: str | None) -> int:
    """Make all dead (or, where ``status`` says so, done) events of a filter due again; how many.

    Raises: InvalidRequest 409 for a status that is not settled.
    """
    wanted = status or "dead"
    if wanted not in inbox.SETTLED:
        _conflict(f"Events that are {wanted} are worked on without a replay. Only dead and done ones are replayed.")
    replayed, after = 0, 0
    while True:
        with services.database.writing() as connection:
            ids = inbox.settled_ids(connection, status=wanted, source=source, topic=topic, after=after, limit=STEP)
            replayed += inbox.replay(connection, ids, services.now()) if ids else 0
        services.bell.ring()
        if len(ids) < STEP:
            return replayed
        after = ids[-1]


def dismiss_event(services: Services, event_id: int) -> None:
    """Settle a dead event; its cause stays.

    Raises: InvalidRequest 404; 409 where it is not dead.
    """
    event = known_event(services, event_id)
    with services.database.writing() as connection:
        dismissed = inbox.dismiss(connection, event_id, services.now())
    if not dismissed:
        _conflict(f"This event is {event.status}. Only a dead one can be dismissed.")


def known_event(services: Services, event_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        event = inbox.get(connection, event_id)
    if event is None:
        raise InvalidRequest("There is no such event.", status=404, cause=Cause.NOT_FOUND)
    return event


def _conflict(detail: str) -> NoReturn:
    raise InvalidRequest(detail, status=409)
