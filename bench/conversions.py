"""From a change in Intercom to the qualified referral: one conversion after another, with nothing else to do.

The clock starts as the change is asked for, and stops at the first look that shows the referral as qualified in
Referral Factory; looks are ``LOOK_SECONDS`` apart. Each call to either vendor takes ``LATENCY_MILLISECONDS``, and the
notification is on its way at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from statistics import median

import requests

from bench.figures import Row, Target
from bench.plan import Found, Place, Plan
from bench.store import Store
from bench.system import System
from local.seed import INTERCOM_APP, REFERRAL_FACTORY_TOKEN

LATENCY_MILLISECONDS = 80
LOOK_SECONDS = 0.01
P99_SECONDS = Target(3, at_least=False)
CONTACTS = f"/intercom/{INTERCOM_APP}/contacts"


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url) as system:
        system.start_all()
        with closing(Store(place.url)) as store:
            return _measure(plan, place, system, store)


def _measure(plan: Plan, place: Place, system: System, store: Store) -> Found:
    """All in one run: what is measured is each of them, and not how many there are in a second."""
    place.say(f"conversions on {place.kind}")
    converting = friends(system, store, plan.conversions)
    system.control("POST", "/counts/reset")
    system.control("PUT", "/settings", {"latency_ms": LATENCY_MILLISECONDS})
    took = tuple(sorted(_seconds(system, store, contact_id, person_id) for contact_id, person_id in converting))
    people = system.control("GET", "/referral-factory/qualifications")["people"]
    return Found(rows(place.kind, took), faults(place.kind, len(converting), people))


def rows(kind: str, took: Sequence[float]) -> list[Row]:
    """``took`` in seconds, sorted."""
    what = f"s from an Intercom change to the qualified referral, {LATENCY_MILLISECONDS} ms a call"
    slow = took[min(len(took) - 1, int(len(took) * 0.99))]
    return [
        Row("conversions", kind, f"p50 {what}", (median(took),)),
        Row("conversions", kind, f"p99 {what}", (slow,), None, P99_SECONDS),
    ]


def friends(system: System, store: Store, number: int) -> list[tuple[str, int]]:
    """So many who have signed up and are watched, by Intercom's id and Referral Factory's."""
    token = {"Authorization": f"Bearer {REFERRAL_FACTORY_TOKEN}", "Accept": "application/json"}
    rita = requests.get(f"{system.sandbox}/referral-factory/users/1", headers=token, timeout=10).json()["data"]
    people: dict[str, int] = {}
    for place in range(number):
        email = f"friend{place}@example.com"
        friend = {"code": rita["code"], "first_name": f"Friend {place}", "email": email}
        people[email] = system.control("POST", "/referral-factory/sign-up", friend)["id"]

    def contacts() -> dict[str, str]:
        live = system.control("GET", CONTACTS)["contacts"]
        return {one["email"]: one["id"] for one in live if one["email"] in people}

    system.await_(lambda: len(contacts()) == number and store.open() == 0, 60 + number, every=0.2)
    return [(contact_id, people[email]) for email, contact_id in contacts().items()]


def _seconds(system: System, store: Store, contact_id: str, person_id: int) -> float:
    """Of one conversion. What follows from it has ended before the next one begins."""
    began = time.perf_counter()
    system.control("PUT", f"{CONTACTS}/{contact_id}", {"custom_attributes": {"plan": "pro"}})
    system.await_(lambda: _is_qualified(system, person_id), 30, every=LOOK_SECONDS)
    took = time.perf_counter() - began
    system.await_(lambda: store.open() == 0, 30, every=LOOK_SECONDS)
    return took


def _is_qualified(system: System, person_id: int) -> bool:
    people = system.control("GET", "/referral-factory/qualifications")["people"]
    return any(one["id"] == person_id and one["qualified_at"] for one in people)


def faults(kind: str, converted: int, people: Sequence[Mapping[str, int]]) -> list[str]:
    """``people`` as the sandbox tells how often each was to be qualified, and how often that changed them."""
    once = sum(one["received"] == one["changed"] == 1 for one in people)
    if once == len(people) == converted:
        return []
    return [f"conversions on {kind}: of {converted} {once} were qualified by one call, of {len(people)} asked for"]
