"""A contact changes in Intercom: whose it is, what is looked at, and what follows for the lead that it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import Unavailable, Vendor
from app.core.people import Audience, Contact, Role
from app.integrations.intercom import Gone, GoneKind
from app.storage import campaigns, inbox, workspaces
from schemas.intercom import LOOK
from tests.product import SETTINGS, Product

BY_ROLE = {**SETTINGS, "qualification": {"attribute": "role", "initial_value": "lead", "target_values": ["user"]}}


def looks(product: Product) -> int:
    return product.intercom.called("contact")


class TestAConversion:
    def test_that_a_webhook_tells_qualifies_the_referral_once(self, product: Product) -> None:
        contact = product.watched()
        (friend,) = [one for one in product.people() if one.audience == "leads"]
        event = product.tell(product.turns(contact, plan="pro"))

        assert (event.status, event.cause) == ("done", None)
        assert product.qualified == [friend.referral_factory_id]
        assert product.referral_factory.people[friend.referral_factory_id].values["qualified_at"] is not None
        row = product.activity()[-1]
        assert (row.verb, row.outcome, row.cause, row.detail) == ("qualify", "qualified", None, "Reached: pro")
        assert (row.event_id, row.contact_id, row.email) == (event.id, contact.id, "friend@example.com")
        (person,) = [one for one in product.people() if one.audience == "leads"]
        assert (person.qualification_state, person.qualification_cause) == ("qualified", None)
        assert person.qualification_since == product.time

    def test_costs_one_call_of_each_vendor(self, product: Product) -> None:
        contact = product.watched()
        product.intercom.calls.clear()
        product.referral_factory.calls.clear()
        product.tell(product.turns(contact, plan="pro"))
        assert [name for name, _ in product.intercom.calls] == ["contact"]
        assert [name for name, _ in product.referral_factory.calls] == ["qualify"]

    def test_told_again_in_any_way_asks_nobody(self, product: Product) -> None:
        contact = product.turns(product.watched(), plan="pro")
        first = product.notified(contact, key="notif_same")
        product.work_until_idle()
        calls = looks(product)
        assert product.notified(contact, key="notif_same") == first
        later = product.tell(product.turns(contact, plan="trial"))
        product.tell(product.turns(contact, plan="pro"), "contact.deleted")
        assert (later.status, later.cause) == ("done", "already_qualified")
        assert (len(product.qualified), looks(product)) == (1, calls)
        assert product.told() == [("qualified", None)]

    @pytest.mark.parametrize("mapped", [True, False])
    def test_has_the_referrers_counts_written_where_they_are_mapped(self, product: Product, mapped: bool) -> None:
        counts = [{"from": {"field": "qualified_referrals"}, "to": "custom_attributes.Seats"}]
        base = SETTINGS["mapping"][:2]
        settings = {"action": "create_user", "mapping": base + (counts if mapped else []), "qualification": None}
        product.set_up(Audience.REFERRERS, settings)
        contact = product.watched()
        rita = next(one for one in product.referral_factory.people.values() if one.email == "rita@example.com")
        product.receive(id=rita.values["id"], email="rita@example.com", first_name="Rita", type="person_referring")
        product.work_until_idle()
        product.advance(2)
        product.work_until_idle()
        product.tell(product.turns(contact, plan="pro"))
        product.advance(2)
        product.work_until_idle()
        theirs = next(one for one in product.intercom.contacts.values() if one.email == "rita@example.com")
        assert theirs.custom_attributes.get("Seats") == (1 if mapped else None)


UPDATES = (
    "contact.user.updated",
    "contact.lead.updated",
    "user.updated",
    "contact.updated",
    "contact.user.created",
    "contact.lead.created",
    "contact.created",
    "user.created",
    "contact.lead.signed_up",
    "contact.signed_up",
    "contact.lead.added_email",
    "contact.added_email",
    "contact.email.updated",
    "contact.merged",
    "contact.unarchive",
    "contact.unarchived",
    # Shown as gone, and there all the same when we look: brought back meanwhile.
    "contact.archived",
    "contact.archive",
    "contact.deleted",
)


class TestEveryTopic:
    @pytest.mark.parametrize("topic", UPDATES)
    def test_of_a_contact_has_it_looked_at(self, product: Product, topic: str) -> None:
        event = product.tell(product.turns(product.watched(), plan="pro"), topic)
        assert (event.status, event.cause) == ("done", None)
        assert product.standing() == [("qualified", None)]
        assert len(product.qualified) == 1

    @pytest.mark.parametrize(
        "topic",
        [
            "contact.user.tag.created",
            "contact.lead.tag.deleted",
            "contact.subscribed",
            "contact.unsubscribed",
            "company.created",
            "conversation.user.created",
            "ping",
        ],
    )
    def test_without_meaning_is_settled_without_a_call(self, product: Product, topic: str) -> None:
        contact = product.turns(product.watched(), plan="pro")
        calls = len(product.intercom.calls)
        event = product.tell(contact, topic)
        assert (event.status, event.cause) == ("done", "topic_without_meaning")
        assert len(product.intercom.calls) == calls
        assert product.qualified == []

    @pytest.mark.parametrize("kind", ["user", "lead", "contact"])
    def test_may_nest_the_contact_as_older_versions_do(self, product: Product, kind: str) -> None:
        contact = product.turns(product.watched(), plan="pro")
        nested: dict[str, Any] = {kind: {"id": contact.id, "email": contact.email}, "id": None, "email": None}
        assert product.tell(contact, "contact.user.updated", **nested).cause is None
        assert product.standing() == [("qualified", None)]

    @pytest.mark.parametrize("topic", ["contact.lead.signed_up", "contact.signed_up", "contact.user.updated"])
    def test_shows_a_lead_who_has_become_a_user(self, product: Product, topic: str) -> None:
        product.set_up(Audience.LEADS, BY_ROLE)
        contact = product.watched()
        product.advance(60)
        event = product.tell(product.intercom.change(contact.id, role=Role.USER), topic)
        assert event.cause is None
        assert product.standing() == [("qualified", None)]
        assert product.activity()[-1].detail == "Reached: user"
        (lead,) = [one for one in product.people() if one.audience == "leads"]
        assert lead.contact_role == "user"

    def test_of_our_own_looks_at_a_contact(self, product: Product) -> None:
        contact = product.turns(product.watched(), plan="pro")
        event = product.tell(contact, LOOK)
        assert (event.status, product.standing()) == ("done", [("qualified", None)])


class TestANewEmail:
    def test_orders_the_notification_under_another_person_whose_lease_is_taken_besides(
        self, product: Product
    ) -> None:
        contact = product.watched()
        product.turns(contact, plan="pro")
        changed = product.intercom.change(contact.id, email="frida@work.example")
        event = product.tell(changed, "contact.email.updated")
        (lead,) = [one for one in product.people() if one.audience == "leads"]
        assert event.person_key != lead.person_key
        assert product.standing() == [("qualified", None)]

    def test_waits_while_somebody_is_at_work_on_the_lead(self, product: Product) -> None:
        contact = product.watched()
        product.turns(contact, plan="pro")
        changed = product.intercom.change(contact.id, email="frida@work.example")
        (lead,) = [one for one in product.people() if one.audience == "leads"]
        with product.database.writing() as connection:
            inbox.lease_people(connection, {lead.person_key}, "another", product.time, inbox.LEASE)
        event = product.tell(changed, "contact.email.updated")
        assert (event.status, event.cause, event.attempts) == ("received", "waiting_in_queue", 0)
        assert product.qualified == []
        with product.database.writing() as connection:
            inbox.release_people(connection, {lead.person_key}, "another")
        product.advance(1)
        product.work_until_idle()
        assert len(product.qualified) == 1


def into_a_user(product: Product, contact: Contact, **attributes: Any) -> Contact:
    """A user signs up with the lead's email, and Intercom merges the lead into them."""
    product.advance(60)
    user = product.intercom.put(contact.email, Role.USER, custom_attributes={"plan": "pro", **attributes})
    product.intercom.merge(contact.id, user.id)
    return user


class TestAMerge:
    def test_that_names_whom_it_has_taken_in_is_followed(self, product: Product) -> None:
        lead = product.watched()
        user = into_a_user(product, lead)
        event = product.tell(user, "contact.merged", merged_from={"type": "contact", "id": lead.id})
        assert (event.status, event.cause) == ("done", None)
        assert product.standing() == [("qualified", None)]
        assert ("updated", "contact_merged") in product.told("update")
        assert {one.contact_id for one in product.people() if one.audience == "leads"} == {user.id}

    def test_that_names_nobody_is_followed_by_the_email(self, product: Product) -> None:
        user = into_a_user(product, product.watched())
        event = product.tell(user, "contact.merged")
        assert (event.status, event.cause) == ("done", None)
        assert product.standing() == [("qualified", None)]
        assert {one.contact_id for one in product.people() if one.audience == "leads"} == {user.id}

    def test_of_somebody_else_into_a_namesake_leaves_the_lead_where_they_are(self, product: Product) -> None:
        lead = product.watched()
        user = product.intercom.put(lead.email, Role.USER, custom_attributes={"plan": "pro"})
        event = product.tell(user, "contact.merged")
        assert (event.status, event.cause) == ("done", "value_not_a_target")
        assert product.standing() == [("open", "value_not_a_target")]
        assert {one.contact_id for one in product.people() if one.audience == "leads"} == {lead.id}

    def test_of_strangers_concerns_nobody(self, product: Product) -> None:
        product.watched()
        user = product.intercom.put("stranger@example.com", Role.USER)
        calls = len(product.intercom.calls)
        event = product.tell(user, "contact.merged", merged_from={"type": "contact", "id": "unknown"})
        assert (event.cause, event.payload, len(product.intercom.calls)) == ("not_a_tracked_lead", None, calls)

    def test_that_was_not_told_is_followed_by_the_link_in_the_answer(self, product: Product) -> None:
        lead = product.watched()
        user = into_a_user(product, lead)
        event = product.tell(lead, "contact.lead.updated")
        assert (event.cause, product.standing()) == (None, [("qualified", None)])
        assert {one.contact_id for one in product.people() if one.audience == "leads"} == {user.id}

    @pytest.mark.parametrize("answer", [Gone(GoneKind.MERGED, None), Gone()])
    def test_without_such_a_link_is_followed_to_the_user_with_the_email(self, product: Product, answer: Gone) -> None:
        lead = product.watched()
        user = into_a_user(product, lead)
        if answer.kind is not GoneKind.MERGED:
            del product.intercom.merged[lead.id]  # as versions before 2.16 answer
        else:
            product.intercom.merged[lead.id] = None  # type: ignore[assignment]
        event = product.tell(lead, "contact.lead.updated")
        assert (event.cause, product.standing()) == (None, [("qualified", None)])
        assert {one.contact_id for one in product.people() if one.audience == "leads"} == {user.id}

    def test_has_what_happens_to_the_survivor_concern_the_lead(self, product: Product) -> None:
        lead = product.watched()
        user = into_a_user(product, lead, plan="trial")
        product.tell(user, "contact.merged", merged_from={"type": "contact", "id": lead.id})
        assert product.qualified == []
        product.tell(product.turns(user, plan="pro"))
        assert len(product.qualified) == 1

    def test_of_several_leads_into_one_user_qualifies_each_campaigns_lead_once(self, product: Product) -> None:
        second = product.add_campaign(product.workspace_id, product.program_id, "2")
        product.set_up(Audience.LEADS, SETTINGS, second)
        one = product.watched("frida@example.com")
        other = product.watched("frida@work.example", to_campaign=second, named="2")
        user = into_a_user(product, one)
        product.intercom.merge(other.id, user.id)
        product.tell(user, "contact.merged", merged_from={"type": "contact", "id": one.id})
        product.tell(user, "contact.merged", merged_from={"type": "contact", "id": other.id})
        assert len(product.qualified) == len(set(product.qualified)) == 2


class TestAContactThatIsGone:
    @pytest.mark.parametrize(
        ("topic", "how", "cause"),
        [
            ("contact.archived", "archive", "contact_archived"),
            ("contact.archive", "archive", "contact_archived"),
            ("contact.deleted", "delete", "contact_deleted"),
            ("contact.user.updated", "archive", "contact_archived"),
        ],
    )
    def test_leaves_the_referral_open_with_the_cause(
        self, product: Product, topic: str, how: str, cause: str
    ) -> None:
        contact = product.watched()
        product.advance(60)
        getattr(product.intercom, how)(contact.id)
        event = product.tell(contact, topic)
        assert (event.status, event.cause) == ("done", cause)
        assert product.standing() == [("open", cause)]
        assert product.told() == [("ignored", cause)]

    def test_is_told_once(self, product: Product) -> None:
        contact = product.watched()
        product.intercom.archive(contact.id)
        product.tell(contact, "contact.archived")
        product.tell(contact, "contact.user.updated")
        assert product.told() == [("ignored", "contact_archived")]

    @pytest.mark.parametrize("topic", ["contact.unarchive", "contact.unarchived", "contact.user.updated"])
    def test_and_comes_back_goes_on_where_it_was(self, product: Product, topic: str) -> None:
        contact = product.watched()
        product.intercom.archive(contact.id)
        product.tell(contact, "contact.archived")
        product.intercom.unarchive(contact.id)
        product.tell(product.turns(contact, plan="pro"), topic)
        assert product.standing() == [("qualified", None)]

    def test_is_never_brought_back_by_us(self, product: Product) -> None:
        contact = product.watched()
        product.intercom.archive(contact.id)
        product.tell(contact, "contact.archived")
        assert product.intercom.called("unarchive") == 0


class TestStrangers:
    @pytest.mark.parametrize("topic", ["contact.user.updated", "contact.lead.created", "contact.deleted", LOOK])
    def test_are_settled_without_a_call_an_activity_or_a_trace(self, product: Product, topic: str) -> None:
        product.watched()
        before = (len(product.intercom.calls), len(product.referral_factory.calls), len(product.activity()))
        event = product.tell(product.intercom.put("stranger@example.com"), topic)
        assert (event.status, event.cause, event.payload) == ("done", "not_a_tracked_lead", None)
        after = (len(product.intercom.calls), len(product.referral_factory.calls), len(product.activity()))
        assert before == after

    def test_of_another_workspace_with_the_same_id_are_strangers(self, product: Product) -> None:
        contact = product.watched()
        with product.database.writing() as connection:
            other = workspaces.add(
                connection,
                app_id="app2",
                name="Other",
                region="us",
                timezone="UTC",
                token=product.services.vault.seal("other"),
                token_digest="other",
                client_secret=product.services.vault.seal("client-secret"),
                state="connected",
                missing_permissions=[],
                created_at=product.time,
            )
        event = product.tell(contact, "contact.deleted", app="app2")
        assert (event.workspace_id, event.cause) == (other, "not_a_tracked_lead")

    def test_cost_a_bounded_number_of_statements_however_many_they_are(self, product: Product) -> None:
        product.watched()
        counts = []
        for many in (2, 40):
            for number in range(many):
                product.notified(product.intercom.put(f"stranger{many}-{number}@example.com"))
            with product.statements() as found:
                product.work()
            counts.append(len(found))
        assert counts[0] == counts[1]

    def test_may_be_referrers_of_ours(self, product: Product) -> None:
        product.set_up(Audience.REFERRERS, {**SETTINGS, "action": "create_user", "qualification": None})
        product.receive(id=3, email="rita@example.com", first_name="Rita", type="person_referring")
        product.work_until_idle()
        assert product.standing("referrers") == [("closed", "only_leads_qualify")]
        (contact,) = product.intercom.contacts.values()
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.cause, event.payload, product.qualified) == ("not_a_tracked_lead", None, [])

    @pytest.mark.parametrize("why", ["no rule", "archived"])
    def test_are_all_where_no_rule_watches_or_the_campaign_is_archived(self, product: Product, why: str) -> None:
        contact = product.watched()
        if why == "no rule":
            product.change(qualification=None)
        else:
            with product.database.writing() as connection:
                campaigns.change(connection, product.campaign_id, archived_at=product.time)
        event = product.tell(product.turns(contact, plan="pro"))
        assert (event.cause, event.payload, product.qualified) == ("not_a_tracked_lead", None, [])

    def test_are_not_looked_at_while_intercom_is_away(self, product: Product) -> None:
        product.watched()
        product.intercom.fail("contact", Unavailable(Vendor.INTERCOM, "away", down=True))
        stranger = replace(product.intercom.put("stranger@example.com"), name="Stranger")
        assert product.tell(stranger).status == "done"
