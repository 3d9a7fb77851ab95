"""A thousand signups at once, doubled, lagging, broken off and killed: everybody arrives, nobody twice.

Every fifth is the same person as another: at the very same moment, in another campaign, or in other letter case. Each
webhook is sent up to three times. Half of the campaigns make leads, which Intercom itself never keeps apart.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers import postgres
from bench.signups import Address, Crowd, Senders, arrived, campaigns, copies, crowd
from bench.system import System
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket

SIGNUPS, PEOPLE, AT_ONCE = 1000, 800, 32
INDEX_DELAY = 5


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("never-twice")
    if request.param == "sqlite":
        yield from started(folder, f"sqlite:///{folder / 'referloop.db'}")
        return
    with postgres("twice") as url:
        yield from started(folder, url.replace("+psycopg", ""))


def started(folder: Path, database_url: str) -> Iterator[System]:
    environ = {"INTERCOM_INDEX_DELAY_SECONDS": str(INDEX_DELAY + 1), "RETRY_SCHEDULE_SECONDS": "1,2,4,8,16,32,64"}
    with System(folder, database_url, **environ) as system:
        # What a killed worker had in hand is another's after a minute: to wait for that once is enough.
        system.lease_seconds = 8 if database_url.startswith("sqlite") else None
        system.start_all(web=2, workers=2, index_delay=INDEX_DELAY)
        system.control("PUT", "/settings", {"intercom_calls_per_10s": 1_000_000, "echo_own_writes": False})
        yield system


def a_thousand(prefix: str, addresses: list[Address], dice: random.Random) -> Crowd:
    return crowd(prefix, addresses, dice, signups=SIGNUPS, people=PEOPLE)


def everybody_once(system: System, crowd: Crowd, within: float) -> None:
    system.await_(lambda: system.waiting() == 0, within)
    found = arrived(system, crowd.prefix)
    assert {email: count for email, count in found.items() if count > 1} == {}
    assert len(found) == PEOPLE
    assert system.items("/events", status="dead") == []


def test_a_thousand_signups_are_eight_hundred_contacts(system: System) -> None:
    dice = random.Random(1)
    people = a_thousand("calm", campaigns(system), dice)
    senders = Senders(copies(people.signups, dice), at_once=AT_ONCE)
    senders.start()
    senders.join()
    everybody_once(system, people, 120)
    assert set(senders.answers) == {200}
    outcomes = Counter(one["outcome"] for one in system.items("/activity", verb="send"))
    assert outcomes["failed"] == 0
    assert outcomes["created"] >= PEOPLE


def test_nobody_is_made_twice_when_writes_time_out_or_fail_after_they_took_effect(system: System) -> None:
    dice = random.Random(2)
    people = a_thousand("torn", campaigns(system), dice)
    faults = [
        {"kind": "timeout_after", "vendor": "intercom", "method": "POST", "path": "/contacts", "probability": 0.1,
         "seconds": 25},
        {"kind": "error_after", "vendor": "intercom", "method": "POST", "path": "/contacts", "probability": 0.025,
         "status": 500},
        {"kind": "error_before", "vendor": "intercom", "method": "POST", "path": "/contacts", "probability": 0.025,
         "status": 500},
    ]  # fmt: skip
    for fault in faults:
        system.control("POST", "/faults", fault)
    try:
        senders = Senders(copies(people.signups, dice), at_once=AT_ONCE)
        senders.start()
        senders.join()
        everybody_once(system, people, 300)
    finally:
        system.control("DELETE", "/faults")


def test_nobody_is_lost_or_made_twice_when_processes_are_killed_and_redis_goes_away(system: System) -> None:
    dice = random.Random(3)
    doors = campaigns(system)
    people = a_thousand("kill", doors, dice)
    system.control("PUT", "/settings", {"latency_ms": 30})
    senders = Senders(copies(people.signups, dice), at_once=AT_ONCE)
    senders.start()
    for _ in range(2):
        time.sleep(dice.uniform(0.3, 1.0))
        system.kill_one("worker", dice)
        time.sleep(dice.uniform(0.2, 0.8))
        system.kill_one("web", dice)
    # A web process that is starting has its place in line, and no hands yet.
    system.await_(lambda: all(system.get("/healthz").elapsed.total_seconds() < 0.2 for _ in range(12)), 30)
    system.stop("redis", signal.SIGKILL)
    try:
        measured = subprocess.run(
            [sys.executable, "-c", KNOCK, *doors[0]], capture_output=True, text=True, check=True, timeout=60
        )
    finally:
        system.start_redis()
        senders.join()
    took = sorted(float(seconds) for seconds in measured.stdout.split())
    assert len(took) == 100
    assert max(took) < 0.3, took[-5:]
    everybody_once(system, people, 240)
    system.control("PUT", "/settings", {"latency_ms": 0})


# For ten seconds, from a process of its own: this one is busy with the crowd.
KNOCK = """
import json, sys, time
import requests

door, secret = sys.argv[1:]
for number in range(100):
    began = time.monotonic()
    person = {"id": 50_000 + number, "email": f"alone{number}@example.com", "first_name": "Alone"}
    answer = requests.post(door, json=person, headers={"X-Referloop-Secret": secret}, timeout=5)
    assert answer.status_code == 200, answer.text
    print(time.monotonic() - began)
    time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
"""
