"""Contacts of Intercom become referrers by the thousand, on real processes: every one ends as it should and is
enrolled once, by workers that are killed, with a run that is paused and a token that ends, within the budget of
calls, while signups go on; and an ongoing sync follows who comes and changes.

Each test has a workspace, a program and a campaign of its own (bench/crowd.py).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.crowd import Crowd, Document, Ground, crowd, make_ground
from bench.machine import tree
from bench.servers import postgres
from bench.system import System
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket

BUDGET, LIMIT = 5700, 6000
"""Calls to Referral Factory a minute: ours, and what the sandbox takes."""

INDEX_DELAY = 2
OVER = ("completed", "failed", "cancelled")
PATIENCE = 120


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("syncs")
    if request.param == "sqlite":
        yield from started(folder, f"sqlite:///{folder / 'referloop.db'}")
        return
    with postgres("syncs") as url:
        yield from started(folder, url.replace("+psycopg", ""))


def started(folder: Path, database_url: str) -> Iterator[System]:
    environ = {
        "INTERCOM_INDEX_DELAY_SECONDS": str(INDEX_DELAY + 1),
        "RECONCILE_INTERVAL_SECONDS": "3600",
        "SYNC_INTERVAL_SECONDS": "2",
        "REFERRAL_FACTORY_CALLS_PER_MINUTE": str(BUDGET),
    }
    with System(folder, database_url, **environ) as system:
        system.start_all(index_delay=INDEX_DELAY)
        system.control("PUT", "/settings", {"referral_factory_calls_per_minute": LIMIT, "latency_ms": 30})
        yield system


once_is_enough = pytest.mark.parametrize("system", KINDS[-1:], indirect=True)
"""What goes the same way on both databases."""


# What is done, and what is seen


def over(ground: Ground, sync_id: str, within: float = PATIENCE) -> Document:
    def found() -> Document | None:
        run = ground.run(sync_id)
        return run if run["state"] in OVER else None

    run: Document = ground.system.await_(found, within, every=0.3)
    return run


def told(ground: Ground, sync_id: str) -> Counter[tuple[str, str | None]]:
    return Counter((one["outcome"], one["cause"]) for one in ground.outcomes(sync_id))


def in_campaign(ground: Ground) -> list[str]:
    """Addresses of the campaign's referrers at Referral Factory, as often as they are there."""
    return [one["email"].lower() for one in ground.people() if one["type"] == "person_referring"]


def await_addresses(ground: Ground, wanted: set[str], within: float = 60) -> None:
    ground.system.await_(lambda: set(in_campaign(ground)) == wanted, within, every=0.3)
    assert len(in_campaign(ground)) == len(wanted)


def every_one_ended_as_expected(ground: Ground, made: Crowd, run: Document, others: int = 0) -> None:
    """Each contact in one outcome, the right one; one person an address; each link at its contact.

    ``others`` are contacts of whom the sync was not to know, and may have come upon.
    """
    assert (run["state"], run["cause"]) == ("completed", None)
    outcomes = [one for one in ground.outcomes(run["id"]) if "friend" not in (one["email"] or "")]
    assert Counter((one["outcome"], one["cause"]) for one in outcomes) == made.expected
    assert len({one["contact_id"] for one in outcomes}) == len(outcomes) == len(made.contacts)
    progress, counts = run["progress"], Counter(one["outcome"] for one in outcomes)
    assert progress["failed"] == progress["updated"] == 0
    for name in ("added", "existing", "skipped"):
        assert 0 <= progress[name] - counts[name] <= others

    people = {one["email"].lower(): one for one in ground.people() if one["type"] == "person_referring"}
    assert sorted(in_campaign(ground)) == sorted(people), "nobody twice"
    assert made.addresses <= people.keys()
    links = {one["id"]: one["custom_attributes"].get("Referral Link") for one in ground.contacts()}
    told = {one["contact_id"]: one for one in outcomes}
    wrong = [(one, links[each]) for each, one in told.items() if _code(links[each]) != _code_due(one, people)]
    assert wrong == []


def _code(link: str | None) -> str | None:
    return link.rpartition("/")[2] if link else None


def _code_due(outcome: Document, people: dict[str, Document]) -> str | None:
    return None if outcome["outcome"] == "skipped" else people[outcome["email"]]["code"]


def prepared(system: System, name: str, number: int, *, share_known: float) -> tuple[Ground, Crowd]:
    """A share of those who are in the campaign is known here, of the others nobody has told us."""
    ground, made = make_ground(system, name), crowd(name, number)
    known = int(len(made.there) * share_known)
    ground.make_people(made.there[:known])
    ground.set_up("leads", "referrers")
    system.await_(lambda: len(system.items("/people", campaign_id=ground.campaign_id)) >= known, PATIENCE, every=0.3)
    ground.make_people(made.there[known:])
    ground.make_contacts(made.contacts)
    time.sleep(INDEX_DELAY + 1)
    return ground, made


# A run over many, once, and what was seen of it


@dataclass(frozen=True, slots=True)
class Ran:
    ground: Ground
    crowd: Crowd
    run: Document
    calls: list[float]
    """When Referral Factory was called."""
    counts: Document
    signups: list[float]
    """Seconds from a signup to its being told as done, the contact made."""


@pytest.fixture(scope="module")
def ran(system: System) -> Ran:
    ground, made = prepared(system, "grand", 1500, share_known=0.5)
    code = ground.people()[0]["code"]
    system.control("POST", "/counts/reset")
    sync_id, signups = ground.sync(), list[float]()
    until = time.monotonic() + PATIENCE
    while ground.run(sync_id)["state"] not in OVER:
        assert time.monotonic() < until, ground.run(sync_id)
        signups.append(signed_up(ground, code, f"friend{len(signups)}@example.com"))
        time.sleep(0.5)
    log = system.control("GET", "/log?vendor=referral_factory&limit=5000")["calls"]
    counts = system.control("GET", "/counts")
    return Ran(ground, made, ground.run(sync_id), [one["at"] for one in log], counts, signups)


def signed_up(ground: Ground, code: str, email: str) -> float:
    began = time.monotonic()
    ground.sign_up(code, email)

    def made() -> list[Document]:
        rows = ground.system.items("/activity", email=email)
        return [one for one in rows if one["verb"] == "send" and one["outcome"] == "created"]

    ground.system.await_(made, 60)
    return time.monotonic() - began


def test_every_contact_ends_in_the_right_outcome_and_nobody_is_enrolled_twice(ran: Ran) -> None:
    every_one_ended_as_expected(ran.ground, ran.crowd, ran.run, others=len(ran.signups))


def test_the_budget_is_used_and_never_exceeded(ran: Ran) -> None:
    """In any ten seconds no more than they hold and what may be ahead of them; how much of it is used in its stride
    depends on the machine (`make bench` tells)."""
    assert {one["status"] for one in ran.counts["calls"]} <= {200, 201, 422}
    peak = ran.counts["peaks"]["referral_factory_calls_in_60s"]
    assert max(peak.values()) <= BUDGET
    calls, most = sorted(ran.calls), BUDGET / 6 * 1.2
    assert all(later - calls[place] > 10 for place, later in enumerate(calls[int(most) :]))
    stride = calls[len(calls) // 10 : len(calls) * 9 // 10]
    assert len(stride) / (stride[-1] - stride[0]) > BUDGET / 60 * 0.25


def test_signups_reach_intercom_while_the_run_goes_on(ran: Ran) -> None:
    took = sorted(ran.signups)
    assert len(took) >= 5
    assert took[int(len(took) * 0.95)] < 5, took


# Stops of every kind


@once_is_enough
def test_killed_paused_and_cut_off_it_ends_the_same(system: System) -> None:
    """Killed at three moments by chance, paused, and without a token for a while. (Of somebody in the campaign of
    whom nobody has told us, and whom a killed worker has asked for, it can't be said who has enrolled them.)"""
    system, dice = system, random.Random(5)
    ground, made = prepared(system, "rough", 900, share_known=1)
    system.stop("worker")
    system.lease_seconds = 8
    system.start("worker")
    sync_id = ground.sync()
    for _ in range(3):
        await_more(ground, dice.randint(20, 200))
        kill_worker(system)
        system.start("worker")

    await_more(ground, 30)
    system.api("POST", f"/syncs/{sync_id}/pause")
    system.await_(lambda: is_quiet(ground), 30)
    assert ground.run(sync_id)["state"] == "paused"
    system.api("POST", f"/syncs/{sync_id}/resume")

    await_more(ground, 30)
    system.control("PUT", f"/accounts/{ground.name}", {"token": "another-token"})
    path = f"/programs/{ground.program_id}"
    system.await_(lambda: system.api("GET", path)["state"] != "connected", 60)
    assert is_quiet(ground)
    assert ground.run(sync_id)["state"] == "running"
    assert system.api("PATCH", path, {"access_token": "another-token"})["state"] == "connected"

    every_one_ended_as_expected(ground, made, over(ground, sync_id))
    assert system.items("/events", status="dead") == []
    system.stop("worker")
    system.lease_seconds = None
    system.start("worker")


def kill_worker(system: System) -> None:
    """``kill -9`` of the worker and of all that it started."""
    (victim,) = system.processes.pop("worker")
    for pid in tree([victim.pid]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    victim.wait()


def enrolled(ground: Ground) -> int:
    number: int = ground.system.control("GET", "/counts")["people"][ground.name]
    return number


def await_more(ground: Ground, more: int) -> None:
    before = enrolled(ground)
    ground.system.await_(lambda: enrolled(ground) >= before + more, PATIENCE)


def is_quiet(ground: Ground) -> bool:
    before = enrolled(ground)
    time.sleep(1)
    return enrolled(ground) == before


# The limit of users


@once_is_enough
def test_over_the_limit_of_users_nobody_is_added_and_the_run_says_so(system: System) -> None:
    system, ground = system, make_ground(system, "full")
    ground.make_people([{"email": f"there{place}@example.com", "first_name": "There"} for place in range(20)])
    made = crowd("full", 80, kinds=False)
    ground.make_contacts(made.contacts)
    system.api("PATCH", f"/programs/{ground.program_id}", {"user_limit": 70})
    time.sleep(INDEX_DELAY + 1)

    preview = system.api("POST", f"/campaigns/{ground.campaign_id}/syncs/preview", ground.settings())
    assert (preview["total"], preview["would_add"], preview["would_exceed_limit_by"]) == (80, 80, 30)
    assert len(in_campaign(ground)) == 20, "a preview writes nothing"

    sync_id = ground.sync()
    assert over(ground, sync_id)["state"] == "completed"
    assert told(ground, sync_id) == {("added", None): 50, ("skipped", "user_limit_reached"): 30}
    assert len(set(in_campaign(ground))) == len(in_campaign(ground)) == 70


# Segments


@once_is_enough
def test_of_250_segments_all_are_listed_and_one_is_synced(system: System) -> None:
    system, ground = system, make_ground(system, "parts")
    system.control("POST", "/seed", {"segments": 250, "app_id": ground.name})
    users = [{"email": f"person137{letter}@example.com", "name": f"Person {letter}"} for letter in "abcdefgh"]
    others = [{"email": f"person13{letter}@example.com", "name": f"Other {letter}"} for letter in "abcdefgh"]
    company = {"custom_attributes": {"Company name": "Acme"}}
    ground.make_contacts([{**one, **company} for one in (*users, *others)])
    system.api("POST", f"/workspaces/{ground.workspace_id}/refresh")
    path = f"/workspaces/{ground.workspace_id}/segments"
    names = {one["name"] for one in system.await_(lambda: all_segments(system, path, 250), 30)}
    assert {f"Segment {place:03d}" for place in range(1, 251)} <= names
    (segment,) = system.items(path, search="segment 137")
    assert segment["name"] == "Segment 137"

    time.sleep(INDEX_DELAY + 1)
    sync_id = ground.sync(contacts="segment", segment_id=segment["id"])
    assert over(ground, sync_id)["state"] == "completed"
    assert set(in_campaign(ground)) == {one["email"] for one in users}


def all_segments(system: System, path: str, number: int) -> list[Document]:
    found = system.items(path)
    return found if len(found) >= number else []


# Ongoing


def member(name: str, plan: str = "pro", role: str = "user") -> Document:
    custom = {"plan": plan, "Company name": "Acme"}
    return {"email": f"{name}@example.com", "name": name.title(), "role": role, "custom_attributes": custom}


def addresses(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@once_is_enough
def test_a_segment_is_followed_by_looking_at_its_members_until_it_is_gone(system: System) -> None:
    system, ground = system, make_ground(system, "members")
    ids = ground.make_contacts([member("ada"), member("ben"), member("cleo", "trial"), member("dan", "trial")])
    segment = next(one for one in segments(ground) if one["name"] == "On plan pro")
    time.sleep(INDEX_DELAY + 1)
    sync_id = ground.sync(contacts="segment", segment_id=segment["id"], schedule="ongoing")
    await_addresses(ground, addresses("ada", "ben"))

    # Nobody tells of it: it is seen by looking.
    ground.change([{"id": ids[2], "custom_attributes": {"plan": "pro"}}], "silent")
    await_addresses(ground, addresses("ada", "ben", "cleo"))

    before = {one["email"]: one["id"] for one in ground.people()}
    ground.change([{"id": ids[0], "email": "ada.lovelace@example.com"}], "silent")
    await_addresses(ground, addresses("ada.lovelace", "ben", "cleo"))
    after = {one["email"]: one["id"] for one in ground.people()}
    assert after["ada.lovelace@example.com"] == before["ada@example.com"]

    ground.change([{"id": ids[1], "custom_attributes": {"plan": "trial"}}], "silent")
    ground.change([{"id": ids[3], "custom_attributes": {"plan": "pro"}}], "silent")
    await_addresses(ground, addresses("ada.lovelace", "ben", "cleo", "dan"))

    system.control("DELETE", f"/intercom/{ground.name}/segments/{segment['id']}")
    run = over(ground, sync_id)
    assert (run["state"], run["cause"]) == ("failed", "segment_gone")
    assert len(in_campaign(ground)) == 4
    assert told(ground, sync_id) == {("added", None): 3, ("updated", None): 1}


def segments(ground: Ground) -> list[Document]:
    return ground.system.items(f"/workspaces/{ground.workspace_id}/segments")


@once_is_enough
def test_a_new_user_and_a_changed_email_are_followed_at_once(system: System) -> None:
    """The search shows neither for longer than this test lasts."""
    system, ground = system, make_ground(system, "users")
    ground.make_contacts([member("eve")])
    time.sleep(INDEX_DELAY + 1)
    sync_id = ground.sync(contacts="users", schedule="ongoing")
    await_addresses(ground, addresses("eve"))
    system.await_(lambda: ground.run(sync_id)["state"] == "watching", 60)
    system.control("PUT", "/settings", {"index_delay_seconds": 600})
    try:
        (fay, _) = ground.make_contacts([member("fay"), member("gus", role="lead")], "send")
        await_addresses(ground, addresses("eve", "fay"))
        system.await_(lambda: "Referral Link" in attributes(ground, fay), 30)
        ground.change([{"id": fay, "email": "fay.wray@example.com"}])
        await_addresses(ground, addresses("eve", "fay.wray"))
    finally:
        system.control("PUT", "/settings", {"index_delay_seconds": INDEX_DELAY})
    system.await_(lambda: told(ground, sync_id) == {("added", None): 1, ("updated", None): 1}, 30)
    assert system.api("POST", f"/syncs/{sync_id}/cancel")["state"] == "cancelled"


def attributes(ground: Ground, contact_id: str) -> dict[str, Any]:
    (contact,) = [one for one in ground.contacts() if one["id"] == contact_id]
    return {name: value for name, value in contact["custom_attributes"].items() if value is not None}


# Backfill


@once_is_enough
def test_who_joined_before_the_settings_is_sent_once_as_the_dry_run_said(system: System) -> None:
    system, ground = system, make_ground(system, "early")
    (rita,) = ground.make_people([{"email": "rita.early@example.com", "first_name": "Rita"}])
    referrer = {"referrer": {"field": "code", "value": rita["code"]}}
    leads = [{"email": f"early{place}@example.com", "first_name": f"Early {place}"} for place in range(60)]
    ground.make_people([{**one, **referrer} for one in leads])
    ground.make_contacts([{"role": "user", "email": one["email"]} for one in leads[:10]])
    ground.set_up("leads")
    system.await_(lambda: len(system.items("/people", campaign_id=ground.campaign_id)) >= 60, 60, every=0.3)
    time.sleep(INDEX_DELAY + 1)
    assert len(ground.contacts()) == 10, "they joined before the settings were made"

    progress = [backfilled(ground, dry_run=dry_run) for dry_run in (True, False)]
    for one in progress:
        assert (one["seen"], one["added"], one["skipped"], one["failed"]) == (60, 50, 10, 0)
    sent = Counter(one["email"] for one in ground.contacts())
    assert sent == Counter(one["email"] for one in leads)
    assert backfilled(ground, dry_run=False)["added"] == 0
    assert len(ground.contacts()) == 60


def backfilled(ground: Ground, *, dry_run: bool) -> Document:
    contacts = len(ground.contacts())
    body = {"audience": "leads", "dry_run": dry_run}
    run = ground.system.api("POST", f"/campaigns/{ground.campaign_id}/backfill", body)
    ended = over(ground, str(run["id"]))
    assert ended["state"] == "completed"
    assert not dry_run or len(ground.contacts()) == contacts
    progress: Document = ended["progress"]
    return progress
