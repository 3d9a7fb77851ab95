"""A person is erased on request, here and nowhere else: neither vendor is touched.

The person is whoever has the same email, or is the same contact, in any campaign that has their workspace or their
program in common: a lead of two campaigns, or a lead and a referrer, is erased as a whole. ``app.storage.erasing``
says what becomes of each table.

The record comes first, with the digests by which they are passed by, in one transaction with the removal of all that
shows them or could be worked on. The rest (what is long done, and mentions in what is others') follows in small
steps, at once as far as somebody can wait, then by the clock; a step that dies is done again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.causes import Cause
from app.core.erasure import Mark, Names, Who, redacted, referrer_in, texts_in, without_referrer
from app.core.errors import InvalidRequest, NotUnderstood
from app.storage import audit_log, erasing, erasures, inbox, people
from app.storage.erasures import Erasing
from app.storage.inbox import LEASE
from app.usecases.erased_mentions import Gone, Left, Redacted, fate_of
from app.usecases.services import Services
from app.usecases.show_person import known_person
from schemas.bodies import object_from
from schemas.intercom import notification_from

PATIENCE_SECONDS = 2.0
"""How long somebody who asks waits for workers to be done with the person."""

AT_ONCE_SECONDS = 5.0
"""How long somebody who asks waits for the rest; then the clock goes on with it."""

A_TURN_SECONDS = 20.0

log = structlog.get_logger(__name__)


def erase_person(services: Services, person_id: int, actor: str) -> int:
    """The id of the record. Nobody finds the person any more; what is left may take the clock some moments.

    Raises: InvalidRequest 404; 409 while a worker has the person in hand.
    """
    with services.database.reading() as connection:
        names = erasing.names_of(connection, known_person(connection, person_id))
    with _leased(services, names):
        begun = _begin(services, person_id, names, actor)
    _carry_on(services, begun, AT_ONCE_SECONDS)
    return begun.id


def go_on_erasing(services: Services) -> int:
    """Go on with every erasure that is not finished; how many there were."""
    with services.database.reading() as connection:
        due = erasures.due(connection, services.now())
    return sum(_go_on(services, erasure_id) for erasure_id in due)


def _go_on(services: Services, erasure_id: int) -> bool:
    with services.database.writing() as connection:
        begun = erasures.take(connection, services.vault, erasure_id, services.now(), LEASE)
    if begun is not None:
        _carry_on(services, begun, A_TURN_SECONDS)
    return begun is not None


# Beginning


@contextmanager
def _leased(services: Services, names: Names) -> Iterator[None]:
    """Nobody works on the person meanwhile, nor on an event about them.

    Raises: InvalidRequest 409.
    """
    owner, keys = f"erase:{uuid.uuid4().hex}", set(names.keys)
    until = time.monotonic() + PATIENCE_SECONDS
    while not _lease(services, keys, owner):
        if time.monotonic() > until:
            raise _busy()
        time.sleep(0.1)
    try:
        yield
    finally:
        with services.database.writing() as connection:
            inbox.release_people(connection, keys, owner)


def _lease(services: Services, keys: set[str], owner: str) -> bool:
    """All of them or none."""
    with services.database.writing() as connection:
        ours = inbox.lease_people(connection, keys, owner, services.now(), LEASE)
        if ours != keys:
            inbox.release_people(connection, set(ours), owner)
        return ours == keys


def _busy() -> InvalidRequest:
    return InvalidRequest(
        "Somebody is at work on this person at the moment. Try again in a few seconds.",
        status=409,
        cause=Cause.WAITING_IN_QUEUE,
    )


def _begin(services: Services, person_id: int, leased: Names, actor: str) -> Erasing:
    """Raises: InvalidRequest 404 where another was faster; 409 where more has become known of them since."""
    now = services.now()
    with services.database.writing() as connection:
        person = known_person(connection, person_id)
        names = erasing.names_of(connection, person)
        if not names.keys <= leased.keys:
            raise _busy()
        mark = erasures.make_mark(connection, services.vault)
        begun = erasures.begin(
            connection,
            services.vault,
            names,
            actor=actor,
            workspace_id=person.workspace_id,
            stage=STAGES[0].name,
            now=now,
            lease=LEASE,
        )
        erasures.note_names(connection, begun.id, names.digests(mark))
        erasing.remove_person(connection, mark, names, now)
        audit_log.record(connection, now, actor, Change.PERSON_ERASED, f"erasure:{begun.id}")
    log.info("erasure_begun", erasure_id=begun.id)
    return begun


# The rest, step by step


def _carry_on(services: Services, begun: Erasing, seconds: float) -> None:
    """As far as it goes in so many seconds."""
    until, standing = time.monotonic() + seconds, begun
    while time.monotonic() < until:
        following = _step(services, standing)
        if following is None:
            services.database.forget_removed()
            log.info("erasure_finished", erasure_id=begun.id)
            return
        standing = following
    with services.database.writing() as connection:
        erasures.go_on(connection, standing, services.now())


def _step(services: Services, standing: Erasing) -> Erasing | None:
    """One step, kept with its place; where the next begins, ``None`` after the last.

    Rows are looked through outside of the transaction, for most of them are nothing to it.
    """
    stage = next(one for one in STAGES if one.name == standing.stage)
    with services.database.reading() as connection:
        found, position = stage.look(connection, standing)
    now = services.now()
    with services.database.writing() as connection:
        if found:
            mark = erasures.make_mark(connection, services.vault)
            stage.change(connection, mark, standing, found, now)
        following = _after(standing, position)
        if following is None:
            erasures.finish(connection, standing.id, now)
        else:
            erasures.go_on(connection, following, now + LEASE)
    return following


def _after(standing: Erasing, position: int | None) -> Erasing | None:
    if position is not None:
        return replace(standing, position=position)
    names = [one.name for one in STAGES]
    later = names[names.index(standing.stage) + 1 :]
    return replace(standing, stage=later[0], position=0) if later else None


Found = Sequence[int]
"""The rows of a step that are to be changed, by id."""

Looked = tuple[Found, int | None]
"""These, and after which row the next step goes on; ``None`` where there is no more."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of thing to go through. ``change`` reads anew what ``look`` has found."""

    name: str
    look: Callable[[Connection, Erasing], Looked]
    change: Callable[[Connection, Mark, Erasing, Found, datetime], None]


# What was done for them


def _look_for_own(connection: Connection, standing: Erasing) -> Looked:
    found = erasing.own_activity(connection, standing.names)
    return found, 0 if found else None


def _remove_activity(connection: Connection, mark: Mark, _standing: Erasing, found: Found, now: datetime) -> None:
    erasing.remove_activity(connection, mark, found, now)


# What became of them in runs


def _look_through_outcomes(connection: Connection, standing: Erasing) -> Looked:
    rows, names = erasing.some_outcomes(connection, standing.position), standing.names
    return [row.id for row in rows if _is_outcome_of(row, names)], rows[-1].id if rows else None


def _is_outcome_of(row: Row[Any], names: Names) -> bool:
    of_backfill = row.subject.removeprefix("person:") if row.subject.startswith("person:") else None
    contact_id = row.contact_id or row.subject
    whose = Who(row.workspace_id, row.campaign_id, row.email, of_backfill, None, contact_id)
    return row.person_id in names.people or names.are(whose)


def _unname_outcomes(connection: Connection, mark: Mark, standing: Erasing, found: Found, _now: datetime) -> None:
    """A run may have come upon a contact of theirs that nobody else knows: that one is passed by, too."""
    rows = erasing.outcomes_by_ids(connection, found)
    contacts = frozenset((row.workspace_id, row.contact_id) for row in rows if row.contact_id is not None)
    erasures.note_names(connection, standing.id, Names(contacts=contacts).digests(mark))
    erasing.unname_outcomes(connection, mark, found)


# Events


def _look_through_events(connection: Connection, standing: Erasing) -> Looked:
    rows = erasing.some_events(connection, standing.position)
    fates = _fates(connection, rows, standing.names)
    return [row.id for row, fate in fates if fate is not None], rows[-1].id if rows else None


def _fates(
    connection: Connection, rows: Sequence[Row[Any]], names: Names
) -> list[tuple[Row[Any], Gone | Redacted | None]]:
    referred = _referred(connection, rows, names)
    return [(row, fate_of(Left(row, row.payload, row.error, row.id in referred), names)) for row in rows]


def _change_events(connection: Connection, mark: Mark, standing: Erasing, found: Found, now: datetime) -> None:
    fates = _fates(connection, erasing.events_by_ids(connection, found), standing.names)
    erasing.remove_events(connection, mark, [row for row, fate in fates if isinstance(fate, Gone)], now)
    changed = [(row, fate) for row, fate in fates if isinstance(fate, Redacted)]
    erasing.change_events(
        connection,
        [
            {
                "row": row.id,
                "new_payload": fate.payload,
                "new_content_type": fate.content_type,
                "new_error": fate.error,
            }
            for row, fate in changed
        ],
    )


def _referred(connection: Connection, rows: Sequence[Row[Any]], names: Names) -> set[int]:
    """The events about contacts of leads whom they have referred: those contacts may have the referrer's name."""
    about = {row.id: contact for row in rows if (contact := _contact_in(row, names)) is not None}
    leads = people.by_contacts(connection, names.workspaces, set(about.values())) if about else ()
    theirs = {(lead.workspace_id, lead.contact_id) for lead in leads if _names_as_referrer(lead, names)}
    return {row.id for row in rows if (row.workspace_id, about.get(row.id)) in theirs}


def _contact_in(row: Row[Any], names: Names) -> str | None:
    if row.source != "intercom" or row.payload is None or row.workspace_id not in names.workspaces:
        return None
    try:
        return notification_from(object_from(row.payload, row.content_type)).contact_id
    except (InvalidRequest, NotUnderstood):
        return None


# Mentions


def _look_through_activity(connection: Connection, standing: Erasing) -> Looked:
    rows, names = erasing.some_activity(connection, standing.position), standing.names
    found = [row.id for row in rows if names.are(_told(row)) or (row.detail and names.are_in(row.detail))]
    return found, rows[-1].id if rows else None


def _change_activity(connection: Connection, mark: Mark, standing: Erasing, found: Found, now: datetime) -> None:
    own = {row.id for row in erasing.activity_by_ids(connection, found) if standing.names.are(_told(row))}
    erasing.remove_activity(connection, mark, sorted(own), now)
    erasing.clear_details(connection, sorted(set(found) - own))


def _told(row: Row[Any]) -> Who:
    return Who(row.workspace_id, row.campaign_id, row.email, row.referral_factory_id, row.code, row.contact_id)


def _look_through_people(connection: Connection, standing: Erasing) -> Looked:
    rows, names = erasing.some_people(connection, standing.position), standing.names
    return [row.id for row in rows if _without(row, names) is not None], rows[-1].id if rows else None


def _change_people(connection: Connection, _mark: Mark, standing: Erasing, found: Found, _now: datetime) -> None:
    changes = {row.id: _without(row, standing.names) for row in erasing.people_by_ids(connection, found)}
    erasing.change_values(connection, {row: values for row, values in changes.items() if values is not None})


def _without(row: Row[Any], names: Names) -> Mapping[str, Any] | None:
    """Somebody else's values without what names them; ``None`` where nothing does."""
    if row.campaign_id not in names.campaigns:
        return None
    values = row._mapping["values"]
    new = without_referrer(values) if _names_as_referrer(row, names) else values
    new = redacted(new, names) if any(map(names.are_in, texts_in(new))) else new
    return new if new != values else None


def _names_as_referrer(row: Row[Any], names: Names) -> bool:
    referrer = referrer_in(row.workspace_id, row.campaign_id, row._mapping["values"])
    return referrer is not None and names.are(referrer)


STAGES = (
    Stage("own_activity", _look_for_own, _remove_activity),
    Stage("outcomes", _look_through_outcomes, _unname_outcomes),
    # Before people: whose lead somebody is tells what their contact may say.
    Stage("events", _look_through_events, _change_events),
    Stage("activity", _look_through_activity, _change_activity),
    Stage("people", _look_through_people, _change_people),
)
