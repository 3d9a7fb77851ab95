"""Connections as people look at them: what stands in the way, since when, what waits for it, and what was heard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import Vendor
from app.storage import heard, overview, programs, workspaces
from app.storage.circuits import vendor_circuit
from app.usecases.check_connections import WRITE_PERMISSIONS
from app.usecases.refresh_catalogue import READ_PERMISSIONS

ACCESS = "access"
"""What is missing where a refused call tells of no permission in particular."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands in the way; ``permission`` is the missing one; ``since`` may be unknown."""

    cause: Cause
    since: datetime | None
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many events wait for a connection, and when the oldest of them was received; ``more`` says that there are
    more than were counted."""

    events: int = 0
    oldest: datetime | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class ShownConnection:
    """A workspace or a program. ``by_hand`` says that a person has disconnected it, so no token is kept."""

    row: Row[Any]
    troubles: tuple[Trouble, ...]
    waiting: Waiting
    heard_at: datetime | None
    attributes: int = 0
    segments: int = 0

    @property
    def connected(self) -> bool:
        return bool(self.row.state == workspaces.CONNECTED)

    @property
    def by_hand(self) -> bool:
        return self.row.token is None

    @property
    def well(self) -> bool:
        return not self.troubles


@dataclass(frozen=True, slots=True)
class PermissionState:
    """``working`` is ``None`` where only a write can tell, and none was refused."""

    name: str
    working: bool | None


def show_workspaces(connection: Connection, rows: Sequence[Row[Any]]) -> list[ShownConnection]:
    """Those workspaces; as many queries for many as for one."""
    about = _About(connection, "workspace", Vendor.INTERCOM, rows)
    counts = workspaces.counts_of(connection, [row.id for row in rows])
    last = heard.last(connection, [heard.workspace_scope(row.id) for row in rows])
    return [
        ShownConnection(
            row,
            about.troubles(row, row.missing_permissions),
            about.waiting(row),
            last.get(heard.workspace_scope(row.id)),
            *counts[row.id],
        )
        for row in rows
    ]


def show_programs(connection: Connection, rows: Sequence[Row[Any]]) -> list[ShownConnection]:
    """Those programs. Their webhooks come to campaigns, and are told of there."""
    about = _About(connection, "program", Vendor.REFERRAL_FACTORY, rows)
    return [ShownConnection(row, about.troubles(row), about.waiting(row), None) for row in rows]


def connections_of(
    connection: Connection, campaigns: Iterable[Row[Any]]
) -> tuple[dict[int, ShownConnection], dict[int, ShownConnection]]:
    """The workspaces and programs of those campaigns, each by id."""
    rows = list(campaigns)
    spaces = workspaces.by_ids(connection, {row.workspace_id for row in rows})
    accounts = programs.by_ids(connection, {row.program_id for row in rows})
    shown_spaces = show_workspaces(connection, list(spaces.values()))
    shown_accounts = show_programs(connection, list(accounts.values()))
    return {one.row.id: one for one in shown_spaces}, {one.row.id: one for one in shown_accounts}


def permissions_of(workspace: Row[Any]) -> list[PermissionState]:
    """Each permission of a workspace. What can be read was tried when it was refreshed last; of writing, only a
    refusal tells."""
    missing = workspace.missing_permissions
    read = [PermissionState(name, name not in missing) for name in READ_PERMISSIONS]
    write = [PermissionState(name, False if name in missing else None) for name in WRITE_PERMISSIONS]
    return [*read, *write, *(PermissionState(name, False) for name in missing if name == ACCESS)]


class _About:
    """What is known of several connections of one kind, read at once."""

    def __init__(self, connection: Connection, kind: str, vendor: Vendor, rows: Sequence[Row[Any]]) -> None:
        self._kind, self._vendor = kind, vendor
        self._open: Mapping[str, Row[Any]] = {one.name: one for one in overview.open_circuits(connection)}
        self._held = overview.held(connection, [name for row in rows for name in self._names(row)])

    def waiting(self, row: Row[Any]) -> Waiting:
        held = [self._held[name] for name in self._names(row) if name in self._held]
        oldest = min((one.oldest for one in held if one.oldest is not None), default=None)
        more = any(one.events > overview.MOST for one in held)
        return Waiting(sum(min(one.events, overview.MOST) for one in held), oldest, more)

    def troubles(self, row: Row[Any], missing: Collection[str] = ()) -> tuple[Trouble, ...]:
        if row.state != workspaces.CONNECTED:
            return (Trouble(Cause(row.state_cause or Cause.WORKSPACE_DISCONNECTED), row.state_since),)
        found = [Trouble(Cause.INTERCOM_PERMISSION_MISSING, self._since(row, name), name) for name in missing]
        for name in self._circuits(row):
            permission = name.removeprefix(self._prefix(row)).removeprefix(":") or None
            if permission not in missing:
                found.append(Trouble(Cause(self._open[name].cause), self._open[name].opened_at, permission))
        return tuple(found)

    def _since(self, row: Row[Any], permission: str) -> datetime | None:
        circuit = self._open.get(f"{self._prefix(row)}:{permission}")
        return circuit.opened_at if circuit is not None else None

    def _prefix(self, row: Row[Any]) -> str:
        return vendor_circuit(self._vendor.value, row.id)

    def _circuits(self, row: Row[Any]) -> list[str]:
        prefix = self._prefix(row)
        return [name for name in self._open if name == prefix or name.startswith(f"{prefix}:")]

    def _names(self, row: Row[Any]) -> list[str]:
        return [f"{self._kind}:{row.id}", *self._circuits(row)]
