"""What platforms and Prometheus are told: alive, ready, and measured. The whole application, made as it is served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.migration import MigrationContext
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from pytest_socket import enable_socket
from sqlalchemy import text

from app.core.errors import Vendor
from app.factory import make_app
from app.integrations.budget import Pace
from app.storage import circuits, inbox, schema_version, workspaces
from app.storage.circuits import Broken
from app.storage.database import Database
from app.storage.inbox import NewEvent
from app.storage.tables import events
from app.storage.vault import digest
from app.wiring import Wired
from tests.product import Product
from tests.web.installation import settings_for

HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}


def migrated(database: Database, revision: str | None) -> None:
    """Say which migration the database is at."""
    with database.writing() as connection:
        context = MigrationContext.configure(connection)
        context._ensure_version_table()
        connection.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def with_redis(wired: Wired, answers: bool) -> FlaskClient:
    app = make_app(wired.settings, wired)
    app.extensions["referloop.redis_answers"] = lambda: answers
    return app.test_client()


@pytest.fixture
def wired(database: Database) -> Iterator[Wired]:
    migrated(database, schema_version.newest())
    wired = Wired(settings_for(database), threads=2)
    yield wired
    wired.close()
    with database.writing() as connection:
        connection.execute(text("DROP TABLE alembic_version"))


@pytest.fixture
def nowhere() -> Iterator[Wired]:
    """An installation whose database is away: nothing listens there."""
    enable_socket()
    wired = Wired(settings_for("postgresql+psycopg://nobody@127.0.0.1:1/none"), threads=2)
    yield wired
    wired.close()


def test_alive_whatever_is_away(nowhere: Wired) -> None:
    answer = with_redis(nowhere, answers=False).get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_ready_with_all_parts(wired: Wired) -> None:
    answer = with_redis(wired, answers=True).get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"database": "ok", "redis": "ok", "migrations": "ok"})


@pytest.mark.enable_socket
def test_ready_without_redis_for_webhooks_are_taken(wired: Wired) -> None:
    answer = make_app(wired.settings, wired).test_client().get("/readyz")  # nothing listens at its address
    assert (answer.status_code, answer.json) == (200, {"database": "ok", "redis": "down", "migrations": "ok"})


@pytest.mark.parametrize("revision", ["0000", None], ids=["an older one", "none"])
def test_not_ready_with_old_migrations(wired: Wired, database: Database, revision: str | None) -> None:
    migrated(database, revision)
    answer = with_redis(wired, answers=True).get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"database": "ok", "redis": "ok", "migrations": "down"})


def test_goes_on_while_a_later_version_has_migrated_already(wired: Wired, database: Database) -> None:
    migrated(database, "9999")
    answer = with_redis(wired, answers=True).get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"database": "ok", "redis": "ok", "migrations": "ok"})


def test_not_ready_without_the_database(nowhere: Wired) -> None:
    answer = with_redis(nowhere, answers=True).get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"database": "down", "redis": "ok", "migrations": "down"})


def metrics(client: FlaskClient) -> dict[str, float]:
    """Samples by name and labels, as Prometheus' own parser reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    families = text_string_to_metric_families(answer.get_data(as_text=True))
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_is_counted_is_read_by_prometheus(wired: Wired, database: Database) -> None:
    client = with_redis(wired, answers=True)
    wired.metrics.received("referral_factory", False)
    wired.metrics.received("referral_factory", True)
    wired.metrics.settled("referral_factory", "done", None, 0.2)
    wired.metrics.settled("referral_factory", "retrying", "intercom_unavailable", 0.2)
    wired.metrics.activity("send", "created", None)
    wired.metrics.reconciled("intercom", 1, 1)
    wired.metrics.called(Vendor.INTERCOM, "search_email", 200, 0.08)
    wired.metrics.waited(Vendor.INTERCOM, 0.5)
    found = metrics(client)
    for name in (
        "referloop_events_received_total duplicate=false source=referral_factory",
        "referloop_events_received_total duplicate=true source=referral_factory",
        "referloop_events_settled_total cause= source=referral_factory status=done",
        "referloop_events_settled_total cause=intercom_unavailable source=referral_factory status=retrying",
        "referloop_activity_total cause= outcome=created verb=send",
        "referloop_reconcile_found_total kind=intercom",
        "referloop_reconcile_calls_total kind=intercom",
        "referloop_event_seconds_count source=referral_factory",
        "referloop_vendor_call_seconds_count operation=search_email status=200 vendor=intercom",
        "referloop_vendor_wait_seconds_count vendor=intercom",
    ):
        assert found[name] == 1, name
    assert found["referloop_oldest_waiting_seconds"] == 0


def test_the_inbox_is_told_as_it_stands(wired: Wired, database: Database) -> None:
    received = datetime.now(UTC) - timedelta(minutes=5)
    new = [
        NewEvent(f"key{n}", "intercom", "ping", 1, None, None, "application/json", b"{}", received) for n in range(4)
    ]
    with database.writing() as connection:
        ids = [receipt.event_id for receipt in inbox.keep(connection, new)]
        for event_id, status in zip(ids[1:], ("retrying", "dead", "done"), strict=True):
            connection.execute(events.update().where(events.c.id == event_id).values(status=status))
    found = metrics(with_redis(wired, answers=True))
    told = {status: found[f"referloop_events status={status}"] for status in (*inbox.OPEN, "dead")}
    assert told == {"received": 1, "retrying": 1, "processing": 0, "dead": 1}
    assert 299 < found["referloop_oldest_waiting_seconds"] < 400


def test_metrics_are_told_without_the_inbox_while_the_database_is_away(nowhere: Wired) -> None:
    nowhere.metrics.received("intercom", False)
    found = metrics(with_redis(nowhere, answers=False))
    assert found["referloop_events_received_total duplicate=false source=intercom"] == 1
    assert "referloop_oldest_waiting_seconds" not in found


def test_metrics_are_told_before_the_first_migration(wired: Wired, database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE events RENAME TO events_later"))
    try:
        assert "referloop_oldest_waiting_seconds" not in metrics(with_redis(wired, answers=True))
    finally:
        with database.writing() as connection:
            connection.execute(text("ALTER TABLE events_later RENAME TO events"))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/", "/nowhere", "/api/v1/causes"])
def test_every_answer_has_the_headers_of_security(wired: Wired, path: str) -> None:
    answer = with_redis(wired, answers=True).get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_bulk_work_has_ways_of_its_own_which_are_kept(wired: Wired) -> None:
    def way(pace: Pace) -> Any:
        return wired.services.vendors.intercom(region="us", token="token", budget_key="1", pace=pace)

    assert [way(pace)._line.bulk for pace in (Pace.BULK, Pace.LIVE)] == [True, False]
    assert way(Pace.BULK) is way(Pace.BULK)
    assert wired.services.reconcile_interval.total_seconds() == 300


def test_what_is_lost_or_away_is_told_as_it_stands(wired: Wired, database: Database) -> None:
    product = Product(database)
    client = with_redis(wired, answers=True)
    assert metrics(client)["referloop_circuits_open vendor=intercom"] == 0
    with database.writing() as connection:
        workspaces.lose(connection, product.workspace_id, digest("token"), "intercom_unauthorized", product.time)
        for name in ("referral_factory:1", "referral_factory:1:access"):
            circuits.open_(connection, Broken(name, "rate_limited", timedelta(seconds=10)), product.time)
    found = metrics(client)
    assert found["referloop_connections_lost vendor=intercom"] == 1
    assert found["referloop_connections_lost vendor=referral_factory"] == 0
    assert found["referloop_circuits_open vendor=referral_factory"] == 2
