"""Which changes of a contact count as a conversion: by the rule, by what stood there before, and by whose contact it
is."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.audiences import AttributeType
from app.core.errors import ApiError, Rejected, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Contact, Role
from app.storage import programs, workspaces
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.replay_events import replay_event
from tests.fakes import FakeReferralFactory, custom
from tests.product import SETTINGS, Product

EMAIL = "friend@example.com"


def rule(attribute: str = "plan", initial: object = "trial", *targets: object) -> dict[str, Any]:
    return {
        "attribute": f"custom_attributes.{attribute}",
        "initial_value": initial,
        "target_values": list(targets or ("pro",)),
    }


def catalogue(product: Product, *changed: Any) -> None:
    for one in changed:
        product.intercom.catalogue[one.path] = one
    with product.database.writing() as connection:
        workspaces.replace_attributes(connection, product.workspace_id, list(product.intercom.catalogue.values()))


def causes(product: Product, contact: Contact, *plans: object) -> list[str | None]:
    """What is told of each value in turn."""
    return [product.tell(product.turns(contact, plan=plan)).cause for plan in plans]


class TestTheValue:
    @pytest.mark.parametrize(
        ("type_", "initial", "target", "seen", "counts"),
        [
            (AttributeType.TEXT, "trial", "Pro", " PRO ", True),
            (AttributeType.TEXT, "trial", "R&D", "R&amp;D", True),
            (AttributeType.TEXT, "trial", "pro", "prof", False),
            (AttributeType.LIST, "trial", "pro", "pro", True),
            (AttributeType.NUMBER, 0, 5, 5, True),
            (AttributeType.NUMBER, "0", "5", "5", True),
            (AttributeType.NUMBER, 0, 5, 55, False),
            (AttributeType.BOOLEAN, False, True, True, True),
            (AttributeType.BOOLEAN, "no", "yes", "true", True),
            (AttributeType.BOOLEAN, False, True, False, False),
            (AttributeType.DECIMAL, None, "9.50", 9.5, True),
            (AttributeType.DECIMAL, None, 9.5, 9.51, False),
            (AttributeType.DATE, None, "2026-01-10", 1_768_003_200, True),
            (AttributeType.DATE, None, "2026-01-10", 1_768_003_201, False),
            (AttributeType.REFERENCE, None, "big", "Big", True),
        ],
    )
    def test_is_compared_by_its_type(
        self, product: Product, type_: AttributeType, initial: object, target: object, seen: object, counts: bool
    ) -> None:
        options = ("trial", "pro") if type_ is AttributeType.LIST else ()
        catalogue(product, custom("stage", type_, options=options))
        product.change(qualification=rule("stage", initial, target))
        product.tell(product.turns(product.watched(), stage=seen))
        assert len(product.qualified) == int(counts)

    @pytest.mark.parametrize("reached", ["pro", "team"])
    def test_may_be_any_of_several(self, product: Product, reached: str) -> None:
        product.change(qualification=rule("plan", "trial", "pro", "team"))
        assert causes(product, product.watched(), "other", reached) == ["value_not_a_target", None]
        assert product.activity()[-1].detail == f"Reached: {reached}"

    @pytest.mark.parametrize("blank", ["", "  ", None])
    def test_is_never_blank(self, product: Product, blank: object) -> None:
        product.change(qualification=rule("plan", "trial", "", "  "))
        assert causes(product, product.watched(), blank) == ["value_not_a_target"]

    @pytest.mark.parametrize("before", [(), ("free",)])
    def test_may_follow_any_other_where_there_is_no_initial_one(
        self, product: Product, before: tuple[str, ...]
    ) -> None:
        product.change(qualification=rule("plan", None))
        contact = product.watched()
        assert contact.custom_attributes.get("plan") is None
        assert causes(product, contact, *before, "pro") == [*["value_not_a_target"] * len(before), None]

    def test_passed_through_between_two_notifications_counts(self, product: Product) -> None:
        contact = product.watched()
        at_pro = product.turns(contact, plan="pro")
        product.turns(contact, plan="trial")
        assert product.tell(at_pro).cause is None
        assert product.standing() == [("qualified", None)]

    def test_before_the_initial_one_does_not_count(self, product: Product) -> None:
        product.intercom.put(EMAIL, created_at=1, custom_attributes={"plan": "free"})
        product.change(duplicates="fill_blanks")
        contact = product.watched()
        assert product.standing() == [("open", "initial_value_mismatch")]
        seen = causes(product, contact, "pro", "free", "trial", "free", "pro")
        assert seen == [
            "initial_value_mismatch",
            "initial_value_mismatch",
            "value_not_a_target",
            "value_not_a_target",
            None,
        ]
        assert len(product.qualified) == 1

    def test_in_another_attribute_is_told_and_does_not_count(self, product: Product) -> None:
        contact = product.watched()
        event = product.tell(product.turns(contact, tier="Pro", plan="other"))
        assert event.cause == "attribute_not_the_trigger"
        row = product.activity()[-1]
        assert (row.outcome, row.cause) == ("ignored", "attribute_not_the_trigger")
        assert "custom_attributes.tier" in row.detail
        assert (product.qualified, product.standing()) == ([], [("open", "attribute_not_the_trigger")])

    @pytest.mark.parametrize(
        "strange",
        ["nul\0", "\ud800", "x" * 100_000, 10**400, -1e308, ["pro"], {"plan": "pro"}],
    )
    def test_may_be_anything_and_is_kept(self, product: Product, strange: object) -> None:
        catalogue(product, custom("stage"))
        product.change(qualification=rule("stage", "trial", "pro"))
        contact = product.watched()
        assert product.tell(product.turns(contact, stage=strange)).cause == "value_not_a_target"
        assert product.tell(product.turns(contact, stage="pro")).cause is None
        assert product.standing() == [("qualified", None)]

    @pytest.mark.parametrize("strange", [float("inf"), float("nan")])
    def test_may_be_a_number_that_json_has_no_word_for(self, product: Product, strange: float) -> None:
        catalogue(product, custom("stage"))
        product.change(qualification=rule("stage", "trial", "pro"))
        contact = product.watched()
        product.turns(contact, stage=strange)  # as read by id, where 1e400 is no fault
        event = product.tell(contact)
        assert (event.status, event.cause) == ("done", "value_not_a_target")

    def test_that_stays_the_same_is_told_once(self, product: Product) -> None:
        contact = product.watched()
        causes(product, contact, "other", "other", "other")
        assert product.told() == [("ignored", "value_not_a_target")]

    def test_refused_at_the_creation_counts_as_seen_and_the_field_is_named(self, product: Product) -> None:
        product.intercom.refuse("custom_attributes.plan")
        contact = product.watched()
        (row,) = product.activity()
        assert {one["to"]: one["cause"] for one in row.fields if one["cause"]} == {
            "custom_attributes.plan": "value_refused_by_intercom"
        }
        assert (row.outcome, contact.custom_attributes.get("plan")) == ("created", None)
        assert causes(product, contact, "pro") == [None]
        assert len(product.qualified) == 1


class TestWhoWasThereBefore:
    @pytest.mark.parametrize("policy", ["update", "fill_blanks"])
    def test_and_had_converted_never_qualifies(self, product: Product, policy: str) -> None:
        product.change(duplicates=policy)
        product.intercom.put(EMAIL, created_at=1, custom_attributes={"plan": "pro"})
        contact = product.watched()
        assert product.standing() == [("closed", "already_converted")]
        assert causes(product, contact, "trial", "pro") == ["already_converted", "already_converted"]
        assert product.qualified == []

    def test_and_gets_the_initial_value_from_us_qualifies_later(self, product: Product) -> None:
        product.change(duplicates="fill_blanks")
        product.intercom.put(EMAIL, created_at=1)
        contact = product.watched()
        assert contact.custom_attributes["plan"] == "trial"
        assert causes(product, contact, "pro") == [None]

    def test_and_was_skipped_does_not_qualify_and_is_told_so_once(self, product: Product) -> None:
        product.intercom.put(EMAIL, created_at=1, custom_attributes={"plan": "trial"})
        contact = product.watched()
        calls = len(product.intercom.calls)
        assert product.standing() == [("closed", "existed_before_and_not_updated")]
        assert causes(product, contact, "other", "pro", "pro") == ["existed_before_and_not_updated"] * 3
        assert product.told() == [("ignored", "existed_before_and_not_updated")]
        assert (product.qualified, len(product.intercom.calls)) == ([], calls)

    @pytest.mark.parametrize("policy", ["update", "fill_blanks"])
    def test_only_since_the_signup_and_has_paid_meanwhile_has_converted(self, product: Product, policy: str) -> None:
        product.change(duplicates=policy)
        product.intercom.fail("search_email", Unavailable(Vendor.INTERCOM, "away", down=True))
        friend = product.refer()
        product.work_until_idle()
        product.advance(30)
        product.intercom.put(EMAIL, Role.USER, custom_attributes={"plan": "pro"})
        probe_circuits(product.services)
        product.work_until_idle()
        assert product.told("send") == [("updated", None)]
        assert product.qualified == [str(friend.values["id"])]
        assert product.standing() == [("qualified", None)]


class TestTheRule:
    @pytest.mark.parametrize(
        ("change", "cause"),
        [("archived", "attribute_archived"), ("unknown", "attribute_unknown")],
    )
    def test_whose_attribute_is_gone_says_so_until_it_is_back(
        self, product: Product, change: str, cause: str
    ) -> None:
        contact = product.watched()
        path, there = "custom_attributes.plan", product.intercom.catalogue["custom_attributes.plan"]
        if change == "archived":
            catalogue(product, custom("plan", AttributeType.LIST, options=("trial", "pro"), archived=True))
        else:
            del product.intercom.catalogue[path]
            catalogue(product)
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.status, event.cause, product.standing()) == ("done", cause, [("open", cause)])
        catalogue(product, there)
        product.tell(product.turns(contact))
        assert product.standing() == [("qualified", None)]

    def test_with_other_targets_counts_from_the_next_look_on(self, product: Product) -> None:
        contact = product.watched()
        product.tell(product.turns(contact, plan="team"))
        product.change(qualification=rule("plan", "trial", "team"))
        product.tell(product.turns(contact))
        assert product.standing() == [("qualified", None)]

    def test_of_another_attribute_begins_anew(self, product: Product) -> None:
        catalogue(product, custom("tier"))
        contact = product.watched()
        product.change(qualification=rule("tier", None, "gold"))
        product.tell(product.turns(contact, plan="pro"))
        assert product.qualified == []
        product.tell(product.turns(contact, tier="gold"))
        assert len(product.qualified) == 1

    def test_made_after_they_were_sent_watches_them(self, product: Product) -> None:
        product.change(qualification=None)
        contact = product.watched()
        product.change()
        assert causes(product, contact, "trial", "pro") == ["value_not_a_target", None]

    def test_made_after_a_customer_from_before_was_sent_is_no_referral(self, product: Product) -> None:
        product.change(qualification=None, duplicates="update")
        product.intercom.put(EMAIL, created_at=1, custom_attributes={"plan": "pro"})
        contact = product.watched()
        product.change()
        assert causes(product, contact, "pro", "trial", "pro") == ["already_converted"] * 3
        assert product.qualified == []


def second_campaign(product: Product, **settings: Any) -> int:
    second = product.add_campaign(product.workspace_id, product.program_id, "2")
    product.set_up(Audience.LEADS, {**SETTINGS, "duplicates": "update", **settings}, second)
    return second


class TestOnePersonOfTwoCampaigns:
    def test_is_judged_by_the_rule_of_each(self, product: Product) -> None:
        catalogue(product, custom("tier"))
        second = second_campaign(product, qualification=rule("tier", None, "gold"))
        product.refer()
        contact = product.watched(to_campaign=second, named="2")
        first, other = (one.referral_factory_id for one in product.people())
        product.tell(product.turns(contact, plan="pro"))
        assert product.qualified == [first]
        assert product.standing() == [("qualified", None), ("open", "value_not_a_target")]
        product.tell(product.turns(contact, tier="gold"))
        assert product.qualified == [first, other]

    def test_qualifies_in_both_at_once(self, product: Product) -> None:
        second = second_campaign(product)
        product.refer()
        contact = product.watched(to_campaign=second, named="2")
        product.tell(product.turns(contact, plan="pro"))
        assert len(set(product.qualified)) == len(product.qualified) == 2
        assert product.intercom.called("contact") <= 2

    def test_may_be_a_referrer_in_the_other(self, product: Product) -> None:
        second = second_campaign(product)
        product.set_up(Audience.REFERRERS, {**SETTINGS, "qualification": None, "duplicates": "update"}, second)
        contact = product.watched()
        product.receive(to_campaign=second, id=900, email=EMAIL, first_name="Frida", type="person_referring")
        product.work_until_idle()
        product.tell(product.turns(contact, plan="pro"))
        assert len(product.qualified) == 1
        assert product.standing("referrers") == [("closed", "only_leads_qualify")]


class TestOnePersonOfTwoPrograms:
    def both(self, product: Product, order: str) -> tuple[Contact, FakeReferralFactory]:
        """The second program is the one that gets into trouble; ``order`` is where its lead stands."""
        program_id, other = product.add_program("2")
        second = product.add_campaign(product.workspace_id, program_id, "2")
        product.set_up(Audience.LEADS, {**SETTINGS, "duplicates": "update"}, second)
        joins: list[dict[str, Any]] = [{}, {"to_campaign": second, "named": "2", "api": other}]
        for join in joins if order == "last" else reversed(joins):
            product.refer(**join)
            product.work_until_idle()
        (contact,) = product.intercom.contacts.values()
        return contact, other

    def retried(self, product: Product) -> None:
        for seconds in (10, 60, 300, 300):
            product.advance(seconds)
            probe_connections(product.services)
            probe_circuits(product.services)
            product.work_until_idle()

    @pytest.mark.parametrize("order", ["first", "last"])
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (Unavailable(Vendor.REFERRAL_FACTORY, "away", sent=False, down=True), "received"),
            (Unavailable(Vendor.REFERRAL_FACTORY, "no answer"), "retrying"),
            (Unauthorized(Vendor.REFERRAL_FACTORY, "no", status=401), "received"),
        ],
    )
    def test_of_which_one_is_away_is_qualified_in_the_other_and_the_event_waits(
        self, product: Product, error: ApiError, status: str, order: str
    ) -> None:
        contact, other = self.both(product, order)
        other.fail("qualify", error)
        if isinstance(error, Unauthorized):
            other.fail("campaigns", error)
        event = product.tell(product.turns(contact, plan="pro"))
        assert event.status == status
        assert len(product.qualified) == 1
        assert sorted(state for state, _ in product.standing()) == ["open", "qualified"]
        self.retried(product)
        assert product.event(event.id).status == "done"
        assert [state for state, _ in product.standing()] == ["qualified"] * 2
        assert (len(product.qualified), other.called("qualify")) == (1, 2)
        assert product.told() == [("qualified", None)] * 2

    @pytest.mark.parametrize("order", ["first", "last"])
    def test_of_which_one_refuses_is_qualified_in_the_other_and_the_event_is_dead(
        self, product: Product, order: str
    ) -> None:
        contact, other = self.both(product, order)
        other.fail("qualify", Rejected(Vendor.REFERRAL_FACTORY, "no", status=422))
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.status, event.cause) == ("dead", "referral_factory_refused")
        assert len(product.qualified) == 1
        replay_event(product.services, event.id, "anna@example.com")
        product.work_until_idle()
        assert product.event(event.id).status == "done"
        assert (len(product.qualified), other.called("qualify")) == (1, 2)

    @pytest.mark.parametrize("order", ["first", "last"])
    def test_of_which_one_is_disconnected_is_not_asked_there(self, product: Product, order: str) -> None:
        contact, other = self.both(product, order)
        with product.database.writing() as connection:
            row = next(one for one in programs.page(connection, after=0, limit=9) if one.name == "2")
            programs.change(connection, row.id, state="disconnected", state_cause="referral_factory_unauthorized")
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.status, event.held_by, event.attempts) == ("received", f"program:{row.id}", 0)
        assert (len(product.qualified), other.called("qualify")) == (1, 0)
