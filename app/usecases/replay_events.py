"""Settled events are worked on again: one, or all of a filter after an outage. Or a dead one is let be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn

from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import audit_log, event_list, inbox
from app.usecases.services import Services

STEP = 500
"""Events replayed in one transaction: others write in between."""


def replay_event(services: Services, event_id: int, actor: str) -> None:
    """Make a dead or done event due again.

    Raises: InvalidRequest 404; 409 while it is open, or where its content was not kept.
    """
    event = known_event(services, event_id)
    if event.payload is None:
        _conflict("The content of this event was not kept, for it concerned none of your people.")
    with services.database.writing() as connection:
        replayed = inbox.replay(connection, [event_id], services.now())
        if replayed:
            _record(services, connection, actor, Change.EVENT_REPLAYED, event)
    if not replayed:
        _conflict(f"This event is {event.status}: it will be worked on without a replay.")
    services.bell.ring()


def replay_events(
    services: Services,
    actor: str,
    *,
    status: str | None,
    source: str | None,
    topic: str | None,
    cause: str | None = None,
) -> int:
    """Make all dead (or, where ``status`` says so, done) events of a filter due again; how many. ``cause`` is one of
    dead ones.

    Raises: InvalidRequest 409 for a status that is not settled.
    """
    wanted = status or "dead"
    if wanted not in inbox.SETTLED:
        _conflict(f"Events that are {wanted} are worked on without a replay. Only dead and done ones are replayed.")
    replayed, after = 0, 0
    while True:
        with services.database.writing() as connection:
            ids = event_list.settled_ids(
                connection, status=wanted, source=source, topic=topic, cause=cause, after=after, limit=STEP
            )
            if ids and not after:
                asked = {"status": wanted, "source": source, "topic": topic, **({"cause": cause} if cause else {})}
                audit_log.record(connection, services.now(), actor, Change.EVENTS_REPLAYED, "events", after=asked)
            replayed += inbox.replay(connection, ids, services.now()) if ids else 0
        services.bell.ring()
        if len(ids) < STEP:
            return replayed
        after = ids[-1]


MOST_CHOSEN = 200


def replay_chosen(services: Services, event_ids: Collection[int], actor: str) -> int:
    """Make those of some events due again that are settled and whose content was kept; how many.

    Raises: InvalidRequest 422 for more than 200 of them.
    """
    if len(event_ids) > MOST_CHOSEN:
        raise InvalidRequest(f"At most {MOST_CHOSEN} events are replayed one by one.")
    with services.database.writing() as connection:
        ids = event_list.settled_among(connection, event_ids)
        if ids:
            chosen = {"events": ids}
            audit_log.record(connection, services.now(), actor, Change.EVENTS_REPLAYED, "events", after=chosen)
        replayed = inbox.replay(connection, ids, services.now()) if ids else 0
    services.bell.ring()
    return replayed


def dismiss_event(services: Services, event_id: int, actor: str) -> None:
    """Settle a dead event; its cause stays.

    Raises: InvalidRequest 404; 409 where it is not dead.
    """
    event = known_event(services, event_id)
    with services.database.writing() as connection:
        dismissed = event_list.dismiss(connection, event_id, services.now())
        if dismissed:
            _record(services, connection, actor, Change.EVENT_DISMISSED, event)
    if not dismissed:
        _conflict(f"This event is {event.status}. Only a dead one can be dismissed.")


def _record(services: Services, connection: Connection, actor: str, kind: Change, event: Row[Any]) -> None:
    before = {"status": event.status, "cause": event.cause}
    subject = f"event:{event.id}"
    audit_log.record(connection, services.now(), actor, kind, subject, name=event.topic, before=before)


def known_event(services: Services, event_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        event = event_list.get(connection, event_id)
    if event is None:
        raise InvalidRequest("There is no such event.", status=404, cause=Cause.NOT_FOUND)
    return event


def _conflict(detail: str) -> NoReturn:
    raise InvalidRequest(detail, status=409)
