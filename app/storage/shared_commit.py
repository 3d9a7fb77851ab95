"""One thread a process writes, and what many threads ask for shares a commit."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.storage.database import Database, is_unreachable

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

MOST_AT_ONCE = 64


class _Asking(Generic[Asked, Answered]):
    """Somebody who waits to be answered, at one lock: a ``Future`` has three, and a webhook pays for each."""

    __slots__ = ("_answer", "_answered", "_error", "asked", "given_up")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.given_up = False
        self._error: Exception | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self, seconds: float) -> Answered:
        """Raises: TimeoutError, or what stood in the way."""
        if not self._answered.acquire(timeout=seconds):
            self.given_up = True
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._answer

    def answer(self, answer: Answered) -> None:
        self._answer = answer
        self._answered.release()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._answered.release()


class SharedCommit(Generic[Asked, Answered]):
    """``ask`` returns once what was asked for is committed. ``write`` does it for several at once, and answers each.

    Sixteen request threads that write by themselves fight for SQLite's lock (99th percentile 700 ms; 38 ms with
    one writer), and on PostgreSQL each pays a commit of its own. Whatever waits while a commit runs goes into the
    next one. Who comes alone is not delayed; in a rush, when a commit had several, the next waits ``gather`` seconds
    for more: a commit costs ten times what one more row in it does.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[Asked]], Sequence[Answered]],
        *,
        patience: float = 4.0,
        gather: float = 0.0,
    ) -> None:
        self._database = database
        self._write_all = write
        self._patience = patience
        self._gather = gather
        self._asked: SimpleQueue[_Asking[Asked, Answered]] = SimpleQueue()
        self._starting = threading.Lock()
        self._writer_of: int | None = None

    def ask(self, asked: Asked) -> Answered:
        """Raises: TimeoutError or sqlalchemy.exc.DBAPIError where the database is away."""
        self._ensure_writer()
        asking = _Asking[Asked, Answered](asked)
        self._asked.put(asking)
        return asking.wait(self._patience)

    def _ensure_writer(self) -> None:
        """A thread does not survive the fork of a process, so each starts its own."""
        if self._writer_of == os.getpid():
            return
        with self._starting:
            if self._writer_of != os.getpid():
                threading.Thread(target=self._write_on, name="writer", daemon=True).start()
                self._writer_of = os.getpid()

    def _write_on(self) -> None:
        in_a_rush = False
        while True:
            together = [self._asked.get()]
            if in_a_rush:
                time.sleep(self._gather)
            while not self._asked.empty() and len(together) < MOST_AT_ONCE:
                together.append(self._asked.get())
            in_a_rush = len(together) > 1
            self._write([one for one in together if not one.given_up])

    def _write(self, together: list[_Asking[Asked, Answered]]) -> None:
        if not together:
            return
        try:
            answers = self._commit_again([one.asked for one in together])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            if len(together) == 1 or is_unreachable(error):
                for one in together:
                    one.fail(error)
            else:
                # One that can't be kept must not take the others with it.
                for one in together:
                    self._write([one])
            return
        for one, answer in zip(together, answers, strict=True):
            one.answer(answer)

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
