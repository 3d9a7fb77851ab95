"""Runs over many people go on, page by page: whose turn it is, in how many threads, and until when."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta

import sentry_sdk
import structlog

from app.core.causes import Cause
from app.storage import syncs
from app.storage.database import is_unreachable
from app.storage.inbox import LEASE
from app.usecases.backfill_page import BackfillPage
from app.usecases.page_ahead import Ahead
from app.usecases.services import Services
from app.usecases.sync_page import SyncPage

AT_ONCE = 4
"""Runs whose pages are done side by side: what bounds one is mostly its own account's budget."""

PAGES_A_TURN = 20
"""Of one run; then another has its turn."""

LOOK_SECONDS = 0.5
SOON, SOON_LOOK_SECONDS = timedelta(seconds=1.5), 0.1
BROKEN_SECONDS = 300.0

PAGES: Mapping[str, type[SyncPage] | type[BackfillPage]] = {syncs.SYNC: SyncPage, syncs.BACKFILL: BackfillPage}
"""How the page of a run of each kind is done."""

log = structlog.get_logger(__name__)


def ring_for_pages(services: Services) -> bool:
    """Whether pages are due; then it is rung for them, should a bell have been lost."""
    with services.database.reading() as connection:
        due = bool(syncs.due(connection, services.now()))
    if due:
        services.bulk_bell.ring()
    return due


def do_due_pages(services: Services, *, stopping: threading.Event, seconds: float, threads: int) -> int:
    """Go on with all runs that are due, until none is, ``stopping`` is set, or ``seconds`` have gone by; how many
    pages were kept."""
    until, kept = time.monotonic() + seconds, 0
    going_on: dict[int, Future[int]] = {}
    with ThreadPoolExecutor(threads, "contacts") as crew, ThreadPoolExecutor(AT_ONCE, "pages") as desks:
        while True:
            if not stopping.is_set() and time.monotonic() < until:
                with services.database.reading() as connection:
                    due = syncs.due(connection, services.now())
                for sync_id in due:
                    if sync_id not in going_on and len(going_on) < AT_ONCE:
                        going_on[sync_id] = desks.submit(_do_pages, services, sync_id, crew, stopping, until)
            if not going_on:
                if stopping.is_set() or time.monotonic() >= until or not _is_due_soon(services):
                    return kept
                stopping.wait(SOON_LOOK_SECONDS)
                continue
            done, _ = wait(going_on.values(), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
            for sync_id in [one for one, future in going_on.items() if future in done]:
                kept += going_on.pop(sync_id).result()


def _is_due_soon(services: Services) -> bool:
    """The next ring may be seconds away."""
    with services.database.reading() as connection:
        return bool(syncs.due(connection, services.now() + SOON))


def _do_pages(
    services: Services, sync_id: int, crew: ThreadPoolExecutor, stopping: threading.Event, until: float
) -> int:
    """A few pages of a run; then another has its turn."""
    kept = 0

    def is_our_turn(more: int = 0) -> bool:
        return kept + more < PAGES_A_TURN and not stopping.is_set() and time.monotonic() < until

    ahead = Ahead(lambda: is_our_turn(1))
    while is_our_turn() or ahead.begun is not None:
        if not do_page(services, sync_id, crew, stopping, ahead):
            break
        kept += 1
    return kept


def do_page(
    services: Services,
    sync_id: int,
    crew: ThreadPoolExecutor,
    stopping: threading.Event,
    ahead: Ahead | None = None,
) -> bool:
    """The run's next page, if it is nobody else's; whether something was kept."""
    ahead = ahead or Ahead()
    turn = ahead.turn if ahead.begun is not None else None
    if turn is None:
        with services.database.writing() as connection:
            turn = syncs.take(connection, sync_id, services.now(), LEASE)
    if turn is None:
        return False
    with structlog.contextvars.bound_contextvars(sync_id=sync_id):
        try:
            return PAGES[turn.row.kind](services, turn, crew, stopping, ahead).do()
        except Exception as error:  # a bug in one run's page must not end the job, nor the other runs with it
            ahead.given_up()
            if is_unreachable(error):
                log.warning("database_unreachable", error=type(error).__name__)
                return False  # the lease runs out
            sentry_sdk.capture_exception(error)
            log.exception("page_failed")
            with services.database.writing() as connection:
                due_at = services.now() + timedelta(seconds=BROKEN_SECONDS)
                syncs.put_off(connection, turn, due_at, Cause.INTERNAL_ERROR)
            return False
