"""``make doctor`` and ``python -m app.diagnose``: a table to read, and an exit status for machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app.core.causes import Cause
from app.core.diagnosis import Question, Telling
from app.core.diagnosis.checks import ok, problem, unknown
from app.terminal import table
from config.settings import ROOT
from local.doctor import environment_of


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of an installation with an empty database."""
    folder = tmp_path_factory.mktemp("doctor")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "DATABASE_URL": f"sqlite:///{folder / 'test.db'}",
        "SECRET_KEY": "of-an-installation-for-tests",
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    assert run(environ, "alembic", "upgrade", "head").returncode == 0
    return environ


def run(environ: Mapping[str, str], *module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, check=False)


def test_the_doctor_exits_with_1_and_says_what_is_amiss(installation: Mapping[str, str]) -> None:
    done = run(installation, "app.doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM  queue        worker (no_worker_runs)" in done.stdout
    assert "Start a worker" in done.stdout


@pytest.mark.parametrize("campaign", ["9", "none"])
def test_a_campaign_that_is_not_there_is_said_so(installation: Mapping[str, str], campaign: str) -> None:
    done = run(installation, "app.diagnose", "--campaign", campaign)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert campaign in done.stderr or "no such campaign" in done.stderr


def test_its_help_names_every_question(installation: Mapping[str, str]) -> None:
    said = run(installation, "app.diagnose", "--help").stdout
    assert not [one for one in Question if one.value not in said]


@pytest.mark.parametrize(
    ("faulty", "named"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "DATABASE_URL"),
    ],
)
def test_an_installation_that_can_not_be_looked_at_exits_with_2(
    installation: Mapping[str, str], faulty: Mapping[str, str], named: str
) -> None:
    done = run({**installation, **faulty}, "app.doctor")
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_table_shows_the_evidence_and_the_remedy_of_what_is_amiss() -> None:
    evidence = {"attempts": 3, "error": "\x1b[2Jgone", "nothing": None}
    written = table(
        [
            problem("events", Question.SOME_DO_NOT_ARRIVE, Cause.RATE_LIMITED, Telling.WAITS, evidence=evidence),
            unknown("webhooks", Question.NONE_ARRIVE, "Nobody knows.", "Send a test."),
            ok("campaign", Question.NONE_ARRIVE, "All is well."),
        ]
    )
    assert "PROBLEM  some_do_not_arrive  events (rate_limited)" in written
    assert "attempts: 3; error:  [2Jgone" in written
    assert "→ Send a test." in written
    assert "\x1b" not in written
    assert "nothing" not in written
    assert written.endswith("3 checks, 1 with a problem.\n")


def test_make_doctor_takes_the_environment_of_make_run(tmp_path: Path) -> None:
    assert environment_of({"PATH": "/bin"}, tmp_path) == {"PATH": "/bin"}
    (tmp_path / "local.json").write_text(json.dumps({"api_token": "a-token", "email": "owner@example.com"}))
    home = tmp_path / "redis" / "server-7"
    home.mkdir(parents=True)
    (home / "server.conf").write_text("bind 127.0.0.1\nport 7001\nrequirepass of-the-run\n")
    given = environment_of({"PATH": os.environ["PATH"]}, tmp_path)
    assert given["INTERCOM_API_URL"] == "http://127.0.0.1:9100/intercom"
    assert given["REDIS_URL"] == "redis://:of-the-run@127.0.0.1:7001/0"
    assert environment_of({"REDIS_URL": "redis://mine/0"}, tmp_path)["REDIS_URL"] == "redis://mine/0"
