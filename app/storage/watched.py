"""Watched leads, and everybody else of a campaign, as a reconcile looks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, TextClause, func, literal_column, or_, select, text, update

from app.core.qualification import CLOSED, OPEN
from app.storage.tables import audience_readings, campaigns, people
from app.storage.tables.people import WATCHED

MOST_COUNTED = 10_000
"""No search is ever expected to be so many pages: more leads than this make no difference."""


def _watched() -> TextClause:
    """Spelt as in the partial indexes: neither planner sees through a bound value."""
    return text(WATCHED)


_HAS_CONTACT = or_(
    people.c.qualification_cause.is_(None), people.c.qualification_cause != literal_column("'contact_deleted'")
)
"""Whose contact is deleted for good is not asked for again."""


def count(connection: Connection, workspace_id: int, campaign_ids: Collection[int]) -> int:
    """How many leads of those campaigns of a workspace are watched; no more than ``MOST_COUNTED``."""
    some = _of_workspace(select(people.c.id), workspace_id, campaign_ids, 0).limit(MOST_COUNTED)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def page(
    connection: Connection, workspace_id: int, campaign_ids: Collection[int], after: int, limit: int
) -> Sequence[Row[Any]]:
    """Watched leads of those campaigns of a workspace, by id."""
    return connection.execute(_of_workspace(select(people), workspace_id, campaign_ids, after).limit(limit)).all()


def _of_workspace(query: Select[Any], workspace_id: int, campaign_ids: Collection[int], after: int) -> Select[Any]:
    theirs = people.c.workspace_id == workspace_id, people.c.campaign_id.in_(campaign_ids)
    return query.where(_watched(), *theirs, _HAS_CONTACT, people.c.id > after).order_by(people.c.id)


def live_campaigns(
    connection: Connection, *, workspace_id: int | None = None, program_id: int | None = None
) -> Sequence[Row[Any]]:
    """Those of a workspace, or of a program, that are not archived."""
    query = select(campaigns).where(campaigns.c.archived_at.is_(None)).order_by(campaigns.c.id)
    if workspace_id is not None:
        query = query.where(campaigns.c.workspace_id == workspace_id)
    if program_id is not None:
        query = query.where(campaigns.c.program_id == program_id)
    return connection.execute(query).all()


# Referral Factory's list


def whole_audiences(connection: Connection, campaign_ids: Collection[int]) -> frozenset[tuple[int, str]]:
    """Campaign and audience of those whose people were all read once."""
    mine = audience_readings.c.campaign_id.in_(campaign_ids)
    whole = audience_readings.c.ended_at.is_not(None), audience_readings.c.cause.is_(None)
    rows = connection.execute(
        select(audience_readings.c.campaign_id, audience_readings.c.audience).where(mine, *whole)
    )
    return frozenset((row.campaign_id, row.audience) for row in rows)


def known(
    connection: Connection,
    campaign_ids: Collection[int],
    referral_factory_ids: Collection[str],
    emails: Collection[str],
) -> Sequence[Row[Any]]:
    """Whoever is known of those campaigns under one of these names, in whatever audience; a query for each name."""
    found: dict[int, Row[Any]] = {}
    for column, names in ((people.c.email, emails), (people.c.referral_factory_id, referral_factory_ids)):
        if names:  # the indexes are by audience
            mine = people.c.campaign_id.in_(campaign_ids), people.c.audience.in_(("leads", "referrers"))
            found |= {row.id: row for row in connection.execute(select(people).where(*mine, column.in_(names)))}
    return list(found.values())


def note_swept(connection: Connection, person_ids: Iterable[int], reconcile_id: int) -> None:
    """These watched leads are still in Referral Factory's list."""
    ids = sorted(person_ids)
    if ids:
        connection.execute(update(people).where(people.c.id.in_(ids)).values(swept_in=reconcile_id))


def not_swept(
    connection: Connection,
    campaign_ids: Collection[int],
    reconcile_id: int,
    begun_at: datetime,
    after: int,
    limit: int,
) -> Sequence[Row[Any]]:
    """Watched leads that were there before a reconcile began and that its list has not named, by id.

    A query for each campaign, in the order of its index: of all together, PostgreSQL reads everybody.
    """
    missing = (
        _watched(),
        people.c.referral_factory_id.is_not(None),
        people.c.created_at < begun_at,
        people.c.swept_in.is_distinct_from(reconcile_id),
        people.c.id > after,
    )
    found: list[Row[Any]] = []
    for campaign_id in campaign_ids:
        query = select(people).where(people.c.campaign_id == campaign_id, *missing).order_by(people.c.id)
        found += connection.execute(query.limit(limit))
    return sorted(found, key=lambda row: row.id)[:limit]


def close(connection: Connection, person_ids: Iterable[int], cause: str, now: datetime) -> frozenset[int]:
    """End the watch over leads that are open still; whose has ended."""
    ids = sorted(person_ids)
    if not ids:
        return frozenset()
    still_open = people.c.id.in_(ids), people.c.qualification_state == OPEN
    ended = {"qualification_state": CLOSED, "qualification_cause": cause, "qualification_since": now}
    change = update(people).where(*still_open).values(ended | {"updated_at": now})
    return frozenset(connection.execute(change.returning(people.c.id)).scalars())
