"""Tokens for programs, each with its maker's rights. The table holds their digests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from app.storage.tables import api_tokens, users


def add(connection: Connection, token_digest: str, name: str, user_id: int, now: datetime) -> int:
    new = insert(api_tokens).values(token_digest=token_digest, name=name, user_id=user_id, created_at=now)
    return int(connection.execute(new.returning(api_tokens.c.id)).scalar_one())


def find(connection: Connection, token_digest: str) -> Row[Any] | None:
    """A token that holds, with its maker's ``email, owner, may_manage``. Nobody's who was removed."""
    query = (
        select(api_tokens, users.c.email, users.c.owner, users.c.may_manage)
        .join(users, users.c.id == api_tokens.c.user_id)
        .where(
            api_tokens.c.token_digest == token_digest,
            api_tokens.c.revoked_at.is_(None),
            users.c.removed_at.is_(None),
        )
    )
    return connection.execute(query).first()


def use(connection: Connection, token_id: int, now: datetime) -> None:
    connection.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(used_at=now))


def page(connection: Connection, *, user_id: int | None, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Those that hold, newest first, with their makers' ``email``; ``user_id`` for one maker's alone."""
    query = (
        select(api_tokens, users.c.email)
        .join(users, users.c.id == api_tokens.c.user_id)
        .where(api_tokens.c.revoked_at.is_(None))
        .order_by(api_tokens.c.id.desc())
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(api_tokens.c.user_id == user_id)
    return connection.execute(query if before is None else query.where(api_tokens.c.id < before)).all()


def revoke(connection: Connection, token_id: int, now: datetime, *, user_id: int | None) -> Row[Any] | None:
    """What was revoked; ``None`` where it was not there, or is not of ``user_id``, where that is given."""
    query = update(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.revoked_at.is_(None))
    if user_id is not None:
        query = query.where(api_tokens.c.user_id == user_id)
    return connection.execute(query.values(revoked_at=now).returning(*api_tokens.c)).first()


def revoke_all(connection: Connection, user_id: int, now: datetime) -> None:
    query = update(api_tokens).where(api_tokens.c.user_id == user_id, api_tokens.c.revoked_at.is_(None))
    connection.execute(query.values(revoked_at=now))
