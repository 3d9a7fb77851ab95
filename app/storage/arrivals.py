"""Webhooks kept by one statement, on PostgreSQL: most are new, and come by doors that stand as they were opened.

A transaction takes four round trips (begin, look at the doors, insert, commit), this takes one, and its text is the
same for any number of webhooks, so that it is read and planned once. What it does not keep is another's to look at:
duplicates, and what came by a door that is another one now.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from app.storage.inbox import WEBHOOK, NewEvent, Receipt

_OF_EVENT: Final[dict[str, str]] = {
    "dedupe_key": "text",
    "source": "text",
    "topic": "text",
    "workspace_id": "bigint",
    "campaign_id": "bigint",
    "person_key": "text",
    "content_type": "text",
    "payload": "text",
    "received_at": "timestamptz",
}

_OF_DOOR: Final[dict[str, str]] = {
    "address": "text",
    "secret": "text",
    "former_secret": "text",
    "former_until": "timestamptz",
}


def _statement() -> str:
    kept = ", ".join(_OF_EVENT)
    told = kept.replace("payload", "decode(payload, 'base64')")
    came = ", ".join(f"{name} {kind}" for name, kind in {**_OF_EVENT, **_OF_DOOR, "place": "int"}.items())
    return f"""
INSERT INTO events ({kept}, origin, status, attempts, next_attempt_at)
SELECT {told}, '{WEBHOOK}', 'received', 0, received_at
FROM json_to_recordset(%(webhooks)s::json) AS came({came})
WHERE EXISTS (
  SELECT FROM workspaces WHERE came.campaign_id IS NULL AND workspaces.id = came.workspace_id
  AND (app_id, client_secret, former_client_secret, workspaces.former_until)
  IS NOT DISTINCT FROM (came.address, came.secret, came.former_secret, came.former_until)
) OR EXISTS (
  SELECT FROM campaigns WHERE campaigns.id = came.campaign_id AND campaigns.workspace_id = came.workspace_id
  AND (webhook_key, webhook_secret, campaigns.former_secret, campaigns.former_until)
  IS NOT DISTINCT FROM (came.address, came.secret, came.former_secret, came.former_until)
  AND NOT EXISTS (SELECT FROM erasure_keys)
)
ORDER BY place
ON CONFLICT (dedupe_key) DO NOTHING
RETURNING id, dedupe_key
"""  # noqa: S608 - made of the names above


_KEEP: Final = _statement()


def is_plain(event: NewEvent) -> bool:
    """Whether ``keep`` is for it: what an erasure may have removed is looked for where it is kept."""
    return event.came_by is not None and event.came_by.erasure_key is None and event.origin == WEBHOOK


def keep(connection: Connection, received: Sequence[NewEvent]) -> dict[int, Receipt]:
    """The receipts of those that are new, by their places among ``received``. ``connection`` commits by itself."""
    rows = connection.exec_driver_sql(_KEEP, {"webhooks": _as_json(received)})
    fresh: dict[str, int] = {key: event_id for event_id, key in rows}
    return {
        place: Receipt(fresh.pop(event.dedupe_key), duplicate=False)
        for place, event in enumerate(received)
        if event.dedupe_key in fresh
    }


def _as_json(received: Sequence[NewEvent]) -> str:
    """One text: an array a column takes the driver five times as long."""
    return json.dumps([_told(event, place) for place, event in enumerate(received)], default=datetime.isoformat)


def _told(event: NewEvent, place: int) -> dict[str, Any]:
    of_event = {name: getattr(event, name) for name in _OF_EVENT}
    of_door = {name: getattr(event.came_by, name) for name in _OF_DOOR}
    return {**of_event, **of_door, "payload": b64encode(event.payload).decode(), "place": place}
