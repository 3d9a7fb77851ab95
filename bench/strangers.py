"""Notifications about contacts who are nobody's lead: nearly all that a workspace with many customers sends.

The door is measured while a worker settles them as they come in, beside the same door with signups: those that the
worker is at work on, the sandbox answering at once, and those that nobody works on. Then many are taken in while no
worker runs; one starts, and the clock runs from the first settled event to the last.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from bench import door, leads, machine
from bench.figures import Reference, Row, Target
from bench.load import Request, Result, send
from bench.plan import Found, Place, Plan
from bench.store import Store
from bench.system import System

KEEPS_UP = Target(door.RATE.bound)
"""One worker settles what the door promises to take."""

BESIDE, ALONE = "signups, a worker on them", "signups, no worker"
PATIENCE = 180


@dataclass(frozen=True, slots=True)
class Round:
    """One run. ``worker_cpu`` in milliseconds an event."""

    among: Result
    beside: Result
    alone: Result
    drained: float
    worker_cpu: float


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(leads.NO_LIMIT)) as system:
        system.start_all(workers=0)
        settings = {"intercom_calls_per_10s": leads.NO_LIMIT, "echo_own_writes": False}
        system.control("PUT", "/settings", settings)
        with closing(Store(place.url)) as store:
            return _measure(plan, place, system, store)


def _measure(plan: Plan, place: Place, system: System, store: Store) -> Found:
    intercom, strangers = f"{system.web}/webhooks/intercom", door.notifications()
    signups, secret = system.webhook()
    friends = leads.joined("door-", leads.NO_LIMIT, secret)

    def taken(url: str, bodies: Iterator[Request], seconds: float) -> Result:
        result = send(url, bodies, plan.connections, go_on=door.for_seconds(seconds))
        assert result.statuses.keys() == {200}, result.statuses
        return result

    taken(intercom, strangers, plan.warm_seconds)
    found, rounds = Found(), []
    for number in range(plan.runs):
        place.say(f"strangers on {place.kind}, run {number + 1} of {plan.runs}")
        alone = taken(signups, friends, plan.door_reference_seconds)
        system.start("worker")
        _emptied(system, store)
        beside = taken(signups, friends, plan.door_reference_seconds)
        _emptied(system, store)
        after = store.last_event()
        among = taken(intercom, strangers, plan.door_reference_seconds)
        _emptied(system, store)
        system.stop("worker")
        many = send(intercom, itertools.islice(strangers, plan.strangers), plan.connections, go_on=lambda: True)
        assert many.statuses == {200: plan.strangers}, many.statuses
        rounds.append(Round(among, beside, alone, *_drain(system, store, plan.strangers)))
        found.faults += faults(place.kind, store.activity(after), store.payloads(after))
    found.rows = _rows(place.kind, rounds)
    return found


def _emptied(system: System, store: Store) -> None:
    system.await_(lambda: store.open() == 0, PATIENCE, every=0.2)


def _drain(system: System, store: Store, number: int) -> tuple[float, float]:
    """How many a second, and what one costs. CPU is counted from the first one on: starting is not settling."""
    after = store.last_event() - number
    worker = system.start("worker").pid
    begun = system.await_(lambda: store.settled(after).number, 60)
    cpu = machine.cpu_seconds([worker])
    system.await_(lambda: store.settled(after).number == number, PATIENCE, every=0.2)
    cpu = machine.cpu_seconds([worker]) - cpu
    system.stop("worker")
    return store.settled(after).rate, cpu / max(1, number - begun) * 1000


def faults(kind: str, told: int, payloads: int) -> list[str]:
    """``told`` are rows of activity about them, ``payloads`` those of whom it is still kept what was said."""
    found = []
    if told:
        found.append(f"strangers on {kind}: the activity has {told} rows about them")
    if payloads:
        found.append(f"strangers on {kind}: of {payloads} it is still kept what was said")
    return found


def _rows(kind: str, rounds: list[Round]) -> list[Row]:
    def row(what: str, of: Callable[[Result], float], reference: str) -> Row:
        others = [one.alone if reference == ALONE else one.beside for one in rounds]
        values = tuple(of(one.among) for one in rounds)
        return Row("strangers", kind, what, values, Reference(reference, tuple(map(of, others))))

    rows = [
        row("webhooks a second while they are settled", lambda one: one.rate, BESIDE),
        row("webhooks a second while they are settled", lambda one: one.rate, ALONE),
        row("p99 ms", lambda one: one.percentile(0.99) * 1000, BESIDE),
        row("p99 ms", lambda one: one.percentile(0.99) * 1000, ALONE),
        Row(
            "strangers", kind, "settled a second by one worker", tuple(one.drained for one in rounds), None, KEEPS_UP
        ),
    ]
    if machine.TELLS:
        cpu = tuple(one.worker_cpu for one in rounds)
        rows.append(Row("strangers", kind, "CPU ms of the worker, a stranger", cpu))
    return rows
