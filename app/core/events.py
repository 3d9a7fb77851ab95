"""What a webhook told us, in our words: a person of a campaign, or a contact of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.people import Contact, Person, Role


@dataclass(frozen=True, slots=True)
class Joined:
    """A lead or a referrer has joined the campaign."""

    person: Person


@dataclass(frozen=True, slots=True)
class Qualified:
    """Referral Factory holds the person for qualified."""

    person: Person


@dataclass(frozen=True, slots=True)
class RewardIssued:
    """Referral Factory has issued a reward to the person."""

    person: Person


CampaignEvent = Joined | Qualified | RewardIssued


class Change(StrEnum):
    """What a notification says has happened to a contact."""

    CREATED = "created"
    UPDATED = "updated"
    SIGNED_UP = "signed_up"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    DELETED = "deleted"
    MERGED = "merged"
    # Told by no webhook: a reconcile saw that something changed.
    LOOKED_AT = "looked_at"


@dataclass(frozen=True, slots=True)
class IntercomNotification:
    """One notification of Intercom. Times are Unix seconds, UTC.

    ``change`` is ``None`` for a topic that has no meaning here (``ping``, tags, companies). ``contact`` is ``None``
    where the notification carries no more than an id, as archived and deleted ones do; what it holds is what the
    contact was when the notification was made, so it is evidence and not the present state.
    """

    app_id: str
    topic: str
    id: str | None = None
    change: Change | None = None
    contact_id: str | None = None
    contact: Contact | None = None
    email: str | None = None
    merged_from: str | None = None
    created_at: int | None = None
    first_sent_at: int | None = None

    @property
    def role(self) -> Role | None:
        return self.contact.role if self.contact else None

    @property
    def archived(self) -> bool:
        return self.change is Change.ARCHIVED

    @property
    def deleted(self) -> bool:
        return self.change is Change.DELETED
