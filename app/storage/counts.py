"""What happened, counted by the hour, and what stands in people's way: kept beside the large tables for the overview.

Rows are counted in the order of their ids, each once: what a step adds and how far it came are one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Select,
    Subquery,
    Table,
    delete,
    func,
    literal,
    select,
    tuple_,
    union_all,
    update,
)

from app.core.problems import Standing
from app.storage.database import insert
from app.storage.tables import activity, activity_hours, count_marks, event_hours, events, problems

ACTIVITY, EVENTS = "activity", "events"

_WEBHOOK = "webhook"

Hours = Mapping[tuple[Any, ...], int]
"""How often, by the hour and what else the table is keyed by."""


def position(connection: Connection, name: str) -> int:
    """The id up to which ``name`` is counted."""
    return connection.execute(select(count_marks.c.position).where(count_marks.c.name == name)).scalar() or 0


def looked_at(connection: Connection) -> datetime | None:
    """When the counting that looked longest ago did so; ``None`` where none has."""
    times = list(connection.execute(select(count_marks.c.looked_at)).scalars())
    return min(times) if times and None not in times else None


def look(connection: Connection, name: str, now: datetime) -> None:
    """Note that somebody looks whether there is something to count."""
    statement = insert(connection, count_marks).values(name=name, position=0, looked_at=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"looked_at": statement.excluded.looked_at})
    )


def move(connection: Connection, name: str, before: int, after: int) -> bool:
    """Whether the step from ``before`` is ours: of several who have read the same rows one counts them."""
    moved = update(count_marks).where(count_marks.c.name == name, count_marks.c.position == before)
    return bool(connection.execute(moved.values(position=after)).rowcount)


def activity_after(connection: Connection, after: int, until: datetime, limit: int) -> Sequence[Any]:
    """The next rows, in the order of their ids, as far as all before them are certain to be committed: up to the last
    that is older than ``until``."""
    named = (
        "id",
        "at",
        "campaign_id",
        "audience",
        "verb",
        "outcome",
        "cause",
        "email",
        "referral_factory_id",
        "code",
    )
    columns = [activity.c[name] for name in (*named, "fields")]
    rows = connection.execute(
        select(*columns).where(activity.c.id > after).order_by(activity.c.id).limit(limit)
    ).all()
    return _certain(rows, [row.at < until for row in rows])


def events_after(connection: Connection, after: int, until: datetime, limit: int) -> Sequence[Any]:
    """The next events, likewise. A webhook is kept as it is received; work of our own may be about something older,
    and is certainly old once it is settled."""
    named = (events.c.id, events.c.received_at.label("at"), events.c.source, events.c.origin, events.c.settled_at)
    rows = connection.execute(select(*named).where(events.c.id > after).order_by(events.c.id).limit(limit)).all()
    kept_at = [row.at if row.origin == _WEBHOOK else row.settled_at for row in rows]
    return _certain(rows, [at is not None and at < until for at in kept_at])


def _certain(rows: Sequence[Any], old: Sequence[bool]) -> Sequence[Any]:
    """Up to the last old one. Whoever got a lower id began before it, and has long ended."""
    return rows[: max((place + 1 for place, is_old in enumerate(old) if is_old), default=0)]


def by_hour_and_outcome(rows: Sequence[Any]) -> Hours:
    return Counter((_hour(row.at), row.verb, row.outcome) for row in rows)


def by_hour_and_source(rows: Sequence[Any]) -> Hours:
    return Counter((_hour(row.at), row.source) for row in rows if row.origin == _WEBHOOK)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def add_activity(connection: Connection, hours: Hours) -> None:
    _add(connection, activity_hours, ("hour", "verb", "outcome"), hours)


def add_events(connection: Connection, hours: Hours) -> None:
    _add(connection, event_hours, ("hour", "source"), hours)


def _add(connection: Connection, table: Table, keys: Sequence[str], hours: Hours) -> None:
    if not hours:
        return
    statement = insert(connection, table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(keys), set_={"count": table.c.count + statement.excluded.count}
        ),
        [{**dict(zip(keys, key, strict=True)), "count": count} for key, count in sorted(hours.items())],
    )


def stand(connection: Connection, found: Sequence[Standing]) -> None:
    """Keep how it stands with people: a cause that stood before stands since then, one that is gone is removed."""
    whom = [(one.who, one.verb) for one in found]
    if not whom:
        return
    theirs = tuple_(problems.c.who, problems.c.verb).in_(whom)
    known = connection.execute(select(problems).where(theirs)).all()
    there = _there(connection, {one.activity_id for one in found if one.since})
    new = {
        (one.who, one.verb, cause): {"since": since, "activity_id": one.activity_id}
        for one in found
        if one.activity_id in there
        for cause, since in one.since.items()
    }
    gone = [row.id for row in known if (row.who, row.verb, row.cause) not in new]
    if gone:
        connection.execute(delete(problems).where(problems.c.id.in_(gone)))
    if new:
        statement = insert(connection, problems)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["who", "verb", "cause"], set_={"activity_id": statement.excluded.activity_id}
            ),
            [{"who": who, "verb": verb, "cause": cause, **one} for (who, verb, cause), one in new.items()],
        )


def _there(connection: Connection, activity_ids: Collection[int]) -> frozenset[int]:
    """Those rows that nobody has removed meanwhile; nobody does until the transaction ends."""
    kept = select(activity.c.id).where(activity.c.id.in_(sorted(activity_ids))).order_by(activity.c.id)
    return frozenset(connection.execute(kept.with_for_update(read=True, key_share=True)).scalars())


def activity_since(connection: Connection, since: datetime, newest: int) -> Hours:
    """How often what was done, by hour and outcome: what was counted of the hours since then, and the first
    ``newest`` rows that came after the last count. One statement, so that none is missing or there twice."""
    keys = (activity_hours.c.hour, activity_hours.c.outcome)
    counted = select(*keys, func.sum(activity_hours.c.count)).where(activity_hours.c.hour >= since).group_by(*keys)
    after = _after(ACTIVITY, (activity.c.id, activity.c.at, activity.c.outcome), newest)
    told = select(after.c.at, after.c.outcome, literal(1))
    return _hours(connection, counted, told)


def events_since(connection: Connection, since: datetime, newest: int) -> Hours:
    """How many webhooks came, by hour and source; likewise."""
    columns = (event_hours.c.hour, event_hours.c.source, event_hours.c.count)
    after = _after(EVENTS, (events.c.id, events.c.received_at, events.c.source, events.c.origin), newest)
    webhooks = select(after.c.received_at, after.c.source, literal(1)).where(after.c.origin == _WEBHOOK)
    return _hours(connection, select(*columns).where(event_hours.c.hour >= since), webhooks)


def _after(name: str, columns: Sequence[Column[Any]], limit: int) -> Subquery:
    """The first rows beyond the mark; their id is the first of ``columns``."""
    mark = select(count_marks.c.position).where(count_marks.c.name == name).scalar_subquery()
    rows = select(*columns).where(columns[0] > func.coalesce(mark, 0)).order_by(columns[0]).limit(limit)
    return rows.subquery()


def _hours(connection: Connection, counted: Select[Any], newest: Select[Any]) -> Hours:
    found: Counter[tuple[Any, ...]] = Counter()
    for at, name, count in connection.execute(union_all(counted, newest)):
        found[_hour(at), name] += int(count)
    return found
