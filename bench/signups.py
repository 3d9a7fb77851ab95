"""Signups as Referral Factory tells of them: doubled, out of order, in other letters' case, and sent again where no
200 came. For tests and for what measures faults."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import requests

from bench.system import System
from local.seed import INTERCOM_APP

TRIES = 30
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 10
FIRST_ID = 1_000_001
"""Far from the ids of those whom the sandbox knows: who has another's id is the other."""

Address = tuple[str, str]
"""Where a campaign's signups are sent, and its secret."""


@dataclass(frozen=True, slots=True)
class Signup:
    url: str
    secret: str
    body: bytes
    email: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who signs up, by the prefix of their emails, and the webhooks that say so."""

    prefix: str
    signups: list[Signup]


def campaigns(system: System) -> list[Address]:
    """Two campaigns that send to the same workspace, both of which make leads."""
    known = {one["referral_factory_id"]: one["id"] for one in system.items("/campaigns")}
    settings = system.api("GET", f"/campaigns/{known[1]}/audiences/leads")
    if 2 not in known:
        program, workspace = system.items("/programs")[0], system.items("/workspaces")[0]
        body = {"program_id": program["id"], "workspace_id": workspace["id"], "referral_factory_id": 2}
        known[2] = system.api("POST", "/campaigns", body)["id"]
    return [_opened(system, known[1], settings, "create_lead"), _opened(system, known[2], settings, "create_lead")]


def _opened(system: System, campaign_id: str, settings: dict[str, Any], action: str) -> Address:
    wanted = {name: settings[name] for name in ("mapping", "duplicates", "qualification")}
    system.api("PUT", f"/campaigns/{campaign_id}/audiences/leads", {**wanted, "action": action})
    return system.webhook(campaign_id)


def crowd(prefix: str, addresses: list[Address], dice: random.Random, *, signups: int, people: int) -> Crowd:
    """``signups`` of ``people``: whoever is beyond their number is one of them again, now and then in capitals."""
    made = []
    for number in range(signups):
        person = number if number < people else dice.randrange(people)
        email = f"{prefix}{person}@example.com"
        if number >= people and number % 3 == 0:
            email = email.upper()
        made.append(_signup(addresses[number % len(addresses)], f"{prefix}{number}", number, person, email))
    dice.shuffle(made)
    return Crowd(prefix, made)


def _signup(address: Address, code: str, number: int, person: int, email: str) -> Signup:
    payload = {
        "id": FIRST_ID + number,
        "code": code,
        "email": email,
        "first_name": f"Person {person}",
        "type": "person_invited",
        "referrer_id": 1,
        "referrer_email": "rita@example.com",
        "referrer_first_name": "Rita",
        "Company": "Acme",
    }
    return Signup(*address, json.dumps(payload).encode(), email.lower())


def copies(signups: Iterable[Signup], dice: random.Random) -> list[Signup]:
    """Each one to three times, in any order."""
    made = [signup for signup in signups for _ in range(dice.randint(1, 3))]
    dice.shuffle(made)
    return made


class Senders:
    """Send webhooks, ``at_once`` at a time, as a vendor would: again where no 200 came.

    With ``a_second``, no more than so many; else as fast as they are taken.
    """

    def __init__(
        self, signups: list[Signup], *, at_once: int = 32, a_second: float | None = None, tries: int = TRIES
    ) -> None:
        self.slowest = 0.0
        self.answers: Counter[int] = Counter()
        self.acknowledged: set[str] = set()
        """Emails of those for whom a 200 came."""
        self.given_up: list[str] = []
        self._todo, self._tries = signups, tries
        self._due = _pace(a_second)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send_on) for _ in range(at_once)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Nothing more is begun; what is being sent goes on until it is taken."""
        self._stopped.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        assert not self.given_up, f"not taken in {self._tries} tries: {self.given_up[:5]}"

    def _send_on(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while signup := self._next():
                self._send(session, signup)

    def _next(self) -> Signup | None:
        with self._lock:
            if not self._todo or self._stopped.wait(self._due()):
                return None
            return self._todo.pop()

    def _send(self, session: requests.Session, signup: Signup) -> None:
        for _ in range(self._tries):
            began = time.monotonic()
            status = _status(session, signup)
            with self._lock:
                self.answers[status] += 1
                if status == 200:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.acknowledged.add(signup.email)
            if status == 200:
                return
            time.sleep(PAUSE_SECONDS)
        self.given_up.append(signup.email)


def _status(session: requests.Session, signup: Signup) -> int:
    """0 where there was no answer."""
    headers = {"X-Referloop-Secret": signup.secret, "Content-Type": "application/json"}
    try:
        return session.post(signup.url, data=signup.body, headers=headers, timeout=PATIENCE_SECONDS).status_code
    except requests.RequestException:
        return 0


def _pace(a_second: float | None) -> Callable[[], float]:
    """How many seconds the next one has to wait."""
    if a_second is None:
        return lambda: 0.0
    stride, turn = 1 / a_second, time.monotonic()

    def wait() -> float:
        nonlocal turn
        turn = max(turn + stride, time.monotonic() - 1)  # what could not be sent in time is made up for a second
        return max(0.0, turn - time.monotonic())

    return wait


def arrived(system: System, prefix: str) -> Counter[str]:
    """Live contacts by email."""
    found = system.control("GET", f"/intercom/{INTERCOM_APP}/contacts")["contacts"]
    return Counter(one["email"] for one in found if (one.get("email") or "").startswith(prefix))
