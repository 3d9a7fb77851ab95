"""What is away as a whole: a vendor that is down, a permission that is missing. Work that needs it waits behind an
open circuit, and one call at a time finds out whether it is back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from app.storage import inbox
from app.storage.database import insert
from app.storage.tables import circuits


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a circuit is to be opened, and how far apart it is probed."""

    name: str
    cause: str
    every: timedelta


def vendor_circuit(vendor: str, connection_id: int) -> str:
    """The circuit of one connection's vendor: ``intercom:1``."""
    return f"{vendor}:{connection_id}"


def permission_circuit(vendor: str, connection_id: int, permission: str) -> str:
    """The circuit of one permission of a connection: ``intercom:1:contacts_write``."""
    return f"{vendor}:{connection_id}:{permission}"


def permissions_of(names: Collection[str]) -> list[tuple[int, str]]:
    """Workspace and permission of those circuits that are a workspace's permissions."""
    parts = [name.split(":") for name in sorted(names)]
    return [(int(part[1]), part[2]) for part in parts if part[0] == "intercom" and len(part) == 3]


def open_names(connection: Connection) -> dict[str, str]:
    """The causes of the open circuits, by name. The table holds open ones only: few, and mostly none."""
    return {row.name: row.cause for row in connection.execute(select(circuits.c.name, circuits.c.cause))}


def open_(connection: Connection, broken: Broken, now: datetime) -> None:
    """Open a circuit, or find it open. Either way its row is ours until the transaction ends: whoever closes it
    waits, and then releases what is held behind it now as well."""
    statement = insert(connection, circuits).values(
        name=broken.name,
        cause=broken.cause,
        opened_at=now,
        every_seconds=int(broken.every.total_seconds()),
        probe_at=now + broken.every,
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"cause": statement.excluded.cause})
    )


def take_turn(connection: Connection, name: str, now: datetime) -> bool:
    """Whether the asker is the one who probes now; the next turn comes after the circuit's interval.

    A circuit that was closed meanwhile stops nobody.
    """
    found = connection.execute(select(circuits.c.every_seconds).where(circuits.c.name == name)).first()
    if found is None:
        return True
    next_turn = now + timedelta(seconds=found.every_seconds)
    taken = update(circuits).where(circuits.c.name == name, circuits.c.probe_at <= now).values(probe_at=next_turn)
    return bool(connection.execute(taken).rowcount)


def close(connection: Connection, names: Collection[str], now: datetime) -> int:
    """Close circuits and make due what waited behind them; how many events."""
    if not names:
        return 0
    connection.execute(delete(circuits).where(circuits.c.name.in_(sorted(names))))
    return sum(inbox.release_held(connection, name, now) for name in sorted(names))


def close_all_of(connection: Connection, prefix: str, now: datetime) -> int:
    """Close every circuit of a connection, because a person has mended it."""
    names = [name for name in open_names(connection) if name == prefix or name.startswith(f"{prefix}:")]
    return close(connection, names, now)


def due(connection: Connection, now: datetime) -> list[str]:
    """The circuits whose next probe is due."""
    return list(connection.execute(select(circuits.c.name).where(circuits.c.probe_at <= now)).scalars())
