"""What became of each contact of a run, in a backfill of each person: one row, however often it is looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from app.storage.database import insert
from app.storage.many import among, put
from app.storage.tables import sync_outcomes, syncs

PENDING = "pending"
"""A call is under way, and its answer may never come: who comes next looks before calling again."""

LISTED = "listed"
"""Nobody's outcome: in a dry run a referrer of whom only Referral Factory's list tells, to be found by email."""

UNTOLD = (PENDING, LISTED)

ADDED, EXISTING, UPDATED, SKIPPED, FAILED = "added", "existing", "updated", "skipped", "failed"


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """``subject`` is the contact's id, or ``person:<id>`` in a backfill; ``values_digest`` is of the mapped values as
    they were carried over."""

    sync_id: int
    subject: str
    outcome: str
    email: str | None = None
    contact_id: str | None = None
    person_id: int | None = None
    cause: str | None = None
    detail: str | None = None
    values_digest: str | None = None


def of_subjects(connection: Connection, sync_id: int, subjects: Collection[str]) -> dict[str, Row[Any]]:
    """What became of those until now, pending ones included."""
    mine = sync_outcomes.c.sync_id == sync_id, among(sync_outcomes.c.subject, subjects)
    return {row.subject: row for row in connection.execute(select(sync_outcomes).where(*mine))}


def of_contacts(
    connection: Connection, sync_ids: Collection[int], contact_ids: Collection[str]
) -> Sequence[Row[Any]]:
    """What became of those contacts in those syncs."""
    if not sync_ids or not contact_ids:
        return ()
    theirs = among(sync_outcomes.c.sync_id, sync_ids), among(sync_outcomes.c.subject, contact_ids)
    return connection.execute(select(sync_outcomes).where(*theirs)).all()


def of_emails(connection: Connection, sync_id: int, emails: Collection[str]) -> Sequence[Row[Any]]:
    """Of those addresses, as normalised."""
    mine = sync_outcomes.c.sync_id == sync_id, among(sync_outcomes.c.email, emails)
    return connection.execute(select(sync_outcomes).where(*mine)).all()


def of_person(connection: Connection, person_id: int, limit: int) -> Sequence[Row[Any]]:
    """What became of one person in runs, the latest first, each with the run's ``kind``; not what a dry run foresees,
    nor what is under way."""
    query = select(sync_outcomes, syncs.c.kind).join(syncs, syncs.c.id == sync_outcomes.c.sync_id)
    real = syncs.c.dry_run.is_(False), sync_outcomes.c.outcome.not_in(("pending", "listed"))
    query = query.where(sync_outcomes.c.person_id == person_id, *real)
    return connection.execute(query.order_by(sync_outcomes.c.at.desc(), sync_outcomes.c.id.desc()).limit(limit)).all()


def older_of(
    connection: Connection, sync_id: int, cause: str, *, before: datetime, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Those with a cause that were told before a time, in the order of their first look, from behind ``after``."""
    mine = sync_outcomes.c.sync_id == sync_id, sync_outcomes.c.cause == cause, sync_outcomes.c.id > after
    query = select(sync_outcomes).where(*mine, sync_outcomes.c.at < before)
    return connection.execute(query.order_by(sync_outcomes.c.id).limit(limit)).all()


def save(connection: Connection, outcomes: Sequence[SyncOutcome], now: datetime) -> None:
    """Make or replace."""
    if not outcomes:
        return
    statement = insert(connection, sync_outcomes)
    names = [name for name in SyncOutcome.__slots__ if name not in ("sync_id", "subject")]
    statement = statement.on_conflict_do_update(
        index_elements=["sync_id", "subject"],
        set_={name: statement.excluded[name] for name in (*names, "at")},
    )
    rows = {(one.sync_id, one.subject): {n: getattr(one, n) for n in SyncOutcome.__slots__} for one in outcomes}
    # In one order, so that two who keep several can't wait for each other.
    put(connection, statement, [{**rows[key], "at": now} for key in sorted(rows)])


def note_listed(connection: Connection, sync_id: int, emails: Collection[str], now: datetime) -> None:
    """Referrers of the campaign by Referral Factory's list, for a dry run; addresses as normalised."""
    listed = [SyncOutcome(sync_id, f"{LISTED}:{email}", LISTED, email) for email in emails]
    save(connection, listed, now)


def forget_listed(connection: Connection, sync_id: int, limit: int) -> int:
    """Remove up to ``limit`` of what a dry run has noted; how many."""
    mine = sync_outcomes.c.sync_id == sync_id, sync_outcomes.c.outcome == LISTED
    few = select(sync_outcomes.c.id).where(*mine).limit(limit)
    return connection.execute(delete(sync_outcomes).where(sync_outcomes.c.id.in_(few))).rowcount


def forget(connection: Connection, sync_id: int, subjects: Collection[str]) -> None:
    """Of those nothing was done after all."""
    if subjects:
        mine = sync_outcomes.c.sync_id == sync_id, among(sync_outcomes.c.subject, subjects)
        connection.execute(delete(sync_outcomes).where(*mine, sync_outcomes.c.outcome == PENDING))


def page(
    connection: Connection,
    sync_id: int,
    *,
    outcome: str | None = None,
    cause: str | None = None,
    email: str | None = None,
    after: int | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """In the order of their first look; pending ones are nobody's business yet. ``email`` as normalised."""
    query = select(sync_outcomes).where(sync_outcomes.c.sync_id == sync_id, sync_outcomes.c.outcome.not_in(UNTOLD))
    if email is not None:
        query = query.where(sync_outcomes.c.email == email)
    for column, value in ((sync_outcomes.c.outcome, outcome), (sync_outcomes.c.cause, cause)):
        if value is not None:
            # SQLite would take the index of the many that have the outcome, and leave that of the one email.
            compared = column if email is None else func.coalesce(column, "")
            query = query.where(compared == value)
    if after is not None:
        query = query.where(sync_outcomes.c.id > after)
    return connection.execute(query.order_by(sync_outcomes.c.id).limit(limit)).all()


def causes(connection: Connection, sync_id: int) -> list[str]:
    """Every cause that there is among the outcomes of a run, in order. Each is found by one step in the index,
    however many outcomes have it."""
    least = select(func.min(sync_outcomes.c.cause).label("cause")).where(sync_outcomes.c.sync_id == sync_id)
    found = least.cte("found", recursive=True)
    following = (
        select(func.min(sync_outcomes.c.cause))
        .where(sync_outcomes.c.sync_id == sync_id, sync_outcomes.c.cause > found.c.cause)
        .correlate(found)
        .scalar_subquery()
    )
    found = found.union_all(select(following).where(found.c.cause.is_not(None)))
    return [cause for cause in connection.execute(select(found.c.cause)).scalars() if cause is not None]


def remove_imagined(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` outcomes of dry runs that were over before a time; what really was done stays."""
    old = (
        select(sync_outcomes.c.id)
        .join(syncs, syncs.c.id == sync_outcomes.c.sync_id)
        .where(syncs.c.dry_run.is_(True), syncs.c.finished_at < before)
        .limit(limit)
    )
    return connection.execute(delete(sync_outcomes).where(sync_outcomes.c.id.in_(old))).rowcount
