"""The addresses that webhooks come to: whose each is, and the secrets that open it, sealed.

A process remembers them, for they are asked for with every webhook. What is remembered may be old, so it opens
nothing by itself: ``standing`` is asked in the transaction that keeps what came in, once for all that share it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from app.storage import erasures
from app.storage.database import Database
from app.storage.tables import campaigns, workspaces

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Door:
    """An address as it was read. ``address`` is a workspace's app id, or the key in a campaign's addresses."""

    address: str
    workspace_id: int
    campaign_id: int | None
    secret: str | None
    former_secret: str | None
    former_until: datetime | None
    # Of the digests by which removed events are known again, sealed; None while nobody was ever erased.
    erasure_key: str | None = None


_WORKSPACES: Select[Any] = select(
    workspaces.c.app_id,
    workspaces.c.id,
    workspaces.c.client_secret,
    workspaces.c.former_client_secret,
    workspaces.c.former_until,
)

_CAMPAIGNS: Select[Any] = select(
    campaigns.c.webhook_key,
    campaigns.c.workspace_id,
    campaigns.c.id,
    campaigns.c.webhook_secret,
    campaigns.c.former_secret,
    campaigns.c.former_until,
    erasures.sealed_key,
)


def of_workspaces(connection: Connection, condition: Any) -> list[Door]:
    rows = connection.execute(_WORKSPACES.where(condition))
    return [Door(address, workspace_id, None, *secrets) for address, workspace_id, *secrets in rows]


def of_campaigns(connection: Connection, condition: Any) -> list[Door]:
    return [Door(*row) for row in connection.execute(_CAMPAIGNS.where(condition))]


def standing(connection: Connection, doors: Collection[Door]) -> frozenset[Door]:
    """Those that are as they were read. What was rotated, revoked or erased since has made another of a door."""
    mine = {door.campaign_id for door in doors if door.campaign_id is not None}
    others = {door.workspace_id for door in doors if door.campaign_id is None}
    now = of_campaigns(connection, campaigns.c.id.in_(sorted(mine))) if mine else []
    now += of_workspaces(connection, workspaces.c.id.in_(sorted(others))) if others else []
    return frozenset(doors).intersection(now)


class Doors:
    """A process' memory of them. ``anew`` looks again, as whoever is refused by what is remembered must."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[tuple[str, str], Door] = {}

    def of_workspace(self, app_id: str, *, anew: bool = False) -> Door | None:
        """Raises: DBAPIError where it is not remembered and the database is away."""
        known = None if anew else self._remembered.get(("workspace", app_id))
        return known or self._read("workspace", app_id)

    def of_campaign(self, key: str, *, anew: bool = False) -> Door | None:
        """Raises: DBAPIError where it is not remembered and the database is away."""
        known = None if anew else self._remembered.get(("campaign", key))
        return known or self._read("campaign", key)

    def _read(self, kind: str, address: str) -> Door | None:
        with self._database.reading() as connection:
            if kind == "campaign":
                found = of_campaigns(connection, campaigns.c.webhook_key == address)
            else:
                found = of_workspaces(connection, workspaces.c.app_id == address)
        if not found:
            self._remembered.pop((kind, address), None)
            return None
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[kind, address] = found[0]
        return found[0]
