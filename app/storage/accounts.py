"""People who may sign in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from app.storage.database import insert
from app.storage.tables import users


def has_any(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def add_owner(connection: Connection, email: str, password_hash: str, now: datetime) -> None:
    """Several processes may start at once; the first to come makes the owner."""
    connection.execute(
        insert(connection, users)
        .values(email=email, password_hash=password_hash, owner=True, created_at=now)
        .on_conflict_do_nothing(index_elements=["email"])
    )
