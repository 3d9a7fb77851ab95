"""A thousand signups at once, doubled, lagging, broken off and killed: everybody arrives, nobody twice.

Every fifth is the same person as another: at the very same moment, in another campaign, or in other letter case. Each
webhook is sent up to three times. Half of the campaigns make leads, which Intercom itself never keeps apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.servers import postgres
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
        system.start_all(web=2, workers=2, index_delay=INDEX_DELAY)
        system.control("PUT", "/settings", {"intercom_calls_per_10s": 1_000_000, "echo_own_writes": False})
        yield system


@dataclass(frozen=True)
class Signup:
    url: str
    secret: str
    body: bytes


@dataclass(frozen=True)
class Crowd:
    """Who signs up, by the prefix of their emails, and the webhooks that say so."""

    prefix: str
    signups: list[Signup]


def campaigns(system: System) -> list[tuple[str, str]]:
    """Addresses and secrets of two campaigns that send to the same workspace: one makes leads, one users."""
    known = {one["referral_factory_id"]: one["id"] for one in system.items("/campaigns")}
    settings = system.api("GET", f"/campaigns/{known[1]}/audiences/leads")
    if 2 not in known:
        program, workspace = system.items("/programs")[0], system.items("/workspaces")[0]
        body = {"program_id": program["id"], "workspace_id": workspace["id"], "referral_factory_id": 2}
        known[2] = system.api("POST", "/campaigns", body)["id"]
    return [_opened(system, known[1], settings, "create_lead"), _opened(system, known[2], settings, "create_lead")]


def _opened(system: System, campaign_id: str, settings: dict[str, Any], action: str) -> tuple[str, str]:
    wanted = {name: settings[name] for name in ("mapping", "duplicates", "qualification")}
    system.api("PUT", f"/campaigns/{campaign_id}/audiences/leads", {**wanted, "action": action})
    return system.webhook(campaign_id)


def crowd(prefix: str, doors: list[tuple[str, str]], dice: random.Random) -> Crowd:
    signups = []
    for number in range(SIGNUPS):
        person = number if number < PEOPLE else dice.randrange(PEOPLE)
        url, secret = doors[number % 2]
        email = f"{prefix}{person}@example.com"
        if number >= PEOPLE and number % 3 == 0:
            email = email.upper()
        payload = {
            "id": number + 1,
            "code": f"{prefix}{number}",
            "email": email,
            "first_name": f"Person {person}",
            "type": "person_invited",
            "referrer_id": 1,
            "referrer_email": "rita@example.com",
            "referrer_first_name": "Rita",
            "Company": "Acme",
        }
        signups.append(Signup(url, secret, json.dumps(payload).encode()))
    dice.shuffle(signups)
    return Crowd(prefix, signups)


class Senders:
    """Send each webhook one to three times, ``AT_ONCE`` at a time, as a vendor would: again where no 200 came."""

    def __init__(self, signups: list[Signup], dice: random.Random) -> None:
        self.slowest = 0.0
        self.answers: Counter[int] = Counter()
        self._todo = [signup for signup in signups for _ in range(dice.randint(1, 3))]
        dice.shuffle(self._todo)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send_on) for _ in range(AT_ONCE)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send_on(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while signup := self._next():
                self._send(session, signup)

    def _next(self) -> Signup | None:
        with self._lock:
            return self._todo.pop() if self._todo else None

    def _send(self, session: requests.Session, signup: Signup) -> None:
        for _ in range(30):
            began = time.monotonic()
            try:
                headers = {"X-Referloop-Secret": signup.secret, "Content-Type": "application/json"}
                status = session.post(signup.url, data=signup.body, headers=headers, timeout=10).status_code
            except requests.RequestException:
                status = 0
            with self._lock:
                self.answers[status] += 1
                if status == 200:
                    self.slowest = max(self.slowest, time.monotonic() - began)
            if status == 200:
                return
            time.sleep(0.3)
        raise AssertionError("a webhook was not taken in thirty tries")


def arrived(system: System, prefix: str) -> Counter[str]:
    """Live contacts by email."""
    found = system.control("GET", "/intercom/sandbox1/contacts")["contacts"]
    return Counter(one["email"] for one in found if (one.get("email") or "").startswith(prefix))


def everybody_once(system: System, crowd: Crowd, within: float) -> None:
    system.await_(lambda: system.waiting() == 0, within)
    found = arrived(system, crowd.prefix)
    assert {email: count for email, count in found.items() if count > 1} == {}
    assert len(found) == PEOPLE
    assert system.items("/events", status="dead") == []


def test_a_thousand_signups_are_eight_hundred_contacts(system: System) -> None:
    dice = random.Random(1)
    people = crowd("calm", campaigns(system), dice)
    senders = Senders(people.signups, dice)
    senders.start()
    senders.join()
    everybody_once(system, people, 120)
    assert set(senders.answers) == {200}
    outcomes = Counter(one["outcome"] for one in system.items("/activity", verb="send"))
    assert outcomes["failed"] == 0
    assert outcomes["created"] >= PEOPLE


def test_nobody_is_made_twice_when_writes_time_out_or_fail_after_they_took_effect(system: System) -> None:
    dice = random.Random(2)
    people = crowd("torn", campaigns(system), dice)
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
        senders = Senders(people.signups, dice)
        senders.start()
        senders.join()
        everybody_once(system, people, 300)
    finally:
        system.control("DELETE", "/faults")


def test_nobody_is_lost_or_made_twice_when_processes_are_killed_and_redis_goes_away(system: System) -> None:
    dice = random.Random(3)
    doors = campaigns(system)
    people = crowd("kill", doors, dice)
    system.control("PUT", "/settings", {"latency_ms": 30})
    senders = Senders(people.signups, dice)
    senders.start()
    for _ in range(2):
        time.sleep(dice.uniform(0.3, 1.0))
        kill_one(system, "worker", dice)
        time.sleep(dice.uniform(0.2, 0.8))
        kill_one(system, "web", dice)
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
    took = [float(seconds) for seconds in measured.stdout.split()]
    assert len(took) == 100
    assert max(took) < 0.3, sorted(took)[-5:]
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


def kill_one(system: System, name: str, dice: random.Random) -> None:
    """``kill -9`` of one process and of all that it started, and another in its place."""
    victim = dice.choice(system.processes[name])
    system.processes[name].remove(victim)
    found = subprocess.run(["pgrep", "-P", str(victim.pid)], capture_output=True, text=True, check=False).stdout
    for pid in (victim.pid, *map(int, found.split())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    victim.wait()
    system.start(name)
