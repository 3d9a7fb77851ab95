"""What people do to a run that is there: pause it, let it go on, end it, have it look at once.

A page that is under way meanwhile is finished, and its results are kept unless the run was cancelled. Who asked is
logged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.causes import CATALOGUE, Cause
from app.core.errors import InvalidRequest
from app.storage import audit_log, campaigns, syncs
from app.storage.syncs import CANCELLED, COMPLETED, FAILED, OVER, PAUSED, QUEUED, RUNNING, WATCHING
from app.usecases.services import Services
from app.usecases.start_sync import already_there, same_contacts

log = structlog.get_logger(__name__)

_WORDS = {
    QUEUED: "waits for its turn",
    RUNNING: "is running",
    PAUSED: "is paused",
    WATCHING: "is watching",
    COMPLETED: "is completed",
    CANCELLED: "was cancelled",
    FAILED: "has failed",
}


def known_sync(services: Services, sync_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        return _known(connection, sync_id)


def _known(connection: Connection, sync_id: int) -> Row[Any]:
    row = syncs.get(connection, sync_id)
    if row is None:
        raise InvalidRequest("There is no such run.", status=404, cause=Cause.NOT_FOUND)
    return row


def pause_sync(services: Services, sync_id: int, asked_by: str) -> None:
    """Raises: InvalidRequest 404; 409 for one that is paused or over."""
    _do(services, sync_id, "pause", asked_by, _paused)


def _paused(_connection: Connection, row: Row[Any], _now: datetime) -> dict[str, Any]:
    if row.state not in (QUEUED, RUNNING, WATCHING):
        raise _unfit(row, "can't be paused")
    return {"state": PAUSED}


def resume_sync(services: Services, sync_id: int, asked_by: str) -> None:
    """Goes on where it stopped; one that watched looks at once. One that has failed because its list began to repeat
    asks for the same page again.

    Raises: InvalidRequest 404; 409 for one that goes on or is over, and for an archived campaign.
    """
    _do(services, sync_id, "resume", asked_by, _resumed)


def _resumed(connection: Connection, row: Row[Any], now: datetime) -> dict[str, Any]:
    stopped = row.state == FAILED and row.cause == Cause.CURSOR_REPEATED
    if row.state != PAUSED and not stopped:
        raise _unfit(row, "can't be resumed")
    _refuse_archived(connection, row)
    if stopped:
        _refuse_another(connection, row)
        return {"state": RUNNING, "due_at": now, "seen_cursors": [], "finished_at": None, "cause": None}
    if row.started_at is None:
        return {"state": QUEUED, "due_at": now}
    if _is_between_looks(row):
        return {"state": WATCHING, "due_at": now}
    # Where nothing was put off, a moment to come is a lease: the page is in somebody's hands.
    under_way = row.due_at > now and row.cause is None
    return {"state": RUNNING, "due_at": row.due_at if under_way else now}


def _is_between_looks(row: Row[Any]) -> bool:
    """A look that is over has made everything known up to its beginning."""
    return row.known_until is not None and row.known_until >= row.begun_at


def _refuse_archived(connection: Connection, row: Row[Any]) -> None:
    campaign = campaigns.get(connection, row.campaign_id)
    if campaign is not None and campaign.archived_at is not None:
        explanation = CATALOGUE[Cause.CAMPAIGN_ARCHIVED].explanation
        raise InvalidRequest(explanation, status=409, cause=Cause.CAMPAIGN_ARCHIVED)


def _refuse_another(connection: Connection, row: Row[Any]) -> None:
    """One that is over may have been begun anew meanwhile."""
    for other in syncs.unfinished(connection, row.campaign_id):
        alike = (other.kind, other.audience, other.dry_run) == (row.kind, row.audience, row.dry_run)
        if alike and same_contacts(other.settings, row.settings):
            raise already_there(other)


def cancel_sync(services: Services, sync_id: int, asked_by: str) -> None:
    """For good; it also ends watching. What was done stays.

    Raises: InvalidRequest 404; 409 for one that is over.
    """
    _do(services, sync_id, "cancel", asked_by, _cancelled)


def _cancelled(_connection: Connection, row: Row[Any], now: datetime) -> dict[str, Any]:
    if row.state in OVER:
        raise _unfit(row, "can't be cancelled")
    return {"state": CANCELLED, "finished_at": now}


def run_sync(services: Services, sync_id: int, asked_by: str) -> None:
    """Have one that watches look at once.

    Raises: InvalidRequest 404; 409 for any other.
    """
    _do(services, sync_id, "run", asked_by, _run)


def _run(_connection: Connection, row: Row[Any], now: datetime) -> dict[str, Any]:
    if row.state == PAUSED:
        raise _unfit(row, "does not look now. Resume it")
    if row.state == COMPLETED and row.kind == syncs.SYNC and not row.dry_run:
        raise InvalidRequest(
            "This sync ran once and is completed. Make a new one, with the schedule “ongoing” if later contacts are "
            "to be added too.",
            status=409,
            cause=Cause.SYNC_IS_ONE_TIME,
        )
    if row.state != WATCHING:
        raise _unfit(row, "can't be run again. Make a new one" if row.state in OVER else "needs no start")
    return {"due_at": now}


def _do(
    services: Services,
    sync_id: int,
    what: str,
    asked_by: str,
    changed: Callable[[Connection, Row[Any], datetime], dict[str, Any]],
) -> None:
    with services.database.writing() as connection:
        state = _known(connection, sync_id).state
        syncs.change(connection, sync_id, [state], state=state)  # from here on nobody else moves it
        row = _known(connection, sync_id)
        columns = changed(connection, row, services.now())
        if not syncs.change(connection, sync_id, [row.state], **columns):
            raise _unfit(row, "has just changed. Look at it again")
        audit_log.record(
            connection,
            services.now(),
            asked_by,
            Change.SYNC_CONTROLLED,
            f"sync:{sync_id}",
            before={"state": row.state},
            after={"asked": what, "state": columns.get("state", row.state)},
        )
    log.info("sync_controlled", sync_id=sync_id, asked=what, asked_by=asked_by, state=row.state)
    services.bulk_bell.ring()


def _unfit(row: Row[Any], why: str) -> InvalidRequest:
    what = "backfill" if row.kind == syncs.BACKFILL else "sync"
    return InvalidRequest(f"This {what} {_WORDS[row.state]}, so it {why}.", status=409)
