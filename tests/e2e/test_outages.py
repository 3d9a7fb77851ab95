"""Vendors that are down, tokens that are revoked, permissions that are taken, a Redis that forgets: nobody is lost,
nobody is made twice, and waiting costs no attempt."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from bench.servers import postgres
from bench.signups import arrived
from bench.system import System
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket

SIGNUPS = 100
SCHEDULE = (1, 1, 2, 2)


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("outages")
    if request.param == "sqlite":
        yield from started(folder, f"sqlite:///{folder / 'referloop.db'}")
        return
    with postgres("outages") as url:
        yield from started(folder, url.replace("+psycopg", ""))


def started(folder: Path, database_url: str) -> Iterator[System]:
    schedule = ",".join(map(str, SCHEDULE))
    with System(folder, database_url, INTERCOM_INDEX_DELAY_SECONDS="2", RETRY_SCHEDULE_SECONDS=schedule) as system:
        system.start_all(workers=2, index_delay=1)
        system.control("PUT", "/settings", {"intercom_calls_per_10s": 1_000_000, "echo_own_writes": False})
        yield system


@pytest.fixture(autouse=True)
def fair_weather(system: System) -> Iterator[None]:
    yield
    system.control("DELETE", "/faults")
    system.control("PUT", "/settings", {"latency_ms": 0})


def sign_up(system: System, prefix: str, number: int) -> None:
    url, secret = system.webhook()
    payload = {
        "id": f"{prefix}{number}",
        "email": f"{prefix}{number}@example.com",
        "first_name": f"Lead {number}",
        "type": "person_invited",
        "referrer_id": 1,
        "referrer_email": "rita@example.com",
        "referrer_first_name": "Rita",
        "Company": "Acme",
    }
    headers = {"X-Referloop-Secret": secret, "Content-Type": "application/json"}
    answer = requests.post(url, data=json.dumps(payload), headers=headers, timeout=10)
    assert answer.status_code == 200


def sign_all_up(system: System, prefix: str, first: int = 0, last: int = SIGNUPS) -> None:
    for number in range(first, last):
        sign_up(system, prefix, number)


def everybody_once(system: System, prefix: str, within: float) -> None:
    system.await_(lambda: system.waiting() == 0, within, every=0.2)
    assert arrived(system, prefix) == {f"{prefix}{number}@example.com": 1 for number in range(SIGNUPS)}
    assert system.items("/events", status="dead") == []


def open_events(system: System) -> list[dict[str, Any]]:
    return system.items("/events", status="received") + system.items("/events", status="retrying")


def workspace(system: System) -> dict[str, Any]:
    (found,) = system.items("/workspaces")
    return found


def spent(system: System) -> Counter[int]:
    """Attempts spent, by how many events spent as many."""
    return Counter(event["attempts"] for event in system.items("/events"))


def test_a_vendor_that_is_down_for_longer_than_the_whole_schedule_kills_no_event(system: System) -> None:
    before = spent(system)
    system.control("POST", "/faults", {"kind": "unavailable", "vendor": "intercom"})
    began = time.monotonic()
    sign_all_up(system, "down")
    time.sleep(max(0.0, 2.5 * sum(SCHEDULE) - (time.monotonic() - began)))
    waiting = open_events(system)
    assert len(waiting) + len(system.items("/events", status="processing")) == SIGNUPS
    assert {event["attempts"] for event in waiting} == {0}
    assert {event["cause"] for event in waiting} <= {"intercom_unavailable", None}
    system.control("DELETE", "/faults")
    everybody_once(system, "down", 60)
    assert spent(system) == before + Counter({0: SIGNUPS})


def test_an_error_to_one_person_for_ever_is_dead_with_a_cause_and_replayed_after_the_mending(system: System) -> None:
    rule = {"kind": "error_before", "status": 500, "vendor": "intercom", "body": "cursed7@example.com"}
    system.control("POST", "/faults", rule)
    sign_all_up(system, "cursed")
    system.await_(lambda: system.waiting() == 0, 60, every=0.2)
    (dead,) = system.items("/events", status="dead")
    assert (dead["cause"], dead["attempts"]) == ("intercom_unavailable", len(SCHEDULE) + 1)
    assert len(arrived(system, "cursed")) == SIGNUPS - 1
    (told,) = system.items("/activity", verb="send", outcome="failed")
    assert (told["person"]["email"], told["cause"]) == ("cursed7@example.com", "intercom_unavailable")
    system.control("DELETE", "/faults")
    assert system.api("POST", "/events/replay", {"status": "dead"})["replayed"] == 1
    everybody_once(system, "cursed", 20)


def test_a_token_that_is_revoked_under_load_loses_nobody(system: System) -> None:
    before = spent(system)
    system.control("PUT", "/settings", {"latency_ms": 30})
    sending = threading.Thread(target=sign_all_up, args=(system, "revoked"))
    sending.start()
    system.await_(lambda: len(arrived(system, "revoked")) >= 10, 20)
    system.control("POST", "/intercom/sandbox1/revoke")
    sending.join()
    system.await_(lambda: workspace(system)["state"] == "disconnected", 20)
    assert workspace(system)["cause"] == "intercom_unauthorized"
    time.sleep(sum(SCHEDULE))
    held = open_events(system)
    assert held
    assert {(event["attempts"], event["cause"]) for event in held} == {(0, "intercom_unauthorized")}
    reconnected(system, "a-new-token-of-the-sandbox")
    everybody_once(system, "revoked", 60)
    assert spent(system) == before + Counter({0: SIGNUPS})


def reconnected(system: System, token: str) -> None:
    system.control("PUT", "/intercom/sandbox1", {"tokens": [token], "missing_permissions": []})
    answer = system.api("PATCH", f"/workspaces/{workspace(system)['id']}", {"access_token": token})
    assert (answer["state"], answer["missing_permissions"]) == ("connected", [])


def test_a_permission_that_is_taken_under_load_is_named_and_all_goes_on_when_it_is_given(system: System) -> None:
    before = spent(system)
    system.control("PUT", "/settings", {"latency_ms": 30})
    sending = threading.Thread(target=sign_all_up, args=(system, "barred"))
    sending.start()
    system.await_(lambda: len(arrived(system, "barred")) >= 10, 20)
    system.control("PUT", "/intercom/sandbox1", {"missing_permissions": ["contacts_write"]})
    sending.join()
    system.await_(lambda: workspace(system)["missing_permissions"] == ["contacts_write"], 20)
    assert workspace(system)["state"] == "connected"
    time.sleep(sum(SCHEDULE))
    held = open_events(system)
    assert held
    assert {(event["attempts"], event["cause"]) for event in held} == {(0, "intercom_permission_missing")}
    reconnected(system, "a-token-with-all-permissions")
    everybody_once(system, "barred", 60)
    assert spent(system) == before + Counter({0: SIGNUPS})


def test_redis_is_only_the_bell(system: System) -> None:
    system.control("PUT", "/settings", {"latency_ms": 30})
    sign_all_up(system, "bell", 0, 30)
    with redis.Redis(port=system.redis_port) as client:
        client.flushall()
    sign_all_up(system, "bell", 30, 60)
    system.stop("redis", signal.SIGKILL)
    sign_all_up(system, "bell", 60, 80)
    system.start_redis()
    sign_all_up(system, "bell", 80, SIGNUPS)
    with redis.Redis(port=system.redis_port) as client:
        client.flushall()
    everybody_once(system, "bell", 60)
