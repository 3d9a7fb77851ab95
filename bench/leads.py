"""Leads applied a second by one worker: searched for and created in the sandbox, at 80 ms a call and without a limit.

The webhooks are taken in while no worker runs; then one starts, and the clock runs from the first settled event to
the last. References: the same two calls a lead by a plain loop of as many threads that keeps nothing
(``bench/reference.py``), and what so many threads can do at best when a call takes 80 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from bench import machine
from bench.figures import Reference, Row, Target
from bench.load import Request, send
from bench.plan import Found, Place, Plan
from bench.store import Store
from bench.system import ROOT, System
from config.settings import Settings
from local.seed import INTERCOM_APP

RATE = Target(180)
LATENCY_MILLISECONDS = 80
CALLS_A_LEAD = 2
NO_LIMIT = 10_000_000
SENDERS = 16


@dataclass(frozen=True, slots=True)
class Applied:
    """One run. CPU in milliseconds a lead, memory in megabytes."""

    rate: float
    worker_cpu: float = 0.0
    sandbox_cpu: float = 0.0
    peak: float = 0.0
    tree: float = 0.0


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(NO_LIMIT)) as system:
        system.start_all(workers=0)
        slow_down(system)
        with closing(Store(place.url)) as store:
            return _measure(plan, place, system, store)


def slow_down(system: System) -> None:
    """Of the sandbox: each call takes a while, and none is refused for its number."""
    settings = {"latency_ms": LATENCY_MILLISECONDS, "intercom_calls_per_10s": NO_LIMIT, "echo_own_writes": False}
    system.control("PUT", "/settings", settings)


def _measure(plan: Plan, place: Place, system: System, store: Store) -> Found:
    threads = Settings.from_env(system.environ).worker_concurrency
    url, secret = system.webhook()
    found, ours, theirs = Found(), [], []
    for number in range(plan.runs):
        place.say(f"leads on {place.kind}, run {number + 1} of {plan.runs}")
        after, before = store.last_event(), contacts(system)
        result = send(url, joined(f"run{number}-", plan.leads, secret), SENDERS, go_on=lambda: True)
        assert result.statuses == {200: plan.leads}, result.statuses
        ours.append(drain(system, store, after, plan.leads))
        made = contacts(system) - before
        found.faults += faults(place.kind, plan.leads, made, store.created(after), shared(system))
        theirs.append(_loop(system, threads, plan.reference_leads, f"loop{number}-"))
    found.rows = _rows(place.kind, threads, ours, theirs)
    return found


def joined(prefix: str, number: int, secret: str) -> Iterator[Request]:
    """Signups with all that the mapping asks for, so that none needs a call to Referral Factory."""
    for index in range(number):
        signup = {
            "id": f"{prefix}{index}",
            "code": f"code-{prefix}{index}",
            "email": f"{prefix}{index}@example.com",
            "first_name": f"Lead {index}",
            "type": "person_invited",
            "referrer_id": 1,
            "referrer_email": "rita@example.com",
            "referrer_first_name": "Rita",
            "Company": "Acme",
        }
        yield Request(json.dumps(signup).encode(), f"X-Referloop-Secret: {secret}")


def drain(system: System, store: Store, after: int, leads: int) -> Applied:
    """From the worker's start to the last lead. CPU is counted from the first one on: starting is not applying."""
    worker = system.start("worker").pid
    begun = system.await_(lambda: store.settled(after).number, 60)
    worker_cpu, sandbox_cpu = _cpu(worker), _cpu(*system.pids("sandbox"))
    system.await_(lambda: store.settled(after).number == leads, 60 + leads / 10, every=0.2)
    worker_cpu, sandbox_cpu = _cpu(worker) - worker_cpu, _cpu(*system.pids("sandbox")) - sandbox_cpu
    processes = machine.tree([worker])
    applied = Applied(
        rate=store.settled(after).rate,
        worker_cpu=worker_cpu / (leads - begun) * 1000,
        sandbox_cpu=sandbox_cpu / (leads - begun) * 1000,
        peak=max(map(machine.peak_megabytes, processes)),
        tree=machine.shared_megabytes(processes),
    )
    system.stop("worker")
    return applied


def _cpu(*pids: int) -> float:
    return machine.cpu_seconds(pids)


def _loop(system: System, threads: int, leads: int, prefix: str) -> Applied:
    """The plain loop, in a process of its own as the worker is."""
    arguments = [f"{system.sandbox}/intercom", str(threads), str(leads), prefix]
    sandbox_cpu = _cpu(*system.pids("sandbox"))
    ended = subprocess.run(
        [sys.executable, "-m", "bench.reference", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sandbox_cpu = _cpu(*system.pids("sandbox")) - sandbox_cpu
    told = json.loads(ended.stdout)
    return Applied(leads / told["seconds"], told["cpu_seconds"] / leads * 1000, sandbox_cpu / leads * 1000)


def contacts(system: System) -> int:
    number: int = system.control("GET", "/counts")["contacts"][INTERCOM_APP]
    return number


def shared(system: System) -> int:
    return len(system.control("GET", "/counts")["shared_emails"][INTERCOM_APP])


def faults(kind: str, leads: int, made: int, told: int, shared: int) -> list[str]:
    found = []
    if made != leads:
        found.append(f"leads on {kind}: {leads} leads became {made} contacts")
    if told != leads:
        found.append(f"leads on {kind}: the activity tells of {told} creations for {leads} leads")
    if shared:
        found.append(f"leads on {kind}: {shared} addresses are shared by several contacts")
    return found


def _rows(kind: str, threads: int, ours: list[Applied], theirs: list[Applied]) -> list[Row]:
    def row(what: str, of: Callable[[Applied], float], target: Target | None = None) -> Row:
        reference = Reference("plain loop", tuple(map(of, theirs)))
        return Row("leads", kind, what, tuple(map(of, ours)), reference, target)

    ceiling = threads * 1000 / (CALLS_A_LEAD * LATENCY_MILLISECONDS)
    rates = tuple(applied.rate for applied in ours)
    rows = [
        row("leads a second", lambda applied: applied.rate, RATE),
        Row("leads", kind, "leads a second", rates, Reference(f"{threads} threads' best", (ceiling,) * len(ours))),
    ]
    if not machine.TELLS:
        return rows
    return [
        *rows,
        row("CPU ms of the worker, a lead", lambda applied: applied.worker_cpu),
        row("CPU ms of the sandbox, a lead", lambda applied: applied.sandbox_cpu),
        Row("leads", kind, "peak MB of the draining process", tuple(applied.peak for applied in ours)),
        Row("leads", kind, "MB of the whole worker", tuple(applied.tree for applied in ours)),
    ]
