"""A clock that runs with real time and can be put forward."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Seconds since 1970, plus what `advance` has added."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """The simulated time."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Put the clock forward and wake whoever waits for a time."""
        if seconds < 0:
            raise ValueError("the clock only goes forward")
        self.ahead += seconds
        for listener in self._listeners:
            listener()

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each jump."""
        self._listeners.append(listener)
