"""The bulk queue: a ring becomes a job there, and the job does the pages that are due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from app.queue import BULK, LIVE, PAGES, mark_key, queue_of, ring_now
from app.storage import syncs
from app.storage.database import Database
from app.storage.tables import metadata
from app.usecases.run_pages import ring_for_pages
from tests.integrations.conftest import RedisServer
from tests.product import Product
from tests.usecases.syncing import Syncing
from tests.web.installation import settings_for
from workers.process import Process, become

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def syncing(tmp_path: Path) -> Iterator[Syncing]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    metadata.create_all(database.engine)
    yield Syncing(Product(database))
    database.close()


@pytest.fixture
def process(syncing: Syncing, redis_server: RedisServer) -> Iterator[Process]:
    settings = settings_for(syncing.product.database)
    process = Process(replace(settings, redis_url=redis_server.url))
    yield process
    process.wired.close()


def row(syncing: Syncing, sync_id: int) -> Any:
    with syncing.product.database.reading() as connection:
        return syncs.get(connection, sync_id)


def test_a_ring_is_a_job_of_its_own_queue(redis: Redis) -> None:
    assert [ring_now(redis, BULK) for _ in range(5)] == [True] * 5
    assert [job.func_name for job in queue_of(redis, BULK).get_jobs()] == [PAGES]
    assert queue_of(redis, LIVE).get_jobs() == []
    assert redis.exists(mark_key(BULK))
    assert not redis.exists(mark_key(LIVE))


def test_the_job_does_the_pages_that_are_due(syncing: Syncing, process: Process, redis: Redis) -> None:
    sync_id = syncing.start()
    syncing.archive_campaign()  # so that it ends without asking anybody
    become(process)
    ring_now(redis, BULK)
    queue = queue_of(redis, BULK)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True, logging_level="WARNING")
    assert row(syncing, sync_id).state == "cancelled"
    assert not redis.exists(mark_key(BULK))
    assert queue.get_jobs() == []


def test_the_clock_rings_while_something_is_due(syncing: Syncing) -> None:
    product = syncing.product
    assert not ring_for_pages(product.services)
    sync_id = syncing.start()
    assert ring_for_pages(product.services)
    assert (product.bulk_bell.rings, product.bell.rings) == (1, 0)
    syncing.set_state(sync_id, syncs.PAUSED)
    assert not ring_for_pages(product.services)
