"""The product beside the service that one would write in an afternoon (``bench/naive``), in the same run: the door,
leads applied at 80 ms a call, CPU from the webhook to the settled event, and memory.

Of both, the webhooks are taken in while no worker runs; then one starts, and the clock and the CPU run from the first
lead to the last, so that neither start counts. Fewer leads are given to the naive one, which takes its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import redis
import requests

from bench import door, leads, machine
from bench.figures import Reference, Row, Target
from bench.load import Request, send
from bench.plan import Found, Place, Plan
from bench.servers import free_port
from bench.store import Store
from bench.system import BIN, System
from local.seed import INTERCOM_SECRET, INTERCOM_TOKEN

NAIVE = "naive service"
RATE = Target(180)
TIMES_FASTER = Target(20)
SHARE_OF_CPU = Target(1 / 15, at_least=False)
PEAK = Target(100, at_least=False)
TREE = Target(250, at_least=False)
SECRET = "of-the-naive-service"  # noqa: S105 - it lives for minutes


@dataclass(frozen=True, slots=True)
class Side:
    """One run of one of the two. CPU in milliseconds a webhook or a signup, memory in megabytes."""

    taken: door.Taken
    rate: float
    web: float
    worker: float
    sandbox: float
    redis: float
    load: float
    tree: float
    peak: float = 0.0

    @property
    def cpu(self) -> float:
        """Of all its own processes, from the webhook to the settled event."""
        return self.web + self.worker


def measure(plan: Plan, place: Place) -> Found:
    with System(place.folder, place.url, INTERCOM_CALLS_PER_10S=str(leads.NO_LIMIT)) as system:
        system.start_all(workers=0)
        leads.slow_down(system)
        naive = _start(system)
        with closing(Store(place.url)) as store:
            return _measure(plan, place, system, naive, store)


def _measure(plan: Plan, place: Place, system: System, naive: str, store: Store) -> Found:
    found, ours, theirs = Found(), [], []
    bodies = door.notifications()
    for address in (system.web, naive):
        door.run(system, "web", address, bodies, plan.connections, plan.warm_seconds)
    for number in range(plan.runs):
        place.say(f"beside the naive service on {place.kind}, run {number + 1} of {plan.runs}")
        theirs.append(_naive(plan, system, naive, bodies, f"naive{number}-"))
        side, faults = _product(plan, place, system, store, bodies, f"ours{number}-")
        ours.append(side)
        found.faults += faults
    found.rows = _rows(place.kind, ours, theirs)
    return found


def _product(
    plan: Plan, place: Place, system: System, store: Store, bodies: Iterator[Request], prefix: str
) -> tuple[Side, list[str]]:
    url, secret = system.webhook()
    taken = door.run(system, "web", system.web, bodies, plan.connections, plan.door_reference_seconds)
    # They are settled as strangers' before the clock of the leads runs.
    system.start("worker")
    system.await_(lambda: store.open() == 0, 180, every=0.2)
    system.stop("worker")
    after, contacts = store.last_event(), leads.contacts(system)
    web, redis_cpu, load = _cpu(system, "web"), _cpu(system, "redis"), time.process_time()
    result = send(url, leads.joined(prefix, plan.leads, secret), leads.SENDERS, go_on=lambda: True)
    assert result.statuses == {200: plan.leads}, result.statuses
    web, load = _cpu(system, "web") - web, time.process_time() - load
    applied = leads.drain(system, store, after, plan.leads)
    redis_cpu = _cpu(system, "redis") - redis_cpu
    made = leads.contacts(system) - contacts
    faults = leads.faults(place.kind, plan.leads, made, store.created(after), leads.shared(system))
    side = Side(
        taken=taken,
        rate=applied.rate,
        web=web / plan.leads * 1000,
        worker=applied.worker_cpu,
        sandbox=applied.sandbox_cpu,
        redis=redis_cpu / plan.leads * 1000,
        load=load / plan.leads * 1000,
        tree=applied.tree,
        peak=applied.peak,
    )
    return side, faults


def _start(system: System) -> str:
    """The naive service's address. As many processes take its webhooks in as the product's; all else by default."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(BIN / "gunicorn"), "bench.naive.web:app", "--workers", "2", "--bind", address]
    system.run("naive web", command, _environ(system))
    system.await_(lambda: requests.get(f"http://{address}/healthz", timeout=2).ok, 30)
    return f"http://{address}"


def _environ(system: System) -> dict[str, str]:
    """A database of Redis for itself."""
    return {
        "REDIS_URL": _redis_url(system),
        "WEBHOOK_SECRET": SECRET,
        "INTERCOM_SECRET": INTERCOM_SECRET,
        "INTERCOM_TOKEN": INTERCOM_TOKEN,
    }


def _redis_url(system: System) -> str:
    return f"redis://127.0.0.1:{system.redis_port}/1"


def _naive(plan: Plan, system: System, address: str, bodies: Iterator[Request], prefix: str) -> Side:
    taken = door.run(system, "naive web", address, bodies, plan.connections, plan.door_reference_seconds)
    with closing(redis.Redis.from_url(_redis_url(system))) as store:
        store.flushdb()
    number = plan.naive_leads
    web, redis_cpu, load = _cpu(system, "naive web"), _cpu(system, "redis"), time.process_time()
    signups = leads.joined(prefix, number, SECRET)
    result = send(f"{address}/webhooks/referral-factory", signups, leads.SENDERS, go_on=lambda: True)
    assert result.statuses == {200: number}, result.statuses
    web, load = _cpu(system, "naive web") - web, time.process_time() - load
    worker = _naive_drain(system, number)
    redis_cpu = _cpu(system, "redis") - redis_cpu
    return Side(
        taken=taken,
        rate=worker.rate,
        web=web / number * 1000,
        worker=worker.worker_cpu,
        sandbox=worker.sandbox_cpu,
        redis=redis_cpu / number * 1000,
        load=load / number * 1000,
        tree=worker.tree,
    )


def _naive_drain(system: System, number: int) -> leads.Applied:
    """From the first contact to the last. Contacts are all that it leaves behind."""
    before = leads.contacts(system)
    command = [str(BIN / "rq"), "worker", "--url", _redis_url(system), "--quiet"]
    worker = system.run("naive worker", command, _environ(system)).pid

    def made() -> int:
        return leads.contacts(system) - before

    begun, started = system.await_(made, 60, every=0.01), time.monotonic()
    worker_cpu, sandbox_cpu = machine.cpu_seconds([worker]), _cpu(system, "sandbox")
    tree = 0.0

    def done() -> bool:
        nonlocal tree
        tree = max(tree, machine.shared_megabytes(machine.tree([worker])))
        return made() == number

    system.await_(done, 60 + 3 * number)
    seconds = time.monotonic() - started
    worker_cpu, sandbox_cpu = machine.cpu_seconds([worker]) - worker_cpu, _cpu(system, "sandbox") - sandbox_cpu
    system.stop("naive worker")
    rest = number - begun
    return leads.Applied(rest / seconds, worker_cpu / rest * 1000, sandbox_cpu / rest * 1000, tree=tree)


def _cpu(system: System, name: str) -> float:
    return machine.cpu_seconds(system.pids(name))


def _rows(kind: str, ours: list[Side], theirs: list[Side]) -> list[Row]:
    def row(what: str, of: Callable[[Side], float], target: Target | None = None, times: Target | None = None) -> Row:
        return Row("naive", kind, what, tuple(map(of, ours)), Reference(NAIVE, tuple(map(of, theirs))), target, times)

    rows = [
        row("webhooks a second", lambda side: side.taken.rate, times=Target(1)),
        row("p99 ms", lambda side: side.taken.p99),
        row("leads a second", lambda side: side.rate, RATE, TIMES_FASTER),
    ]
    if not machine.TELLS:
        return rows
    return [
        *rows,
        row("CPU ms, a signup from webhook to settled", lambda side: side.cpu, times=SHARE_OF_CPU),
        row("… of the web", lambda side: side.web),
        row("… of the worker", lambda side: side.worker),
        row("besides: CPU ms of Redis, a signup", lambda side: side.redis),
        row("besides: CPU ms of the sandbox, a signup", lambda side: side.sandbox),
        row("besides: CPU ms of the load, a signup", lambda side: side.load),
        Row("naive", kind, "peak MB of the draining process", tuple(side.peak for side in ours), target=PEAK),
        row("MB of the whole worker", lambda side: side.tree, TREE),
    ]
