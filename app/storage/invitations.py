"""Links by which somebody chooses a password, once. The link holds a random token, the table its digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from app.storage.tables import invitations

MOST_LISTED = 200


def add(connection: Connection, **columns: Any) -> int:
    return int(connection.execute(insert(invitations).values(columns).returning(invitations.c.id)).scalar_one())


def by_token_digest(connection: Connection, token_digest: str) -> Row[Any] | None:
    return connection.execute(select(invitations).where(invitations.c.token_digest == token_digest)).first()


def pending(connection: Connection, now: datetime) -> Sequence[Row[Any]]:
    """Those that can still be used, by email."""
    query = select(invitations).where(
        invitations.c.used_at.is_(None), invitations.c.withdrawn_at.is_(None), invitations.c.ends_at > now
    )
    return connection.execute(query.order_by(invitations.c.email, invitations.c.id).limit(MOST_LISTED)).all()


def use(connection: Connection, invitation_id: int, now: datetime) -> bool:
    """False where somebody was first, or it was withdrawn or is over."""
    query = update(invitations).where(
        invitations.c.id == invitation_id,
        invitations.c.used_at.is_(None),
        invitations.c.withdrawn_at.is_(None),
        invitations.c.ends_at > now,
    )
    return bool(connection.execute(query.values(used_at=now)).rowcount)


def withdraw(connection: Connection, invitation_id: int, now: datetime) -> Row[Any] | None:
    """What was withdrawn; ``None`` where there was nothing to withdraw."""
    query = update(invitations).where(
        invitations.c.id == invitation_id, invitations.c.used_at.is_(None), invitations.c.withdrawn_at.is_(None)
    )
    return connection.execute(query.values(withdrawn_at=now).returning(*invitations.c)).first()


def withdraw_for(connection: Connection, email: str, now: datetime) -> None:
    """A newer link takes the place of an older one."""
    query = update(invitations).where(
        invitations.c.email == email, invitations.c.used_at.is_(None), invitations.c.withdrawn_at.is_(None)
    )
    connection.execute(query.values(withdrawn_at=now))


def withdraw_about(connection: Connection, user_id: int, now: datetime) -> None:
    """Those that somebody has made, and those made for them."""
    query = update(invitations).where(
        or_(invitations.c.made_by == user_id, invitations.c.user_id == user_id),
        invitations.c.used_at.is_(None),
        invitations.c.withdrawn_at.is_(None),
    )
    connection.execute(query.values(withdrawn_at=now))
