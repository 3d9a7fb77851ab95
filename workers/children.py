"""What the worker's processes do, each from its fork to its end."""

from __future__ import annotations

import os
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

from app.queue import DRAIN, live_queue
from config.settings import Settings
from workers import schedule
from workers.process import Process, become

log = structlog.get_logger(__name__)


def check() -> None:
    """A mistyped job name would fail only in the worker, and only once it is called.

    Raises: ValueError where a job can't be imported.
    """
    import_attribute(DRAIN)


class LiveWorker(SimpleWorker):
    """Tells the job in hand, too, that the process was asked to stop."""

    stopping: threading.Event

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ has no types here


def live(settings: Settings) -> None:
    """Answers the bell until it is asked to stop."""
    process = Process(settings)
    become(process)
    _await_redis(process)
    queue = live_queue(redis.Redis.from_url(settings.redis_url))
    worker = LiveWorker([queue], connection=queue.connection, serializer=JSONSerializer, maintenance_interval=60)
    worker.stopping = process.stopping
    try:
        worker.work(logging_level="WARNING", with_scheduler=False)
    except redis.RedisError as error:
        # The supervisor starts another, which waits for Redis; what was in hand is given back by its lease.
        log.warning("redis_lost", error=type(error).__name__)
    process.wired.close()


def _await_redis(process: Process) -> None:
    """A Redis that is away is waited for: dying over it each second would only fill the log."""
    if process.wired.redis_answers():
        return
    log.warning("redis_away")
    while not process.wired.redis_answers():
        time.sleep(1)
    log.info("redis_back")


def clock(settings: Settings) -> None:
    """Does what recurs until it is asked to stop."""
    process = Process(settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    schedule.keep_time(process.wired.services, process.stopping)
    process.wired.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def serve_metrics(port: int | None) -> None:
    """The worker's own metrics, of all its processes together, where ``METRICS_PORT`` asks for them."""
    if port is not None:
        threading.Thread(target=_serve_metrics, args=(port,), name="metrics", daemon=True).start()


def _serve_metrics(port: int) -> None:
    """As long as the process lives. A port that is taken is waited for: the work matters more than its figures, and
    a worker that was killed has children which hold on to the port for a moment."""
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
    # A child does not need the socket, and would keep it open after its parent's death.
    os.register_at_fork(after_in_child=server.socket.close)
    log.info("metrics_served", port=port)
    server.serve_forever()
