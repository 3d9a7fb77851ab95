"""Someone has joined: find them in Intercom, decide, and write what the mapping makes of them.

What became true on the way (a link, a creation, a refusal) is noted in the ``Trail`` as it happens, so that it is
kept also where a later step fails.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.core.audiences import CampaignRules, Catalogue, Duplicates
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
from app.core.errors import ApiError, InvalidRequest, Rejected, Unavailable
from app.core.identity import value_digest
from app.core.mapping import EMAIL, Drafted, FieldResult, compare, creation, draft, target_cause, update
from app.core.people import Contact, ContactDraft, Person, Scalar, normalised_email
from app.core.refusals import Refusal, attempts, named_attribute
from app.integrations.intercom import Conflict, Gone, Intercom, NotRestorable
from app.storage.creations import NewCreation
from app.storage.links import CreationOutcome, Link
from app.usecases.find_contact import MOST_TURNS, Found, Sending, find, read, recorded, searched
from app.usecases.refresh_catalogue import refresh_attributes
from app.usecases.services import Services
from app.usecases.ways_out import WaysOut

REFUSALS_LAST = timedelta(minutes=15)

OVERTAKEN_SECONDS = 1


@dataclass(slots=True)
class Trail:
    """What became true while a person was sent, to be kept whatever comes after."""

    link: Link | None = None
    contact: Contact | None = None
    creations: list[CreationOutcome] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    results: dict[str, FieldResult] = field(default_factory=dict)


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
    drafted = draft(sending.person, sending.settings, setup.catalogue, setup.rules)
    refused = {
        path
        for path, value in drafted.values.items()
        if path != EMAIL and (path, value_digest(value)) in setup.refused
    }
    if not refused:
        return drafted
    return replace(
        drafted,
        values={path: value for path, value in drafted.values.items() if path not in refused},
        fields=tuple(
            FieldResult(one.to, cause=Cause.VALUE_REFUSED_BY_INTERCOM) if one.to in refused else one
            for one in drafted.fields
        ),
    )


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
        written = _write(services, intercom, sending, creation(drafted, sending.settings), None, trail)
    except _WentAwayError:
        # Somebody archived or merged it between its creation and the rest of its fields.
        return Sent("created", Cause.CONTACT_ARCHIVED, contact=trail.contact, fields=_fields(drafted, trail))
    if isinstance(written, Conflict):
        return written
    if written is None:
        return Sent("skipped", Cause.VALUE_REFUSED_BY_INTERCOM, "Intercom refused the email itself.")
    return Sent("created", contact=written, fields=_fields(drafted, trail))


def _write(
    services: Services,
    intercom: Intercom,
    sending: Sending,
    whole: ContactDraft,
    contact: Contact | None,
    trail: Trail,
) -> Contact | Conflict | None:
    """Get a draft to Intercom without exactly the values that it refuses, creating where there is no contact yet.

    ``None`` where not even the email passes. Raises: _WentAwayError, ApiError.
    """
    driver = attempts(whole)
    try:
        to_write = next(driver)
        while True:
            if contact is None:
                written = _create_once(services, intercom, sending, to_write, trail)
            else:
                written = _update_once(services, intercom, sending, contact, to_write, trail)
            if isinstance(written, Conflict):
                return written
            if isinstance(written, Contact):
                contact = trail.contact = written
                _note_ignored(trail, to_write, contact, sending.setup.catalogue)
            to_write = driver.send(written if isinstance(written, Refusal) else None)
    except StopIteration as end:
        for path in end.value.refused:
            _note_refused(services, sending, path, whole.values[path], Cause.VALUE_REFUSED_BY_INTERCOM, trail)
    return contact


def _create_once(
    services: Services, intercom: Intercom, sending: Sending, to_write: ContactDraft, trail: Trail
) -> Contact | Conflict | Refusal:
    """One attempt, recorded before the call. Should the answer never come, the record stays open."""
    creation_id = _record(services, sending, to_write, trail)
    try:
        made = intercom.create(to_write)
    except Rejected as error:
        trail.creations.append(CreationOutcome(creation_id, "refused", None))
        return _refusal(services, sending, to_write, error, trail)
    except ApiError as error:
        if not (isinstance(error, Unavailable) and error.sent):
            trail.creations.append(CreationOutcome(creation_id, "refused", None))
        raise
    if isinstance(made, Conflict):
        trail.creations.append(CreationOutcome(creation_id, "refused", made.contact_id))
    else:
        trail.creations.append(CreationOutcome(creation_id, "created", made.id))
        trail.link = _link(sending, made, Provenance.MADE_HERE)
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
    again = sending.sent_at is not None and sending.settings.duplicates is Duplicates.UPDATE
    mode = Duplicates.UPDATE if again else decision.mode  # our own contact, and the person has changed since
    whole = update(drafted, contact, mode, sending.setup.catalogue)
    if whole.values:
        ways.before_writing()
        try:
            written = _write(services, ways.intercom(), sending, whole, contact, trail)
        except _WentAwayError:
            trail.contact = trail.link = None
            return None
        contact = written if isinstance(written, Contact) else contact
    detail = f"Also with this email: {', '.join(match.others)}" if match.others else None
    return Sent(decision.outcome.value, detail=detail, contact=contact, fields=_fields(drafted, trail))


class _WentAwayError(Exception):
    """The contact was merged, archived or deleted between reading and writing."""


def _update_once(
    services: Services, intercom: Intercom, sending: Sending, contact: Contact, to_write: ContactDraft, trail: Trail
) -> Contact | Refusal:
    try:
        updated = intercom.update(contact.id, to_write)
    except Rejected as error:
        return _refusal(services, sending, to_write, error, trail)
    if isinstance(updated, Gone | Conflict):
        raise _WentAwayError
    return updated


def _refusal(services: Services, sending: Sending, to_write: ContactDraft, error: Rejected, trail: Trail) -> Refusal:
    """What a 400 or 422 names. One that says an attribute does not exist shows our catalogue to be out of date."""
    path = next((one for one in error.fields if one in to_write.values), None) or named_attribute(
        str(error), error.code, to_write.values.keys()
    )
    if path is not None and _DOES_NOT_EXIST.search(str(error)):
        cause = _cause_by_now(services, sending, path)
        _note_refused(services, sending, path, to_write.values[path], cause, trail)
    return Refusal(path)


def _cause_by_now(services: Services, sending: Sending, path: str) -> Cause:
    """Why the attribute can't be written, by the catalogue as Intercom has it now."""
    catalogue: Catalogue = {}
    with suppress(ApiError, InvalidRequest):  # the person matters more than the better word
        catalogue = refresh_attributes(services, sending.setup.workspace.id)
    cause = target_cause(path, catalogue, CampaignRules(extended_types=True), trigger=None)
    return cause or Cause.ATTRIBUTE_UNKNOWN


_DOES_NOT_EXIST = re.compile(r"does(?: not|n't) exist", re.IGNORECASE)


def _note_refused(services: Services, sending: Sending, path: str, value: Scalar, cause: Cause, trail: Trail) -> None:
    """Name the field in the activity, and leave this value out for a while: a bad rule costs no storm of calls."""
    if path in trail.results:
        return
    trail.results[path] = FieldResult(path, cause=cause)
    if path != EMAIL:
        trail.refused.append(
            {
                "workspace_id": sending.setup.workspace.id,
                "path": path,
                "value_digest": value_digest(value),
                "until": services.now() + REFUSALS_LAST,
            }
        )


def _note_ignored(trail: Trail, written: ContactDraft, reply: Contact, catalogue: Catalogue) -> None:
    """Compare the reply with what was sent: Intercom answers 200 for fields that it ignores."""
    for ignored in compare(written, reply, catalogue):
        trail.results[ignored.to] = FieldResult(ignored.to, cause=ignored.cause)


def _fields(drafted: Drafted, trail: Trail) -> tuple[FieldResult, ...]:
    """One result a row, and one for the initial value where something is to be said of it."""
    rows = tuple(trail.results.get(one.to, one) if one.cause is None else one for one in drafted.fields)
    named = {one.to for one in rows}
    return rows + tuple(result for path, result in trail.results.items() if path not in named)


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
