"""A contact that an ongoing sync wants has come or changed: it is enrolled, or carried over, at once.

The same as a page of the sync does, for one contact that a webhook has told of. What a page is at work on is left to
it: whoever is being enrolled is leased.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from app.core.enrolment import Skip, carried
from app.core.events import Change, IntercomNotification
from app.core.people import Contact
from app.core.syncs import SyncSettings, wants
from app.storage import campaigns, programs, sync_outcomes, syncs
from app.storage.sync_outcomes import PENDING
from app.storage.syncs import Turn
from app.usecases.enrol_contact import Desk, Result
from app.usecases.keep_page import beyond_room, keep_results, pending
from app.usecases.plan_page import Kind, Run, Task, load, plan
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.user_limit import COUNTED_FOR, Limits, count_users, room
from app.usecases.work import Work
from schemas.syncs import sync_settings_from

CHANGES = frozenset({Change.CREATED, Change.UPDATED, Change.SIGNED_UP, Change.UNARCHIVED})
"""After which a contact may be new to a sync, or have other values."""

NO_RUN = 0
"""Of nobody's reservations, so that all count."""


@dataclass(frozen=True, slots=True)
class Following:
    """An ongoing sync that wants the contact, and something of it is new."""

    row: Row[Any]
    setup: Setup
    settings: SyncSettings


def following(work: Work, notice: IntercomNotification) -> list[Following]:
    """By what the notification shows, without a call: of most changes nothing is to be carried over."""
    contact, found = notice.contact, []
    if contact is None or notice.change not in CHANGES:
        return []
    for row in work.batch.syncs_of(work.event.workspace_id):
        setup = work.batch.setups.get(row.campaign_id)
        # Before they are read: each write-back of a run that goes on once comes back as a notification.
        if row.settings.get("schedule") != "ongoing" or setup is None or setup.archived:
            continue
        settings = sync_settings_from(row.settings)
        if not wants(settings, contact.role):
            continue
        if _is_news(contact, settings, work.batch.looked_at.get((row.id, contact.id))):
            found.append(Following(row, setup, settings))
    return found


def _is_news(contact: Contact, settings: SyncSettings, former: Row[Any] | None) -> bool:
    values = carried(contact, settings)
    if isinstance(values, Skip):
        return False  # the next look tells of it
    # One whose answer never came is looked for; nobody else is at it, for we have their lease.
    return former is None or former.outcome == PENDING or former.values_digest != values.digest


def follow_contact(work: Work, notice: IntercomNotification, one: Following) -> Result | None:
    """What became of the contact; ``None`` where there is nothing to do after all, or somebody else is at it.

    Raises: ApiError; what was done until then is kept.
    """
    services, ways = work.services, work.ways_of(one.setup)
    contact = ways.intercom().contact(notice.contact_id or "")
    if not isinstance(contact, Contact):
        return None
    run = _run(services, one, work.event.id)
    if not _is_ours(work, run, contact):
        return None
    with services.database.reading() as connection:
        tasks = plan(run, [contact], load(connection, run, [contact]))
    if not tasks:
        return None
    task = tasks[0]
    if task.kind is Kind.ENROL:
        count_users(services, ways.referral_factory, run.limits, NO_RUN, wanted=1, counted_for=COUNTED_FOR)
    task, has_place = _begin(services, run, task)
    results = Desk(services, run, ways, threading.Event()).work(task)
    _keep(services, run, results, has_place=has_place)
    for result in results:
        if result.error is not None:
            raise result.error
    return results[0]


def _is_ours(work: Work, run: Run, contact: Contact) -> bool:
    """Whether nobody else is at work on whoever has the contact's email now: what is known of them stays so then."""
    values = carried(contact, run.settings)
    return isinstance(values, Skip) or work.lease_also({run.person_key(values.email)} - {work.event.person_key})


def _run(services: Services, one: Following, event_id: int) -> Run:
    setup = one.setup
    with services.database.reading() as connection:
        campaign = campaigns.get(connection, setup.campaign_id)
    limits = Limits(
        setup.program.id,
        setup.campaign_id,
        setup.referral_factory_id,
        setup.program.user_limit,
        campaign.user_limit if campaign is not None else None,
    )
    return Run(Turn(one.row), setup, one.settings, limits, services.index_delay, services.vault, event_id=event_id)


def _begin(services: Services, run: Run, task: Task) -> tuple[Task, bool]:
    """Note that they are being enrolled, and count them as a user from now on, where there is room."""
    if task.kind is not Kind.ENROL:
        return task, False
    with services.database.writing() as connection:
        free = room(connection, run.limits, NO_RUN, services.now())
        if free is not None and free < 1 and not task.look_first:
            return beyond_room(task), False
        if not task.is_pending:
            sync_outcomes.save(connection, [pending(run, task)], services.now())
        if free is not None and free > 0:
            _count(connection, run, 1)
            return task, True
    return replace(task, has_room=free is None), False


def _keep(services: Services, run: Run, results: Sequence[Result], *, has_place: bool) -> None:
    made = any(one.made and one.task.kind is Kind.ENROL for one in results)
    with services.database.writing() as connection:
        syncs.add_progress(connection, run.id, keep_results(connection, run, results, services.now()))
        if has_place and not made and results[0].outcome != PENDING:
            _count(connection, run, -1)


def _count(connection: Connection, run: Run, more: int) -> None:
    program, key = programs.lock(connection, run.limits.program_id), run.limits.referral_factory_id
    if program is not None:
        counts = {**program.user_counts, key: max(0, int(program.user_counts.get(key, 0)) + more)}
        programs.change(connection, run.limits.program_id, user_counts=counts)
