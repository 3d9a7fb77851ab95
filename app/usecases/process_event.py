"""A claimed event is worked on to its settling: understood, carried out, and what came of it written down.

``claim`` and ``settle`` are the two transactions; between them, in ``process``, are the calls to the vendors. A crash
in between leaves a lease that runs out, and every call can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row

from app.core.causes import Cause
from app.core.erasure import who
from app.core.errors import ApiError, InvalidRequest, NotUnderstood
from app.core.events import CampaignEvent, IntercomNotification, Joined, Qualified
from app.core.identity import person_key
from app.core.mapping import setup_required
from app.core.people import Audience, Contact, Person
from app.core.qualification import QUALIFIED
from app.storage import inbox, people
from app.storage.database import is_unreachable
from app.storage.inbox import LEASE, Event
from app.storage.people import PersonRecord
from app.usecases.begin_watch import begin_watch, look_at
from app.usecases.complete_person import complete_person
from app.usecases.failures import after_failure, after_lost_database, held
from app.usecases.find_contact import Sending
from app.usecases.follow_contact import Following, follow_contact, following
from app.usecases.outcomes import Outcome, failed, settle, settling
from app.usecases.pass_by import are_erased, let_back
from app.usecases.records import activity_row, own_name, person_of, person_record, referrer_of
from app.usecases.send_person import Sent, Wait, send_person
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.watch_contact import watch_contact, watched_among
from app.usecases.work import Batch, Work, load_batch, load_known
from app.usecases.write_back import asks_for, write_back
from schemas.bodies import object_from
from schemas.intercom import notification_from
from schemas.referral_factory import event_from

PING = "ping"
"""Names nobody. Every other topic without meaning here may, and its payload is not kept."""

SOON = timedelta(seconds=2)
"""Nobody's friends join sooner after them."""

__all__ = ["LEASE", "Batch", "Outcome", "claim", "failed", "process", "settle"]


def claim(services: Services, owner: str, limit: int) -> Batch:
    """Lease due events to ``owner`` and read what they need."""
    with services.database.writing() as connection:
        events = inbox.claim(connection, owner, services.now(), limit, LEASE)
    return load_batch(services, owner, events) if events else Batch(owner, events)


def process(services: Services, event: Event, batch: Batch) -> Outcome:
    """Work on one event. Whatever a vendor, a payload or a bug does is an outcome with a cause."""
    work = Work(services, event, batch, batch.setups.get(event.campaign_id or 0))
    with structlog.contextvars.bound_contextvars(event_id=event.id, topic=event.topic):
        try:
            outcome = _carried_out(work)
        except (ApiError, NotUnderstood, InvalidRequest) as error:
            # Of an event from Intercom it is the form: what a vendor says to it is settled where the vendor is asked.
            setup = work.setup
            outcome = after_failure(services, event, setup, work.ways_of(setup) if setup else None, error)
            if outcome.settling.status == "dead":
                _tell_of_death(work, error, outcome)
        except Exception as error:  # noqa: BLE001 - Sentry and the event's page tell of it
            away = is_unreachable(error)
            outcome = after_lost_database(services, event, error) if away else failed(event, error)
        return work.kept(outcome)


def _carried_out(work: Work) -> Outcome:
    if work.event.source == "intercom":
        return _from_intercom(work)
    if work.setup is None:
        return Outcome(work.event, settling(work.event, "done", Cause.NOT_FOUND))
    if work.setup.archived:
        return Outcome(work.event, settling(work.event, "done", Cause.CAMPAIGN_ARCHIVED))
    carry_out = _written_back if work.event.origin == inbox.WRITE_BACK else _from_referral_factory
    outcome = carry_out(work, work.setup)
    outcome.closes = work.proven(None)
    return outcome


# Intercom


def _from_intercom(work: Work) -> Outcome:
    """A contact's change means something only for watched leads and syncs; a stranger's payload is not kept."""
    event = work.event
    notice = work.batch.notices.get(event.id) or notification_from(
        object_from(event.payload or b"", event.content_type)
    )
    if notice.change is None:
        strangers = notice.topic != PING
        return Outcome(event, settling(event, "done", Cause.TOPIC_WITHOUT_MEANING, drop_payload=strangers))
    watched = watched_among(work.batch.people_of(event, notice), work.batch.setups)
    wanting = following(work, notice)
    if watched:
        outcome = watch_contact(work, notice, watched)
    else:
        outcome = Outcome(event, settling(event, "done", Cause.NOT_A_TRACKED_LEAD, drop_payload=True))
    return _followed(work, notice, wanting, outcome) if wanting else outcome


def _followed(work: Work, notice: IntercomNotification, wanting: Sequence[Following], outcome: Outcome) -> Outcome:
    """``outcome`` once the syncs that want the contact had their turn. What stands in the way of one is no other's
    concern: where it may last, nobody waits for it, for the sync's next look finds the contact too."""
    event = work.event
    for one in wanting:
        if held(event, one.setup) is not None:
            continue
        try:
            became = follow_contact(work, notice, one)
        except ApiError as error:
            failure = after_failure(work.services, event, one.setup, work.ways_of(one.setup), error)
            lasting = (failure.settling.held_by or "").startswith(("workspace:", "program:"))
            if outcome.settling.status == "done" and failure.settling.status != "dead" and not lasting:
                outcome.settling, outcome.opens, outcome.closes = failure.settling, failure.opens, failure.closes
            continue
        if became is not None and outcome.settling.cause == Cause.NOT_A_TRACKED_LEAD:
            outcome.settling = settling(event, "done", became.cause, drop_payload=True)
    if outcome.settling.status == "done":
        outcome.closes |= work.proven(None)
    return outcome


# Referral Factory


def _from_referral_factory(work: Work, setup: Setup) -> Outcome:
    event = work.event
    said = event_from(event.topic, object_from(event.payload or b"", event.content_type))
    named = said.person.text("campaign_id")
    if named is not None and named != setup.referral_factory_id:
        return _done(setup, event, said.person, "send", Sent("ignored", Cause.CAMPAIGN_MISMATCH))
    if _is_passed_by(work, setup, said):
        return Outcome(event, settling(event, "done", Cause.ERASED_ON_REQUEST, drop_payload=True))
    match said:
        case Joined(person):
            return held(event, setup) or _joined(work, setup, person)
        case Qualified(person):
            return _qualified(work, setup, person)
        case _:
            return Outcome(event, settling(event, "done", Cause.TOPIC_WITHOUT_MEANING))


def _is_passed_by(work: Work, setup: Setup, said: CampaignEvent) -> bool:
    """Whether it is about somebody who was erased on request. Who signs up anew is passed by no longer, which only a
    webhook can tell: what a sweep or a backfill has found is what was erased."""
    if not work.batch.anybody_erased:
        return False
    database, vault = work.services.database, work.services.vault
    named = who(setup.workspace.id, setup.campaign_id, said.person)
    with database.reading() as connection:
        erased = are_erased(connection, vault, [named])[0]
    if not (erased and isinstance(said, Joined) and work.event.origin == inbox.WEBHOOK):
        return erased
    with database.writing() as connection:
        let_back(connection, vault, named)
    return False


def _names_of(person: Person) -> tuple[str | None, ...]:
    return person.email, person.referral_factory_id, person.code


def _joined(work: Work, setup: Setup, person: Person) -> Outcome:
    services, event = work.services, work.event
    ways = work.ways_of(setup)
    told = person
    person = complete_person(services, ways, setup, person)
    # What was read may be more of somebody's names: by one that is left out here, they would not be kept.
    if _names_of(person) != _names_of(told) and _is_passed_by(work, setup, Joined(person)):
        return Outcome(event, settling(event, "done", Cause.ERASED_ON_REQUEST, drop_payload=True))
    if person.audience is None:
        return _done(setup, event, person, "send", Sent("skipped", Cause.UNKNOWN_IN_REFERRAL_FACTORY))
    key = person_key(setup.workspace.id, person.email or "")
    known = work.batch.known
    if person.email and event.person_key != key:
        # The webhook named no email, so the event was leased under another key.
        if not work.lease_also({key}):
            due = services.now() + timedelta(seconds=1)
            return Outcome(event, settling(event, "received", Cause.WAITING_IN_QUEUE, due=due))
        with services.database.reading() as connection:
            known = load_known(connection, {key})
    if (key, setup.campaign_id, person.audience.value) in known.enrolled:
        return _echo(setup, event, person)
    missing = setup_required(setup.settings(person.audience))
    if missing:
        outcome = "ignored" if missing[0] is Cause.ACTION_IS_NOTHING else "skipped"
        return _counted(_done(setup, event, person, "send", Sent(outcome, missing[0])), setup, person)
    sending = Sending(
        setup=setup,
        person=person,
        audience=person.audience,
        person_key=key,
        event_id=event.id,
        received_at=event.received_at,
        link=known.links.get(key),
        open_creations=known.open_creations.get(key, ()),
        sent_at=known.sent_at.get((key, setup.campaign_id, person.audience.value)),
        joined_at=known.joined_at.get((key, setup.campaign_id, person.audience.value)),
    )
    sent = send_person(services, ways, sending, work.trail)
    if isinstance(sent, Wait):
        return _waiting(services, event, sent)
    if event.origin == inbox.RECONCILE and sent.cause is None:
        sent = replace(sent, cause=Cause.WEBHOOK_MISSED)
    return _sent(work, sending, sent)


def _echo(setup: Setup, event: Event, person: Person) -> Outcome:
    """Someone whom a sync has enrolled: what there was to do was done then."""
    outcome = _done(setup, event, person, "send", Sent("ignored", Cause.ALREADY_IN_CAMPAIGN))
    outcome.people = [replace(record, qualification_cause=None) for record in outcome.people]
    return outcome


def _sent(work: Work, sending: Sending, sent: Sent) -> Outcome:
    """A person was sent, or skipped: with what it says of their qualification, and whose counts it changes."""
    setup, trail = sending.setup, work.trail
    done = _done(setup, work.event, sending.person, "send", sent, trail.contact, written=sent.outcome != "skipped")
    begun = begin_watch(work.services, sending, sent, trail)
    done.sights = begun.sights
    # The setup was complete: what became of them stands, whenever they joined.
    done.people = [
        replace(
            record,
            joined_before_setup=False,
            qualification_state=begun.state,
            qualification_cause=begun.cause.value if begun.cause else None,
        )
        for record in done.people
    ]
    if begun.look and trail.contact is not None:
        done.adds.append(look_at(sending, trail.contact))
    if sending.audience is Audience.REFERRERS and work.services.now() - work.event.received_at > SOON:
        # A lead of theirs may have joined since their counts were read, and found nobody to write them to.
        done.referrers |= own_name(setup.campaign_id, sending.person) if asks_for(setup) else set()
    return _counted(done, setup, sending.person)


def _counted(outcome: Outcome, setup: Setup, lead: Person) -> Outcome:
    """What became of a lead changes the counts of whoever referred them."""
    if asks_for(setup):
        outcome.referrers |= referrer_of(setup.campaign_id, lead)
    return outcome


def _waiting(services: Services, event: Event, wait: Wait) -> Outcome:
    """For the search index; where that spends attempts, a conflict with nobody who can be found is behind it."""
    attempts = event.attempts + int(wait.spends_attempt)
    if attempts > len(services.retry_schedule):
        return Outcome(event, settling(event, "dead", Cause.ARCHIVED_CONTACT, attempts=attempts))
    due = services.now() + timedelta(seconds=wait.seconds)
    return Outcome(event, settling(event, "retrying", Cause.WAITING_IN_QUEUE, attempts=attempts, due=due))


def _qualified(work: Work, setup: Setup, person: Person) -> Outcome:
    """Referral Factory holds the person for qualified: nothing is left to do, and it is remembered. The echo of our
    own call is nothing to tell of."""
    event = work.event
    person = replace(person, audience=person.audience or Audience.LEADS)  # nobody else qualifies
    outcome = _done(setup, event, person, "qualify", Sent("ignored", Cause.ALREADY_QUALIFIED))
    kept = _as_kept(work, outcome.people)
    if kept is not None and kept.qualification_state == QUALIFIED:
        outcome.activity = []
    outcome.people = [
        replace(record, qualification_state=QUALIFIED, qualification_since=event.received_at, joined_received_at=None)
        for record in outcome.people
    ]
    if kept is not None and not referrer_of(setup.campaign_id, person):
        person = person_of(kept)  # the webhook need not name who has referred them; that was told when they joined
    return _counted(outcome, setup, person)


def _as_kept(work: Work, records: Sequence[PersonRecord]) -> Row[Any] | None:
    with work.services.database.reading() as connection:
        known = [one for one in people.ids_of(connection, records) if one is not None]
        return next(iter(people.by_ids(connection, known)), None) if known else None


def _written_back(work: Work, setup: Setup) -> Outcome:
    """What we owe a referrer's contact."""
    event = work.event
    with work.services.database.reading() as connection:
        row = people.get(connection, object_from(event.payload or b"", event.content_type)["person_id"])
    if row is None or row.contact_id is None:
        return Outcome(event, settling(event, "done", Cause.NOT_FOUND))
    if waits := held(event, setup):
        return waits
    back = write_back(work.services, work.ways_of(setup), setup, row, work.trail)
    outcome = Outcome(event, settling(event, "done", back.sent.cause))
    known, contact = Person(Audience.REFERRERS, back.values), back.sent.contact
    outcome.people.append(person_record(setup.campaign_id, setup.workspace.id, known))
    if contact is not None and contact.id != row.contact_id:
        outcome.moves.add(people.Move(row.workspace_id, row.contact_id, contact.id, contact.role.value))
    if back.sent.outcome != "ignored":
        outcome.activity.append(activity_row(setup, person_of(row), "write_back", back.sent, contact, event.id))
    return outcome


def _done(
    setup: Setup,
    event: Event,
    person: Person,
    verb: str,
    sent: Sent,
    contact: Contact | None = None,
    *,
    written: bool = False,
) -> Outcome:
    """A settled event with its activity and what is known of the person."""
    contact = contact or sent.contact
    outcome = Outcome(event, settling(event, "done", sent.cause))
    outcome.activity.append(activity_row(setup, person, verb, sent, contact, event.id))
    if person.audience is not None:
        outcome.people.append(_person_record(setup, event, person, sent, contact, written))
    return outcome


def _person_record(
    setup: Setup, event: Event, person: Person, sent: Sent, contact: Contact | None, written: bool
) -> PersonRecord:
    return replace(
        person_record(setup.campaign_id, setup.workspace.id, person),
        contact_id=contact.id if contact else None,
        contact_role=contact.role.value if contact else None,
        joined_received_at=event.received_at,
        sent_received_at=event.received_at if written else None,
        qualification_cause=sent.cause.value if sent.cause else None,
    )


def _tell_of_death(work: Work, error: Exception, outcome: Outcome) -> None:
    """Whom it concerns is told, where the payload says whom: silence would be a defect. And they are known from now
    on: that they could not be sent is no reason for a reconcile to try it again and again."""
    event, setup, cause = work.event, work.setup, outcome.settling.cause
    if setup is None or cause is None or event.source != "referral_factory" or event.origin == inbox.WRITE_BACK:
        return
    try:
        said = event_from(event.topic, object_from(event.payload or b"", event.content_type))
    except (NotUnderstood, InvalidRequest):
        return
    sent = Sent("failed", Cause(cause), str(error))
    verb = "qualify" if isinstance(said, Qualified) else "send"
    outcome.activity.append(activity_row(setup, said.person, verb, sent, None, event.id))
    if isinstance(said, Joined) and said.person.audience is not None:
        outcome.people.append(_person_record(setup, event, said.person, sent, None, False))
