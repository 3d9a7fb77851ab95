"""A real PostgreSQL, for measuring and for tests: one that the environment names, that runs here, or that is started
for the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

HERE = "postgresql://postgres@127.0.0.1:5432/postgres"


@cache
def postgres_binaries() -> Path | None:
    """Where ``initdb`` and ``pg_ctl`` are, on the PATH or where Debian and Homebrew put them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")]
    return max((one for one in candidates if (one / "initdb").exists()), default=None)


@cache
def running_postgres(variable: str = "TEST_DATABASE_URL") -> str | None:
    """A server to use as it is: the one that ``variable`` names, or one of this machine that lets us in."""
    named = os.environ.get(variable)
    if named:
        return named
    with contextlib.suppress(psycopg.Error), psycopg.connect(HERE, connect_timeout=2):
        return HERE
    return None


def has_postgres(variable: str = "TEST_DATABASE_URL") -> bool:
    # Its own server refuses to run as root.
    return running_postgres(variable) is not None or (postgres_binaries() is not None and os.geteuid() != 0)


@contextlib.contextmanager
def postgres(purpose: str = "unit", variable: str = "TEST_DATABASE_URL") -> Iterator[str]:
    """A server's address with a database of its own, which is dropped at the end."""
    with _server(variable) as server:
        url = make_url(server).set(drivername="postgresql")
        name = f"referloop_{purpose}_{os.getpid()}"
        _execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        try:
            yield url.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
        finally:
            _execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def _server(variable: str) -> Iterator[str]:
    running = running_postgres(variable)
    if running is not None:
        yield running
        return
    binaries = postgres_binaries()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="referloop-postgres-") as folder:
        port = free_port()
        data = Path(folder) / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"],
            stderr=subprocess.DEVNULL,
        )
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            _await(url)
            yield url
        finally:
            server.terminate()
            server.wait()


def _await(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.Error:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _execute(url: URL, *statements: str) -> None:
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
