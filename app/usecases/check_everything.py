"""The check of the whole: every connection, what was set up against what there is today, queue, clock and disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import Row

from app.core.causes import Cause
from app.core.diagnosis import Check
from app.core.diagnosis.facts import Connection
from app.core.diagnosis.system import Campaign, Disk, Missed, SyncedSegment, System, Users, Waiting, examine
from app.core.syncs import Contacts
from app.storage import campaigns, circuits, evidence, heard, programs, syncs, workspaces
from app.usecases.gather_facts import ask_intercom, ask_referral_factory, program_of, workspace_of
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from schemas.syncs import sync_settings_from

MOST_CONNECTIONS, MOST_CAMPAIGNS = 50, 200

LATELY = timedelta(days=1)


def check_everything(services: Services, redis_answers: Callable[[], bool] | None = None) -> tuple[Check, ...]:
    """The checks of the whole installation, the most telling problem first. Each connection is asked for one cheap
    thing; nothing is written.

    Raises: sqlalchemy.exc.DBAPIError where the database is away.
    """
    system, spaces, accounts = _known(services)
    answers = redis_answers() if redis_answers is not None else None
    asks = answers is not False  # nobody knows what is left of the budgets
    found = replace(
        system,
        workspaces=[_asked(services, row, one) if asks else one for row, one in spaces],
        programs=[_asked_program(services, row, one) if asks else one for row, one in accounts],
        redis_answers=answers,
    )
    return examine(found)


Named = Sequence[tuple[Row[Any], Connection]]


def _known(services: Services) -> tuple[System, Named, Named]:
    """What is kept here, and the connections that are to be asked."""
    with services.database.reading() as connection:
        now = services.now()
        shut = circuits.open_names(connection)
        spaces = workspaces.page(connection, after=None, limit=MOST_CONNECTIONS)
        accounts = programs.page(connection, after=None, limit=MOST_CONNECTIONS)
        live = campaigns.page(connection, after=None, limit=MOST_CAMPAIGNS)
        setups = load_setups(connection, [row.id for row in live], now)
        scopes = {heard.campaign_scope(row.id): row.id for row in live}
        told = evidence.joined_heard(connection, scopes)
        system = System(
            now=now,
            campaigns=[_campaign(setup, told.get(setup.campaign_id)) for setup in setups.values()],
            missed=_missed(connection, services),
            intercom_heard=_heard(connection, [row.id for row in spaces]),
            segments=_segments(connection, [row.id for row in spaces]),
            waiting=[_waiting(row) for row in evidence.waiting_by_cause(connection)],
            users=[_users(row) for row in accounts if row.user_limit is not None],
            swept_due_at=evidence.due_at(connection, "sweep"),
            database_at=evidence.database_now(connection),
            disks=_disks(services),
        )
    return (
        system,
        [(row, workspace_of(row, shut)) for row in spaces],
        [(row, program_of(row, shut)) for row in accounts],
    )


def _asked(services: Services, row: Row[Any], one: Connection) -> Connection:
    return ask_intercom(services, row, one) if row.token is not None else one


def _asked_program(services: Services, row: Row[Any], one: Connection) -> Connection:
    return ask_referral_factory(services, row, one) if row.token is not None else one


def _campaign(setup: Setup, heard_at: datetime | None) -> Campaign:
    return Campaign(
        id=setup.campaign_id,
        name=setup.campaign_name,
        workspace_id=setup.workspace.id,
        program_id=setup.program.id,
        audiences=setup.audiences,
        rules=setup.rules,
        catalogue=setup.catalogue,
        heard_at=heard_at,
    )


def _heard(connection: Database, workspace_ids: Sequence[int]) -> dict[int, datetime]:
    """When a notification came last, by workspace."""
    scopes = {heard.workspace_scope(one): one for one in workspace_ids}
    return {scopes[scope]: at for scope, at in heard.last(connection, scopes).items()}


def _missed(connection: Database, services: Services) -> list[Missed]:
    rows = evidence.missed_since(connection, services.now() - LATELY)
    ended = evidence.last_searches(connection)
    return [
        Missed(
            row.kind, row.connection_id, int(row.found), row.last_at, _cause(ended.get((row.kind, row.connection_id)))
        )
        for row in rows
    ]


def _cause(name: str | None) -> Cause | None:
    return Cause(name) if name else None


def _segments(connection: Database, workspace_ids: Sequence[int]) -> list[SyncedSegment]:
    """Of the syncs that go on."""
    there = evidence.segment_ids(connection, workspace_ids)
    found = []
    for row in syncs.of_workspaces(connection, workspace_ids):
        settings = sync_settings_from(row.settings)
        if settings.contacts is Contacts.SEGMENT and settings.segment_id is not None:
            is_there = (row.workspace_id, settings.segment_id) in there
            found.append(SyncedSegment(row.id, row.campaign_id, settings.segment_id, is_there))
    return found


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(row.status, _cause(row.cause), row.number, row.oldest)


def _users(row: Row[Any]) -> Users:
    count = sum(row.user_counts.values()) if row.counted_at is not None else None
    return Users(row.id, row.name, row.user_limit, count, row.counted_at)


def _disks(services: Services) -> list[Disk]:
    """Where SQLite keeps its file; a PostgreSQL's disk is not ours to see."""
    file = services.database.engine.url.database
    if not services.database.on_sqlite or not file or not Path(file).exists():
        return []
    usage = shutil.disk_usage(Path(file).resolve().parent)
    return [Disk(str(Path(file).parent), usage.free, usage.total)]
