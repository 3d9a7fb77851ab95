"""A connection that is lost holds its work as a whole; once the vendor takes the token again, all of it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import Unauthorized, Unavailable, Vendor
from app.storage import programs, workspaces
from app.storage.vault import digest
from app.usecases.check_connections import probe_connections, try_program, try_workspace
from tests.product import Product

REFUSED = Unauthorized(Vendor.INTERCOM, "Access Token Invalid", status=401)
FORBIDDEN = Unauthorized(Vendor.INTERCOM, "no", status=403)
REFUSED_THERE = Unauthorized(Vendor.REFERRAL_FACTORY, "Unauthenticated.", status=401)


def workspace(product: Product) -> Any:
    with product.database.reading() as connection:
        return workspaces.get(connection, product.workspace_id)


def program(product: Product) -> Any:
    with product.database.reading() as connection:
        return programs.get(connection, product.program_id)


def lose_workspace(product: Product) -> int:
    product.intercom.fail("search_email", REFUSED)
    product.intercom.fail("me", REFUSED)
    event_id = product.receive_lead()
    product.work()
    assert workspace(product).state == "disconnected"
    product.bell.rings = 0
    return event_id


def lose_program(product: Product) -> int:
    """The payload names no email, so Referral Factory is asked."""
    product.referral_factory.fail("user", REFUSED_THERE, times=2)
    product.referral_factory.fail("campaigns", REFUSED_THERE)
    event_id = product.receive(id=7, type="person_invited")
    product.work()
    assert program(product).state == "disconnected"
    product.bell.rings = 0
    return event_id


class TestALostWorkspace:
    def test_holds_its_work_without_attempts_and_is_named_with_its_cause(self, product: Product) -> None:
        event = product.event(lose_workspace(product))
        assert workspace(product).state_cause == "intercom_unauthorized"
        assert (event.status, event.attempts, event.held_by) == ("received", 0, f"workspace:{product.workspace_id}")

    def test_is_back_once_its_token_is_taken_and_its_work_goes_on(self, product: Product) -> None:
        event_id = lose_workspace(product)
        assert probe_connections(product.services) == 1
        assert product.bell.rings == 1
        assert (workspace(product).state, workspace(product).state_cause) == ("connected", None)
        product.work()
        assert product.event(event_id).status == "done"

    @pytest.mark.parametrize("answer", [REFUSED, Unavailable(Vendor.INTERCOM, "away", down=True)], ids=["no", "away"])
    def test_stays_lost_as_long_as_it_is_refused_or_nobody_answers(self, product: Product, answer: Any) -> None:
        event_id = lose_workspace(product)
        product.intercom.fail("me", answer)
        assert probe_connections(product.services) == 0
        assert product.bell.rings == 0
        assert workspace(product).state == "disconnected"
        assert product.event(event_id).held_by is not None

    def test_is_not_taken_for_back_where_a_person_gave_it_another_token_meanwhile(self, product: Product) -> None:
        lose_workspace(product)
        with product.database.writing() as connection:
            workspaces.regain(connection, product.workspace_id, digest("an older one"), product.time)
        assert workspace(product).state == "disconnected"

    def test_that_a_person_disconnected_is_not_asked(self, product: Product) -> None:
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="disconnected", token=None, token_digest=None)
        assert probe_connections(product.services) == 0
        assert product.intercom.calls == []


class TestALostProgram:
    def test_holds_its_work_and_is_back_once_its_token_is_taken(self, product: Product) -> None:
        event_id = lose_program(product)
        event = product.event(event_id)
        assert (event.status, event.attempts, event.held_by) == ("received", 0, f"program:{product.program_id}")
        assert event.cause == "referral_factory_unauthorized"
        assert probe_connections(product.services) == 1
        assert product.bell.rings == 1
        assert program(product).state == "connected"
        assert product.event(event_id).held_by is None

    def test_stays_lost_where_its_token_is_refused(self, product: Product) -> None:
        event_id = lose_program(product)
        product.referral_factory.fail("campaigns", REFUSED_THERE)
        assert probe_connections(product.services) == 0
        assert product.event(event_id).held_by == f"program:{product.program_id}"


class TestTryingByHand:
    def test_a_lost_workspace_that_works_again_goes_on(self, product: Product) -> None:
        event_id = lose_workspace(product)
        product.advance(60)
        assert try_workspace(product.services, workspace(product))
        row = workspace(product)
        assert (row.state, row.state_since) == ("connected", product.time)
        assert product.bell.rings == 1
        product.work()
        assert product.event(event_id).status == "done"

    def test_what_waits_for_a_permission_is_tried_again(self, product: Product) -> None:
        product.intercom.fail("create", FORBIDDEN)
        event_id = product.receive_lead()
        product.work()
        assert workspace(product).missing_permissions == ["contacts_write"]
        since = workspace(product).state_since
        assert try_workspace(product.services, workspace(product))
        assert (workspace(product).missing_permissions, workspace(product).state_since) == ([], since)
        product.advance(200)
        product.work()
        assert product.event(event_id).status == "done"

    def test_one_that_is_still_refused_stays_lost_since_the_first_time(self, product: Product) -> None:
        lose_workspace(product)
        since = product.time
        product.advance(60)
        product.intercom.fail("me", REFUSED)
        assert not try_workspace(product.services, workspace(product))
        row = workspace(product)
        assert (row.state, row.state_since) == ("disconnected", since)
        assert product.bell.rings == 0

    def test_a_lost_program_that_works_again_goes_on(self, product: Product) -> None:
        lose_program(product)
        product.advance(60)
        assert try_program(product.services, program(product))
        assert (program(product).state, program(product).state_since) == ("connected", product.time)

    def test_where_nothing_waits_nothing_is_rung_for(self, product: Product) -> None:
        assert try_workspace(product.services, workspace(product))
        assert try_program(product.services, program(product))
        assert product.bell.rings == 0
