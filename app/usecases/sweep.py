"""What is done again and again so that nothing stays behind: leases that ran out, bells that were lost, attributes
and segments that changed in Intercom, old rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.core.access import LASTS
from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest
from app.storage import (
    activity,
    erasures,
    event_list,
    inbox,
    reconciles,
    sessions,
    sign_in_attempts,
    sync_outcomes,
    workspaces,
)
from app.usecases import backfill_outcomes
from app.usecases.outcomes import settling
from app.usecases.refresh_catalogue import refresh_workspace
from app.usecases.services import Services

REMOVED_AT_ONCE = 1000
"""Rows a transaction: a table of millions is cleaned in small bites, beside the webhooks."""

STRANGERS_KEPT = timedelta(hours=3)
"""Intercom delivers a notification again for up to two hours; its row is what tells that it is the same."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    given_back: int
    due: bool


def sweep(services: Services) -> Swept:
    """Give back what dead workers left, and ring where work is due: a lost Redis costs time, never an event."""
    now = services.now()
    with services.database.reading() as connection:
        expired = inbox.has_expired(connection, now)
    given_back = 0
    if expired:
        with services.database.writing() as connection:
            given_back = _give_back(connection, now, len(services.retry_schedule) + 1)
        log.warning("leases_ran_out", events=given_back)
    with services.database.reading() as connection:
        due = inbox.is_any_due(connection, now)
    if due:
        services.bell.ring()
    return Swept(given_back, due)


def _give_back(connection: Connection, now: datetime, most_attempts: int) -> int:
    """How many events are due again, or dead: of those the backfills that sent them say so."""
    dead = inbox.beyond_attempts(connection, now, most_attempts)
    given_back = inbox.give_back_expired(connection, now, most_attempts)
    settled = [(event, settling(event, "dead", Cause.INTERNAL_ERROR), ()) for event in dead]
    backfill_outcomes.tell(connection, settled, now)
    return given_back


def refresh_catalogues(services: Services) -> int:
    """Read the attributes and segments of every connected workspace anew; how many could be read."""
    with services.database.reading() as connection:
        connected = workspaces.connected(connection)
    refreshed = 0
    for workspace in connected:
        try:
            refresh_workspace(services, workspace.id)
            refreshed += 1
        except (ApiError, InvalidRequest) as error:
            # One that is away keeps what was read last; a refused token shows at the next write.
            log.warning("catalogue_not_refreshed", workspace_id=workspace.id, error=str(error))
    return refreshed


def remove_old(services: Services) -> int:
    """Remove settled events, activity, reconciles and what dry runs told that are older than the retention, and
    sign-ins that nobody can use any more; how many rows. Dead events stay."""
    before = services.now() - services.retention
    tables = (
        event_list.remove_settled,
        activity.remove_older,
        reconciles.remove_older,
        sync_outcomes.remove_imagined,
        erasures.remove_events,
    )
    removed = sum(_remove(services, remove, before) for remove in tables)
    ended = (sessions.remove_older, sign_in_attempts.remove_older)
    return removed + sum(_remove(services, remove, services.now() - LASTS) for remove in ended)


def remove_strangers(services: Services) -> int:
    """Remove events about contacts who are nobody of ours, long before the others; how many."""
    return _remove(services, event_list.remove_strangers, services.now() - STRANGERS_KEPT)


def _remove(services: Services, remove: Callable[[Connection, datetime, int], int], before: datetime) -> int:
    removed = 0
    while True:
        with services.database.writing() as connection:
            gone = remove(connection, before, REMOVED_AT_ONCE)
        removed += gone
        if gone < REMOVED_AT_ONCE:
            return removed
