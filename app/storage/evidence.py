"""What a diagnosis looks at besides what the other modules find: bounded, and by indexes, however much there is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, DateTime, Row, Select, case, func, literal_column, select, union_all

from app.storage.inbox import OPEN
from app.storage.tables import (
    activity,
    erased_names,
    erasures,
    events,
    people,
    reconciles,
    schedules,
    segments,
    sync_outcomes,
    webhooks_heard,
)

DEAD_LOOKED_AT = 1000
"""Of the events that were given up, the newest: among them a person's are looked for."""

MOST_COUNTED = 1000
"""Beyond that a number says "at least"."""

OUTCOMES_LOOKED_AT = 100
"""Of a run's contacts that were left out, so many of the first and of the last, by outcome."""

_COLUMNS = [column for column in events.c if column.name != "payload"]


def _status(*statuses: str) -> Any:
    """Spelt as in the partial indexes: neither planner sees through a bound value."""
    return events.c.status.in_([literal_column(f"'{status}'") for status in statuses])


def events_of_person(
    connection: Connection, person_keys: Collection[str], event_ids: Collection[int], limit: int
) -> Sequence[Row[Any]]:
    """Those that are open or were given up under one of a person's keys, and those named; newest first, without
    their payloads."""
    newest = select(events.c.id).where(_status("dead")).order_by(events.c.id.desc()).limit(DEAD_LOOKED_AT)
    open_ones = select(events.c.id).where(_status(*OPEN), events.c.person_key.in_(person_keys)).limit(limit)
    dead = select(events.c.id).where(events.c.id.in_(newest), events.c.person_key.in_(person_keys)).limit(limit)
    named = select(events.c.id).where(events.c.id.in_(event_ids))
    mine = union_all(*(select(part.subquery().c.id) for part in (open_ones, dead, named)))
    query = select(*_COLUMNS).where(events.c.id.in_(mine))
    return connection.execute(query.order_by(events.c.id.desc()).limit(limit)).all()


def events_of_campaign(connection: Connection, campaign_id: int, workspace_id: int, limit: int) -> Sequence[Row[Any]]:
    """Of the newest that are open or were given up, those that concern a campaign, or its workspace as a whole;
    newest first, without their payloads."""
    parts = [
        select(events.c.id).where(_status(status)).order_by(events.c.id.desc()).limit(DEAD_LOOKED_AT).subquery()
        for status in (*OPEN, "dead")
    ]
    recent = union_all(*(select(part.c.id) for part in parts))
    of_workspace = (events.c.workspace_id == workspace_id) & events.c.campaign_id.is_(None)
    mine = (events.c.campaign_id == campaign_id) | of_workspace
    query = select(*_COLUMNS).where(events.c.id.in_(recent), mine)
    return connection.execute(query.order_by(events.c.id.desc()).limit(limit)).all()


def records_of(connection: Connection, campaign_id: int, email: str) -> Sequence[Row[Any]]:
    """A campaign's people of that address, as normalised; the oldest first."""
    theirs = people.c.campaign_id == campaign_id, people.c.audience.in_(("leads", "referrers"))
    query = select(people).where(*theirs, people.c.email == email)
    return connection.execute(query.order_by(people.c.id).limit(20)).all()


def erased_at(connection: Connection, digest: str) -> datetime | None:
    """When somebody of that digest was erased."""
    query = select(erasures.c.at).join(erased_names, erased_names.c.erasure_id == erasures.c.id)
    return connection.execute(query.where(erased_names.c.digest == digest)).scalar()


def before_setup(connection: Connection, campaign_id: int, audience: str) -> int:
    """How many joined before an audience was set up and were never sent; no more than ``MOST_COUNTED``."""
    before: ColumnElement[bool] = literal_column("joined_before_setup IS TRUE AND sent_received_at IS NULL")
    some = select(people.c.id).where(people.c.campaign_id == campaign_id, people.c.audience == audience, before)
    counted = select(func.count()).select_from(some.limit(MOST_COUNTED).subquery())
    return int(connection.execute(counted).scalar_one())


@dataclass(frozen=True, slots=True)
class FoundMissed:
    """What searches have found that no webhook had told: how much, and when last."""

    found: int
    last_at: datetime | None


def found_missed(connection: Connection, kind: str, connection_id: int, since: datetime) -> FoundMissed:
    theirs = reconciles.c.kind == kind, reconciles.c.connection_id == connection_id
    row = connection.execute(
        select(func.sum(reconciles.c.found), func.max(reconciles.c.started_at)).where(
            *theirs, reconciles.c.started_at >= since, reconciles.c.found > 0
        )
    ).one()
    return FoundMissed(int(row[0] or 0), row[1])


def left_out(connection: Connection, sync_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Of each run, some of the contacts that were skipped or failed: the first and the last of them."""
    parts = []
    for sync_id in sorted(sync_ids):
        for outcome in ("skipped", "failed"):
            mine = select(sync_outcomes.c.id).where(
                sync_outcomes.c.sync_id == sync_id, sync_outcomes.c.outcome == outcome
            )
            for order in (sync_outcomes.c.id, sync_outcomes.c.id.desc()):
                part = mine.order_by(order).limit(OUTCOMES_LOOKED_AT).subquery()
                parts.append(select(part.c.id))
    if not parts:
        return ()
    query = select(sync_outcomes).where(sync_outcomes.c.id.in_(union_all(*parts)))
    return connection.execute(query.order_by(sync_outcomes.c.id)).all()


def outcomes_of_contact(
    connection: Connection, sync_ids: Collection[int], email: str, contact_id: str | None
) -> Sequence[Row[Any]]:
    """What became of a contact in those runs, by its address or its id; the oldest first."""
    if not sync_ids:
        return ()
    of_runs = sync_outcomes.c.sync_id.in_(sorted(sync_ids))
    parts = [select(sync_outcomes.c.id).where(of_runs, sync_outcomes.c.email == email)]
    if contact_id is not None:
        parts.append(select(sync_outcomes.c.id).where(of_runs, sync_outcomes.c.subject == contact_id))
    query = select(sync_outcomes).where(sync_outcomes.c.id.in_(union_all(*parts)))
    return connection.execute(query.order_by(sync_outcomes.c.id).limit(200)).all()


def latest_deeds(connection: Connection, campaign_id: int, limit: int) -> Sequence[Row[Any]]:
    """A campaign's newest activity, newest first."""
    mine = select(activity).where(activity.c.campaign_id == campaign_id)
    return connection.execute(mine.order_by(activity.c.id.desc()).limit(limit)).all()


def fields_left_out(rows: Sequence[Row[Any]]) -> dict[tuple[str, str], int]:
    """How often each field was left out of people who were sent, by path and cause, among rows of activity."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.verb not in ("send", "write_back") or row.outcome not in ("created", "updated"):
            continue
        for field in row.fields:
            if field["cause"] is not None:
                key = (field["to"], field["cause"])
                counts[key] = counts.get(key, 0) + 1
    return counts


# Of the whole


def waiting_by_cause(connection: Connection) -> Sequence[Row[Any]]:
    """``status, cause, number, oldest``, of the oldest events that are not settled and the newest that were given
    up, ``DEAD_LOOKED_AT`` of each status."""
    parts = []
    for status in (*OPEN, "dead"):
        order = events.c.id.desc() if status == "dead" else events.c.id
        few = select(events.c.id).where(_status(status)).order_by(order).limit(DEAD_LOOKED_AT).subquery()
        parts.append(select(few.c.id))
    some = select(events.c.status, events.c.cause, events.c.received_at).where(events.c.id.in_(union_all(*parts)))
    looked_at = some.subquery()
    grouped: tuple[Any, ...] = (looked_at.c.status, looked_at.c.cause)
    query = select(*grouped, func.count().label("number"), func.min(looked_at.c.received_at).label("oldest"))
    return list(connection.execute(query.group_by(*grouped).order_by(*grouped)))


def joined_heard(connection: Connection, scopes: Mapping[str, int]) -> dict[int, datetime]:
    """When a webhook of somebody who joined came last, by what the scopes stand for."""
    mine = webhooks_heard.c.scope.in_(sorted(scopes)), webhooks_heard.c.topic == "joined"
    rows = connection.execute(select(webhooks_heard.c.scope, webhooks_heard.c.at).where(*mine))
    return {scopes[row.scope]: row.at for row in rows}


def missed_since(connection: Connection, since: datetime) -> Sequence[Row[Any]]:
    """``kind, connection_id, found, last_at`` of the searches of that time."""
    who = reconciles.c.kind, reconciles.c.connection_id
    last = func.max(case((reconciles.c.found > 0, reconciles.c.started_at)))
    counted: tuple[Any, ...] = (func.sum(reconciles.c.found).label("found"), last.label("last_at"))
    query: Select[Any] = select(*who, *counted)
    return connection.execute(query.where(reconciles.c.started_at >= since).group_by(*who).order_by(*who)).all()


def last_searches(connection: Connection) -> dict[tuple[str, int], str | None]:
    """Why the newest search of each connection did not come to its end, by kind and connection."""
    newest = select(func.max(reconciles.c.id)).group_by(reconciles.c.kind, reconciles.c.connection_id)
    since = select(func.max(reconciles.c.id) - MOST_COUNTED).scalar_subquery()
    recent = newest.where(reconciles.c.id > since)
    query = select(reconciles.c.kind, reconciles.c.connection_id, reconciles.c.cause)
    rows = connection.execute(query.where(reconciles.c.id.in_(recent)))
    return {(row.kind, row.connection_id): row.cause for row in rows}


def segment_ids(connection: Connection, workspace_ids: Collection[int]) -> set[tuple[int, str]]:
    """Workspace and id of every segment."""
    mine = segments.c.workspace_id.in_(sorted(workspace_ids))
    return {
        (row[0], row[1]) for row in connection.execute(select(segments.c.workspace_id, segments.c.id).where(mine))
    }


def due_at(connection: Connection, name: str) -> datetime | None:
    """When recurring work is due."""
    return connection.execute(select(schedules.c.due_at).where(schedules.c.name == name)).scalar()


def database_now(connection: Connection) -> datetime | None:
    """What the database's clock says; ``None`` for SQLite, which has none of its own."""
    if connection.dialect.name == "sqlite":
        return None
    return connection.execute(select(func.clock_timestamp(type_=DateTime(timezone=True)))).scalar()
