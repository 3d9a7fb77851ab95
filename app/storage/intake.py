"""The inbox's door for web requests: one thread a process writes, and many webhooks share a commit."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from queue import SimpleQueue

from sqlalchemy.exc import DBAPIError

from app.storage import inbox
from app.storage.database import Database, is_unreachable
from app.storage.inbox import NewEvent, Receipt

_Asked = tuple[NewEvent, "Future[Receipt]"]

MOST_AT_ONCE = 64


class Intake:
    """``keep`` returns once the event is committed.

    Sixteen request threads that write by themselves fight for SQLite's lock (99th percentile 700 ms; 38 ms with
    one writer), and on PostgreSQL each pays a commit of its own. Whatever waits while a commit runs goes into the
    next one, so nobody is delayed on purpose.
    """

    def __init__(self, database: Database, *, patience: float = 4.0) -> None:
        self._database = database
        self._patience = patience
        self._asked: SimpleQueue[_Asked] = SimpleQueue()
        self._starting = threading.Lock()
        self._writer_of: int | None = None

    def keep(self, event: NewEvent) -> Receipt:
        """Raises: TimeoutError or sqlalchemy.exc.DBAPIError where the database is away."""
        self._ensure_writer()
        future: Future[Receipt] = Future()
        self._asked.put((event, future))
        try:
            return future.result(timeout=self._patience)
        except NotInTime:
            future.cancel()
            raise

    def _ensure_writer(self) -> None:
        """A thread does not survive the fork of a web process, so each starts its own."""
        if self._writer_of == os.getpid():
            return
        with self._starting:
            if self._writer_of != os.getpid():
                threading.Thread(target=self._write_on, name="intake", daemon=True).start()
                self._writer_of = os.getpid()

    def _write_on(self) -> None:
        while True:
            asked = [self._asked.get()]
            while not self._asked.empty() and len(asked) < MOST_AT_ONCE:
                asked.append(self._asked.get())
            self._write([one for one in asked if one[1].set_running_or_notify_cancel()])

    def _write(self, asked: list[_Asked]) -> None:
        if not asked:
            return
        try:
            receipts = self._keep([event for event, _ in asked])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            if len(asked) == 1 or is_unreachable(error):
                for _, future in asked:
                    future.set_exception(error)
            else:
                # One event that can't be kept must not take the others with it.
                for one in asked:
                    self._write([one])
            return
        for (_, future), receipt in zip(asked, receipts, strict=True):
            future.set_result(receipt)

    def _keep(self, events: list[NewEvent]) -> list[Receipt]:
        try:
            return self._commit(events)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # The database was restarted under a pooled connection: the pool is fresh now.
            return self._commit(events)

    def _commit(self, events: list[NewEvent]) -> list[Receipt]:
        with self._database.writing() as connection:
            return inbox.keep(connection, events)
