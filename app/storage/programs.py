"""Connected Referral Factory accounts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, insert, literal, select, update

from app.storage.tables import programs

CONNECTED, DISCONNECTED = "connected", "disconnected"


def add(connection: Connection, **columns: Any) -> int:
    """Raises: sqlalchemy.exc.IntegrityError where its token is there already."""
    return int(connection.execute(insert(programs).values(columns).returning(programs.c.id)).scalar_one())


def change(connection: Connection, program_id: int, **columns: Any) -> None:
    """Raises: sqlalchemy.exc.IntegrityError where another program has the token."""
    connection.execute(update(programs).where(programs.c.id == program_id).values(columns))


def get(connection: Connection, program_id: int) -> Row[Any] | None:
    return connection.execute(select(programs).where(programs.c.id == program_id)).first()


def by_ids(connection: Connection, program_ids: Collection[int]) -> dict[int, Row[Any]]:
    if not program_ids:
        return {}
    rows = connection.execute(select(programs).where(programs.c.id.in_(program_ids)))
    return {row.id: row for row in rows}


def lock(connection: Connection, program_id: int) -> Row[Any] | None:
    """The program as it is, and stays until the transaction ends."""
    return connection.execute(select(programs).where(programs.c.id == program_id).with_for_update()).first()


def by_token_digest(connection: Connection, token_digest: str) -> Row[Any] | None:
    return connection.execute(select(programs).where(programs.c.token_digest == token_digest)).first()


def reconnect(connection: Connection, program_id: int, **columns: Any) -> bool:
    """Change a disconnected program; false where it is connected by now."""
    return bool(
        connection.execute(
            update(programs).where(programs.c.id == program_id, programs.c.state == DISCONNECTED).values(columns)
        ).rowcount
    )


def page(connection: Connection, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    query = select(programs).order_by(programs.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(programs.c.id > after)).all()


def lose(connection: Connection, program_id: int, token_digest: str, cause: str, now: datetime) -> None:
    """The token is refused. One that was replaced meanwhile is left alone; one that was lost before stays so since
    then."""
    since = case(
        (programs.c.state == DISCONNECTED, programs.c.state_since), else_=literal(now, programs.c.state_since.type)
    )
    connection.execute(
        update(programs)
        .where(programs.c.id == program_id, programs.c.token_digest == token_digest)
        .values(state=DISCONNECTED, state_cause=cause, state_since=since)
    )


def connected_among(connection: Connection, program_ids: Sequence[int]) -> frozenset[str]:
    """``program:<id>`` of those that are connected; their rows stay as they are until the transaction ends."""
    if not program_ids:
        return frozenset()
    rows = connection.execute(
        select(programs.c.id, programs.c.state)
        .where(programs.c.id.in_(program_ids))
        .order_by(programs.c.id)
        .with_for_update(read=True)
    )
    return frozenset(f"program:{row.id}" for row in rows if row.state == CONNECTED)


def lost(connection: Connection) -> Sequence[Row[Any]]:
    """Those whose token was refused, not those that were disconnected by a person."""
    return connection.execute(
        select(programs).where(programs.c.state == DISCONNECTED, programs.c.token.is_not(None))
    ).all()


def regain(connection: Connection, program_id: int, token_digest: str, now: datetime) -> bool:
    """The token is taken again; false where it was replaced meanwhile."""
    return bool(
        connection.execute(
            update(programs)
            .where(programs.c.id == program_id, programs.c.token_digest == token_digest)
            .values(state=CONNECTED, state_cause=None, state_since=now)
        ).rowcount
    )
