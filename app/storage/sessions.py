"""Who is signed in where. The browser holds a random token, the table its digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from app.storage.tables import sessions, users

MOST_LISTED = 50


def add(connection: Connection, token_digest: str, user_id: int, browser: str, now: datetime) -> int:
    new = insert(sessions).values(
        token_digest=token_digest, user_id=user_id, browser=browser, created_at=now, seen_at=now
    )
    return int(connection.execute(new.returning(sessions.c.id)).scalar_one())


def find(connection: Connection, token_digest: str) -> Row[Any] | None:
    """An open session with whose it is: ``email, owner, may_manage`` besides. Nobody's who was removed."""
    query = (
        select(sessions, users.c.email, users.c.owner, users.c.may_manage)
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.token_digest == token_digest, sessions.c.ended_at.is_(None), users.c.removed_at.is_(None))
    )
    return connection.execute(query).first()


def see(connection: Connection, session_id: int, now: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now))


def open_of(connection: Connection, user_id: int) -> Sequence[Row[Any]]:
    """Newest first, those included that nobody has used for too long."""
    query = select(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    return connection.execute(query.order_by(sessions.c.id.desc()).limit(MOST_LISTED)).all()


def end(connection: Connection, session_id: int, user_id: int, now: datetime) -> bool:
    """False where it is not theirs, or has ended."""
    query = update(sessions).where(
        sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.ended_at.is_(None)
    )
    return bool(connection.execute(query.values(ended_at=now)).rowcount)


def end_all(connection: Connection, user_id: int, now: datetime, *, but: int | None = None) -> int:
    """How many ended."""
    query = update(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    if but is not None:
        query = query.where(sessions.c.id != but)
    return connection.execute(query.values(ended_at=now)).rowcount


def remove_older(connection: Connection, before: datetime, limit: int) -> int:
    old = select(sessions.c.id).where(sessions.c.seen_at < before).order_by(sessions.c.seen_at).limit(limit)
    return connection.execute(delete(sessions).where(sessions.c.id.in_(old))).rowcount
