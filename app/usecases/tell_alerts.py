"""Tells an operator, by webhook or mail, when a connection is lost, a circuit stays open or events die, and when that
is over: each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import structlog
from sqlalchemy import Connection

from app.core.alerts import CIRCUIT_STAYS_OPEN, Kind, State, Trouble, changes, message, wait_after
from app.core.causes import CATALOGUE, Cause
from app.core.errors import Vendor
from app.integrations.alerting import NotSentError, Way
from app.storage import alerts, overview, programs, workspaces
from app.usecases.services import Services

log = structlog.get_logger(__name__)


def tell_alerts(services: Services) -> int:
    """How many messages were sent. One that can't be sent is tried again later; nothing waits for it."""
    if not services.alert_ways:
        return 0
    with services.database.reading() as connection:
        troubles = list(_troubles(services, connection))
    for way in services.alert_ways:
        _note(services, way.name, troubles)
    return sum(_tell(services, way) for way in services.alert_ways)


def _note(services: Services, way: str, troubles: Collection[Trouble]) -> None:
    now = services.now()
    with services.database.reading() as connection:
        told = alerts.told(connection, way, now)
    found = changes({one.key for one in troubles}, told.states, told.untouched)
    if found:
        with services.database.writing() as connection:
            alerts.keep(connection, way, found, troubles, now)


def _tell(services: Services, way: Way) -> bool:
    now = services.now()
    with services.database.reading() as connection:
        attempts = alerts.due(connection, way.name, now)
    if attempts is None:
        return False
    with services.database.writing() as connection:
        rows = alerts.take(connection, way.name, now, now + wait_after(attempts))
    if not rows:
        return False
    begun, over = (
        [alerts.trouble_of(row) for row in rows if row.state == state] for state in (State.BEGUN, State.OVER)
    )
    try:
        way.send(message(begun, over, services.public_url))
    except NotSentError as error:
        log.warning("alert_not_sent", way=way.name, reason=str(error), attempts=attempts + 1)
        return False
    with services.database.writing() as connection:
        alerts.settle(connection, way.name, rows)
    log.info("alert_sent", way=way.name, begun=len(begun), over=len(over))
    return True


def _troubles(services: Services, connection: Connection) -> Iterator[Trouble]:
    yield from _lost(connection)
    yield from _open_for_long(services, connection)
    for group in overview.dead_groups(connection):
        what = f"events were given up ({_title(group.cause)})"
        path = f"/events?status=dead&cause={group.cause}"
        yield Trouble(f"{Kind.DEAD}:{group.cause}", what, group.cause, group.since, path)


def _lost(connection: Connection) -> Iterable[Trouble]:
    for vendor, table, lost in (
        (Vendor.INTERCOM, "workspaces", workspaces.lost(connection)),
        (Vendor.REFERRAL_FACTORY, "programs", programs.lost(connection)),
    ):
        for row in lost:
            key = f"{Kind.CONNECTION}:{vendor.value}:{row.id}"
            what = f"the connection to {vendor.label} “{row.name}” is lost"
            yield Trouble(key, what, row.state_cause or Cause.INTERNAL_ERROR, row.state_since, f"/{table}/{row.id}")


def _open_for_long(services: Services, connection: Connection) -> Iterable[Trouble]:
    before = services.now() - CIRCUIT_STAYS_OPEN
    opened = [row for row in overview.open_circuits(connection) if row.opened_at <= before]
    named = _names(connection, [row.name for row in opened])
    for row in opened:
        vendor, number, permission = (*row.name.split(":"), "")[:3]
        what = f"{Vendor(vendor).label} “{named.get((vendor, int(number)), number)}” can't be used"
        what += f" ({permission.replace('_', ' ')})" if permission else ""
        table = "workspaces" if vendor == Vendor.INTERCOM else "programs"
        yield Trouble(f"{Kind.CIRCUIT}:{row.name}", what, row.cause, row.opened_at, f"/{table}/{number}")


def _names(connection: Connection, circuits: Collection[str]) -> dict[tuple[str, int], str]:
    ids = {
        vendor.value: [int(name.split(":")[1]) for name in circuits if name.startswith(f"{vendor}:")]
        for vendor in Vendor
    }
    rows = {
        Vendor.INTERCOM.value: workspaces.by_ids(connection, ids[Vendor.INTERCOM]),
        Vendor.REFERRAL_FACTORY.value: programs.by_ids(connection, ids[Vendor.REFERRAL_FACTORY]),
    }
    return {(vendor, number): row.name for vendor, found in rows.items() for number, row in found.items()}


def _title(cause: str) -> str:
    return CATALOGUE[Cause(cause)].title if cause in set(Cause) else cause
