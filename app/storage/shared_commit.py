"""One thread a process writes, and what many threads ask for shares a commit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from queue import SimpleQueue
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.storage.database import Database, is_unreachable

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

MOST_AT_ONCE = 64


class SharedCommit(Generic[Asked, Answered]):
    """``ask`` returns once what was asked for is committed. ``write`` does it for several at once, and answers each.

    Sixteen request threads that write by themselves fight for SQLite's lock (99th percentile 700 ms; 38 ms with
    one writer), and on PostgreSQL each pays a commit of its own. Whatever waits while a commit runs goes into the
    next one, so nobody is delayed on purpose.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[Asked]], Sequence[Answered]],
        *,
        patience: float = 4.0,
    ) -> None:
        self._database = database
        self._write_all = write
        self._patience = patience
        self._asked: SimpleQueue[tuple[Asked, Future[Answered]]] = SimpleQueue()
        self._starting = threading.Lock()
        self._writer_of: int | None = None

    def ask(self, asked: Asked) -> Answered:
        """Raises: TimeoutError or sqlalchemy.exc.DBAPIError where the database is away."""
        self._ensure_writer()
        future: Future[Answered] = Future()
        self._asked.put((asked, future))
        try:
            return future.result(timeout=self._patience)
        except NotInTime:
            future.cancel()
            raise

    def _ensure_writer(self) -> None:
        """A thread does not survive the fork of a process, so each starts its own."""
        if self._writer_of == os.getpid():
            return
        with self._starting:
            if self._writer_of != os.getpid():
                threading.Thread(target=self._write_on, name="writer", daemon=True).start()
                self._writer_of = os.getpid()

    def _write_on(self) -> None:
        while True:
            together = [self._asked.get()]
            while not self._asked.empty() and len(together) < MOST_AT_ONCE:
                together.append(self._asked.get())
            self._write([one for one in together if one[1].set_running_or_notify_cancel()])

    def _write(self, together: list[tuple[Asked, Future[Answered]]]) -> None:
        if not together:
            return
        try:
            answers = self._commit_again([asked for asked, _ in together])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            if len(together) == 1 or is_unreachable(error):
                for _, future in together:
                    future.set_exception(error)
            else:
                # One that can't be kept must not take the others with it.
                for one in together:
                    self._write([one])
            return
        for (_, future), answer in zip(together, answers, strict=True):
            future.set_result(answer)

    def _commit_again(self, asked: list[Asked]) -> Sequence[Answered]:
        try:
            return self._commit(asked)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # The database was restarted under a pooled connection: the pool is fresh now.
            return self._commit(asked)

    def _commit(self, asked: list[Asked]) -> Sequence[Answered]:
        with self._database.writing() as connection:
            return self._write_all(connection, asked)
