"""The supervisor, with real processes: a child that died is replaced, and none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each child says who it is; "stubborn" does not listen.
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from workers import main
from workers.stop import Stop

folder = Path(sys.argv[1])
main.RESTART_SECONDS, main.GRACE_SECONDS = 0.2, float(sys.argv[2])

def say(kind):
    draft = folder / f".{os.getpid()}"
    draft.write_text("")
    draft.rename(folder / f"{kind}-{os.getpid()}")

def ends(_settings):
    stopping = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    say("ends")
    stopping.wait(30)
    (folder / f"finished-{os.getpid()}").write_text("")

def stubborn(_settings):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("stubborn")
    time.sleep(30)

def fails(_settings):
    say("fails")
    raise ValueError("at once")

kinds = {name: globals()[name] for name in sys.argv[3:]}
supervisor = main.Supervisor(kinds, None)
signal.signal(signal.SIGTERM, supervisor.stop)
signal.signal(signal.SIGINT, supervisor.stop)
sys.exit(supervisor.run())
"""


class Worker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *kinds: str, grace: float = 5) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SCRIPT, str(self.folder), str(grace), *kinds]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return self.process

    def said(self, kind: str) -> list[int]:
        """The processes that said so, in the order of their start."""
        found = sorted(self.folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.name.rpartition("-")[2]) for path in found]

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in [*self.said("ends"), *self.said("stubborn")]:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.end()


def lives(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def until(what: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.02)


def test_a_child_that_died_is_replaced_and_the_others_go_on(worker: Worker) -> None:
    worker.start("ends", "stubborn")
    until(lambda: worker.said("ends") and worker.said("stubborn"))
    (first,) = worker.said("ends")
    os.kill(first, signal.SIGKILL)
    until(lambda: len(worker.said("ends")) == 2)
    assert not lives(first)
    assert lives(worker.said("ends")[1])
    assert len(worker.said("stubborn")) == 1


def test_one_that_fails_at_once_is_not_restarted_in_a_frenzy(worker: Worker) -> None:
    worker.start("fails")
    until(lambda: len(worker.said("fails")) >= 2)
    time.sleep(0.5)
    assert len(worker.said("fails")) < 8


@pytest.mark.parametrize("asked_by", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_lets_its_children_finish(worker: Worker, asked_by: signal.Signals) -> None:
    process = worker.start("ends")
    until(lambda: worker.said("ends"))
    process.send_signal(asked_by)
    assert process.wait(5) == 0
    assert worker.said("finished") == worker.said("ends")


def test_who_does_not_finish_in_time_is_killed(worker: Worker) -> None:
    process = worker.start("ends", "stubborn", grace=0.5)
    until(lambda: worker.said("ends") and worker.said("stubborn"))
    asked = time.monotonic()
    process.terminate()
    assert process.wait(5) == 0
    assert time.monotonic() - asked < 3
    assert worker.said("finished") == worker.said("ends")
    assert not any(lives(pid) for pid in worker.said("stubborn"))


def test_killed_itself_its_children_finish_all_the_same(worker: Worker) -> None:
    process = worker.start("ends")
    until(lambda: worker.said("ends"))
    process.kill()
    process.wait()
    until(lambda: worker.said("finished") == worker.said("ends"), 5)
