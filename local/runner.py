"""All processes together, under honcho: one log on the terminal, and the end of one is the end of all.

Honcho starts, prefixes and stops; what is added here is what a person at a terminal needs besides: which process fell
and its last words, a stop that also works during the start or when the window is closed, and no process left over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from honcho import manager
from honcho.printer import Printer

from local.redis_server import Running

REDIS = "redis"


class Log(Printer):  # type: ignore[misc]
    """Prints the processes' lines, and remembers the last ones of each."""

    def __init__(self, output: TextIO) -> None:
        super().__init__(output)
        self._last: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=15))
        self._nobody_looks = False

    def write(self, message: Any) -> None:
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        self._last[message.name].extend(text.splitlines())
        self._unless_closed(lambda: super(Log, self).write(message))

    def say(self, text: str) -> None:
        """Print words of our own, without a prefix."""
        self._unless_closed(lambda: print(text, file=self.output, flush=True))

    def last_words(self, name: str) -> list[str]:
        return list(self._last[name])

    def _unless_closed(self, put: Callable[[], None]) -> None:
        """The terminal may have been closed: then stop, and stop in order, without it.

        A signal may come in the middle of a line, and its handler has words as well: Python lets nobody into a
        stream twice, and the words are worth less than what the handler is there for.
        """
        if self._nobody_looks:
            return
        try:
            put()
        except RuntimeError as error:
            if "reentrant" not in str(error):
                raise
        except OSError:
            self._nobody_looks = True
            os.kill(os.getpid(), signal.SIGTERM)


class Runner(manager.Manager):  # type: ignore[misc]
    """Runs the processes until one falls or a stop is asked for; afterwards `fallen` tells which it was, if any."""

    def __init__(self, log: Log, redis: Running) -> None:
        super().__init__(log)
        self.fallen: str | None = None
        self.log = log
        self._redis = redis
        self._asked = False
        self._turns_of_killing = 0
        self._when_started: Callable[[], None] = lambda: None

    def run(self, when_started: Callable[[], None]) -> None:
        """Run everything; `when_started` is called once all have been started."""
        self._when_started = when_started
        try:
            self.loop()
        finally:
            end_sessions(self._leaders())
            for process in self._processes.values():
                if "process" in process:
                    process["process"].kill()  # honcho's keeper, which may wait for a log that somebody still holds

    def stop(self) -> None:
        """Ask for an end from another thread."""
        os.kill(os.getpid(), signal.SIGTERM)

    @property
    def stopping(self) -> bool:
        return self._asked

    def status(self, name: str) -> int | None:
        """How a process ended."""
        if name == REDIS:
            return self._redis.process.poll() if self._redis.process else None
        status: int | None = self._processes[name].get("returncode")
        return status

    def last_words(self, name: str) -> list[str]:
        return self._redis.last_words() if name == REDIS else self.log.last_words(name)

    def _start(self) -> None:
        """Start without being interrupted half-way, for a process whose keeper was interrupted is not seen to end."""
        on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        super()._start()
        signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGHUP, lambda *_: self.stop())
        self._when_started()

    def terminate(self) -> None:
        if not self._asked:
            self.fallen = self._first_fallen()
        self._asked = True
        if self._all_started():  # else the loop comes back when honcho knows whom to stop
            super().terminate()

    def kill(self) -> None:
        """Called in each turn of the loop once the time to go is over."""
        self._turns_of_killing += 1
        end_sessions(self._leaders())
        super().kill()

    def _all_stopped(self) -> bool:
        """A process that left its session, and holds the log, is not waited for."""
        return self._turns_of_killing > 10 or super()._all_stopped()

    def _any_stopped(self) -> bool:
        """Asked in each turn of the loop; from the first yes on, honcho stops the others, and kills after 5 s."""
        return self._asked or self._redis.gone or super()._any_stopped()

    def _leaders(self) -> list[int]:
        return [process["pid"] for process in self._processes.values() if "pid" in process]

    def _first_fallen(self) -> str | None:
        ended = [name for name, process in self._processes.items() if process.get("returncode") is not None]
        return ended[0] if ended else REDIS if self._redis.gone else None


def end_sessions(leaders: list[int]) -> None:
    """Kill what is left of the processes' sessions: a child that took a group of its own is still in the session."""
    for _ in range(20):
        left = [pid for pid, session in _sessions() if session in leaders]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(0.05)


def _sessions() -> list[tuple[int, int]]:
    """Every living process and its session, where the system tells them as Linux does."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if state != "Z":
                found.append((int(path.parent.name), int(session)))
    return found
