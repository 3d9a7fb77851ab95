"""A signal may come at any moment, also while the very thread that handles it is about to wait."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any

from workers.stop import Stop


def test_it_may_be_set_between_any_two_steps_of_a_wait() -> None:
    stop = Stop()

    def handle(_frame: FrameType, _event: str, _argument: Any) -> Any:
        sys.settrace(None)
        stop.set()
        sys.settrace(handle)
        return handle

    def wait() -> None:
        sys.settrace(handle)
        stop.wait(30)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()


def test_all_that_wait_are_woken_and_nobody_waits_afterwards() -> None:
    stop = Stop()
    waiting = [threading.Thread(target=stop.wait, args=(30,), daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    stop.set()
    for thread in waiting:
        thread.join(5)
    assert not any(thread.is_alive() for thread in waiting)
    assert stop.wait(30)
    assert stop.is_set()


def test_without_it_a_wait_lasts_its_time() -> None:
    started = time.monotonic()
    assert not Stop().wait(0.05)
    assert time.monotonic() - started >= 0.05
