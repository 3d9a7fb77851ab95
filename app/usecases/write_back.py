"""A referrer's link or counts have changed: what the mapping makes of them is written to the referrer's contact.

Asked for as an event of our own, a moment before it is due: whatever changes meanwhile is the same work. What is read
then is what Referral Factory and Intercom say at that moment, and only what differs is written. So our own write,
which Intercom tells us of like any other, asks for nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.core.audiences import Duplicates, MappingRow
from app.core.causes import Cause
from app.core.identity import write_back_key
from app.core.mapping import WRITTEN_BACK, Drafted, draft_back, draft_rows, rows_written_back, update
from app.core.people import Audience, Contact, ContactDraft, Person, Value
from app.storage import inbox, people, syncs
from app.storage.inbox import NewEvent
from app.storage.people import ReferrerName
from app.usecases.find_contact import MOST_TURNS, read
from app.usecases.send_person import Sent
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.ways_out import WaysOut
from app.usecases.write_contact import Notes, WentAwayError, fields_of, without_refused, write_contact
from schemas.syncs import sync_settings_from

COALESCE_SECONDS = 1.0
"""How long changes are gathered before they are written."""

TOPIC = "write_back"


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """What became of it: ``updated``, ``ignored`` where nothing differs, or ``skipped`` with its cause; and what is
    known of the referrer now, by the names of PERSON_FIELDS: link and counts anew, for who they are stands."""

    sent: Sent
    values: Mapping[str, Value]


# Asking


def asks_for(setup: Setup) -> bool:
    """Whether referrers are sent, and a row of theirs is made of their link or counts; or may be, for a sync's."""
    return setup.synced or bool(rows_written_back(setup.settings(Audience.REFERRERS)))


def ask(connection: Connection, named: Collection[ReferrerName], now: datetime) -> int:
    """Ask that these referrers' contacts be written to; how many were not asked for already."""
    if not named:
        return 0
    # In one order, so that two who ask for several can't wait for each other.
    found = sorted(people.referrers(connection, named), key=lambda person: person.id)
    return inbox.add(connection, [_event(person, now) for person in found], now + timedelta(seconds=COALESCE_SECONDS))


def _event(person: Row[Any], now: datetime) -> NewEvent:
    return NewEvent(
        dedupe_key=write_back_key(person.id),
        source="referral_factory",
        topic=TOPIC,
        workspace_id=person.workspace_id,
        campaign_id=person.campaign_id,
        person_key=person.person_key,
        content_type="application/json",
        payload=json.dumps({"person_id": person.id}).encode(),
        received_at=now,
        origin=inbox.WRITE_BACK,
    )


# Writing


def write_back(services: Services, ways: WaysOut, setup: Setup, person: Row[Any], notes: Notes) -> WrittenBack:
    """``person`` is the referrer's row. Link and counts are as Referral Factory says now, or unknown; what was known
    of the person serves for the other parts of a join. ``notes`` hold what was done even where a vendor stood in the
    way.

    Raises: ApiError.
    """
    known: Mapping[str, Value] = person._mapping["values"]
    more = _rows_of_syncs(services, person) if setup.synced else ()
    own = person.sent_received_at is not None and bool(rows_written_back(setup.settings(Audience.REFERRERS)))
    if not own and not more:
        return WrittenBack(Sent("ignored"), known)
    name = person.referral_factory_id or person.code
    found = ways.referral_factory().user(name, counts=True) if name else None
    if found is None:
        return WrittenBack(Sent("skipped", Cause.UNKNOWN_IN_REFERRAL_FACTORY), known)
    changed = {name: found.values[name] for name in WRITTEN_BACK if name in found.values}
    values = {**found.values, **known, **changed}
    told = {name: values[name] for name in values if name in changed or name not in WRITTEN_BACK}
    drafted = without_refused(_drafted(setup, told, more, own=own), setup)
    return WrittenBack(write_differing(services, ways, setup, person.contact_id, drafted, notes), values)


def _drafted(setup: Setup, values: Mapping[str, Value], more: Sequence[MappingRow], *, own: bool) -> Drafted:
    """By the audience's rows where they were sent, and by those of syncs that fill something else."""
    person = Person(Audience.REFERRERS, {**values, "campaign.name": setup.campaign_name})
    drafted = Drafted({}, ())
    if own:
        drafted = draft_back(person, setup.settings(Audience.REFERRERS), setup.catalogue, setup.rules)
    taken = {one.to for one in drafted.fields}
    synced = draft_rows(person, [row for row in more if row.to not in taken], setup.catalogue, setup.rules)
    return Drafted({**synced.values, **drafted.values}, (*drafted.fields, *synced.fields))


def _rows_of_syncs(services: Services, person: Row[Any]) -> Sequence[MappingRow]:
    """What the syncs that came upon the referrer write back; of two that fill the same attribute, the later one."""
    with services.database.reading() as connection:
        found = syncs.of_person(connection, person.id)
    rows = {row.to: row for one in found for row in sync_settings_from(one.settings).write_back}
    return list(rows.values())


def write_differing(
    services: Services,
    ways: WaysOut,
    setup: Setup,
    contact_id: str,
    drafted: Drafted,
    notes: Notes,
    *,
    known: Contact | None = None,
) -> Sent:
    """Write what differs from the contact as read by id. One that is archived stays so. What is ``known``
    to have nothing of it is not read before.

    Raises: ApiError.
    """
    if not drafted.values:
        return Sent("ignored", fields=drafted.fields)
    intercom = ways.intercom()
    for _ in range(MOST_TURNS):
        contact = notes.contact = known or read(intercom, contact_id)
        if contact is None:
            break
        differing = ContactDraft(drafted.values)
        if known is None:
            differing = update(drafted, contact, Duplicates.UPDATE, setup.catalogue)
        known = None
        if not differing.values:
            return Sent("ignored", contact=contact, fields=drafted.fields)
        ways.before_writing()
        try:
            write_contact(services, intercom, setup, differing, contact, notes)
        except WentAwayError:
            contact_id = contact.id  # where it was merged, the next reading follows it
            continue
        fields = fields_of(drafted, notes)
        if differing.values.keys() <= notes.results.keys():
            return Sent("skipped", Cause.VALUE_REFUSED_BY_INTERCOM, contact=notes.contact, fields=fields)
        return Sent("updated", contact=notes.contact, fields=fields)
    return Sent("skipped", Cause.CONTACT_ARCHIVED)
