"""Budgets of calls, shared by all workers through Redis and led by the vendors' headers.

pyrate-limiter was the first choice and does not fit: it knows no callers that yield to others, takes no limit from a
header while it runs, and asks Redis three times for every grant. The script below (a generic cell rate algorithm)
grants a handful of slots in one round trip and keeps no log, so that a lost Redis loses nothing but its burst.

How the promise holds. Slots lie ``step`` apart, and at most ``burst`` of them may be used ahead of that rhythm after
a rest, so any stretch of a window and ``LATE_SECONDS`` (2 % of the window at most) holds at most ``limit`` slots,
wherever it starts. These seconds (and the unused burst, under load) take up what a call is late on its way. A slot
that is not used soon is spent, never saved. Where Redis has lost the state, the burst counts as spent: going on in
rhythm is at most one call too early, which those seconds cover (of 100 calls or more), whatever was granted before.
So nobody needs to wait a window, nor to remember whether this is the first start.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, Protocol, cast

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.core.errors import RateLimited, Vendor

REDIS_AWAY_SECONDS: Final = 2.0
LATE_SECONDS: Final = 0.6
"""How late a call may be on its way."""
SENDING_SECONDS: Final = 0.1
"""How much of being late is left to the way from a slot's being taken to the vendor."""
REMAINING_SHARE: Final = 0.01
"""Below this share of what the vendor has left for us in its window, all wait for the next: calls are under way."""

# KEYS: the budget. ARGV: slots wanted, 1 for bulk, limit to start with, window, horizon and lateness in microseconds,
# and the share of the whole that bulk may take.
# Answers {limit, wait} where the next slot lies beyond the horizon, else {limit, 0, offset of each slot from now}.
# Times are of Redis' own clock, so the workers' clocks do not matter. Bulk leaves half of the burst to live callers,
# who so find their slot at once however much it takes, and gets nothing while one of these has to wait. Where it is
# given a share of less than 1, it has a rhythm of its own besides.
TAKE: Final = """
local wanted, bulk = tonumber(ARGV[1]), ARGV[2] == '1'
local window, horizon, late = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local state = redis.call('HMGET', KEYS[1], 'limit', 'next', 'bulk', 'hold', 'live')
local limit = tonumber(state[1]) or tonumber(ARGV[3])
local burst = math.ceil(limit * 0.02)
local step = (window + late) / (limit - burst + 1)
local slack = (burst - 1) * step
local ahead = math.max(now, tonumber(state[2]) or now + slack)
if not state[2] then redis.call('HSET', KEYS[1], 'next', string.format('%.0f', ahead)) end
local hold = tonumber(state[4]) or 0
if hold > now then return {limit, math.ceil(hold - now)} end

local first, pace = ahead - slack, step
if bulk then
  local live = tonumber(state[5]) or 0
  if live > now then return {limit, math.ceil(live - now)} end
  local share = tonumber(ARGV[7]) or 1
  first, pace = ahead - slack / 2, step / share
  if share < 1 then first = math.max(first, tonumber(state[3]) or 0) end
  ahead, horizon = math.max(ahead, first), horizon / 4
end
local wait = first - now
if not bulk and wait > step then
  redis.call('HSET', KEYS[1], 'live', string.format('%.0f', first))
end
if wait > horizon then return {limit, math.ceil(wait - horizon / 2)} end

local answer = {limit, 0}
for i = 0, wanted - 1 do
  answer[i + 3] = math.max(0, math.ceil(first + i * pace - now))
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', ahead + wanted * step))
if bulk then
  redis.call('HSET', KEYS[1], 'bulk', string.format('%.0f', math.max(first, now) + wanted * pace))
end
return answer
"""

# KEYS: the budget. ARGV: microseconds from now until which nobody calls.
HOLD: Final = """
local clock = redis.call('TIME')
local till = clock[1] * 1000000 + clock[2] + tonumber(ARGV[1])
if till > (tonumber(redis.call('HGET', KEYS[1], 'hold')) or 0) then
  redis.call('HSET', KEYS[1], 'hold', string.format('%.0f', till))
end
"""


class Pace(StrEnum):
    """Whose calls go first. ``LIVE``: somebody waits for them. ``BULK``: a run over many people, which takes what is
    left. ``SWEEP``: looking for what was missed, which takes little of that."""

    LIVE = "live"
    BULK = "bulk"
    SWEEP = "sweep"


class Budget(Protocol):
    """The calls that one account may make. Safe to share between threads."""

    def take(self, *, bulk: bool = False) -> None:
        """Wait for the right to make one call. Raises ``RateLimited`` where that takes longer than the patience."""

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what an answer's headers say of the limit. Never raises."""

    def hold(self, seconds: float) -> None:
        """Nobody calls for so long: the vendor has said 429. Never raises."""


class Unlimited:
    """The budget of who calls nobody for real."""

    def take(self, *, bulk: bool = False) -> None:
        """At once."""

    def learn(self, headers: Mapping[str, str]) -> None:
        """Nothing to learn."""

    def hold(self, seconds: float) -> None:
        """Nothing to hold."""


class Timed:
    """A budget whose waits are told, in seconds, also those that end in ``RateLimited``."""

    def __init__(self, budget: Budget, tell: Callable[[float], None]) -> None:
        self._budget, self._tell = budget, tell

    def take(self, *, bulk: bool = False) -> None:
        began = time.monotonic()
        try:
            self._budget.take(bulk=bulk)
        finally:
            self._tell(time.monotonic() - began)

    def learn(self, headers: Mapping[str, str]) -> None:
        self._budget.learn(headers)

    def hold(self, seconds: float) -> None:
        self._budget.hold(seconds)


class _Lease:
    """Slots that this process may use: times of the monotonic clock, soonest first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.slots: deque[float] = deque()
        self.size = 1
        self.filled_at = 0.0
        self.shut_until = 0.0

    def pop(self, stale_seconds: float) -> float | None:
        """The next slot. Those left lying are given up, and one is asked for next time."""
        oldest = time.monotonic() - stale_seconds
        while self.slots:
            slot = self.slots.popleft()
            if slot >= oldest:
                return slot
            self.size = 1
        return None

    def fill(self, offsets: list[float], most: int, soon_seconds: float) -> None:
        """Take over slots, given in seconds from now; where they go fast, the next time asks for twice as many."""
        now = time.monotonic()
        self.slots.extend(now + offset for offset in offsets)
        self.size = min(self.size * 2, max(1, most)) if now - self.filled_at < soon_seconds else 1
        self.filled_at = now


class RedisBudget:
    """At most ``limit`` calls in any ``window_seconds``, over all processes that share ``key`` in one Redis.

    ``led_by_headers``: the vendor's ``X-RateLimit-*`` headers set the limit for all workers at once, and all wait
    when little remains (Intercom, whose other apps eat from the same budget). ``patience_seconds`` bounds the wait.
    ``bulk_share`` is how much of the whole bulk work may take where nobody else asks.
    Without Redis nothing is granted: ``RateLimited`` for 2 s, so that work is held and no attempt is spent.
    """

    def __init__(
        self,
        redis: Redis,
        key: str,
        limit: int,
        window_seconds: float,
        *,
        vendor: Vendor,
        led_by_headers: bool = False,
        patience_seconds: float = 10.0,
        bulk_share: float = 1.0,
    ) -> None:
        self._take = redis.register_script(TAKE)
        self._hold = redis.register_script(HOLD)
        self._redis, self._key, self._limit, self._window = redis, key, limit, window_seconds
        self._vendor, self._led, self._patience = vendor, led_by_headers, patience_seconds
        self._bulk_share, self._late = bulk_share, min(LATE_SECONDS, window_seconds / 50)
        self._leases = {False: _Lease(), True: _Lease()}
        self._away_until = 0.0

    @property
    def limit(self) -> int:
        """Calls a window, as last heard of."""
        return self._limit

    def take(self, *, bulk: bool = False) -> None:
        """See ``Budget``. One thread of a process asks Redis, for the others too; they wait for it."""
        lease, deadline = self._leases[bulk], time.monotonic() + self._patience
        if lease.shut_until > deadline or not lease.lock.acquire(timeout=self._patience):
            raise self._spent(lease.shut_until - time.monotonic())
        try:
            slot = self._next_slot(lease, bulk, deadline)
        finally:
            lease.lock.release()
        wait = slot - time.monotonic()
        if wait > 0:  # else not even for nothing: another thread would take its turn, and there are many
            time.sleep(wait)

    def learn(self, headers: Mapping[str, str]) -> None:
        """See ``Budget``. Asks Redis only where something has changed."""
        limit = number_in(headers, "X-RateLimit-Limit")
        if not self._led or limit is None or limit < 1:
            return
        if int(limit) != self._limit:
            self._adopt(int(limit))
        remaining = number_in(headers, "X-RateLimit-Remaining")
        if remaining is not None and remaining <= limit * REMAINING_SHARE:
            self.hold(wait_of(headers, self._window))

    def hold(self, seconds: float) -> None:
        for lease in self._leases.values():
            lease.slots.clear()
        try:
            self._hold(keys=[self._key], args=[math.ceil(seconds * 1e6)])
        except RedisError:
            self._note_absence()

    def _adopt(self, limit: int) -> None:
        self._limit = limit
        try:
            self._redis.hset(self._key, "limit", str(limit))
        except RedisError:
            self._note_absence()

    def _next_slot(self, lease: _Lease, bulk: bool, deadline: float) -> float:
        """The next slot of the process, if need be from Redis. The lease's lock is held."""
        while (slot := lease.pop(max(self._late - SENDING_SECONDS, self._late / 2))) is None:
            wait = self._refill(lease, bulk)
            lease.shut_until = time.monotonic() + wait
            if lease.shut_until > deadline:
                raise self._spent(wait)
            time.sleep(wait)
        return slot

    def _refill(self, lease: _Lease, bulk: bool) -> float:
        """Ask Redis for slots: 0 where some were granted, else the seconds to wait before asking again."""
        window = self._window * 1e6
        horizon, late = math.ceil(window / 50), math.ceil(self._late * 1e6)
        args = [lease.size, int(bulk), self._limit, math.ceil(window), horizon, late, self._bulk_share]
        try:
            limit, wait, *offsets = cast("list[int]", self._ask(args))
        except RedisError as error:
            self._note_absence()
            raise self._spent(REDIS_AWAY_SECONDS) from error
        self._limit = limit
        if offsets:  # a batch is what a hundredth of the window holds, for after that a slot is stale
            lease.fill([offset / 1e6 for offset in offsets], min(limit // 100, 32), self._window / 50)
        return wait / 1e6

    def _ask(self, args: list[float]) -> Any:
        if time.monotonic() < self._away_until:
            raise self._spent(REDIS_AWAY_SECONDS)
        return self._take(keys=[self._key], args=args)

    def _note_absence(self) -> None:
        """For a second nobody else tries: each try costs its timeout, and threads stand in line for it."""
        self._away_until = time.monotonic() + 1.0

    def _spent(self, seconds: float) -> RateLimited:
        after = max(seconds, 0.1)
        return RateLimited(self._vendor, f"The budget of calls to {self._vendor.label} is spent.", after=after)


def impatient_redis(url: str) -> Redis:
    """A Redis client that gives up at once: 0.5 s for anything, no retries (redis-py 8 tries for over 4 s)."""
    return Redis.from_url(
        url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), health_check_interval=0
    )


LONGEST_WAIT_SECONDS: Final = 300.0


def wait_of(headers: Mapping[str, str], fallback: float) -> float:
    """How long a vendor asks to wait, in seconds: by ``X-RateLimit-Reset`` and the answer's own ``Date``.

    Never by our clock, which may be off. There is no ``Retry-After`` in Intercom's documentation
    (https://developers.intercom.com/docs/references/2.16/rest-api/errors/rate-limiting); one that is sent is obeyed.
    """
    wait = _seconds_until_reset(headers)
    if wait is None:
        wait = number_in(headers, "Retry-After")
    return min(max(wait, 1.0), LONGEST_WAIT_SECONDS) if wait is not None else fallback


def number_in(headers: Mapping[str, str], name: str) -> float | None:
    """A header's finite number, ``None`` where there is none."""
    try:
        number = float(headers[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _seconds_until_reset(headers: Mapping[str, str]) -> float | None:
    reset = number_in(headers, "X-RateLimit-Reset")
    try:
        return reset - parsedate_to_datetime(headers["Date"]).timestamp() if reset is not None else None
    except (KeyError, ValueError):
        return None
