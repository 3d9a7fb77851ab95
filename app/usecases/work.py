"""Claimed events with all that their work reads, and one of them in hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.errors import InvalidRequest, NotUnderstood
from app.core.events import Change, IntercomNotification
from app.integrations.budget import Pace
from app.storage import erasures, inbox, links, people, sync_outcomes, syncs
from app.storage.inbox import LEASE, Event
from app.storage.links import Creation, Link
from app.usecases.outcomes import Outcome
from app.usecases.send_person import Trail
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from app.usecases.ways_out import WaysOut
from schemas.bodies import object_from
from schemas.intercom import notification_from


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of people, by their keys; ``sent_at``, ``joined_at`` and who was ``enrolled`` by a sync: by key,
    campaign and audience."""

    links: Mapping[str, Link] = field(default_factory=dict)
    open_creations: Mapping[str, Sequence[Creation]] = field(default_factory=dict)
    sent_at: Mapping[tuple[str, int, str], datetime] = field(default_factory=dict)
    joined_at: Mapping[tuple[str, int, str], datetime] = field(default_factory=dict)
    enrolled: frozenset[tuple[str, int, str]] = frozenset()


def load_known(connection: Connection, keys: Collection[str]) -> Known:
    """Only of people whose lease is held: of others it may change at any moment."""
    times = people.times(connection, keys)
    return Known(
        links.links_of(connection, keys),
        links.open_creations(connection, keys),
        {key: sent for key, (sent, _) in times.items() if sent is not None},
        {key: joined for key, (_, joined) in times.items() if joined is not None},
        people.enrolled(connection, keys),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that ``owner`` has claimed, with all that their work reads, fetched in a few queries.

    ``notices`` are Intercom's notifications as far as they are understood, by event; ``contacts`` the people who are
    those contacts, by workspace and contact; ``namesakes`` those with the email of a contact that was merged with an
    unnamed one, by person key.
    """

    owner: str
    events: Sequence[Event]
    setups: Mapping[int, Setup] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    notices: Mapping[int, IntercomNotification] = field(default_factory=dict)
    contacts: Mapping[tuple[int, str], Sequence[Row[Any]]] = field(default_factory=dict)
    namesakes: Mapping[str, Sequence[Row[Any]]] = field(default_factory=dict)
    syncs: Sequence[Row[Any]] = ()
    looked_at: Mapping[tuple[int, str], Row[Any]] = field(default_factory=dict)
    """What became of contacts in these syncs, by sync and contact."""

    anybody_erased: bool = False
    """Whether anybody was ever erased on request."""

    def syncs_of(self, workspace_id: int) -> list[Row[Any]]:
        """Those that are going on there."""
        return [row for row in self.syncs if row.workspace_id == workspace_id]

    def people_of(self, event: Event, notice: IntercomNotification) -> list[Row[Any]]:
        """Who is the contact that a notification names, or was, or may have been, the one that was merged into it."""
        named = dict.fromkeys(one for one in (notice.contact_id, notice.merged_from) if one)
        found = [row for one in named for row in self.contacts.get((event.workspace_id, one), ())]
        return found or list(self.namesakes.get(event.person_key or "", ()) if _takes_in_anybody(notice) else ())


def load_batch(services: Services, owner: str, events: Sequence[Event]) -> Batch:
    """A bounded number of queries, however many events. Settings are read after the claim, so that an event is worked
    on with settings no older than itself."""
    notices = {event.id: notice for event in events if (notice := _notice(event)) is not None}
    keys = {event.person_key for event in events if event.person_key}
    with services.database.reading() as connection:
        contacts = _contacts(connection, events, notices)
        namesakes = _namesakes(connection, events, notices)
        campaigns = {event.campaign_id for event in events if event.campaign_id is not None}
        campaigns |= {row.campaign_id for found in (contacts, namesakes) for rows in found.values() for row in rows}
        going_on = syncs.of_workspaces(connection, {event.workspace_id for event in events if event.id in notices})
        campaigns |= {row.campaign_id for row in going_on}
        setups = load_setups(connection, campaigns, services.now())
        known, looked_at = load_known(connection, keys), _looked_at(connection, going_on, notices)
        erased = erasures.mark(connection, services.vault) is not None
        return Batch(owner, events, setups, known, notices, contacts, namesakes, going_on, looked_at, erased)


def _looked_at(
    connection: Connection, going_on: Sequence[Row[Any]], notices: Mapping[int, IntercomNotification]
) -> dict[tuple[int, str], Row[Any]]:
    named = {notice.contact_id for notice in notices.values() if notice.contact_id}
    rows = sync_outcomes.of_contacts(connection, {row.id for row in going_on}, named)
    return {(row.sync_id, row.subject): row for row in rows}


def _notice(event: Event) -> IntercomNotification | None:
    """``None`` where it is none, or not understood, which is told when the event's turn comes."""
    if event.source != "intercom":
        return None
    try:
        return notification_from(object_from(event.payload or b"", event.content_type))
    except (NotUnderstood, InvalidRequest):
        return None


def _contacts(
    connection: Connection, events: Sequence[Event], notices: Mapping[int, IntercomNotification]
) -> dict[tuple[int, str], list[Row[Any]]]:
    """In one query: a workspace's million contacts that are nobody of ours cost no more."""
    of_people = [notice for notice in notices.values() if notice.change is not None]
    named = {one for notice in of_people for one in (notice.contact_id, notice.merged_from) if one}
    found: dict[tuple[int, str], list[Row[Any]]] = {}
    for row in people.by_contacts(connection, {event.workspace_id for event in events}, named):
        found.setdefault((row.workspace_id, row.contact_id), []).append(row)
    return found


def _takes_in_anybody(notice: IntercomNotification) -> bool:
    """A merge that does not name the contact it ended, as in notifications recorded in January 2026."""
    return notice.change is Change.MERGED and notice.merged_from is None


def _namesakes(
    connection: Connection, events: Sequence[Event], notices: Mapping[int, IntercomNotification]
) -> dict[str, list[Row[Any]]]:
    keys = {event.person_key for event in events if event.id in notices and _takes_in_anybody(notices[event.id])}
    found: dict[str, list[Row[Any]]] = {}
    for row in people.by_person_keys(connection, {key for key in keys if key}):
        found.setdefault(row.person_key, []).append(row)
    return found


@dataclass(slots=True)
class Work:
    """One event in hand. ``setup`` is ``None`` for an event of no campaign."""

    services: Services
    event: Event
    batch: Batch
    setup: Setup | None
    trail: Trail = field(default_factory=Trail)
    leased: set[str] = field(default_factory=set)
    _ways: dict[int, WaysOut] = field(default_factory=dict)

    def ways_of(self, setup: Setup) -> WaysOut:
        """The ways out of a campaign's connections, the same throughout this work."""
        pace = Pace.BULK if self.event.origin == inbox.BACKFILL else Pace.LIVE
        return self._ways.setdefault(setup.campaign_id, WaysOut(self.services, setup, pace))

    def lease_also(self, keys: Collection[str]) -> bool:
        """Whether these people's leases could all be taken besides the event's own."""
        wanted = set(keys) - self.leased
        if wanted:
            with self.services.database.writing() as connection:
                self.leased |= inbox.lease_people(connection, wanted, self.batch.owner, self.services.now(), LEASE)
        return wanted <= self.leased

    def proven(self, error: Exception | None) -> frozenset[str]:
        """The circuits that may be closed, of all ways that were gone."""
        return frozenset(name for ways in self._ways.values() for name in ways.proven(error))

    def kept(self, outcome: Outcome) -> Outcome:
        """The outcome with what became true on the way."""
        outcome.links = [self.trail.link] if self.trail.link else []
        outcome.creations = self.trail.creations
        outcome.refused += self.trail.refused
        outcome.also_leased = self.leased
        return outcome
