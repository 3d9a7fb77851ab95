"""A vendor refuses or is away when a lead has converted, or knows them by less than its own id."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from app.core.errors import ApiError, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.storage import workspaces
from app.storage.tables import people
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.replay_events import replay_event
from tests.product import Product
from tests.usecases.test_qualifying import attempts, calls, converted, friend, unavailable


class TestARefusal:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (None, "unknown_in_referral_factory"),
            (Rejected(Vendor.REFERRAL_FACTORY, "The id is invalid.", status=422), "referral_factory_refused"),
        ],
    )
    def test_is_the_end_until_a_replay_after_a_fix(
        self, product: Product, error: ApiError | None, cause: str
    ) -> None:
        event_id, _ = converted(product)
        id_ = friend(product).referral_factory_id
        known = product.referral_factory.people[id_]
        if error is None:
            product.referral_factory.remove(id_)
        else:
            product.referral_factory.fail("qualify", error)
        product.work_until_idle()
        event = product.event(event_id)
        assert (event.status, event.cause, event.attempts) == ("dead", cause, 1)
        assert (product.standing(), product.told()) == ([("open", cause)], [("failed", cause)])
        assert attempts(product) == ["refused"]

        product.referral_factory.people[id_] = known
        replay_event(product.services, event_id, "anna@example.com")
        product.work_until_idle()
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])

    def test_of_the_token_parks_the_event_until_the_program_is_back(self, product: Product) -> None:
        event_id, _ = converted(product)
        refused = Unauthorized(Vendor.REFERRAL_FACTORY, "no", status=401)
        product.referral_factory.fail("qualify", refused)
        product.referral_factory.fail("campaigns", refused)
        product.work_until_idle()
        event = product.event(event_id)
        assert (event.status, event.attempts, event.cause) == ("received", 0, "referral_factory_unauthorized")
        assert event.held_by == f"program:{product.program_id}"
        product.advance(300)
        probe_connections(product.services)
        product.work_until_idle()
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])
        assert calls(product).count("qualify") == 2

    @pytest.mark.parametrize("error", [unavailable(sent=False, down=True), unavailable(status=503, down=True)])
    def test_to_answer_at_all_holds_the_event_without_an_attempt(self, product: Product, error: ApiError) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", error)
        product.work_until_idle()
        event = product.event(event_id)
        assert (event.status, event.attempts, event.cause) == ("received", 0, "referral_factory_unavailable")
        assert event.held_by
        assert product.told() == []

        for seconds in (5, 30, 30):
            product.advance(seconds)
            probe_circuits(product.services)
            product.work_until_idle()
        assert (product.event(event_id).status, product.standing()) == ("done", [("qualified", None)])
        assert len([one for one in product.told() if one[0] == "qualified"]) == 1

    def test_for_now_is_tried_again_when_the_vendor_says(self, product: Product) -> None:
        event_id, _ = converted(product)
        product.referral_factory.fail("qualify", RateLimited(Vendor.REFERRAL_FACTORY, "later", after=7))
        product.work_until_idle()
        event = product.event(event_id)
        assert (event.status, event.attempts, event.cause) == ("retrying", 0, "rate_limited")
        product.advance(7)
        product.work_until_idle()
        assert (calls(product), product.standing()) == (["qualify", "qualify"], [("qualified", None)])


class TestTheNameInReferralFactory:
    def forget(self, product: Product, *names: str) -> None:
        with product.database.writing() as connection:
            changes: dict[str, Any] = dict.fromkeys(names)
            connection.execute(update(people).where(people.c.audience == "leads").values(**changes))

    def test_is_the_id_else_the_code(self, product: Product) -> None:
        converted(product)
        code = friend(product).code
        self.forget(product, "referral_factory_id")
        product.work_until_idle()
        assert (product.qualified, product.standing()) == ([code], [("qualified", None)])

    def test_is_the_email_where_it_is_one_leads_only(self, product: Product) -> None:
        converted(product)
        id_ = friend(product).referral_factory_id
        self.forget(product, "referral_factory_id", "code")
        product.work_until_idle()
        assert (product.qualified, product.standing()) == ([id_], [("qualified", None)])

    @pytest.mark.parametrize(
        ("there", "cause"),
        [
            ("lead and referrer", "several_people_match"),
            ("referrer", "only_leads_qualify"),
            ("nobody", "unknown_in_referral_factory"),
        ],
    )
    def test_is_not_guessed(self, product: Product, there: str, cause: str) -> None:
        event_id, _ = converted(product)
        id_ = friend(product).referral_factory_id
        self.forget(product, "referral_factory_id", "code")
        if there != "nobody":
            product.referral_factory.sign_up("friend@example.com")
        if there != "lead and referrer":
            product.referral_factory.remove(id_)
        product.work_until_idle()
        event = product.event(event_id)
        assert (event.status, event.cause, product.qualified) == ("dead", cause, [])
        assert product.told() == [("failed", cause)]


class TestIntercomInTheWay:
    def test_for_a_while_makes_the_event_wait(self, product: Product) -> None:
        contact = product.turns(product.watched(), plan="pro")
        product.intercom.fail("contact", Unavailable(Vendor.INTERCOM, "no answer"))
        event = product.tell(contact)
        assert (event.status, event.attempts, product.told()) == ("retrying", 1, [])
        product.advance(10)
        product.work_until_idle()
        assert (product.event(event.id).status, product.standing()) == ("done", [("qualified", None)])

    def test_as_a_whole_holds_the_event_without_an_attempt(self, product: Product) -> None:
        contact = product.turns(product.watched(), plan="pro")
        product.intercom.fail("contact", Unavailable(Vendor.INTERCOM, "away", sent=False, down=True))
        event = product.tell(contact)
        assert (event.status, event.attempts, event.cause) == ("received", 0, "intercom_unavailable")
        product.advance(30)
        probe_circuits(product.services)
        product.work_until_idle()
        assert (product.event(event.id).status, product.standing()) == ("done", [("qualified", None)])

    def test_while_disconnected_is_not_asked(self, product: Product) -> None:
        contact = product.turns(product.watched(), plan="pro")
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="disconnected")
        product.intercom.calls.clear()
        event = product.tell(contact)
        assert (event.status, event.held_by) == ("received", f"workspace:{product.workspace_id}")
        assert product.intercom.calls == []

    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (Rejected(Vendor.INTERCOM, "no", status=400), "value_refused_by_intercom"),
            (Unavailable(Vendor.INTERCOM, "no answer", status=500), "intercom_unavailable"),
        ],
    )
    def test_for_good_is_told(self, product: Product, error: ApiError, cause: str) -> None:
        contact = product.turns(product.watched(), plan="pro")
        product.intercom.fail("contact", error, times=4)
        event = product.tell(contact)
        for seconds in (10, 60, 300):
            product.advance(seconds)
            product.work_until_idle()
        event = product.event(event.id)
        assert (event.status, event.cause) == ("dead", cause)
        assert (product.standing(), product.told()) == ([("open", cause)], [("failed", cause)])
