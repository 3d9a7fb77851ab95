"""How many calls a vendor takes in a stretch of time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """One call's answer: was it taken, and what is left."""

    allowed: bool
    limit: int
    remaining: int
    reset: int


class Buckets:
    """Fixed windows, one count a key: Intercom's ten seconds."""

    def __init__(self, window: int) -> None:
        self.window = window
        self._counts: dict[str, tuple[int, int]] = {}
        self.peak: dict[str, int] = {}

    def take(self, key: str, now: float, limit: int) -> Allowance:
        """Count one call of `key`."""
        bucket = int(now) // self.window
        start, count = self._counts.get(key, (bucket, 0))
        count = count + 1 if start == bucket else 1
        self._counts[key] = (bucket, count)
        self.peak[key] = max(self.peak.get(key, 0), count)
        return Allowance(count <= limit, limit, max(0, limit - count), (bucket + 1) * self.window)


class Abuse:
    """Referral Factory's limit: a window a token, and an address that exceeds it too often is blocked."""

    def __init__(self, window: int = 60) -> None:
        self.window = window
        self._calls: dict[str, deque[float]] = {}
        self._fixed = Buckets(window)
        self.refusals: dict[str, int] = {}
        self.blocked_until: dict[str, float] = {}
        self.peak: dict[str, int] = {}

    def take(self, key: str, now: float, limit: int, *, sliding: bool) -> bool:
        """Count one call of `key`; false if it exceeds the limit. `peak` counts by the sliding window always."""
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - self.window:
            calls.popleft()
        calls.append(now)
        self.peak[key] = max(self.peak.get(key, 0), len(calls))
        fixed = self._fixed.take(key, now, limit)
        return len(calls) <= limit if sliding else fixed.allowed

    def refuse(self, address: str, now: float, most: int, block_seconds: float) -> None:
        """Note one call over the limit; more than `most` of them block the address."""
        self.refusals[address] = self.refusals.get(address, 0) + 1
        if self.refusals[address] > most:
            self.blocked_until[address] = now + block_seconds

    def is_blocked(self, address: str, now: float) -> bool:
        """Whether calls of this address are turned away whatever they ask."""
        return self.blocked_until.get(address, 0.0) > now

    def unblock(self) -> None:
        """Forgive every address."""
        self.blocked_until.clear()
        self.refusals.clear()
