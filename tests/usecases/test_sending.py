"""Someone joins: what then stands in Intercom, what the activity says, and what is never done twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.core.errors import RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Contact, Role
from app.storage import links
from app.storage.tables import creations
from app.usecases.check_connections import probe_circuits, probe_connections
from tests.fakes import custom
from tests.product import SETTINGS, Product, lead

WORDS = "custom_attributes."


def only_contact(product: Product) -> Contact:
    (contact,) = product.intercom.contacts.values()
    return contact


def left_out(row: Any) -> dict[str, str]:
    return {field["to"]: field["cause"] for field in row.fields if field["cause"]}


def unanswered(sent: bool = True, down: bool = False) -> Unavailable:
    return Unavailable(Vendor.INTERCOM, "Intercom did not answer in time.", sent=sent, down=down)


class TestANewPerson:
    def test_arrives_as_a_lead_with_every_mapped_attribute_typed_and_the_initial_value(
        self, product: Product
    ) -> None:
        event_id = product.receive_lead()
        product.work()

        contact = only_contact(product)
        assert (contact.role, contact.email, contact.name) == (Role.LEAD, "friend@example.com", "Frida")
        assert contact.custom_attributes == {
            "Referrer Email": "rita@example.com",
            "Company name": "Acme",
            "Seats": 5,
            "plan": "trial",
        }
        (row,) = product.activity()
        assert (row.verb, row.outcome, row.cause, row.event_id) == ("send", "created", None, event_id)
        assert (row.email, row.contact_id, row.contact_role) == ("friend@example.com", contact.id, "lead")
        assert (product.event(event_id).status, product.event(event_id).cause) == ("done", None)

    def test_arrives_as_a_user_where_the_action_says_so(self, product: Product) -> None:
        product.change(action="create_user")
        product.receive_lead()
        product.work()
        assert only_contact(product).role is Role.USER

    def test_brings_counts_that_only_referral_factory_knows_by_whatever_name_the_webhook_has(
        self, product: Product
    ) -> None:
        mapping = [*SETTINGS["mapping"][:2], {"from": {"field": "referrals"}, "to": "custom_attributes.Seats"}]
        product.set_up(Audience.REFERRERS, {**SETTINGS, "mapping": mapping, "qualification": None})
        told = product.referral_factory.sign_up("rita@example.com")
        for number, name in enumerate(({"id": told.values["id"]}, {"code": told.code}, {})):
            product.receive(email="rita@example.com", first_name=f"Rita{number}", type="person_referring", **name)
            product.work_until_idle()
            assert left_out(product.activity()[number]) == {}
        assert only_contact(product).custom_attributes["Seats"] == 0

    def test_takes_two_calls_when_the_webhook_carried_everything(self, product: Product) -> None:
        product.receive_lead()
        product.work()
        assert [name for name, _ in product.intercom.calls] == ["search_email", "create"]
        assert product.referral_factory.calls == []

    def test_is_kept_among_the_people_of_the_campaign(self, product: Product) -> None:
        product.receive_lead()
        product.work()
        (person,) = product.people()
        assert (person.referral_factory_id, person.code, person.email) == ("7", "friend7", "friend@example.com")
        assert (person.audience, person.contact_id) == ("leads", only_contact(product).id)

    def test_who_refers_themselves_is_sent_and_marked(self, product: Product) -> None:
        product.receive_lead(referrer_email="FRIEND@example.com ")
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == ("created", "self_referral")


class TestThePersonAlwaysArrives:
    @pytest.mark.parametrize(
        ("changes", "field", "cause"),
        [
            ({"Seats": "five"}, WORDS + "Seats", "value_wrong_type"),
            ({"Seats": "  "}, WORDS + "Seats", "not_in_payload"),
            ({"Company": "x" * 256}, WORDS + "Company name", "value_too_long"),
            ({"Company": "nul\0"}, WORDS + "Company name", "value_wrong_type"),
        ],
    )
    def test_a_value_that_can_not_be_sent_costs_its_field(
        self, product: Product, changes: dict[str, Any], field: str, cause: str
    ) -> None:
        product.receive_lead(**changes)
        product.work()
        (row,) = product.activity()
        assert row.outcome == "created"
        assert left_out(row) == {field: cause}
        assert only_contact(product).value(field) is None

    @pytest.mark.parametrize(
        ("what", "cause"),
        [({"archived": True}, "attribute_archived"), ({"writable": False}, "attribute_not_writable")],
    )
    def test_an_attribute_that_changed_since_is_left_out_and_named(
        self, product: Product, what: dict[str, Any], cause: str
    ) -> None:
        product.intercom.catalogue[WORDS + "Company name"] = custom("Company name", **what)
        from app.usecases.refresh_catalogue import refresh_attributes

        refresh_attributes(product.services, product.workspace_id)
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, left_out(row)) == ("created", {WORDS + "Company name": cause})

    def test_an_attribute_that_vanished_unseen_is_named_by_the_refusal_and_the_catalogue_read_anew(
        self, product: Product
    ) -> None:
        del product.intercom.catalogue[WORDS + "Company name"]
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, left_out(row)) == ("created", {WORDS + "Company name": "attribute_unknown"})
        assert only_contact(product).custom_attributes["Seats"] == 5

        calls = len(product.intercom.calls)
        product.receive_lead(id=8, email="other@example.com")
        product.work()
        assert len(product.intercom.calls) - calls == 2, "the next person costs no refused call"

    @pytest.mark.parametrize("named", [True, False])
    def test_a_rule_that_refuses_one_value_costs_that_field_whether_it_is_named_or_not(
        self, product: Product, named: bool
    ) -> None:
        product.intercom.refuse(WORDS + "Company name", named=named)
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, left_out(row)) == ("created", {WORDS + "Company name": "value_refused_by_intercom"})
        assert only_contact(product).custom_attributes == {
            "Referrer Email": "rita@example.com",
            "Seats": 5,
            "plan": "trial",
        }

    def test_what_was_refused_is_left_out_for_a_quarter_of_an_hour_and_then_tried_again(
        self, product: Product
    ) -> None:
        product.intercom.refuse(WORDS + "Company name", named=False)
        product.receive_lead()
        product.work()
        for minutes, calls in ((14, 2), (2, 3)):
            product.advance(minutes * 60)
            before = len(product.intercom.calls)
            product.receive_lead(id=minutes, email=f"friend{minutes}@example.com")
            product.work()
            asked = len(product.intercom.calls) - before
            assert asked >= calls if calls > 2 else asked == calls
            assert left_out(product.activity()[-1]) == {WORDS + "Company name": "value_refused_by_intercom"}

    def test_a_field_that_intercom_ignores_with_a_200_is_named(self, product: Product) -> None:
        product.intercom.ignore(WORDS + "Seats")
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, left_out(row)) == ("created", {WORDS + "Seats": "value_refused_by_intercom"})

    @pytest.mark.parametrize(
        ("changes", "cause"),
        [
            ({"email": "not an email"}, "invalid_email"),
            ({"first_name": " "}, "missing_required_value"),
        ],
    )
    def test_only_a_bad_email_or_a_missing_name_stops_them(
        self, product: Product, changes: dict[str, Any], cause: str
    ) -> None:
        event_id = product.receive_lead(**changes)
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == ("skipped", cause)
        assert product.event(event_id).status == "done"
        assert product.intercom.contacts == {}


class TestSomeoneWhoIsThereAlready:
    @pytest.mark.parametrize(
        ("policy", "outcome", "cause", "name", "company"),
        [
            ("skip", "skipped", "duplicate_skipped", "Old name", None),
            ("update", "updated", None, "Frida", "Acme"),
            ("fill_blanks", "updated", None, "Old name", "Acme"),
        ],
    )
    def test_is_treated_by_the_duplicates_policy(
        self, product: Product, policy: str, outcome: str, cause: str | None, name: str, company: str | None
    ) -> None:
        there = product.intercom.put("friend@example.com", Role.USER, name="Old name", created_at=1)
        product.change(duplicates=policy)
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause, row.contact_id) == (outcome, cause, there.id)
        now = product.intercom.contacts[there.id]
        assert (now.name, now.custom_attributes.get("Company name"), now.role) == (name, company, Role.USER)
        assert len(product.intercom.contacts) == 1

    def test_keeps_an_initial_value_that_is_not_blank(self, product: Product) -> None:
        there = product.intercom.put("friend@example.com", custom_attributes={"plan": "pro"}, created_at=1)
        product.change(duplicates="update")
        product.receive_lead()
        product.work()
        assert product.intercom.contacts[there.id].custom_attributes["plan"] == "pro"

    def test_as_one_user_beside_leads_is_the_user(self, product: Product) -> None:
        leads = [product.intercom.put("friend@example.com", Role.LEAD, created_at=n) for n in (5, 3)]
        user = product.intercom.put("friend@example.com", Role.USER, created_at=9)
        product.change(duplicates="update")
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert row.contact_id == user.id
        assert all(one.id in row.detail for one in leads)

    def test_as_several_leads_is_the_oldest(self, product: Product) -> None:
        oldest = [product.intercom.put("friend@example.com", Role.LEAD, created_at=n) for n in (5, 3, 9)][1]
        product.change(duplicates="update")
        product.receive_lead()
        product.work()
        assert product.activity()[0].contact_id == oldest.id

    def test_as_several_users_is_not_told_apart(self, product: Product) -> None:
        users = [product.intercom.put("friend@example.com", Role.USER) for _ in range(2)]
        product.change(duplicates="update")
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == ("skipped", "several_contacts_match")
        assert all(user.id in row.detail for user in users)

    def test_whom_search_does_not_show_yet_is_found_by_the_conflict(self, product: Product) -> None:
        product.intercom.search_lag = True
        there = product.intercom.put("friend@example.com", Role.USER, created_at=1)
        product.change(action="create_user", duplicates="fill_blanks")
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.contact_id) == ("updated", there.id)

    @pytest.mark.parametrize(
        ("policy", "outcome", "cause"),
        [("skip", "skipped", "archived_contact"), ("update", "updated", None)],
    )
    def test_archived_is_brought_back_only_where_the_policy_writes(
        self, product: Product, policy: str, outcome: str, cause: str | None
    ) -> None:
        there = product.intercom.put("friend@example.com", Role.USER, created_at=1)
        product.intercom.archive(there.id)
        product.change(action="create_user", duplicates=policy)
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == (outcome, cause)
        assert (there.id in product.intercom.contacts) is (outcome == "updated")

    def test_deleted_for_good_is_skipped_for_good(self, product: Product) -> None:
        there = product.intercom.put("friend@example.com", Role.USER)
        product.intercom.delete(there.id)
        product.change(action="create_user", duplicates="update")
        product.receive_lead()
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause) == ("skipped", "archived_contact")


class TestSomeoneWeMade:
    def test_who_joins_another_campaign_is_one_contact_and_only_blanks_are_written(self, product: Product) -> None:
        product.receive_lead()
        product.work()
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        rows = [*SETTINGS["mapping"], {"from": {"field": "url"}, "to": WORDS + "Referral Link"}]
        product.set_up(Audience.LEADS, {**SETTINGS, "mapping": rows}, other)
        product.receive(to_campaign=other, **lead(id=70, first_name="Fredericka", url="https://x.test/r"))
        product.work()
        contact = only_contact(product)
        assert (contact.name, contact.custom_attributes["Referral Link"]) == ("Frida", "https://x.test/r")
        assert [row.outcome for row in product.activity()] == ["created", "updated"]

    def test_who_is_lead_and_referrer_is_one_contact(self, product: Product) -> None:
        product.set_up(Audience.REFERRERS, {**SETTINGS, "qualification": None})
        product.receive_lead()
        product.work()
        product.receive_lead(type="person_referring", id=9)
        product.work()
        assert len(product.intercom.contacts) == 1

    def test_an_older_event_that_comes_later_changes_nothing(self, product: Product) -> None:
        product.change(duplicates="update")
        product.intercom.fail("search_email", unanswered())
        first = product.receive_lead(first_name="Older")
        product.work()
        with product.database.writing() as connection:
            from app.storage.tables import events

            connection.execute(events.update().where(events.c.id == first).values(status="dead"))
        product.advance(60)
        product.receive_lead(first_name="Newer")
        product.work()
        from app.storage import inbox

        with product.database.writing() as connection:
            inbox.replay(connection, [first], product.time)
        product.work()
        assert only_contact(product).name == "Newer"
        assert product.activity()[-1].cause == "superseded"

    def test_merged_into_another_contact_is_followed(self, product: Product) -> None:
        product.receive_lead()
        product.work()
        made = only_contact(product)
        user = product.intercom.put("friend@example.com", Role.USER)
        product.intercom.merge(made.id, user.id)
        product.receive_lead(Company="Bcme")
        product.work()
        assert product.activity()[-1].contact_id == user.id
        with product.database.reading() as connection:
            (link,) = links.links_of(connection, [made_key(product)]).values()
        assert link.contact_id == user.id


def made_key(product: Product) -> str:
    from app.core.identity import person_key

    return person_key(product.workspace_id, "friend@example.com")


class TestACreationWhoseAnswerNeverCame:
    @pytest.mark.parametrize("action", ["create_lead", "create_user"])
    def test_is_looked_for_once_the_index_must_show_it_and_adopted(self, product: Product, action: str) -> None:
        product.change(action=action)
        product.intercom.search_lag = True
        product.intercom.fail("create", unanswered(), after_effect=True)
        event_id = product.receive_lead()
        product.work()
        assert product.event(event_id).status == "retrying"

        product.advance(60)
        product.work()
        waiting = product.event(event_id)
        assert (waiting.status, waiting.attempts) == ("retrying", 1), "waiting for the index spends no attempt"
        assert product.intercom.called("create") == 1

        product.intercom.index()
        product.advance(180)
        product.work()
        (row,) = product.activity()
        assert (row.outcome, row.cause, row.contact_id) == ("created", None, only_contact(product).id)

    def test_is_made_where_nothing_is_there(self, product: Product) -> None:
        product.intercom.fail("create", unanswered())
        product.receive_lead()
        for _ in range(3):
            product.work()
            product.advance(200)
        assert [row.outcome for row in product.activity()] == ["created"]
        assert only_contact(product).email == "friend@example.com"

    def test_after_a_crash_between_the_call_and_its_record_no_second_contact_is_made(self, product: Product) -> None:
        from app.usecases import process_event

        product.receive_lead()
        batch = process_event.claim(product.services, "crashed", 10)
        process_event.process(product.services, batch.events[0], batch)  # and never settled
        assert len(product.intercom.contacts) == 1
        product.advance(91)
        from app.usecases.sweep import sweep

        assert sweep(product.services).given_back == 1
        product.work()
        product.advance(200)
        product.work()
        assert len(product.intercom.contacts) == 1
        assert [row.outcome for row in product.activity()] == ["created"]

    def test_that_was_never_sent_is_not_waited_for(self, product: Product) -> None:
        product.intercom.fail("create", unanswered(sent=False, down=True))
        product.receive_lead()
        product.work()
        product.advance(10)
        probe_circuits(product.services)
        product.work()
        assert [row.outcome for row in product.activity()] == ["created"]

    def test_is_recorded_before_the_call(self, product: Product) -> None:
        product.intercom.fail("create", unanswered(), after_effect=True)
        product.receive_lead()
        product.work()
        with product.database.reading() as connection:
            (row,) = connection.execute(creations.select()).all()
        assert (row.outcome, row.attempted_at, row.role) == (None, product.time, "lead")


class TestWhenAVendorStandsInTheWay:
    def test_a_passing_fault_is_retried_on_schedule_and_ends_dead_with_a_cause(self, product: Product) -> None:
        product.intercom.fail("search_email", unanswered(), times=10)
        event_id = product.receive_lead()
        for wait in (10, 60, 300):
            product.work()
            event = product.event(event_id)
            assert (event.status, event.next_attempt_at) == ("retrying", product.time + timedelta(seconds=wait))
            product.advance(wait)
        product.work()
        event = product.event(event_id)
        assert (event.status, event.cause, event.attempts) == ("dead", "intercom_unavailable", 4)

    @pytest.mark.parametrize(
        "error",
        [unanswered(sent=False, down=True), RateLimited(Vendor.INTERCOM, "later", after=5)],
        ids=["down", "rate limited"],
    )
    def test_a_vendor_that_is_away_costs_no_attempt(self, product: Product, error: Exception) -> None:
        product.intercom.fail("search_email", error, times=20)  # type: ignore[arg-type]
        event_id = product.receive_lead()
        for _ in range(20):
            product.work()
            product.advance(30)
            probe_circuits(product.services)
        assert product.event(event_id).attempts == 0
        product.work()
        assert product.event(event_id).status == "done"

    def test_a_refused_token_holds_the_workspace_until_it_is_taken_again(self, product: Product) -> None:
        refused = Unauthorized(Vendor.INTERCOM, "Access Token Invalid", status=401)
        product.intercom.fail("search_email", refused)
        product.intercom.fail("me", refused, times=2)
        first = product.receive_lead()
        product.work()
        second = product.receive_lead(id=8, email="second@example.com")
        product.work()
        for event_id in (first, second):
            event = product.event(event_id)
            assert (event.status, event.cause, event.attempts) == ("received", "intercom_unauthorized", 0)
            assert event.held_by == f"workspace:{product.workspace_id}"
        calls = product.intercom.called("search_email")
        product.advance(3600)
        assert product.work() == [], "held work is not looked at again and again"
        assert product.intercom.called("search_email") == calls

        assert probe_connections(product.services) == 0
        assert probe_connections(product.services) == 1
        product.work()
        assert len(product.intercom.contacts) == 2

    def test_what_the_payload_lacks_is_read_once_from_referral_factory(self, product: Product) -> None:
        rita = product.referral_factory.sign_up("rita@example.com")
        friend = product.referral_factory.sign_up("friend@example.com", referrer=rita, Company="Acme", Seats="3")
        product.receive(id=friend.values["id"], email="friend@example.com")
        product.work()
        assert only_contact(product).custom_attributes["Seats"] == 3
        assert only_contact(product).custom_attributes["Referrer Email"] == "rita@example.com"
        assert product.referral_factory.called("user") == 2

        product.receive_lead(id=99, email="another@example.com", referrer_id=rita.values["id"], referrer_email=None)
        product.work()
        assert product.referral_factory.called("user") == 2, "a known blank is not asked for"


class TestWhatIsNotSent:
    def test_nobody_is_sent_by_an_audience_without_an_action(self, product: Product) -> None:
        event_id = product.receive_lead(type="person_referring")
        product.work()
        assert (product.event(event_id).status, product.event(event_id).cause) == ("done", "action_is_nothing")
        assert product.activity()[0].outcome == "ignored"

    def test_a_webhook_of_another_campaign_is_ignored(self, product: Product) -> None:
        event_id = product.receive(**lead(id=11, campaign_id=999))
        product.work()
        assert product.event(event_id).cause == "campaign_mismatch"

    def test_a_webhook_without_anybody_in_it_is_dead_and_can_be_replayed(self, product: Product) -> None:
        event_id = product.receive(hello="world")
        product.work()
        event = product.event(event_id)
        assert (event.status, event.cause) == ("dead", "webhook_not_understood")
        assert event.payload == b'{"hello": "world"}'

    def test_a_reward_has_no_meaning_here(self, product: Product) -> None:
        event_id = product.receive("reward-issued", **lead())
        product.work()
        assert (product.event(event_id).status, product.event(event_id).cause) == ("done", "topic_without_meaning")

    def test_a_qualified_webhook_marks_the_lead(self, product: Product) -> None:
        product.receive_lead()
        product.work()
        product.receive("qualified", **lead(qualified_at="2026-11-22"))
        product.work()
        (person,) = product.people()
        assert person.qualification_state == "qualified"
        assert product.activity()[-1].cause == "already_qualified"


def test_a_contact_that_is_archived_while_its_fields_are_written_was_created_all_the_same(product: Product) -> None:
    product.intercom.refuse(WORDS + "Company name", named=False)
    update = product.intercom.update

    def archive_and_update(contact_id: str, draft: Any) -> Any:
        if contact_id in product.intercom.contacts:
            product.intercom.archive(contact_id)
        return update(contact_id, draft)

    product.intercom.update = archive_and_update  # type: ignore[method-assign]
    event_id = product.receive_lead()
    product.work()
    (row,) = product.activity()
    assert (row.outcome, row.cause) == ("created", "contact_archived")
    assert product.event(event_id).status == "done"
