"""That a process was asked to stop, said by a signal's handler to whatever goes on in the process."""

from __future__ import annotations

import os
import select
import threading


class Stop(threading.Event):
    """An event that may be set by a signal's handler.

    The library's own may not: a handler runs between two steps of the main thread, and where that was just about to
    wait, it holds the lock which ``set`` then waits for, for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._read, self._write = os.pipe()

    def set(self) -> None:
        self._asked = True
        os.write(self._write, b".")

    def is_set(self) -> bool:
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """``timeout`` in seconds. Whoever else waits is not kept from seeing it: the byte stays unread."""
        if not self._asked:
            select.select([self._read], [], [], timeout)
        return self._asked
