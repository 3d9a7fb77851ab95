"""What the overview shows of the tables as they stand: bounded, by indexes alone, however much has happened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, String, case, func, literal, literal_column, select, union_all

from app.storage.tables import activity, circuits, events, people, problems

MOST = 10_000
"""How far waiting events are counted: beyond that it is "more than" so many."""

NAMES = 50
"""Connections that are away and are told of, at the most."""

STATUSES = ("received", "processing", "retrying", "dead")
_OPEN = STATUSES[:3]


@dataclass(frozen=True, slots=True)
class Reached:
    """How many of a campaign's audience have joined, are in Intercom, and have qualified."""

    campaign_id: int
    audience: str
    joined: int
    in_intercom: int
    qualified: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events that are not done, by status, each counted up to ``MOST`` + 1; ``oldest`` is when the one that has
    waited longest was received."""

    counts: dict[str, int]
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """What waits behind a name: a circuit's, or a connection's. Up to ``MOST`` + 1 events."""

    events: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    """A cause, and how many people or events it concerns since when."""

    cause: str
    number: int
    since: datetime


def funnel(connection: Connection, campaign_ids: Collection[int]) -> list[Reached]:
    """Of those campaigns, by campaign and audience; who has nobody is missing."""
    qualified = func.sum(case((people.c.qualification_state == "qualified", 1), else_=0))
    rows = connection.execute(
        select(people.c.campaign_id, people.c.audience, func.count(), func.count(people.c.contact_id), qualified)
        .where(people.c.campaign_id.in_(campaign_ids))
        .group_by(people.c.campaign_id, people.c.audience)
        .order_by(people.c.campaign_id, people.c.audience)
    )
    return [Reached(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in rows]


def waiting(connection: Connection) -> Waiting:
    first = [_first(status) for status in _OPEN]
    row = connection.execute(select(*(_number(status) for status in STATUSES), *first)).one()
    counts = dict(zip(STATUSES, row[: len(STATUSES)], strict=True))
    ids = [one for one in row[len(STATUSES) :] if one is not None]
    oldest = select(events.c.received_at).where(events.c.id == min(ids, default=0))
    return Waiting(counts, connection.execute(oldest).scalar())


def _is(status: str) -> Any:
    """Spelt out, as in the partial indexes."""
    return events.c.status == literal_column(f"'{status}'")


def _number(status: str) -> ScalarSelect[int]:
    some = select(events.c.id).where(_is(status)).limit(MOST + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _first(status: str) -> ScalarSelect[int]:
    return select(events.c.id).where(_is(status)).order_by(events.c.id).limit(1).scalar_subquery()


def open_circuits(connection: Connection) -> Sequence[Row[Any]]:
    """What is away: name, cause, since when."""
    named = [circuits.c[name] for name in ("name", "cause", "opened_at")]
    return connection.execute(select(*named).order_by(circuits.c.opened_at, circuits.c.name).limit(NAMES)).all()


def held(connection: Connection, names: Sequence[str]) -> dict[str, Held]:
    """What waits behind each of those names."""
    parts = []
    for name in names[:NAMES]:
        some = select(events.c.received_at).where(events.c.held_by == name).limit(MOST + 1).subquery()
        named = literal(name, String).label("name")
        parts.append(select(named, func.count(), func.min(some.c.received_at)).select_from(some))
    if not parts:
        return {}
    return {row[0]: Held(row[1], row[2]) for row in connection.execute(union_all(*parts))}


def problem_groups(connection: Connection) -> list[Group]:
    """Problems that stand, by cause: how many people each concerns, and since when the one that stands longest."""
    grouped = (
        select(problems.c.cause, func.count().label("number"), func.min(problems.c.id).label("first"))
        .group_by(problems.c.cause)
        .subquery()
    )
    rows = connection.execute(
        select(grouped.c.cause, grouped.c.number, problems.c.since)
        .join(problems, problems.c.id == grouped.c.first)
        .order_by(grouped.c.number.desc(), grouped.c.cause)
    )
    return [Group(*row) for row in rows]


def dead_groups(connection: Connection) -> list[Group]:
    """Events that were given up, by cause, and when the first of each was received."""
    dead = _is("dead") & events.c.cause.is_not(None)
    grouped = (
        select(events.c.cause, func.count().label("number"), func.min(events.c.id).label("first"))
        .where(dead)
        .group_by(events.c.cause)
        .subquery()
    )
    rows = connection.execute(
        select(grouped.c.cause, grouped.c.number, events.c.received_at)
        .join(events, events.c.id == grouped.c.first)
        .order_by(grouped.c.number.desc(), grouped.c.cause)
    )
    return [Group(*row) for row in rows]


def people_with(connection: Connection, cause: str, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Whom a problem concerns, those it came up for last first: ``problem_id``, ``since``, and their activity."""
    query = (
        select(problems.c.id.label("problem_id"), problems.c.since, activity)
        .join(activity, activity.c.id == problems.c.activity_id)
        .where(problems.c.cause == cause)
    )
    if before is not None:
        query = query.where(problems.c.id < before)
    return connection.execute(query.order_by(problems.c.id.desc()).limit(limit)).all()


def has_received(connection: Connection) -> bool:
    """Whether a webhook or anything else ever came in."""
    return connection.execute(select(events.c.id).limit(1)).first() is not None


def has_people(connection: Connection) -> bool:
    return connection.execute(select(people.c.id).limit(1)).first() is not None
