"""Those who joined before the settings were made are sent when somebody asks; a dry run tells of it first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.core.errors import ApiError, RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Role
from app.storage import readings, syncs, workspaces
from app.usecases import process_event
from app.usecases.backfill_page import AT_ONCE
from app.usecases.read_campaign import read_campaigns
from app.usecases.replay_events import replay_events
from app.usecases.sweep import sweep
from tests.product import Product
from tests.usecases.syncing import Syncing


@pytest.fixture
def syncing(product: Product) -> Syncing:
    return Syncing(product)


def join(syncing: Syncing, count: int) -> None:
    """So many leads joined before the settings were made, and were read."""
    rita = syncing.rf.sign_up("rita@example.com")
    for number in range(count):
        syncing.rf.sign_up(f"friend{number}@example.com", referrer=rita, Company="Acme", Seats="5")
    with syncing.product.database.writing() as connection:
        readings.ask(connection, syncing.product.campaign_id, "leads", syncing.product.time)
    while read_campaigns(syncing.product.services):
        pass


def start(syncing: Syncing, *, dry_run: bool = False) -> int:
    product = syncing.product
    with product.database.writing() as connection:
        return syncs.add(
            connection,
            product.time,
            kind=syncs.BACKFILL,
            campaign_id=product.campaign_id,
            workspace_id=product.workspace_id,
            program_id=product.program_id,
            audience=Audience.LEADS.value,
            dry_run=dry_run,
            settings={},
            created_by="test",
        )


def go_on(syncing: Syncing, sync_id: int) -> Any:
    """Pages and events in turns until the run is over; its row."""
    for _ in range(200):
        syncing.page()
        syncing.product.work_until_idle()
        if syncing.row(sync_id).state in syncs.OVER:
            break
        syncing.product.advance(1)
    return syncing.row(sync_id)


def test_everybody_is_sent_once_and_counted(syncing: Syncing) -> None:
    join(syncing, 90)
    sync_id = start(syncing)
    row = go_on(syncing, sync_id)
    assert (row.state, row.total, row.looked_at, row.added) == ("completed", 90, 90, 90)
    assert len(syncing.intercom.contacts) == 90
    assert {one.outcome for one in syncing.outcomes(sync_id)} == {"added"}
    assert {person.joined_before_setup for person in syncing.product.people()} == {False}


def test_whose_event_kills_every_worker_is_told_as_failed_and_once(syncing: Syncing) -> None:
    join(syncing, 1)
    sync_id = start(syncing)
    syncing.page()
    services = syncing.product.services
    for _ in range(len(services.retry_schedule) + 2):
        process_event.claim(services, "dead", 1)
        syncing.product.advance(61)
        sweep(services)
    row = go_on(syncing, sync_id)
    assert (row.state, row.looked_at, row.added, row.failed) == ("completed", 1, 0, 1)
    (failed,) = syncing.outcomes(sync_id)
    assert (failed.outcome, failed.cause, failed.email) == ("failed", "internal_error", "friend0@example.com")
    replay_events(services, "test", status=None, source=None, topic=None)
    syncing.product.work_until_idle()
    row = syncing.row(sync_id)
    assert (row.looked_at, row.added, row.failed) == (1, 1, 0)
    assert [one.outcome for one in syncing.outcomes(sync_id)] == ["added"]


def test_only_a_few_are_under_way_at_a_time(syncing: Syncing) -> None:
    join(syncing, 90)
    start(syncing)
    syncing.page()
    syncing.product.advance(1)
    syncing.page()
    assert len(syncing.product.work()) <= AT_ONCE


def test_a_second_backfill_finds_nobody_left(syncing: Syncing) -> None:
    join(syncing, 3)
    go_on(syncing, start(syncing))
    row = go_on(syncing, start(syncing))
    assert (row.state, row.total, row.looked_at) == ("completed", 0, 0)


def test_existing_contacts_are_skipped_by_the_policy_and_told_of(syncing: Syncing) -> None:
    join(syncing, 3)
    existing = syncing.contact("friend1@example.com", Role.USER)
    sync_id = start(syncing)
    row = go_on(syncing, sync_id)
    assert (row.added, row.skipped) == (2, 1)
    (skipped,) = [one for one in syncing.outcomes(sync_id) if one.outcome == "skipped"]
    assert (skipped.cause, skipped.email, skipped.contact_id) == (
        "duplicate_skipped",
        "friend1@example.com",
        existing.id,
    )


def test_a_dry_run_tells_the_same_and_writes_nothing(syncing: Syncing) -> None:
    join(syncing, 25)
    syncing.contact("friend1@example.com", Role.USER)
    sync_id = start(syncing, dry_run=True)
    row = go_on(syncing, sync_id)
    assert (row.state, row.total, row.looked_at, row.added, row.skipped) == ("completed", 25, 25, 24, 1)
    assert syncing.intercom.called("create") == 0
    assert len(syncing.intercom.contacts) == 1
    assert {person.sent_received_at for person in syncing.product.people()} == {None}


@pytest.mark.parametrize(
    ("error", "cause", "seconds"),
    [
        (Unavailable(Vendor.INTERCOM, "It broke."), "intercom_unavailable", 30),
        (RateLimited(Vendor.INTERCOM, "Too many calls.", after=7), "rate_limited", 7),
        (Unauthorized(Vendor.INTERCOM, "It was refused.", status=403), "intercom_permission_missing", 300),
    ],
    ids=["away", "rate-limited", "without a permission"],
)
def test_a_dry_run_that_a_vendor_cuts_short_waits_and_says_why(
    syncing: Syncing, error: ApiError, cause: str, seconds: float
) -> None:
    join(syncing, 5)
    sync_id = start(syncing, dry_run=True)
    syncing.intercom.fail("search_email", error, times=2)
    syncing.run()
    assert syncing.intercom.called("search_email") == 1
    row = syncing.row(sync_id)
    assert (row.state, row.cause, row.due_at) == (
        "running",
        cause,
        syncing.product.time + timedelta(seconds=seconds),
    )
    syncing.product.advance(seconds)
    syncing.run()
    syncing.product.advance(seconds)
    syncing.run()
    row = syncing.row(sync_id)
    assert (row.state, row.cause, row.looked_at) == ("completed", None, 5)


def test_what_a_dry_run_told_before_it_was_cut_short_stands(syncing: Syncing) -> None:
    join(syncing, 5)
    sync_id = start(syncing, dry_run=True)
    real, asked = syncing.intercom.search_email, list[str]()

    def breaks_at_the_third(email: str) -> Any:
        asked.append(email)
        if len(asked) == 3:
            raise Unavailable(Vendor.INTERCOM, "It broke.")
        return real(email)

    syncing.intercom.search_email = breaks_at_the_third  # type: ignore[method-assign]
    syncing.run()
    row = syncing.row(sync_id)
    assert (row.looked_at, row.cause) == (2, "intercom_unavailable")
    assert len(asked) == 3


def test_a_dry_run_without_a_token_that_is_taken_waits_for_the_connection(syncing: Syncing) -> None:
    join(syncing, 1)
    sync_id = start(syncing, dry_run=True)
    refused = Unauthorized(Vendor.INTERCOM, "It was refused.", status=401)
    syncing.intercom.fail("search_email", refused)
    syncing.intercom.fail("me", refused)
    syncing.run()
    assert syncing.row(sync_id).cause == "intercom_unauthorized"
    with syncing.product.database.reading() as connection:
        workspace = workspaces.get(connection, syncing.product.workspace_id)
    assert workspace is not None
    assert workspace.state == "disconnected"


def test_a_lead_who_is_sent_late_is_watched_like_any_other(syncing: Syncing) -> None:
    join(syncing, 1)
    go_on(syncing, start(syncing))
    (contact,) = syncing.intercom.contacts.values()
    changed = syncing.product.turns(contact, plan="pro")
    syncing.product.tell(changed, "contact.lead.updated")
    assert len(syncing.product.qualified) == 1


def test_an_audience_that_is_not_complete_any_more_ends_it_with_the_cause(syncing: Syncing) -> None:
    join(syncing, 1)
    sync_id = start(syncing)
    syncing.product.change(action="nothing")
    row = go_on(syncing, sync_id)
    assert (row.state, row.cause) == ("failed", "action_is_nothing")


def test_cancelled_it_sends_nobody_more(syncing: Syncing) -> None:
    join(syncing, 90)
    sync_id = start(syncing)
    syncing.page()
    syncing.set_state(sync_id, syncs.CANCELLED)
    go_on(syncing, sync_id)
    assert len(syncing.intercom.contacts) == AT_ONCE
