"""What is away as a whole holds what needs it, without an attempt; one at a time finds out whether it is back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Audience
from app.storage import circuits, workspaces
from app.storage.circuits import Broken
from app.storage.tables import circuits as circuits_table
from app.storage.vault import digest
from app.usecases import process_event
from app.usecases.check_connections import CANARIES, probe_circuits, release
from tests.product import SETTINGS, Product, lead

DOWN = Unavailable(Vendor.INTERCOM, "Intercom answered 503.", status=503, down=True)
DOWN_THERE = Unavailable(Vendor.REFERRAL_FACTORY, "Referral Factory can't be reached.", sent=False, down=True)
FORBIDDEN = Unauthorized(Vendor.INTERCOM, "no", status=403)


def open_circuits(product: Product) -> set[str]:
    with product.database.reading() as connection:
        return set(connection.execute(select(circuits_table.c.name)).scalars())


def receive(product: Product, number: int, first: int = 0) -> list[int]:
    return [product.receive_lead(id=n, email=f"lead{n}@example.com") for n in range(first, first + number)]


def held(product: Product, ids: list[int]) -> list[int]:
    return [one for one in ids if product.event(one).held_by]


def workspace(product: Product) -> Any:
    with product.database.reading() as connection:
        return workspaces.get(connection, product.workspace_id)


class TestAVendorThatIsDown:
    def test_holds_its_work_without_an_attempt_and_is_not_asked_for_each_event(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN, times=100)
        ids = receive(product, 1)
        product.work()
        ids += receive(product, 20, first=1)
        product.work()
        assert product.intercom.called("search_email") == 1
        assert held(product, ids) == ids
        assert {(product.event(one).attempts, product.event(one).cause) for one in ids} == {
            (0, "intercom_unavailable")
        }

    def test_is_probed_by_one_event_at_most_thirty_seconds_apart(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN, times=100)
        ids = receive(product, 10)
        product.work()
        asked = product.intercom.called("search_email")
        for _ in range(6):
            product.advance(10)
            assert probe_circuits(product.services) == CANARIES
            product.work()
        assert product.intercom.called("search_email") - asked == 6, "one call in ten seconds"
        assert held(product, ids) == ids
        assert {product.event(one).attempts for one in ids} == {0}

    def test_that_is_back_has_all_its_work_done(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN, times=10)
        ids = receive(product, 10)
        product.work()
        product.bell.rings = 0
        product.advance(10)
        probe_circuits(product.services)
        product.work_until_idle()
        assert {product.event(one).status for one in ids} == {"done"}
        assert len(product.intercom.contacts) == 10
        assert open_circuits(product) == set()
        assert product.bell.rings >= 2, "for the probe, and for what was released"

    def test_is_found_back_by_a_signup_as_well(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN)
        ids = receive(product, 1)
        product.work()
        product.advance(11)
        ids += receive(product, 1, first=1)
        product.work_until_idle()
        assert {product.event(one).status for one in ids} == {"done"}

    def test_longer_than_the_whole_schedule_makes_no_event_dead(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN, times=10_000)
        ids = receive(product, 5)
        for _ in range(3 * 24):
            product.work()
            product.advance(3600)
            probe_circuits(product.services)
        assert {product.event(one).status for one in ids} == {"received"}

    def test_on_one_side_does_not_stop_what_needs_the_other_side_alone(self, product: Product) -> None:
        product.referral_factory.fail("user", DOWN_THERE, times=10)
        lacking = product.receive(id=7, email="lacking@example.com", type="person_invited", first_name="A")
        product.work()
        complete = receive(product, 1, first=50)
        product.work()
        assert product.event(lacking).held_by == f"referral_factory:{product.program_id}"
        assert product.event(complete[0]).status == "done"

    def test_an_error_that_is_not_its_absence_closes_the_circuit_and_costs_an_attempt(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN)
        (event_id,) = receive(product, 1)
        product.work()
        product.intercom.fail("search_email", Unavailable(Vendor.INTERCOM, "Intercom answered 500.", status=500))
        product.advance(10)
        probe_circuits(product.services)
        product.work()
        event = product.event(event_id)
        assert (event.status, event.attempts, event.held_by) == ("retrying", 1, None)
        assert open_circuits(product) == set()

    def test_is_not_held_for_back_by_a_budget_that_is_spent(self, product: Product) -> None:
        product.intercom.fail("search_email", DOWN)
        (event_id,) = receive(product, 1)
        product.work()
        product.intercom.fail("search_email", RateLimited(Vendor.INTERCOM, "The budget is spent.", after=2))
        product.advance(10)
        probe_circuits(product.services)
        product.work()
        assert open_circuits(product) == {"intercom:1"}
        assert product.event(event_id).attempts == 0

    def test_that_nobody_waits_for_any_more_is_forgotten(self, product: Product) -> None:
        with product.database.writing() as connection:
            circuits.open_(
                connection, Broken("intercom:1", "intercom_unavailable", timedelta(seconds=10)), product.time
            )
        product.advance(10)
        probe_circuits(product.services)
        assert open_circuits(product) == set()

    def test_closed_while_an_event_was_on_its_way_behind_it_does_not_keep_that_for_ever(
        self, product: Product
    ) -> None:
        product.intercom.fail("search_email", DOWN, times=2)
        first = receive(product, 1)
        product.work()
        late = receive(product, 1, first=1)
        batch = process_event.claim(product.services, "late", 10)
        outcomes = [process_event.process(product.services, event, batch) for event in batch.events]
        with product.database.writing() as connection:
            release(connection, f"workspace:{product.workspace_id}", product.time)
        process_event.settle(product.services, "late", outcomes)
        for _ in range(4):
            product.advance(10)
            probe_circuits(product.services)
            product.work_until_idle()
        assert {product.event(one).status for one in first + late} == {"done"}


class TestAConnectionThatWasGivenBack:
    def test_while_an_event_was_on_its_way_to_wait_for_it_does_not_keep_that(self, product: Product) -> None:
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="disconnected")
        (event_id,) = receive(product, 1)
        batch = process_event.claim(product.services, "late", 10)
        outcomes = [process_event.process(product.services, event, batch) for event in batch.events]
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="connected")
            release(connection, f"workspace:{product.workspace_id}", product.time)
        process_event.settle(product.services, "late", outcomes)
        product.work()
        assert product.event(event_id).status == "done"


class TestAMissingPermission:
    def test_is_named_and_stops_only_what_needs_it(self, product: Product) -> None:
        product.intercom.fail("create", FORBIDDEN, times=100)
        ids = receive(product, 3)
        product.work()
        there = product.intercom.put("there@example.com", created_at=1)
        skipped = product.receive_lead(id=99, email="there@example.com")
        more = receive(product, 1, first=3)
        product.work()
        assert workspace(product).state == "connected"
        assert workspace(product).missing_permissions == ["contacts_write"]
        assert {product.event(one).cause for one in ids + more} == {"intercom_permission_missing"}
        assert held(product, ids + more) == ids + more
        assert product.intercom.called("create") == 3, "those that come later are not tried"
        assert product.event(skipped).status == "done", f"{there.id} needs no write"

    def test_is_not_held_for_given_by_an_event_that_had_nothing_to_write(self, product: Product) -> None:
        product.change(duplicates="fill_blanks")
        product.intercom.fail("create", FORBIDDEN, times=100)
        ids = receive(product, 1)
        product.work()
        written = {"Referrer Email": "r@x.test", "Company name": "C", "Seats": 1, "plan": "trial"}
        product.intercom.put("full@example.com", name="Full", created_at=1, custom_attributes=written)
        product.advance(301)
        full = product.receive_lead(id=99, email="full@example.com")
        product.work()
        assert product.event(full).status == "done"
        assert held(product, ids) == ids
        assert workspace(product).missing_permissions == ["contacts_write"]

    def test_that_was_given_lets_all_go_on_and_is_shown_no_longer(self, product: Product) -> None:
        product.intercom.fail("create", FORBIDDEN, times=8)
        ids = receive(product, 8)
        product.work()
        assert held(product, ids) == ids
        product.advance(300)
        probe_circuits(product.services)
        product.work_until_idle()
        assert {product.event(one).status for one in ids} == {"done"}
        assert workspace(product).missing_permissions == []

    def test_that_is_still_missing_is_asked_for_once_in_five_minutes(self, product: Product) -> None:
        product.intercom.fail("create", FORBIDDEN, times=100)
        ids = receive(product, 8)
        product.work()
        asked = product.intercom.called("create")
        for _ in range(60):
            product.advance(10)
            probe_circuits(product.services)
            product.work()
        assert product.intercom.called("create") - asked == 2
        assert held(product, ids) == ids
        assert {product.event(one).attempts for one in ids} == {0}

    def test_of_one_workspace_does_not_stop_another(self, product: Product) -> None:
        vault = product.services.vault
        with product.database.writing() as connection:
            other = workspaces.add(
                connection,
                app_id="app2",
                name="Other",
                region="us",
                timezone="UTC",
                token=vault.seal("t2"),
                token_digest=digest("t2"),
                client_secret=vault.seal("s2"),
                state="connected",
                missing_permissions=[],
                created_at=product.time,
            )
            workspaces.replace_attributes(connection, other, product.intercom.attributes())
        campaign = product.add_campaign(other, product.program_id, "2")
        product.set_up(Audience.LEADS, SETTINGS, campaign)
        product.intercom.fail("create", FORBIDDEN)
        (here,) = receive(product, 1)
        product.work()
        there = product.receive(to_campaign=campaign, **lead(id=50, email="there@example.com"))
        product.work()
        assert product.event(here).held_by == f"intercom:{product.workspace_id}:contacts_write"
        assert product.event(there).status == "done"


@pytest.mark.parametrize("error", [DOWN, FORBIDDEN], ids=["down", "forbidden"])
def test_reconnecting_releases_all_that_waits(product: Product, error: Exception) -> None:
    product.intercom.fail("create", error, times=5)  # type: ignore[arg-type]
    ids = receive(product, 5)
    product.work()
    assert held(product, ids) == ids
    with product.database.writing() as connection:
        release(connection, f"workspace:{product.workspace_id}", product.time)
    for _ in range(2):
        product.advance(181)
        product.work_until_idle()
    assert {product.event(one).status for one in ids} == {"done"}
    assert len(product.intercom.contacts) == 5


def test_what_ends_dead_is_told_to_whom_it_concerns(product: Product) -> None:
    product.intercom.fail("search_email", Unavailable(Vendor.INTERCOM, "Intercom answered 500.", status=500), times=9)
    (event_id,) = receive(product, 1)
    for _ in range(4):
        product.work()
        product.advance(400)
    (row,) = product.activity()
    assert (row.outcome, row.cause, row.email, row.event_id) == (
        "failed",
        "intercom_unavailable",
        "lead0@example.com",
        event_id,
    )
