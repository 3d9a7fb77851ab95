"""The inbox: every verified webhook, from its receipt to its settling, and who is working on it.

An event is ``received``, ``processing`` (leased by a worker), ``retrying``, and in the end ``done`` or ``dead``.
A held event waits for a vendor or a connection as a whole (``held_by``) and is due again when that is released.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)

from app.storage.database import insert
from app.storage.tables import events, person_leases

OPEN = ("received", "retrying", "processing")
WAITING = ("received", "retrying")
SETTLED = ("done", "dead")


def _is(column: ColumnElement[str], *statuses: str) -> ColumnElement[bool]:
    """The condition spelt as in the partial indexes: neither planner sees through a bound value."""
    if len(statuses) == 1:
        return column == literal_column(f"'{statuses[0]}'")
    return column.in_([literal_column(f"'{status}'") for status in statuses])


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return _is(events.c.status, *WAITING), events.c.held_by.is_(None), events.c.next_attempt_at <= now


def _claimable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due, the oldest open event of its person, and nobody is at work on that person."""
    earlier = events.alias("earlier")
    held_back = exists().where(
        earlier.c.person_key == events.c.person_key,
        earlier.c.id < events.c.id,
        _is(earlier.c.status, *OPEN),
    )
    leased = exists().where(person_leases.c.person_key == events.c.person_key, person_leases.c.until >= now)
    return *_due(now), ~held_back, ~leased


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A verified webhook that is to be kept. ``person_key`` orders events of one person."""

    dedupe_key: str
    source: str
    topic: str
    workspace_id: int
    campaign_id: int | None
    person_key: str | None
    content_type: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    event_id: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A claimed event; ``attempts`` are those that came before, ``cause`` is what it waited for, if anything."""

    id: int
    source: str
    topic: str
    workspace_id: int
    campaign_id: int | None
    person_key: str | None
    content_type: str
    payload: bytes | None
    attempts: int
    received_at: datetime
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Settling:
    """What becomes of a claimed event. ``retrying`` and ``received`` give it back, due at ``next_attempt_at``
    or, with ``held_by``, when that is released."""

    event_id: int
    person_key: str | None
    status: str
    attempts: int
    cause: str | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None
    held_by: str | None = None
    drop_payload: bool = False


def keep(connection: Connection, received: Sequence[NewEvent]) -> list[Receipt]:
    """Keep each event once, in the order given. A duplicate of a dead event makes that one due again."""
    rows = [{**_columns(event), "status": "received", "attempts": 0} for event in received]
    statement = insert(connection, events).on_conflict_do_nothing(index_elements=["dedupe_key"])
    made = connection.execute(statement.returning(events.c.id, events.c.dedupe_key), rows)
    fresh = {key: event_id for event_id, key in made}
    known = _known(connection, [e.dedupe_key for e in received if e.dedupe_key not in fresh], received[0].received_at)
    receipts = []
    for event in received:
        event_id = fresh.pop(event.dedupe_key, None)
        if event_id is not None:
            known[event.dedupe_key] = event_id
        receipts.append(Receipt(known[event.dedupe_key], duplicate=event_id is None))
    return receipts


def _columns(event: NewEvent) -> dict[str, Any]:
    names = ("dedupe_key", "source", "topic", "workspace_id", "campaign_id", "person_key", "content_type", "payload")
    columns = {name: getattr(event, name) for name in names}
    return {**columns, "received_at": event.received_at, "next_attempt_at": event.received_at}


def _known(connection: Connection, keys: Sequence[str], now: datetime) -> dict[str, int]:
    if not keys:
        return {}
    found = connection.execute(
        select(events.c.id, events.c.dedupe_key, events.c.status).where(events.c.dedupe_key.in_(keys))
    ).all()
    dead = [row.id for row in found if row.status == "dead"]
    if dead:
        replay(connection, dead, now)
    return {row.dedupe_key: row.id for row in found}


def claim(connection: Connection, owner: str, now: datetime, limit: int, lease: timedelta) -> list[Event]:
    """Lease up to ``limit`` due events to ``owner``, each the oldest open one of its person.

    Two claims at once can't take the same event (``SKIP LOCKED``; SQLite has one writer), nor two events of one
    person: the person's lease is a row with a unique key, and who comes second goes without.
    """
    candidates = connection.execute(
        select(*(events.c[name] for name in Event.__slots__))
        .where(*_claimable(now))
        .order_by(events.c.next_attempt_at, events.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=events)
    ).all()
    ours = lease_people(connection, {row.person_key for row in candidates if row.person_key}, owner, now, lease)
    claimed = [Event(*row) for row in candidates if row.person_key is None or row.person_key in ours]
    if claimed:
        connection.execute(
            update(events)
            .where(events.c.id.in_([event.id for event in claimed]))
            .values(status="processing", lease_owner=owner, lease_until=now + lease)
        )
    return claimed


def lease_people(
    connection: Connection, keys: set[str], owner: str, now: datetime, lease: timedelta
) -> frozenset[str]:
    """Take the leases of those people that nobody else holds; the keys that are ours now.

    Keys are taken in sorted order, so that two that take many can't wait for each other.
    """
    if not keys:
        return frozenset()
    statement = insert(connection, person_leases)
    statement = statement.on_conflict_do_update(
        index_elements=["person_key"],
        set_={"owner": statement.excluded.owner, "until": statement.excluded.until},
        where=person_leases.c.until < now,
    )
    rows = [{"person_key": key, "owner": owner, "until": now + lease} for key in sorted(keys)]
    return frozenset(connection.execute(statement.returning(person_leases.c.person_key), rows).scalars())


def hold_people(connection: Connection, keys: set[str]) -> frozenset[str]:
    """Keep people's leases as they are until the transaction ends; those that somebody has at all."""
    held = select(person_leases.c.person_key).where(person_leases.c.person_key.in_(sorted(keys)))
    rows = connection.execute(held.order_by(person_leases.c.person_key).with_for_update())
    return frozenset(rows.scalars())


def release_people(connection: Connection, keys: set[str], owner: str) -> None:
    if keys:
        connection.execute(
            delete(person_leases).where(person_leases.c.person_key.in_(sorted(keys)), person_leases.c.owner == owner)
        )


def give_back(connection: Connection, owner: str, claimed: Sequence[Event]) -> None:
    """Make due again what was claimed and not begun. It spends no attempt."""
    connection.execute(
        update(events)
        .where(
            events.c.id.in_([event.id for event in claimed]),
            events.c.lease_owner == owner,
            _is(events.c.status, "processing"),
        )
        .values(
            status=case((events.c.attempts > 0, "retrying"), else_="received"), lease_owner=None, lease_until=None
        )
    )
    release_people(connection, {event.person_key for event in claimed if event.person_key}, owner)


def extend(connection: Connection, owner: str, event_ids: Sequence[int], until: datetime) -> None:
    """Hold on to what is still being worked on, and to all people that ``owner`` has leased for it."""
    connection.execute(
        update(events)
        .where(events.c.id.in_(event_ids), events.c.lease_owner == owner, _is(events.c.status, "processing"))
        .values(lease_until=until)
    )
    connection.execute(update(person_leases).where(person_leases.c.owner == owner).values(until=until))


def still_ours(connection: Connection, owner: str, event_ids: Sequence[int]) -> frozenset[int]:
    """Those whose lease nobody took over meanwhile; locked until the transaction ends."""
    return frozenset(
        connection.execute(
            select(events.c.id)
            .where(events.c.id.in_(event_ids), events.c.lease_owner == owner, _is(events.c.status, "processing"))
            .with_for_update()
        ).scalars()
    )


_settle = (
    update(events)
    .where(events.c.id == bindparam("event"))
    .values(
        status=bindparam("status"),
        cause=bindparam("cause"),
        error=bindparam("error"),
        attempts=bindparam("attempts"),
        next_attempt_at=bindparam("next_attempt_at"),
        held_by=bindparam("held_by"),
        settled_at=bindparam("settled_at"),
        lease_owner=None,
        lease_until=None,
    )
)


def settle(connection: Connection, owner: str, settlings: Sequence[Settling], now: datetime) -> None:
    """Write what became of claimed events and let their people go."""
    if not settlings:
        return
    connection.execute(
        _settle,
        [
            {
                "event": settling.event_id,
                "status": settling.status,
                "cause": settling.cause,
                "error": settling.error,
                "attempts": settling.attempts,
                "next_attempt_at": settling.next_attempt_at,
                "held_by": settling.held_by,
                "settled_at": now if settling.status in SETTLED else None,
            }
            for settling in settlings
        ],
    )
    dropped = [settling.event_id for settling in settlings if settling.drop_payload]
    if dropped:
        connection.execute(update(events).where(events.c.id.in_(dropped)).values(payload=None))
    release_people(connection, {s.person_key for s in settlings if s.person_key}, owner)


def has_expired(connection: Connection, now: datetime) -> bool:
    """Whether a worker left something behind, of an event or of a person."""
    late = select(events.c.id).where(_is(events.c.status, "processing"), events.c.lease_until < now)
    if connection.execute(late.limit(1)).first() is not None:
        return True
    held = select(person_leases.c.person_key).where(person_leases.c.until < now)
    return connection.execute(held.limit(1)).first() is not None


def give_back_expired(connection: Connection, now: datetime, most_attempts: int) -> int:
    """Make due what a worker left behind when it died; how many.

    Dying counts as an attempt: an event that kills every worker which touches it ends as dead.
    """
    spent = events.c.attempts >= most_attempts
    returned = connection.execute(
        update(events)
        .where(_is(events.c.status, "processing"), events.c.lease_until < now)
        .values(
            status=case((spent, "dead"), else_="retrying"),
            cause=case((spent, "internal_error"), else_=None),
            settled_at=case((spent, literal(now, events.c.settled_at.type)), else_=None),
            attempts=events.c.attempts + 1,
            next_attempt_at=now,
            lease_owner=None,
            lease_until=None,
        )
    )
    connection.execute(delete(person_leases).where(person_leases.c.until < now))
    return returned.rowcount


def release_held(connection: Connection, held_by: str, now: datetime) -> int:
    """Make due what waited for ``held_by``; how many."""
    return connection.execute(
        update(events).where(events.c.held_by == held_by).values(held_by=None, cause=None, next_attempt_at=now)
    ).rowcount


def release_few(connection: Connection, held_by: str, limit: int, now: datetime) -> int:
    """Make the oldest due of those that wait for ``held_by``; how many."""
    few = select(events.c.id).where(events.c.held_by == held_by).order_by(events.c.id).limit(limit)
    return connection.execute(
        update(events).where(events.c.id.in_(few)).values(held_by=None, next_attempt_at=now)
    ).rowcount


def is_any_due(connection: Connection, now: datetime) -> bool:
    """Whether a claim would find anything: what must wait its turn is no reason to ring."""
    return connection.execute(select(events.c.id).where(*_claimable(now)).limit(1)).first() is not None


def oldest_waiting(connection: Connection) -> datetime | None:
    """When the oldest event that is not settled was received."""
    return connection.execute(
        select(events.c.received_at).where(_is(events.c.status, *OPEN)).order_by(events.c.id).limit(1)
    ).scalar()


def counts_by_status(connection: Connection) -> dict[str, int]:
    """Events that are not done, by status: the tables' large part is done and is not counted."""
    unsettled = select(events.c.status, func.count()).where(_is(events.c.status, *OPEN, "dead"))
    return {row[0]: row[1] for row in connection.execute(unsettled.group_by(events.c.status))}


def page(
    connection: Connection,
    *,
    before: int | None,
    limit: int,
    status: str | None,
    source: str | None,
    topic: str | None,
) -> Sequence[Row[Any]]:
    """Events without their payloads, newest first."""
    query = select(*(column for column in events.c if column.name != "payload")).order_by(events.c.id.desc())
    for name, value in (("status", status), ("source", source), ("topic", topic)):
        if value is not None:
            query = query.where(events.c[name] == value)
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
    open_ones = (events.c.person_key == person_key) & _is(events.c.status, *OPEN)
    query = select(*columns).where(events.c.id.in_(event_ids) | open_ones)
    return connection.execute(query.order_by(events.c.id.desc()).limit(limit)).all()


def replay(connection: Connection, event_ids: Sequence[int], now: datetime) -> int:
    """Make settled events due again, from their first attempt; how many of them were settled."""
    return connection.execute(
        update(events)
        .where(events.c.id.in_(event_ids), events.c.status.in_(SETTLED))
        .values(status="received", cause=None, error=None, attempts=0, settled_at=None, next_attempt_at=now)
    ).rowcount


def settled_ids(
    connection: Connection, *, status: str, source: str | None, topic: str | None, after: int, limit: int
) -> list[int]:
    """Ids of settled events of a filter whose content was kept, oldest first, in steps of ``limit``."""
    query = select(events.c.id).where(events.c.status == status, events.c.id > after, events.c.payload.is_not(None))
    for name, value in (("source", source), ("topic", topic)):
        if value is not None:
            query = query.where(events.c[name] == value)
    return list(connection.execute(query.order_by(events.c.id).limit(limit)).scalars())


def dismiss(connection: Connection, event_id: int, now: datetime) -> bool:
    """Settle a dead event as done, keeping its cause; false where it is not dead."""
    return bool(
        connection.execute(
            update(events)
            .where(events.c.id == event_id, events.c.status == "dead")
            .values(status="done", settled_at=now)
        ).rowcount
    )


def remove_settled(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` done events that were settled before a time; dead ones stay."""
    old = select(events.c.id).where(_is(events.c.status, "done"), events.c.settled_at < before).limit(limit)
    return connection.execute(delete(events).where(events.c.id.in_(old))).rowcount
