"""A million settled events beside none: what a webhook and a lead cost then, in the same run and the same system.

The runs with empty tables come first, then the tables are filled (by the database itself: digests for keys, as real
ones are), then come the same runs again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import text

from bench import door, leads, machine
from bench.figures import Reference, Row, Target
from bench.load import send
from bench.plan import Found, Place, Plan
from bench.store import Store
from bench.system import System

AT_ONCE = 100_000
AT_MOST = Target(1.2, at_least=False)
AT_LEAST = Target(1 / 1.2)

_NUMBERS = """
WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
"""

_EVENTS = """
INSERT INTO events (dedupe_key, source, topic, origin, workspace_id, campaign_id, person_key, content_type, payload,
  status, cause, attempts, received_at, settled_at)
{numbers} SELECT {key}, CASE WHEN n % 3 = 0 THEN 'intercom' ELSE 'referral_factory' END,
  CASE WHEN n % 3 = 0 THEN 'contact.user.updated' ELSE 'joined' END, 'webhook', 1, 1, {person}, 'application/json',
  {payload}, 'done', NULL, 0, {moment}, {moment} FROM numbers
"""

_SPELT = {
    "postgresql": {
        "key": "encode(sha256(n::text::bytea), 'hex')",
        "person": "encode(sha256((n / 3)::text::bytea), 'hex')",
        "payload": "repeat('x', 300)::bytea",
        "moment": "now() - make_interval(secs => 5000000 - n)",
    },
    "sqlite": {
        "key": "lower(hex(randomblob(32)))",
        "person": "lower(hex(randomblob(32)))",
        "payload": "CAST(hex(zeroblob(150)) AS BLOB)",
        "moment": "(unixepoch() - 5000000 + n) * 1000000",
    },
}


@dataclass(frozen=True, slots=True)
class Once:
    taken: door.Taken
    applied: leads.Applied


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(leads.NO_LIMIT)) as system:
        system.start_all(workers=0)
        leads.slow_down(system)
        with closing(Store(place.url)) as store:
            empty = _runs(plan, place, system, store, "empty")
            place.say(f"filling {place.kind} with {plan.history:,} settled events")
            fill(store, place.kind, plan.history)
            full = _runs(plan, place, system, store, "full")
    return Found(_rows(place.kind, full, empty), [])


def fill(store: Store, kind: str, number: int) -> None:
    """Settled events, some at a time."""
    for first in range(1, number + 1, AT_ONCE):
        numbers = _NUMBERS.format(first=first, last=min(number, first + AT_ONCE - 1))
        store.execute(text(_EVENTS.format(numbers=numbers, **_SPELT[kind])))
    store.execute(text("ANALYZE"))


def _runs(plan: Plan, place: Place, system: System, store: Store, name: str) -> list[Once]:
    bodies = door.notifications() if name == "empty" else door.notifications(first=10_000_000)
    door.run(system, "web", system.web, bodies, plan.connections, plan.warm_seconds)
    found = []
    for number in range(plan.runs):
        place.say(f"{name} tables on {place.kind}, run {number + 1} of {plan.runs}")
        taken = door.run(system, "web", system.web, bodies, plan.connections, plan.door_reference_seconds)
        found.append(Once(taken, _applied(plan, system, store, f"{name}{number}-")))
    return found


def _applied(plan: Plan, system: System, store: Store, prefix: str) -> leads.Applied:
    system.start("worker")
    system.await_(lambda: store.open() == 0, 180, every=0.2)  # the door's
    system.stop("worker")
    url, secret = system.webhook()
    after = store.last_event()
    result = send(url, leads.joined(prefix, plan.leads, secret), leads.SENDERS, go_on=lambda: True)
    assert result.statuses == {200: plan.leads}, result.statuses
    return leads.drain(system, store, after, plan.leads)


def _rows(kind: str, full: list[Once], empty: list[Once]) -> list[Row]:
    def row(what: str, of: Callable[[Once], float], times: Target | None = None) -> Row:
        return Row(
            "full", kind, what, tuple(map(of, full)), Reference("empty tables", tuple(map(of, empty))), None, times
        )

    rows = [
        row("webhooks a second", lambda once: once.taken.rate, AT_LEAST),
        row("p99 ms", lambda once: once.taken.p99),
        row("leads a second", lambda once: once.applied.rate, AT_LEAST),
    ]
    if not machine.TELLS:
        return rows
    return [
        *rows,
        row("CPU ms of the web, a webhook", lambda once: once.taken.server_cpu, AT_MOST),
        row("CPU ms of the worker, a lead", lambda once: once.applied.worker_cpu, AT_MOST),
    ]
