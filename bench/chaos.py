"""The whole system under load while it is broken: killed, cut off, without disk, vendors, or what Redis held.

    python -m bench.chaos [--seed N] [--minutes M] [--short] [--json FILE]

Several web and worker processes on a PostgreSQL of their own take signups, each one to three times and out of order;
meanwhile contacts convert, and of the notifications some are lost, doubled, late or overtaken. One fault follows the
other in the order that the seed gives. Recovered is the system as soon as it takes a signup again and whatever was
taken before the fault was mended is settled. In the end everybody is counted at the vendors.

The clock is not put forward: that needs a library below every process, and what the product asks the clock for is
tested with one that tests move.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import requests
from sqlalchemy.exc import DBAPIError

from bench import machine
from bench.figures import Report, Row, Target
from bench.hosts import FarHost, may_make_hosts
from bench.servers import Cluster, may_start_postgres
from bench.signups import Senders, arrived, campaigns, copies, crowd
from bench.store import Store
from bench.system import System
from local.seed import INTERCOM_APP, REFERRAL_FACTORY_TOKEN

RECOVERED_SECONDS = Target(90, at_least=False)
NONE = Target(1, at_least=False)
INDEX_DELAY = 2
SLOW_SECONDS = 25
BUSY_SECONDS = 15
"""What a busy machine adds to a slow call."""

SLOW = f"vendors slow ({SLOW_SECONDS} s)"
CONTACTS = f"/intercom/{INTERCOM_APP}/contacts"
FATES = {"lose": 0.1, "double": 0.25, "triple": 0.1, "late": 0.2, "overtaken": 0.1}
DISK_MEGABYTES = 400
UMOUNT = "umount"
PATIENCE_SECONDS = 240
RECONCILED_SECONDS = 600

CLUSTER_SETTINGS = ("max_wal_size=64MB", "shared_buffers=64MB")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent, and how long each fault lasts."""

    seed: int = 1
    minutes: float = 10.0
    signups_a_second: float = 36.0
    friends: int = 2000
    webs: int = 2
    workers: int = 2
    outage: tuple[float, float] = (4.0, 10.0)
    lease_seconds: int | None = None
    faults: tuple[str, ...] | None = None

    @property
    def seconds(self) -> float:
        return self.minutes * 60


SHORT = Plan(
    minutes=0.35,
    signups_a_second=12.0,
    friends=20,
    workers=2,
    outage=(0.5, 1.5),
    lease_seconds=4,
    faults=("worker killed", "web killed", "Redis killed", "database killed", "storm of Intercom's 429"),
)


@dataclass(slots=True)
class Stage:
    """What a fault can lay hands on."""

    system: System
    cluster: Cluster
    dice: random.Random
    plan: Plan
    disk: Path | None = None
    far: FarHost | None = None

    def for_a_while(self) -> None:
        time.sleep(self.dice.uniform(*self.plan.outage))


# Faults. Each returns when it is mended: what a platform or an operator does by then is part of it.

Fault = Callable[[Stage], None]


def _kill(name: str) -> Fault:
    return lambda stage: stage.system.kill_one(name, stage.dice)


def _kill_redis(stage: Stage) -> None:
    """With all that it held: it keeps nothing on disk."""
    stage.system.stop("redis", signal.SIGKILL)
    stage.for_a_while()
    stage.system.start_redis()


def _forget(stage: Stage) -> None:
    with redis.Redis(port=stage.system.redis_port) as store:
        store.flushall()


def _stop_database(how: int) -> Fault:
    def strike(stage: Stage) -> None:
        stage.cluster.stop(how)
        stage.for_a_while()
        stage.cluster.start(*CLUSTER_SETTINGS)

    return strike


def _cut(stage: Stage) -> None:
    assert stage.far is not None
    stage.far.cut()
    stage.for_a_while()
    stage.far.mend()


def _fill(stage: Stage) -> None:
    """Whether PostgreSQL refuses or gives up, it runs again once there is room."""
    assert stage.disk is not None
    ballast = stage.disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024 * 1024))
    stage.for_a_while()
    ballast.unlink()
    if not stage.cluster.runs():
        stage.cluster.start(*CLUSTER_SETTINGS)


def _vendor(**rule: Any) -> Fault:
    def strike(stage: Stage) -> None:
        stage.system.control("POST", "/faults", rule)
        stage.for_a_while()
        stage.system.control("DELETE", "/faults")

    return strike


FAULTS: Mapping[str, Fault] = {
    "web killed": _kill("web"),
    "worker killed": _kill("worker"),
    "Redis killed": _kill_redis,
    "Redis forgot everything": _forget,
    "database killed": _stop_database(signal.SIGKILL),
    "database restarted": _stop_database(signal.SIGINT),
    "network cut between hosts": _cut,
    "disk full": _fill,
    "vendors away": _vendor(kind="unavailable"),
    "Intercom away in the middle of writes": _vendor(
        kind="error_after", status=500, vendor="intercom", method="POST", path="/contacts", probability=0.5
    ),
    "storm of Intercom's 429": _vendor(kind="429", vendor="intercom"),
    "storm of Referral Factory's 429": _vendor(kind="429", vendor="referral_factory"),
    SLOW: _vendor(kind="slow", ms=SLOW_SECONDS * 1000, probability=0.3),
}


def faults_here(plan: Plan, stage: Stage, say: Callable[[str], None]) -> list[str]:
    """Those asked for that this machine allows; of the others a word is said."""
    lacking = {}
    if stage.far is None:
        lacking["network cut between hosts"] = "network namespaces can't be made here"
    if stage.disk is None:
        lacking["disk full"] = "no small file system can be mounted here"
    asked = plan.faults or tuple(FAULTS)
    for name in asked:
        if name in lacking:
            say(f"Left out: {name}, for {lacking[name]}.")
    return [name for name in asked if name not in lacking]


# What is done


@dataclass(slots=True)
class Tally:
    """What became of everybody. ``recoveries`` in seconds, by fault."""

    acknowledged: int = 0
    applied: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    converted: int = 0
    unqualified: list[str] = field(default_factory=list)
    qualified_twice: list[str] = field(default_factory=list)
    dead: int = 0
    recoveries: dict[str, list[float]] = field(default_factory=dict)


def run(plan: Plan, say: Callable[[str], None]) -> Tally:
    with _stage(plan) as stage, closing(Store(stage.system.environ["DATABASE_URL"])) as store:
        return _run(stage, store, say)


def _run(stage: Stage, store: Store, say: Callable[[str], None]) -> Tally:
    system, plan, dice = stage.system, stage.plan, stage.dice
    names = faults_here(plan, stage, say)
    friends = befriend(system, plan.friends)
    number = int(plan.signups_a_second * plan.seconds * 2)
    people = crowd("chaos", campaigns(system), dice, signups=number, people=max(1, number * 4 // 5))
    senders = Senders(copies(people.signups, dice), at_once=8, a_second=plan.signups_a_second, tries=1000)
    tally, converted = Tally(), []
    senders.start()
    try:
        until, turns = time.monotonic() + plan.seconds, _in_turn(names, dice)
        for position, name in enumerate(turns):
            if time.monotonic() > until and position >= len(names):
                break
            converted += _convert(system, friends, dice, max(1, plan.friends // max(12, len(names))))
            time.sleep(dice.uniform(0.1, 0.5))
            tally.recoveries.setdefault(name, []).append(_strike(stage, store, senders, name))
            say(f"{name}: recovered in {tally.recoveries[name][-1]:.1f} s")
    finally:
        senders.stop()
        system.control("DELETE", "/faults")
        senders.join()
    system.await_(lambda: _asked(store, store.open) == 0, PATIENCE_SECONDS, every=0.3)
    _count(system, tally, senders.acknowledged, converted)
    return tally


def _in_turn(names: Sequence[str], dice: random.Random) -> Iterator[str]:
    """Each once in any order, again and again."""
    while True:
        yield from dice.sample(names, len(names))


def _strike(stage: Stage, store: Store, senders: Senders, name: str) -> float:
    """Seconds to recover."""
    FAULTS[name](stage)
    mended, taken = time.monotonic(), senders.answers[200]
    last = _asked(store, store.last_event)

    def recovered() -> bool:
        return senders.answers[200] > taken and _asked(store, lambda: store.open(up_to=last)) == 0

    with contextlib.suppress(AssertionError):  # what is not there in time is lost in the end, or late
        stage.system.await_(recovered, PATIENCE_SECONDS, every=0.1)
    return time.monotonic() - mended


def _asked(store: Store, ask: Callable[[], int]) -> int:
    """Its connections may have ended with the database they led to, which may still be getting up."""
    until = time.monotonic() + 60
    while True:
        try:
            return ask()
        except DBAPIError:
            if time.monotonic() > until:
                raise
            store.close()
            time.sleep(0.2)


def befriend(system: System, number: int) -> dict[str, str]:
    """So many friends of Rita's sign up at Referral Factory, and are watched; Intercom's ids by their emails."""
    token = {"Authorization": f"Bearer {REFERRAL_FACTORY_TOKEN}", "Accept": "application/json"}
    rita = requests.get(f"{system.sandbox}/referral-factory/users/1", headers=token, timeout=10).json()["data"]
    for place in range(number):
        friend = {"code": rita["code"], "first_name": f"Friend {place}", "email": f"friend{place}@example.com"}
        system.control("POST", "/referral-factory/sign-up", friend)

    def there() -> dict[str, str]:
        found = system.control("GET", CONTACTS)["contacts"]
        return {one["email"]: one["id"] for one in found if (one["email"] or "").startswith("friend")}

    system.await_(lambda: len(there()) == number and system.waiting() == 0, 60 + number / 5, every=0.3)
    return there()


def _convert(system: System, friends: dict[str, str], dice: random.Random, number: int) -> list[str]:
    """Some more of them turn to the value that qualifies; their emails."""
    emails = dice.sample(sorted(friends), min(number, len(friends)))
    changes = [{"id": friends.pop(email), "custom_attributes": {"plan": "pro"}} for email in emails]
    body = {"changes": changes, "chances": FATES, "seed": dice.randrange(1000)}
    assert not emails or system.control("POST", f"{CONTACTS}/changes", body)["refused"] == 0
    return emails


def _count(system: System, tally: Tally, acknowledged: set[str], converted: Sequence[str]) -> None:
    """Conversions whose notification was lost are found by the next reconcile, which may be long in coming: one that
    is going on looks at thousands of contacts first."""
    since = datetime.now(UTC)

    def qualified() -> dict[str, int]:
        people = system.control("GET", "/referral-factory/qualifications")["people"]
        return {one["email"]: one["changed"] for one in people if one["qualified_at"]}

    def is_all_found() -> bool:
        return qualified().keys() >= set(converted) or _has_reconciled(system, since)

    with contextlib.suppress(AssertionError):
        system.await_(is_all_found, RECONCILED_SECONDS, every=0.5)
        system.await_(lambda: system.waiting() == 0, 60, every=0.3)
    there, changed = arrived(system, "chaos"), qualified()
    settle(tally, acknowledged, there, converted, changed)
    tally.dead = len(system.items("/events", status="dead"))


def _has_reconciled(system: System, since: datetime) -> bool:
    """Whether one has begun after that time, and has ended."""
    ended = [one for one in system.items("/reconciles") if one["kind"] == "intercom" and one["finished_at"]]
    return any(datetime.fromisoformat(one["started_at"]) > since for one in ended)


def settle(
    tally: Tally,
    acknowledged: set[str],
    there: Counter[str],
    converted: Sequence[str],
    changed: Mapping[str, int],
) -> None:
    """``there`` are contacts by email, ``changed`` how often each was made qualified."""
    tally.acknowledged, tally.applied = len(acknowledged), len(there.keys() & acknowledged)
    tally.lost = sorted(acknowledged - there.keys())
    tally.doubled = sorted(email for email, number in there.items() if number > 1)
    tally.converted = len(converted)
    tally.unqualified = sorted(set(converted) - changed.keys())
    tally.qualified_twice = sorted(email for email, times in changed.items() if times > 1)


# Where it is done


@contextmanager
def _stage(plan: Plan) -> Iterator[Stage]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="referloop-chaos-")))
        disk = stack.enter_context(_small_disk(folder / "disk"))
        folder.chmod(0o711)  # the database's owner may be another user
        place = (disk or folder) / "postgres"
        place.mkdir()
        cluster = Cluster(place)
        stack.callback(cluster.stop)
        cluster.start(*CLUSTER_SETTINGS)
        system = stack.enter_context(System(folder, cluster.url, **_environ(plan)))
        system.lease_seconds = plan.lease_seconds
        system.start_all(web=plan.webs, workers=plan.workers, index_delay=INDEX_DELAY)
        no_limits = {"intercom_calls_per_10s": 1_000_000, "referral_factory_calls_per_minute": 1_000_000}
        system.control("PUT", "/settings", {**no_limits, "latency_ms": 20, "intercom_webhook_delay_seconds": 2})
        system.control("POST", "/faults/seed", {"seed": plan.seed})
        far = stack.enter_context(_far_host(system, cluster)) if _wants(plan, "network cut between hosts") else None
        yield Stage(system, cluster, random.Random(plan.seed), plan, disk, far)


def _environ(plan: Plan) -> dict[str, str]:
    # As docs/operations.md has it: the delay covers the search's and the longest call that is under way unheard.
    longest_call = SLOW_SECONDS + BUSY_SECONDS if _wants(plan, SLOW) else 0
    return {
        "WEB_CONCURRENCY": "1",
        "INTERCOM_INDEX_DELAY_SECONDS": str(INDEX_DELAY + 1 + longest_call),
        "RECONCILE_INTERVAL_SECONDS": "5",
        "RETRY_SCHEDULE_SECONDS": "1,2,4,8,16,32",
        "REFERRAL_FACTORY_CALLS_PER_MINUTE": "100000",
    }


def _wants(plan: Plan, fault: str) -> bool:
    return plan.faults is None or fault in plan.faults


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of its own, where one can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=711", "referloop-chaos", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run([UMOUNT, "--lazy", str(folder)], check=False)


@contextmanager
def _far_host(system: System, cluster: Cluster) -> Iterator[FarHost | None]:
    """One more worker, on another host. Not among those that are killed: it is the wire that fails it."""
    if not may_make_hosts():
        yield None
        return
    with FarHost((system.redis_port, system.sandbox_port, cluster.port)) as far:
        command = far.command([sys.executable, "-m", "workers"])
        system.run("far worker", command, far.environ(system.environ))
        try:
            yield far
        finally:
            far.mend()
            system.stop("far worker")


# What is told


def report(tally: Tally, plan: Plan) -> Report:
    def row(what: str, *values: float, target: Target | None = None) -> Row:
        return Row("chaos", "postgresql", what, values, None, target)

    made = Report({**machine.description(), "seed": plan.seed})
    made.rows = [
        row("signups acknowledged", tally.acknowledged),
        row("of these applied", tally.applied),
        row("lost", len(tally.lost), target=NONE),
        row("contacts doubled", len(tally.doubled), target=NONE),
        row("conversions", tally.converted),
        row("of these not qualified", len(tally.unqualified), target=NONE),
        row("qualified twice", len(tally.qualified_twice), target=NONE),
        row("events dead", tally.dead),
    ]
    recoveries = [seconds for one in tally.recoveries.values() for seconds in one]
    if recoveries:
        made.rows.append(row("s to recover, p50 of all faults", *sorted(recoveries), target=RECOVERED_SECONDS))
    for name, seconds in sorted(tally.recoveries.items()):
        made.rows.append(row(f"s to recover: {name}", *seconds, target=RECOVERED_SECONDS))
        slow = [one for one in seconds if not RECOVERED_SECONDS.is_met(one)]
        made.faults += [f"{name}: took {one:.0f} s to recover" for one in slow]
    for what in ("lost", "doubled", "unqualified", "qualified_twice"):
        people = getattr(tally, what)
        if people:
            made.faults.append(f"{what.replace('_', ' ')}: {', '.join(people[:10])}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments(arguments)
    if not may_start_postgres():
        _say("There is no PostgreSQL here that could be started: install it.")
        return 2
    plan = replace(SHORT if asked.short else Plan(), seed=asked.seed)
    if asked.minutes is not None:
        plan = replace(plan, minutes=asked.minutes)
    if asked.fault:
        plan = replace(plan, faults=tuple(asked.fault))
    made = report(run(plan, _say), plan)
    print(made.as_text())
    if asked.json:
        asked.json.write_text(json.dumps(made.as_dict(), indent=2, ensure_ascii=False) + "\n")
    return 0 if made.is_good else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the order, the victims and the times")
    parser.add_argument("--minutes", type=float, metavar="M", help="how long faults go on (10; short: a third)")
    parser.add_argument("--short", action="store_true", help="a few faults, each once, within a minute")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be given several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stop(_signal: int, _frame: object) -> None:
    """Asked to end: by way of an exception, so that all that was started is stopped."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
