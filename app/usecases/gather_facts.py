"""What a diagnosis looks at, gathered: a bounded number of queries, then at most a few reads of the vendors.

A vendor that can't be asked is a finding and never an error. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection as Database
from sqlalchemy import Row

from app.core.audiences import AudienceSettings
from app.core.causes import Cause
from app.core.diagnosis.checks import Question
from app.core.diagnosis.facts import (
    Asked,
    Asker,
    Away,
    Connection,
    Deed,
    Elsewhere,
    Event,
    Facts,
    Gone,
    Known,
    Outcome,
    Read,
    Room,
    Segment,
    Sync,
    Tally,
    Webhooks,
)
from app.core.duplicates import Match, choose
from app.core.erasure import Kind
from app.core.errors import ApiError, InvalidRequest, Vendor
from app.core.identity import contact_key, person_key, referral_factory_key
from app.core.mapping import setup_required
from app.core.people import Audience, Contact, Person, normalised_email
from app.core.retry import decide
from app.core.setup import link_attributes
from app.core.syncs import Contacts, seconds_left
from app.integrations.intercom import HOSTS, GoneKind, Intercom
from app.storage import (
    activity,
    campaigns,
    erasures,
    evidence,
    heard,
    links,
    observations,
    programs,
    reconciles,
    reservations,
    syncs,
    workspaces,
)
from app.storage.circuits import permission_circuit, vendor_circuit
from app.storage.links import Link
from app.storage.observations import Seen
from app.usecases.records import person_of
from app.usecases.services import Services
from app.usecases.setups import Setup, intercom_of, load_setups
from schemas.audiences import audience_settings_from
from schemas.syncs import sync_settings_from

MOST_DEEDS, MOST_EVENTS, MOST_SYNCS, MOST_OTHERS = 200, 200, 20, 100

LATELY = timedelta(days=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known here: the facts without what the vendors say, and what it takes to ask them."""

    facts: Facts
    setup: Setup
    contact_id: str | None


def gather_facts(services: Services, campaign_id: int, asked: Asked, asker: Asker | None = None) -> Facts:
    """Raises: InvalidRequest 404 for an unknown campaign."""
    kept = facts_kept(services, campaign_id, asked, asker)
    return _with_vendors(services, kept)


# What is kept here


def facts_kept(services: Services, campaign_id: int, asked: Asked, asker: Asker | None) -> Kept:
    """Raises: InvalidRequest 404."""
    now = services.now()
    with services.database.reading() as connection:
        setup = load_setups(connection, [campaign_id], now).get(campaign_id)
        campaign = campaigns.get(connection, campaign_id)
        if setup is None or campaign is None:
            raise InvalidRequest("There is no such campaign.", status=404, cause=Cause.NOT_FOUND)
        facts = Facts(
            now=now,
            asked=asked,
            asker=asker,
            campaign_id=campaign_id,
            campaign_name=setup.campaign_name,
            archived=setup.archived,
            rules=setup.rules,
            audiences=setup.audiences,
            workspace=workspace_of(setup.workspace, setup.open_circuits),
            program=program_of(setup.program, setup.open_circuits),
            catalogue=setup.catalogue,
            refused=setup.refused,
            segments=_segments(connection, setup),
            others=_elsewhere(connection, setup),
            webhooks=_webhooks(connection, setup, services),
            room=_room(connection, setup, campaign.user_limit, services),
            reconcile_seconds=services.reconcile_interval.total_seconds(),
        )
        if asked.email is not None:
            return _of_person(connection, services, facts, setup, asked.email)
        return Kept(_of_campaign(connection, facts), setup, None)


def workspace_of(row: Row[Any], shut: Mapping[str, str]) -> Connection:
    """A workspace's row; ``shut`` are the open circuits' causes by name."""
    return Connection(
        id=row.id,
        name=row.name,
        connected=row.state == workspaces.CONNECTED,
        cause=_cause(row.state_cause),
        region=row.region,
        app_id=row.app_id,
        missing=tuple(row.missing_permissions),
        refreshed_at=row.refreshed_at,
        away=_away(shut, Vendor.INTERCOM, row.id),
    )


def program_of(row: Row[Any], shut: Mapping[str, str]) -> Connection:
    """The same of a program's."""
    return Connection(
        id=row.id,
        name=row.name,
        connected=row.state == programs.CONNECTED,
        cause=_cause(row.state_cause),
        away=_away(shut, Vendor.REFERRAL_FACTORY, row.id),
    )


def _cause(name: str | None) -> Cause | None:
    return Cause(name) if name else None


def _away(shut: Mapping[str, str], vendor: Vendor, connection_id: int) -> tuple[Away, ...]:
    whole = vendor_circuit(vendor.value, connection_id)
    parts = permission_circuit(vendor.value, connection_id, "")
    return tuple(
        Away(Cause(cause), name.removeprefix(parts) if name != whole else None)
        for name, cause in sorted(shut.items())
        if name == whole or name.startswith(parts)
    )


def _segments(connection: Database, setup: Setup) -> tuple[Segment, ...]:
    rows = workspaces.all_segments(connection, setup.workspace.id)
    return tuple(Segment(row.id, row.name, row.person_type, row._mapping["count"]) for row in rows)


def _elsewhere(connection: Database, setup: Setup) -> tuple[Elsewhere, ...]:
    rows = campaigns.others_of_workspace(connection, setup.workspace.id, setup.campaign_id)[:MOST_OTHERS]
    found: dict[int, set[str]] = {row.id: set() for row in rows}
    for one in campaigns.newest_audiences(connection, list(found)) if found else ():
        found[one.campaign_id] |= _links_of(audience_settings_from(one.settings))
    return tuple(Elsewhere(row.id, row.name, frozenset(found[row.id])) for row in rows)


def _links_of(settings: AudienceSettings) -> frozenset[str]:
    return link_attributes(settings) if not setup_required(settings) else frozenset()


def _webhooks(connection: Database, setup: Setup, services: Services) -> Webhooks:
    since = services.now() - LATELY
    missed = evidence.found_missed(connection, reconciles.REFERRAL_FACTORY, setup.program.id, since)
    from_intercom = heard.topics(connection, heard.workspace_scope(setup.workspace.id))
    return Webhooks(
        last_at=heard.topics(connection, heard.campaign_scope(setup.campaign_id)),
        found=missed.found,
        found_at=missed.last_at,
        last_from_intercom=max(from_intercom.values(), default=None),
    )


def _room(connection: Database, setup: Setup, campaign_limit: int | None, services: Services) -> Room:
    """As far as users were counted; nobody is asked."""
    program = setup.program
    if program.counted_at is None or (program.user_limit is None and campaign_limit is None):
        return Room(program.user_limit, campaign_limit, None, program.counted_at)
    held = reservations.of_others(connection, program.id, 0, services.now())
    rooms = []
    if program.user_limit is not None:
        rooms.append(program.user_limit - sum(program.user_counts.values()) - sum(held.values()))
    if campaign_limit is not None:
        own = int(program.user_counts.get(setup.referral_factory_id, 0))
        rooms.append(campaign_limit - own - held.get(setup.campaign_id, 0))
    return Room(program.user_limit, campaign_limit, max(0, min(rooms)), program.counted_at)


# Of a campaign


def _of_campaign(connection: Database, facts: Facts) -> Facts:
    rows = evidence.latest_deeds(connection, facts.campaign_id, MOST_DEEDS)
    events = evidence.events_of_campaign(connection, facts.campaign_id, facts.workspace.id, MOST_EVENTS)
    left_out = evidence.fields_left_out(rows)
    return replace(
        facts,
        tallies=_tallies([_deed(row) for row in rows]),
        fields_left_out={(path, Cause(cause)): count for (path, cause), count in left_out.items()},
        events=[_event(row) for row in events],
        before_setup={
            audience: evidence.before_setup(connection, facts.campaign_id, audience.value) for audience in Audience
        },
        syncs=_syncs(connection, facts, None),
    )


def _tallies(deeds: Sequence[Deed]) -> tuple[Tally, ...]:
    """By audience, verb, outcome and cause, those that came up last first. Who was sent later is not left out."""
    sent = {
        (one.audience, one.email) for one in deeds if one.verb == "send" and one.outcome in ("created", "updated")
    }
    kept = [one for one in deeds if one.outcome in ("created", "updated") or (one.audience, one.email) not in sent]
    alike: dict[tuple[object, ...], list[Deed]] = {}
    for one in kept:
        alike.setdefault((one.audience, one.verb, one.outcome, one.cause), []).append(one)
    return tuple(_tally(each) for each in alike.values())


def _tally(alike: Sequence[Deed]) -> Tally:
    newest = alike[0]
    return Tally(newest.audience, newest.verb, newest.outcome, newest.cause, len(alike), newest)


def _deed(row: Row[Any]) -> Deed:
    return Deed(
        id=row.id,
        at=row.at,
        audience=Audience(row.audience) if row.audience else None,
        verb=row.verb,
        outcome=row.outcome,
        cause=_cause(row.cause),
        detail=row.detail,
        email=row.email,
        contact_id=row.contact_id,
        contact_role=row.contact_role,
        fields=tuple((one["to"], _cause(one["cause"])) for one in row.fields),
        event_id=row.event_id,
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        source=row.source,
        topic=row.topic,
        origin=row.origin,
        status=row.status,
        received_at=row.received_at,
        cause=_cause(row.cause),
        error=row.error,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        held_by=row.held_by,
    )


# Of a person


def _of_person(connection: Database, services: Services, facts: Facts, setup: Setup, email: str) -> Kept:
    rows = evidence.records_of(connection, facts.campaign_id, email)
    deeds = [_deed(row) for row in activity.of_person(connection, facts.campaign_id, email, None, MOST_DEEDS)]
    key = person_key(setup.workspace.id, email)
    link = links.links_of(connection, [key]).get(key)
    seen = observations.of_people(connection, [row.id for row in rows])
    contact_id = next((row.contact_id for row in rows if row.contact_id), link.contact_id if link else None)
    keys = {key, *(_other_keys(setup, rows, contact_id))}
    named = {deed.event_id for deed in deeds[:50] if deed.event_id is not None}
    events = evidence.events_of_person(connection, keys, named, MOST_EVENTS)
    found = replace(
        facts,
        people=[_known(row, link, deeds, seen, facts) for row in rows],
        erased_at=_erased_at(connection, services, setup, email) if not rows else None,
        deeds=deeds,
        events=[_event(row) for row in events],
        syncs=_syncs(connection, facts, contact_id),
    )
    return Kept(found, setup, contact_id)


def _erased_at(connection: Database, services: Services, setup: Setup, email: str) -> datetime | None:
    mark = erasures.mark(connection, services.vault)
    if mark is None:
        return None
    return evidence.erased_at(connection, mark.of(Kind.EMAIL, setup.workspace.id, email))


def _other_keys(setup: Setup, rows: Sequence[Row[Any]], contact_id: str | None) -> set[str]:
    """Under which events stand that name no email."""
    ids = {name for row in rows for name in (row.referral_factory_id, row.code) if name}
    keys = {referral_factory_key(setup.campaign_id, one) for one in ids}
    return keys | ({contact_key(setup.workspace.id, contact_id)} if contact_id else set())


def _known(
    row: Row[Any],
    link: Link | None,
    deeds: Sequence[Deed],
    seen: Mapping[tuple[int, str], Seen],
    facts: Facts,
) -> Known:
    audience = Audience(row.audience)
    rule = facts.settings(Audience.LEADS).qualification
    of_rule = seen.get((row.id, rule.attribute), Seen()) if rule is not None else Seen()
    made_by_us = link is not None and link.made_for_campaign_id is not None
    return Known(
        id=row.id,
        audience=audience,
        person=person_of(row).completed({"campaign.name": facts.campaign_name}),
        contact_id=row.contact_id,
        contact_role=row.contact_role,
        made_by_us=made_by_us,
        joined_before_setup=bool(row.joined_before_setup),
        joined_at=row.joined_received_at or row.created_at,
        sent_at=row.sent_received_at,
        enrolled_by=row.enrolled_by,
        state=row.qualification_state,
        state_cause=_cause(row.qualification_cause),
        state_since=row.qualification_since,
        first=of_rule.first,
        spans=of_rule.spans,
        deeds=tuple(one for one in deeds if one.audience in (audience, None)),
    )


# Syncs


def _syncs(connection: Database, facts: Facts, contact_id: str | None) -> tuple[Sync, ...]:
    page = syncs.page(connection, campaign_id=facts.campaign_id, before=None, limit=MOST_SYNCS)
    real = [row for row in page if row.kind == syncs.SYNC and not row.dry_run]
    email = facts.asked.email
    outcomes: Sequence[Row[Any]] = ()
    if email is not None:
        outcomes = evidence.outcomes_of_contact(connection, {row.id for row in real}, email, contact_id)
    of_contact = {one.sync_id: _outcome(one) for one in outcomes}
    shown = [row.id for row in real if row is real[0] or row.state not in syncs.OVER][:5]
    sampled = evidence.left_out(connection, shown) if email is None else ()
    return tuple(_sync(row, sampled, of_contact.get(row.id)) for row in real)


def _outcome(row: Row[Any], count: int = 1) -> Outcome:
    return Outcome(row.outcome, _cause(row.cause), row.detail, row.at, row.contact_id or row.subject, count)


def _sync(row: Row[Any], sampled: Sequence[Row[Any]], of_contact: Outcome | None) -> Sync:
    going_on = row.state in (syncs.QUEUED, syncs.RUNNING) and row.look <= 1
    left = seconds_left(total=row.total, looked_at=row.looked_at, busy_seconds=row.busy_seconds)
    return Sync(
        id=row.id,
        state=row.state,
        settings=sync_settings_from(row.settings),
        cause=_cause(row.cause),
        started_at=row.started_at,
        finished_at=row.finished_at,
        next_look_at=row.due_at if row.state == syncs.WATCHING else None,
        seconds_left=left if going_on else None,
        **{name: row._mapping[name] for name in ("total", "looked_at", "added", "existing", "skipped", "failed")},
        left_out=_left_out([one for one in sampled if one.sync_id == row.id]),
        of_contact=of_contact,
    )


def _left_out(rows: Sequence[Row[Any]]) -> tuple[Outcome, ...]:
    """By cause, of blank values by attribute too; those that came up most first."""
    alike: dict[tuple[str, str | None, str | None], list[Row[Any]]] = {}
    for row in rows:
        detail = row.detail if row.cause == Cause.BLANK_MAPPED_VALUE else None
        alike.setdefault((row.outcome, row.cause, detail), []).append(row)
    found = [_outcome(each[0], len(each)) for each in alike.values()]
    return tuple(sorted(found, key=lambda one: -one.count))


# What the vendors say


def _with_vendors(services: Services, kept: Kept) -> Facts:
    facts = kept.facts
    asks_tokens = facts.asked.question is Question.CANNOT_CONNECT or (
        facts.asked.question is None and not facts.person_asked
    )
    if asks_tokens:
        facts = _with_tokens(services, kept.setup, facts)
    if facts.asked.email is None:
        return facts
    facts = replace(
        facts,
        contact=_contact(services, kept, facts.asked.email),
        referral=_referral(services, kept, facts.asked.email),
    )
    return _with_membership(services, kept, facts)


def _asked(services: Services, connection: Connection, vendor: Vendor, ask: Callable[[], T]) -> Read[T]:
    """An answer with its time. Who is known to be away is not asked: it would take long, and say the same."""
    now = services.now()
    if not connection.connected:
        lost = Cause.WORKSPACE_DISCONNECTED if vendor is Vendor.INTERCOM else Cause.REFERRAL_FACTORY_UNAUTHORIZED
        return Read(now, cause=connection.cause or lost, said=f"{vendor.label} was not asked: it is disconnected.")
    shut = next((one for one in connection.away if one.permission is None), None)
    if shut is not None:
        return Read(now, cause=shut.cause, said=f"{vendor.label} was not asked: it is away at the moment.")
    try:
        return Read(now, ask())
    except ApiError as error:
        return Read(now, cause=decide(error, 0, ()).cause, said=str(error))


def ask_intercom(services: Services, row: Row[Any], workspace: Connection) -> Connection:
    """Whether the token is taken at this moment; a refused one is tried where the other regions answer."""
    refused = workspace.cause is Cause.INTERCOM_UNAUTHORIZED
    if workspace.connected:
        me = _asked(services, workspace, Vendor.INTERCOM, lambda: intercom_of(services, row).me().region or "")
        workspace = replace(workspace, token=me)
        refused = me.cause is Cause.INTERCOM_UNAUTHORIZED
    return replace(workspace, other_region=_other_region(services, row)) if refused else workspace


def ask_referral_factory(services: Services, row: Row[Any], program: Connection) -> Connection:
    """The same of a program; its list of campaigns is the cheapest proof there is."""
    if not program.connected:
        return program

    def ask() -> str:
        token = services.vault.open(row.token)
        return str(len(services.vendors.referral_factory(token=token, budget_key=str(row.id)).campaigns()))

    return replace(program, token=_asked(services, program, Vendor.REFERRAL_FACTORY, ask))


def _with_tokens(services: Services, setup: Setup, facts: Facts) -> Facts:
    return replace(
        facts,
        workspace=ask_intercom(services, setup.workspace, facts.workspace),
        program=ask_referral_factory(services, setup.program, facts.program),
    )


def _other_region(services: Services, row: Row[Any]) -> str | None:
    """Where the token is taken. Who does not answer is not the one."""
    if row.token is None or not services.vendors.regions_differ:
        return None
    token = services.vault.open(row.token)
    for region in HOSTS:
        if region == row.region:
            continue
        try:
            services.vendors.intercom(region=region, token=token, budget_key=None).me()
        except ApiError:
            continue
        return region
    return None


def _contact(services: Services, kept: Kept, email: str) -> Read[Contact | Gone]:
    """The contact by its id, followed where it was merged; without one, whom a search for the address shows."""

    def ask() -> Contact | Gone | None:
        intercom = kept.setup.intercom(services)
        if kept.contact_id is None:
            match = choose(intercom.search_email(email))
            return match.contact if isinstance(match, Match) else None
        return _by_id(intercom, kept.contact_id)

    read = _asked(services, kept.facts.workspace, Vendor.INTERCOM, ask)
    return Read(read.at, read.value, read.cause, read.said)


def _by_id(intercom: Intercom, contact_id: str) -> Contact | Gone:
    found = intercom.contact(contact_id)
    if isinstance(found, Contact):
        return found
    merged = found.kind is GoneKind.MERGED or found.canonical_id is not None
    if found.canonical_id is not None:
        survivor = intercom.contact(found.canonical_id)
        if isinstance(survivor, Contact):
            return survivor
    return Gone(merged, found.canonical_id)


def _referral(services: Services, kept: Kept, email: str) -> Read[Sequence[Person]]:
    """The person as Referral Factory has them, by the id that is known, else by the address."""
    names = [name for one in kept.facts.people if (name := one.person.referral_factory_id or one.person.code)]

    def ask() -> Sequence[Person]:
        api = kept.setup.referral_factory(services)
        if len(names) != 1:
            return tuple(api.find_by_email(kept.setup.referral_factory_id, email))
        found = api.user(names[0])
        return (found,) if found is not None else ()

    return _asked(services, kept.facts.program, Vendor.REFERRAL_FACTORY, ask)


def _with_membership(services: Services, kept: Kept, facts: Facts) -> Facts:
    """Whether the contact is in the segment of the ongoing sync that has not come upon it, if there is one."""
    contact = facts.contact_now
    concerned = facts.asked.question in (None, Question.NEW_CONTACTS_NOT_ENROLLED)
    sync = next((one for one in facts.syncs if _has_not_seen(one)), None)
    if contact is None or sync is None or not concerned:
        return facts
    query = {
        "operator": "AND",
        "value": [
            {"field": "segment_id", "operator": "=", "value": sync.settings.segment_id},
            {"field": "id", "operator": "=", "value": contact.id},
        ],
    }
    read = _asked(
        services,
        kept.facts.workspace,
        Vendor.INTERCOM,
        lambda: bool(kept.setup.intercom(services).search(query).contacts),
    )
    told = replace(sync, is_member=read)
    return replace(facts, syncs=[told if one is sync else one for one in facts.syncs])


def _has_not_seen(sync: Sync) -> bool:
    by_segment = sync.settings.ongoing and sync.settings.contacts is Contacts.SEGMENT
    return by_segment and not sync.is_over and sync.of_contact is None


def asked_for(
    *,
    question: Question | None = None,
    email: str | None = None,
    attribute: str | None = None,
    segment: str | None = None,
) -> Asked:
    """What somebody wants to know, with the address in the form in which people are kept."""
    return Asked(question, normalised_email(email) or None if email else None, attribute, segment)
