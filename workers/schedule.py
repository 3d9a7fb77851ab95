"""Work that recurs: each kind is done by one of all workers, whoever's turn it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sentry_sdk
import structlog

from app.storage import schedules
from app.storage.database import is_unreachable
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.read_campaign import read_campaigns
from app.usecases.services import Services
from app.usecases.sweep import refresh_catalogues, remove_old, sweep

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
    """Goes on for long, waiting for a vendor's answers: done beside the others, which would come late."""


RECURRING = (
    # Due events whose bell was lost, and dead workers' leases: within 60 s of lease, 90 s in all.
    Recurring("sweep", timedelta(seconds=2), sweep),
    Recurring("probe_circuits", timedelta(seconds=2), probe_circuits),
    Recurring("probe_connections", timedelta(minutes=5), probe_connections, apart=True),
    Recurring("refresh_catalogues", timedelta(minutes=15), refresh_catalogues, apart=True),
    Recurring("read_campaigns", timedelta(seconds=2), read_campaigns, apart=True),
    Recurring("remove_old", timedelta(hours=1), remove_old),
)


def keep_time(services: Services, stopping: threading.Event) -> None:
    """Until ``stopping`` is set. What is done apart is not waited for then: it can be cut short anywhere."""
    beside = threading.Thread(target=_keep, args=(services, stopping, True), name="clock-apart", daemon=True)
    beside.start()
    _keep(services, stopping, False)
    beside.join(PATIENCE_SECONDS)


def _keep(services: Services, stopping: threading.Event, apart: bool) -> None:
    mine = [recurring for recurring in RECURRING if recurring.apart is apart]
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
