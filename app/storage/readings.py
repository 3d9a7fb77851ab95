"""The first reading of an audience's people: asked for when its settings are first complete, served by reading the
program's list of everybody, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Result, Row, and_, delete, or_, select, update

from app.core.identity import value_digest
from app.storage.database import insert
from app.storage.programs import CONNECTED
from app.storage.tables import audience_readings, campaigns, program_readings, programs


@dataclass(frozen=True, slots=True)
class ReadAudience:
    """An audience that a reading serves. ``referral_factory_id`` is the campaign's."""

    campaign_id: int
    audience: str
    workspace_id: int
    referral_factory_id: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """A program's list, about to be read at ``cursor``. ``steps`` tells whether it is still where it was."""

    program_id: int
    begun_at: datetime
    cursor: str | None
    seen: tuple[str, ...]
    steps: int
    audiences: tuple[ReadAudience, ...]

    def repeats(self, cursor: str) -> bool:
        """Whether this page was asked for already: the list leads in a circle."""
        return _digest(cursor) in (*self.seen, *_digests(self.cursor))


def _digest(cursor: str) -> str:
    """Short: a list of hundreds of pages keeps one for each."""
    return value_digest(cursor)[:16]


def _digests(cursor: str | None) -> tuple[str, ...]:
    return () if cursor is None else (_digest(cursor),)


def ask(connection: Connection, campaign_id: int, audience: str, now: datetime) -> None:
    """Have an audience's people read, once ever. One whose reading failed is read again, of the same moment."""
    statement = insert(connection, audience_readings).values(campaign_id=campaign_id, audience=audience, asked_at=now)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "audience"],
            set_={"begun_at": None, "ended_at": None, "cause": None},
            where=audience_readings.c.cause.is_not(None),
        )
    )


def is_whole(connection: Connection, campaign_id: int, audience: str) -> bool:
    """Whether everybody of an audience was read once."""
    return (
        connection.execute(
            select(audience_readings.c.ended_at).where(
                audience_readings.c.campaign_id == campaign_id,
                audience_readings.c.audience == audience,
                audience_readings.c.ended_at.is_not(None),
                audience_readings.c.cause.is_(None),
            )
        ).first()
        is not None
    )


def due(connection: Connection, now: datetime) -> list[int]:
    """Connected programs that have a page to be read now, by id."""
    rows = connection.execute(
        select(campaigns.c.program_id)
        .distinct()
        .join(audience_readings, audience_readings.c.campaign_id == campaigns.c.id)
        .join(programs, programs.c.id == campaigns.c.program_id)
        .outerjoin(program_readings, program_readings.c.program_id == programs.c.id)
        .where(
            audience_readings.c.ended_at.is_(None),
            campaigns.c.archived_at.is_(None),
            programs.c.state == CONNECTED,
            or_(program_readings.c.program_id.is_(None), program_readings.c.due_at <= now),
        )
        .order_by(campaigns.c.program_id)
    )
    return list(rows.scalars())


def take(connection: Connection, program_id: int, now: datetime, lease: timedelta) -> Reading | None:
    """The program's reading, for one of all who ask and until ``lease`` is over; begun where there is none.

    ``None`` where it is another's, or serves nobody any more.
    """
    _begin(connection, program_id, now)
    row = connection.execute(
        update(program_readings)
        .where(program_readings.c.program_id == program_id, program_readings.c.due_at <= now)
        .values(due_at=now + lease)
        .returning(*program_readings.c)
    ).first()
    if row is None:
        return None
    audiences = tuple(ReadAudience(**one._mapping) for one in _served(connection, row))
    if not audiences:
        connection.execute(delete(program_readings).where(program_readings.c.program_id == program_id))
        return None
    return Reading(program_id, row.begun_at, row.cursor, tuple(row.seen), row.steps, audiences)


def _begin(connection: Connection, program_id: int, now: datetime) -> None:
    """One reading of a program serves all that wait as it begins; who comes later has missed pages of it."""
    statement = insert(connection, program_readings).values(
        program_id=program_id, begun_at=now, seen=[], steps=0, due_at=now
    )
    begun = connection.execute(
        statement.on_conflict_do_nothing(index_elements=["program_id"]).returning(program_readings.c.program_id)
    ).first()
    if begun is not None:
        live = select(campaigns.c.id).where(campaigns.c.program_id == program_id, campaigns.c.archived_at.is_(None))
        connection.execute(
            update(audience_readings)
            .where(audience_readings.c.ended_at.is_(None), audience_readings.c.campaign_id.in_(live))
            .values(begun_at=now)
        )


def _served(connection: Connection, row: Row[Any]) -> Result[Any]:
    """A campaign that was tied to another program meanwhile is left to that one's next reading."""
    return connection.execute(
        select(
            audience_readings.c.campaign_id,
            audience_readings.c.audience,
            campaigns.c.workspace_id,
            campaigns.c.referral_factory_id,
            audience_readings.c.asked_at,
        )
        .join(campaigns, campaigns.c.id == audience_readings.c.campaign_id)
        .where(
            campaigns.c.program_id == row.program_id,
            audience_readings.c.begun_at == row.begun_at,
            audience_readings.c.ended_at.is_(None),
        )
        .order_by(audience_readings.c.campaign_id, audience_readings.c.audience)
    )


def _still(reading: Reading) -> ColumnElement[bool]:
    return and_(
        program_readings.c.program_id == reading.program_id,
        program_readings.c.begun_at == reading.begun_at,
        program_readings.c.steps == reading.steps,
    )


def go_on(connection: Connection, reading: Reading, cursor: str, now: datetime) -> bool:
    """The page's results are about to be kept, and ``cursor`` is next. False where another was faster: the lease ran
    out, and nothing is to be kept."""
    moved = update(program_readings).where(_still(reading))
    seen = [*reading.seen, *_digests(reading.cursor)]
    values = {"cursor": cursor, "seen": seen, "steps": reading.steps + 1, "due_at": now, "cause": None}
    return bool(connection.execute(moved.values(values)).rowcount)


def end(connection: Connection, reading: Reading, now: datetime, cause: str | None = None) -> bool:
    """The last page's results are about to be kept; with a ``cause`` it ends without having been whole. False as
    ``go_on``."""
    if not connection.execute(delete(program_readings).where(_still(reading))).rowcount:
        return False
    connection.execute(
        update(audience_readings)
        .where(
            audience_readings.c.begun_at == reading.begun_at,
            audience_readings.c.ended_at.is_(None),
            audience_readings.c.campaign_id.in_({one.campaign_id for one in reading.audiences}),
        )
        .values(ended_at=now, cause=cause)
    )
    return True


def put_off(connection: Connection, reading: Reading, due_at: datetime, cause: str) -> None:
    """The page could not be read, and is asked for again later."""
    connection.execute(update(program_readings).where(_still(reading)).values(due_at=due_at, cause=cause))


def start_over(connection: Connection, reading: Reading, due_at: datetime, cause: str) -> None:
    """From the first page, for this one is refused for good; what was kept stands."""
    values: dict[str, Any] = {
        "cursor": None,
        "seen": [],
        "steps": reading.steps + 1,
        "due_at": due_at,
        "cause": cause,
    }
    connection.execute(update(program_readings).where(_still(reading)).values(values))
