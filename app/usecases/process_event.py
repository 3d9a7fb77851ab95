"""A claimed event is worked on to its settling: understood, carried out, and what came of it written down.

``claim`` and ``settle`` are the two transactions; between them, in ``process``, are the calls to the vendors. A crash
in between leaves a lease that runs out, and every call can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sentry_sdk
import structlog
from sqlalchemy import Connection

from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest, NotUnderstood, Unauthorized, Vendor
from app.core.events import Joined, Qualified
from app.core.identity import person_key
from app.core.mapping import FieldResult, setup_required
from app.core.people import Contact, Person, normalised_email
from app.core.retry import GiveUp, Park, RetryIn, Scope, decide
from app.core.text import storable
from app.storage import activity, inbox, links, people, workspaces
from app.storage.database import is_unreachable
from app.storage.inbox import Event, Settling
from app.storage.links import Creation, CreationOutcome, Link
from app.storage.people import PersonRecord
from app.usecases.check_connections import check_program, check_workspace
from app.usecases.complete_person import complete_person
from app.usecases.send_person import Sending, Sent, Trail, Wait, send_person
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from schemas.bodies import object_from
from schemas.intercom import notification_from
from schemas.referral_factory import event_from

LEASE = timedelta(seconds=60)

PROBE_SECONDS = 25.0
"""How soon work that waits for a vendor which is away asks again (at most 30 seconds apart)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed events with all that their work reads, fetched in a few queries. ``sent_at`` is by person key,
    campaign and audience."""

    events: Sequence[Event]
    setups: Mapping[int, Setup] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    open_creations: Mapping[str, Sequence[Creation]] = field(default_factory=dict)
    sent_at: Mapping[tuple[str, int, str], datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What became of one event, and what is to be kept of it."""

    event: Event
    settling: Settling
    activity: list[dict[str, Any]] = field(default_factory=list)
    people: list[PersonRecord] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    creations: list[CreationOutcome] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    releases: str | None = None
    """What others wait for and this one was given."""


def claim(services: Services, owner: str, limit: int) -> Batch:
    """Lease due events to ``owner`` and read what they need. Settings are read after the claim, so that an event
    is worked on with settings no older than itself."""
    now = services.now()
    with services.database.writing() as connection:
        events = inbox.claim(connection, owner, now, limit, LEASE)
    if not events:
        return Batch(events)
    keys = {event.person_key for event in events if event.person_key}
    with services.database.reading() as connection:
        return Batch(
            events,
            load_setups(connection, {one.campaign_id for one in events if one.campaign_id is not None}, now),
            links.links_of(connection, keys),
            links.open_creations(connection, keys),
            people.sent_at(connection, keys),
        )


def process(services: Services, event: Event, batch: Batch) -> Outcome:
    """Work on one event. Whatever a vendor, a payload or a bug does is an outcome with a cause."""
    trail = Trail()
    with structlog.contextvars.bound_contextvars(event_id=event.id, topic=event.topic):
        try:
            if event.source == "intercom":
                return _from_intercom(event)
            outcome = _from_referral_factory(services, event, batch, trail)
            return replace(outcome, releases=_was_given(event, batch, outcome))
        except (ApiError, NotUnderstood, InvalidRequest) as error:
            return _kept(event, trail, _after_failure(services, event, batch, error))
        except Exception as error:  # noqa: BLE001 - Sentry and the event's page tell of it
            if is_unreachable(error):
                return _kept(event, trail, _after_lost_database(services, event, error))
            return _kept(event, trail, failed(event, error).settling)


def failed(event: Event, error: BaseException) -> Outcome:
    """After a bug: known to Sentry and to whoever looks at the event, and not worked on for ever."""
    sentry_sdk.capture_exception(error)
    log.error("event_failed", event_id=event.id, exc_info=error)
    return Outcome(event, _settling(event, "dead", Cause.INTERNAL_ERROR, error=type(error).__name__))


def settle(services: Services, owner: str, outcomes: Sequence[Outcome]) -> None:
    """Keep what came of events, several in one transaction; if they can't be kept together, then one by one.

    Raises: DBAPIError where the database is away; what was not kept may be settled again.
    """
    try:
        _commit(services, owner, outcomes)
    except Exception as error:
        if is_unreachable(error):
            raise
        for outcome in outcomes:
            _settle_alone(services, owner, outcome)


def _settle_alone(services: Services, owner: str, outcome: Outcome) -> None:
    """By itself it may be kept: without what is wrong with another, or now that another worker's write is there."""
    try:
        _commit(services, owner, [outcome])
    except Exception as error:
        if is_unreachable(error):
            raise
        # What came of the event can't be kept, which is a bug of ours: the event itself is not lost, and says so.
        bare = failed(outcome.event, error)
        _commit(services, owner, [replace(bare, links=outcome.links, creations=outcome.creations)])


def _commit(services: Services, owner: str, outcomes: Sequence[Outcome]) -> None:
    with services.database.writing() as connection:
        _record(connection, owner, outcomes, services.now())
    for outcome in outcomes:
        settling = outcome.settling
        waited = (services.now() - outcome.event.received_at).total_seconds()
        services.metrics.settled(outcome.event.source, settling.status, settling.cause, waited)
        for row in outcome.activity:
            services.metrics.activity(row["verb"], row["outcome"], row["cause"])
        log.info(
            "event_settled",
            event_id=outcome.event.id,
            topic=outcome.event.topic,
            status=settling.status,
            cause=settling.cause,
            attempts=settling.attempts,
            seconds=round(waited, 3),
        )


def _record(connection: Connection, owner: str, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Facts about the vendors are kept in any case; what concerns the event only where it is still ours."""
    links.settle_creations(connection, [one for outcome in outcomes for one in outcome.creations])
    links.save_links(connection, [one for outcome in outcomes for one in outcome.links], now)
    links.remember_refused(connection, [one for outcome in outcomes for one in outcome.refused], now)
    ours = inbox.still_ours(connection, owner, [outcome.event.id for outcome in outcomes])
    kept = [outcome for outcome in outcomes if outcome.event.id in ours]
    people.save(connection, [one for outcome in kept for one in outcome.people], now)
    activity.record(connection, [{**row, "at": now} for outcome in kept for row in outcome.activity])
    inbox.settle(connection, owner, [outcome.settling for outcome in kept], now)
    for name in {outcome.releases for outcome in kept if outcome.releases}:
        inbox.release_held(connection, name, now)


# Intercom


def _from_intercom(event: Event) -> Outcome:
    """A contact's change means something only for watched leads and syncs; the payload is other people's data."""
    notification = notification_from(object_from(event.payload or b"", event.content_type))
    if notification.change is None:
        return Outcome(event, _settling(event, "done", Cause.TOPIC_WITHOUT_MEANING))
    return Outcome(event, _settling(event, "done", Cause.NOT_A_TRACKED_LEAD, drop_payload=True))


# Referral Factory


def _from_referral_factory(services: Services, event: Event, batch: Batch, trail: Trail) -> Outcome:
    setup = batch.setups[event.campaign_id or 0]
    if setup.archived:
        return Outcome(event, _settling(event, "done", Cause.CAMPAIGN_ARCHIVED))
    said = event_from(event.topic, object_from(event.payload or b"", event.content_type))
    named = said.person.text("campaign_id")
    if named is not None and named != setup.referral_factory_id:
        return _done(setup, event, said.person, "send", Sent("ignored", Cause.CAMPAIGN_MISMATCH))
    match said:
        case Joined(person):
            return _joined(services, event, setup, batch, person, trail)
        case Qualified(person):
            return _qualified(event, setup, person)
        case _:
            return Outcome(event, _settling(event, "done", Cause.TOPIC_WITHOUT_MEANING))


def _joined(services: Services, event: Event, setup: Setup, batch: Batch, person: Person, trail: Trail) -> Outcome:
    if held := _held(setup):
        return Outcome(event, _settling(event, "received", held[1], held_by=held[0]))
    person = complete_person(services, setup, person)
    if person.audience is None:
        return _done(setup, event, person, "send", Sent("skipped", Cause.UNKNOWN_IN_REFERRAL_FACTORY))
    missing = setup_required(setup.settings(person.audience))
    if missing:
        outcome = "ignored" if missing[0] is Cause.ACTION_IS_NOTHING else "skipped"
        return _done(setup, event, person, "send", Sent(outcome, missing[0]))
    key = person_key(setup.workspace.id, person.email or "")
    if person.email and event.person_key != key:
        return _joined_under(services, event, setup, person, key, trail)
    sending = Sending(
        setup=setup,
        person=person,
        audience=person.audience,
        person_key=key,
        event_id=event.id,
        received_at=event.received_at,
        link=batch.links.get(key),
        open_creations=batch.open_creations.get(key, ()),
        sent_at=batch.sent_at.get((key, setup.campaign_id, person.audience.value)),
    )
    return _sent(services, event, sending, trail)


def _joined_under(services: Services, event: Event, setup: Setup, person: Person, key: str, trail: Trail) -> Outcome:
    """The webhook named no email, so the event was leased under another key: this person's lease is taken now."""
    assert person.audience is not None  # noqa: S101 - the caller has looked
    now = services.now()
    owner = f"event:{event.id}"
    with services.database.writing() as connection:
        if not inbox.lease_people(connection, {key}, owner, now, LEASE):
            waiting = _settling(event, "received", Cause.WAITING_IN_QUEUE, due=now + timedelta(seconds=1))
            return Outcome(event, waiting)
    try:
        with services.database.reading() as connection:
            sending = Sending(
                setup=setup,
                person=person,
                audience=person.audience,
                person_key=key,
                event_id=event.id,
                received_at=event.received_at,
                link=links.links_of(connection, [key]).get(key),
                open_creations=links.open_creations(connection, [key]).get(key, ()),
                sent_at=people.sent_at(connection, [key]).get((key, setup.campaign_id, person.audience.value)),
            )
        outcome = _sent(services, event, sending, trail)
        with services.database.writing() as connection:
            # Before the lease goes: whoever is next must see whom we made.
            links.settle_creations(connection, outcome.creations)
            links.save_links(connection, outcome.links, now)
        return outcome
    finally:
        with services.database.writing() as connection:
            inbox.release_people(connection, {key}, owner)


def _sent(services: Services, event: Event, sending: Sending, trail: Trail) -> Outcome:
    sent = send_person(services, sending.setup.intercom(services), sending, trail)
    if isinstance(sent, Wait):
        due = services.now() + timedelta(seconds=sent.seconds)
        attempts = event.attempts + int(sent.spends_attempt)
        if attempts > len(services.retry_schedule):
            return _kept(event, trail, _settling(event, "dead", Cause.ARCHIVED_CONTACT, attempts=attempts))
        waiting = _settling(event, "retrying", Cause.WAITING_IN_QUEUE, due=due, attempts=attempts)
        return _kept(event, trail, waiting)
    outcome = _done(sending.setup, event, sending.person, "send", sent, trail.contact, sending)
    return _kept(event, trail, outcome.settling, outcome)


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
    sending: Sending | None = None,
) -> Outcome:
    """A settled event with its activity and what is known of the person."""
    contact = contact or sent.contact
    outcome = Outcome(event, _settling(event, "done", sent.cause))
    outcome.activity.append(_activity_row(setup, event, person, verb, sent, contact))
    if person.audience is not None:
        outcome.people.append(_person_record(setup, event, person, sent, contact, sending))
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
    setup: Setup, event: Event, person: Person, sent: Sent, contact: Contact | None, sending: Sending | None
) -> PersonRecord:
    assert person.audience is not None  # noqa: S101 - the caller has looked
    email = storable(normalised_email(person.email)) or None
    return PersonRecord(
        campaign_id=setup.campaign_id,
        audience=person.audience.value,
        workspace_id=setup.workspace.id,
        person_key=person_key(setup.workspace.id, email) if email else None,
        referral_factory_id=storable(person.referral_factory_id),
        code=storable(person.code),
        email=email,
        first_name=storable(person.text("first_name")),
        url=storable(person.text("url")),
        values={name: storable(value) if isinstance(value, str) else value for name, value in person.values.items()},
        contact_id=contact.id if contact else None,
        contact_role=contact.role.value if contact else None,
        sent_received_at=event.received_at if sending and sent.outcome in ("created", "updated") else None,
        qualification_cause=sent.cause.value if sent.cause else None,
    )


# What becomes of the event


def _settling(
    event: Event,
    status: str,
    cause: Cause | None = None,
    *,
    attempts: int | None = None,
    due: datetime | None = None,
    held_by: str | None = None,
    error: str | None = None,
    drop_payload: bool = False,
) -> Settling:
    return Settling(
        event_id=event.id,
        person_key=event.person_key,
        status=status,
        attempts=event.attempts if attempts is None else attempts,
        cause=cause.value if cause else None,
        error=storable(error),
        next_attempt_at=due or event.received_at,
        held_by=held_by,
        drop_payload=drop_payload,
    )


def _kept(event: Event, trail: Trail, settling: Settling, outcome: Outcome | None = None) -> Outcome:
    """The outcome with what became true on the way."""
    outcome = outcome or Outcome(event, settling)
    outcome.links = [trail.link] if trail.link else []
    outcome.creations = trail.creations
    outcome.refused = trail.refused
    return outcome


def _held(setup: Setup) -> tuple[str, Cause] | None:
    """What the event waits for as a whole, by the name under which it is released, and why."""
    if setup.workspace.state != workspaces.CONNECTED:
        return f"workspace:{setup.workspace.id}", Cause(setup.workspace.state_cause or Cause.WORKSPACE_DISCONNECTED)
    if setup.program.state != workspaces.CONNECTED:
        return f"program:{setup.program.id}", Cause.REFERRAL_FACTORY_UNAUTHORIZED
    return None


def _after_failure(services: Services, event: Event, batch: Batch, error: Exception) -> Settling:
    """Another attempt, a wait without one, or the end with its cause."""
    now = services.now()
    setup = batch.setups.get(event.campaign_id or 0)
    works = False
    if isinstance(error, Unauthorized) and setup is not None:
        try:
            works = _token_works(services, setup, error.vendor)
        except ApiError as unanswered:
            error = unanswered  # nothing is known of the token; the vendor is asked again later
    verdict = decide(error, event.attempts, services.retry_schedule, random=services.random(), token_works=works)
    attempts, said = event.attempts, str(error)
    log.info("event_not_done", error=type(error).__name__, verdict=type(verdict).__name__)
    match verdict:
        case RetryIn(seconds, cause, spends_attempt):
            return _settling(
                event,
                "retrying",
                cause,
                attempts=attempts + int(spends_attempt),
                due=now + timedelta(seconds=seconds),
                error=said,
            )
        case Park(Scope.VENDOR, _, cause):
            waiting = "retrying" if attempts else "received"
            return _settling(event, waiting, cause, due=now + timedelta(seconds=PROBE_SECONDS), error=said)
        case Park(scope, vendor, cause) if setup is not None:
            waiting = "retrying" if attempts else "received"
            return _settling(event, waiting, cause, held_by=_waits_for(setup, vendor, scope), error=said)
        case GiveUp(cause) | Park(_, _, cause):
            return _settling(event, "dead", cause, attempts=attempts + 1, error=said)


def _after_lost_database(services: Services, event: Event, error: Exception) -> Settling:
    """What was begun is taken up again by the schedule, should the database be back by then."""
    log.warning("database_unreachable", error=type(error).__name__)
    attempts, schedule = event.attempts + 1, services.retry_schedule
    if attempts > len(schedule):
        return _settling(event, "dead", Cause.INTERNAL_ERROR, attempts=attempts, error=type(error).__name__)
    due = services.now() + timedelta(seconds=schedule[attempts - 1])
    return _settling(
        event, "retrying", Cause.WAITING_IN_QUEUE, attempts=attempts, due=due, error=type(error).__name__
    )


_ASKED_OF = {
    Cause.INTERCOM_PERMISSION_MISSING: Vendor.INTERCOM,
    Cause.REFERRAL_FACTORY_UNAUTHORIZED: Vendor.REFERRAL_FACTORY,
}


def _was_given(event: Event, batch: Batch, outcome: Outcome) -> str | None:
    """The permission that a canary waited for and has now, if it is one that is done."""
    setup = batch.setups.get(event.campaign_id or 0)
    vendor = _ASKED_OF.get(Cause(event.cause)) if event.cause else None
    if setup is None or vendor is None or outcome.settling.status != "done":
        return None
    return _waits_for(setup, vendor, Scope.PERMISSION)


def _waits_for(setup: Setup, vendor: Vendor, scope: Scope) -> str:
    whole = f"workspace:{setup.workspace.id}" if vendor is Vendor.INTERCOM else f"program:{setup.program.id}"
    return whole if scope is Scope.CONNECTION else f"{whole}:permission"


def _token_works(services: Services, setup: Setup, vendor: Vendor) -> bool:
    """After a 401 or 403: whether the token itself is still taken. If not, the connection is marked as lost."""
    if vendor is Vendor.INTERCOM:
        return check_workspace(services, setup.workspace)
    return check_program(services, setup.program)
