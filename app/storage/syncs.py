"""Runs over many people: where each stands, and how far it has come.

A page is read, worked on and kept: its outcomes, the counts and the place of the next page are one transaction.
``steps`` only ever grows, so that who comes late with a page that another has done keeps nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, insert, literal_column, or_, select, update

from app.core.identity import value_digest
from app.storage.tables import campaigns, segments, sync_outcomes, syncs
from app.storage.tables import programs as program_rows
from app.storage.tables import workspaces as workspace_rows

SYNC, BACKFILL = "sync", "backfill"

QUEUED, RUNNING, PAUSED, WATCHING = "queued", "running", "paused", "watching"
COMPLETED, CANCELLED, FAILED = "completed", "cancelled", "failed"
OVER = (COMPLETED, CANCELLED, FAILED)
GOING_ON = (QUEUED, RUNNING, WATCHING)

WATCHING_UNLESS_PAUSED = case((syncs.c.state == PAUSED, PAUSED), else_=WATCHING)
"""Between two looks; one that was paused during the last stays so."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a page came to, or a run until now."""

    looked_at: int = 0
    added: int = 0
    existing: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    written_back: int = 0


COUNTS = tuple(field.name for field in fields(Progress))


@dataclass(frozen=True, slots=True)
class Turn:
    """A run about to do its next page. ``row`` is as it was taken; ``settings`` are in it."""

    row: Row[Any]

    @property
    def steps(self) -> int:
        return int(self.row.steps)

    def repeats(self, cursor: str) -> bool:
        """Whether this page was asked for already: the list leads in a circle."""
        return digest_of(cursor) in self.cursors

    @property
    def cursors(self) -> list[str]:
        """Digests of all pages that were asked for, this one included."""
        here = [digest_of(self.row.cursor)] if self.row.cursor is not None else []
        return [*self.row.seen_cursors, *here]


def digest_of(cursor: str) -> str:
    """Short: a run of thousands of pages keeps one for each."""
    return value_digest(cursor)[:16]


def add(connection: Connection, now: datetime, **columns: Any) -> int:
    """A run that begins as soon as can be."""
    counts = dict.fromkeys(COUNTS, 0)
    start = {"state": QUEUED, "created_at": now, "due_at": now, "look": 0, "seen_cursors": [], "position": 0}
    values = {**counts, **start, "steps": 0, "busy_seconds": 0.0, **columns}
    return int(connection.execute(insert(syncs).values(values).returning(syncs.c.id)).scalar_one())


def get(connection: Connection, sync_id: int) -> Row[Any] | None:
    return connection.execute(select(syncs).where(syncs.c.id == sync_id)).first()


def page(
    connection: Connection,
    *,
    campaign_id: int | None,
    state: str | None = None,
    kind: str | None = None,
    before: int | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Newest first."""
    query = select(syncs).order_by(syncs.c.id.desc()).limit(limit)
    for column, value in ((syncs.c.campaign_id, campaign_id), (syncs.c.state, state), (syncs.c.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    return connection.execute(query if before is None else query.where(syncs.c.id < before)).all()


def not_over(connection: Connection, campaign_id: int, limit: int) -> Sequence[Row[Any]]:
    """Runs of a campaign that are not over, newest first. To be looked at: it keeps nobody from beginning another."""
    mine = syncs.c.campaign_id == campaign_id, syncs.c.state.not_in(OVER)
    return connection.execute(select(syncs).where(*mine).order_by(syncs.c.id.desc()).limit(limit)).all()


def last_foreseen(connection: Connection, campaign_id: int, audience: str) -> Row[Any] | None:
    """The newest dry run of a backfill of that audience, however it stands."""
    mine = syncs.c.campaign_id == campaign_id, syncs.c.kind == BACKFILL, syncs.c.audience == audience
    newest = select(syncs).where(*mine, syncs.c.dry_run.is_(True)).order_by(syncs.c.id.desc()).limit(1)
    return connection.execute(newest).first()


def segment_names(connection: Connection, rows: Iterable[Row[Any]]) -> dict[int, str]:
    """By run the name of the segment it is of; those that are in no workspace's list any more are left out."""
    named = {row.id: (row.workspace_id, row.settings.get("segment_id")) for row in rows}
    wanted = {segment_id for _, segment_id in named.values() if segment_id}
    if not wanted:
        return {}
    theirs = segments.c.workspace_id.in_({one for one, _ in named.values()}), segments.c.id.in_(wanted)
    known = {(one.workspace_id, one.id): one.name for one in connection.execute(select(segments).where(*theirs))}
    return {sync_id: known[key] for sync_id, key in named.items() if key in known}


def of_workspaces(connection: Connection, workspace_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Real syncs that are going on, oldest first: few, whatever the table holds."""
    if not workspace_ids:
        return ()
    mine = syncs.c.workspace_id.in_(workspace_ids), _going_on(), syncs.c.kind == SYNC, syncs.c.dry_run.is_(False)
    return connection.execute(select(syncs).where(*mine).order_by(syncs.c.id)).all()


def unfinished(connection: Connection, campaign_id: int) -> Sequence[Row[Any]]:
    """Runs of a campaign that are not over, paused and dry ones included, oldest first. Who else asks waits until the
    transaction ends, so that a run is begun only where none like it is there."""
    campaign = select(campaigns.c.id).where(campaigns.c.id == campaign_id)
    connection.execute(campaign.with_for_update(key_share=True))
    mine = syncs.c.campaign_id == campaign_id, syncs.c.state.not_in(OVER)
    return connection.execute(select(syncs).where(*mine).order_by(syncs.c.id)).all()


def synced_campaigns(connection: Connection, campaign_ids: Collection[int]) -> frozenset[int]:
    """Those of which a sync was begun that has made referrers, or may."""
    if not campaign_ids:
        return frozenset()
    real = syncs.c.kind == SYNC, syncs.c.dry_run.is_(False), syncs.c.state != QUEUED
    found = select(syncs.c.campaign_id).where(syncs.c.campaign_id.in_(campaign_ids), *real).distinct()
    return frozenset(connection.execute(found).scalars())


def of_person(connection: Connection, person_id: int) -> Sequence[Row[Any]]:
    """The real syncs that came upon the person, oldest first."""
    theirs = select(sync_outcomes.c.sync_id).where(sync_outcomes.c.person_id == person_id)
    real = syncs.c.id.in_(theirs), syncs.c.kind == SYNC, syncs.c.dry_run.is_(False)
    return connection.execute(select(syncs).where(*real).order_by(syncs.c.id)).all()


def by_ids(connection: Connection, sync_ids: Collection[int]) -> dict[int, Row[Any]]:
    if not sync_ids:
        return {}
    return {row.id: row for row in connection.execute(select(syncs).where(syncs.c.id.in_(sync_ids)))}


def _going_on() -> ColumnElement[bool]:
    """Spelt as in the partial indexes."""
    return syncs.c.state.in_([literal_column(f"'{state}'") for state in GOING_ON])


# Step by step


def due(connection: Connection, now: datetime) -> list[int]:
    """Runs with a page to be done now, the longest waiting first. Those of lost connections wait."""
    rows = connection.execute(
        select(syncs.c.id)
        .join(workspace_rows, workspace_rows.c.id == syncs.c.workspace_id)
        .join(program_rows, program_rows.c.id == syncs.c.program_id)
        .where(
            _going_on(),
            syncs.c.due_at <= now,
            workspace_rows.c.state == "connected",
            program_rows.c.state == "connected",
        )
        .order_by(syncs.c.due_at)
    )
    return list(rows.scalars())


def take(connection: Connection, sync_id: int, now: datetime, lease: timedelta) -> Turn | None:
    """The run's next page, for one of all who ask until ``lease`` is over. A look begins where none is going on."""
    mine = syncs.c.id == sync_id, _going_on(), syncs.c.due_at <= now
    taken = update(syncs).where(*mine).values(due_at=now + lease, cause=None)
    row = connection.execute(taken.returning(*syncs.c)).first()
    if row is None:
        return None
    if row.state == RUNNING:
        return Turn(row)
    fresh = {
        "state": RUNNING,
        "look": row.look + 1,
        "begun_at": now,
        "started_at": row.started_at or now,
        "cursor": None,
        "seen_cursors": [],
        "position": 0,
    }
    begun = update(syncs).where(syncs.c.id == sync_id).values(fresh).returning(*syncs.c)
    return Turn(connection.execute(begun).one())


def extend(connection: Connection, turn: Turn, until: datetime) -> None:
    """Hold on to a page that takes long."""
    connection.execute(update(syncs).where(_still(turn)).values(due_at=until))


def is_still(connection: Connection, turn: Turn) -> bool:
    """Whether nobody else has done this page, nor ended the run; it stays so until the transaction ends."""
    return connection.execute(select(syncs.c.id).where(_still(turn)).with_for_update()).first() is not None


def standing(connection: Connection, turn: Turn) -> Row[Any] | None:
    """The run where nobody else has done this page, be it ended or not; it stays so until the transaction ends. What
    was done of the page is kept also of a run that was cancelled meanwhile."""
    return connection.execute(select(syncs).where(_same_step(turn)).with_for_update()).first()


def _same_step(turn: Turn) -> ColumnElement[bool]:
    return and_(syncs.c.id == turn.row.id, syncs.c.steps == turn.steps)


def _still(turn: Turn) -> ColumnElement[bool]:
    return and_(_same_step(turn), syncs.c.state.not_in(OVER))


def keep(
    connection: Connection,
    turn: Turn,
    progress: Progress,
    *,
    busy_seconds: float,
    due_at: datetime,
    moved: Mapping[str, Any] | None = None,
) -> Turn:
    """A page is kept; the next turn, whoever's that will be. ``moved`` has the columns of where it goes on; without
    it the page is done again, for the rest of it. A run that was paused or ended meanwhile stays so, unless ``moved``
    says otherwise. The caller has seen to it that the turn ``is_still`` the run's."""
    sums = {name: syncs.c[name] + getattr(progress, name) for name in COUNTS}
    values = {**sums, "busy_seconds": syncs.c.busy_seconds + busy_seconds, "due_at": due_at, **(moved or {})}
    kept = update(syncs).where(_same_step(turn)).values(steps=turn.steps + 1, **values)
    return Turn(connection.execute(kept.returning(*syncs.c)).one())


def put_off(connection: Connection, turn: Turn, due_at: datetime, cause: str | None) -> None:
    """The page could not be done, and is done later."""
    connection.execute(update(syncs).where(_still(turn)).values(due_at=due_at, cause=cause))


def count(connection: Connection, sync_id: int, outcomes: Sequence[str], *, instead_of: Sequence[str] = ()) -> None:
    """Count what became of people outside a page; ``instead_of`` is what was counted of the same before."""
    sums = {name: outcomes.count(name) - instead_of.count(name) for name in COUNTS}
    sums["looked_at"] = len(outcomes) - len(instead_of)
    values = {name: syncs.c[name] + number for name, number in sums.items() if number}
    if values:
        connection.execute(update(syncs).where(syncs.c.id == sync_id).values(values))


def add_progress(connection: Connection, sync_id: int, progress: Progress) -> None:
    """Count what was done beside the pages, told by a webhook."""
    sums = {name: syncs.c[name] + getattr(progress, name) for name in COUNTS if getattr(progress, name)}
    if sums:
        connection.execute(update(syncs).where(syncs.c.id == sync_id).values(sums))


# What people do to it


def change(connection: Connection, sync_id: int, states: Collection[str], **columns: Any) -> bool:
    """Change a run that is in one of ``states``; false where it is not."""
    mine = syncs.c.id == sync_id, syncs.c.state.in_(states)
    return bool(connection.execute(update(syncs).where(*mine).values(columns)).rowcount)


def wake(
    connection: Connection, now: datetime, *, workspace_id: int | None = None, program_id: int | None = None
) -> None:
    """What was put off goes on at once, for the connection is back. A page under way is nobody else's meanwhile."""
    theirs = or_(syncs.c.workspace_id == workspace_id, syncs.c.program_id == program_id)
    put_off = theirs, _going_on(), syncs.c.cause.is_not(None), syncs.c.due_at > now
    connection.execute(update(syncs).where(*put_off).values(due_at=now))
