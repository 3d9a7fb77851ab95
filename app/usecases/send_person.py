"""Someone has joined: find them in Intercom, decide, and write what the mapping makes of them.

What became true on the way (a link, a creation, a refusal) is noted in the ``Trail`` as it happens, so that it is
kept also where a later step fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from app.core.audiences import Duplicates
from app.core.causes import Cause
from app.core.duplicates import (
    Create,
    Decision,
    Match,
    Provenance,
    Skip,
    Unarchive,
    Update,
    decide,
    decide_archived,
    index_wait,
    not_restorable,
    provenance,
)
from app.core.errors import ApiError, Rejected, Unavailable
from app.core.mapping import Drafted, FieldResult, creation, draft, update
from app.core.people import Contact, ContactDraft, Person, normalised_email
from app.core.refusals import Refusal
from app.integrations.intercom import Conflict, Intercom, NotRestorable
from app.storage.creations import NewCreation
from app.storage.links import CreationOutcome, Link
from app.usecases.find_contact import MOST_TURNS, Found, Sending, find, read, recorded, searched
from app.usecases.services import Services
from app.usecases.ways_out import WaysOut
from app.usecases.write_contact import Notes, WentAwayError, fields_of, refusal, without_refused, write_contact

OVERTAKEN_SECONDS = 1

PROMPT = timedelta(seconds=1)
"""What fails within this time is as old as its record."""


@dataclass(slots=True)
class Trail(Notes):
    """What became true while a person was sent, to be kept whatever comes after."""

    link: Link | None = None
    creations: list[CreationOutcome] = field(default_factory=list)
    made_here: bool = False
    """The contact was made for this campaign and audience, now or in an attempt before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the person: ``outcome`` is ``created``, ``updated`` or ``skipped`` with its ``cause``."""

    outcome: str
    cause: Cause | None = None
    detail: str | None = None
    contact: Contact | None = None
    fields: tuple[FieldResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Search can't show yet what an attempt of unknown outcome made: look again after ``seconds``."""

    seconds: float
    spends_attempt: bool = False


def send_person(services: Services, ways: WaysOut, sending: Sending, trail: Trail) -> Sent | Wait:
    """Raises: ApiError where a vendor stood in the way; ``trail`` holds what was done until then."""
    drafted = draft_of(sending)
    if drafted.cause is not None:
        return Sent("skipped", drafted.cause, fields=drafted.left_out)
    if sending.sent_at is not None and sending.received_at < sending.sent_at:
        return Sent("skipped", Cause.SUPERSEDED)
    wait = index_wait(sending.attempt, services.now().timestamp(), services.index_delay.total_seconds())
    if wait and sending.link is None:
        return Wait(wait)
    found = find(ways.intercom(), sending)
    if wait and found.match is None:
        return Wait(wait)  # the linked contact is gone, and what was to take its place can't be seen yet
    if not wait:
        _settle_open_creations(sending, found, trail)
    try:
        sent = _carry_out(services, ways, sending, drafted, found, trail)
    except _OvertakenError:
        return Wait(OVERTAKEN_SECONDS)
    return _marked(sent, sending.person) if isinstance(sent, Sent) else sent


def draft_of(sending: Sending) -> Drafted:
    """What the mapping makes of the person, without what Intercom refused lately."""
    setup = sending.setup
    return without_refused(draft(sending.person, sending.settings, setup.catalogue, setup.rules), setup)


def _settle_open_creations(sending: Sending, found: Found, trail: Trail) -> None:
    """The index has had its time: what it shows is what the attempts of unknown outcome have made."""
    if not sending.open_creations:
        return
    ours = found.made is not Provenance.FOREIGN
    made = found.match.contact if ours and isinstance(found.match, Match) else None
    for attempt in sending.open_creations:
        trail.creations.append(
            CreationOutcome(attempt.id, "created" if made else "absent", made.id if made else None)
        )
    if made:
        trail.link = _link(sending, made, found.made)  # whatever stands in the way of writing to it


def _carry_out(
    services: Services, ways: WaysOut, sending: Sending, drafted: Drafted, found: Found, trail: Trail
) -> Sent | Wait:
    """Do what is decided; what stands in the way of it (a conflict, an archived contact) is decided anew."""
    policy, intercom = sending.settings.duplicates, ways.intercom()
    gone: set[str] = set()
    for _ in range(MOST_TURNS):
        match decision_about(found, policy):
            case Skip(cause, detail):
                return _skipped(sending, found, cause, detail, trail)
            case Unarchive(contact_id):
                ways.before_writing()
                restored = intercom.unarchive(contact_id)
                if isinstance(restored, NotRestorable):
                    refusal = not_restorable(contact_id)
                    return Sent("skipped", refusal.cause, refusal.detail)
                made = recorded(sending.link, sending) if sending.link else Provenance.FOREIGN
                contact = read(intercom, contact_id)
                found = Found(Match(contact) if contact else None, made)
            case Create():
                ways.before_writing()
                created = _create(services, intercom, sending, drafted, trail)
                if isinstance(created, Sent):
                    return created
                conflict = _after_conflict(intercom, sending, created, gone)
                if isinstance(conflict, Sent | Wait):
                    return conflict
                found = conflict
            case Update() as decision if isinstance(found.match, Match):
                updated = _update(services, ways, sending, drafted, decision, found.match, trail, found.made)
                if isinstance(updated, Sent):
                    return updated
                found = find(intercom, sending)
    return Wait(services.index_delay.total_seconds(), spends_attempt=True)


def decision_about(found: Found, policy: Duplicates) -> Decision:
    if found.archived_id is not None:
        return decide_archived(found.archived_id, policy)
    return decide(found.match, policy, found.made)


def _skipped(sending: Sending, found: Found, cause: Cause, detail: str, trail: Trail) -> Sent:
    contact = found.match.contact if isinstance(found.match, Match) else None
    if contact is not None and cause is Cause.DUPLICATE_SKIPPED:
        trail.link = _link(sending, contact, found.made)
        trail.contact = contact
    return Sent("skipped", cause, detail, contact)


def _create(
    services: Services, intercom: Intercom, sending: Sending, drafted: Drafted, trail: Trail
) -> Sent | Conflict:
    try:
        made = partial(_create_once, services, intercom, sending, trail=trail)
        written = write_contact(services, intercom, sending.setup, creation(drafted, sending.settings), made, trail)
    except WentAwayError:
        # Somebody archived or merged it between its creation and the rest of its fields.
        return Sent("created", Cause.CONTACT_ARCHIVED, contact=trail.contact, fields=fields_of(drafted, trail))
    if isinstance(written, Conflict):
        return written
    if written is None:
        return Sent("skipped", Cause.VALUE_REFUSED_BY_INTERCOM, "Intercom refused the email itself.")
    return Sent("created", contact=written, fields=fields_of(drafted, trail))


def _create_once(
    services: Services, intercom: Intercom, sending: Sending, to_write: ContactDraft, trail: Trail
) -> Contact | Conflict | Refusal:
    """One attempt, recorded before the call. Should the answer never come, the record stays open."""
    creation_id, began = _record(services, sending, to_write, trail), services.now()
    try:
        made = intercom.create(to_write)
    except Rejected as error:
        trail.creations.append(CreationOutcome(creation_id, "refused", None))
        return refusal(services, sending.setup, to_write, error, trail)
    except ApiError as error:
        if not (isinstance(error, Unavailable) and error.sent):
            trail.creations.append(CreationOutcome(creation_id, "refused", None))
        elif services.now() - began > PROMPT:
            # It may have been made just now, and is to be in the index before it is looked for.
            error.after = services.index_delay.total_seconds()
        raise
    if isinstance(made, Conflict):
        trail.creations.append(CreationOutcome(creation_id, "refused", made.contact_id))
    else:
        trail.creations.append(CreationOutcome(creation_id, "created", made.id))
        trail.link = _link(sending, made, Provenance.MADE_HERE)
        trail.made_here = True
    return made


class _OvertakenError(Exception):
    """Our lease ran out before the attempt was recorded, and another worker has been at this person since."""


def _record(services: Services, sending: Sending, to_write: ContactDraft, trail: Trail) -> int:
    """Raises: _OvertakenError."""
    recorded = services.creations.record(
        NewCreation(
            person_key=sending.person_key,
            workspace_id=sending.setup.workspace.id,
            campaign_id=sending.setup.campaign_id,
            audience=sending.audience.value,
            event_id=sending.event_id,
            role=to_write.role.value if to_write.role else "",
            attempted_at=services.now(),
            link=sending.link,
            known=frozenset(
                {one.id for one in sending.open_creations} | {one.creation_id for one in trail.creations}
            ),
        )
    )
    if recorded is None:
        raise _OvertakenError
    return recorded


def _after_conflict(intercom: Intercom, sending: Sending, conflict: Conflict, gone: set[str]) -> Found | Sent | Wait:
    """A 409 is a normal answer: its text carries the id of the contact that is there. ``gone`` are those that could
    not be read after one."""
    if conflict.several:
        return Sent("skipped", Cause.SEVERAL_CONTACTS_MATCH, conflict.message)
    if conflict.contact_id is None:
        found = searched(intercom, sending)
        # Somebody is there whom search does not show yet.
        return found if found.match is not None else Wait(60, spends_attempt=True)
    if conflict.archived:
        return Found(None, archived_id=conflict.contact_id)
    contact = read(intercom, conflict.contact_id)
    if contact is None and conflict.contact_id not in gone:
        gone.add(conflict.contact_id)
        return Found(None)  # deleted just now, so nothing stands in the way; or else the next conflict names it again
    if contact is None:
        return Found(None, archived_id=conflict.contact_id)
    return Found(Match(contact), provenance(contact, attempt=sending.attempt))


def _update(
    services: Services,
    ways: WaysOut,
    sending: Sending,
    drafted: Drafted,
    decision: Update,
    match: Match,
    trail: Trail,
    made: Provenance,
) -> Sent | None:
    """Write what is to be written to an existing contact; ``None`` where it went away meanwhile."""
    contact = match.contact
    trail.contact, trail.link = contact, _link(sending, contact, made)
    trail.seen, trail.made_here = [contact], made is Provenance.MADE_HERE
    again = sending.sent_at is not None and sending.settings.duplicates is Duplicates.UPDATE
    mode = Duplicates.UPDATE if again else decision.mode  # our own contact, and the person has changed since
    whole = update(drafted, contact, mode, sending.setup.catalogue)
    if whole.values:
        ways.before_writing()
        try:
            written = write_contact(services, ways.intercom(), sending.setup, whole, contact, trail)
        except WentAwayError:
            trail.contact = trail.link = None
            return None
        contact = written if isinstance(written, Contact) else contact
    detail = f"Also with this email: {', '.join(match.others)}" if match.others else None
    return Sent(decision.outcome.value, detail=detail, contact=contact, fields=fields_of(drafted, trail))


def _link(sending: Sending, contact: Contact, made: Provenance) -> Link:
    before = sending.link
    if made is Provenance.MADE_HERE:
        made_for: tuple[int | None, str | None] = (sending.setup.campaign_id, sending.audience.value)
    elif made is Provenance.MADE_ELSEWHERE and before is not None:
        made_for = (before.made_for_campaign_id, before.made_for_audience)
    elif made is Provenance.MADE_ELSEWHERE and sending.open_creations:
        made_for = (sending.open_creations[-1].campaign_id, sending.open_creations[-1].audience)
    else:
        made_for = (None, None)
    return Link(
        sending.person_key, sending.setup.workspace.id, sending.email, contact.id, contact.role.value, *made_for
    )


def _marked(sent: Sent, person: Person) -> Sent:
    """A self-referral is sent as both, and marked."""
    referrer = person.text("referrer.email")
    if sent.cause is None and referrer and normalised_email(referrer) == normalised_email(person.email):
        return replace(sent, cause=Cause.SELF_REFERRAL)
    return sent
