"""What is written, counted, reported and answered of the people and secrets that come: nothing. And a log line stays
one line of JSON, whatever it is about."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attack.marked_run import MARK
from tests.attack.target import TRIED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process left behind in its log, its metrics, its answers and its reports."""
    file = shutil.copy(empty_file, tmp_path_factory.mktemp("marked") / "marked.db")
    command = [sys.executable, "-m", "tests.attack.marked_run", f"sqlite:///{file}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    log = ended.stderr.decode()
    assert ended.returncode == 0, log[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    TRIED["logs"] += len(found["answers"])
    return {**found, "log": log}


def test_every_line_of_the_log_is_one_object_that_we_wrote(told: dict[str, Any]) -> None:
    lines = told["log"].split("\n")
    assert lines.pop() == ""
    assert len(lines) > 30
    assert told["log"].isprintable() or set(filter(lambda c: not c.isprintable(), told["log"])) == {"\n"}
    events = {json.loads(line)["event"] for line in lines}
    assert "forged" not in events
    assert {"request", "unexpected_error", "event_failed"} <= events


def test_the_log_names_nobody_and_no_secret(told: dict[str, Any]) -> None:
    assert [line for line in told["log"].splitlines() if MARK.lower() in line.lower()] == []


def test_the_log_says_where_something_broke(told: dict[str, Any]) -> None:
    broken = [one for one in map(json.loads, told["log"].splitlines()) if one["event"] == "unexpected_error"]
    assert {one["route"] for one in broken} == {
        "/webhooks/referral-factory/<key>/<topic>",
        "/invitations/<token>",
        "/readyz",
    }


def test_metrics_name_nobody(told: dict[str, Any]) -> None:
    assert "referloop_" in told["metrics"]
    assert MARK.lower() not in told["metrics"].lower()


def test_no_refusal_repeats_what_it_was_given(told: dict[str, Any]) -> None:
    assert len(told["answers"]) > 20
    assert [answer for answer in told["answers"] if MARK.lower() in answer.lower()] == []


def test_error_reports_say_what_broke_and_about_nobody(told: dict[str, Any]) -> None:
    reports = [one for one in told["reports"] if isinstance(one, dict) and "exception" in one]
    assert len(reports) >= 3
    assert {value["type"] for one in reports for value in one["exception"]["values"]} >= {"Bug", "KeyError"}
    said = json.dumps(told["reports"]).lower()
    assert MARK.lower() not in said
    for unwanted in ("cookie", "authorization", "query_string", "x-referloop-secret", "'vars'"):
        assert unwanted not in said
