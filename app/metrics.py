"""What is counted for Prometheus, ``referloop_*``. Labels are of closed sets: no id, name or address is ever one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.errors import Vendor
from app.storage import circuits, event_list, inbox, programs, workspaces
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
        self._found = Counter(
            "referloop_reconcile_found",
            "What webhooks had not told and a reconcile found.",
            ("kind",),
            registry=registry,
        )
        self._reconcile_calls = Counter(
            "referloop_reconcile_calls", "Calls to the vendors that reconciles made.", ("kind",), registry=registry
        )
        self._synced = Counter(
            "referloop_sync_contacts", "Contacts of syncs by what became of them.", ("outcome",), registry=registry
        )
        self._pages = Histogram(
            "referloop_sync_page_seconds",
            "Pages of syncs, from their beginning to their being kept.",
            buckets=_LONG_SECONDS,
            registry=registry,
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

    def reconciled(self, kind: str, found: int, calls: int) -> None:
        self._found.labels(kind).inc(found)
        self._reconcile_calls.labels(kind).inc(calls)

    def synced(self, outcomes: Mapping[str, int], seconds: float) -> None:
        self._pages.observe(seconds)
        for outcome, count in outcomes.items():
            if count > 0:
                self._synced.labels(outcome).inc(count)

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
                counts = event_list.counts_by_status(connection)
                since = event_list.oldest_waiting(connection)
        except (DBAPIError, PoolTimeoutError):
            return  # the rest is worth having when the database is away, or not migrated yet
        for status in (*inbox.OPEN, "dead"):
            waiting.add_metric([status], counts.get(status, 0))
        oldest.add_metric([], max(0.0, self._now() - since.timestamp()) if since else 0.0)
        yield from (waiting, oldest)


class ConnectionsCollector(Collector):
    """Connections by state and what of them can't be used, as the database says: the same whichever process is
    asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        lost = GaugeMetricFamily(
            "referloop_connections_lost", "Connections whose token is refused.", labels=("vendor",)
        )
        away = GaugeMetricFamily("referloop_circuits_open", "What is away or not permitted.", labels=("vendor",))
        try:
            with self._database.reading() as connection:
                refused = {
                    Vendor.INTERCOM: len(workspaces.lost(connection)),
                    Vendor.REFERRAL_FACTORY: len(programs.lost(connection)),
                }
                opened = [name.partition(":")[0] for name in circuits.open_names(connection)]
        except (DBAPIError, PoolTimeoutError):
            return
        for vendor in Vendor:
            lost.add_metric([vendor.value], refused[vendor])
            away.add_metric([vendor.value], opened.count(vendor.value))
        yield from (lost, away)
