"""A contact of a watched lead has changed: look at it, keep what was seen, decide, and qualify who has converted.

One contact can be the lead of several campaigns, each with a rule of its own. What concerns one of them does not
depend on the others: should the program of one be away, the rest is done, and the event waits for that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from app.core.audiences import Attribute, QualificationRule
from app.core.causes import Cause
from app.core.duplicates import Match, choose
from app.core.errors import ApiError
from app.core.events import Change, IntercomNotification
from app.core.people import Audience, Contact, Role, normalised_email
from app.core.qualification import (
    CLOSED,
    OPEN,
    FirstSight,
    Never,
    NotYet,
    Qualify,
    Referral,
    SeenIn,
    Sight,
    begin,
    decide,
    elsewhere,
    is_target,
    merged,
    sight_of,
    value_key,
)
from app.core.setup import trigger_at
from app.integrations.intercom import Intercom
from app.storage import inbox, observations, people
from app.storage.observations import NewSights, Seen
from app.usecases.failures import after_failure, held_by_program, held_by_workspace
from app.usecases.outcomes import Outcome, settling
from app.usecases.qualify_lead import Overtaken, Wish, qualify_lead
from app.usecases.records import activity_row, contact_of, person_of
from app.usecases.send_person import Sent
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.ways_out import WaysOut
from app.usecases.work import Work

BUSY_SECONDS = 1.0

MOST_HOPS = 4
"""How often a contact may turn out to have been merged while we look for it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One lead of one campaign, and the rule it is watched by."""

    person: Row[Any]
    setup: Setup
    rule: QualificationRule
    attribute: Attribute | None


@dataclass(frozen=True, slots=True)
class Looked:
    """The contact as it is now; ``None`` where it is gone, and ``cause`` says how."""

    contact: Contact | None
    cause: Cause | None = None


def watched_among(rows: Sequence[Row[Any]], setups: Mapping[int, Setup]) -> list[Watched]:
    """The leads that a rule watches or has watched, of campaigns that are not archived."""
    found = []
    for row in rows:
        setup = setups.get(row.campaign_id)
        rule = setup.settings(Audience.LEADS).qualification if setup and not setup.archived else None
        if setup is not None and rule is not None and row.audience == Audience.LEADS.value:
            found.append(Watched(row, setup, rule, trigger_at(rule.attribute, setup.catalogue)))
    return found


def watch_contact(work: Work, notice: IntercomNotification, watched: Sequence[Watched]) -> Outcome:
    """What follows for the leads of this contact."""
    open_ones = [one for one in watched if one.person.qualification_state == OPEN]
    if not open_ones:
        return _not_any_more(work, notice, watched)
    if held := held_by_workspace(work.event, open_ones[0].setup):
        return held
    keys = {one.person.person_key for one in open_ones if one.person.person_key}
    if not work.lease_also(keys - {work.event.person_key}):
        return _in_a_moment(work)
    return _Look(work, notice, _as_of_now(work.services, open_ones)).carry_out()


def _in_a_moment(work: Work) -> Outcome:
    """Another worker is at one of these people."""
    due = work.services.now() + timedelta(seconds=BUSY_SECONDS)
    return Outcome(work.event, settling(work.event, "received", Cause.WAITING_IN_QUEUE, due=due))


def _as_of_now(services: Services, watched: Sequence[Watched]) -> list[tuple[Watched, Seen]]:
    """Those whose state is the same with their leases held, and what was seen of them until now."""
    ids = [one.person.id for one in watched]
    with services.database.reading() as connection:
        rows = {row.id: row for row in people.by_ids(connection, ids)}
        seen = observations.of_people(connection, ids)
    return [
        (replace(one, person=rows[one.person.id]), seen.get((one.person.id, one.rule.attribute), Seen()))
        for one in watched
        if one.person.id in rows and rows[one.person.id].qualification_state == one.person.qualification_state
    ]


def _not_any_more(work: Work, notice: IntercomNotification, watched: Sequence[Watched]) -> Outcome:
    """Nothing that happens makes these qualify, so nobody is asked. Who reaches a target all the same is told why."""
    outcome = Outcome(work.event, settling(work.event, "done", _over(watched[0])))
    closed = [one for one in watched if one.person.qualification_state == CLOSED and _names(notice, one.person)]
    if notice.contact is None or not closed:
        return outcome
    for one, seen in _as_of_now(work.services, closed):
        sights = _sights(work, notice.contact, None, one.rule)
        if not _shows_something_new(seen, sights):
            continue
        first = seen.first or _begin(work, one, notice.contact)
        outcome.seen.append((one.person.id, NewSights(one.rule.attribute, first, sights)))
        if one.attribute is not None and is_target(sights[0].value, one.rule, one.attribute):
            outcome.activity.append(_row(work, one, Sent("ignored", _over(one)), notice.contact))
    return outcome


def _over(one: Watched) -> Cause:
    cause = one.person.qualification_cause
    state = Referral(Audience.LEADS, one.person.qualification_state, Cause(cause) if cause else None)
    verdict = decide(state, one.rule, one.attribute)
    return verdict.cause if isinstance(verdict, Never) else Cause.NOT_A_TRACKED_LEAD


class _Look:
    """One look at a contact, for all leads that it is."""

    def __init__(self, work: Work, notice: IntercomNotification, watched: Sequence[tuple[Watched, Seen]]) -> None:
        self._work = work
        self._notice = notice
        self._watched = watched
        self._outcome = Outcome(work.event, settling(work.event, "done"))
        self._causes: list[Cause | None] = []
        self._in_the_way: list[Outcome] = []

    def carry_out(self) -> Outcome:
        if not self._watched:
            return _in_a_moment(self._work)  # decided meanwhile, by another event or by hand
        first = self._watched[0][0]
        ways = self._work.ways_of(first.setup)
        try:
            looked = look(ways.intercom(), self._notice, first.person)
        except ApiError as error:
            self._stopped([one for one, _ in self._watched], ways, error, None)
            return self._settled()
        for one, seen in self._watched:
            if looked.contact is None:
                self._not_yet(one, looked.cause or Cause.CONTACT_ARCHIVED, None, is_news=False)
            else:
                self._decide(one, seen, looked.contact)
        return self._settled()

    def _decide(self, one: Watched, seen: Seen, contact: Contact) -> None:
        self._follow(one, contact)
        notified = self._notice.contact if _shows(self._notice, one.person, contact) else None
        sights = _sights(self._work, notified, contact, one.rule)
        first = seen.first or _begin(self._work, one, _earlier(notified, contact))
        self._outcome.seen.append((one.person.id, NewSights(one.rule.attribute, first, sights)))
        spans = merged(seen.spans, sights, first)
        verdict = decide(Referral(Audience.LEADS, OPEN, None, first, spans), one.rule, one.attribute)
        is_news = _shows_something_new(seen, sights)
        match verdict:
            case Qualify(value):
                self._qualify(one, contact, value)
            case Never(cause):
                self._outcome.changes.append(people.Change(one.person.id, CLOSED, cause.value))
                self._tell(one, Sent("ignored", cause), contact)
            case NotYet(Cause.VALUE_NOT_A_TARGET) if path := elsewhere(contact, one.rule, one.attribute):
                detail = f"A target value stands in {path}; the rule looks at {one.rule.attribute}."
                self._not_yet(one, Cause.ATTRIBUTE_NOT_THE_TRIGGER, contact, is_news=is_news, detail=detail)
            case NotYet(cause):
                self._not_yet(one, cause, contact, is_news=is_news)

    def _follow(self, one: Watched, contact: Contact) -> None:
        """A merge leaves another id, a signup another role."""
        person = one.person
        if (person.contact_id, person.contact_role) == (contact.id, contact.role.value):
            return
        self._outcome.moves.add(people.Move(person.workspace_id, person.contact_id, contact.id, contact.role.value))
        if person.contact_id != contact.id:
            detail = f"{person.contact_id} was merged into {contact.id}, which is watched from now on."
            row = _row(self._work, one, Sent("updated", Cause.CONTACT_MERGED, detail), contact, verb="update")
            self._outcome.activity.append(row)

    def _not_yet(
        self, one: Watched, cause: Cause, contact: Contact | None, *, is_news: bool, detail: str | None = None
    ) -> None:
        """Told where something is new: of a lead that is merely visited there is nothing to tell."""
        if cause.value != one.person.qualification_cause:
            self._outcome.changes.append(people.Change(one.person.id, OPEN, cause.value))
            is_news = True
        if is_news:
            self._tell(one, Sent("ignored", cause, detail), contact)
        else:
            self._causes.append(cause)

    def _qualify(self, one: Watched, contact: Contact, value: object) -> None:
        work, setup = self._work, one.setup
        if held := held_by_program(work.event, setup):
            self._in_the_way.append(held)
            return
        missed = Cause.WEBHOOK_MISSED if work.event.origin == inbox.RECONCILE else None
        wish = Wish(value=value, event_id=work.event.id, cause=missed)
        ways = work.ways_of(setup)
        try:
            refused = qualify_lead(work.services, ways, setup, one.person, contact, wish)
        except ApiError as error:
            self._stopped([one], ways, error, contact)
        except Overtaken:
            self._in_the_way.append(_in_a_moment(work))
        else:
            if refused is not None:
                attempts = work.event.attempts + 1
                dead = settling(work.event, "dead", refused.cause, attempts=attempts, error=refused.detail)
                self._in_the_way.append(Outcome(work.event, dead))
                self._failed(one, refused.cause, refused.detail, contact)
            self._causes.append(None)

    def _stopped(self, concerned: Sequence[Watched], ways: WaysOut, error: ApiError, contact: Contact | None) -> None:
        """A vendor stood in the way of these. If it stays so, they are told."""
        failure = after_failure(self._work.services, self._work.event, concerned[0].setup, ways, error)
        self._in_the_way.append(failure)
        if failure.settling.status == "dead" and failure.settling.cause is not None:
            for one in concerned:
                self._failed(one, Cause(failure.settling.cause), str(error), contact)

    def _failed(self, one: Watched, cause: Cause, detail: str, contact: Contact | None) -> None:
        self._outcome.changes.append(people.Change(one.person.id, OPEN, cause.value))
        self._outcome.activity.append(_row(self._work, one, Sent("failed", cause, detail), contact))

    def _tell(self, one: Watched, sent: Sent, contact: Contact | None) -> None:
        self._causes.append(sent.cause)
        self._outcome.activity.append(_row(self._work, one, sent, contact))

    def _settled(self) -> Outcome:
        """Whoever can wait makes the event wait; it is dead only where nobody can be helped by another attempt."""
        outcome = self._outcome
        if self._in_the_way:
            first = min(self._in_the_way, key=lambda one: one.settling.status == "dead")
            outcome.settling, outcome.opens = first.settling, first.opens
            outcome.closes = frozenset(name for one in self._in_the_way for name in one.closes)
            return outcome
        if None not in self._causes:
            outcome.settling = settling(self._work.event, "done", self._causes[0])
        outcome.closes = self._work.proven(None)
        return outcome


def look(intercom: Intercom, notice: IntercomNotification, person: Row[Any]) -> Looked:
    """The contact as it is now, followed where it was merged.

    A merged contact answers 410 with a link to the survivor, and on older versions 404 like an archived one
    (https://developers.intercom.com/docs/references/2.16/rest-api/api.intercom.io/contacts/showcontact). Where
    nothing else says how it went, a user with the person's email is the survivor: merges go into users, and one that
    had been there before would have been the person from the start.
    """
    contact_id = notice.contact_id if notice.contact_id and _names(notice, person) else person.contact_id
    for _ in range(MOST_HOPS):
        found = intercom.contact(contact_id)
        if isinstance(found, Contact):
            return Looked(found)
        if found.canonical_id is None:
            break
        contact_id = found.canonical_id
    if notice.change is Change.DELETED:
        return Looked(None, Cause.CONTACT_DELETED)
    if notice.change is Change.ARCHIVED or not person.email:
        return Looked(None, Cause.CONTACT_ARCHIVED)
    return _survivor(intercom, person.email)


def _survivor(intercom: Intercom, email: str) -> Looked:
    match = choose(intercom.search_email(email))
    if isinstance(match, Match) and match.contact.role is Role.USER:
        found = intercom.contact(match.contact.id)
        if isinstance(found, Contact) and normalised_email(found.email) == email:
            return Looked(found)
    return Looked(None, Cause.CONTACT_ARCHIVED)


def _names(notice: IntercomNotification, person: Row[Any]) -> bool:
    """Whether the notification is about the person's contact, and not only one with their email."""
    return person.contact_id in (notice.contact_id, notice.merged_from)


def _shows(notice: IntercomNotification, person: Row[Any], contact: Contact) -> bool:
    """Whether what the notification shows was true of the person, whose contact is ``contact`` now."""
    return _names(notice, person) or contact.id == notice.contact_id


def _sights(work: Work, notified: Contact | None, read: Contact | None, rule: QualificationRule) -> tuple[Sight, ...]:
    """What the notification says and what was read, each at the contact's own time."""
    now = int(work.services.now().timestamp())
    told = [sight_of(notified, rule.attribute, SeenIn.NOTIFIED, now)] if notified else []
    return (*told, *([sight_of(read, rule.attribute, SeenIn.READ, now)] if read else []))


def _shows_something_new(seen: Seen, sights: Sequence[Sight]) -> bool:
    known = {value_key(span.value) for span in seen.spans} | ({value_key(seen.first.value)} if seen.first else set())
    return any(value_key(sight.value) not in known for sight in sights)


def _earlier(notified: Contact | None, read: Contact) -> Contact:
    if notified is None or notified.updated_at is None or read.updated_at is None:
        return read
    return notified if notified.updated_at < read.updated_at else read


def _begin(work: Work, one: Watched, contact: Contact) -> FirstSight:
    """Of a lead of whom nothing was seen by this rule: it was set up, or changed, after they were sent."""
    joined = one.person.joined_received_at or one.person.created_at
    now = int(work.services.now().timestamp())
    return begin(contact, one.rule, one.attribute, made_here=False, signed_up_at=joined.timestamp(), fallback_at=now)


def _row(work: Work, one: Watched, sent: Sent, contact: Contact | None, *, verb: str = "qualify") -> dict[str, Any]:
    return activity_row(
        one.setup, person_of(one.person), verb, sent, contact or contact_of(one.person), work.event.id
    )
