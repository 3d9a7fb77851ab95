"""Contacts of Intercom made referrers: within the budget, beside signups, and by the ten thousand.

``measure``: with Referral Factory's limit at ``LIMIT`` calls a minute, of which ``BUDGET`` are ours, how much of them
is used in the run's stride, counted by the sandbox; somebody signs up every half second meanwhile, and it is timed
until that is done. ``measure_growth``: without any limit, what a contact takes, and how the bulk process grows.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench import machine
from bench.crowd import Crowd, Document, Ground, crowd, make_ground
from bench.figures import Reference, Row, Target
from bench.leads import NO_LIMIT
from bench.plan import Found, Place, Plan
from bench.system import System

LIMIT, BUDGET = 6000, 5700
LATENCY_MILLISECONDS = 80
USED = Target(95)
SIGNUP_SECONDS = Target(2, at_least=False)
GROWTH = Target(10, at_least=False)
INDEX_DELAY = 2
FIRST = 1000
"""Contacts after which the bulk process is first weighed."""

OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a run was at a time, and what had been reached until then: calls, or megabytes."""

    at: float
    contacts: int
    reached: float


def measure(plan: Plan, place: Place) -> Found:
    """Each once: what is measured is each contact, and a run over thousands has enough of them."""
    found = Found()
    place.say(f"syncs on {place.kind}, {plan.synced} contacts within the budget")
    with _system(place, REFERRAL_FACTORY_CALLS_PER_MINUTE=str(BUDGET)) as system:
        system.control("PUT", "/settings", {"referral_factory_calls_per_minute": LIMIT})
        _within(plan.synced, place.kind, system, found)
    return found


def measure_growth(plan: Plan, place: Place) -> Found:
    found = Found()
    place.say(f"syncs on {place.kind}, {plan.grown} contacts without a limit")
    no_limits = {"INTERCOM_CALLS_PER_10S": str(NO_LIMIT), "REFERRAL_FACTORY_CALLS_PER_MINUTE": str(NO_LIMIT)}
    with _system(place, **no_limits) as system:
        limits = {"referral_factory_calls_per_minute": NO_LIMIT, "intercom_calls_per_10s": NO_LIMIT}
        system.control("PUT", "/settings", limits)
        _without(plan.grown, place.kind, system, found)
    return found


@contextmanager
def _system(place: Place, **environ: str) -> Iterator[System]:
    with System(place.folder, place.url, RECONCILE_INTERVAL_SECONDS="3600", **environ) as system:
        system.start_all(index_delay=INDEX_DELAY)
        system.control("PUT", "/settings", {"latency_ms": LATENCY_MILLISECONDS})
        yield system


# Within the budget


def _within(number: int, kind: str, system: System, found: Found) -> None:
    ground, made = make_ground(system, "within"), crowd("within", number)
    half = len(made.there) // 2
    ground.make_people(made.there[:half])
    ground.set_up("leads", "referrers")
    system.await_(lambda: len(system.items("/people", campaign_id=ground.campaign_id)) >= half, 120, every=0.5)
    # The other half is to be met by the run; the program's first sweep would find them in the middle of it.
    system.await_(lambda: _is_swept(ground), 120, every=0.5)
    code = ground.make_people(made.there[half:])[0]["code"]
    ground.make_contacts(made.contacts)
    time.sleep(INDEX_DELAY + 1)

    system.control("POST", "/counts/reset")
    run, seen, signups = ground.sync(), list[Seen](), list[float]()
    while True:
        shown = ground.run(run)
        seen.append(Seen(time.monotonic(), shown["progress"]["seen"], _calls(system)))
        if shown["state"] in OVER:
            break
        signups.append(_signed_up(ground, code, f"friend{len(signups)}@example.com"))
        time.sleep(0.5)
    counts = system.control("GET", "/counts")
    found.faults += [f"syncs on {kind}: {fault}" for fault in _faults(ground, made, ground.run(run), counts)]
    found.rows += [
        Row("syncs", kind, f"% of the budget used in the stride, {number} contacts", (used(seen),), None, USED),
        Row("syncs", kind, "% of the budget in the fullest 60 s", (_peak(counts) / BUDGET * 100,)),
        Row("syncs", kind, f"p50 s from a signup to its contact meanwhile, of {len(signups)}", (median(signups),)),
        Row("syncs", kind, "p95 s from a signup to its contact meanwhile", (_p95(signups),), None, SIGNUP_SECONDS),
    ]


def _is_swept(ground: Ground) -> bool:
    swept = {one["scope"] for one in ground.system.items("/reconciles") if one["finished_at"]}
    return f"program:{ground.program_id}" in swept


def used(seen: list[Seen]) -> float:
    """Percent of the budget, from the first tenth of the contacts to the last."""
    whole = seen[-1].contacts
    stride = [one for one in seen if whole * 0.1 <= one.contacts <= whole * 0.9]
    first, last = stride[0], stride[-1]
    return (last.reached - first.reached) / (last.at - first.at) * 60 / BUDGET * 100


def _p95(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.95)]


def _peak(counts: Document) -> int:
    peaks: dict[str, int] = counts["peaks"]["referral_factory_calls_in_60s"]
    return max(peaks.values())


def _signed_up(ground: Ground, code: str, email: str) -> float:
    began = time.perf_counter()
    ground.sign_up(code, email)
    ground.system.await_(lambda: ground.system.items("/activity", email=email, outcome="created"), 60, every=0.02)
    return time.perf_counter() - began


def _faults(ground: Ground, made: Crowd, run: Document, counts: Document) -> list[str]:
    faults = []
    outcomes = [one for one in ground.outcomes(run["id"]) if not (one["email"] or "").startswith("friend")]
    told = Counter((one["outcome"], one["cause"]) for one in outcomes)
    if run["state"] != "completed" or told != made.expected:
        faults.append(f"the run is {run['state']} with {dict(told)} instead of {dict(made.expected)}")
    people = {one["email"].lower(): one["code"] for one in ground.people() if one["type"] == "person_referring"}
    referrers = sum(one["type"] == "person_referring" for one in ground.people())
    if referrers != len(people) or not made.addresses <= people.keys():
        faults.append(f"{referrers} referrers have {len(people)} addresses, of {len(made.addresses)} wanted")
    links = {one["id"]: one["custom_attributes"].get("Referral Link") or "" for one in ground.contacts()}
    linked = [one for one in outcomes if one["outcome"] != "skipped"]
    without = sum(not links[one["contact_id"]].endswith(people.get(one["email"], "?")) for one in linked)
    if without:
        faults.append(f"{without} contacts have not their own link")
    refused = sum(one["calls"] for one in counts["calls"] if one["status"] == 429)
    if refused or _peak(counts) > BUDGET:
        faults.append(f"{refused} calls were refused, and one minute had {_peak(counts)}")
    return faults


# Without a limit


def _without(number: int, kind: str, system: System, found: Found) -> None:
    ground, made = make_ground(system, "without"), crowd("without", number, kinds=False)
    ground.make_contacts(made.contacts)
    time.sleep(INDEX_DELAY + 1)
    run, seen = ground.sync(), list[Seen]()
    while True:
        shown = ground.run(run)
        seen.append(Seen(time.monotonic(), shown["progress"]["seen"], machine.peak_megabytes(_bulk(system))))
        if shown["state"] in OVER:
            break
        time.sleep(0.5)
    if shown["state"] != "completed" or shown["progress"]["added"] != number:
        found.faults.append(f"growth on {kind}: the run is {shown['state']} with {shown['progress']}")
    found.rows += rows(kind, number, seen)


def rows(kind: str, number: int, seen: list[Seen]) -> list[Row]:
    def at(contacts: float) -> Seen:
        return next(one for one in seen if one.contacts >= contacts)

    begun, ended = at(min(FIRST, number // 10)), at(number)
    early, late = _rate(begun, at(number * 0.3)), _rate(at(number * 0.8), ended)
    what = f"contacts a second without a limit, the last of {number}"
    found = [Row("growth", kind, what, (late,), Reference("the first", (early,)))]
    if machine.TELLS:
        grown = (ended.reached / begun.reached - 1) * 100
        found += [
            Row("growth", kind, f"peak MB of the bulk process after {begun.contacts}", (begun.reached,)),
            Row("growth", kind, f"% more after {number}", (grown,), None, GROWTH),
        ]
    return found


def _rate(first: Seen, last: Seen) -> float:
    return (last.contacts - first.contacts) / (last.at - first.at) if last.at > first.at else 0.0


def _calls(system: System) -> int:
    calls = system.control("GET", "/counts")["calls"]
    return sum(one["calls"] for one in calls if one["vendor"] == "referral_factory")


def _bulk(system: System) -> int:
    """The process of the worker that does pages."""
    told = (json.loads(line) for line in system.log("worker").splitlines() if '"worker_process_started"' in line)
    return next(int(one["pid"]) for one in told if one["kind"] == "bulk")
