"""The dashboard and the alert rules that come with the product ask for metrics and labels which it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.core.errors import Vendor
from app.metrics import ConnectionsCollector, InboxCollector, PrometheusMetrics
from app.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")


@pytest.fixture
def known(database: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every sample that the product gives, with its labels."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = PrometheusMetrics()
    metrics.received("intercom", duplicate=False)
    metrics.settled("intercom", "done", None, 1)
    metrics.activity("send", "created", None)
    metrics.reconciled("intercom", 1, 1)
    metrics.synced({"added": 1}, 1)
    metrics.called(Vendor.INTERCOM, "search", 200, 1)
    metrics.waited(Vendor.INTERCOM, 1)
    text = metrics.exposition(InboxCollector(database, lambda: 0.0), ConnectionsCollector(database)).decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def dashboard() -> Iterator[str]:
    board = json.loads((ROOT / "deploy/grafana/referloop.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def rules() -> Iterator[str]:
    found = yaml.safe_load((ROOT / "deploy/prometheus/referloop.rules.yml").read_text())
    for group in found["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_every_query_names_metrics_and_labels_that_exist(known: dict[str, set[str]]) -> None:
    for query in [*dashboard(), *rules()]:
        names = re.findall(r"referloop_\w+", query)
        assert names, query
        assert set(names) <= known.keys(), query
        asked = {label for by in re.findall(r"by \(([^)]*)\)", query) for label in by.replace(",", " ").split()}
        asked |= {label for chosen in re.findall(r"\{([^}]*)\}", query) for label in LABEL.findall(chosen)}
        assert asked <= set().union(*(known[name] for name in names)), query


def test_every_metric_is_on_the_dashboard(known: dict[str, set[str]]) -> None:
    shown = " ".join(dashboard())
    families = {re.sub(r"_(total|bucket|count|sum|created)$", "", name) for name in known}
    assert {name for name in families if name not in shown} == set()


def test_what_every_process_says_alike_is_never_summed_up(known: dict[str, set[str]]) -> None:
    alike = r"referloop_(?:events\b(?!_)|oldest_waiting_seconds|circuits_open|connections_lost)"
    for query in [*dashboard(), *rules()]:
        assert not re.search(rf"sum[^(]*(?:\([^)]*\))?\s*\(\s*{alike}", query), query


def test_every_rule_is_explained_to_operators() -> None:
    found = yaml.safe_load((ROOT / "deploy/prometheus/referloop.rules.yml").read_text())
    told = (ROOT / "docs/operations.md").read_text()
    for group in found["groups"]:
        for rule in group["rules"]:
            assert f"`{rule['alert']}`" in told
