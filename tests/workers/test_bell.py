"""The bell, against a real Redis: it rings once while a ring waits, and does not mind if Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from app.queue import DRAIN, PENDING_SECONDS, RedisBell, answer, impatient_redis, mark_key, queue_of, ring_now
from tests.integrations.conftest import RedisServer

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def client(redis: Redis, redis_server: RedisServer) -> Iterator[Redis]:
    client = impatient_redis(redis_server.url)
    yield client
    client.close()


@pytest.fixture
def nowhere() -> Iterator[Redis]:
    client = impatient_redis("redis://127.0.0.1:1/0")
    yield client
    client.close()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.005)


def jobs(client: Redis) -> list[str]:
    return [job.func_name for job in queue_of(client).get_jobs()]


def test_rings_that_come_together_are_one_job(client: Redis) -> None:
    assert [ring_now(client) for _ in range(20)] == [True] * 20
    assert jobs(client) == [DRAIN]


def test_once_answered_it_rings_again(client: Redis) -> None:
    ring_now(client)
    answer(client)
    ring_now(client)
    assert jobs(client) == [DRAIN] * 2


def test_a_ring_that_was_lost_on_the_way_counts_for_seconds_only(client: Redis) -> None:
    client.set(mark_key(), "1", nx=True, ex=PENDING_SECONDS)  # and the job never came into the queue
    ring_now(client)
    assert jobs(client) == []
    assert 0 < client.ttl(mark_key()) <= PENDING_SECONDS  # type: ignore[operator]
    client.pexpire(mark_key(), 1)
    until(lambda: not client.exists(mark_key()))
    ring_now(client)
    assert jobs(client) == [DRAIN]


def test_a_ring_leaves_from_a_thread_of_its_own(client: Redis) -> None:
    bell = RedisBell(client)
    for _ in range(50):
        bell.ring()
    until(lambda: jobs(client) == [DRAIN])
    answer(client)
    bell.ring()
    until(lambda: jobs(client) == [DRAIN] * 2)


def test_with_redis_away_nobody_waits_and_nothing_fails(nowhere: Redis) -> None:
    bell = RedisBell(nowhere)
    started = time.monotonic()
    for _ in range(1000):
        bell.ring()
    assert time.monotonic() - started < 0.5
    assert ring_now(nowhere) is False


def test_a_redis_that_hangs_is_given_up_soon(redis: Redis, client: Redis) -> None:
    redis.client_pause(5000, all=False)
    started = time.monotonic()
    assert ring_now(client) is False
    assert time.monotonic() - started < 1
    redis.client_unpause()


def test_it_rings_again_once_redis_is_back(redis_server: RedisServer, client: Redis) -> None:
    bell = RedisBell(client)
    redis_server.stop()
    try:
        bell.ring()
        time.sleep(0.1)
    finally:
        redis_server.start()
    bell.ring()
    until(lambda: jobs(client) == [DRAIN])
