"""One worker process after its fork: its services, and what its jobs share."""

from __future__ import annotations

import os
import socket
import uuid

import redis
import structlog

from app.queue import BULK, DRAIN_SECONDS, LIVE, answer, ring_now
from app.storage import inbox, syncs
from app.storage.database import CACHE_KIB
from app.usecases.run_pages import do_due_pages
from app.wiring import Wired
from config.settings import Settings
from workers.drain import Drain
from workers.stop import Stop

log = structlog.get_logger(__name__)


class Process:
    """``stopping`` is set once the process was asked to end: what is in hand is finished, nothing more is taken."""

    def __init__(self, settings: Settings, *, cache_kib: int = CACHE_KIB) -> None:
        self.settings = settings
        self.wired = Wired(settings, threads=settings.worker_concurrency, cache_kib=cache_kib)
        self.stopping = Stop()
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def drain(self) -> int:
        """Answer the bell: work until nothing is due; ring for the next job where time was up before."""
        self._answer(LIVE)
        services = self.wired.services
        settled = Drain(
            services,
            owner=self._owner,
            threads=self.settings.worker_concurrency,
            seconds=DRAIN_SECONDS,
            stopping=self.stopping,
        ).run()
        with services.database.reading() as connection:
            due = inbox.is_any_due(connection, services.now())
        if due:
            ring_now(self.wired.store)
        return settled

    def pages(self) -> int:
        """Answer the bulk bell: do pages until none is due; ring for the next job where time was up before."""
        self._answer(BULK)
        services = self.wired.services
        kept = do_due_pages(
            services, stopping=self.stopping, seconds=DRAIN_SECONDS, threads=self.settings.worker_concurrency
        )
        with services.database.reading() as connection:
            due = syncs.due(connection, services.now())
        if due:
            ring_now(self.wired.store, BULK)
        return kept

    def _answer(self, name: str) -> None:
        try:
            answer(self.wired.store, name)
        except redis.RedisError:
            log.warning("bell_not_answered", queue=name)  # its mark runs out by itself


_current: Process | None = None


def become(process: Process) -> None:
    """Before the first job of this process."""
    global _current
    _current = process


def current() -> Process:
    if _current is None:
        raise RuntimeError("a job was called outside a worker process")
    return _current
