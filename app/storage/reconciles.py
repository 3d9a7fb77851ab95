"""Reconciles: where each connection's stands, when its next is due, and what the former ones found.

One a connection at a time. Each step is kept in one transaction with what it found; ``steps`` only ever grows, so
that who comes late with a step that another has done keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from app.core.identity import value_digest
from app.storage import programs, workspaces
from app.storage.database import insert as insert_or
from app.storage.tables import (
    audience_readings,
    campaigns,
    program_readings,
    reconcile_turns,
    reconciles,
)
from app.storage.tables import programs as program_rows
from app.storage.tables import workspaces as workspace_rows

INTERCOM, REFERRAL_FACTORY = "intercom", "referral_factory"
"""Kinds: of a workspace, of a program."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A reconcile about to go on. ``way`` is ``None`` where it has just begun."""

    kind: str
    connection_id: int
    reconcile_id: int
    begun_at: datetime
    way: str | None
    cursor: str | None
    seen: tuple[str, ...]
    unheard: Mapping[str, int]
    position: int
    steps: int
    known_until: datetime | None
    all_due_at: datetime | None

    def repeats(self, cursor: str) -> bool:
        """Whether this page was asked for already: the list leads in a circle."""
        return _digest(cursor) in (*self.seen, *([_digest(self.cursor)] if self.cursor is not None else []))

    def at(self, way: str, *, cursor: str | None = None, position: int = 0) -> Turn:
        """Where it goes on. The pages of one list are noted; from its first page on it begins anew."""
        seen = self.seen if way == self.way and cursor is not None else ()
        if self.cursor is not None and cursor not in (None, self.cursor):
            seen = (*seen, _digest(self.cursor))
        return replace(self, way=way, cursor=cursor, seen=seen, position=position)


def _digest(cursor: str) -> str:
    """Short: a list of hundreds of pages keeps one for each."""
    return value_digest(cursor)[:16]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one step came to."""

    looked_at: int = 0
    found: int = 0
    calls: int = 0


# When it is due


def due_workspaces(connection: Connection, now: datetime) -> list[int]:
    """Connected workspaces of live campaigns whose reconcile has something to do now, by id."""
    live = exists().where(campaigns.c.workspace_id == workspace_rows.c.id, campaigns.c.archived_at.is_(None))
    mine = workspace_rows.c.state == workspaces.CONNECTED, live
    return _due(connection, INTERCOM, workspace_rows.c.id, mine, now)


def due_programs(connection: Connection, now: datetime) -> list[int]:
    """The same of connected programs with an audience that was read whole, not while another is being read."""
    theirs = audience_readings.join(campaigns, campaigns.c.id == audience_readings.c.campaign_id)
    live = campaigns.c.program_id == program_rows.c.id, campaigns.c.archived_at.is_(None)
    ended = exists().select_from(theirs).where(*live, audience_readings.c.ended_at.is_not(None))
    waits = exists().select_from(theirs).where(*live, audience_readings.c.ended_at.is_(None))
    reading = exists().where(program_readings.c.program_id == program_rows.c.id)
    mine = program_rows.c.state == programs.CONNECTED, ended, ~waits, ~reading
    return _due(connection, REFERRAL_FACTORY, program_rows.c.id, mine, now)


def _due(
    connection: Connection, kind: str, ids: ColumnElement[int], mine: Sequence[ColumnElement[bool]], now: datetime
) -> list[int]:
    turn = and_(reconcile_turns.c.kind == kind, reconcile_turns.c.connection_id == ids)
    is_due = or_(reconcile_turns.c.connection_id.is_(None), reconcile_turns.c.due_at <= now)
    rows = select(ids).outerjoin(reconcile_turns, turn).where(*mine, is_due).order_by(ids)
    return list(connection.execute(rows).scalars())


def ask(connection: Connection, kind: str, connection_id: int, now: datetime) -> None:
    """Have everything looked at as soon as can be. Where a reconcile is going on, another begins as it ends."""
    statement = insert_or(connection, reconcile_turns).values(
        kind=kind, connection_id=connection_id, due_at=now, seen=[], unheard={}, position=0, steps=0, all_due_at=now
    )
    # A step that is under way may be done twice for this; one of them is kept.
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "connection_id"], set_={"due_at": now, "all_due_at": now}
        )
    )


# Step by step


def take(connection: Connection, kind: str, connection_id: int, now: datetime, lease: timedelta) -> Turn | None:
    """The connection's reconcile, for one of all who ask until ``lease`` is over; begun where none is going on."""
    statement = insert_or(connection, reconcile_turns).values(
        kind=kind, connection_id=connection_id, due_at=now, seen=[], unheard={}, position=0, steps=0
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["kind", "connection_id"]))
    row = connection.execute(
        update(reconcile_turns)
        .where(_of(kind, connection_id), reconcile_turns.c.due_at <= now)
        .values(due_at=now + lease)
        .returning(*reconcile_turns.c)
    ).first()
    if row is None:
        return None
    if row.reconcile_id is None:
        row = _begin(connection, row, now)
    columns = {name: getattr(row, name) for name in Turn.__slots__}
    return Turn(**{**columns, "seen": tuple(row.seen)})


def _begin(connection: Connection, row: Row[Any], now: datetime) -> Row[Any]:
    made = insert(reconciles).values(
        kind=row.kind, connection_id=row.connection_id, started_at=now, looked_at=0, found=0, calls=0
    )
    reconcile_id = connection.execute(made.returning(reconciles.c.id)).scalar_one()
    fresh = {"reconcile_id": reconcile_id, "begun_at": now, "way": None, "cursor": None, "seen": [], "position": 0}
    begun = update(reconcile_turns).where(_of(row.kind, row.connection_id)).values(fresh)
    return connection.execute(begun.returning(*reconcile_turns.c)).one()


def _of(kind: str, connection_id: int) -> ColumnElement[bool]:
    return and_(reconcile_turns.c.kind == kind, reconcile_turns.c.connection_id == connection_id)


def _still(turn: Turn) -> ColumnElement[bool]:
    return and_(_of(turn.kind, turn.connection_id), reconcile_turns.c.steps == turn.steps)


def is_still(connection: Connection, turn: Turn) -> bool:
    """Whether nobody else has done the step; its place is kept until the transaction ends."""
    mine = select(reconcile_turns.c.steps).where(_still(turn)).with_for_update()
    return connection.execute(mine).first() is not None


def note_unheard(connection: Connection, turn: Turn, unheard: Mapping[str, int]) -> None:
    """Of whom a list says what no webhook has told, with the reconcile that saw it first."""
    if unheard != turn.unheard:
        connection.execute(update(reconcile_turns).where(_still(turn)).values(unheard=dict(unheard)))


def go_on(
    connection: Connection, turn: Turn, following: Turn, counts: Counts, due_at: datetime, cause: str | None = None
) -> None:
    """A step is kept, and the next begins where ``following`` stands; ``cause`` is why it can't be at once."""
    place = {"way": following.way, "cursor": following.cursor, "position": following.position}
    connection.execute(
        update(reconcile_turns)
        .where(_still(turn))
        .values(place | {"seen": list(following.seen), "steps": turn.steps + 1, "due_at": due_at})
    )
    _count(connection, turn, counts, cause=cause)


def put_off(connection: Connection, turn: Turn, due_at: datetime) -> None:
    """Nothing of the step was kept; it is due again at ``due_at``."""
    connection.execute(update(reconcile_turns).where(_still(turn)).values(due_at=due_at))


def end(
    connection: Connection,
    turn: Turn,
    counts: Counts,
    now: datetime,
    *,
    next_at: datetime,
    all_due_at: datetime | None,
    cause: str | None = None,
) -> None:
    """The last step is kept. Without a ``cause`` all is known up to its beginning; with one, nothing more than
    before."""
    asked = and_(reconcile_turns.c.all_due_at > turn.begun_at, reconcile_turns.c.all_due_at <= now)
    moment = reconcile_turns.c.due_at.type
    connection.execute(
        update(reconcile_turns)
        .where(_still(turn))
        .values(
            reconcile_id=None,
            begun_at=None,
            way=None,
            cursor=None,
            seen=[],
            position=0,
            steps=turn.steps + 1,
            due_at=case((asked, literal(now, moment)), else_=literal(next_at, moment)),
            known_until=turn.begun_at if cause is None else turn.known_until,
            all_due_at=case((asked, reconcile_turns.c.all_due_at), else_=literal(all_due_at, moment)),
        )
    )
    _count(connection, turn, counts, finished_at=now, cause=cause)


def _count(connection: Connection, turn: Turn, counts: Counts, **more: Any) -> None:
    sums = {name: reconciles.c[name] + getattr(counts, name) for name in Counts.__slots__}
    connection.execute(update(reconciles).where(reconciles.c.id == turn.reconcile_id).values(sums | more))


# What was


def page(connection: Connection, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Newest first."""
    query = select(reconciles).order_by(reconciles.c.id.desc()).limit(limit)
    return connection.execute(query if before is None else query.where(reconciles.c.id < before)).all()


def remove_older(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` that began before a time, none that is going on; how many."""
    going_on = select(func.coalesce(reconcile_turns.c.reconcile_id, 0))
    old = select(reconciles.c.id).where(reconciles.c.started_at < before, reconciles.c.id.not_in(going_on))
    few = old.order_by(reconciles.c.started_at).limit(limit)
    return connection.execute(delete(reconciles).where(reconciles.c.id.in_(few))).rowcount
