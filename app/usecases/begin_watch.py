"""A lead was sent: from now on their contact is watched, unless it is plain that they can't qualify."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.causes import Cause
from app.core.identity import reconcile_contact_key
from app.core.people import Audience, Contact
from app.core.qualification import (
    CLOSED,
    OPEN,
    Never,
    NotYet,
    Qualify,
    Referral,
    SeenIn,
    begin,
    decide,
    is_target,
    merged,
    sight_of,
)
from app.core.setup import trigger_at
from app.storage.inbox import FOLLOW_UP, NewEvent
from app.storage.observations import NewSights
from app.usecases.find_contact import Sending
from app.usecases.send_person import Sent, Trail
from app.usecases.services import Services
from schemas.intercom import LOOK, look_payload


@dataclass(frozen=True, slots=True)
class Begun:
    """How the referral stands, ``None`` where sending says nothing of it; what was seen; and whether somebody has
    converted already, so that the contact is to be looked at."""

    state: str | None = None
    cause: Cause | None = None
    sights: NewSights | None = None
    look: bool = False


def begin_watch(services: Services, sending: Sending, sent: Sent, trail: Trail) -> Begun:
    """What sending a person says of their qualification. Referrers never qualify, and skipped duplicates do not."""
    if sending.audience is Audience.REFERRERS:
        return Begun(CLOSED, Cause.ONLY_LEADS_QUALIFY)
    if sending.sent_at is not None and sent.cause in (Cause.DUPLICATE_SKIPPED, Cause.SUPERSEDED):
        return Begun()  # they are watched since they were sent first
    if sent.cause is Cause.DUPLICATE_SKIPPED:
        return Begun(CLOSED, Cause.EXISTED_BEFORE_AND_NOT_UPDATED)
    rule = sending.settings.qualification
    if not trail.seen or trail.contact is None:
        return Begun(None, sent.cause)
    if rule is None:
        return Begun(OPEN if sending.sent_at is None else None)
    attribute = trigger_at(rule.attribute, sending.setup.catalogue)
    now = int(services.now().timestamp())
    signed_up_at = (sending.joined_at or sending.received_at).timestamp()
    first = begin(
        trail.seen[0], rule, attribute, made_here=trail.made_here, signed_up_at=signed_up_at, fallback_at=now
    )
    as_found = SeenIn.WRITTEN if trail.made_here else SeenIn.READ
    sights = (
        sight_of(trail.seen[0], rule.attribute, as_found, now),
        *(sight_of(contact, rule.attribute, SeenIn.WRITTEN, now) for contact in trail.seen[1:]),
    )
    new = NewSights(rule.attribute, first, sights)
    values = [first.value, *(one.value for one in sights)]
    look = attribute is not None and any(is_target(value, rule, attribute) for value in values)
    if sending.sent_at is not None:
        return Begun(sights=new, look=look)
    match decide(Referral(Audience.LEADS, OPEN, None, first, merged((), sights, first)), rule, attribute):
        case Qualify():
            return Begun(OPEN, None, new, look=True)
        case Never(cause):
            return Begun(CLOSED, cause, new)
        case NotYet(cause):
            return Begun(OPEN, cause, new)


def look_at(sending: Sending, contact: Contact) -> NewEvent:
    """Who has converted before they were watched is qualified on the way that everybody goes."""
    workspace = sending.setup.workspace
    return NewEvent(
        dedupe_key=reconcile_contact_key(workspace.id, contact.id, f"sent:{sending.event_id}"),
        source="intercom",
        topic=LOOK,
        workspace_id=workspace.id,
        campaign_id=None,
        person_key=sending.person_key,
        content_type="application/json",
        payload=look_payload(workspace.app_id, contact.id),
        received_at=sending.received_at,
        origin=FOLLOW_UP,
    )
