"""Those who joined before the settings were made are sent, or it is told what would become of them.

Each takes the way of their webhook, as an event of our own, so that whatever holds for a signup holds for them. Only
a few are under way at a time: whoever signs up meanwhile waits for these few and not for thousands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import ApiError
from app.core.identity import backfill_key, person_key, referral_factory_key
from app.core.mapping import setup_required
from app.core.people import Audience
from app.integrations.budget import Pace
from app.storage import inbox, people, sync_outcomes, syncs
from app.storage.inbox import NewEvent
from app.storage.sync_outcomes import ADDED, SKIPPED, UPDATED, SyncOutcome
from app.storage.syncs import Progress, Turn
from app.usecases.backfill_outcomes import subject_of
from app.usecases.check_connections import token_works
from app.usecases.preview_person import Preview, foresee
from app.usecases.reconcile_steps import Delay, delay_after
from app.usecases.records import person_of
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from app.usecases.ways_out import WaysOut
from schemas.referral_factory import webhook_payload_from

AT_ONCE = 40
"""People of one backfill who are under way: fewer than one worker works on at once."""

FORESEEN_AT_ONCE = 10

LOOK = timedelta(seconds=0.5)
"""How soon it is seen that some of them are settled."""

SOONEST_SECONDS = 1.0
"""After a vendor stood in the way, whatever it says."""

_AS_OUTCOME = {"create": ADDED, "update": UPDATED}

log = structlog.get_logger(__name__)


class BackfillPage:
    """The next few people of a backfill."""

    def __init__(self, services: Services, turn: Turn, *_with: object) -> None:
        self._services = services
        self._turn = turn

    def do(self) -> bool:
        """Whether the next may follow at once. What a vendor keeps from being foreseen is foreseen later."""
        services, turn = self._services, self._turn
        audience = Audience(turn.row.audience)
        with services.database.reading() as connection:
            setup = load_setups(connection, {turn.row.campaign_id}, services.now())[turn.row.campaign_id]
        missing = setup_required(setup.settings(audience))
        if setup.archived or missing:
            _fail(services, turn, Cause.CAMPAIGN_ARCHIVED if setup.archived else missing[0])
        elif turn.row.dry_run:
            return _foresee_some(services, turn, setup, audience)
        else:
            _send_some(services, turn, setup)
        return True


def _fail(services: Services, turn: Turn, cause: Cause) -> None:
    now = services.now()
    with services.database.writing() as connection:
        if syncs.is_still(connection, turn):
            moved = {"state": syncs.FAILED, "cause": cause.value, "finished_at": now}
            syncs.keep(connection, turn, Progress(), busy_seconds=0.0, due_at=now, moved=moved)


def _next(connection: Connection, turn: Turn, limit: int) -> Sequence[Row[Any]]:
    row = turn.row
    return people.joined_before(connection, row.campaign_id, row.audience, after=row.position, limit=limit)


def _total(connection: Connection, turn: Turn) -> int:
    row = turn.row
    return (
        int(row.total)
        if row.total is not None
        else people.count_joined_before(connection, row.campaign_id, row.audience)
    )


# Sending


def _send_some(services: Services, turn: Turn, setup: Setup) -> None:
    """As many as there is room for; their outcomes are counted as their events are settled."""
    now = services.now()
    with services.database.writing() as connection:
        if not syncs.is_still(connection, turn):
            return
        under_way = inbox.count_open_of(connection, turn.row.id)
        few = _next(connection, turn, AT_ONCE - under_way) if under_way < AT_ONCE else []
        moved: dict[str, Any] = {"total": _total(connection, turn)}
        inbox.add(connection, [_event(services, turn, setup, row) for row in few], now)
        if few:
            moved["position"] = few[-1].id
        elif not under_way:
            moved |= {"state": syncs.COMPLETED, "finished_at": now}
        syncs.keep(connection, turn, Progress(), busy_seconds=LOOK.total_seconds(), due_at=now + LOOK, moved=moved)
    if few:
        services.bell.ring()


def _event(services: Services, turn: Turn, setup: Setup, row: Row[Any]) -> NewEvent:
    workspace_id = setup.workspace.id
    name = row.referral_factory_id or row.code or ""
    return NewEvent(
        dedupe_key=backfill_key(turn.row.id, row.id),
        source="referral_factory",
        topic="joined",
        workspace_id=workspace_id,
        campaign_id=row.campaign_id,
        person_key=person_key(workspace_id, row.email) if row.email else referral_factory_key(row.campaign_id, name),
        content_type="application/json",
        payload=json.dumps(webhook_payload_from(person_of(row))).encode(),
        received_at=services.now(),
        origin=inbox.BACKFILL,
        sync_id=turn.row.id,
    )


# Telling


def _foresee_some(services: Services, turn: Turn, setup: Setup, audience: Audience) -> bool:
    """What would become of the next few; nothing is written to a vendor. False where a vendor has cut it short."""
    begun = services.now()
    with services.database.reading() as connection:
        few = _next(connection, turn, FORESEEN_AT_ONCE)
    ways = WaysOut(services, setup, Pace.BULK)
    told: list[SyncOutcome] = []
    delay = Delay()
    for row in few:
        try:
            told.append(_told(turn, row, foresee(services, setup, person_of(row), audience, ways)))
        except ApiError as error:
            delay = _delay_after(services, setup, error)
            break
    _keep(services, turn, few, told, (services.now() - begun).total_seconds(), delay)
    return delay.cause is None


def _delay_after(services: Services, setup: Setup, error: ApiError) -> Delay:
    delay = delay_after(error, lambda: not token_works(services, setup, error))
    log.info("page_cut_short", cause=delay.cause, error=str(error))
    return replace(delay, seconds=max(delay.seconds, SOONEST_SECONDS))


def _told(turn: Turn, row: Row[Any], preview: Preview) -> SyncOutcome:
    return SyncOutcome(
        turn.row.id,
        subject_of(row.referral_factory_id, row.email),
        _AS_OUTCOME.get(preview.decision, SKIPPED),
        email=row.email,
        contact_id=preview.contact.id if preview.contact else None,
        person_id=row.id,
        cause=preview.cause.value if preview.cause else None,
        detail=preview.detail,
    )


def _keep(
    services: Services,
    turn: Turn,
    few: Sequence[Row[Any]],
    told: Sequence[SyncOutcome],
    busy: float,
    delay: Delay,
) -> None:
    """What was told stands, also where the page was cut short; the rest has its turn after the delay."""
    now = services.now()
    outcomes = [one.outcome for one in told]
    progress = Progress(
        looked_at=len(told),
        added=outcomes.count(ADDED),
        updated=outcomes.count(UPDATED),
        skipped=outcomes.count(SKIPPED),
    )
    with services.database.writing() as connection:
        if not syncs.is_still(connection, turn):
            return
        moved: dict[str, Any] = {"total": _total(connection, turn), "cause": delay.cause}
        if told:
            moved["position"] = few[len(told) - 1].id
        if not few:
            moved |= {"state": syncs.COMPLETED, "finished_at": now}
        sync_outcomes.save(connection, told, now)
        syncs.keep(
            connection, turn, progress, busy_seconds=busy, due_at=now + timedelta(seconds=delay.seconds), moved=moved
        )
