"""Is this person in Intercom already, and what follows: create, write to the one that is there, or leave it.

=================  ==========================  =============================================
The match          whose it is                 what follows
=================  ==========================  =============================================
none                                           ``Create``
several users                                  ``Skip`` ``several_contacts_match``
one                made here                   ``Update``, blanks only, outcome ``created``
one                made by us, elsewhere       ``Update``, blanks only, outcome ``updated``
one                not ours, ``skip``          ``Skip`` ``duplicate_skipped``
one                not ours, ``update``        ``Update``, mapped fields overwritten
one                not ours, ``fill_blanks``   ``Update``, blanks only
archived           ``skip``                    ``Skip`` ``archived_contact``
archived           ``update``, fill_blanks     ``Unarchive``, then read it and decide again
not restorable                                 ``Skip`` ``archived_contact``, for good
=================  ==========================  =============================================

"Here" is this campaign and audience. A contact is found by the id already linked, else by search over leads and users
together, else by the id in a 409's text; search results are a few minutes old, so ``decide`` is given the contact as
read by id.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.core.audiences import Duplicates
from app.core.causes import Cause
from app.core.people import Contact, Role


@dataclass(frozen=True, slots=True)
class Several:
    """Several users match: none of them is certain to be the person."""

    contact_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The contact that is the person, and the ids of the leads that match as well, for the activity."""

    contact: Contact
    others: tuple[str, ...] = ()


class Provenance(StrEnum):
    """Who made a contact."""

    MADE_HERE = "made_here"
    MADE_ELSEWHERE = "made_elsewhere"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class CreationAttempt:
    """An attempt to create a contact for this email, recorded before the call. ``at`` is Unix seconds; ``here`` says
    that it was made for this campaign and audience."""

    at: float
    here: bool = True


class Outcome(StrEnum):
    """What the activity says of a person who was sent."""

    CREATED = "created"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Create:
    """Nobody matches."""


@dataclass(frozen=True, slots=True)
class Update:
    """Write to this contact. ``mode`` is ``update`` or ``fill_blanks``; the contact is watched from now on."""

    contact_id: str
    mode: Duplicates
    outcome: Outcome
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unarchive:
    """Bring this contact back, read it, and decide again."""

    contact_id: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is written. ``contact_ids`` are the contacts that stood in the way, ``detail`` names them in words."""

    cause: Cause
    detail: str
    contact_ids: tuple[str, ...]


Decision = Create | Update | Unarchive | Skip


def choose(candidates: Iterable[Contact], attempt: CreationAttempt | None = None) -> Match | Several | None:
    """Which of the contacts with one email is the person.

    Exactly one user among them is; else, if all are leads, the one that ``attempt`` made, and otherwise the oldest.
    Several users are not told apart.
    """
    distinct = tuple({contact.id: contact for contact in candidates}.values())
    users = [contact for contact in distinct if contact.role is Role.USER]
    if len(users) > 1:
        return Several(tuple(sorted(user.id for user in users)))
    if not distinct:
        return None
    made = [contact for contact in distinct if provenance(contact, attempt=attempt) is not Provenance.FOREIGN]
    chosen = users[0] if users else min(made or distinct, key=_age)
    return Match(chosen, tuple(sorted(contact.id for contact in distinct if contact.id != chosen.id)))


def _age(contact: Contact) -> tuple[float, str]:
    # An unknown time counts as the youngest; the id settles what is left, so that every worker chooses alike.
    return (math.inf if contact.created_at is None else contact.created_at, contact.id)


def provenance(
    contact: Contact, recorded: Provenance | None = None, attempt: CreationAttempt | None = None
) -> Provenance:
    """Who made ``contact``: as ``recorded`` with its link, else by the latest attempt whose outcome is unknown.

    A contact created no earlier than the attempt (in whole seconds, for Intercom tells no finer) is the attempt's.
    """
    if recorded in (Provenance.MADE_HERE, Provenance.MADE_ELSEWHERE):
        return recorded
    if attempt is None or contact.created_at is None or contact.created_at < math.floor(attempt.at):
        return Provenance.FOREIGN
    return Provenance.MADE_HERE if attempt.here else Provenance.MADE_ELSEWHERE


def decide(match: Match | Several | None, policy: Duplicates, made: Provenance = Provenance.FOREIGN) -> Decision:
    """What to do about a person for whom ``match`` was chosen; ``made`` says who made the matching contact."""
    if match is None:
        return Create()
    if isinstance(match, Several):
        listed = ", ".join(match.contact_ids)
        return Skip(Cause.SEVERAL_CONTACTS_MATCH, f"Users with this email: {listed}", match.contact_ids)
    contact = match.contact
    if made is Provenance.MADE_HERE:
        return Update(contact.id, Duplicates.FILL_BLANKS, Outcome.CREATED, match.others)
    if made is Provenance.MADE_ELSEWHERE:
        return Update(contact.id, Duplicates.FILL_BLANKS, Outcome.UPDATED, match.others)
    if policy is Duplicates.SKIP:
        return Skip(Cause.DUPLICATE_SKIPPED, f"Existing {contact.role}: {contact.id}", (contact.id, *match.others))
    return Update(contact.id, policy, Outcome.UPDATED, match.others)


def decide_archived(contact_id: str, policy: Duplicates) -> Unarchive | Skip:
    """What to do about an archived match, known only from a 409, a webhook or a linked id."""
    if policy is Duplicates.SKIP:
        return Skip(Cause.ARCHIVED_CONTACT, f"Archived contact: {contact_id}", (contact_id,))
    return Unarchive(contact_id)


def not_restorable(contact_id: str) -> Skip:
    """What follows where Intercom can't unarchive: the contact is marked for deletion, and stays in the way."""
    return Skip(Cause.ARCHIVED_CONTACT, f"Intercom can't restore the contact {contact_id}", (contact_id,))


def index_wait(attempt: CreationAttempt | None, now: float, index_delay: float) -> float:
    """Seconds until search must show what an attempt of unknown outcome has made; 0 where nothing is to wait for.

    Before that, "not found" proves nothing, and creating could make the contact twice.
    """
    # Never longer than the delay itself, should a clock have been set back.
    return min(index_delay, max(0.0, attempt.at + index_delay - now)) if attempt else 0.0
