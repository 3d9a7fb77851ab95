"""What was seen of watched leads: what stood there first, and every value since with its earliest and latest time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, select
from sqlalchemy.dialects import postgresql, sqlite

from app.core.qualification import FirstSight, Sight, Span, value_key
from app.storage.database import insert
from app.storage.many import among, put
from app.storage.tables import observations, watches


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one trigger attribute of one person."""

    first: FirstSight | None = None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSights:
    """What was seen just now. ``first`` begins the watch, and is kept only where none has begun."""

    attribute: str
    first: FirstSight
    sights: tuple[Sight, ...]


def of_people(connection: Connection, person_ids: Collection[int]) -> dict[tuple[int, str], Seen]:
    """By person and attribute's path; two queries."""
    if not person_ids:
        return {}
    firsts = _firsts(connection, person_ids)
    spans: dict[tuple[int, str], list[Span]] = {key: [] for key in firsts}
    rows = connection.execute(
        select(observations).where(among(observations.c.person_id, person_ids)).order_by(observations.c.first_at)
    )
    for row in rows:
        spans.setdefault((row.person_id, row.attribute), []).append(Span(row.value, row.first_at, row.last_at))
    return {key: Seen(firsts.get(key), tuple(found)) for key, found in spans.items()}


def rows_of(connection: Connection, person_id: int, limit: int) -> Sequence[Row[Any]]:
    """Every value that was seen of one person, with its times and where it was seen first; the latest first."""
    mine = select(observations).where(observations.c.person_id == person_id)
    return connection.execute(mine.order_by(observations.c.first_at.desc()).limit(limit)).all()


def watches_of(connection: Connection, person_id: int) -> Sequence[Row[Any]]:
    """What stood in each trigger attribute when its watch began."""
    return connection.execute(select(watches).where(watches.c.person_id == person_id)).all()


def _firsts(connection: Connection, person_ids: Collection[int]) -> dict[tuple[int, str], FirstSight]:
    rows = connection.execute(select(watches).where(among(watches.c.person_id, person_ids)))
    return {(row.person_id, row.attribute): FirstSight(row.value, row.at, row.contact_is_new) for row in rows}


def save(connection: Connection, seen: Sequence[tuple[int, NewSights]], now: datetime) -> None:
    """Keep what was seen of people, by id. Twice the same, in any order, comes to the same; what was so before the
    watch began is dropped."""
    if not seen:
        return
    firsts = {(person_id, new.attribute): new.first for person_id, new in seen}
    put(
        connection,
        insert(connection, watches).on_conflict_do_nothing(index_elements=["person_id", "attribute"]),
        [
            {
                "person_id": person_id,
                "attribute": attribute,
                "value": first.value,
                "at": first.at,
                "contact_is_new": first.contact_is_new,
                "begun_at": now,
            }
            for (person_id, attribute), first in sorted(firsts.items(), key=lambda one: one[0])
        ],
    )
    begun = _firsts(connection, {person_id for person_id, _ in seen})
    rows = [
        _row(person_id, new.attribute, sight)
        for person_id, new in seen
        for sight in new.sights
        if sight.at >= begun[person_id, new.attribute].at
    ]
    if rows:
        # In one order, so that two workers can't wait for each other.
        rows.sort(key=lambda row: (row["person_id"], row["attribute"], row["value_key"], row["first_at"]))
        put(connection, _widening(connection), rows, key=("person_id", "attribute", "value_key"))


def _row(person_id: int, attribute: str, sight: Sight) -> dict[str, object]:
    return {
        "person_id": person_id,
        "attribute": attribute,
        "value_key": value_key(sight.value),
        "value": sight.value,
        "first_at": sight.at,
        "last_at": sight.at,
        "seen_in": sight.seen_in.value,
    }


def _widening(connection: Connection) -> postgresql.Insert | sqlite.Insert:
    statement = insert(connection, observations)
    new, old = statement.excluded, observations.c
    return statement.on_conflict_do_update(
        index_elements=["person_id", "attribute", "value_key"],
        set_={
            "first_at": case((new.first_at < old.first_at, new.first_at), else_=old.first_at),
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
        },
    )
