"""Work that recurs: each kind is done by one of all workers, whoever's turn it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sentry_sdk
import structlog

from app.storage import schedules
from app.storage.database import is_unreachable
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.count_hours import count_hours
from app.usecases.erase_person import go_on_erasing
from app.usecases.read_campaign import read_campaigns
from app.usecases.reconcile_program import reconcile_programs
from app.usecases.reconcile_workspace import reconcile_workspaces
from app.usecases.run_pages import ring_for_pages
from app.usecases.services import Services
from app.usecases.sweep import refresh_catalogues, remove_old, remove_strangers, sweep
from app.usecases.tell_alerts import tell_alerts

TICK_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
"""How long a page that is being read may hold up the end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recurring:
    name: str
    every: timedelta
    work: Callable[[Services], object]
    apart: bool = False
    """Goes on for long, waiting for a vendor's answers: done in a thread of its own, beside the others, which would
    come late."""


RECURRING = (
    # Due events whose bell was lost, and dead workers' leases: within 60 s of lease, 90 s in all.
    Recurring("sweep", timedelta(seconds=2), sweep),
    # Pages of runs whose bell was lost, or that were put off until now.
    Recurring("ring_for_pages", timedelta(seconds=2), ring_for_pages),
    Recurring("probe_circuits", timedelta(seconds=2), probe_circuits),
    Recurring("probe_connections", timedelta(minutes=5), probe_connections, apart=True),
    Recurring("refresh_catalogues", timedelta(minutes=15), refresh_catalogues, apart=True),
    Recurring("read_campaigns", timedelta(seconds=2), read_campaigns, apart=True),
    # Whose turn it is, the turns of the connections say: RECONCILE_INTERVAL_SECONDS apart.
    Recurring("reconcile_intercom", timedelta(seconds=1), reconcile_workspaces, apart=True),
    Recurring("reconcile_programs", timedelta(seconds=1), reconcile_programs, apart=True),
    # Before old rows are removed: what happened is counted for the overview.
    Recurring("count_hours", timedelta(seconds=10), count_hours, apart=True),
    # What an erasure did not come to at once, in tables of millions.
    Recurring("go_on_erasing", timedelta(seconds=2), go_on_erasing, apart=True),
    # Troubles an operator is to know of; sending may take a while.
    Recurring("tell_alerts", timedelta(seconds=15), tell_alerts, apart=True),
    Recurring("remove_old", timedelta(hours=1), remove_old),
    Recurring("remove_strangers", timedelta(minutes=10), remove_strangers),
)


def keep_time(services: Services, stopping: threading.Event) -> None:
    """Until ``stopping`` is set. What is done apart is not waited for then: it can be cut short anywhere."""
    beside = [
        threading.Thread(target=_keep, args=(services, stopping, [one]), name=f"clock-{one.name}", daemon=True)
        for one in RECURRING
        if one.apart
    ]
    for thread in beside:
        thread.start()
    _keep(services, stopping, [one for one in RECURRING if not one.apart])
    until = time.monotonic() + PATIENCE_SECONDS
    for thread in beside:
        thread.join(max(0.0, until - time.monotonic()))


def _keep(services: Services, stopping: threading.Event, mine: Sequence[Recurring]) -> None:
    while not stopping.wait(TICK_SECONDS):
        for recurring in mine:
            if stopping.is_set():
                return
            run_if_due(services, recurring)


def run_if_due(services: Services, recurring: Recurring) -> bool:
    """Whether it was this worker's turn. One kind that fails does not keep the others from their turn."""
    try:
        now = services.now()
        with services.database.reading() as connection:
            if not schedules.is_due(connection, recurring.name, now):
                return False
        with services.database.writing() as connection:
            if not schedules.take_turn(connection, recurring.name, now, now + recurring.every):
                return False
        recurring.work(services)
    except Exception as error:
        if is_unreachable(error):
            log.warning("database_unreachable", work=recurring.name)
        else:
            sentry_sdk.capture_exception(error)
            log.exception("recurring_work_failed", work=recurring.name)
        return False
    return True
