"""Where sealed values stand, so that all of them can be sealed anew with the newest key. A test holds the list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Column, Connection, bindparam, select, update

from app.storage.tables import campaigns, erasure_keys, erasures, programs, workspaces

SEALED: Final[tuple[Column[Any], ...]] = (
    workspaces.c.token,
    workspaces.c.client_secret,
    workspaces.c.former_client_secret,
    programs.c.token,
    campaigns.c.webhook_secret,
    campaigns.c.former_secret,
    erasure_keys.c.sealed,
    erasures.c.names,
)


def page(connection: Connection, column: Column[Any], *, after: int, limit: int) -> Mapping[int, str]:
    """Sealed values by the ids of their rows, in the order of these."""
    ids = column.table.c.id
    found = select(ids, column).where(ids > after, column.is_not(None)).order_by(ids).limit(limit)
    return {row[0]: row[1] for row in connection.execute(found)}


def replace(connection: Connection, column: Column[Any], resealed: Collection[tuple[int, str, str]]) -> None:
    """``resealed`` are id, value as it was read, and the same sealed anew. One that was changed meanwhile is left as
    it is: whoever changed it has sealed it."""
    if not resealed:
        return
    table = column.table
    changed = update(table).where(table.c.id == bindparam("row_id"), column == bindparam("former"))
    rows = [{"row_id": row_id, "former": former, "new": new} for row_id, former, new in resealed]
    connection.execute(changed.values({column: bindparam("new")}), rows)
