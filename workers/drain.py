"""Draining the inbox: events are leased in batches, worked on by threads over kept-alive connections, and settled
in groups, until nothing is due.

One thread, the one that runs ``Drain.run``, talks to the database about leases; the others call the vendors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

import structlog

from app.storage import inbox
from app.usecases import process_event
from app.usecases.process_event import LEASE, Batch, Outcome
from app.usecases.services import Services

GROUP = 25
"""Events settled in one transaction at the most."""

LINGER_SECONDS = 0.01
"""How long a settled event waits for others to share its transaction, while more are on the way."""

HOLD_ON_SECONDS = LEASE.total_seconds() / 4

log = structlog.get_logger(__name__)


class Drain:
    """Works until nothing is due, ``stopping`` is set, or ``seconds`` have gone by; then finishes what it holds."""

    def __init__(
        self,
        services: Services,
        *,
        owner: str,
        threads: int,
        seconds: float,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._owner = owner
        self._threads = threads
        self._seconds = seconds
        self._stopping = stopping
        self._clock = clock
        self._done: SimpleQueue[Outcome] = SimpleQueue()
        self._held: dict[int, str | None] = {}
        self._held_on_at = clock()

    def run(self) -> int:
        """How many events were settled or given back."""
        settled, until = 0, self._clock() + self._seconds
        with ThreadPoolExecutor(self._threads, thread_name_prefix="drain") as pool:
            asked = True
            while asked or self._held:
                going_on = not self._stopping.is_set() and self._clock() < until
                asked = going_on and len(self._held) <= self._threads and self._claim(pool) > 0
                outcomes = self._gather()
                if outcomes:
                    process_event.settle(self._services, self._owner, outcomes)
                    for outcome in outcomes:
                        del self._held[outcome.event.id]
                    settled += len(outcomes)
                    asked = going_on
                self._hold_on()
        return settled

    def _claim(self, pool: ThreadPoolExecutor) -> int:
        """Twice as many events as threads at the most: so none waits for the database, and none waits long."""
        batch = process_event.claim(self._services, self._owner, 2 * self._threads - len(self._held))
        for event in batch.events:
            self._held[event.id] = event.person_key
            pool.submit(self._work, event, batch).add_done_callback(_raise)
        return len(batch.events)

    def _work(self, event: inbox.Event, batch: Batch) -> None:
        self._done.put(process_event.process(self._services, event, batch))

    def _gather(self) -> list[Outcome]:
        """What is done by now; some, if anything is on the way at all."""
        outcomes: list[Outcome] = []
        wait = HOLD_ON_SECONDS / 2 if self._held else 0.0
        while len(outcomes) < min(GROUP, len(self._held)):
            try:
                outcomes.append(self._done.get(timeout=wait) if wait else self._done.get_nowait())
            except Empty:
                break
            wait = LINGER_SECONDS
        return outcomes

    def _hold_on(self) -> None:
        """Keep the leases of what takes long: a slow vendor is no dead worker."""
        now = self._clock()
        if self._held and now - self._held_on_at > HOLD_ON_SECONDS:
            self._held_on_at = now
            with self._services.database.writing() as connection:
                inbox.extend(
                    connection,
                    self._owner,
                    list(self._held),
                    {key for key in self._held.values() if key},
                    self._services.now() + LEASE,
                )


def _raise(future: Future[None]) -> None:
    if future.exception() is not None:
        log.error("drain_thread_failed", exc_info=future.exception())
