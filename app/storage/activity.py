"""What was done for whom, or not done and why: newest first, for people to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from app.storage.many import put
from app.storage.tables import activity

SLACK = timedelta(hours=1)
"""By how much the order of ids and that of times may differ at the most: workers write at the same time."""

FILTERS = ("campaign_id", "sync_id", "email", "verb", "outcome", "cause")


def record(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        put(connection, insert(activity), rows)


def page(
    connection: Connection, filters: Mapping[str, Any], *, since: datetime | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """``filters`` is by the names of ``FILTERS``; the email as normalised."""
    query = select(activity).order_by(activity.c.id.desc()).limit(limit)
    for name, value in filters.items():
        query = query.where(activity.c[name] == value)
    if since is not None:
        # By ids, too: a page is read in their order, and would be read on to the very first row for want of more.
        near = select(activity.c.id).where(activity.c.at >= since - SLACK).order_by(activity.c.at).limit(1)
        query = query.where(activity.c.at >= since, activity.c.id >= near.scalar_subquery())
    if before is not None:
        query = query.where(activity.c.id < before)
    return connection.execute(query).all()


def of_person(
    connection: Connection,
    campaign_id: int,
    email: str | None,
    referral_factory_id: str | None,
    limit: int,
    *,
    before: int | None = None,
) -> Sequence[Row[Any]]:
    """One person's, newest first."""
    query = select(activity).where(activity.c.campaign_id == campaign_id)
    if before is not None:
        query = query.where(activity.c.id < before)
    mine = activity.c.email == email if email else activity.c.referral_factory_id == referral_factory_id
    return connection.execute(query.where(mine).order_by(activity.c.id.desc()).limit(limit)).all()


def of_event(connection: Connection, event_id: int, limit: int) -> Sequence[Row[Any]]:
    """What came of one event, oldest first."""
    return connection.execute(
        select(activity).where(activity.c.event_id == event_id).order_by(activity.c.id).limit(limit)
    ).all()


def remove_older(connection: Connection, before: datetime, limit: int) -> int:
    old = select(activity.c.id).where(activity.c.at < before).order_by(activity.c.at).limit(limit)
    return connection.execute(delete(activity).where(activity.c.id.in_(old))).rowcount
