"""What is done again and again so that nothing stays behind: leases that ran out, bells that were lost, attributes
and segments that changed in Intercom, old rows."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.core.errors import ApiError, InvalidRequest
from app.storage import activity, inbox, workspaces
from app.usecases.refresh_catalogue import refresh_workspace
from app.usecases.services import Services

REMOVED_AT_ONCE = 1000
"""Rows a transaction: a table of millions is cleaned in small bites, beside the webhooks."""

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
            given_back = inbox.give_back_expired(connection, now, len(services.retry_schedule) + 1)
        log.warning("leases_ran_out", events=given_back)
    with services.database.reading() as connection:
        due = inbox.is_any_due(connection, now)
    if due:
        services.bell.ring()
    return Swept(given_back, due)


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
    """Remove settled events and activity older than the retention; how many rows. Dead events stay."""
    before = services.now() - services.retention
    removed = 0
    for remove in (inbox.remove_settled, activity.remove_older):
        while True:
            with services.database.writing() as connection:
                gone = remove(connection, before, REMOVED_AT_ONCE)
            removed += gone
            if gone < REMOVED_AT_ONCE:
                break
    return removed
