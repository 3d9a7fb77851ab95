"""What leaves a process: one line an event, in JSON or in words, with what is bound to the work in hand."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

START = """
import logging, threading, structlog
from config.logging import set_up_logging
set_up_logging({level!r}, {form!r}, "web")
log = structlog.get_logger("app.test")
"""


def lines(script: str, form: str | None = "json", level: str = "info") -> list[str]:
    """What a process that runs ``script`` writes. It is another process, for logging is set up once in each."""
    done = subprocess.run(
        [sys.executable, "-c", START.format(level=level, form=form) + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def parsed(script: str, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(script, **options)]


def test_an_event_is_one_line_of_json_with_level_logger_time_and_process() -> None:
    (line,) = parsed('log.info("event_settled", status="done", attempts=0, text="Zoë \\U0001f600\\nnext")')
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "event": "event_settled",
        "status": "done",
        "attempts": 0,
        "text": "Zoë \U0001f600\nnext",
        "level": "info",
        "logger": "app.test",
        "process": "web",
    }


def test_what_is_bound_to_the_work_in_hand_is_in_every_line_of_it_and_in_no_other() -> None:
    first, foreign, after = parsed("""
with structlog.contextvars.bound_contextvars(event_id=7, topic="joined"):
    log.info("one")
    logging.getLogger("some.library").warning("two %s", "words")
log.info("three")
""")
    assert (first["event_id"], first["topic"]) == (7, "joined")
    assert (foreign["event_id"], foreign["event"], foreign["logger"]) == (7, "two words", "some.library")
    assert "event_id" not in after


def test_the_process_is_named_in_threads_and_after_a_request_began() -> None:
    found = parsed("""
thread = threading.Thread(target=lambda: log.info("in a thread"))
thread.start()
thread.join()
structlog.contextvars.clear_contextvars()
log.info("in a request")
structlog.contextvars.bind_contextvars(process="live")
log.info("in a child")
""")
    assert [line["process"] for line in found] == ["web", "web", "live"]


def test_an_exception_is_in_its_line() -> None:
    (line,) = parsed("""
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
""")
    assert "ZeroDivisionError" in line["exception"]
    assert line["level"] == "error"


def test_what_an_exception_says_names_nobody() -> None:
    (line,) = parsed("""
try:
    raise ValueError("of friend@example.com\\nDETAIL:  Key (name)=(Friedrich (the 2nd)) already exists.\\nafter")
except ValueError:
    log.exception("broken")
""")
    assert "friend@" not in line["exception"]
    assert "Friedrich" not in line["exception"]
    assert "ValueError: of [email]" in line["exception"]
    assert line["exception"].endswith("after")


def test_what_no_json_can_hold_is_written_nevertheless() -> None:
    (line,) = parsed('log.info("odd", value=object(), bytes=b"x", lone="\\ud800")')
    assert line["lone"] == "\ud800"


def test_lines_stay_in_order_whichever_way_they_go() -> None:
    script = 'log.info("a"); log.warning("b"); logging.getLogger("other").warning("c"); log.info("d"); log.error("e")'
    found = parsed(script)
    assert [(line["event"], line["level"]) for line in found] == [
        ("a", "info"),
        ("b", "warning"),
        ("c", "warning"),
        ("d", "info"),
        ("e", "error"),
    ]


def test_a_log_that_can_not_be_written_stops_nothing() -> None:
    assert lines('import sys, os; os.close(2); os.open("/dev/full", os.O_WRONLY); log.info("x"); os._exit(0)') == []


@pytest.mark.parametrize(
    ("level", "said"), [("debug", ["d", "i", "w"]), ("info", ["i", "w"]), ("warning", ["w"]), ("error", [])]
)
def test_the_level_decides_what_is_said(level: str, said: list[str]) -> None:
    script = 'log.debug("d"); log.info("i"); log.warning("w")'
    assert [line["event"] for line in parsed(script, level=level)] == said


def test_libraries_that_talk_much_are_heard_from_warnings_on() -> None:
    script = (
        'for one in ("rq", "urllib3", "alembic"): logging.getLogger(one).info("x"); logging.getLogger(one).error("y")'
    )
    assert [line["event"] for line in parsed(script)] == ["y"] * 3


def test_for_people_it_is_words() -> None:
    (line,) = lines('log.info("event_settled", status="done", event_id=7)', form="console")
    assert "event_settled" in line
    assert "done" in line
    assert not line.startswith("{")


def test_without_a_form_and_without_a_terminal_it_is_json() -> None:
    (line,) = parsed('log.info("x")', form=None)
    assert line["event"] == "x"


TOGETHER = START.replace('"web")', '"web", together=True)')


def test_lines_that_are_written_together_are_all_there_in_their_order_at_the_end() -> None:
    script = TOGETHER.format(level="info", form="json") + "\nfor number in range(300): log.info('one', number=number)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [json.loads(line)["number"] for line in done.stderr.splitlines()] == list(range(300))


def test_lines_that_are_written_together_do_not_wait_for_the_end() -> None:
    script = TOGETHER.format(level="info", form="json") + "\nlog.info('one')\nimport sys\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "one"
        process.communicate("")
