"""A real PostgreSQL, for measuring and for tests: one that the environment names, that runs here, or that is started
for the run."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

from bench.machine import kill_tree

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
    return running_postgres(variable) is not None or may_start_postgres()


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
    with tempfile.TemporaryDirectory(prefix="referloop-postgres-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            yield cluster.url
        finally:
            cluster.stop()


OWNER = "postgres"
"""As whom root runs a server, which refuses to be root's."""


def may_start_postgres() -> bool:
    """Whether a server of one's own can be started."""
    return postgres_binaries() is not None and (os.geteuid() != 0 or _has_owner())


def _has_owner() -> bool:
    try:
        pwd.getpwnam(OWNER)
    except KeyError:
        return False
    return True


class Cluster:
    """A server of one's own in an empty ``folder``, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        binaries = postgres_binaries()
        assert binaries is not None
        self._folder, self._binaries, self.port = folder, binaries, free_port()
        self._as: dict[str, Any] = {"user": OWNER, "group": OWNER} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(folder, OWNER, OWNER)
        self._server: subprocess.Popen[bytes] | None = None
        self._run(binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-N")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _run(self, *command: str | Path) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **self._as)

    def start(self, *settings: str) -> None:
        """``settings`` as ``name=value``. Ends when it lets clients in; tried again while a former one lets go."""
        until = time.monotonic() + START_SECONDS
        while not self._begin(settings):
            if time.monotonic() > until:
                raise TimeoutError(f"PostgreSQL did not start in {START_SECONDS} s")
            time.sleep(0.2)

    def _begin(self, settings: Sequence[str]) -> bool:
        data, folder = str(self._folder / "data"), str(self._folder)
        command = [str(self._binaries / "postgres"), "-D", data, "-p", str(self.port), "-k", folder]
        for setting in ("listen_addresses=127.0.0.1", *settings):
            command += ["-c", setting]
        server: subprocess.Popen[bytes] = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True, **self._as
        )
        self._server = server
        until = time.monotonic() + START_SECONDS
        while server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(psycopg.Error):
                psycopg.connect(self.url, connect_timeout=2).close()
                return True
            time.sleep(0.1)
        return False

    def runs(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def stop(self, with_signal: int = signal.SIGINT) -> None:
        """At once and orderly as it is; killed with all that it started by ``SIGKILL``."""
        if self._server is None:
            return
        if with_signal == signal.SIGKILL:
            kill_tree(self._server)
            return
        self._server.send_signal(with_signal)
        self._server.wait(60)


START_SECONDS = 30


def _execute(url: URL, *statements: str) -> None:
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def free_port() -> int:
    """Below those that the system gives to outgoing connections: one of them could take it before the server does."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
