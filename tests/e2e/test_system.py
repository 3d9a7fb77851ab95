"""The whole system by its Procfile: real web, worker, Redis and database, against the sandbox over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.load import Request, send
from bench.servers import free_port, postgres
from bench.system import ROOT, System, procfile
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'referloop.db'}"
        return
    with postgres("e2e") as url:
        yield url.replace("+psycopg", "")


@pytest.fixture(scope="module")
def system(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("system"), database_url, METRICS_PORT=str(free_port())) as system:
        system.start_all()
        yield system


def contacts(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = system.control("GET", "/intercom/sandbox1/contacts")["contacts"]
    return found


def referral_link(system: System) -> str:
    people = requests.get(
        f"{system.sandbox}/referral-factory/users",
        headers={"Authorization": "Bearer referral-factory-sandbox-token", "Accept": "application/json"},
        timeout=10,
    ).json()["data"]
    return f"{system.sandbox}/r/{people[0]['code']}"


def sign_up(system: System, **person: str) -> None:
    answer = requests.post(referral_link(system), data=person, timeout=10)
    assert answer.ok, answer.text


def lead(number: int) -> bytes:
    return json.dumps(
        {
            "id": number,
            "code": f"code{number}",
            "email": f"Lead{number}@example.com",
            "first_name": f"Lead {number}",
            "type": "person_invited",
            "referrer_id": 1,
            "referrer_email": "rita@example.com",
            "referrer_first_name": "Rita",
            "Company": "Acme",
        }
    ).encode()


def test_a_signup_on_the_vendors_page_is_a_contact_in_under_two_seconds(system: System) -> None:
    started = time.monotonic()
    sign_up(system, first_name="Frida", email="Frida@Example.com", Company="Acme")
    found = system.await_(lambda: [one for one in contacts(system) if one["email"] == "frida@example.com"], 5)
    assert time.monotonic() - started < 2
    (contact,) = found
    assert (contact["role"], contact["name"]) == ("lead", "Frida")
    assert contact["custom_attributes"]["plan"] == "trial"
    (row,) = system.await_(lambda: system.items("/activity", email="frida@example.com"), 5)
    assert (row["verb"], row["outcome"], row["contact"]["id"]) == ("send", "created", contact["id"])


def test_an_events_id_is_in_the_logs_of_web_and_worker(system: System) -> None:
    sign_up(system, first_name="Olga", email="olga@example.com", Company="Acme")
    (row,) = system.await_(lambda: system.items("/activity", email="olga@example.com"), 5)

    def lines(name: str) -> list[dict[str, Any]]:
        parsed = [json.loads(line) for line in system.log(name).splitlines() if line.startswith("{")]
        return [line for line in parsed if str(line.get("event_id")) == row["event_id"]]

    assert [line["status"] for line in system.await_(lambda: lines("web"), 5)] == [200]
    assert [line["status"] for line in system.await_(lambda: lines("worker"), 5)] == ["done"]
    assert "olga" not in system.log("web") + system.log("worker"), "nobody is named in the logs"


def test_metrics_tell_of_web_and_vendor(system: System) -> None:
    sign_up(system, first_name="Mona", email="mona@example.com", Company="Acme")
    system.await_(lambda: system.items("/activity", email="mona@example.com"), 5)
    own = requests.get(f"http://127.0.0.1:{system.environ['METRICS_PORT']}/metrics", timeout=5).text
    for name in (
        'referloop_events_settled_total{cause="",source="referral_factory",status="done"}',
        "referloop_event_seconds_bucket",
        'referloop_vendor_call_seconds_count{operation="create",status="200",vendor="intercom"}',
        'referloop_vendor_wait_seconds_count{vendor="intercom"}',
        'referloop_activity_total{cause="",outcome="created",verb="send"}',
    ):
        assert name in own, name
    (supervisor,) = system.pids("worker")
    assert len(list(Path(f"/proc/{supervisor}/task").iterdir())) == 1, "it forks, and no lock may be held meanwhile"
    exposed = system.get("/metrics").text
    for name in ("referloop_events_received_total", "referloop_events{", "referloop_oldest_waiting_seconds"):
        assert name in exposed


def test_redis_may_be_away_webhooks_are_taken_and_worked_on_later(system: System) -> None:
    url, secret = system.webhook()
    system.stop("redis", signal.SIGKILL)
    took = []
    try:
        for number in range(900, 910):
            started = time.monotonic()
            answer = requests.post(
                url,
                data=lead(number),
                headers={"X-Referloop-Secret": secret, "Content-Type": "application/json"},
                timeout=5,
            )
            assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
            took.append(time.monotonic() - started)
        assert max(took) < 0.3, took
        assert system.get("/readyz").json() == {"database": "ok", "redis": "down", "migrations": "ok"}
    finally:
        system.start_redis()
    system.await_(lambda: system.waiting() == 0, 60)
    arrived = {one["email"] for one in contacts(system)}
    assert {f"lead{number}@example.com" for number in range(900, 910)} <= arrived


def test_killed_workers_and_webs_lose_nothing_and_make_nobody_twice(system: System) -> None:
    url, secret = system.webhook()
    system.control("PUT", "/settings", {"latency_ms": 20})
    headers = f"X-Referloop-Secret: {secret}"
    requests_ = (Request(lead(number), headers) for number in range(2000, 2300))
    result = send(url, requests_, 16, go_on=lambda: True)
    assert result.statuses == {200: 300}
    time.sleep(0.3)
    for process in system.processes.pop("worker"):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    system.stop("worker", signal.SIGKILL)
    system.start("worker")
    system.await_(lambda: system.waiting() == 0, 120)
    system.control("PUT", "/settings", {"latency_ms": 0})
    assert system.control("GET", "/counts")["shared_emails"] == {"sandbox1": {}}
    outcomes = [one for one in system.items("/activity") if one["person"]["email"].startswith("lead2")]
    assert len(outcomes) == 300
    assert {one["outcome"] for one in outcomes} == {"created"}


def test_a_worker_that_is_asked_to_stop_gives_back_what_it_has_not_begun(system: System) -> None:
    url, secret = system.webhook()
    system.control("PUT", "/settings", {"latency_ms": 300})
    send(url, (Request(lead(n), f"X-Referloop-Secret: {secret}") for n in range(3000, 3200)), 16, go_on=lambda: True)
    time.sleep(0.2)
    started = time.monotonic()
    system.stop("worker")
    assert time.monotonic() - started < 10
    assert system.items("/events", status="processing") == []
    system.control("PUT", "/settings", {"latency_ms": 0})
    system.start("worker")
    system.await_(lambda: system.waiting() == 0, 30)


@pytest.mark.parametrize("command", ["release", "web", "worker"])
def test_wrong_settings_stop_the_start_with_one_message_that_names_them_all(command: str, tmp_path: Path) -> None:
    wrong = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PORT": "eighty",
        "RETRY_SCHEDULE_SECONDS": "soon",
        "ADMIN_API_TOKEN": "short",
    }
    stopped = subprocess.run(
        procfile()[command].split(), cwd=ROOT, env=wrong, capture_output=True, text=True, timeout=30, check=False
    )
    assert stopped.returncode != 0
    for name in ("PORT", "RETRY_SCHEDULE_SECONDS", "ADMIN_API_TOKEN", "SECRET_KEY", "ENCRYPTION_KEYS"):
        assert stopped.stderr.count(name + ":") == 1, stopped.stderr
    assert ("REDIS_URL:" in stopped.stderr) is (command != "release")
    assert "Traceback" not in stopped.stderr
