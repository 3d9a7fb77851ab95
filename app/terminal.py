"""What the terminal's commands have in common: the installation's services, and checks as a table to read."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.core.diagnosis import Check, Verdict
from app.core.errors import InvalidRequest
from app.usecases.check_readiness import check_readiness
from app.wiring import Wired
from config.settings import Settings, SettingsError

NO_REDIS = "redis://127.0.0.1:1/0"
"""Nothing listens there. Without a Redis no vendor is asked, for nobody knows what is left of the budgets."""

WIDTH = 100

_SIGNS = {Verdict.OK: "ok", Verdict.PROBLEM: "PROBLEM", Verdict.UNKNOWN: "unknown"}


def with_services(ask: Callable[[Wired], Sequence[Check]]) -> int:
    """Print what ``ask`` finds out; the exit status: 0 where nothing is amiss, 1 with a problem, 2 where nobody could
    look. The environment is that of the web process."""

    def tell(wired: Wired) -> int:
        checks = ask(wired)
        sys.stdout.write(table(checks))
        return 1 if any(one.verdict is Verdict.PROBLEM for one in checks) else 0

    return with_installation(tell)


def with_installation(do: Callable[[Wired], int]) -> int:
    """The exit status that ``do`` gives, or 2 where there is nothing to work with."""
    try:
        settings = Settings.from_env(os.environ, needs_redis=False)
        wired = Wired(replace(settings, redis_url=settings.redis_url or NO_REDIS), threads=1)
        try:
            _refuse_old_tables(wired)
            return do(wired)
        finally:
            wired.close()
    except (SettingsError, InvalidRequest) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _refuse_old_tables(wired: Wired) -> None:
    """Raises: InvalidRequest where the database is away, or was made for other code."""
    state = check_readiness(wired.database, lambda: False)
    if state["database"] == "down":
        raise InvalidRequest("The database does not answer. Check DATABASE_URL, and that its server runs.")
    if state["migrations"] == "down":
        raise InvalidRequest("The database's tables are not those of this version. Run: alembic upgrade head")


def table(checks: Sequence[Check]) -> str:
    """Every check in a line; under what is not in order what it is, what to do, and what it was found by."""
    widest = max((len(one.question) for one in checks), default=0)
    lines = [line for one in checks for line in _lines(one, widest)]
    amiss = sum(one.verdict is Verdict.PROBLEM for one in checks)
    total = f"{len(checks)} checks, {amiss} with a problem." if amiss else f"{len(checks)} checks, no problem."
    return "\n".join([*lines, "", total, ""])


def _lines(check: Check, widest: int) -> list[str]:
    head = f"{_SIGNS[check.verdict]:<8} {check.question:<{widest}}  {check.id}"
    if check.verdict is Verdict.OK:
        return [head]
    told = [f"{head} ({check.cause})" if check.cause is not None else head]
    told += _indented(check.explanation) + _indented(f"→ {check.remedy}")
    shown = [f"{name}: {value}" for name, value in check.evidence.items() if value not in (None, "", (), [])]
    return [*told, *_indented("; ".join(shown))]


def _indented(text: str) -> list[str]:
    return textwrap.wrap(_plain(text), WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)


def _plain(text: str) -> str:
    """Without what would move a terminal's cursor: vendors' words and people's values are in it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
