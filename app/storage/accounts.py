"""People who may sign in, and those who once could."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text, update

from app.core.access import Rights, Role
from app.storage.database import insert
from app.storage.tables import users
from app.storage.tables.access import OWNERS

MOST_GRANTERS = 20
"""Owners named as those to ask. Nobody reads more."""


def has_any(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def add_owner(connection: Connection, email: str, password_hash: str, now: datetime) -> None:
    """Several processes may start at once; the first to come makes the owner."""
    connection.execute(
        insert(connection, users)
        .values(email=email, password_hash=password_hash, owner=True, created_at=now)
        .on_conflict_do_nothing(index_elements=["email"])
    )


def add(connection: Connection, **columns: Any) -> int:
    """Raises: sqlalchemy.exc.IntegrityError where the email is somebody's."""
    return int(connection.execute(insert(connection, users).values(columns).returning(users.c.id)).scalar_one())


def change(connection: Connection, user_id: int, **columns: Any) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(columns))


def get(connection: Connection, user_id: int) -> Row[Any] | None:
    return connection.execute(select(users).where(users.c.id == user_id)).first()


def by_email(connection: Connection, email: str) -> Row[Any] | None:
    return connection.execute(select(users).where(users.c.email == email)).first()


def lock(connection: Connection, user_id: int) -> Row[Any] | None:
    """Somebody as they are, and stay until the transaction ends."""
    return connection.execute(select(users).where(users.c.id == user_id).with_for_update()).first()


def lock_owners(connection: Connection) -> frozenset[int]:
    """Who is an owner, and stays one until the transaction ends."""
    owners = select(users.c.id).where(text(OWNERS))
    return frozenset(connection.execute(owners.order_by(users.c.id).with_for_update()).scalars())


def owners(connection: Connection) -> Sequence[str]:
    """The emails of those who can give rights."""
    query = select(users.c.email).where(text(OWNERS))
    return connection.execute(query.order_by(users.c.id).limit(MOST_GRANTERS)).scalars().all()


def page(connection: Connection, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    query = select(users).order_by(users.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(users.c.id > after)).all()


def rights_of(row: Row[Any]) -> Rights:
    return Rights(Role.OWNER if row.owner else Role.TEAMMATE, bool(row.may_manage))
