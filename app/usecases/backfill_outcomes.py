"""What became of the people of a backfill is told with the settling of their events, and counted once for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.core.errors import InvalidRequest, NotUnderstood
from app.core.people import normalised_email
from app.core.text import storable
from app.storage import sync_outcomes, syncs
from app.storage.inbox import SETTLED, Event, Settling
from app.storage.sync_outcomes import ADDED, FAILED, SKIPPED, UPDATED, SyncOutcome
from schemas.bodies import object_from
from schemas.referral_factory import event_from

_OUTCOMES = {"created": ADDED, "updated": UPDATED}


def subject_of(referral_factory_id: str | None, email: str | None) -> str:
    """What a person is called in the outcomes of a backfill."""
    return f"person:{referral_factory_id or email}"


Activity = Sequence[Mapping[str, Any]]


def tell(connection: Connection, settled: Sequence[tuple[Event, Settling, Activity]], now: datetime) -> None:
    """Keep and count what became of those who were sent by a backfill; an event that is replayed counts once."""
    told: dict[int, dict[str, SyncOutcome]] = {}
    for event, settling, activity in settled:
        if event.sync_id is not None and settling.status in SETTLED:
            one = _told(event.sync_id, event, settling, activity)
            told.setdefault(one.sync_id, {})[one.subject] = one
    for sync_id, ones in sorted(told.items()):
        former = sync_outcomes.of_subjects(connection, sync_id, ones)
        sync_outcomes.save(connection, list(ones.values()), now)
        syncs.count(
            connection,
            sync_id,
            [one.outcome for one in ones.values()],
            instead_of=[row.outcome for row in former.values()],
        )


def _told(sync_id: int, event: Event, settling: Settling, activity: Activity) -> SyncOutcome:
    """By the activity, which says of everybody what was done; a dead event has failed, maybe before anything was told
    of it."""
    row = activity[0] if activity else _named(event)
    said = _OUTCOMES.get(row.get("outcome", ""), SKIPPED)
    return SyncOutcome(
        sync_id,
        subject_of(row.get("referral_factory_id"), row.get("email") or str(event.id)),
        FAILED if settling.status == "dead" else said,
        email=row.get("email"),
        contact_id=row.get("contact_id"),
        cause=settling.cause,
        detail=row.get("detail"),
    )


def _named(event: Event) -> Mapping[str, Any]:
    """Who was to be sent."""
    try:
        person = event_from(event.topic, object_from(event.payload or b"", event.content_type)).person
    except (NotUnderstood, InvalidRequest):
        return {}
    email = storable(normalised_email(person.email)) or None
    return {"referral_factory_id": storable(person.referral_factory_id), "email": email}
