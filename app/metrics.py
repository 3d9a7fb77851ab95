"""What is counted for Prometheus, ``referloop_*``. Labels are of closed sets: no id, name or address is ever one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.errors import Vendor
from app.storage import inbox
from app.storage.database import Database

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200)


class PrometheusMetrics:
    """The counters of one process; several processes add up where ``PROMETHEUS_MULTIPROC_DIR`` is set."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._received = Counter(
            "referloop_events_received", "Webhooks taken in.", ("source", "duplicate"), registry=registry
        )
        self._settled = Counter(
            "referloop_events_settled",
            "Events by what became of them; retrying and received ones were given back.",
            ("source", "status", "cause"),
            registry=registry,
        )
        self._latency = Histogram(
            "referloop_event_seconds",
            "From the receipt of an event to its settling.",
            ("source",),
            buckets=_LONG_SECONDS,
            registry=registry,
        )
        self._activity = Counter(
            "referloop_activity", "What was done for people.", ("verb", "outcome", "cause"), registry=registry
        )
        self._calls = Histogram(
            "referloop_vendor_call_seconds",
            "Calls to the vendors; status 0 where no answer came.",
            ("vendor", "operation", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._waits = Histogram(
            "referloop_vendor_wait_seconds",
            "Waits for the budget of calls.",
            ("vendor",),
            buckets=_SECONDS,
            registry=registry,
        )

    def received(self, source: str, duplicate: bool) -> None:
        self._received.labels(source, str(duplicate).lower()).inc()

    def settled(self, source: str, status: str, cause: str | None, seconds: float) -> None:
        self._settled.labels(source, status, cause or "").inc()
        if status in inbox.SETTLED:
            self._latency.labels(source).observe(seconds)

    def activity(self, verb: str, outcome: str, cause: str | None) -> None:
        self._activity.labels(verb, outcome, cause or "").inc()

    def called(self, vendor: Vendor, operation: str, status: int, seconds: float) -> None:
        self._calls.labels(vendor.value, operation, str(status)).observe(seconds)

    def waited(self, vendor: Vendor, seconds: float) -> None:
        self._waits.labels(vendor.value).observe(seconds)

    def exposition(self, *more: Collector) -> bytes:
        """All that was counted, in Prometheus' text format; ``more`` is read now."""
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
        asked = CollectorRegistry()
        for collector in more:
            asked.register(collector)
        return generate_latest(registry) + generate_latest(asked)


class InboxCollector(Collector):
    """The inbox as it stands when it is asked for; the large settled part is not counted."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("referloop_events", "Events that are not done, by status.", labels=("status",))
        oldest = GaugeMetricFamily("referloop_oldest_waiting_seconds", "Age of the oldest event that is not settled.")
        try:
            with self._database.reading() as connection:
                counts = inbox.counts_by_status(connection)
                since = inbox.oldest_waiting(connection)
        except (DBAPIError, PoolTimeoutError):
            return  # the rest is worth having when the database is away, or not migrated yet
        for status in (*inbox.OPEN, "dead"):
            waiting.add_metric([status], counts.get(status, 0))
        oldest.add_metric([], max(0.0, self._now() - since.timestamp()) if since else 0.0)
        yield from (waiting, oldest)
