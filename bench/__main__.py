"""``python -m bench``: how much the service takes and how fast, as one table. Exit status 1 where it falls short."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from bench import afternoon, conversions, door, full, leads, machine, rush, strangers, syncs
from bench.figures import Report
from bench.plan import QUICK, Found, Place, Plan
from bench.servers import has_postgres, postgres

VARIABLE = "BENCH_DATABASE_URL"
DATABASES = ("postgresql", "sqlite")
MEASURES: dict[str, Callable[[Plan, Place], Found]] = {
    "door": door.measure,
    "leads": leads.measure,
    "naive": afternoon.measure,
    "full": full.measure,
    "strangers": strangers.measure,
    "conversions": conversions.measure,
    "crew": rush.measure_crew,
    "limit": rush.measure_limit,
    "sale": partial(rush.measure_sale, rush.ORDINARY),
    "rush": partial(rush.measure_sale, rush.LIFTED),
    "syncs": syncs.measure,
    "growth": syncs.measure_growth,
}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments(arguments)
    plan = replace(QUICK if asked.quick else Plan(), **({"runs": asked.runs} if asked.runs else {}))
    report = Report(machine.description())
    for kind in _kinds(asked.database):
        for name in [asked.only] if asked.only else MEASURES:
            found = _measured(name, kind, plan)
            report.rows += found.rows
            report.faults += found.faults
    print(report.as_text())
    if asked.json:
        asked.json.write_text(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
    return 0 if report.is_good else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--only", choices=MEASURES, help="measure only this")
    parser.add_argument("--database", choices=DATABASES, help="measure only on this")
    parser.add_argument("--runs", type=_positive, metavar="N", help="how often each is measured (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short runs, within a minute; the figures are coarser")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _kinds(asked: str | None) -> list[str]:
    kinds = [asked] if asked else list(DATABASES)
    if "postgresql" in kinds and not has_postgres(VARIABLE):
        _say(f"There is no PostgreSQL here: set {VARIABLE}, or install it. It is left out.")
        kinds.remove("postgresql")
    if not kinds:
        sys.exit(2)
    return kinds


def _measured(name: str, kind: str, plan: Plan) -> Found:
    with tempfile.TemporaryDirectory(prefix="referloop-bench-") as folder, _database(kind, Path(folder)) as url:
        return MEASURES[name](plan, Place(kind, url, Path(folder), _say))


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'referloop.db'}"
        return
    with postgres("bench", VARIABLE) as url:
        yield url.replace("+psycopg", "")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stop(_signal: int, _frame: object) -> NoReturn:
    """Asked to end: by way of an exception, so that all that was started is stopped."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
