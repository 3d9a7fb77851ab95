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
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)

from app.storage import erasures
from app.storage.database import insert
from app.storage.doors import Door
from app.storage.many import UpdateMany, among, put
from app.storage.tables import events, person_leases

WEBHOOK, FOLLOW_UP, RECONCILE = "webhook", "follow_up", "reconcile"
WRITE_BACK, BACKFILL = "write_back", "backfill"
"""Origins: what a vendor told us; what follows from an event; what a reconcile found that nobody had told; what we
owe a referrer's contact; who joined before the settings were made, and is sent now. All go the same way, with the
same leases, order, retries and circuits."""

LEASE = timedelta(seconds=60)
"""How long an event, or a person, is somebody's who shows no sign of life."""

OPEN = ("received", "retrying", "processing")
WAITING = ("received", "retrying")
SETTLED = ("done", "dead")


def status_is(column: ColumnElement[str], *statuses: str) -> ColumnElement[bool]:
    """The condition spelt as in the partial indexes: neither planner sees through a bound value."""
    if len(statuses) == 1:
        return column == literal_column(f"'{statuses[0]}'")
    return column.in_([literal_column(f"'{status}'") for status in statuses])


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return status_is(events.c.status, *WAITING), events.c.held_by.is_(None), events.c.next_attempt_at <= now


def _claimable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due, the oldest open event of its person, and nobody is at work on that person."""
    earlier = events.alias("earlier")
    held_back = select(earlier.c.id).where(
        earlier.c.person_key == events.c.person_key,
        earlier.c.id < events.c.id,
        status_is(earlier.c.status, *OPEN),
    )
    leased = select(person_leases.c.person_key).where(
        person_leases.c.person_key == events.c.person_key, person_leases.c.until >= now
    )
    # With an offset PostgreSQL asks for each event by the index. Without, it may join all that is open to all that is
    # open, for statistics of a moment ago know nothing of a rush.
    return *_due(now), ~held_back.offset(0).exists(), ~leased.offset(0).exists()


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
    origin: str = WEBHOOK
    sync_id: int | None = None
    # By which it is known again should it be removed, and delivered once more. None while nobody was ever erased.
    erased_as: str | None = None
    # By which it came in, as that stood when a secret opened it; None for what no door was opened for.
    came_by: Door | None = None


_KEPT = tuple(name for name in NewEvent.__slots__ if name not in ("erased_as", "came_by"))


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
    origin: str = WEBHOOK
    sync_id: int | None = None


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
    # What is to stand in the payload's place, and of which content type, where it named somebody who was erased.
    redacted: tuple[bytes | None, str] | None = None


def keep(connection: Connection, received: Sequence[NewEvent]) -> list[Receipt]:
    """Keep each event once, in the order given. A duplicate of a dead event makes that one due again, one of an event
    that was removed with whom it was about does nothing."""
    rows = [{**_columns(event), "status": "received", "attempts": 0} for event in received]
    statement = insert(connection, events).on_conflict_do_nothing(index_elements=["dedupe_key"])
    made = connection.execute(statement.returning(events.c.id, events.c.dedupe_key), rows)
    fresh = {key: event_id for event_id, key in made}
    removed = _removed(connection, received, fresh)
    older = [one.dedupe_key for one in received if one.dedupe_key not in fresh and one.dedupe_key not in removed]
    known = removed | _known(connection, older, received[0].received_at)
    receipts = []
    for event in received:
        event_id = fresh.pop(event.dedupe_key, None)
        if event_id is not None:
            known[event.dedupe_key] = event_id
        receipts.append(Receipt(known[event.dedupe_key], duplicate=event_id is None))
    return receipts


def _removed(connection: Connection, received: Sequence[NewEvent], fresh: dict[str, int]) -> dict[str, int]:
    """Former ids of those that were removed, by key; they are taken out of ``fresh``. Asked after they were kept, so
    that what is erased at the same moment is seen."""
    former = erasures.events_among(connection, {event.erased_as for event in received if event.erased_as})
    found = {event.dedupe_key: former[event.erased_as] for event in received if event.erased_as in former}
    back = [fresh.pop(key) for key in found if key in fresh]
    if back:
        connection.execute(delete(events).where(events.c.id.in_(back)))
    return found


def _columns(event: NewEvent) -> dict[str, Any]:
    columns = {name: getattr(event, name) for name in _KEPT}
    return {**columns, "next_attempt_at": event.received_at}


def add(connection: Connection, found: Sequence[NewEvent], due_at: datetime) -> int:
    """Add work of our own, each once by its key; how many were new. One that is there already, settled or not, stays
    as it is."""
    if not found:
        return 0
    rows = [{**_columns(event), "status": "received", "attempts": 0, "next_attempt_at": due_at} for event in found]
    statement = insert(connection, events).on_conflict_do_nothing(index_elements=["dedupe_key"])
    return len(connection.execute(statement.returning(events.c.id), rows).all())


def known_keys(connection: Connection, keys: Collection[str]) -> frozenset[str]:
    """Those of which there is an event, settled or not."""
    if not keys:
        return frozenset()
    return frozenset(
        connection.execute(select(events.c.dedupe_key).where(among(events.c.dedupe_key, keys))).scalars()
    )


def count_open_of(connection: Connection, sync_id: int) -> int:
    """How many events of a backfill are not settled."""
    mine = events.c.sync_id == sync_id, status_is(events.c.status, *OPEN)
    return int(connection.execute(select(func.count()).select_from(events).where(*mine)).scalar_one())


def open_people(connection: Connection, person_keys: Collection[str]) -> frozenset[str]:
    """Those of whom an event is not settled."""
    mine = select(events.c.person_key).where(
        among(events.c.person_key, person_keys), status_is(events.c.status, *OPEN)
    )
    return frozenset(connection.execute(mine).scalars())


def _known(connection: Connection, keys: Sequence[str], now: datetime) -> dict[str, int]:
    if not keys:
        return {}
    found = connection.execute(
        select(events.c.id, events.c.dedupe_key, events.c.status).where(among(events.c.dedupe_key, keys))
    ).all()
    dead = [row.id for row in found if row.status == "dead"]
    if dead:
        replay(connection, dead, now)
    return {row.dedupe_key: row.id for row in found}


_KEY_ONCE_BEGUN = case(
    (events.c.origin == literal_column(f"'{WRITE_BACK}'"), literal("write_back:") + cast(events.c.id, Text)),
    else_=events.c.dedupe_key,
)
"""What is asked for again while it waits is the same work; once it has begun, it may have looked already."""


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
            .where(among(events.c.id, [event.id for event in claimed]))
            .values(status="processing", lease_owner=owner, lease_until=now + lease, dedupe_key=_KEY_ONCE_BEGUN)
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
    taken = put(connection, statement.returning(person_leases.c.person_key), rows)
    return frozenset(key for result in taken for key in result.scalars())


def hold_people(connection: Connection, keys: set[str]) -> frozenset[str]:
    """Keep people's leases as they are until the transaction ends; those that somebody has at all."""
    held = select(person_leases.c.person_key).where(among(person_leases.c.person_key, sorted(keys)))
    rows = connection.execute(held.order_by(person_leases.c.person_key).with_for_update())
    return frozenset(rows.scalars())


def release_people(connection: Connection, keys: set[str], owner: str) -> None:
    if keys:
        connection.execute(
            delete(person_leases).where(
                among(person_leases.c.person_key, sorted(keys)), person_leases.c.owner == owner
            )
        )


def give_back(connection: Connection, owner: str, claimed: Sequence[Event]) -> None:
    """Make due again what was claimed and not begun. It spends no attempt."""
    connection.execute(
        update(events)
        .where(
            among(events.c.id, [event.id for event in claimed]),
            events.c.lease_owner == owner,
            status_is(events.c.status, "processing"),
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
        .where(among(events.c.id, event_ids), events.c.lease_owner == owner, status_is(events.c.status, "processing"))
        .values(lease_until=until)
    )
    connection.execute(update(person_leases).where(person_leases.c.owner == owner).values(until=until))


def still_ours(connection: Connection, owner: str, event_ids: Sequence[int]) -> frozenset[int]:
    """Those whose lease nobody took over meanwhile; locked until the transaction ends."""
    return frozenset(
        connection.execute(
            select(events.c.id)
            .where(
                among(events.c.id, event_ids), events.c.lease_owner == owner, status_is(events.c.status, "processing")
            )
            .with_for_update()
        ).scalars()
    )


_SETTLED_BY = ("status", "cause", "error", "attempts", "next_attempt_at", "held_by", "settled_at")

_settle = UpdateMany(
    events,
    "id",
    ("id", *_SETTLED_BY),
    lambda new: (
        update(events)
        .where(events.c.id == new("id"))
        .values({name: new(name) for name in _SETTLED_BY} | {"lease_owner": None, "lease_until": None})
    ),
)


def settle(connection: Connection, owner: str, settlings: Sequence[Settling], now: datetime) -> None:
    """Write what became of claimed events and let their people go."""
    if not settlings:
        return
    _settle.of(
        connection,
        [
            {
                "id": settling.event_id,
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
        # Nor does the key stay, which an email could be guessed by.
        connection.execute(update(events).where(events.c.id.in_(dropped)).values(payload=None, person_key=None))
    _redact(connection, settlings)
    release_people(connection, {s.person_key for s in settlings if s.person_key}, owner)


def _redact(connection: Connection, settlings: Sequence[Settling]) -> None:
    names = ("event", "new_payload", "new_content_type")
    changes = [dict(zip(names, (one.event_id, *one.redacted), strict=True)) for one in settlings if one.redacted]
    if changes:
        new: dict[str, Any] = {name: bindparam(f"new_{name}") for name in ("payload", "content_type")}
        connection.execute(update(events).where(events.c.id == bindparam("event")).values(new), changes)


def has_expired(connection: Connection, now: datetime) -> bool:
    """Whether a worker left something behind, of an event or of a person."""
    late = select(events.c.id).where(status_is(events.c.status, "processing"), events.c.lease_until < now)
    if connection.execute(late.limit(1)).first() is not None:
        return True
    held = select(person_leases.c.person_key).where(person_leases.c.until < now)
    return connection.execute(held.limit(1)).first() is not None


def beyond_attempts(connection: Connection, now: datetime, most_attempts: int) -> list[Event]:
    """Those that have killed every worker, which ``give_back_expired`` ends; locked until the transaction ends."""
    expired = status_is(events.c.status, "processing"), events.c.lease_until < now
    mine = select(*(events.c[name] for name in Event.__slots__)).where(*expired, events.c.attempts >= most_attempts)
    return [Event(*row) for row in connection.execute(mine.with_for_update())]


def give_back_expired(connection: Connection, now: datetime, most_attempts: int) -> int:
    """Make due what a worker left behind when it died; how many.

    Dying counts as an attempt: an event that kills every worker which touches it ends as dead.
    """
    spent = events.c.attempts >= most_attempts
    returned = connection.execute(
        update(events)
        .where(status_is(events.c.status, "processing"), events.c.lease_until < now)
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


def replay(connection: Connection, event_ids: Sequence[int], now: datetime) -> int:
    """Make settled events due again, from their first attempt; how many of them were settled."""
    return connection.execute(
        update(events)
        .where(among(events.c.id, event_ids), events.c.status.in_(SETTLED))
        .values(status="received", cause=None, error=None, attempts=0, settled_at=None, next_attempt_at=now)
    ).rowcount
