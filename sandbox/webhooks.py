"""The sender of notifications: its own threads, so that no API call ever waits for a receiver."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import urllib3

from sandbox.clock import Clock

THREADS = 6
KEPT = 500
HELD_SECONDS = 30.0  # how long one waits at most for another to overtake it
BEHIND_SECONDS = 1.0  # and how far behind that one it is sent


@dataclass(frozen=True)
class Fate:
    """What becomes of a notification."""

    word: str = "send"
    lost: bool = False
    copies: int = 1
    wait: float = 0.0
    overtaken: bool = False


@dataclass
class Delivery:
    """One notification on its way. `render` makes headers and body of an attempt; `done` learns the answer."""

    vendor: str
    owner: str
    topic: str
    url: str
    render: Callable[[int], tuple[dict[str, str], bytes]]
    done: Callable[[Delivery, int | None], float | None]
    method: str = "POST"
    timeout: float = 5.0
    attempt: int = 1
    id: str | None = None
    answers: list[dict[str, Any]] = field(default_factory=list)
    created_at: float = 0.0
    about: str | int | None = None
    fate: str = "send"

    def as_dict(self) -> dict[str, Any]:
        """For the log."""
        return {
            "vendor": self.vendor,
            "owner": self.owner,
            "topic": self.topic,
            "id": self.id,
            "about": self.about,
            "fate": self.fate,
            "url": self.url,
            "created_at": self.created_at,
            "attempts": self.attempt if self.answers else 0,
            "answers": list(self.answers),
        }


class Sender:
    """Sends deliveries when they are due by the simulated clock."""

    def __init__(self, clock: Clock, seed: int = 1) -> None:
        self._clock = clock
        self._queue: list[tuple[float, int, Delivery]] = []
        self._turn = 0
        self._held: dict[tuple[str, str], list[int]] = {}
        self._busy = 0
        self._wake = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._pool: urllib3.PoolManager | None = None
        self.dice = random.Random(seed)
        self.recent: deque[Delivery] = deque(maxlen=KEPT)
        self.lost: deque[Delivery] = deque(maxlen=KEPT)
        clock.on_advance(self._stir)

    def start(self) -> None:
        """Start the threads; not before a server forks."""
        self._pool = urllib3.PoolManager(num_pools=20, maxsize=THREADS, retries=False)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; what is queued stays unsent."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=0.5)
        if self._pool is not None:
            self._pool.clear()

    def submit(self, delivery: Delivery, fate: Fate) -> None:
        """Queue a delivery, as often and as late as its fate says."""
        delivery.created_at = self._clock.now()
        delivery.fate = fate.word
        if fate.lost:
            self.lost.append(delivery)
            return
        self.recent.append(delivery)
        whose = (delivery.vendor, delivery.owner)
        with self._wake:
            if whose in self._held:
                # It overtakes the one that was held back, and is not held back itself.
                self._put(delivery, fate.wait, fate.copies)
                self._release(whose, fate.wait + BEHIND_SECONDS)
            elif fate.overtaken:
                self._held[whose] = self._put(delivery, fate.wait + HELD_SECONDS, fate.copies)
            else:
                self._put(delivery, fate.wait, fate.copies)

    def _put(self, delivery: Delivery, wait: float, copies: int = 1) -> list[int]:
        turns = []
        with self._wake:
            for _ in range(copies):
                self._turn += 1
                turns.append(self._turn)
                heapq.heappush(self._queue, (self._clock.now() + wait, self._turn, delivery))
            self._wake.notify(copies)
        return turns

    def _release(self, whose: tuple[str, str], wait: float) -> None:
        turns = set(self._held.pop(whose))
        due = self._clock.now() + wait
        self._queue = [(due, entry[1], entry[2]) if entry[1] in turns else entry for entry in self._queue]
        heapq.heapify(self._queue)
        self._wake.notify()

    def _stir(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def waiting(self) -> int:
        """How many are queued or being sent."""
        with self._wake:
            return len(self._queue) + self._busy

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until everything that is due has been sent; for tests."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._wake:
                due = self._queue and self._queue[0][0] <= self._clock.now()
                if not due and not self._busy:
                    return True
            time.sleep(0.005)
        return False

    def clear(self) -> None:
        """Forget everything queued and sent."""
        with self._wake:
            self._queue.clear()
            self._held.clear()
        self.recent.clear()
        self.lost.clear()

    def _next(self) -> Delivery | None:
        with self._wake:
            while not self._stopped:
                if self._queue:
                    wait = self._queue[0][0] - self._clock.now()
                    if wait <= 0:
                        self._busy += 1
                        _, turn, delivery = heapq.heappop(self._queue)
                        whose = (delivery.vendor, delivery.owner)
                        if turn in self._held.get(whose, ()):
                            del self._held[whose]  # nobody came to overtake it
                        return delivery
                    self._wake.wait(min(wait, 5.0))
                else:
                    self._wake.wait()
            return None

    def _run(self) -> None:
        while (delivery := self._next()) is not None:
            try:
                self._send(delivery)
            finally:
                with self._wake:
                    self._busy -= 1

    def _send(self, delivery: Delivery) -> None:
        headers, body = delivery.render(delivery.attempt)
        answer = self.call(delivery.method, delivery.url, headers, body, delivery.timeout)
        status = answer if isinstance(answer, int) else None
        delivery.answers.append({"at": self._clock.now(), "answer": answer})
        again = delivery.done(delivery, status)
        if again is not None:
            delivery.attempt += 1
            self._put(delivery, again)

    def call(self, method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float) -> int | str:
        """One call: the status, or in a word why there is none."""
        if self._pool is None:
            return "not sent"
        try:
            answer = self._pool.request(
                method, url, headers=headers, body=body, timeout=timeout, redirect=False, preload_content=True
            )
        except urllib3.exceptions.NewConnectionError:
            return "no connection"
        except urllib3.exceptions.TimeoutError:
            return "timeout"
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return type(error).__name__
        return answer.status
