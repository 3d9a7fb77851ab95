"""The system as Heroku runs it: its environment, its Redis with a certificate that nobody signed, and its SIGTERM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bench.servers import has_postgres, postgres
from bench.system import ROOT, TOKEN, System, procfile
from tests.integrations.conftest import redis_binary
from tests.workers.test_redis_tls import self_signed

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(not has_postgres(), reason="there is no PostgreSQL here"),
]


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
    return found


class Heroku(System):
    """The variables that the platform and ``app.json`` set, and no others of ours."""

    def start_redis(self) -> None:
        certificate, key = self_signed(self.folder)
        tls = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
        command = [redis_binary(), "--port", "0", "--tls-port", str(self.redis_port), *tls, "--save", ""]
        self.run("redis", [*command, "--requirepass", "hush", "--dir", str(self.folder)], {})


@pytest.fixture(scope="module")
def heroku(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heroku]:
    given = {name: one["value"] for name, one in described()["env"].items() if "value" in one}
    with postgres("heroku") as url, Heroku(tmp_path_factory.mktemp("heroku"), "", **given) as heroku:
        heroku.environ["DATABASE_URL"] = url.replace("postgresql+psycopg", "postgres")
        heroku.environ["REDIS_URL"] = f"rediss://:hush@127.0.0.1:{heroku.redis_port}"
        heroku.start_all()
        yield heroku


def test_what_it_asks_for_is_what_the_product_knows() -> None:
    manifest = described()
    assert set(manifest["formation"]) == set(procfile()) - {"release"}
    known = (ROOT / "docs/operations.md").read_text()
    assert all(f"`{name}`" in known for name in manifest["env"])


def test_a_signup_is_rung_for_and_sent_at_once(heroku: Heroku) -> None:
    assert heroku.get("/readyz").json() == {"database": "ok", "migrations": "ok", "redis": "ok"}
    url, secret = heroku.webhook()
    person = {
        "id": 7001,
        "code": "x7001",
        "email": "seven@example.com",
        "first_name": "Seven",
        "type": "person_invited",
    }
    person |= {
        "referrer_id": 1,
        "referrer_email": "rita@example.com",
        "referrer_first_name": "Rita",
        "Company": "Acme",
    }
    answer = requests.post(url, json=person, headers={"X-Referloop-Secret": secret}, timeout=10)
    assert answer.status_code == 200
    heroku.await_(lambda: heroku.items("/activity", email="seven@example.com"), 15)


def test_whichever_of_its_processes_is_asked_metrics_are_of_them_all(heroku: Heroku) -> None:
    url, secret = heroku.webhook()
    count = "referloop_events_received_total"

    def told() -> float:
        families = text_string_to_metric_families(requests.get(f"{heroku.web}/metrics", timeout=10).text)
        samples = [one for family in families for one in family.samples if one.name == count]
        return sum(one.value for one in samples if one.labels["source"] == "referral_factory")

    before = told()
    for number in range(40):  # each by a connection of its own, so that both processes take some
        person = {"id": number, "code": f"m{number}", "email": f"m{number}@example.com", "type": "person_invited"}
        assert requests.post(url, json=person, headers={"X-Referloop-Secret": secret}, timeout=10).ok
    assert {told() for _ in range(12)} == {before + 40}


def test_asked_to_stop_web_finishes_what_it_has_begun(heroku: Heroku) -> None:
    """Trying a token at a slow vendor takes longer than the platform's question."""
    heroku.control("PUT", "/settings", {"latency_ms": 1500})
    body = {"name": "Another", "region": "us", "access_token": "refused", "client_secret": "of-nobody"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(
            lambda: requests.post(f"{heroku.web}/api/v1/workspaces", json=body, headers=headers, timeout=30)
        )
        time.sleep(0.7)
        started = time.monotonic()
        heroku.stop("web")
        assert time.monotonic() - started < 20
        assert asked.result().json()["cause"] == "intercom_unauthorized"
    heroku.control("PUT", "/settings", {"latency_ms": 0})
    heroku.start("web")
    heroku.await_(lambda: heroku.get("/readyz").ok, 30)
