"""Who may do what: owners everything; teammates look, and change settings where an owner has given them the right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final


class Role(StrEnum):
    OWNER = "owner"
    TEAMMATE = "teammate"


@dataclass(frozen=True, slots=True)
class Rights:
    """``manage`` is the right to manage integrations as an owner has given it; an owner has it anyway."""

    role: Role
    manage: bool = False

    @property
    def may_manage(self) -> bool:
        return self.manage or self.is_owner

    @property
    def is_owner(self) -> bool:
        return self.role is Role.OWNER


OWNERS_RIGHTS: Final = Rights(Role.OWNER)

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods of HTTP that change nothing. Whoever may come in may look."""


class Asks(StrEnum):
    """What somebody has to be for a call that changes something."""

    RIGHT_TO_MANAGE = "right_to_manage"
    OWNER = "owner"
    NOTHING_MORE = "nothing_more"
    """One's own doings: to sign out, one's own password and sessions."""


def may_call(rights: Rights, method: str, asks: Asks = Asks.RIGHT_TO_MANAGE) -> bool:
    """Whether a call is allowed. What says nothing of itself asks for the right to manage."""
    if method in READING or asks is Asks.NOTHING_MORE:
        return True
    return rights.is_owner if asks is Asks.OWNER else rights.may_manage


LEAST_PASSWORD: Final = 12
MOST_PASSWORD: Final = 1024
"""Characters. Nobody types more, and hashing costs by length."""


def fault_of_password(password: str, email: str) -> str | None:
    """Why a password can't be chosen, in words; ``None`` where it can."""
    if len(password) < LEAST_PASSWORD:
        return f"Choose a password of at least {LEAST_PASSWORD} characters. A few words in a row are a good one."
    if len(password) > MOST_PASSWORD:
        return f"Choose a password of at most {MOST_PASSWORD} characters."
    if password.strip().casefold() == email.casefold() or len(set(password)) < 4:
        return "This password is too easy to guess. A few words in a row are a good one."
    return None


IDLE: Final = timedelta(hours=12)
"""After so long without a page a session has ended."""

LASTS: Final = timedelta(days=30)
"""So long a session lasts however busy it is."""

SEEN_EVERY: Final = timedelta(minutes=5)
"""When a session was last seen is kept this exactly: else every page would be a write."""

INVITATION_LASTS: Final = timedelta(days=7)


def session_is_over(created_at: datetime, seen_at: datetime, now: datetime) -> bool:
    return now >= created_at + LASTS or now >= seen_at + IDLE


ATTEMPTS_LAST: Final = timedelta(minutes=15)

ATTEMPTS_OF_ACCOUNT: Final = 10
ATTEMPTS_OF_ADDRESS: Final = 50
"""An office shares an address."""

_THROUGH: Final = " through "


def actor_named(email: str, token: str | None = None) -> str:
    """How somebody is named in what they do: their email, and the API token where they do it through one."""
    return f"{email}{_THROUGH}{token}" if token else email


def parts_of_actor(actor: str) -> tuple[str, str | None]:
    """The person and the API token in such a name. An email has no spaces."""
    person, _, token = actor.partition(_THROUGH)
    return person, token or None


class Change(StrEnum):
    """The kinds of rows in the audit log."""

    WORKSPACE_CONNECTED = "workspace_connected"
    WORKSPACE_CHANGED = "workspace_changed"
    WORKSPACE_DISCONNECTED = "workspace_disconnected"
    ATTRIBUTE_CREATED = "attribute_created"
    PROGRAM_CONNECTED = "program_connected"
    PROGRAM_CHANGED = "program_changed"
    PROGRAM_DISCONNECTED = "program_disconnected"
    CAMPAIGN_CREATED = "campaign_created"
    CAMPAIGN_CHANGED = "campaign_changed"
    CAMPAIGN_ARCHIVED = "campaign_archived"
    WEBHOOK_SECRET_ROTATED = "webhook_secret_rotated"  # noqa: S105 - a kind, not a secret
    AUDIENCE_CHANGED = "audience_changed"
    SYNC_STARTED = "sync_started"
    BACKFILL_STARTED = "backfill_started"
    SYNC_CONTROLLED = "sync_controlled"
    RECONCILE_ASKED = "reconcile_asked"
    PERSON_QUALIFIED = "person_qualified"
    PERSON_DISQUALIFIED = "person_disqualified"
    PERSON_ERASED = "person_erased"
    EVENT_REPLAYED = "event_replayed"
    EVENTS_REPLAYED = "events_replayed"
    EVENT_DISMISSED = "event_dismissed"
    INVITATION_MADE = "invitation_made"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    INVITATION_ACCEPTED = "invitation_accepted"
    RECOVERY_MADE = "recovery_made"
    RECOVERED = "recovered"
    RIGHTS_CHANGED = "rights_changed"
    USER_REMOVED = "user_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - here too
    SESSIONS_ENDED = "sessions_ended"
    API_TOKEN_MADE = "api_token_made"  # noqa: S105
    API_TOKEN_REVOKED = "api_token_revoked"  # noqa: S105


REPLACED: Final = "replaced"
"""What the audit log says of a secret: that there is another one now, and nothing else."""


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is not the same on both sides, of each side."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in changed if name in before},
        {name: after[name] for name in changed if name in after},
    )
