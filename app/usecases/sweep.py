"""What is done again and again so that nothing stays behind: leases that ran out, bells that were lost, old rows."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.storage import activity, inbox
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
