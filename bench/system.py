"""The whole system, started as its Procfile says, against the sandbox: for measuring and for end-to-end tests."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from cryptography.fernet import Fernet

from bench.machine import kill_tree
from bench.servers import free_port
from local.redis_server import Program, choose
from local.seed import Places, seed

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TOKEN = "a-token-for-this-run-alone-0123456789"  # noqa: S105 - of a system that lives for minutes

WITH_SHORT_LEASES = """
import runpy
from datetime import timedelta
from app.storage import inbox
inbox.LEASE = timedelta(seconds={})
runpy.run_module("workers", run_name="__main__")
"""
"""A worker as it is, but what it had in hand when it was killed is another's after seconds, and not a minute."""


class System:
    """Processes by the names of the Procfile, any number of each. ``folder`` takes their logs and the state."""

    def __init__(self, folder: Path, database_url: str, **environ: str) -> None:
        self.folder = folder
        self.port, self.sandbox_port, self.redis_port = free_port(), free_port(), free_port()
        self.web = f"http://127.0.0.1:{self.port}"
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        self.environ = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "DATABASE_URL": database_url,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "SECRET_KEY": "of-a-system-that-lives-for-minutes",
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ADMIN_API_TOKEN": TOKEN,
            "PORT": str(self.port),
            "INTERCOM_API_URL": f"{self.sandbox}/intercom",
            "REFERRAL_FACTORY_API_URL": f"{self.sandbox}/referral-factory",
            "INTERCOM_INDEX_DELAY_SECONDS": "2",
            "LOG_FORMAT": "json",
            **environ,
        }
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.lease_seconds: int | None = None  # of the workers that are started from now on; the product's own
        self._secrets: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        for name in [name for name in self.processes if name != "redis"] + ["redis"]:
            self.stop(name)
        self._session.close()

    # Processes

    def start_all(self, *, web: int = 1, workers: int = 1, index_delay: int = 2, seeded: bool = True) -> None:
        """Everything, migrated and ready; where ``seeded``, with a campaign whose settings are made."""
        self.start_redis()
        self.start_sandbox(index_delay)
        self.release()
        for _ in range(web):
            self.start("web")
        for _ in range(workers):
            self.start("worker")
        self.await_(lambda: self.get("/readyz").ok, 30)
        if seeded:
            seed(Places(self.web, self.sandbox), TOKEN, None)

    def release(self) -> None:
        subprocess.run(shlex.split(procfile()["release"]), cwd=ROOT, env=self.environ, check=True)

    def start(self, name: str, **environ: str) -> subprocess.Popen[bytes]:
        """One more process of a kind. A second ``web`` serves the same port."""
        command = shlex.split(procfile()[name])
        if name == "web":
            command += ["--reuse-port"]
        if name == "worker" and self.lease_seconds is not None:
            command = [sys.executable, "-c", WITH_SHORT_LEASES.format(self.lease_seconds)]
        return self.run(name, command, environ)

    def start_sandbox(self, index_delay: int) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", str(self.sandbox_port)]
        self.run("sandbox", [*command, "--index-delay-seconds", str(index_delay)], {})
        self.await_(lambda: self._session.get(f"{self.sandbox}/control/settings", timeout=2).ok, 15)

    def start_redis(self) -> None:
        server = choose(None)
        assert isinstance(server, Program)
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True)
        self.run(
            "redis",
            [server.path, "--port", str(self.redis_port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""],
            {},
        )
        self.await_(lambda: _listens(self.redis_port), 10)

    def run(self, name: str, command: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A process of the system, whatever it is; it is stopped with the others."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environ, **environ},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.setdefault(name, []).append(process)
        return process

    def stop(self, name: str, with_signal: int = signal.SIGTERM) -> None:
        """All processes of a kind, with what they have started."""
        stopping = self.processes.pop(name, [])
        for process in stopping:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(with_signal)
        for process in stopping:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill_one(self, name: str, dice: random.Random) -> None:
        """``kill -9`` of one process of a kind and of all that it started, and another in its place, as a platform
        would."""
        victim = dice.choice(self.processes[name])
        self.processes[name].remove(victim)
        kill_tree(victim)
        self.start(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def pids(self, name: str) -> list[int]:
        return [process.pid for process in self.processes.get(name, [])]

    # Conversations

    def get(self, path: str) -> requests.Response:
        """Over a connection of its own: one that is kept would stay with one of several web processes."""
        return self._session.get(self.web + path, timeout=10, headers={"Connection": "close"})

    def api(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self._session.request(
            method, f"{self.web}/api/v1{path}", headers=headers, json=body, params=query, timeout=30
        )
        assert answer.ok, f"{method} {path} answered {answer.status_code}: {answer.text[:500]}"
        return answer.json() if answer.content else None

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        page = self.api("GET", path, limit=200, **query)
        while True:
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            page = self.api("GET", path, limit=200, cursor=page["next_cursor"], **query)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, f"{self.sandbox}/control{path}", json=body, timeout=30)
        assert answer.ok, f"{method} {path} answered {answer.status_code}: {answer.text[:500]}"
        return answer.json() if answer.content else None

    def webhook(self, campaign_id: str = "1") -> tuple[str, str]:
        """Where a signup is sent, and a secret for it. Rotated once only, so the one the sandbox has stays valid."""
        if campaign_id not in self._secrets:
            rotated = self.api("POST", f"/campaigns/{campaign_id}/webhook/rotate", {})
            self._secrets[campaign_id] = rotated["secret"]
        url = self.api("GET", f"/campaigns/{campaign_id}")["webhook"]["urls"]["joined"]
        return url, self._secrets[campaign_id]

    def waiting(self) -> int:
        """Events that are neither done nor dead."""
        lines = self.get("/metrics").text.splitlines()
        counts = [line for line in lines if line.startswith("referloop_events{") and 'status="dead"' not in line]
        return int(sum(float(line.rpartition(" ")[2]) for line in counts))

    def await_(self, what: Callable[[], Any], seconds: float, *, every: float = 0.05) -> Any:
        """What ``what`` answers, as soon as that is true."""
        until = time.monotonic() + seconds
        while True:
            found = None
            with contextlib.suppress(requests.RequestException):
                found = what()
            if found:
                return found
            assert time.monotonic() < until, f"this did not come about in {seconds} s"
            time.sleep(every)


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines if line)}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
