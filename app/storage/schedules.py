"""When recurring work is due next, so that it is done once, however many workers there are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from app.storage.database import insert
from app.storage.tables import schedules


def is_due(connection: Connection, name: str, now: datetime) -> bool:
    """A look before the write: most ticks find nothing to do."""
    due_at = connection.execute(select(schedules.c.due_at).where(schedules.c.name == name)).scalar()
    return due_at is None or due_at <= now


def take_turn(connection: Connection, name: str, now: datetime, next_due: datetime) -> bool:
    """Whether it is this worker's turn: true for one of all who ask, once until ``next_due``."""
    made = connection.execute(
        insert(connection, schedules)
        .values(name=name, due_at=next_due)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(schedules.c.name)
    ).first()
    if made is not None:
        return True
    moved = update(schedules).where(schedules.c.name == name, schedules.c.due_at <= now).values(due_at=next_due)
    return bool(connection.execute(moved).rowcount)
