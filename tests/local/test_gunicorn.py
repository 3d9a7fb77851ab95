"""How the web process is served, by environment; and that its faults are told once, in words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
        (SQLITE, {"bind": "['127.0.0.1:8000']", "workers": "1", "threads": "16"}),
        ({**SQLITE, "PORT": "5000"}, {"bind": "['0.0.0.0:5000']"}),
        ({**SQLITE, "PORT": ""}, {"bind": "['127.0.0.1:8000']"}),
        ({**SQLITE, "WEB_CONCURRENCY": "3"}, {"workers": "3", "threads": "8"}),
        ({**POSTGRESQL, "WEB_CONCURRENCY": "1"}, {"workers": "1", "threads": "16"}),
        (POSTGRESQL, {"workers": str(min(max(os.cpu_count() or 1, 2), 4)), "threads": "8"}),
        (SQLITE, {"worker_class": "gthread", "preload_app": "False", "control_socket_disable": "True"}),
    ],
)
def test_by_environment(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert expected.items() <= _config(environ).items()


def test_the_command_line_goes_first() -> None:
    assert _config({**SQLITE, "PORT": "5000"}, "--bind", "127.0.0.1:5000")["bind"] == "['127.0.0.1:5000']"


def test_faults_of_the_environment_are_told_once_without_a_traceback() -> None:
    done = _gunicorn({**SQLITE, "PORT": "http", "LOG_LEVEL": "loud"})
    assert done.returncode == 1
    assert done.stderr.count("PORT: must be") == 1
    assert "LOG_LEVEL: must be" in done.stderr
    assert "Traceback" not in done.stderr
