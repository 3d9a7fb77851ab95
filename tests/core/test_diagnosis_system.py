"""The check of the whole: each thing that can be amiss with an installation, and the same in order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import Verdict
from app.core.diagnosis.checks import ACTIONS
from app.core.diagnosis.facts import Away, Connection, Read
from app.core.diagnosis.system import Area, Campaign, Disk, Missed, SyncedSegment, System, Users, Waiting, examine
from tests.core.workspace import CATALOGUE as ATTRIBUTES
from tests.core.workspace import LEADS, PLAIN, audience, row, rule

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WORKSPACE = Connection(1, "Acme", connected=True, region="us", refreshed_at=NOW, token=Read(NOW, "us"))
PROGRAM = Connection(1, "Acme referrals", connected=True, token=Read(NOW, "2"))
SET_UP = audience(row("meta.Company", "Company"), rule=rule("Plan", "Free", ["Pro"]))
CAMPAIGN = Campaign(1, "Summer", 1, 1, {LEADS: SET_UP}, PLAIN, ATTRIBUTES, heard_at=NOW)
GIB = 2**30

WELL = System(
    now=NOW,
    workspaces=[WORKSPACE],
    programs=[PROGRAM],
    campaigns=[CAMPAIGN],
    missed=[Missed("intercom", 1, 0), Missed("referral_factory", 1, 0)],
    intercom_heard={1: NOW},
    segments=[SyncedSegment(1, 1, "s1", is_there=True)],
    waiting=[Waiting("received", None, 3, NOW - timedelta(seconds=5))],
    users=[Users(1, "Acme referrals", 100, 40, NOW)],
    swept_due_at=NOW + timedelta(seconds=2),
    database_at=NOW + timedelta(seconds=1),
    redis_answers=True,
    disks=[Disk("var", 20 * GIB, 40 * GIB)],
)

AMISS = {
    "token refused": (
        {"workspaces": [replace(WORKSPACE, token=Read(NOW, cause=Cause.INTERCOM_UNAUTHORIZED))]},
        Area.CONNECTIONS,
        Cause.INTERCOM_UNAUTHORIZED,
    ),
    "workspace lost": (
        {"workspaces": [replace(WORKSPACE, connected=False, cause=Cause.INTERCOM_UNAUTHORIZED)]},
        Area.CONNECTIONS,
        Cause.INTERCOM_UNAUTHORIZED,
    ),
    "permission missing": (
        {"workspaces": [replace(WORKSPACE, missing=("segments_read",))]},
        Area.CONNECTIONS,
        Cause.INTERCOM_PERMISSION_MISSING,
    ),
    "vendor away": (
        {"programs": [replace(PROGRAM, away=(Away(Cause.REFERRAL_FACTORY_UNAVAILABLE),))]},
        Area.CONNECTIONS,
        Cause.REFERRAL_FACTORY_UNAVAILABLE,
    ),
    "program's token refused": (
        {"programs": [replace(PROGRAM, away=(Away(Cause.REFERRAL_FACTORY_UNAUTHORIZED, "access"),))]},
        Area.CONNECTIONS,
        Cause.REFERRAL_FACTORY_UNAUTHORIZED,
    ),
    "webhooks missed": ({"missed": [Missed("intercom", 1, 4, NOW)]}, Area.WEBHOOKS, Cause.WEBHOOK_MISSED),
    "search in a circle": (
        {"missed": [Missed("intercom", 1, 0, None, Cause.CURSOR_REPEATED)]},
        Area.WEBHOOKS,
        Cause.CURSOR_REPEATED,
    ),
    "attribute archived": (
        {"campaigns": [replace(CAMPAIGN, audiences={LEADS: audience(row("code", "Old"))})]},
        Area.MAPPINGS,
        Cause.ATTRIBUTE_ARCHIVED,
    ),
    "option renamed": (
        {"campaigns": [replace(CAMPAIGN, audiences={LEADS: audience(rule=rule("Plan", "Free", ["Professional"]))})]},
        Area.RULES,
        Cause.VALUE_NOT_AN_OPTION,
    ),
    "trigger unknown": (
        {"campaigns": [replace(CAMPAIGN, audiences={LEADS: audience(rule=rule("Nowhere"))})]},
        Area.RULES,
        Cause.ATTRIBUTE_UNKNOWN,
    ),
    "segment gone": ({"segments": [SyncedSegment(1, 1, "s1", is_there=False)]}, Area.SEGMENTS, Cause.SEGMENT_GONE),
    "account full": (
        {"users": [Users(1, "Acme referrals", 100, 100, NOW)]},
        Area.BUDGETS,
        Cause.USER_LIMIT_REACHED,
    ),
    "speed limit": (
        {"waiting": [Waiting("retrying", Cause.RATE_LIMITED, 9, NOW)]},
        Area.BUDGETS,
        Cause.RATE_LIMITED,
    ),
    "waits for long": (
        {"waiting": [Waiting("received", None, 9, NOW - timedelta(hours=1))]},
        Area.QUEUE,
        Cause.WAITING_IN_QUEUE,
    ),
    "given up": (
        {"waiting": [Waiting("dead", Cause.WEBHOOK_NOT_UNDERSTOOD, 2, NOW)]},
        Area.QUEUE,
        Cause.WEBHOOK_NOT_UNDERSTOOD,
    ),
    "no worker": ({"swept_due_at": NOW - timedelta(minutes=5)}, Area.QUEUE, Cause.NO_WORKER_RUNS),
    "never a worker": ({"swept_due_at": None}, Area.QUEUE, Cause.NO_WORKER_RUNS),
    "Redis away": ({"redis_answers": False}, Area.QUEUE, Cause.REDIS_UNREACHABLE),
    "clocks apart": ({"database_at": NOW - timedelta(minutes=1)}, Area.CLOCK, Cause.CLOCK_DIFFERS),
    "disk full": ({"disks": [Disk("var", 10_000, 40 * GIB)]}, Area.DISK, Cause.DISK_NEARLY_FULL),
}


def test_of_a_system_that_is_well_every_area_says_so():
    checks = examine(WELL)
    assert {one.verdict for one in checks} == {Verdict.OK}
    assert {one.question for one in checks} == set(Area)
    assert len({one.id for one in checks}) == len(checks)


@pytest.mark.parametrize("name", AMISS)
def test_what_is_amiss_comes_first_with_its_cause_and_remedy(name):
    changes, area, cause = AMISS[name]
    first, *others = examine(replace(WELL, **changes))
    assert (first.verdict, first.question, first.cause) == (Verdict.PROBLEM, area, cause)
    assert first.remedy == CATALOGUE[cause].remedy
    assert {one.verdict for one in others} == {Verdict.OK}
    assert first.action is None or first.action.target.keys() <= ACTIONS[first.action.name]


def test_a_campaign_of_which_nothing_was_heard_is_not_known_to_be_amiss():
    silent = replace(CAMPAIGN, heard_at=None)
    first = examine(replace(WELL, campaigns=[silent]))[0]
    assert (first.id, first.verdict, first.action.name) == ("heard.1", Verdict.UNKNOWN, "show_webhook")


def test_a_workspace_that_never_notified_us_is_not_known_to_be_amiss():
    silent = replace(WELL, intercom_heard={})
    assert [one.id for one in examine(silent) if one.verdict is Verdict.UNKNOWN] == ["notifications.1"]
    unruled = replace(CAMPAIGN, audiences={LEADS: audience()})
    assert {one.verdict for one in examine(replace(silent, campaigns=[unruled]))} == {Verdict.OK}


def test_a_system_in_which_nothing_is_set_up_is_well():
    bare = System(now=NOW, swept_due_at=NOW)
    assert {one.verdict for one in examine(bare)} == {Verdict.OK}


def test_what_stops_all_comes_before_what_costs_a_field():
    changes = AMISS["attribute archived"][0] | AMISS["no worker"][0] | AMISS["given up"][0]
    amiss = [one.cause for one in examine(replace(WELL, **changes)) if one.verdict is Verdict.PROBLEM]
    assert amiss == [Cause.NO_WORKER_RUNS, Cause.WEBHOOK_NOT_UNDERSTOOD, Cause.ATTRIBUTE_ARCHIVED]
