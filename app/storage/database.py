"""The way to the database: SQLite in a file, or PostgreSQL. ``reading`` and ``writing`` are the two transactions."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.pool import ConnectionPoolEntry

POOL = 8
"""Connections kept, and as many more at a rush. Threads wait for the vendors nearly all the time and for each other
here but a moment; a PostgreSQL of the smaller plans has 20 connections, for all processes together."""


IDLE_SECONDS = 1.0
"""A connection to PostgreSQL that was used since then is taken to be there."""

BUSY_MS = 15_000

CACHE_KIB = 16_000
"""What each of SQLite's connections keeps of the file in memory, at the most: it fills up as the file grows."""


class Database:
    """An engine and its manners.

    SQLite has one writer at a time, and those who wait for it sleep in its busy handler and starve each other (16
    threads fought to a 99th percentile of 700 ms where one had 38). So writers stand in line instead, threads of a
    process at a lock of its own, processes at a lock of the file system, which wakes the next at once.
    """

    def __init__(self, url: str, *, cache_kib: int = CACHE_KIB) -> None:
        self.engine: Engine = _engine(url, cache_kib)
        self.on_sqlite = self.engine.dialect.name == "sqlite"
        # A read on PostgreSQL needs no BEGIN and no ROLLBACK, which would be two of its three round trips.
        self._reads = self.engine if self.on_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._one_writer: AbstractContextManager[object] = nullcontext()
        if self.on_sqlite:
            self._one_writer = _Line(f"{self.engine.url.database}-writers")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For looking. Each statement sees what is committed when it begins."""
        with self._reads.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, committed at the end and undone by an exception."""
        with (
            self._one_writer,
            self.engine.connect().execution_options(referloop_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def at_once(self) -> Iterator[Connection]:
        """Each statement is a transaction of its own; on PostgreSQL only."""
        with self._reads.connect() as connection:
            yield connection

    def forget_removed(self) -> None:
        """What was deleted is not to be read from SQLite's files either: neither from a free page, which
        ``secure_delete`` sees to, nor from the log of writes, which is emptied here. A reader who takes long may keep
        it full until it is written over."""
        if not self.on_sqlite:
            return
        with self._one_writer:
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                for pragma in ("busy_timeout=1000", "wal_checkpoint(TRUNCATE)", f"busy_timeout={BUSY_MS}"):
                    cursor.execute(f"PRAGMA {pragma}")
                    cursor.fetchall()
                cursor.close()
            finally:
                connection.close()

    def close(self) -> None:
        self.engine.dispose()
        if isinstance(self._one_writer, _Line):
            self._one_writer.close()


class _Line:
    """Threads and processes that write to one SQLite file, one after the other."""

    def __init__(self, path: str) -> None:
        self._threads = threading.Lock()
        self._file = Path(path).open("ab")  # noqa: SIM115 - it stays open as long as the database

    def __enter__(self) -> None:
        self._threads.acquire()
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        self._file.close()


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows ``ON CONFLICT``, which both databases spell alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database itself is away, or too slow to wait for: asking again later may help."""
    return isinstance(error, OperationalError | InterfaceError | NoConnectionInTime | TimeoutError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _engine(url: str, cache_kib: int) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            parsed,
            pool_size=POOL,
            hide_parameters=True,  # they name people, and errors are logged
            max_overflow=POOL,
            connect_args={"timeout": 15, "check_same_thread": False, "autocommit": sqlite3.LEGACY_TRANSACTION_CONTROL}
            if hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL")
            else {"timeout": 15, "check_same_thread": False},
        )
        event.listen(engine, "connect", partial(_prepare_sqlite, cache_kib))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        parsed,
        pool_size=POOL,
        hide_parameters=True,  # they name people, and errors are logged
        max_overflow=POOL,
        # The one used last knows the plans: taken in turns, all of them had to be kept warm.
        pool_use_lifo=True,
        pool_pre_ping=False,  # a round trip for each use; see _ping_idle
        pool_recycle=1800,
        connect_args={"connect_timeout": 5, "options": "-c timezone=utc -c lock_timeout=15000"},
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_idle, engine.dialect))
    return engine


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_idle(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """A connection that has lain idle may have ended with a database that was restarted, and whoever came first
    would hear of it. Raises: DisconnectionError, upon which the pool makes another."""
    used_at = record.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < IDLE_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except Exception as error:  # whatever the driver says, it is of no use
        raise DisconnectionError from error


def _prepare_sqlite(cache_kib: int, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by hand below, not guessed by the driver
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
        "secure_delete=ON",  # zeroes over what is removed: who is erased is not to be found in a free page
        f"cache_size=-{cache_kib}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer asks for the lock at once: one that read first could be refused it in the middle."""
    writes = connection.get_execution_options().get("referloop_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
