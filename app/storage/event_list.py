"""Events as people see them: listed, shown, counted, set aside, and removed when they are old."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update

from app.storage.inbox import OPEN, SETTLED, status_is
from app.storage.tables import count_marks, events


def page(
    connection: Connection,
    *,
    before: int | None,
    limit: int,
    status: str | None,
    source: str | None,
    topic: str | None,
    cause: str | None = None,
) -> Sequence[Row[Any]]:
    """Events without their payloads, newest first. A cause is looked for among those that were given up."""
    query = select(*(column for column in events.c if column.name != "payload")).order_by(events.c.id.desc())
    query = query.where(*_filter(status, source, topic, cause))
    if before is not None:
        query = query.where(events.c.id < before)
    return connection.execute(query.limit(limit)).all()


def get(connection: Connection, event_id: int) -> Row[Any] | None:
    return connection.execute(select(events).where(events.c.id == event_id)).first()


def named_or_open(
    connection: Connection, event_ids: Collection[int], person_key: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Those events, and the person's that are not settled; without their payloads, newest first."""
    columns = [column for column in events.c if column.name != "payload"]
    open_ones = (events.c.person_key == person_key) & status_is(events.c.status, *OPEN)
    query = select(*columns).where(events.c.id.in_(event_ids) | open_ones)
    return connection.execute(query.order_by(events.c.id.desc()).limit(limit)).all()


def settled_ids(
    connection: Connection,
    *,
    status: str,
    source: str | None,
    topic: str | None,
    after: int,
    limit: int,
    cause: str | None = None,
) -> list[int]:
    """Ids of settled events of a filter whose content was kept, oldest first, in steps of ``limit``."""
    query = _settled(status, source, topic, cause).where(events.c.id > after)
    return list(connection.execute(query.order_by(events.c.id).limit(limit)).scalars())


def _settled(status: str, source: str | None, topic: str | None, cause: str | None) -> Select[Any]:
    return select(events.c.id).where(*_filter(status, source, topic, cause), events.c.payload.is_not(None))


def _filter(
    status: str | None, source: str | None, topic: str | None, cause: str | None
) -> Iterator[ColumnElement[bool]]:
    """What nearly all events are is not looked for by an index: without statistics a planner takes any that fits,
    and would walk through all that is done for a topic that there is not."""
    if cause is not None:
        yield from (events.c.cause == cause, status_is(events.c.status, "dead"))
    if topic is not None:
        yield events.c.topic == topic
    if source is not None:
        yield (events.c.source if topic is None else events.c.source.concat("")) == source
    if status is not None:
        narrow = status != "done" or (topic is None and source is None)
        yield (events.c.status if narrow else events.c.status.concat("")) == status


def count_settled(
    connection: Connection,
    *,
    status: str,
    source: str | None,
    topic: str | None,
    cause: str | None,
    most: int,
) -> int:
    """How many of a filter's settled events have kept their content, counted no further than ``most``."""
    query = _settled(status, source, topic, cause).limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(query)).scalar_one())


def settled_among(connection: Connection, event_ids: Collection[int]) -> list[int]:
    """Those of them that are settled, and whose content was kept."""
    mine = events.c.id.in_(event_ids), events.c.status.in_(SETTLED), events.c.payload.is_not(None)
    return list(connection.execute(select(events.c.id).where(*mine).order_by(events.c.id)).scalars())


def dismiss(connection: Connection, event_id: int, now: datetime) -> bool:
    """Settle a dead event as done, keeping its cause; false where it is not dead."""
    return bool(
        connection.execute(
            update(events)
            .where(events.c.id == event_id, events.c.status == "dead")
            .values(status="done", settled_at=now)
        ).rowcount
    )


def counts_by_status(connection: Connection) -> dict[str, int]:
    """Events that are not done, by status: the tables' large part is done and is not counted."""
    unsettled = select(events.c.status, func.count()).where(status_is(events.c.status, *OPEN, "dead"))
    return {row[0]: row[1] for row in connection.execute(unsettled.group_by(events.c.status))}


def oldest_waiting(connection: Connection) -> datetime | None:
    """When the oldest event that is not settled was received."""
    return connection.execute(
        select(events.c.received_at).where(status_is(events.c.status, *OPEN)).order_by(events.c.id).limit(1)
    ).scalar()


def remove_strangers(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` events about nobody of ours, which were settled before a time and have been counted."""
    unknown = status_is(events.c.cause, "not_a_tracked_lead")
    counted = select(count_marks.c.position).where(count_marks.c.name == "events").scalar_subquery()
    old = (
        select(events.c.id)
        .where(unknown, status_is(events.c.status, "done"), events.c.settled_at < before)
        .where(events.c.id <= func.coalesce(counted, events.c.id))
        .limit(limit)
    )
    return connection.execute(delete(events).where(events.c.id.in_(old))).rowcount


def remove_settled(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` done events that were settled before a time; dead ones stay."""
    old = select(events.c.id).where(status_is(events.c.status, "done"), events.c.settled_at < before).limit(limit)
    return connection.execute(delete(events).where(events.c.id.in_(old))).rowcount
