"""The runner with real processes: it ends as one, names who fell, and leaves nobody."""

from __future__ import annotations

import io
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.runner import Log

ROOT = Path(__file__).resolve().parents[2]

# It is about signals, so it runs in a process of its own.
PROGRAM = """
import os, sys
from local.redis_server import Running
from local.runner import Log, Runner
then, *commands = sys.argv[1:]
runner = Runner(Log(sys.stdout), Running("redis://unused", None, None))
for number, command in enumerate(commands):
    runner.add_process(f"process{number}", command)
runner.run(lambda: os.kill(os.getpid(), int(then)) if then else None)
print("fallen:", runner.fallen, runner.fallen and runner.status(runner.fallen))
print("words:", runner.fallen and runner.last_words(runner.fallen))
"""

Run = subprocess.Popen[str]


class Launched:
    """Starts runners whose processes can be told from all others on the machine."""

    def __init__(self) -> None:
        self.sleep = f"sleep 1{secrets.randbelow(10**9):09}"
        self.runs: list[Run] = []

    def __call__(self, *commands: str, then: int | str = "") -> Run:
        run = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(then), f"exec {self.sleep}", *commands],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.runs.append(run)
        return run

    def left(self) -> list[str]:
        listed = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if line.endswith(self.sleep) and line[0] != "Z"]


@pytest.fixture
def launch() -> Iterator[Launched]:
    launched = Launched()
    yield launched
    for run in launched.runs:
        run.kill()
        run.wait()
        if run.stdout is not None:
            run.stdout.close()
    left = launched.left()
    # Named below; alive it would hold on to the output of the whole test run.
    subprocess.run(["pkill", "-KILL", "-f", launched.sleep], check=False)
    assert left == []


def test_the_end_of_one_is_the_end_of_all_and_it_is_named(launch: Launched) -> None:
    said, _ = launch("echo no more ink; exit 3").communicate(timeout=20)
    assert "fallen: process1 3" in said
    assert "words: ['no more ink']" in said
    assert launch.left() == []


@pytest.mark.parametrize("signal", [2, 15, 1], ids=["interrupt", "terminate", "hang-up"])
def test_a_stop_from_outside_blames_nobody_and_leaves_nobody(signal: int, launch: Launched) -> None:
    own_group = f"set -m; {launch.sleep} & exec {launch.sleep}"
    run = launch(own_group, then=signal)
    said, _ = run.communicate(timeout=20)
    assert "fallen: None" in said
    assert run.returncode == 0
    assert launch.left() == []


def test_one_that_will_not_go_is_killed_with_its_children(launch: Launched) -> None:
    run = launch(f"trap '' TERM; echo ready; {launch.sleep}; {launch.sleep}")
    assert "fallen: None" in _stopped_once_ready(run)
    assert launch.left() == []


def test_one_that_left_with_the_log_in_its_hands_is_not_waited_for(launch: Launched) -> None:
    left = f"import os; os.setsid(); print('ready', flush=True); os.execlp('sleep', *'{launch.sleep}'.split())"
    run = launch(f'{sys.executable} -c "{left}" & exec {launch.sleep}')
    assert "fallen: None" in _stopped_once_ready(run)
    subprocess.run(["pkill", "-xf", launch.sleep], check=True)


def _stopped_once_ready(run: Run) -> str:
    assert run.stdout is not None
    while "ready" not in run.stdout.readline():
        pass
    began = time.monotonic()
    run.terminate()
    said, _ = run.communicate(timeout=20)
    assert time.monotonic() - began < 12
    return said


def test_a_closed_terminal_stops_it(launch: Launched) -> None:
    run = launch("while echo word; do sleep 0.05; done")
    assert run.stdout is not None
    run.stdout.readline()
    run.stdout.close()
    run.wait(20)
    assert launch.left() == []


def test_words_of_a_signal_that_comes_in_the_middle_of_a_line_do_not_keep_it_from_its_work() -> None:
    """As a handler sees it that prints while the main thread is printing."""

    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    Log(Interrupted()).say("SIGTERM received")
