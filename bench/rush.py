"""What several workers come to, what the vendors' limits leave of it, and conversions that come as they do in a sale.

``measure_crew``: leads applied by two workers with a fast vendor. ``measure_limit``: leads for minutes under
Intercom's own limit, which the sandbox keeps: how much of the budget is used, and that no call is refused.
``measure_sale``: conversions at a set pace, at Referral Factory's limit and without one, each timed from the change
in Intercom to the referral that is qualified.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from bench import conversions, leads
from bench.conversions import CONTACTS
from bench.figures import Row, Target
from bench.leads import CALLS_A_LEAD, NO_LIMIT
from bench.load import send
from bench.plan import Found, Place, Plan
from bench.store import Store
from bench.system import System

CREW, CREW_LATENCY_MILLISECONDS = 2, 20
CREW_RATE = Target(300)

LIMIT = 1666
"""Calls to Intercom in ten seconds."""

USED = Target(95)

SALE_SECONDS = Target(2, at_least=False)
LOOK_SECONDS = 0.02


# Several workers


def measure_crew(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(NO_LIMIT)) as system:
        system.start_all(workers=0)
        leads.slow_down(system)
        system.control("PUT", "/settings", {"latency_ms": CREW_LATENCY_MILLISECONDS})
        with closing(Store(place.url)) as store:
            found, rates = Found(), list[float]()
            for number in range(plan.runs):
                place.say(f"{CREW} workers on {place.kind}, run {number + 1} of {plan.runs}")
                after, before = store.last_event(), leads.contacts(system)
                _sign_up(system, f"crew{number}-", plan.leads)
                rates.append(_drained(system, store, after, plan.leads, workers=CREW))
                made = leads.contacts(system) - before
                told = store.created(after)
                found.faults += leads.faults(place.kind, plan.leads, made, told, leads.shared(system))
    what = f"leads a second, {CREW} workers, {CREW_LATENCY_MILLISECONDS} ms a call"
    found.rows.append(Row("crew", place.kind, what, tuple(rates), None, CREW_RATE))
    return found


def _sign_up(system: System, prefix: str, number: int) -> None:
    url, secret = system.webhook()
    result = send(url, leads.joined(prefix, number, secret), leads.SENDERS, go_on=lambda: True)
    assert result.statuses == {200: number}, result.statuses


def _drained(system: System, store: Store, after: int, number: int, *, workers: int) -> float:
    """How many were settled a second."""
    for _ in range(workers):
        system.start("worker")
    system.await_(lambda: store.settled(after).number == number, 120 + number / 20, every=0.5)
    system.stop("worker")
    return store.settled(after).rate


# Intercom's limit


def measure_limit(plan: Plan, place: Place) -> Found:
    number = int(plan.limit_seconds * LIMIT / 10 / CALLS_A_LEAD)
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(LIMIT)) as system:
        system.start_all(workers=0)
        settings = {
            "latency_ms": CREW_LATENCY_MILLISECONDS,
            "intercom_calls_per_10s": LIMIT,
            "echo_own_writes": False,
        }
        system.control("PUT", "/settings", settings)
        with closing(Store(place.url)) as store:
            place.say(f"limit on {place.kind}, {number} leads")
            after, before = store.last_event(), leads.contacts(system)
            _sign_up(system, "limit-", number)
            system.control("POST", "/counts/reset")
            rate = _drained(system, store, after, number, workers=1)
            counts = system.control("GET", "/counts")
            made, told = leads.contacts(system) - before, store.created(after)
            found = Found(faults=leads.faults(place.kind, number, made, told, leads.shared(system)))
    refused = sum(one["calls"] for one in counts["calls"] if one["status"] == 429)
    if refused:
        found.faults.append(f"limit on {place.kind}: {refused} calls were refused")
    what = f"% of Intercom's {LIMIT} calls in 10 s used, {number} leads"
    found.rows.append(Row("limit", place.kind, what, (rate * CALLS_A_LEAD / (LIMIT / 10) * 100,), None, USED))
    return found


# Many conversions


@dataclass(frozen=True, slots=True)
class Sale:
    """So many conversions a second, with so many calls a minute that Referral Factory takes."""

    pace: float
    limit: int
    words: str


ORDINARY = Sale(4, 600, "Referral Factory's limit")
LIFTED = Sale(20, NO_LIMIT, "no limit")


def measure_sale(sale: Sale, plan: Plan, place: Place) -> Found:
    place.say(f"sale on {place.kind}, {sale.pace:g} conversions a second, {sale.words}")
    found, budget = Found(), str(int(sale.limit * 0.95))
    with System(place.folder, place.url, REFERRAL_FACTORY_CALLS_PER_MINUTE=budget) as system:
        system.start_all()
        with closing(Store(place.url)) as store:
            _sell(sale, plan, place.kind, system, store, found)
    return found


def _sell(sale: Sale, plan: Plan, kind: str, system: System, store: Store, found: Found) -> None:
    system.control("PUT", "/settings", {"referral_factory_calls_per_minute": NO_LIMIT})
    friends = conversions.friends(system, store, int(sale.pace * plan.sale_seconds))
    system.control("POST", "/counts/reset")
    settings = {
        "latency_ms": conversions.LATENCY_MILLISECONDS,
        "referral_factory_calls_per_minute": sale.limit,
    }
    system.control("PUT", "/settings", settings)
    asked: dict[int, float] = {}
    seller = threading.Thread(target=_convert, args=(system, friends, sale.pace, asked))
    seller.start()
    qualified = _watched(system, len(friends))
    seller.join()
    took = tuple(sorted(qualified[one] - asked[one] for one in asked))
    slow = took[min(len(took) - 1, int(len(took) * 0.99))]
    what = f"s from a conversion to the qualified referral, {sale.pace:g} a second, {sale.words}"
    found.rows += [
        Row("sale", kind, f"p50 {what}", (median(took),)),
        Row("sale", kind, f"p99 {what}", (slow,), None, SALE_SECONDS),
    ]
    people = system.control("GET", "/referral-factory/qualifications")["people"]
    found.faults += conversions.faults(kind, len(friends), people)


def _convert(system: System, friends: list[tuple[str, int]], pace: float, asked: dict[int, float]) -> None:
    began = time.monotonic()
    for place, (contact_id, person_id) in enumerate(friends):
        time.sleep(max(0.0, began + place / pace - time.monotonic()))
        asked[person_id] = time.monotonic()
        system.control("PUT", f"{CONTACTS}/{contact_id}", {"custom_attributes": {"plan": "pro"}})


def _watched(system: System, number: int) -> Mapping[int, float]:
    """When each was first seen to be qualified."""
    seen: dict[int, float] = {}

    def all_seen() -> bool:
        people = system.control("GET", "/referral-factory/qualifications")["people"]
        now = time.monotonic()
        for one in people:
            if one["qualified_at"]:
                seen.setdefault(one["id"], now)
        return len(seen) == number

    system.await_(all_seen, 120 + number, every=LOOK_SECONDS)
    return seen
