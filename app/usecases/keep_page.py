"""A page of a sync begun and kept: two transactions, with the calls to the vendors between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.causes import Cause
from app.core.people import Audience, Contact, Person, Role, normalised_email
from app.core.text import storable
from app.storage import activity, inbox, links, people, sync_outcomes, syncs
from app.storage.inbox import LEASE
from app.storage.links import Link
from app.storage.people import PersonRecord
from app.storage.sync_outcomes import ADDED, EXISTING, FAILED, PENDING, SKIPPED, UPDATED, SyncOutcome
from app.storage.syncs import Progress, Turn
from app.usecases.enrol_contact import Result
from app.usecases.plan_page import Kind, Run, Task
from app.usecases.records import activity_row, person_record
from app.usecases.send_person import Sent
from app.usecases.services import Services
from app.usecases.user_limit import settle_room, take_room

_TOLD = {ADDED: "added", EXISTING: "ignored", UPDATED: "updated", FAILED: "failed"}
"""Of whom an activity row tells, and in which words. Who was skipped is none of our people."""


def begin(services: Services, run: Run, tasks: Sequence[Task]) -> tuple[list[Task], bool] | None:
    """What is to be worked on now, and whether that is all. Room and leases are taken for those who are to be
    enrolled, and it is noted that they are; without room they are skipped. ``None`` where the page is not ours."""
    wanted = [task for task in tasks if task.kind is Kind.ENROL]
    others = [task for task in tasks if task.kind is not Kind.ENROL]
    if not wanted:
        return others, True
    with services.database.writing() as connection:
        if not syncs.is_still(connection, run.turn):
            return None
        now = services.now()
        # Whoever may be there already is counted among the users, and takes room only once that is known.
        fresh = [task for task in wanted if not task.look_first]
        room = take_room(connection, run.limits, run.id, len(fresh), now)
        looked_for = [replace(one, has_room=not run.limits.are_set) for one in wanted if one.look_first]
        enrolled, beyond = [*looked_for, *fresh[:room]], fresh[room:]
        keys = {run.person_key(task.values.email): task for task in enrolled if task.values is not None}
        inbox.release_people(connection, set(keys), run.owner)
        leased = inbox.lease_people(connection, set(keys), run.owner, now, LEASE)
        syncs.extend(connection, run.turn, now + LEASE)
        now_known = sync_outcomes.of_subjects(connection, run.id, [task.contact.id for task in keys.values()])
        # What a webhook has done of the page since it was planned is planned anew.
        ours = [task for key, task in keys.items() if key in leased and _is_as_planned(task, now_known)]
        sync_outcomes.save(connection, [pending(run, task) for task in ours if not task.is_pending], now)
    return [*others, *ours, *map(beyond_room, beyond)], len(ours) == len(enrolled)


def _is_as_planned(task: Task, now_known: Mapping[str, Any]) -> bool:
    row, former = now_known.get(task.contact.id), task.former
    return (row.at if row is not None else None) == (former.at if former is not None else None)


def without_room(tasks: Sequence[Task], room: int | None) -> list[Task]:
    """The same for a dry run, which takes none."""
    left = len(tasks) if room is None else room
    found = []
    for task in tasks:
        if task.kind is Kind.ENROL:
            found.append(task if left > 0 else beyond_room(task))
            left -= 1
        else:
            found.append(task)
    return found


def beyond_room(task: Task) -> Task:
    cause = Cause.USER_LIMIT_REACHED
    followers = [replace(one, kind=Kind.SKIP, cause=cause, detail=None) for one in task.followers]
    return replace(task, kind=Kind.SKIP, cause=cause, detail=None, followers=followers)


def pending(run: Run, task: Task) -> SyncOutcome:
    assert task.values is not None  # noqa: S101 - as planned
    return SyncOutcome(
        run.id,
        task.contact.id,
        PENDING,
        task.values.email,
        contact_id=task.contact.id,
        values_digest=task.values.digest,
    )


def hold_on(services: Services, run: Run) -> None:
    """A page that takes long is no dead worker's."""
    with services.database.writing() as connection:
        until = services.now() + LEASE
        syncs.extend(connection, run.turn, until)
        inbox.extend(connection, run.owner, [], until)


def keep(
    services: Services,
    run: Run,
    results: Sequence[Result],
    *,
    due_at: datetime,
    moved: Mapping[str, Any],
    busy_seconds: float,
) -> tuple[Progress, Turn] | None:
    """Keep what came of a page, and where the run goes on: the turn after it, whoever's that will be. ``None`` where
    another worker has done it: what it has kept is as true. Of a run that was cancelled meanwhile all is kept but its
    going on.

    Raises: IntegrityError where a webhook has made somebody of the page at the same moment; it can be kept again.
    """
    with services.database.writing() as connection:
        standing = syncs.standing(connection, run.turn)
        keys = _keys(run, results)
        if standing is None:
            inbox.release_people(connection, keys, run.owner)
            return None
        now = services.now()
        progress = keep_results(connection, run, results, now)
        if not run.dry:
            _settle_room(connection, run, results, now)
        over = standing.state in syncs.OVER
        going_on = {} if over else {**moved, **_total(standing, moved, progress)}
        after = syncs.keep(connection, run.turn, progress, busy_seconds=busy_seconds, due_at=due_at, moved=going_on)
        # Of whom it is not known, the webhook waits: its word is that we have enrolled them.
        unknown = {run.person_key(one.task.values.email) for one in results if _is_unknown(one) and one.task.values}
        inbox.release_people(connection, keys - unknown, run.owner)
    return progress, after


def keep_results(connection: Connection, run: Run, results: Sequence[Result], now: datetime) -> Progress:
    """What came of contacts: their outcomes, the referrers they are, and what is told of them."""
    erased = run.erased(connection, [one.task.contact for one in results])
    passed_by = [erased[one.task.contact.id] for one in results if one.task.contact.id in erased]
    results = [one for one in results if one.task.contact.id not in erased]
    told = [one for one in results if one.outcome is not None]
    not_begun = [one.task for one in results if one.outcome is None and one.task.kind is Kind.ENROL]
    absent = [one.task.contact.id for one in results if one.absent]
    fresh = [task.contact.id for task in not_begun if not task.is_pending]
    sync_outcomes.forget(connection, run.id, [*absent, *fresh])
    ids = {} if run.dry else _keep_people(connection, run, told, now)
    changed = [one for one in told if _has_changed(one)]
    sync_outcomes.save(connection, [_outcome(run, one, ids) for one in changed], now)
    if not run.dry:
        _keep_links(connection, run, told, now)
        links.remember_refused(connection, [row for one in told for row in one.notes.refused], now)
        activity.record(connection, [{**row, "at": now} for one in changed for row in _told(run, one)])
    progress, skipped = _progress(changed), _pass_by(connection, run, passed_by, now)
    return replace(progress, looked_at=progress.looked_at + skipped, skipped=progress.skipped + skipped)


def _pass_by(connection: Connection, run: Run, subjects: Sequence[str], now: datetime) -> int:
    """Who was erased on request, before the page or since it was begun, is told of without a name; how many are new
    among them."""
    known = sync_outcomes.of_subjects(connection, run.id, subjects)
    new = [one for one in subjects if one not in known]
    cause = Cause.ERASED_ON_REQUEST.value
    sync_outcomes.save(connection, [SyncOutcome(run.id, one, SKIPPED, cause=cause) for one in new], now)
    return len(new)


def _keys(run: Run, results: Sequence[Result]) -> set[str]:
    return {run.person_key(one.task.values.email) for one in results if one.task.values is not None}


def _is_unknown(result: Result) -> bool:
    """Whether they may have been enrolled by a call that was not answered, now or when the page was done before."""
    task, outcome = result.task, result.outcome
    may_be = outcome == PENDING or (outcome is None and task.look_first and not result.absent)
    return may_be and not result.made and task.kind is Kind.ENROL


def _total(standing: Any, moved: Mapping[str, Any], progress: Progress) -> dict[str, int]:
    """More may come than were counted at first."""
    looked_at, total = standing.looked_at + progress.looked_at, moved.get("total", standing.total)
    return {"total": looked_at} if total is not None and looked_at > total else {}


def _settle_room(connection: Connection, run: Run, results: Sequence[Result], now: datetime) -> None:
    enrolled = sum(one.made and one.task.kind is Kind.ENROL and one.task.has_room for one in results)
    unknown = sum(_is_unknown(one) for one in results)
    settle_room(connection, run.limits, run.id, enrolled=enrolled, unknown=unknown, now=now)


# People


def _keep_people(connection: Connection, run: Run, told: Sequence[Result], now: datetime) -> dict[str, int]:
    """The referrers' rows; their ids by contact."""
    records = {one.task.contact.id: _record(run, one, now) for one in told if one.person is not None}
    by_name = {(one.email, one.referral_factory_id): one for one in reversed(records.values())}
    people.save(connection, list(by_name.values()), now)
    found = people.ids_of(connection, list(records.values()))
    return {subject: one for subject, one in zip(records, found, strict=True) if one is not None}


def _record(run: Run, result: Result, now: datetime) -> PersonRecord:
    assert result.person is not None  # noqa: S101 - the caller has looked
    setup, contact, row = run.setup, contact_of(result), result.task.person
    record = person_record(setup.campaign_id, setup.workspace.id, replace(result.person, audience=Audience.REFERRERS))
    if row is not None and row.contact_id is not None and not result.made:
        return record
    record = replace(record, contact_id=contact.id, contact_role=contact.role.value)
    if not result.made:
        return record
    return replace(record, sent_received_at=now, joined_before_setup=False, enrolled_by=run.id)


def contact_of(result: Result) -> Contact:
    """As it turned out: where it was merged, the one it was merged into."""
    return result.notes.contact or result.task.contact


def _keep_links(connection: Connection, run: Run, told: Sequence[Result], now: datetime) -> None:
    """Who is linked already stays so."""
    new: dict[str, Link] = {}
    for one in told:
        if one.person is not None and (email := storable(normalised_email(one.person.email))):
            contact, key = contact_of(one), run.person_key(email)
            made = Link(key, run.setup.workspace.id, email, contact.id, Role(contact.role).value, None, None)
            new.setdefault(key, made)
    known = links.links_of(connection, new.keys())
    links.save_links(connection, [new[key] for key in sorted(new.keys() - known.keys())], now)


# Outcomes


def _has_changed(result: Result) -> bool:
    """Later looks record changes only."""
    former = result.task.former
    if former is None or result.outcome in (PENDING, UPDATED):
        return True
    cause = result.cause.value if result.cause else None
    return (former.outcome, former.cause, former.detail) != (result.outcome, cause, storable(result.detail))


def _outcome(run: Run, result: Result, ids: Mapping[str, int]) -> SyncOutcome:
    task, former = result.task, result.task.former
    values, contact = task.values, task.contact
    kept = former.values_digest if former is not None and former.outcome != PENDING else None
    detail = str(task.attempts + result.spent) if result.outcome == PENDING else result.detail
    known = former.person_id if former is not None else None
    return SyncOutcome(
        run.id,
        contact.id,
        str(result.outcome),
        values.email if values is not None else storable(normalised_email(contact.email)) or None,
        contact_id=contact_of(result).id,
        person_id=ids.get(contact.id, task.person.id if task.person is not None else known),
        cause=result.cause.value if result.cause else None,
        detail=storable(detail),
        values_digest=kept if result.given_up or values is None else values.digest,
    )


def _progress(changed: Sequence[Result]) -> Progress:
    """A contact counts once, under what became of it last."""
    counts = dict.fromkeys((ADDED, EXISTING, UPDATED, SKIPPED, FAILED), 0)
    looked_at = written_back = 0
    for one in changed:
        former = one.task.former
        if one.outcome is None or one.outcome == PENDING:
            continue
        counts[one.outcome] += 1
        written_back += one.written
        if former is None or former.outcome == PENDING:
            looked_at += 1
        else:
            counts[former.outcome] -= 1
    return Progress(looked_at=looked_at, written_back=written_back, **counts)


def _told(run: Run, result: Result) -> list[dict[str, Any]]:
    if result.outcome not in _TOLD:
        return []
    values = result.task.values
    named = {"email": values.email, "first_name": values.first_name} if values is not None else {}
    person = result.person or Person(Audience.REFERRERS, named)
    sent = Sent(_TOLD[result.outcome], result.cause, result.detail, fields=result.fields)
    row = activity_row(run.setup, person, "enroll", sent, contact_of(result), run.event_id)
    return [{**row, "sync_id": run.id}]


def again_at(services: Services, seconds: float) -> datetime:
    return services.now() + timedelta(seconds=seconds)
