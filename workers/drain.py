"""Draining the inbox: events are leased in batches, worked on by threads over kept-alive connections, and settled
in groups, until nothing is due, nor will be in a moment.

One thread, the one that runs ``Drain.run``, talks to the database about leases; the others call the vendors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import DBAPIError

from app.storage import inbox
from app.storage.database import is_unreachable
from app.storage.inbox import Event
from app.usecases import process_event
from app.usecases.process_event import LEASE, Batch, Outcome
from app.usecases.services import Services

GROUP = 50
"""Events settled in one transaction at the most."""

LINGER_SECONDS = 0.1
"""How long what is done waits for others to share its transaction, while more are on the way: settling many costs
little more than settling one."""

ENOUGH, MOST = 1.5, 2
"""How many events a thread are held at the most when more are asked for, and afterwards. Some of them are done and
wait to be settled: while that goes on no thread is to run out of work, nor is an event to wait long for one."""

LOOK_SECONDS = 0.25
"""How soon a drain whose events take long sees that others have come, or that it is to stop."""

SOON = timedelta(seconds=1.5)
"""What becomes due within this time is waited for: the next sweep would come late for it."""

SOON_LOOK_SECONDS = 0.05
"""How often is looked meanwhile, for webhooks that come in this time are not to wait."""

HOLD_ON_SECONDS = LEASE.total_seconds() / 4

log = structlog.get_logger(__name__)


class Drain:
    """Works until nothing is due or soon will be, ``stopping`` is set, or ``seconds`` have gone by; then finishes
    what was begun and gives back the rest."""

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
        self._held: dict[int, tuple[Event, Future[None]]] = {}
        self._unsettled: list[Outcome] = []
        self._held_on_at = self._database_seen_at = clock()

    def run(self) -> int:
        """How many events were settled.

        Raises: DBAPIError where the database is away for longer than a lease; the leases have run out then.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="drain")
        try:
            return self._drain(pool)
        finally:
            pool.shutdown(cancel_futures=True)

    def _drain(self, pool: ThreadPoolExecutor) -> int:
        settled, until = 0, self._clock() + self._seconds
        asked = True
        while asked or self._held or self._wait_for_more(until):
            going_on = not self._stopping.is_set() and self._clock() < until
            try:
                if not going_on:
                    self._give_back()
                asked = going_on and len(self._held) <= ENOUGH * self._threads and self._claim(pool) > 0
                self._gather()
                if count := self._settle():
                    settled += count
                    asked = going_on
                self._hold_on()
                self._database_seen_at = self._clock()
            except DBAPIError as error:
                asked = False
                self._wait_for_database(error)
        return settled

    def _wait_for_more(self, until: float) -> bool:
        """Out of work: whether something becomes due so soon that it is worth looking again."""
        if self._stopping.is_set() or self._clock() >= until:
            return False
        with self._services.database.reading() as connection:
            soon = inbox.is_any_due(connection, self._services.now() + SOON)
        return soon and not self._stopping.wait(SOON_LOOK_SECONDS)

    def _claim(self, pool: ThreadPoolExecutor) -> int:
        batch = process_event.claim(self._services, self._owner, MOST * self._threads - len(self._held))
        for event in batch.events:
            self._held[event.id] = event, pool.submit(self._work, event, batch)
        return len(batch.events)

    def _work(self, event: Event, batch: Batch) -> None:
        try:
            outcome = process_event.process(self._services, event, batch)
        except BaseException as error:  # noqa: BLE001 - whatever it is, an event without an outcome is held for ever
            outcome = process_event.failed(event, error)
        self._done.put(outcome)

    def _gather(self) -> None:
        """What is done by now; some, if it comes soon."""
        until = time.monotonic() + (LOOK_SECONDS if self._held and not self._unsettled else 0.0)
        while len(self._unsettled) < min(GROUP, len(self._held)):
            wait = until - time.monotonic()
            try:
                self._unsettled.append(self._done.get(timeout=wait) if wait > 0 else self._done.get_nowait())
            except Empty:
                break
            if len(self._unsettled) == 1:
                until = time.monotonic() + LINGER_SECONDS

    def _settle(self) -> int:
        """How many were settled. What can't be settled because the database is away is kept for the next time."""
        if not self._unsettled:
            return 0
        process_event.settle(self._services, self._owner, self._unsettled)
        for outcome in self._unsettled:
            del self._held[outcome.event.id]
        count = len(self._unsettled)
        self._unsettled = []
        return count

    def _give_back(self) -> None:
        """Others may begin at once what has not been begun here."""
        not_begun = [event for event, future in self._held.values() if future.cancel()]
        if not_begun:
            with self._services.database.writing() as connection:
                inbox.give_back(connection, self._owner, not_begun)
            for event in not_begun:
                del self._held[event.id]

    def _hold_on(self) -> None:
        """Keep the leases of what takes long: a slow vendor is no dead worker."""
        now = self._clock()
        if self._held and now - self._held_on_at > HOLD_ON_SECONDS:
            with self._services.database.writing() as connection:
                inbox.extend(connection, self._owner, list(self._held), self._services.now() + LEASE)
            self._held_on_at = now

    def _wait_for_database(self, error: DBAPIError) -> None:
        """What was done is not done again just because the database was away for a moment.

        Raises: ``error`` where it is another one, nothing is held, or it has lasted as long as a lease.
        """
        away = self._clock() - self._database_seen_at
        if not is_unreachable(error) or not self._held or away > LEASE.total_seconds():
            raise error
        log.warning("database_unreachable", held=len(self._held), seconds=round(away, 1))
        time.sleep(LOOK_SECONDS)
