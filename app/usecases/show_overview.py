"""How it goes, at a glance: what is connected, what came in, what became of it, how far people came, and what stands
in their way. It reads what was counted, adds the few rows that came since, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.core.errors import Vendor
from app.storage import campaigns, counts, overview, programs, workspaces
from app.storage.circuits import vendor_circuit
from app.storage.counts import Hours
from app.storage.overview import Group, Held, Reached, Waiting
from app.usecases.services import Services

CONNECTIONS, CAMPAIGNS = 100, 200
"""How many are shown at the most."""

NEWEST = 10_000
"""Rows that came after the last count and are counted while somebody looks: beyond that the count is behind, and the
page says when it was made."""

BEHIND = timedelta(minutes=5)
"""After so long without a count nobody counts: no worker runs."""

DAY, MONTH = "day", "month"
RECEIVED, DONE = "received", "done"


@dataclass(frozen=True, slots=True)
class Away:
    """Something that work waits for: a vendor, a permission, or the connection as a whole."""

    cause: str
    since: datetime | None
    held: Held
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """A connection's row, and what of it is away."""

    row: Row[Any]
    vendor: Vendor
    away: Sequence[Away]

    @property
    def is_well(self) -> bool:
        return self.row.state == "connected" and not self.away and not self.missing

    @property
    def missing(self) -> Sequence[str]:
        """Permissions that calls were refused for."""
        return self.row.missing_permissions if self.vendor is Vendor.INTERCOM else ()


@dataclass(frozen=True, slots=True)
class Steps:
    """What there is to do first, and whether it is done."""

    workspace: bool
    program: bool
    campaign: bool
    audience: bool
    person: bool

    @property
    def all_done(self) -> bool:
        return self.workspace and self.program and self.campaign and self.audience and self.person


@dataclass(frozen=True, slots=True)
class Series:
    """How often what happened, step by step: ``starts`` are the beginnings of the hours or days, oldest first."""

    starts: Sequence[datetime]
    counts: Mapping[str, Sequence[int]]

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts.values()))


@dataclass(frozen=True, slots=True)
class Overview:
    now: datetime
    steps: Steps
    connections: Sequence[Health]
    campaigns: Sequence[Row[Any]]
    funnel: Sequence[Reached]
    waiting: Waiting
    series: Mapping[tuple[str, str], Series]
    """By ``RECEIVED`` or ``DONE``, and ``DAY`` or ``MONTH``."""
    problems: Sequence[Group]
    given_up: Sequence[Group]
    counted_at: datetime | None

    @property
    def is_behind(self) -> bool:
        return self.counted_at is None or self.now - self.counted_at > BEHIND


def show_overview(services: Services) -> Overview:
    """Raises: sqlalchemy.exc.DBAPIError where the database is away."""
    now = services.now()
    with services.database.reading() as connection:
        spaces = workspaces.page(connection, after=None, limit=CONNECTIONS)
        accounts = programs.page(connection, after=None, limit=CONNECTIONS)
        live = campaigns.page(connection, after=None, limit=CAMPAIGNS)
        ids = [row.id for row in live]
        return Overview(
            now=now,
            steps=_steps(connection, spaces, accounts, ids),
            connections=_health(connection, spaces, accounts),
            campaigns=live,
            funnel=overview.funnel(connection, ids),
            waiting=overview.waiting(connection),
            series={
                (what, span): _series(hours, span, now)
                for what in (RECEIVED, DONE)
                for hours in [_hours(connection, what, _since(MONTH, now))]
                for span in (DAY, MONTH)
            },
            problems=overview.problem_groups(connection),
            given_up=overview.dead_groups(connection),
            counted_at=counts.looked_at(connection),
        )


def show_series(services: Services, what: str, span: str) -> Series:
    """``what`` is ``RECEIVED`` (by source) or ``DONE`` (by outcome), over the last ``DAY`` or ``MONTH``."""
    now = services.now()
    with services.database.reading() as connection:
        return _series(_hours(connection, what, _since(span, now)), span, now)


def _hours(connection: Connection, what: str, since: datetime) -> Hours:
    read = counts.events_since if what == RECEIVED else counts.activity_since
    return read(connection, since, NEWEST)


_STEPS = {DAY: (timedelta(hours=1), 24), MONTH: (timedelta(days=1), 30)}


def _since(span: str, now: datetime) -> datetime:
    """The beginning of the first hour or day; the last one is going on."""
    step, number = _STEPS[span]
    last = now.replace(minute=0, second=0, microsecond=0)
    if span == MONTH:
        last = last.replace(hour=0)
    return last - step * (number - 1)


def _series(hours: Hours, span: str, now: datetime) -> Series:
    step, number = _STEPS[span]
    since = _since(span, now)
    names = sorted({name for hour, name in hours if hour >= since})
    found = {name: [0] * number for name in names}
    for (hour, name), count in hours.items():
        place = (hour - since) // step
        if 0 <= place < number:
            found[name][place] += count
    return Series([since + step * place for place in range(number)], found)


def _steps(
    connection: Connection, spaces: Sequence[Row[Any]], accounts: Sequence[Row[Any]], campaign_ids: Sequence[int]
) -> Steps:
    audiences = campaigns.newest_audiences(connection, campaign_ids) if campaign_ids else ()
    return Steps(
        workspace=bool(spaces),
        program=bool(accounts),
        campaign=bool(campaign_ids),
        audience=any(row.complete for row in audiences),
        person=overview.has_people(connection),
    )


def _health(connection: Connection, spaces: Sequence[Row[Any]], accounts: Sequence[Row[Any]]) -> list[Health]:
    open_ = {row.name: row for row in overview.open_circuits(connection)}
    rows = [(row, Vendor.INTERCOM) for row in spaces] + [(row, Vendor.REFERRAL_FACTORY) for row in accounts]
    lost = [_held_by(row, vendor) for row, vendor in rows if row.state != "connected"]
    held = overview.held(connection, [*open_, *lost])
    return [Health(row, vendor, _away(row, vendor, open_, held)) for row, vendor in rows]


def _held_by(row: Row[Any], vendor: Vendor) -> str:
    return f"{'workspace' if vendor is Vendor.INTERCOM else 'program'}:{row.id}"


def _away(row: Row[Any], vendor: Vendor, open_: Mapping[str, Row[Any]], held: Mapping[str, Held]) -> list[Away]:
    found = []
    if row.state != "connected":
        waits = held.get(_held_by(row, vendor), Held(0, None))
        since = row.state_since or waits.oldest
        found.append(Away(row.state_cause or "workspace_disconnected", since, waits))
    circuit = vendor_circuit(vendor.value, row.id)
    for name, one in open_.items():
        if name == circuit or name.startswith(f"{circuit}:"):
            permission = name.removeprefix(circuit).removeprefix(":") or None
            found.append(Away(one.cause, one.opened_at, held.get(name, Held(0, None)), permission))
    return found
