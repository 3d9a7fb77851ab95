"""Is the whole in order? Connections, webhooks, what was set up against what there is today, queue, clock, disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.audiences import AudienceSettings, CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.diagnosis import connections
from app.core.diagnosis.checks import Action, Check, Plain, Telling, events, in_order, moment, ok, problem, unknown
from app.core.diagnosis.facts import Connection
from app.core.mapping import setup_required
from app.core.people import Audience
from app.core.setup import check_settings

MOST_BEHIND = timedelta(seconds=90)
"""Recurring work that is due for longer is done by nobody: no worker runs."""

LONG_WAIT = timedelta(minutes=10)
"""After so long, what waits without a cause is worth looking at."""

CLOCKS_APART = timedelta(seconds=5)

LITTLE_SPACE = 512 * 1024 * 1024
LITTLE_SHARE = 0.05


class Area(StrEnum):
    """What is looked at, in this order. Ids are public interface."""

    CONNECTIONS = "connections"
    WEBHOOKS = "webhooks"
    MAPPINGS = "mappings"
    RULES = "rules"
    SEGMENTS = "segments"
    BUDGETS = "budgets"
    QUEUE = "queue"
    CLOCK = "clock"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A live campaign as it was set up, with the attributes of its workspace. ``heard_at`` is when a webhook of
    somebody who joined came last."""

    id: int
    name: str
    workspace_id: int
    program_id: int
    audiences: Mapping[Audience, AudienceSettings]
    rules: CampaignRules
    catalogue: Catalogue
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """What searches have found lately that no webhook had told. ``cause`` is why the last one did not come to its
    end."""

    vendor: str
    connection_id: int
    found: int
    last_at: datetime | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class SyncedSegment:
    """A sync that goes on, of a segment; ``is_there`` by the list as read last."""

    sync_id: int
    campaign_id: int
    segment_id: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events that are not settled, or were given up, by cause; ``None`` is for those that merely wait."""

    status: str
    cause: Cause | None
    count: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Users:
    """How full a program is. ``count`` is ``None`` where nobody has counted."""

    program_id: int
    name: str
    limit: int | None
    count: int | None
    counted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the data is kept, in bytes."""

    path: str
    free: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    now: datetime
    workspaces: Sequence[Connection] = ()
    programs: Sequence[Connection] = ()
    campaigns: Sequence[Campaign] = ()
    missed: Sequence[Missed] = ()
    intercom_heard: Mapping[int, datetime] = field(default_factory=dict)
    """When a notification of Intercom came last, by workspace."""
    segments: Sequence[SyncedSegment] = ()
    waiting: Sequence[Waiting] = ()
    users: Sequence[Users] = ()
    swept_due_at: datetime | None = None
    """When the sweep, which recurs every few seconds, is due: long ago where no worker runs; ``None`` where none ever
    did."""
    database_at: datetime | None = None
    redis_answers: bool | None = None
    disks: Sequence[Disk] = field(default_factory=tuple)


def examine(system: System) -> tuple[Check, ...]:
    """The checks of the whole, the most telling problem first; ``question`` is the area."""
    found = [
        *_connections(system),
        *_webhooks(system),
        *_settings(system),
        *_segments(system),
        *_budgets(system),
        *_queue(system),
        *_clock(system),
        *_disks(system),
    ]
    return in_order(found, tuple(Area))


# Connections


def _connections(system: System) -> Iterator[Check]:
    for workspace in system.workspaces:
        for check in connections.of_workspace(workspace):
            yield _in_area(check, f"{workspace.name}: ", workspace.id)
    for program in system.programs:
        for check in connections.of_program(program):
            yield _in_area(check, f"{program.name}: ", program.id)
    if not system.workspaces and not system.programs:
        yield ok("connections", Area.CONNECTIONS, "Nothing is connected yet.")


def _in_area(check: Check, name: str, id_: int) -> Check:
    said = name + check.explanation
    return replace(check, id=f"{check.id}.{id_}", question=Area.CONNECTIONS, explanation=said)


# Webhooks


def _webhooks(system: System) -> Iterator[Check]:
    for missed in system.missed:
        yield _missed(missed)
    yield from _notifications(system)
    silent = [one for one in system.campaigns if one.heard_at is None and _sends(one)]
    for campaign in silent:
        yield unknown(
            f"heard.{campaign.id}",
            Area.WEBHOOKS,
            f"{campaign.name}: no webhook of somebody who joined has come yet.",
            "Send a test from the webhook's page in Referral Factory; it appears under Events at once.",
            {"campaign_id": str(campaign.id)},
            action=Action("show_webhook", {"campaign_id": str(campaign.id)}),
        )
    if not silent:
        heard = [one.heard_at for one in system.campaigns if one.heard_at is not None]
        evidence = {"campaigns": len(system.campaigns), "last_at": moment(max(heard, default=None))}
        yield ok("heard", Area.WEBHOOKS, "Every campaign's webhooks have been heard of.", evidence)


def _notifications(system: System) -> Iterator[Check]:
    """Of workspaces whose contacts' changes matter; without notifications they are found late, by our own search."""
    ruled = {one.workspace_id for one in system.campaigns for rule in one.audiences.values() if rule.qualification}
    for workspace in system.workspaces:
        heard_at = system.intercom_heard.get(workspace.id)
        id_, evidence = f"notifications.{workspace.id}", {"last_at": moment(heard_at)}
        if heard_at is not None:
            yield ok(id_, Area.WEBHOOKS, f"{workspace.name}: Intercom's notifications arrive.", evidence)
        elif workspace.id in ruled:
            yield unknown(
                id_,
                Area.WEBHOOKS,
                f"{workspace.name}: no notification of Intercom has come yet, so conversions are found late.",
                "Subscribe to the contact topics in Intercom's Developer Hub, then change a contact there.",
                evidence,
            )


def _sends(campaign: Campaign) -> bool:
    return any(not setup_required(settings) for settings in campaign.audiences.values())


def _missed(missed: Missed) -> Check:
    id_ = f"missed.{missed.vendor}.{missed.connection_id}"
    evidence: dict[str, Plain] = {
        "connection": f"{missed.vendor}:{missed.connection_id}",
        "found": missed.found,
        "last_found_at": moment(missed.last_at),
    }
    if missed.found:
        said = f"In the last day {missed.found} changes were found that no webhook had told."
        return problem(id_, Area.WEBHOOKS, Cause.WEBHOOK_MISSED, Telling.NOTE, said=said, evidence=evidence)
    if missed.cause is not None:
        said = "The last search for what was missed did not come to its end."
        return problem(id_, Area.WEBHOOKS, missed.cause, Telling.WAITS, said=said, evidence=evidence)
    return ok(id_, Area.WEBHOOKS, "No webhook was missed in the last day.", evidence)


# What was set up


def _settings(system: System) -> Iterator[Check]:
    """Mappings and rules against today's attributes."""
    for area in (Area.MAPPINGS, Area.RULES):
        found = [check for campaign in system.campaigns for check in _of_campaign(campaign, area)]
        yield from found
        if not found:
            said = {
                Area.MAPPINGS: "Every mapped attribute is there and can be filled.",
                Area.RULES: "Every qualification rule can come true.",
            }[area]
            yield ok(area.value, area, said, {"campaigns": len(system.campaigns)})


def _of_campaign(campaign: Campaign, area: Area) -> Iterator[Check]:
    for audience, settings in campaign.audiences.items():
        if setup_required(settings):
            continue
        for fault in check_settings(settings, audience, campaign.catalogue, campaign.rules).errors:
            if fault.pointer.startswith("/qualification") is (area is Area.RULES):
                yield _fault(campaign, audience, settings, area, fault.pointer, Cause(fault.cause))


def _fault(
    campaign: Campaign, audience: Audience, settings: AudienceSettings, area: Area, pointer: str, cause: Cause
) -> Check:
    named = _named(settings, pointer)
    return problem(
        f"{area}.{campaign.id}.{audience}{pointer.replace('/', '.')}",
        area,
        cause,
        Telling.CAMPAIGN if area is Area.RULES else Telling.FIELD,
        said=f"{campaign.name}, {audience.value}: {named}.",
        evidence={"campaign_id": str(campaign.id), "audience": audience.value, "pointer": pointer, "named": named},
        action=_mends(campaign, audience, cause),
    )


def _mends(campaign: Campaign, audience: Audience, cause: Cause) -> Action:
    if cause in (Cause.ATTRIBUTE_UNKNOWN, Cause.ATTRIBUTE_ARCHIVED, Cause.VALUE_NOT_AN_OPTION):
        return Action("refresh_catalogue", {"workspace_id": str(campaign.workspace_id)})
    return Action("set_up_audience", {"campaign_id": str(campaign.id), "audience": audience.value})


def _named(settings: AudienceSettings, pointer: str) -> str:
    """What a pointer into the settings stands for."""
    steps = pointer.strip("/").split("/")
    rule = settings.qualification
    if steps[0] == "mapping":
        return settings.mapping[int(steps[1])].to
    if rule is None:
        return pointer
    if steps[-1] == "initial_value":
        return f"the initial value “{rule.initial_value}”"
    return f"the target value “{rule.target_values[int(steps[-1])]}”" if steps[-1].isdecimal() else rule.attribute


def _segments(system: System) -> Iterator[Check]:
    gone = [one for one in system.segments if not one.is_there]
    for one in gone:
        evidence: dict[str, Plain] = {"sync_id": str(one.sync_id), "segment_id": one.segment_id}
        action = Action("show_sync", {"sync_id": str(one.sync_id)})
        id_, telling = f"segment.{one.sync_id}", Telling.CAMPAIGN
        yield problem(id_, Area.SEGMENTS, Cause.SEGMENT_GONE, telling, evidence=evidence, action=action)
    if not gone:
        yield ok("segments", Area.SEGMENTS, "No sync's segment is gone.", {"syncs": len(system.segments)})


# Budgets, queue


def _budgets(system: System) -> Iterator[Check]:
    for one in system.users:
        yield _users(one)
    held = [one for one in system.waiting if one.cause is Cause.RATE_LIMITED and one.status != "dead"]
    count = sum(one.count for one in held)
    evidence: dict[str, Plain] = {"events": count}
    if count:
        said = f"{events(count, 'waits', 'wait')} for it."
        yield problem("calls", Area.BUDGETS, Cause.RATE_LIMITED, Telling.WAITS, said=said, evidence=evidence)
    else:
        yield ok("calls", Area.BUDGETS, "Nothing waits for a vendor's speed limit.", evidence)


def _users(one: Users) -> Check:
    id_ = f"users.{one.program_id}"
    evidence: dict[str, Plain] = {"limit": one.limit, "users": one.count, "counted_at": moment(one.counted_at)}
    if one.limit is not None and one.count is not None and one.count >= one.limit:
        cause, telling = Cause.USER_LIMIT_REACHED, Telling.CAMPAIGN
        action = Action("change_user_limit", {"program_id": str(one.program_id)})
        return problem(
            id_, Area.BUDGETS, cause, telling, said=f"{one.name} is full.", evidence=evidence, action=action
        )
    return ok(id_, Area.BUDGETS, f"{one.name}: the user limit is not reached, as far as is known.", evidence)


def _queue(system: System) -> Iterator[Check]:
    yield _worker(system)
    if system.redis_answers is False:
        yield problem("redis", Area.QUEUE, Cause.REDIS_UNREACHABLE, Telling.CONNECTION, evidence={"redis": "down"})
    elif system.redis_answers:
        yield ok("redis", Area.QUEUE, "Redis answers.", {"redis": "ok"})
    waiting = [
        one for one in system.waiting if one.status == "dead" or one.cause is not None or _is_late(one, system)
    ]
    for one in waiting:
        if one.cause is not Cause.RATE_LIMITED or one.status == "dead":
            yield _waits(one)
    if not waiting:
        yield ok("events", Area.QUEUE, "Nothing waits for long, and nothing was given up.")


def _is_late(one: Waiting, system: System) -> bool:
    return one.oldest_at is not None and system.now - one.oldest_at > LONG_WAIT


def _worker(system: System) -> Check:
    due = system.swept_due_at
    evidence: dict[str, Plain] = {"recurring_work_due_at": moment(due)}
    if due is not None and system.now - due <= MOST_BEHIND:
        return ok("worker", Area.QUEUE, "A worker runs.", evidence)
    return problem("worker", Area.QUEUE, Cause.NO_WORKER_RUNS, Telling.CONNECTION, evidence=evidence)


def _waits(one: Waiting) -> Check:
    evidence: dict[str, Plain] = {"status": one.status, "events": one.count, "oldest_at": moment(one.oldest_at)}
    if one.status != "dead":
        cause = one.cause or Cause.WAITING_IN_QUEUE
        said = f"{events(one.count, 'waits', 'wait')}."
        return problem(f"waiting.{cause}", Area.QUEUE, cause, Telling.WAITS, said=said, evidence=evidence)
    cause = one.cause or Cause.INTERNAL_ERROR
    action = Action("replay_events", {"status": "dead", "cause": cause.value})
    said = f"{events(one.count, 'was', 'were')} given up."
    return problem(f"dead.{cause}", Area.QUEUE, cause, Telling.PERSON, said=said, evidence=evidence, action=action)


# The machine


def _clock(system: System) -> Iterator[Check]:
    if system.database_at is None:
        return
    apart = abs(system.now - system.database_at)
    evidence: dict[str, Plain] = {
        "here": moment(system.now),
        "database": moment(system.database_at),
        "seconds_apart": round(apart.total_seconds(), 1),
    }
    if apart > CLOCKS_APART:
        yield problem("clock", Area.CLOCK, Cause.CLOCK_DIFFERS, Telling.WAITS, evidence=evidence)
    else:
        yield ok("clock", Area.CLOCK, "Our clock and the database's tell the same time.", evidence)


def _disks(system: System) -> Iterator[Check]:
    for disk in system.disks:
        evidence: dict[str, Plain] = {"path": disk.path, "free_bytes": disk.free, "total_bytes": disk.total}
        share = disk.free / disk.total if disk.total else 1.0
        if disk.free < LITTLE_SPACE or share < LITTLE_SHARE:
            cause = Cause.DISK_NEARLY_FULL
            said = f"{disk.free // 2**20} MiB are free."
            yield problem("disk", Area.DISK, cause, Telling.CAMPAIGN, said=said, evidence=evidence)
        else:
            yield ok("disk", Area.DISK, f"{disk.free // 2**30} GiB are free.", evidence)
