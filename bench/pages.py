"""``python -m bench.pages``: how long each page of the console takes over a long history. Exit status 1 where one is
slow or fails.

The history is 1,000,000 rows of activity and 200,000 people, on each database (``bench/history.py``). Every address
of the console that can be read is asked for by an owner who is signed in, in one process, without a network between.
What stands in the addresses is in ``GIVEN``.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.routing import Rule

from app.factory import make_app
from app.storage import accounts
from app.storage.database import Database
from app.storage.tables import campaigns, programs, workspaces
from app.usecases.count_hours import count_hours
from app.usecases.sign_in import begin_session
from app.wiring import Wired
from bench import history, machine
from bench.figures import Report, Row, Target
from bench.history import Size
from bench.servers import has_postgres, postgres
from config.settings import Settings

VARIABLE = "BENCH_DATABASE_URL"
LIMIT_MILLISECONDS = 300
TIMES, WARM = 40, 3

GIVEN: Mapping[str, str] = {
    "cause": "duplicate_skipped",
    "audience": "leads",
    "form": "name",
    "token": "none",
    "step": "contacts",
}
"""What stands in the addresses, by its name. Everything else is 1, the first there is."""

QUERIES: Mapping[str, Sequence[str]] = {
    "/people": ("", "?email=person7@example.com", "?campaign_id=1"),
    "/events": ("", "?status=dead", "?source=intercom&topic=contact.user.updated"),
    "/activity": ("", "?cause=duplicate_skipped", "?campaign_id=1"),
    "/overview/<name>.svg": ("",),
    "/troubleshooter": ("", "?campaign_id=1&email=person7@example.com"),
}
"""Pages that are asked for in several ways."""

NOT_PAGES = ("/sign-in", "/invitations")
"""What somebody who is signed in is sent on from."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One address: its 95th percentile in milliseconds, and what it answered."""

    address: str
    milliseconds: float
    statuses: frozenset[int]


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    report = Report(machine.description())
    for kind in asked.database or ("postgresql", "sqlite"):
        if kind == "postgresql" and not has_postgres(VARIABLE):
            _say(f"There is no PostgreSQL here: set {VARIABLE}, or install it. It is left out.")
            continue
        with tempfile.TemporaryDirectory(prefix="referloop-bench-") as folder, _database(kind, Path(folder)) as url:
            found = measure(url, _size(asked.share), asked.times, asked.only, _say)
        report.rows += [
            Row("pages", kind, f"{one.address} ms", (one.milliseconds,), target=Target(LIMIT_MILLISECONDS, False))
            for one in found
        ]
        report.faults += [f"{kind} {one.address}: {sorted(one.statuses)}" for one in found if not _is_fine(one)]
    print(report.as_text())
    return 0 if report.is_good and report.rows else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--database", action="append", choices=("postgresql", "sqlite"), help="only on this")
    parser.add_argument("--only", default="", metavar="TEXT", help="only addresses that begin with this")
    parser.add_argument("--times", type=int, default=TIMES, help=f"how often each is asked for ({TIMES})")
    parser.add_argument("--share", type=float, default=1.0, help="a part of the history, for trying it out")
    return parser.parse_args(arguments)


def _size(share: float) -> Size:
    whole = Size()
    names = ("people", "activity", "events", "outcomes")
    return replace(whole, **{name: max(100, int(getattr(whole, name) * share)) for name in names})


def _is_fine(one: Measured) -> bool:
    """Some address of the sort may have nothing at its end, which is found out by asking, too."""
    return one.statuses <= {200, 302, 404, 422}


def measure(url: str, size: Size, times: int, only: str, say: Callable[[str], None]) -> list[Measured]:
    """Fill an empty database, and ask for each page ``times`` times."""
    settings = _settings(url)
    with closing(Wired(settings, threads=2)) as wired:
        began = time.perf_counter()
        history.fill(wired.database, size)
        say(f"filled in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        while count_hours(wired.services):
            pass
        say(f"counted in {time.perf_counter() - began:.0f} s")
        _seal(wired)
        if not wired.database.on_sqlite:
            _vacuum(wired.database)
        app = make_app(settings, wired)
        client = _signed_in(app, wired)
        return [_measured(client, address, times) for address in addresses(app) if address.startswith(only)]


def addresses(app: Flask) -> list[str]:
    """Every address of the console that is read, with what it asks for filled in."""
    rules = sorted((rule for rule in app.url_map.iter_rules() if _is_page(rule)), key=lambda rule: rule.rule)
    return [_filled(rule) + query for rule in rules for query in QUERIES.get(rule.rule, ("",))]


def _is_page(rule: Rule) -> bool:
    named = rule.endpoint.startswith("console.")
    return named and "GET" in (rule.methods or ()) and not rule.rule.startswith(NOT_PAGES)


def _filled(rule: Rule) -> str:
    values = {name: "done-month" if rule.rule.endswith(".svg") else GIVEN.get(name, "1") for name in rule.arguments}
    address = rule.rule
    for name, value in values.items():
        before, _, rest = address.partition(f"{name}>")
        address = before[: before.rindex("<")] + value + rest
    return address


def _measured(client: FlaskClient, address: str, times: int) -> Measured:
    statuses, taken = set(), []
    for _ in range(WARM + times):
        began = time.perf_counter()
        with client.get(address) as answer:
            # Of a file of any length, it counts when it begins to come.
            next(answer.iter_encoded(), None) if answer.is_streamed else answer.get_data()
        taken.append((time.perf_counter() - began) * 1000)
        statuses.add(answer.status_code)
    return Measured(address, sorted(taken[WARM:])[math.ceil(times * 0.95) - 1], frozenset(statuses))


def _settings(url: str) -> Settings:
    """Neither Redis nor a vendor is there: a page that would ask them says so at once."""
    return Settings.from_env(
        {
            "DATABASE_URL": url.replace("+psycopg", ""),
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEY": "of-an-installation-for-measuring",
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "INTERCOM_API_URL": "http://127.0.0.1:1",
            "REFERRAL_FACTORY_API_URL": "http://127.0.0.1:1",
        }
    )


def _seal(wired: Wired) -> None:
    """Tokens and secrets, under this run's key."""
    seal = wired.services.vault.seal
    with wired.database.writing() as connection:
        connection.execute(update(workspaces).values(token=seal("token"), client_secret=seal("secret")))
        connection.execute(update(programs).values(token=seal("token")))
        connection.execute(update(campaigns).values(webhook_secret=seal("secret")))


def _vacuum(database: Database) -> None:
    """As PostgreSQL does by itself within minutes."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _signed_in(app: Flask, wired: Wired) -> FlaskClient:
    now = datetime.now(UTC)
    with wired.database.writing() as connection:
        person = {"email": "olga@example.com", "password_hash": "-", "owner": True, "may_manage": True}
        token = begin_session(connection, accounts.add(connection, created_at=now, **person), "a browser", now)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = token
    return client


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'referloop.db'}"
        return
    with postgres("bench", VARIABLE) as url:
        yield url


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
