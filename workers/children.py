"""What the worker's processes do, each from its fork to its end."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from types import FrameType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import redis
import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app, multiprocess
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from app.queue import BULK, JOBS, LIVE, queue_of
from app.storage.database import CACHE_KIB
from config.collector import settle_collector
from config.settings import Settings
from workers import schedule
from workers.process import Process, become

BULK_CACHE_KIB = 2_000
"""Of whom runs over a hundred thousand contacts are no reason to keep the whole file in memory."""

_M_ARENA_MAX = -8  # of glibc's malloc.h

log = structlog.get_logger(__name__)


def check() -> None:
    """A mistyped job name would fail only in the worker, and only once it is called.

    Raises: ValueError where a job can't be imported.
    """
    for job in JOBS.values():
        import_attribute(job)


class StoppableWorker(SimpleWorker):
    """Tells the job in hand, too, that the process was asked to stop."""

    stopping: threading.Event

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ has no types here


def live(settings: Settings) -> None:
    """Answers the bell until it is asked to stop."""
    _listen(settings, LIVE)


def bulk(settings: Settings) -> None:
    """The same for runs over many people: in a process of its own, so that nobody who waits stands behind them."""
    _listen(settings, BULK, cache_kib=BULK_CACHE_KIB)


def _listen(settings: Settings, name: str, *, cache_kib: int = CACHE_KIB) -> None:
    _share_arenas()
    process = Process(settings, cache_kib=cache_kib)
    become(process)
    _await_redis(process)
    settle_collector()
    queue = queue_of(redis.Redis.from_url(settings.redis_url), name)
    worker = StoppableWorker([queue], connection=queue.connection, serializer=JSONSerializer, maintenance_interval=60)
    worker.stopping = process.stopping
    try:
        worker.work(logging_level="WARNING", with_scheduler=False)
    except redis.RedisError as error:
        # The supervisor starts another, which waits for Redis; what was in hand is given back by its lease.
        log.warning("redis_lost", error=type(error).__name__)
    process.wired.close()


def _share_arenas() -> None:
    """Many threads, of which one runs at a time, need no heap each: what is freed in one is of no use in another, and
    the process would grow with the work that it has done. Where the allocator is not glibc's there is nothing to set.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _await_redis(process: Process) -> None:
    """A Redis that is away is waited for: dying over it each second would only fill the log."""
    if process.wired.redis_answers():
        return
    log.warning("redis_away")
    while not process.wired.redis_answers():
        time.sleep(1)
    log.info("redis_back")


def clock(settings: Settings) -> None:
    """Does what recurs until it is asked to stop, and serves the worker's metrics."""
    _serve_metrics(settings.metrics_port)
    process = Process(settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    schedule.keep_time(process.wired.services, process.stopping)
    process.wired.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def _serve_metrics(port: int | None) -> None:
    """The worker's own metrics, of all its processes together, where ``METRICS_PORT`` asks for them."""
    if port is not None:
        threading.Thread(target=_keep_serving, args=(port,), name="metrics", daemon=True).start()


def _keep_serving(port: int) -> None:
    """As long as the process lives. A port that is taken is waited for: the work matters more than its figures, and
    a worker that was killed has a clock which holds on to the port for a moment."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    told = False
    while True:
        try:
            server = make_server("0.0.0.0", port, make_wsgi_app(registry), handler_class=_Quiet)  # noqa: S104 - to be scraped
            break
        except OSError as error:
            if not told:
                log.warning("metrics_port_taken", port=port, error=error.strerror)
            told = True
            time.sleep(1)
    log.info("metrics_served", port=port)
    server.serve_forever()
