"""Conversions in Intercom by the hundred, told twice, late or never, by workers that are killed, a Referral Factory
that is away, with a token that ends: every referral whose contact converted is qualified, each by one call that took
effect, and nobody else is.

What no notification tells is found by the reconcile. Its search lags as Intercom's does, by ``INDEX_DELAY`` seconds
here; the product is told a little more than that, and looks back so far.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from app.usecases.ways_out import VENDOR_PROBE
from bench.servers import postgres
from bench.system import System
from local.seed import INTERCOM_APP, REFERRAL_FACTORY_TOKEN
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket

INDEX_DELAY = 2
RECONCILE_SECONDS = 5
SCHEDULE = (1, 1, 2, 2)
CONTACTS = f"/intercom/{INTERCOM_APP}/contacts"
QUALIFICATION = {"vendor": "referral_factory", "method": "PUT", "path": "/users/qualification"}

FATES = {"lose": 0.1, "double": 0.25, "triple": 0.25, "late": 0.25}

Friends = dict[str, str]
"""Intercom's ids of those who signed up, by their emails."""


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("conversions")
    if request.param == "sqlite":
        yield from started(folder, f"sqlite:///{folder / 'referloop.db'}")
        return
    with postgres("conversions") as url:
        yield from started(folder, url.replace("+psycopg", ""))


def started(folder: Path, database_url: str) -> Iterator[System]:
    environ = {
        "INTERCOM_INDEX_DELAY_SECONDS": str(INDEX_DELAY + 1),
        "RECONCILE_INTERVAL_SECONDS": str(RECONCILE_SECONDS),
        "RETRY_SCHEDULE_SECONDS": ",".join(map(str, SCHEDULE)),
        "REFERRAL_FACTORY_CALLS_PER_MINUTE": "100000",
    }
    with System(folder, database_url, **environ) as system:
        system.lease_seconds = 8
        system.start_all(workers=2, index_delay=INDEX_DELAY)
        no_limits = {"intercom_calls_per_10s": 1_000_000, "referral_factory_calls_per_minute": 1_000_000}
        system.control("PUT", "/settings", no_limits)
        yield system


@pytest.fixture(autouse=True)
def fair_weather(system: System) -> Iterator[None]:
    system.control("POST", "/counts/reset")
    yield
    system.control("DELETE", "/faults")
    system.control("PUT", "/settings", {"latency_ms": 0})


# What is done, and what is seen


def sign_up(system: System, prefix: str, number: int) -> Friends:
    """So many friends sign up, and are watched."""
    code = code_of_rita(system)
    for place in range(number):
        friend = {"code": code, "first_name": f"Friend {place}", "email": f"{prefix}{place}@example.com"}
        system.control("POST", "/referral-factory/sign-up", friend)
    system.await_(lambda: len(contacts(system, prefix)) == number and system.waiting() == 0, 120, every=0.2)
    return {one["email"]: one["id"] for one in contacts(system, prefix)}


def code_of_rita(system: System) -> str:
    token = {"Authorization": f"Bearer {REFERRAL_FACTORY_TOKEN}", "Accept": "application/json"}
    answer = requests.get(f"{system.sandbox}/referral-factory/users/1", headers=token, timeout=10)
    code: str = answer.json()["data"]["code"]
    return code


def contacts(system: System, prefix: str) -> list[dict[str, Any]]:
    found = system.control("GET", CONTACTS)["contacts"]
    return [one for one in found if (one.get("email") or "").startswith(prefix)]


def changed(system: System, changes: list[tuple[str, str]], **more: Any) -> list[str]:
    """A teammate sets the plan of contacts, one after another; what became of their notifications."""
    listed = [{"id": one, "custom_attributes": {"plan": plan}} for one, plan in changes]
    answer = system.control("POST", f"{CONTACTS}/changes", {"changes": listed, **more})
    assert answer["refused"] == 0, answer
    return [word for result in answer["results"] for word in result["notifications"]]


def qualifications(system: System, prefix: str) -> dict[str, dict[str, Any]]:
    """How often whom, by email; also those who did not convert, should anybody have asked for them."""
    people = system.control("GET", "/referral-factory/qualifications")["people"]
    return {one["email"]: one for one in people if (one["email"] or "").startswith(prefix)}


def all_qualified(system: System, prefix: str, converted: list[str], within: float) -> dict[str, dict[str, Any]]:
    """Exactly those, each by one call that took effect, once nothing is left to do."""

    def found() -> dict[str, dict[str, Any]]:
        qualified = {email: one for email, one in qualifications(system, prefix).items() if one["qualified_at"]}
        return qualified if len(qualified) >= len(converted) else {}

    system.await_(found, within, every=0.2)
    system.await_(lambda: system.waiting() == 0, within, every=0.2)
    told = qualifications(system, prefix)
    assert {email for email, one in told.items() if one["qualified_at"]} == set(converted)
    assert {email: one["changed"] for email, one in told.items() if one["changed"] != 1} == {}
    return told


def outcomes(system: System, prefix: str, **query: Any) -> Counter[str]:
    """Activity rows by outcome and cause."""
    rows = [one for one in system.items("/activity", **query) if (one["person"]["email"] or "").startswith(prefix)]
    return Counter(":".join(filter(None, (one["outcome"], one["cause"]))) for one in rows)


def reconciles(system: System, since: float) -> list[dict[str, Any]]:
    """Those of the workspace that began after a time and have ended."""

    def is_later(one: dict[str, Any]) -> bool:
        return one["finished_at"] is not None and datetime.fromisoformat(one["started_at"]).timestamp() > since

    return [one for one in system.items("/reconciles") if one["kind"] == "intercom" and is_later(one)]


def reconciled_again(system: System, prefix: str, converted: list[str]) -> dict[str, dict[str, Any]]:
    """How often whom, after a reconcile from beginning to end."""
    since = time.time()
    system.await_(lambda: reconciles(system, since), 60, every=0.3)
    return all_qualified(system, prefix, converted, 60)


def workspace(system: System) -> dict[str, Any]:
    (found,) = system.items("/workspaces")
    return found


def on_sqlite(system: System) -> bool:
    return system.environ["DATABASE_URL"].startswith("sqlite")


once_is_enough = pytest.mark.parametrize("system", KINDS[-1:], indirect=True)
"""Waiting for a vendor goes the same way on both databases (test_outages.py)."""


def restart_workers(system: System, **environ: str) -> None:
    system.stop("worker")
    for _ in range(2):
        system.start("worker", **environ)


# The tests


def test_every_conversion_is_qualified_once_however_it_was_told_and_whoever_died(system: System) -> None:
    """A tenth of the notifications is never sent, half are sent two or three times, a quarter late and overtaken.

    On SQLite fewer, and no worker is killed.
    """
    dice = random.Random(4)
    leads, conversions = (100, 40) if on_sqlite(system) else (500, 200)
    friends = sign_up(system, "crowd", leads)
    emails = sorted(friends)
    dice.shuffle(emails)
    converted, others = emails[:conversions], emails[conversions:]
    system.control("PUT", "/settings", {"latency_ms": 20, "intercom_webhook_delay_seconds": 2})

    told: Counter[str] = Counter()
    for turn in range(2):
        # Whoever does not convert changes as well, and every third comes to the target by way of another value.
        detours = [(friends[email], "team") for email in (*converted[turn::6], *others[turn::2])]
        changes = [*detours, *((friends[email], "pro") for email in converted[turn::2])]
        told += Counter(changed(system, changes, chances=FATES, seed=turn))
        time.sleep(0.5)
        if not on_sqlite(system):
            system.kill_one("worker", dice)
    assert told["lose"] >= len(emails) // 20, told

    people = all_qualified(system, "crowd", converted, 180)
    assert max(one["received"] for one in people.values()) <= 2
    assert system.items("/events", status="dead") == []
    rows = outcomes(system, "crowd", verb="qualify")
    assert rows["qualified"] + rows["qualified:webhook_missed"] == conversions, rows
    assert rows["qualified:webhook_missed"] >= told["lose"] * conversions // leads // 4, rows
    assert reconciled_again(system, "crowd", converted) == people, "nothing is left to find"


@once_is_enough
def test_referral_factory_is_away_for_longer_than_every_schedule_and_all_are_qualified_later(system: System) -> None:
    """Longer than all attempts together take, and for two probes."""
    friends = sign_up(system, "away", 30)
    system.control("POST", "/faults", {"vendor": "referral_factory", "kind": "unavailable"})
    began = time.monotonic()
    changed(system, [(one, "pro") for one in friends.values()])
    time.sleep(max(0.0, 2.2 * VENDOR_PROBE.total_seconds() - (time.monotonic() - began)))
    waiting = system.items("/events", status="received") + system.items("/events", status="retrying")
    assert {event["attempts"] for event in waiting} == {0}
    assert {event["cause"] for event in waiting} <= {"referral_factory_unavailable", None}
    assert system.items("/events", status="dead") == []
    assert qualifications(system, "away") == {}
    system.control("DELETE", "/faults")
    people = all_qualified(system, "away", list(friends), 90)
    assert {one["received"] for one in people.values()} == {1}


def test_who_is_refused_is_dead_with_a_cause_and_qualified_by_a_replay(system: System) -> None:
    friends = sign_up(system, "refused", 12)
    known = [one["referral_factory"] for one in system.items("/people", campaign_id="1")]
    ids = {one["email"]: one["id"] for one in known}
    unknown, unwanted, *others = friends
    faults = ((unknown, 404, "unknown_in_referral_factory"), (unwanted, 422, "referral_factory_refused"))
    for email, status, _ in faults:
        fault = {**QUALIFICATION, "kind": "error_before", "status": status, "body": f'"id": {ids[email]},'}
        system.control("POST", "/faults", fault)
    changed(system, [(one, "pro") for one in friends.values()])
    all_qualified(system, "refused", others, 60)
    failed = {
        (one["person"]["email"], one["cause"]) for one in system.items("/activity", verb="qualify", outcome="failed")
    }
    assert failed == {(email, cause) for email, _, cause in faults}
    refused = time.time()
    system.await_(lambda: reconciles(system, refused), 60, every=0.3)
    system.await_(lambda: system.waiting() == 0, 60, every=0.2)
    dead = system.items("/events", status="dead")  # the reconcile leaves them to a person
    assert Counter(one["cause"] for one in dead) == {cause: 1 for _, _, cause in faults}
    system.control("DELETE", "/faults")
    for event in dead:
        system.api("POST", f"/events/{event['id']}/replay")
    all_qualified(system, "refused", list(friends), 60)
    assert system.items("/events", status="dead") == []


@once_is_enough
def test_a_token_that_ends_amid_conversions_costs_none_of_them(system: System) -> None:
    """The webhooks that come meanwhile wait, and what they did not tell is found by the reconcile of reconnecting:
    the next one of itself would be due in an hour."""
    friends = sign_up(system, "cut", 45)
    ids = list(friends.values())
    began = time.time()
    restart_workers(system, RECONCILE_INTERVAL_SECONDS="3600")
    system.await_(lambda: reconciles(system, began), 60, every=0.3)

    system.control("PUT", "/settings", {"latency_ms": 30})
    changed(system, [(one, "pro") for one in ids[:15]])
    system.control("POST", f"/intercom/{INTERCOM_APP}/revoke")
    changed(system, [(one, "pro") for one in ids[15:30]])
    changed(system, [(one, "pro") for one in ids[30:]], notification="lose")
    revoked = time.time()
    system.await_(lambda: workspace(system)["state"] == "disconnected", 30)
    time.sleep(sum(SCHEDULE))
    held = system.items("/events", status="received") + system.items("/events", status="retrying")
    assert held
    assert {(event["attempts"], event["cause"]) for event in held} == {(0, "intercom_unauthorized")}
    assert reconciles(system, revoked) == []

    system.control("PUT", f"/intercom/{INTERCOM_APP}", {"tokens": ["another-token"]})
    path = f"/workspaces/{workspace(system)['id']}"
    assert system.api("PATCH", path, {"access_token": "another-token"})["state"] == "connected"
    people = all_qualified(system, "cut", list(friends), 90)
    assert {one["received"] for one in people.values()} == {1}
    rows = outcomes(system, "cut", verb="qualify")
    assert rows["qualified"] + rows["qualified:webhook_missed"] == 45
    assert rows["qualified:webhook_missed"] >= 15
    assert system.items("/events", status="dead") == []
    restart_workers(system)
    system.api(
        "PATCH", path, {"access_token": "another-token"}
    )  # has the next reconcile begin before the hour is over
