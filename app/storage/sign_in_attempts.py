"""How often a sign-in was tried of late.

In the database, not in Redis: signing in needs the database anyway, the count is one for all processes, and a Redis
that is away neither opens the door to guessing nor makes anybody wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, case, delete, select, update

from app.storage.database import insert
from app.storage.tables import sign_in_attempts


def count(connection: Connection, keys: Iterable[str], now: datetime, until: datetime) -> dict[str, int]:
    """Count an attempt for each key; how many it is with this one. A count ends at the ``until`` of its first."""
    given = [{"key": key, "attempts": 1, "until": until} for key in sorted(keys)]
    new = insert(connection, sign_in_attempts).values(given)
    over = sign_in_attempts.c.until <= now
    counted = new.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "attempts": case((over, 1), else_=sign_in_attempts.c.attempts + 1),
            "until": case((over, new.excluded.until), else_=sign_in_attempts.c.until),
        },
    )
    rows = connection.execute(counted.returning(sign_in_attempts.c.key, sign_in_attempts.c.attempts))
    return {row.key: row.attempts for row in rows}


def forget(connection: Connection, key: str) -> None:
    connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.key == key))


def take_back(connection: Connection, key: str) -> None:
    """One attempt was none: it succeeded."""
    query = update(sign_in_attempts).where(sign_in_attempts.c.key == key)
    connection.execute(query.values(attempts=sign_in_attempts.c.attempts - 1))


def remove_older(connection: Connection, before: datetime, limit: int) -> int:
    table = sign_in_attempts
    old = select(table.c.key).where(table.c.until < before).order_by(table.c.until).limit(limit)
    return connection.execute(delete(table).where(table.c.key.in_(old))).rowcount
