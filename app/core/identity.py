"""The keys by which a person, an event and a value are known again. Digests: of one length whatever they are made
of, and telling nothing of whom they stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from app.core.people import normalised_email


def person_key(workspace_id: int, email: str) -> str:
    """The key of links, leases and order: one person in one workspace, whatever the campaign or audience."""
    return _digest("person", workspace_id, normalised_email(email))


def contact_key(workspace_id: int, contact_id: str) -> str:
    """Orders events that name a contact and no email."""
    return _digest("contact", workspace_id, contact_id)


def referral_factory_key(campaign_id: int, referral_factory_id: str) -> str:
    """Orders events that name Referral Factory's id (or code) and no email."""
    return _digest("referral_factory", campaign_id, referral_factory_id)


def notification_key(app_id: str, notification_id: str | None, body: bytes) -> str:
    """What makes an Intercom notification the same as another: its id, or for those without one its body."""
    if notification_id:
        return _digest("intercom", app_id, "id", notification_id)
    return _digest("intercom", app_id, "body", hashlib.sha256(body).hexdigest())


def content_key(campaign_id: int, topic: str, payload: Mapping[str, Any]) -> str:
    """Referral Factory sends no id: the same topic and content in a campaign are the same event.

    A form knows text only, so values are compared as text, and keys in any order.
    """
    return _digest("referral_factory", campaign_id, topic, _canonical(payload))


def reconcile_contact_key(workspace_id: int, contact_id: str, found: str) -> str:
    """What a reconcile found of a contact: one finding is one event, however often it is seen."""
    return _digest("reconcile", workspace_id, contact_id, found)


def reconcile_person_key(topic: str, campaign_id: int, referral_factory_id: str) -> str:
    """A webhook of Referral Factory that never came: its place is taken once, ever."""
    return _digest("reconcile", topic, campaign_id, referral_factory_id)


def backfill_key(sync_id: int, person_id: int) -> str:
    """Who joined before is sent once by each backfill."""
    return _digest("backfill", sync_id, person_id)


def write_back_key(person_id: int) -> str:
    """What is owed to one referrer's contact is asked for once, until somebody begins with it."""
    return _digest("write_back", person_id)


def activity_key(campaign_id: int, audience: str | None, name: str | None) -> str:
    """Whom an activity is about: an audience's person, by the surest name that it gives."""
    return _digest("activity", campaign_id, audience, name)


def value_digest(value: object) -> str:
    """A value that Intercom refused, without keeping the value."""
    return _digest("value", type(value).__name__, value)


def _canonical(value: Any) -> str:
    return json.dumps(_as_text(value), sort_keys=True)


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _digest(*parts: object) -> str:
    # A list in JSON keeps the parts apart; ASCII escapes make every text, even a broken one, encodable.
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode("ascii")).hexdigest()
