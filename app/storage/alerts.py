"""What operators were told of, by key and way: few rows, and mostly none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, tuple_, update

from app.core.alerts import Changes, State, Trouble
from app.storage.database import insert
from app.storage.tables import alerts

MOST = 500
"""Rows that are looked at: more troubles at once are no news to anybody."""


@dataclass(frozen=True, slots=True)
class Told:
    """Which troubles one way tells of, by state; ``untouched`` are those that somebody is telling, or has just tried
    to tell."""

    states: dict[str, State]
    untouched: frozenset[str]


def told(connection: Connection, way: str, now: datetime) -> Told:
    rows = connection.execute(select(alerts).where(alerts.c.way == way).order_by(alerts.c.key).limit(MOST)).all()
    taken = frozenset(row.key for row in rows if row.attempts > 0 and row.due_at is not None and row.due_at > now)
    return Told({row.key: State(row.state) for row in rows}, taken)


def keep(connection: Connection, way: str, changes: Changes, troubles: Collection[Trouble], now: datetime) -> None:
    """Note what is to be told. Of two who note the same the second changes nothing."""
    rows = [_row(one, way, now) for one in troubles if one.key in changes.begin]
    if rows:
        connection.execute(insert(connection, alerts).on_conflict_do_nothing(index_elements=["key", "way"]), rows)
    if changes.drop:
        connection.execute(delete(alerts).where(*_these(way, changes.drop, State.BEGUN)))
    if changes.end:
        _become(connection, way, changes.end, State.TOLD, State.OVER, now)
    if changes.again:
        _become(connection, way, changes.again, State.OVER, State.TOLD, None)


def due(connection: Connection, way: str, now: datetime) -> int | None:
    """How often the one of them that was tried most was tried; ``None`` where nothing is to be told now."""
    attempts = connection.execute(select(alerts.c.attempts).where(alerts.c.way == way, _is_due(now)).limit(MOST))
    return max(attempts.scalars(), default=None)


def take(connection: Connection, way: str, now: datetime, until: datetime) -> Sequence[Row[Any]]:
    """All that is to be told now, for one of all who ask and until ``until``."""
    taken = update(alerts).where(alerts.c.way == way, _is_due(now))
    taken = taken.values(due_at=until, attempts=alerts.c.attempts + 1)
    return sorted(connection.execute(taken.returning(*alerts.c)).all(), key=lambda row: str(row.key))


def settle(connection: Connection, way: str, rows: Collection[Row[Any]]) -> None:
    """They were told."""
    begun, over = ({row.key for row in rows if row.state == state} for state in (State.BEGUN, State.OVER))
    if begun:
        _become(connection, way, begun, State.BEGUN, State.TOLD, None)
    if over:
        connection.execute(delete(alerts).where(*_these(way, over, State.OVER)))


def trouble_of(row: Row[Any]) -> Trouble:
    return Trouble(row.key, row.what, row.cause, row.since, row.path)


def _row(trouble: Trouble, way: str, now: datetime) -> dict[str, Any]:
    return {
        "key": trouble.key,
        "way": way,
        "what": trouble.what,
        "cause": trouble.cause,
        "path": trouble.path,
        "since": trouble.since,
        "state": State.BEGUN,
        "attempts": 0,
        "due_at": now,
    }


def _become(
    connection: Connection, way: str, keys: Collection[str], state: State, new: State, due_at: datetime | None
) -> None:
    values = {"state": new, "attempts": 0, "due_at": due_at}
    connection.execute(update(alerts).where(*_these(way, keys, state)).values(values))


def _these(way: str, keys: Collection[str], state: State) -> tuple[ColumnElement[bool], ...]:
    return tuple_(alerts.c.key, alerts.c.way).in_([(key, way) for key in sorted(keys)]), alerts.c.state == state


def _is_due(now: datetime) -> ColumnElement[bool]:
    return alerts.c.state.in_((State.BEGUN, State.OVER)) & (alerts.c.due_at <= now)
