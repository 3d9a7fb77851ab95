"""Runs over many people in a marketer's words."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.syncs import Contacts
from app.storage import syncs

CONTACTS = {
    Contacts.LEADS.value: "Only Leads",
    Contacts.USERS.value: "Only Users",
    Contacts.ALL.value: "All Contacts",
    Contacts.SEGMENT.value: "A specific segment",
}
"""As the vendor calls them, in the vendor's order."""

KINDS = {syncs.SYNC: "Sync", syncs.BACKFILL: "Backfill"}

STATES = {
    syncs.QUEUED: "Waits for its turn",
    syncs.RUNNING: "Running",
    syncs.PAUSED: "Paused",
    syncs.WATCHING: "Watching",
    syncs.COMPLETED: "Completed",
    syncs.CANCELLED: "Cancelled",
    syncs.FAILED: "Failed",
}

OUTCOMES = {
    "added": "Added",
    "existing": "Already in the campaign",
    "updated": "Updated",
    "skipped": "Skipped",
    "failed": "Failed",
}

SENT = {**OUTCOMES, "added": "Created in Intercom", "existing": "Already there", "updated": "Updated in Intercom"}
"""The same of a backfill."""

FORESEEN = {
    "added": "Would be added",
    "existing": "Already in the campaign",
    "updated": "Would be updated",
    "skipped": "Would be skipped",
    "failed": "Could not be told",
}

SENT_AS_FORESEEN = {**FORESEEN, "added": "Would be created", "existing": "Already there"}


def outcome_words(kind: str, *, dry_run: bool) -> Mapping[str, str]:
    """What becomes of somebody in a run."""
    if kind == syncs.BACKFILL:
        return SENT_AS_FORESEEN if dry_run else SENT
    return FORESEEN if dry_run else OUTCOMES


MINUTE, HOUR, DAY = 60, 3600, 86_400


def time_left(seconds: int) -> str:
    """An estimate as somebody would say it."""
    if seconds < MINUTE:
        return "less than a minute left"
    if seconds < HOUR:
        return _about(seconds, MINUTE, "minute")
    if seconds < 2 * DAY:
        return _about(seconds, HOUR, "hour")
    return _about(seconds, DAY, "day")


def _about(seconds: int, unit: int, name: str) -> str:
    number = max(1, round(seconds / unit))
    return f"about {number} {name}{'' if number == 1 else 's'} left"
