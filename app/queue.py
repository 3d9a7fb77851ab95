"""The bell: says to the workers, by way of RQ, that there is work. Asked only after the commit.

The database is the truth; a ring that is lost costs time until the next sweep, never an event.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

LIVE = "live"
BULK = "bulk"
QUEUES = (LIVE, BULK)

DRAIN = "workers.jobs.drain"
PAGES = "workers.jobs.pages"
JOBS = {LIVE: DRAIN, BULK: PAGES}
"""What a ring puts into each queue."""

DRAIN_SECONDS = 60
"""How long one job goes on before it rings for the next, so that RQ sees it come and go."""

PENDING_SECONDS = 5
"""How long a ring counts as pending should it have been lost on the way to the queue."""

TOGETHER_SECONDS = 0.05
"""After a ring, those that follow within this time are one: asking Redis for every webhook is dear."""

log = structlog.get_logger(__name__)


class Bell(Protocol):
    def ring(self) -> None:
        """Say that work is due. Never waits and never fails."""
        ...


def impatient_redis(url: str, *, seconds: float = 0.25) -> redis.Redis:
    """A client that gives up at once: by default redis-py 8 tries for four seconds."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def queue_of(connection: redis.Redis, name: str = LIVE) -> Queue:
    return Queue(name, connection=connection, serializer=JSONSerializer)


def mark_key(name: str = LIVE) -> str:
    """Set while a ring is in the queue and no job has answered it."""
    return f"referloop:bell:{name}"


class RedisBell:
    """Rings from a thread of its own, so that no webhook ever waits for Redis; rings that come together are one."""

    def __init__(self, connection: redis.Redis, name: str = LIVE) -> None:
        self._connection, self._name = connection, name
        self._asked = threading.Event()
        self._starting = threading.Lock()
        self._ringer_of: int | None = None

    def ring(self) -> None:
        if not self._asked.is_set():  # else the ringer has yet to begin, and what was committed now is meant, too
            self._asked.set()
        if self._ringer_of != os.getpid():
            with self._starting:
                if self._ringer_of != os.getpid():
                    threading.Thread(target=self._ring_on, name=f"bell-{self._name}", daemon=True).start()
                    self._ringer_of = os.getpid()

    def _ring_on(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                ring_now(self._connection, self._name)
            except Exception:  # whatever it is, the next ring needs this thread
                log.exception("bell_broken")
            time.sleep(TOGETHER_SECONDS)


def ring_now(connection: redis.Redis, name: str = LIVE) -> bool:
    """Put one job into the queue unless one is waiting there; whether Redis could be asked."""
    try:
        if connection.set(mark_key(name), "1", nx=True, ex=PENDING_SECONDS):
            queue_of(connection, name).enqueue_call(
                JOBS[name], timeout=3 * DRAIN_SECONDS, result_ttl=0, failure_ttl=24 * 3600, ttl=3600
            )
    except redis.RedisError as error:
        log.warning("bell_not_rung", error=type(error).__name__)
        return False
    return True


def answer(connection: redis.Redis, name: str = LIVE) -> None:
    """Take the mark away before looking for work: whoever commits from now on rings again."""
    connection.delete(mark_key(name))
