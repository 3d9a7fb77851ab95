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

    def as_dict(self) -> dict[str, Any]:
        """For the log."""
        return {
            "vendor": self.vendor,
            "owner": self.owner,
            "topic": self.topic,
            "id": self.id,
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

    def submit(self, delivery: Delivery, faults: dict[str, float] | None = None) -> None:
        """Queue a delivery, with the faults that the dice choose for it."""
        chance = faults or {}
        delivery.created_at = self._clock.now()
        if self._falls(chance.get("lose", 0.0)):
            self.lost.append(delivery)
            return
        wait = 0.0
        if self._falls(chance.get("reorder", 0.0)):
            wait += 1.5  # long enough for a later one to overtake it
        if self._falls(chance.get("delay", 0.0)):
            wait += chance.get("delay_seconds", 0.0)
        self.recent.append(delivery)
        self._put(delivery, wait)
        if self._falls(chance.get("duplicate", 0.0)):
            self._put(delivery, wait)

    def _falls(self, probability: float) -> bool:
        return probability > 0 and self.dice.random() < probability

    def _put(self, delivery: Delivery, wait: float) -> None:
        with self._wake:
            self._turn += 1
            heapq.heappush(self._queue, (self._clock.now() + wait, self._turn, delivery))
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
        self.recent.clear()
        self.lost.clear()

    def _next(self) -> Delivery | None:
        with self._wake:
            while not self._stopped:
                if self._queue:
                    wait = self._queue[0][0] - self._clock.now()
                    if wait <= 0:
                        self._busy += 1
                        return heapq.heappop(self._queue)[2]
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
