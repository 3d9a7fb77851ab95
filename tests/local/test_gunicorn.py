"""How the web process is served, by environment; and that its faults are told once, in words."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SQLITE = {"DATABASE_URL": "sqlite:///nowhere.db", "REDIS_URL": "redis://127.0.0.1:6379/0"}
SECRETS = {"SECRET_KEY": "x" * 20, "ENCRYPTION_KEYS": "0" * 43 + "="}
POSTGRESQL = {**SQLITE, "DATABASE_URL": "postgresql://127.0.0.1/x"}


def _gunicorn(environ: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gunicorn", "wsgiref.simple_server:demo_app", "--config", "config/gunicorn.py"]
    return subprocess.run(
        [*command, "--print-config", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **SECRETS, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def _config(environ: dict[str, str], *options: str) -> dict[str, str]:
    done = _gunicorn(environ, *options)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(\w+)\s+= (.*)$", done.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (SQLITE, {"bind": "['127.0.0.1:8000']", "workers": "1", "threads": "12"}),
        ({**SQLITE, "PORT": "5000"}, {"bind": "['0.0.0.0:5000']"}),
        ({**SQLITE, "PORT": ""}, {"bind": "['127.0.0.1:8000']"}),
        ({**SQLITE, "WEB_CONCURRENCY": "3"}, {"workers": "3", "threads": "12"}),
        ({**POSTGRESQL, "WEB_CONCURRENCY": "1"}, {"workers": "1", "threads": "12"}),
        (POSTGRESQL, {"workers": str(min(max(os.cpu_count() or 1, 2), 4)), "threads": "12"}),
        (SQLITE, {"worker_class": "gthread", "preload_app": "False", "control_socket_disable": "True"}),
    ],
)
def test_by_environment(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert expected.items() <= _config(environ).items()


@pytest.fixture
def served() -> Iterator[int]:
    """The port of a server that answers everybody at once and reads nobody's body."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "wsgiref.simple_server:demo_app", "--config", "config/gunicorn.py"]
    environ = {"PATH": os.environ["PATH"], **SECRETS, **SQLITE, "PORT": str(port)}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60  # of a busy machine
        while not _listens(port):
            assert time.monotonic() < until
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.enable_socket
def test_who_is_told_that_the_connection_stays_can_send_the_next_request_over_it(served: int) -> None:
    for size in (0, 1000, 60 * 1024 - 1, 60 * 1024, 200_000, 1024 * 1024 + 1, 3_000_000):
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=10)
        connection.request("POST", "/", body=b"x" * size)
        answer = connection.getresponse()
        answer.read()
        assert (answer.getheader("Connection") == "close") is (size >= 60 * 1024)
        connection.request("GET", "/")  # over the same one, or, where it was said to be closed, over another
        assert connection.getresponse().status == 200
        connection.close()


def test_the_command_line_goes_first() -> None:
    assert _config({**SQLITE, "PORT": "5000"}, "--bind", "127.0.0.1:5000")["bind"] == "['127.0.0.1:5000']"


def test_faults_of_the_environment_are_told_once_without_a_traceback() -> None:
    done = _gunicorn({**SQLITE, "PORT": "http", "LOG_LEVEL": "loud"})
    assert done.returncode == 1
    assert done.stderr.count("PORT: must be") == 1
    assert "LOG_LEVEL: must be" in done.stderr
    assert "Traceback" not in done.stderr
