"""The next page of a sync is begun while the last contacts of a page are worked on, and nobody suffers by it.

In each test the first page's last contact is held up until somebody of the next page is being enrolled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from app.core.errors import RateLimited, Unauthorized, Vendor
from app.storage import programs, syncs
from app.storage.tables import syncs as sync_rows
from app.usecases import run_pages, sync_page
from app.usecases.sync_page import LOOK_SECONDS
from tests.product import Product
from tests.usecases.syncing import Killed, Syncing

PATIENCE_SECONDS = 10.0


class Overlap:
    """Three pages; ``slow`` is the last of the first page, ``next`` the first of the second."""

    def __init__(self, syncing: Syncing, size: int = 3) -> None:
        self.syncing = syncing
        syncing.intercom.page_size = size
        self.contacts = [syncing.contact(f"p{number}@example.com") for number in range(3 * size)]
        self.slow, self.next = f"p{size - 1}@example.com", f"p{size}@example.com"
        self.begun, self.waited, self.patience = threading.Event(), list[bool](), PATIENCE_SECONDS
        syncing.at(self.slow, lambda: self.waited.append(self.begun.wait(self.patience)))
        syncing.at(self.next, self.begun.set)

    def meanwhile(self, happens: Callable[[], object]) -> None:
        """Once both pages are under way."""
        self.syncing.at(self.slow, happens)
        self.syncing.at(self.slow, lambda: self.begun.wait(PATIENCE_SECONDS))

    def seen(self) -> bool:
        return self.waited[:1] == [True]

    def said(self, sync_id: int) -> dict[str, tuple[str, str | None]]:
        return {one.email: (one.outcome, one.cause) for one in self.syncing.outcomes(sync_id)}

    def everybody(self) -> dict[str, tuple[str, str | None]]:
        return {str(one.email): ("added", None) for one in self.contacts}


@pytest.fixture
def syncing(product: Product) -> Syncing:
    return Syncing(product)


@pytest.fixture
def overlap(syncing: Syncing) -> Overlap:
    return Overlap(syncing)


def is_done(overlap: Overlap, sync_id: int) -> bool:
    """Everybody was enrolled once, in the one run, and has the link."""
    row, made = overlap.syncing.row(sync_id), [one.email for one in overlap.syncing.rf.people.values()]
    assert len(made) == len(set(made)) == len(overlap.contacts)
    assert overlap.said(sync_id) == overlap.everybody()
    assert all(overlap.syncing.link_of(one) for one in overlap.contacts)
    assert (row.state, row.looked_at, row.added, row.written_back) == ("completed", *[len(made)] * 3)
    return overlap.seen()


def test_it_is_begun_while_the_last_contacts_of_a_page_are_worked_on(overlap: Overlap) -> None:
    sync_id = overlap.syncing.start()
    overlap.syncing.run()
    assert is_done(overlap, sync_id)
    assert overlap.syncing.rf.called("find_by_email") == 0
    assert overlap.syncing.intercom.called("search") == 3


def test_whoever_may_be_somebody_of_the_page_before_waits_for_it(overlap: Overlap) -> None:
    syncing = overlap.syncing
    same = syncing.contact("P2@example.com")
    another = syncing.contact("another@example.com")
    syncing.at("another@example.com", overlap.begun.set)
    syncing.intercom.page_size = 9
    sync_id = syncing.start()
    syncing.run()
    assert overlap.seen()
    assert syncing.rf.called("create_user") == 10
    first = overlap.contacts[2]
    assert syncing.said(sync_id)[same.id][:2] == ("existing", "already_in_campaign")
    assert syncing.link_of(same) == syncing.link_of(first)
    assert syncing.link_of(another)


def test_a_pause_leaves_both_pages_and_what_was_done_of_them_is_kept(overlap: Overlap) -> None:
    syncing = overlap.syncing
    sync_id = syncing.start()
    overlap.meanwhile(lambda: syncing.set_state(sync_id, syncs.PAUSED))
    syncing.run()
    row = syncing.row(sync_id)
    assert row.state == "paused"
    assert row.added == len(overlap.said(sync_id)) == len(syncing.rf.people)
    assert row.added < len(overlap.contacts)
    assert {outcome for outcome, _ in overlap.said(sync_id).values()} == {"added"}
    syncing.set_state(sync_id, syncs.RUNNING)
    syncing.run()
    assert is_done(overlap, sync_id)


def test_what_was_done_of_a_run_that_is_cancelled_is_kept(overlap: Overlap) -> None:
    syncing = overlap.syncing
    sync_id = syncing.start()
    overlap.meanwhile(lambda: syncing.set_state(sync_id, syncs.CANCELLED))
    syncing.run()
    row = syncing.row(sync_id)
    assert row.state == "cancelled"
    assert row.added == len(overlap.said(sync_id)) == len(syncing.rf.people) < len(overlap.contacts)


def test_the_end_of_the_process_leaves_both_pages(overlap: Overlap) -> None:
    syncing, stopping = overlap.syncing, threading.Event()
    sync_id = syncing.start()
    overlap.meanwhile(stopping.set)
    run_pages.do_due_pages(syncing.product.services, stopping=stopping, seconds=30, threads=4)
    row = syncing.row(sync_id)
    assert (row.state, row.cause) == ("running", None)
    assert row.due_at <= syncing.product.time
    assert row.added == len(overlap.said(sync_id)) == len(syncing.rf.people)
    syncing.run()
    assert is_done(overlap, sync_id)


def test_a_killed_worker_costs_the_repetition_of_both(overlap: Overlap) -> None:
    syncing = overlap.syncing
    sync_id = syncing.start()
    overlap.meanwhile(lambda: syncing.dies_at(syncing.intercom, "update"))
    with pytest.raises(Killed):
        syncing.run()
    assert syncing.row(sync_id).added < len(overlap.contacts)
    syncing.product.advance(61)
    syncing.run()
    assert is_done(overlap, sync_id)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RateLimited(Vendor.REFERRAL_FACTORY, "Spent.", after=20), "rate_limited"),
        (Unauthorized(Vendor.REFERRAL_FACTORY, "Unauthenticated.", status=401), "referral_factory_unauthorized"),
    ],
)
@pytest.mark.parametrize("whose", ["slow", "next"])
def test_a_vendor_in_the_way_of_one_page_stops_both(
    overlap: Overlap, error: RateLimited | Unauthorized, cause: str, whose: str
) -> None:
    syncing = overlap.syncing
    if isinstance(error, Unauthorized):
        syncing.rf.fail("campaigns", error)
    syncing.breaks_for(overlap.slow if whose == "slow" else overlap.next, error, times=1)
    if whose == "next":
        syncing.at(overlap.next, overlap.begun.set)
    else:
        syncing.at(overlap.slow, lambda: overlap.begun.wait(PATIENCE_SECONDS))
    sync_id = syncing.start()
    syncing.run()
    row = syncing.row(sync_id)
    assert (row.state, row.cause) == ("running", cause)
    assert row.added == len(overlap.said(sync_id)) == len(syncing.rf.people) < len(overlap.contacts)
    with syncing.product.database.writing() as connection:
        programs.change(connection, syncing.product.program_id, state="connected", state_cause=None)
    syncing.product.advance(61)
    overlap.begun.set()
    syncing.run()
    assert is_done(overlap, sync_id)


def test_a_page_that_another_worker_has_done_takes_the_begun_one_with_it(overlap: Overlap) -> None:
    syncing = overlap.syncing
    sync_id = syncing.start()

    def done_by_another() -> None:
        with syncing.product.database.writing() as connection:
            connection.execute(update(sync_rows).values(steps=sync_rows.c.steps + 1))

    overlap.meanwhile(done_by_another)
    syncing.run()
    assert syncing.row(sync_id).added == 0
    syncing.product.advance(61)
    syncing.run()
    assert is_done(overlap, sync_id)


def test_nothing_is_begun_where_room_is_counted(overlap: Overlap) -> None:
    overlap.syncing.limit(account=1000)
    overlap.patience = 3 * LOOK_SECONDS
    sync_id = overlap.syncing.start()
    overlap.syncing.run()
    assert not is_done(overlap, sync_id)
    assert overlap.waited == [False]


def test_a_page_that_breaks_off_begins_nobody_more(syncing: Syncing, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be worked on beside the page's next turn."""
    overlap, broken, plan = Overlap(syncing, size=4), threading.Event(), sync_page.SyncPage._plan
    sync_id = syncing.start()

    def breaks(page: sync_page.SyncPage, *arguments: Any) -> Any:
        if page._begun is None:
            return plan(page, *arguments)
        broken.set()
        raise RuntimeError("a bug")

    def outlasts_it() -> None:
        broken.wait(PATIENCE_SECONDS)
        time.sleep(0.3)

    monkeypatch.setattr(sync_page.SyncPage, "_plan", breaks)
    for email in ("p5@example.com", "p6@example.com"):  # by both of the threads
        syncing.at(email, outlasts_it)
    syncing.run(threads=2)
    assert overlap.seen()
    assert "p7@example.com" not in {one.email for one in syncing.rf.people.values()}
    monkeypatch.undo()
    syncing.product.advance(400)
    syncing.run()
    assert is_done(overlap, sync_id)
