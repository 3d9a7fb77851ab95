"""The webhook door: how many notifications a second are answered once they are committed, and how soon.

No worker runs. The reference is the same gunicorn by the same configuration, with a view that checks the signature,
parses the JSON and keeps nothing (``bench/reference.py``); it follows each run of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import requests

from bench import machine
from bench.figures import Reference, Row, Target
from bench.load import Request, Result, send
from bench.plan import Found, Place, Plan
from bench.servers import free_port
from bench.store import Store
from bench.system import BIN, System
from local.seed import INTERCOM_APP, INTERCOM_SECRET

RATE = Target(400)
SHARE_OF_REFERENCE = Target(0.5)
P99_MILLISECONDS = Target(100, at_least=False)
BYTES = 2400


@dataclass(frozen=True, slots=True)
class Taken:
    """One run at one door. CPU in milliseconds a webhook."""

    answered: int
    others: int
    rate: float
    p50: float
    p99: float
    server_cpu: float
    load_cpu: float


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url) as system:
        system.start_all(workers=0)
        with closing(Store(place.url)) as store:
            return _measure(plan, place, system, store)


def _measure(plan: Plan, place: Place, system: System, store: Store) -> Found:
    bodies = notifications()
    reference = _start_reference(system)
    for door in (system.web, reference):
        run(system, "web", door, bodies, plan.connections, plan.warm_seconds)
    found, ours, theirs = Found(), [], []
    for number in range(plan.runs):
        place.say(f"door on {place.kind}, run {number + 1} of {plan.runs}")
        before = store.events()
        ours.append(run(system, "web", system.web, bodies, plan.connections, plan.door_seconds))
        found.faults += _faults(place.kind, ours[-1], store.events() - before)
        theirs.append(run(system, "reference", reference, bodies, plan.connections, plan.door_reference_seconds))
        assert not theirs[-1].others, "the reference refuses what it is sent"
    found.rows = _rows(place.kind, ours, theirs)
    return found


def notifications(first: int = 0) -> Iterator[Request]:
    """Signed notifications of the usual size, each with an id of its own."""
    for number in itertools.count(first):
        body = json.dumps(notification(number)).encode()
        digest = hmac.new(INTERCOM_SECRET.encode(), body, hashlib.sha1).hexdigest()
        yield Request(body, f"X-Hub-Signature: sha1={digest}")


def notification(number: int) -> dict[str, object]:
    attributes = {f"attribute {index}": f"a value of usual length, number {index}" for index in range(24)}
    contact = {
        "type": "contact",
        "id": f"{number:024x}",
        "workspace_id": INTERCOM_APP,
        "role": "lead",
        "email": f"load{number}@example.com",
        "name": f"Load {number}",
        "created_at": 1_760_000_000,
        "updated_at": 1_760_000_100,
        "custom_attributes": attributes,
    }
    envelope: dict[str, object] = {
        "type": "notification_event",
        "app_id": INTERCOM_APP,
        "data": {"type": "notification_event_data", "item": contact},
        "links": {},
        "id": f"notif_{number:032x}",
        "topic": "contact.lead.updated",
        "delivery_status": "pending",
        "delivery_attempts": 1,
        "first_sent_at": 1_760_000_100,
        "created_at": 1_760_000_100,
    }
    padding = BYTES - len(json.dumps(envelope)) - len(json.dumps({"about": ""}))
    contact["about"] = "x" * max(0, padding)
    return envelope


def _start_reference(system: System) -> str:
    address = f"127.0.0.1:{free_port()}"
    gunicorn = [str(BIN / "gunicorn"), "bench.reference:application", "--config", "config/gunicorn.py"]
    system.run("reference", [*gunicorn, "--bind", address], {})
    system.await_(lambda: requests.get(f"http://{address}/healthz", timeout=2).ok, 30)
    return f"http://{address}"


def run(system: System, server: str, door: str, bodies: Iterator[Request], connections: int, seconds: float) -> Taken:
    server_cpu, load_cpu = machine.cpu_seconds(system.pids(server)), time.process_time()
    result = send(f"{door}/webhooks/intercom", bodies, connections, go_on=for_seconds(seconds))
    load_cpu = time.process_time() - load_cpu
    return _taken(result, machine.cpu_seconds(system.pids(server)) - server_cpu, load_cpu)


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Whether so long a time has not yet gone by."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def _taken(result: Result, server_cpu: float, load_cpu: float) -> Taken:
    sent, answered = len(result.latencies), result.statuses.get(200, 0)
    return Taken(
        answered=answered,
        others=sent - answered,
        rate=answered / result.seconds,
        p50=result.percentile(0.5) * 1000,
        p99=result.percentile(0.99) * 1000,
        server_cpu=server_cpu / sent * 1000,
        load_cpu=load_cpu / sent * 1000,
    )


def _faults(kind: str, taken: Taken, kept: int) -> list[str]:
    faults = []
    if taken.others:
        faults.append(f"door on {kind}: {taken.others} of {taken.answered + taken.others} answers were not 200")
    if kept != taken.answered:
        faults.append(f"door on {kind}: {taken.answered} webhooks were answered with 200, {kept} were kept")
    return faults


def _rows(kind: str, ours: list[Taken], theirs: list[Taken]) -> list[Row]:
    def row(
        what: str, of: Callable[[Taken], float], target: Target | None = None, times: Target | None = None
    ) -> Row:
        reference = Reference("no storage", tuple(map(of, theirs)))
        return Row("door", kind, what, tuple(map(of, ours)), reference, target, times)

    # SQLite has one web process, and its promise is the percentile alone.
    share = SHARE_OF_REFERENCE if kind == "postgresql" else None

    rows = [
        row("webhooks a second", lambda taken: taken.rate, RATE, share),
        row("p50 ms", lambda taken: taken.p50),
        row("p99 ms", lambda taken: taken.p99, P99_MILLISECONDS),
    ]
    if machine.TELLS:
        rows.append(row("CPU ms of the web, a webhook", lambda taken: taken.server_cpu))
    return [*rows, row("CPU ms of the load, a webhook", lambda taken: taken.load_cpu)]
