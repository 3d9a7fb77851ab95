"""What came of events, and how it is kept: several in one transaction, each with all that became true on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sentry_sdk
import structlog
from sqlalchemy import Connection

from app.core.causes import Cause
from app.core.text import storable
from app.storage import activity, circuits, inbox, links, observations, people, programs, workspaces
from app.storage.circuits import Broken
from app.storage.database import is_unreachable
from app.storage.inbox import Event, NewEvent, Settling
from app.storage.links import CreationOutcome, Link
from app.storage.observations import NewSights
from app.storage.people import Change, Move, PersonRecord, ReferrerName
from app.usecases import backfill_outcomes, write_back
from app.usecases.leave_out_erased import leave_out_erased
from app.usecases.services import Services

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What became of one event, and what is to be kept of it."""

    event: Event
    settling: Settling
    activity: list[dict[str, Any]] = field(default_factory=list)
    people: list[PersonRecord] = field(default_factory=list)
    sights: NewSights | None = None
    """What was seen of the one in ``people``, who is watched from now on."""
    seen: list[tuple[int, NewSights]] = field(default_factory=list)
    """What was seen of watched leads, by their ids."""
    changes: list[Change] = field(default_factory=list)
    moves: set[Move] = field(default_factory=set)
    referrers: set[ReferrerName] = field(default_factory=set)
    """Whose counts have changed."""
    adds: list[NewEvent] = field(default_factory=list)
    """Work that follows."""
    links: list[Link] = field(default_factory=list)
    creations: list[CreationOutcome] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    opens: Broken | None = None
    """What turned out to be away, and holds this event."""
    closes: frozenset[str] = frozenset()
    """What was away, and has just done what was asked."""
    also_leased: set[str] = field(default_factory=set)
    """People's leases that were taken on the way, to go with the event's own."""


def settling(
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
    """The event's own attempts unless others are given; due at once where no time is."""
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


def failed(event: Event, error: BaseException) -> Outcome:
    """After a bug: known to Sentry and to whoever looks at the event, and not worked on for ever."""
    sentry_sdk.capture_exception(error)
    log.error("event_failed", event_id=event.id, exc_info=error)
    return Outcome(event, settling(event, "dead", Cause.INTERNAL_ERROR, error=type(error).__name__))


def settle(services: Services, owner: str, outcomes: Sequence[Outcome]) -> None:
    """Keep what came of events, several in one transaction; if they can't be kept together, then one by one.

    Raises: DBAPIError where the database is away; what was not kept may be settled again.
    """
    try:
        _commit(services, owner, outcomes)
    except Exception as error:  # whatever one of them brings up, the others are to be kept
        if is_unreachable(error):
            raise
        for outcome in outcomes:
            _settle_alone(services, owner, outcome)


def _settle_alone(services: Services, owner: str, outcome: Outcome) -> None:
    """By itself it may be kept: without what is wrong with another, or now that another worker's write is there."""
    try:
        _commit(services, owner, [outcome])
    except Exception as error:  # that it can't be kept is a bug of ours: the event itself is not lost, and says so
        if is_unreachable(error):
            raise
        bare = failed(outcome.event, error)
        facts = {name: getattr(outcome, name) for name in ("links", "creations", "moves", "seen", "also_leased")}
        _commit(services, owner, [replace(bare, **facts)])


def _commit(services: Services, owner: str, outcomes: Sequence[Outcome]) -> None:
    with services.database.writing() as connection:
        leave_out_erased(connection, services.vault, outcomes)
        released = _record(connection, owner, outcomes, services.now())
    if released:
        services.bell.ring()
    for outcome in outcomes:
        _tell(services, outcome)


def _record(connection: Connection, owner: str, outcomes: Sequence[Outcome], now: datetime) -> bool:
    """Facts about the vendors are kept in any case; what concerns the event only where it is still ours.

    Whether events became due that had waited.
    """
    links.settle_creations(connection, [one for outcome in outcomes for one in outcome.creations])
    links.save_links(connection, [one for outcome in outcomes for one in outcome.links], now)
    moves = {one for outcome in outcomes for one in outcome.moves}
    people.move(connection, moves)
    links.move(connection, moves)
    observations.save(connection, [one for outcome in outcomes for one in outcome.seen], now)
    links.remember_refused(connection, [one for outcome in outcomes for one in outcome.refused], now)
    ours = inbox.still_ours(connection, owner, [outcome.event.id for outcome in outcomes])
    kept = [outcome for outcome in outcomes if outcome.event.id in ours]
    _keep_people(connection, kept, now)
    activity.record(
        connection,
        [{**row, "at": now, "sync_id": outcome.event.sync_id} for outcome in kept for row in outcome.activity],
    )
    for broken in {outcome.opens.name: outcome.opens for outcome in kept if outcome.opens}.values():
        circuits.open_(connection, broken, now)
    settlings = _unless_back(connection, [outcome.settling for outcome in kept], now)
    inbox.settle(connection, owner, settlings, now)
    settled = zip(kept, settlings, strict=True)
    backfill_outcomes.tell(connection, [(one.event, its, one.activity) for one, its in settled], now)
    inbox.release_people(connection, {key for outcome in outcomes for key in outcome.also_leased}, owner)
    added = inbox.add(connection, [one for outcome in kept for one in outcome.adds], now)
    # Nobody is rung for these: whoever settles stays for what is due in a moment.
    write_back.ask(connection, {one for outcome in kept for one in outcome.referrers}, now)
    return _close(connection, {name for outcome in kept for name in outcome.closes}, now) or added > 0


def _keep_people(connection: Connection, kept: Sequence[Outcome], now: datetime) -> None:
    named = [(record, outcome.sights) for outcome in kept for record in outcome.people]
    ids = people.save(connection, [record for record, _ in named], now)
    seen = [(one, sights) for one, (_, sights) in zip(ids, named, strict=True) if sights]
    observations.save(connection, seen, now)
    people.change_open(connection, [one for outcome in kept for one in outcome.changes], now)


def _close(connection: Connection, names: set[str], now: datetime) -> bool:
    """What is back is back for all; a permission that was missing is no longer shown as such."""
    for workspace_id, permission in circuits.permissions_of(names):
        workspaces.have_permission(connection, workspace_id, permission)
    return circuits.close(connection, names, now) > 0


def _unless_back(connection: Connection, settlings: Sequence[Settling], now: datetime) -> list[Settling]:
    """What is to wait for a connection that was given back meanwhile does not: nobody would release it again.

    The connection's row is locked, so that whoever gives it back a moment later sees what waits.
    """
    held = {one.held_by for one in settlings if one.held_by}
    back = workspaces.connected_among(connection, _ids(held, "workspace")) | programs.connected_among(
        connection, _ids(held, "program")
    )
    return [replace(one, held_by=None, next_attempt_at=now) if one.held_by in back else one for one in settlings]


def _ids(held_by: set[str], kind: str) -> list[int]:
    return sorted(int(name.removeprefix(f"{kind}:")) for name in held_by if name.startswith(f"{kind}:"))


def _tell(services: Services, outcome: Outcome) -> None:
    settled = outcome.settling
    waited = (services.now() - outcome.event.received_at).total_seconds()
    services.metrics.settled(outcome.event.source, settled.status, settled.cause, waited)
    for row in outcome.activity:
        services.metrics.activity(row["verb"], row["outcome"], row["cause"])
    log.info(
        "event_settled",
        event_id=outcome.event.id,
        topic=outcome.event.topic,
        status=settled.status,
        cause=settled.cause,
        attempts=settled.attempts,
        seconds=round(waited, 3),
    )
