"""Somebody would rather not wait for the next search of what Intercom has not told."""

from __future__ import annotations

import structlog

from app.core.access import Change
from app.core.causes import CATALOGUE, Cause
from app.core.errors import InvalidRequest
from app.storage import audit_log, reconciles, workspaces
from app.usecases.services import Services

log = structlog.get_logger(__name__)


def start_reconcile(services: Services, workspace_id: int, asked_by: str) -> None:
    """Have a workspace's watched leads looked at as soon as can be. One that is going on is followed by another.

    Raises: InvalidRequest 404; 409 while the workspace is disconnected.
    """
    with services.database.writing() as connection:
        row = workspaces.get(connection, workspace_id)
        if row is None:
            raise InvalidRequest("There is no such workspace.", status=404, cause=Cause.NOT_FOUND)
        if row.state != workspaces.CONNECTED:
            cause = Cause(row.state_cause or Cause.WORKSPACE_DISCONNECTED)
            raise InvalidRequest(CATALOGUE[cause].explanation, status=409, cause=cause)
        now = services.now()
        reconciles.ask(connection, reconciles.INTERCOM, workspace_id, now)
        subject = f"workspace:{workspace_id}"
        audit_log.record(connection, now, asked_by, Change.RECONCILE_ASKED, subject, name=row.name)
    log.info("reconcile_asked", workspace_id=workspace_id, asked_by=asked_by)
