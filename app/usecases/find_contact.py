"""Who of Intercom's contacts a person is, and who made them: by the link, else by search, each as read by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.core.audiences import AudienceSettings
from app.core.duplicates import CreationAttempt, Match, Provenance, Several, choose, provenance
from app.core.people import Audience, Contact, Person, normalised_email
from app.integrations.intercom import Intercom
from app.storage.links import Creation, Link
from app.usecases.setups import Setup

MOST_TURNS = 4
"""How often a contact may turn out to be merged, archived or gone while we look at it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One person of one campaign who is to be sent. ``link`` and ``open_creations`` are as the lease found them;
    ``sent_at`` is when what was sent last was received, ``joined_at`` when they joined first."""

    setup: Setup
    person: Person
    audience: Audience
    person_key: str
    event_id: int | None
    received_at: datetime
    link: Link | None = None
    open_creations: Sequence[Creation] = ()
    sent_at: datetime | None = None
    joined_at: datetime | None = None

    @property
    def settings(self) -> AudienceSettings:
        return self.setup.settings(self.audience)

    @property
    def email(self) -> str:
        return normalised_email(self.person.email)

    @property
    def attempt(self) -> CreationAttempt | None:
        """The latest attempt to create whose outcome nobody knows."""
        if not self.open_creations:
            return None
        last = self.open_creations[-1]
        here = (last.campaign_id, last.audience) == (self.setup.campaign_id, self.audience.value)
        return CreationAttempt(last.attempted_at.timestamp(), here)


@dataclass(frozen=True, slots=True)
class Found:
    """The contact that is the person, if any, read by id; ``archived_id`` where it is one that can't be read."""

    match: Match | Several | None
    made: Provenance = Provenance.FOREIGN
    archived_id: str | None = None


def find(intercom: Intercom, sending: Sending) -> Found:
    """The linked contact, else the one that search shows; each as read by id, for search can be minutes old."""
    link = sending.link
    if link is not None:
        contact = read(intercom, link.contact_id)
        if contact is not None:
            return Found(Match(contact), recorded(link, sending))
    found = searched(intercom, sending)
    if found.match is None and link is not None:
        return Found(None, archived_id=link.contact_id)
    return found


def recorded(link: Link, sending: Sending) -> Provenance:
    """Who made the linked contact: this campaign and audience, another of ours, or somebody else."""
    if link.made_for_campaign_id is None:
        return Provenance.FOREIGN
    here = (link.made_for_campaign_id, link.made_for_audience) == (sending.setup.campaign_id, sending.audience.value)
    return Provenance.MADE_HERE if here else Provenance.MADE_ELSEWHERE


def read(intercom: Intercom, contact_id: str) -> Contact | None:
    """The contact, followed to the one it was merged into; ``None`` where it is archived or deleted."""
    for _ in range(MOST_TURNS):
        contact = intercom.contact(contact_id)
        if isinstance(contact, Contact):
            return contact
        if contact.canonical_id is None:
            return None
        contact_id = contact.canonical_id
    return None


def searched(intercom: Intercom, sending: Sending) -> Found:
    """The one that search shows, if it is still there and still has the email. Raises: ApiError."""
    candidates = intercom.search_email(sending.email)
    while candidates:
        match = choose(candidates, sending.attempt)
        if not isinstance(match, Match):
            return Found(match)
        contact = read(intercom, match.contact.id)
        # What is gone, or has another email by now, is not the person.
        if contact is not None and normalised_email(contact.email) == sending.email:
            made = provenance(contact, attempt=sending.attempt)
            return Found(replace(match, contact=contact), made)
        candidates = [one for one in candidates if one.id != match.contact.id]
    return Found(None)
