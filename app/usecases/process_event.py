"""A claimed event is worked on to its settling: understood, carried out, and what came of it written down.

``claim`` and ``settle`` are the two transactions; between them, in ``process``, are the calls to the vendors. A crash
in between leaves a lease that runs out, and every call can be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest, NotUnderstood
from app.core.events import Joined, Qualified
from app.core.identity import person_key
from app.core.mapping import FieldResult, setup_required
from app.core.people import Contact, Person, normalised_email
from app.core.text import storable
from app.storage import inbox, links, people
from app.storage.database import is_unreachable
from app.storage.inbox import Event
from app.storage.links import Creation, Link
from app.storage.people import PersonRecord
from app.usecases.complete_person import complete_person
from app.usecases.failures import after_failure, after_lost_database, held
from app.usecases.find_contact import Sending
from app.usecases.outcomes import Outcome, failed, settle, settling
from app.usecases.send_person import Sent, Trail, Wait, send_person
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from app.usecases.ways_out import WaysOut
from schemas.bodies import object_from
from schemas.intercom import notification_from
from schemas.referral_factory import event_from

__all__ = ["LEASE", "Batch", "Outcome", "claim", "failed", "process", "settle"]

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of people, by their keys; ``sent_at`` by key, campaign and audience."""

    links: Mapping[str, Link] = field(default_factory=dict)
    open_creations: Mapping[str, Sequence[Creation]] = field(default_factory=dict)
    sent_at: Mapping[tuple[str, int, str], datetime] = field(default_factory=dict)


def load_known(connection: Connection, keys: Collection[str]) -> Known:
    """Only of people whose lease is held: of others it may change at any moment."""
    return Known(
        links.links_of(connection, keys), links.open_creations(connection, keys), people.sent_at(connection, keys)
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that ``owner`` has claimed, with all that their work reads, fetched in a few queries."""

    owner: str
    events: Sequence[Event]
    setups: Mapping[int, Setup] = field(default_factory=dict)
    known: Known = field(default_factory=Known)


@dataclass(slots=True)
class Work:
    """One event in hand. ``ways`` is ``None`` for an event of no campaign."""

    services: Services
    event: Event
    batch: Batch
    ways: WaysOut | None
    trail: Trail = field(default_factory=Trail)
    leased: str | None = None

    @property
    def way(self) -> WaysOut:
        if self.ways is None:
            raise LookupError("an event of no campaign has no way out")
        return self.ways

    def lease_also(self, key: str) -> bool:
        """Whether the person's lease could be taken besides the event's own."""
        with self.services.database.writing() as connection:
            taken = inbox.lease_people(connection, {key}, self.batch.owner, self.services.now(), LEASE)
        self.leased = key if taken else None
        return bool(taken)

    def kept(self, outcome: Outcome) -> Outcome:
        """The outcome with what became true on the way."""
        outcome.links = [self.trail.link] if self.trail.link else []
        outcome.creations = self.trail.creations
        outcome.refused = self.trail.refused
        outcome.also_leased = self.leased
        return outcome


def claim(services: Services, owner: str, limit: int) -> Batch:
    """Lease due events to ``owner`` and read what they need. Settings are read after the claim, so that an event
    is worked on with settings no older than itself."""
    now = services.now()
    with services.database.writing() as connection:
        events = inbox.claim(connection, owner, now, limit, LEASE)
    if not events:
        return Batch(owner, events)
    campaigns = {event.campaign_id for event in events if event.campaign_id is not None}
    keys = {event.person_key for event in events if event.person_key}
    with services.database.reading() as connection:
        return Batch(owner, events, load_setups(connection, campaigns, now), load_known(connection, keys))


def process(services: Services, event: Event, batch: Batch) -> Outcome:
    """Work on one event. Whatever a vendor, a payload or a bug does is an outcome with a cause."""
    setup = batch.setups.get(event.campaign_id or 0)
    work = Work(services, event, batch, WaysOut(services, setup) if setup else None)
    with structlog.contextvars.bound_contextvars(event_id=event.id, topic=event.topic):
        try:
            if event.source == "intercom":
                return _from_intercom(event)
            outcome = _from_referral_factory(work, setup)
            if work.ways is not None:
                outcome.closes = work.ways.proven(None)
        except (ApiError, NotUnderstood, InvalidRequest) as error:
            outcome = after_failure(services, event, setup, work.ways, error)
            if outcome.settling.status == "dead":
                outcome.activity = _failure_rows(event, setup, error, outcome)
        except Exception as error:  # noqa: BLE001 - Sentry and the event's page tell of it
            away = is_unreachable(error)
            outcome = after_lost_database(services, event, error) if away else failed(event, error)
        return work.kept(outcome)


# Intercom


def _from_intercom(event: Event) -> Outcome:
    """A contact's change means something only for watched leads and syncs; the payload is other people's data."""
    notification = notification_from(object_from(event.payload or b"", event.content_type))
    if notification.change is None:
        return Outcome(event, settling(event, "done", Cause.TOPIC_WITHOUT_MEANING))
    return Outcome(event, settling(event, "done", Cause.NOT_A_TRACKED_LEAD, drop_payload=True))


# Referral Factory


def _from_referral_factory(work: Work, setup: Setup | None) -> Outcome:
    event = work.event
    if setup is None:
        return Outcome(event, settling(event, "done", Cause.NOT_FOUND))
    if setup.archived:
        return Outcome(event, settling(event, "done", Cause.CAMPAIGN_ARCHIVED))
    said = event_from(event.topic, object_from(event.payload or b"", event.content_type))
    named = said.person.text("campaign_id")
    if named is not None and named != setup.referral_factory_id:
        return _done(setup, event, said.person, "send", Sent("ignored", Cause.CAMPAIGN_MISMATCH))
    match said:
        case Joined(person):
            return held(event, setup) or _joined(work, setup, person)
        case Qualified(person):
            return _qualified(event, setup, person)
        case _:
            return Outcome(event, settling(event, "done", Cause.TOPIC_WITHOUT_MEANING))


def _joined(work: Work, setup: Setup, person: Person) -> Outcome:
    services, event = work.services, work.event
    person = complete_person(services, work.way, setup, person)
    if person.audience is None:
        return _done(setup, event, person, "send", Sent("skipped", Cause.UNKNOWN_IN_REFERRAL_FACTORY))
    missing = setup_required(setup.settings(person.audience))
    if missing:
        outcome = "ignored" if missing[0] is Cause.ACTION_IS_NOTHING else "skipped"
        return _done(setup, event, person, "send", Sent(outcome, missing[0]))
    key = person_key(setup.workspace.id, person.email or "")
    known = work.batch.known
    if person.email and event.person_key != key:
        # The webhook named no email, so the event was leased under another key.
        if not work.lease_also(key):
            due = services.now() + timedelta(seconds=1)
            return Outcome(event, settling(event, "received", Cause.WAITING_IN_QUEUE, due=due))
        with services.database.reading() as connection:
            known = load_known(connection, {key})
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
    )
    sent = send_person(services, work.way, sending, work.trail)
    if isinstance(sent, Wait):
        return _waiting(services, event, sent)
    done = _done(setup, event, person, "send", sent, work.trail.contact, written=sent.outcome != "skipped")
    # The setup was complete: what became of them stands, whenever they joined.
    done.people = [replace(record, joined_before_setup=False) for record in done.people]
    return done


def _waiting(services: Services, event: Event, wait: Wait) -> Outcome:
    """For the search index; where that spends attempts, a conflict with nobody who can be found is behind it."""
    attempts = event.attempts + int(wait.spends_attempt)
    if attempts > len(services.retry_schedule):
        return Outcome(event, settling(event, "dead", Cause.ARCHIVED_CONTACT, attempts=attempts))
    due = services.now() + timedelta(seconds=wait.seconds)
    return Outcome(event, settling(event, "retrying", Cause.WAITING_IN_QUEUE, attempts=attempts, due=due))


def _qualified(event: Event, setup: Setup, person: Person) -> Outcome:
    """Referral Factory holds the person for qualified: nothing is left to do, and it is remembered."""
    outcome = _done(setup, event, person, "qualify", Sent("ignored", Cause.ALREADY_QUALIFIED))
    outcome.people = [
        replace(record, qualification_state="qualified", qualification_since=event.received_at)
        for record in outcome.people
    ]
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
    outcome.activity.append(_activity_row(setup, event, person, verb, sent, contact))
    if person.audience is not None:
        outcome.people.append(_person_record(setup, event, person, sent, contact, written))
    return outcome


def _activity_row(
    setup: Setup, event: Event, person: Person, verb: str, sent: Sent, contact: Contact | None
) -> dict[str, Any]:
    return {
        "campaign_id": setup.campaign_id,
        "audience": person.audience.value if person.audience else None,
        "verb": verb,
        "outcome": sent.outcome,
        "cause": sent.cause.value if sent.cause else None,
        "detail": storable(sent.detail),
        "referral_factory_id": storable(person.referral_factory_id),
        "code": storable(person.code),
        "email": storable(normalised_email(person.email)) or None,
        "workspace_id": setup.workspace.id,
        "contact_id": contact.id if contact else None,
        "contact_role": contact.role.value if contact else None,
        "fields": [_field(one) for one in sent.fields],
        "event_id": event.id,
        "sync_id": None,
    }


def _field(result: FieldResult) -> dict[str, str | None]:
    return {"to": result.to, "cause": result.cause.value if result.cause else None}


def _person_record(
    setup: Setup, event: Event, person: Person, sent: Sent, contact: Contact | None, written: bool
) -> PersonRecord:
    return replace(
        person_record(setup.campaign_id, setup.workspace.id, person),
        contact_id=contact.id if contact else None,
        contact_role=contact.role.value if contact else None,
        sent_received_at=event.received_at if written else None,
        qualification_cause=sent.cause.value if sent.cause else None,
    )


def person_record(campaign_id: int, workspace_id: int, person: Person) -> PersonRecord:
    """What Referral Factory says of someone whose audience is known, fit to be kept."""
    assert person.audience is not None  # noqa: S101 - the caller has looked
    email = storable(normalised_email(person.email)) or None
    return PersonRecord(
        campaign_id=campaign_id,
        audience=person.audience.value,
        workspace_id=workspace_id,
        person_key=person_key(workspace_id, email) if email else None,
        referral_factory_id=storable(person.referral_factory_id),
        code=storable(person.code),
        email=email,
        first_name=storable(person.text("first_name")),
        url=storable(person.text("url")),
        values={name: storable(value) if isinstance(value, str) else value for name, value in person.values.items()},
        contact_id=None,
        contact_role=None,
    )


def _failure_rows(event: Event, setup: Setup | None, error: Exception, outcome: Outcome) -> list[dict[str, Any]]:
    """Whom it concerns is told, where the payload says whom: silence would be a defect."""
    try:
        said = event_from(event.topic, object_from(event.payload or b"", event.content_type))
    except (NotUnderstood, InvalidRequest):
        return []
    if setup is None or outcome.settling.cause is None:
        return []
    verb = "qualify" if isinstance(said, Qualified) else "send"
    sent = Sent("failed", Cause(outcome.settling.cause), str(error))
    return [_activity_row(setup, event, said.person, verb, sent, None)]
