"""Intercom's notifications as they come over the wire."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.core.people import Contact


def notification(
    contact: Contact, topic: str, key: str, app_id: str, now: int, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """A notification in its real shape: times of the envelope in Unix seconds, of the contact in ISO 8601."""
    return {
        "type": "notification_event",
        "app_id": app_id,
        "data": {"type": "notification_event_data", "item": {**shown(contact, topic), **changes}},
        "links": {},
        "id": key,
        "topic": topic,
        "delivery_status": "pending",
        "delivery_attempts": 1,
        "delivered_at": 0,
        "first_sent_at": now,
        "created_at": now,
        "self": None,
    }


def signature(body: bytes, secret: str) -> str:
    """The header that proves a body."""
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def shown(contact: Contact, topic: str) -> dict[str, Any]:
    """A contact in a notification: times in ISO 8601; of one that is gone no more than its id."""
    gone = {"archived": True} if topic.endswith(("archive", "archived")) and "unarchive" not in topic else {}
    gone = {"deleted": True} if topic.endswith("deleted") else gone
    if gone:
        return {"type": "contact", "id": contact.id, "external_id": None, **gone}
    return {
        "type": "contact",
        "id": contact.id,
        "external_id": None,
        "role": contact.role.value,
        "email": contact.email,
        "name": contact.name,
        "created_at": _iso(contact.created_at),
        "updated_at": _iso(contact.updated_at),
        "custom_attributes": dict(contact.custom_attributes),
        "tags": {"type": "list", "data": []},
    }


def _iso(seconds: int | None) -> str | None:
    """With milliseconds, as Intercom has it."""
    return datetime.fromtimestamp(seconds + 0.455, UTC).isoformat(timespec="milliseconds") if seconds else None
