"""A sync goes its way, page by page: everybody ends in the right outcome, nobody is enrolled twice."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Role
from app.storage import programs, readings, sync_outcomes, syncs
from app.usecases.read_campaign import read_campaigns
from schemas.intercom import Segment
from tests.product import Product
from tests.usecases.syncing import Syncing


@pytest.fixture
def syncing(product: Product) -> Syncing:
    return Syncing(product)


def test_a_contact_becomes_a_referrer_and_has_the_link(syncing: Syncing) -> None:
    anna = syncing.contact("Anna@Example.com ", name=" Anna ", Company="Acme")
    sync_id = syncing.start()
    syncing.run()
    (person,) = syncing.rf.people.values()
    assert (person.email, person.values["first_name"], person.values["meta.Company"]) == (
        "anna@example.com",
        "Anna",
        "Acme",
    )
    assert person.audience is Audience.REFERRERS
    written = syncing.intercom.contacts[anna.id].custom_attributes
    assert written["Referral Link"] == person.values["url"]
    assert written["Seats"] == 0
    row = syncing.row(sync_id)
    assert (row.state, row.total, row.looked_at, row.added, row.written_back) == ("completed", 1, 1, 1, 1)
    assert row.finished_at is not None
    (outcome,) = syncing.outcomes(sync_id)
    assert (outcome.outcome, outcome.email, outcome.cause) == ("added", "anna@example.com", None)
    (kept,) = syncing.product.people()
    assert (kept.enrolled_by, kept.contact_id, kept.joined_before_setup) == (sync_id, anna.id, False)
    assert outcome.person_id == kept.id
    (told,) = syncing.product.activity()
    assert (told.verb, told.outcome, told.sync_id) == ("enroll", "added", sync_id)
    assert syncing.rf.notified == []


def test_page_after_page_of_everybody_once(syncing: Syncing) -> None:
    syncing.intercom.page_size = 3
    for number in range(10):
        syncing.contact(f"p{number}@example.com", Role.LEAD if number % 2 else Role.USER)
    sync_id = syncing.start()
    syncing.run()
    assert syncing.rf.called("create_user") == 10
    row = syncing.row(sync_id)
    assert (row.state, row.total, row.looked_at, row.added) == ("completed", 10, 10, 10)
    assert len(syncing.outcomes(sync_id)) == 10


@pytest.mark.parametrize(("contacts", "expected"), [("leads", 1), ("users", 2), ("all", 3)])
def test_whom_it_looks_at(syncing: Syncing, contacts: str, expected: int) -> None:
    for number, role in enumerate((Role.LEAD, Role.USER, Role.USER)):
        syncing.contact(f"p{number}@example.com", role)
    syncing.start(contacts=contacts)
    syncing.run()
    assert len(syncing.rf.people) == expected


class TestOutcomes:
    def test_blank_and_invalid_values(self, syncing: Syncing) -> None:
        blank = syncing.contact("a@example.com", name=" ")
        none = syncing.contact(None)
        bad = syncing.contact("nonsense")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.said(sync_id) == {
            blank.id: ("skipped", "blank_mapped_value", "name"),
            none.id: ("skipped", "blank_mapped_value", "email"),
            bad.id: ("skipped", "invalid_email", "email"),
        }
        assert syncing.rf.called("create_user") == 0
        assert syncing.row(sync_id).skipped == 3

    def test_who_is_known_to_be_in_the_campaign_is_linked(self, syncing: Syncing) -> None:
        syncing.rf.sign_up("Anna@Example.com")
        syncing.know("anna@example.com")
        anna = syncing.contact("ANNA@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.said(sync_id) == {anna.id: ("existing", "already_in_campaign", None)}
        assert syncing.rf.called("create_user") == 0
        assert syncing.link_of(anna) == "https://example.com/code101"
        row = syncing.row(sync_id)
        assert (row.existing, row.written_back) == (1, 1)
        assert syncing.product.people()[0].contact_id == anna.id

    def test_who_is_not_known_here_but_there(self, syncing: Syncing) -> None:
        syncing.rf.sign_up("Anna@Example.com")
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.said(sync_id) == {anna.id: ("existing", "already_in_campaign", None)}
        assert len(syncing.rf.people) == 1
        assert syncing.link_of(anna) == "https://example.com/code101"
        assert syncing.product.people()[0].enrolled_by is None

    def test_a_lead_whom_referral_factory_refuses(self, syncing: Syncing) -> None:
        rita = syncing.rf.sign_up("rita@example.com")
        syncing.rf.sign_up("anna@example.com", referrer=rita)
        syncing.rf.fail("create_user", taken())
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.run()
        ((outcome, cause, detail),) = syncing.said(sync_id).values()
        assert (outcome, cause) == ("existing", "already_in_campaign")
        assert "lead" in detail
        assert syncing.link_of(anna) is None

    def test_one_whom_referral_factory_does_not_take(self, syncing: Syncing) -> None:
        syncing.rf.fail("create_user", Rejected(Vendor.REFERRAL_FACTORY, "The first name is rude.", status=422))
        anna, bert = syncing.contact("anna@example.com"), syncing.contact("bert@example.com")
        sync_id = syncing.start()
        syncing.run(threads=1)
        assert syncing.said(sync_id) == {
            anna.id: ("failed", "referral_factory_refused", "The first name is rude."),
            bert.id: ("added", None, None),
        }

    @pytest.mark.parametrize("page_size", [1, 150])
    def test_the_same_email_twice(self, syncing: Syncing, page_size: int) -> None:
        syncing.intercom.page_size = page_size
        lead = syncing.contact("anna@example.com", Role.LEAD)
        user = syncing.contact("Anna@Example.COM", Role.USER)
        sync_id = syncing.start()
        syncing.run()
        assert syncing.said(sync_id) == {
            lead.id: ("added", None, None),
            user.id: ("existing", "already_in_campaign", f"The contact {lead.id} has the same email."),
        }
        assert syncing.rf.called("create_user") == 1
        assert syncing.link_of(lead) == syncing.link_of(user) == "https://example.com/code101"
        assert syncing.row(sync_id).written_back == 2

    def test_a_link_that_intercom_refuses_is_named(self, syncing: Syncing) -> None:
        syncing.intercom.refuse("custom_attributes.Referral Link")
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.said(sync_id) == {
            anna.id: ("added", "value_refused_by_intercom", "custom_attributes.Referral Link")
        }
        assert syncing.row(sync_id).written_back == 0
        assert syncing.intercom.contacts[anna.id].custom_attributes["Seats"] == 0

    def test_a_link_that_intercom_ignores_is_named(self, syncing: Syncing) -> None:
        syncing.intercom.ignore("custom_attributes.Referral Link")
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.row(sync_id).written_back == 0

    def test_an_archived_contact_stays_so(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.before("create_user", lambda: syncing.intercom.archive(anna.id))
        syncing.run()
        assert syncing.said(sync_id) == {anna.id: ("added", "contact_archived", None)}
        assert syncing.intercom.called("unarchive") == 0


class TestTheUserLimit:
    def test_of_the_account_is_kept_over_all_its_campaigns(self, syncing: Syncing) -> None:
        syncing.limit(account=50)
        for number in range(10):
            syncing.rf.sign_up(f"old{number}@example.com")
        for number in range(80):
            syncing.contact(f"p{number}@example.com")
        syncing.intercom.page_size = 30
        sync_id = syncing.start()
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.added, row.skipped, row.looked_at) == ("completed", 40, 40, 80)
        assert len(syncing.rf.people) == 50
        causes = {cause for outcome, cause, _ in syncing.said(sync_id).values() if outcome == "skipped"}
        assert causes == {"user_limit_reached"}

    def test_of_the_campaign_may_be_tighter(self, syncing: Syncing) -> None:
        syncing.limit(account=50, campaign=5)
        for number in range(8):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.row(sync_id).added == 5

    def test_who_joins_meanwhile_is_counted_when_room_gets_short(self, syncing: Syncing) -> None:
        syncing.limit(account=4)
        syncing.intercom.page_size = 2
        for number in range(6):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.page()
        syncing.rf.sign_up("other@example.com")
        syncing.product.advance(60)
        syncing.run()
        assert syncing.row(sync_id).added == 3
        assert len(syncing.rf.people) == 4

    def test_room_that_another_run_holds_is_not_taken(self, syncing: Syncing) -> None:
        syncing.limit(account=10)
        syncing.hold_room(8)
        for number in range(5):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert syncing.row(sync_id).added == 2

    def test_what_may_have_been_made_keeps_its_room(self, syncing: Syncing) -> None:
        syncing.limit(account=3)
        for number in range(3):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.rf.fail("create_user", Unavailable(Vendor.REFERRAL_FACTORY, "Late."), after_effect=True)
        syncing.page(threads=1)
        assert syncing.row(sync_id).added == 2
        assert syncing.held() == 1
        syncing.product.advance(60)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.added) == ("completed", 3)
        assert syncing.held() == 0

    def test_same_email_beyond_the_room(self, syncing: Syncing) -> None:
        syncing.limit(account=0)
        syncing.contact("anna@example.com")
        syncing.contact("ANNA@example.com")
        sync_id = syncing.start()
        syncing.run()
        assert [one[1] for one in syncing.said(sync_id).values()] == ["user_limit_reached"] * 2


class TestWhatGoesWrong:
    def test_an_answer_that_never_came_is_looked_for(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.rf.fail("create_user", Unavailable(Vendor.REFERRAL_FACTORY, "Late."), after_effect=True)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.looked_at, row.cause) == ("running", 0, "referral_factory_unavailable")
        assert syncing.said(sync_id) == {}
        syncing.product.advance(60)
        syncing.run()
        assert syncing.said(sync_id) == {anna.id: ("added", None, None)}
        assert syncing.rf.called("create_user") == 1
        assert syncing.link_of(anna)

    def test_what_is_not_known_stays_so_where_the_page_is_left_again_before_it_was_looked_for(
        self, syncing: Syncing
    ) -> None:
        syncing.limit(account=2)
        contacts = [syncing.contact(f"p{number}@example.com") for number in range(2)]
        sync_id = syncing.start()
        late = Unavailable(Vendor.REFERRAL_FACTORY, "Late.", status=503, down=True)
        syncing.rf.fail("create_user", late, after_effect=True)
        syncing.page(threads=1)
        for _ in range(2):
            syncing.product.advance(61)
            syncing.rf.fail("find_by_email", RateLimited(Vendor.REFERRAL_FACTORY, "Spent.", after=20))
            syncing.page(threads=1)
            assert syncing.held() == 1
        syncing.product.advance(61)
        syncing.run()
        assert {one: said[0] for one, said in syncing.said(sync_id).items()} == {
            contacts[0].id: "added",
            contacts[1].id: "added",
        }
        assert syncing.rf.called("create_user") == 2

    def test_a_killed_worker_costs_the_repetition_of_a_page(self, syncing: Syncing) -> None:
        for number in range(6):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        for operation, api in (("update", syncing.intercom), ("create_user", syncing.rf)):
            syncing.dies_at(api, operation)
            syncing.page(threads=1)
            syncing.product.advance(61)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.added, row.written_back) == ("completed", 6, 6)
        assert len(syncing.rf.people) == 6
        assert all(syncing.link_of(one) for one in syncing.intercom.contacts.values())

    def test_whom_a_killed_worker_enrolled_is_added_though_their_webhook_was_first(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.dies_at(syncing.intercom, "update")
        syncing.page(threads=1)
        syncing.product.advance(61)
        syncing.know("anna@example.com")
        syncing.run()
        assert syncing.said(sync_id) == {anna.id: ("added", None, None)}
        assert syncing.rf.called("create_user") == 1
        assert syncing.link_of(anna)

    def test_a_killed_worker_costs_nobody_with_the_same_email_the_link(self, syncing: Syncing) -> None:
        both = [syncing.contact("anna@example.com", Role.LEAD), syncing.contact("ANNA@example.com", Role.USER)]
        sync_id = syncing.start()
        syncing.dies_at(syncing.intercom, "update")
        syncing.page(threads=1)
        syncing.product.advance(61)
        syncing.run()
        assert [said[0] for said in syncing.said(sync_id).values()] == ["added", "existing"]
        assert syncing.rf.called("create_user") == 1
        assert all(syncing.link_of(one) for one in both)

    def test_a_link_that_could_not_be_written_is_written_later(self, syncing: Syncing) -> None:
        anna, bert = syncing.contact("anna@example.com"), syncing.contact("bert@example.com")
        syncing.rf.sign_up("bert@example.com")
        syncing.know("bert@example.com")
        sync_id = syncing.start()
        syncing.intercom.fail("update", Unavailable(Vendor.INTERCOM, "Away.", sent=False, down=True), times=2)
        syncing.run()
        assert syncing.said(sync_id) == {}
        assert syncing.row(sync_id).cause == "intercom_unavailable"
        for _ in range(2):
            syncing.product.advance(60)
            syncing.run()
        assert {one: said[0] for one, said in syncing.said(sync_id).items()} == {
            anna.id: "added",
            bert.id: "existing",
        }
        assert syncing.link_of(anna)
        assert syncing.link_of(bert)
        assert syncing.rf.called("create_user") == 1

    def test_one_contact_that_a_vendor_can_t_bear_does_not_stop_the_run(self, syncing: Syncing) -> None:
        anna, bert = syncing.contact("anna@example.com"), syncing.contact("bert@example.com")
        sync_id = syncing.start()
        broken = Unavailable(Vendor.REFERRAL_FACTORY, "Referral Factory answered 500.", status=500)
        syncing.breaks_for("anna@example.com", broken)
        for _ in range(6):
            syncing.run()
            syncing.product.advance(60)
        assert {one: said[:2] for one, said in syncing.said(sync_id).items()} == {
            anna.id: ("failed", "referral_factory_unavailable"),
            bert.id: ("added", None),
        }
        assert syncing.row(sync_id).state == "completed"

    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (RateLimited(Vendor.REFERRAL_FACTORY, "Spent.", after=20), "rate_limited"),
            (
                Unavailable(Vendor.REFERRAL_FACTORY, "Away.", sent=False, down=True),
                "referral_factory_unavailable",
            ),
        ],
    )
    def test_what_was_done_of_a_page_is_kept(self, syncing: Syncing, error: Any, cause: str) -> None:
        contacts = [syncing.contact(f"p{number}@example.com") for number in range(4)]
        sync_id = syncing.start()
        syncing.breaks_for("p2@example.com", error, times=1)
        syncing.page(threads=1)
        row = syncing.row(sync_id)
        assert (row.added, row.looked_at, row.cause, row.cursor) == (2, 2, cause, None)
        assert syncing.said(sync_id).keys() == {contacts[0].id, contacts[1].id}
        syncing.product.advance(60)
        syncing.run()
        assert syncing.row(sync_id).added == 4
        assert syncing.rf.called("create_user") == 5
        assert syncing.rf.called("find_by_email") == 0

    def test_a_token_that_is_refused_stops_the_run_until_it_is_back(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        refused = Unauthorized(Vendor.REFERRAL_FACTORY, "Unauthenticated.", status=401)
        syncing.rf.fail("create_user", refused)
        syncing.rf.fail("campaigns", refused)
        syncing.run()
        assert syncing.row(sync_id).cause == "referral_factory_unauthorized"
        syncing.rf.calls.clear()
        syncing.product.advance(600)
        syncing.run()
        assert syncing.rf.calls == []
        with syncing.product.database.writing() as connection:
            programs.change(connection, syncing.product.program_id, state="connected", state_cause=None)
        syncing.run()
        assert syncing.row(sync_id).state == "completed"

    def test_a_cursor_that_repeats_ends_the_run(self, syncing: Syncing) -> None:
        syncing.intercom.page_size = 1
        for number in range(3):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.repeats_cursors()
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.cause) == ("failed", "cursor_repeated")

    def test_a_segment_that_is_gone(self, syncing: Syncing) -> None:
        sync_id = syncing.start(contacts="segment", segment_id="s1")
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.cause) == ("failed", "segment_gone")

    def test_a_segment_that_is_empty_is_not_gone(self, syncing: Syncing) -> None:
        syncing.intercom.segment_list.append(Segment("s1", "Fans", "user", 0))
        sync_id = syncing.start(contacts="segment", segment_id="s1")
        syncing.run()
        assert syncing.row(sync_id).state == "completed"

    def test_an_archived_campaign_ends_it(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.archive_campaign()
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.cause) == ("cancelled", "campaign_archived")
        assert syncing.rf.calls == []

    def test_a_bug_at_one_contact_costs_that_one(self, syncing: Syncing) -> None:
        anna, bert = syncing.contact("anna@example.com"), syncing.contact("bert@example.com")
        sync_id = syncing.start()
        syncing.breaks_for("anna@example.com", ValueError("a bug"))
        syncing.run()
        assert {one: said[:2] for one, said in syncing.said(sync_id).items()} == {
            anna.id: ("failed", "internal_error"),
            bert.id: ("added", None),
        }


class TestWhoElseIsAtWork:
    def test_paused_while_a_page_is_done(self, syncing: Syncing) -> None:
        syncing.intercom.page_size = 2
        for number in range(4):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.before("create_user", lambda: syncing.set_state(sync_id, syncs.PAUSED))
        syncing.run()
        row = syncing.row(sync_id)
        assert row.state == "paused"
        assert row.added == 2
        syncing.set_state(sync_id, syncs.RUNNING)
        syncing.run()
        assert syncing.row(sync_id).added == 4
        assert syncing.rf.called("create_user") == 4

    def test_cancelled_while_a_page_is_done_keeps_what_was_done(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.before("create_user", lambda: syncing.set_state(sync_id, syncs.CANCELLED))
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.added) == ("cancelled", 1)
        assert syncing.product.people()[0].enrolled_by == sync_id

    def test_two_workers_do_not_do_the_same_page(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.before("create_user", syncing.page)
        syncing.run()
        assert syncing.rf.called("create_user") == 1
        assert syncing.row(sync_id).steps == 1

    def test_a_worker_that_comes_late_keeps_nothing(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()

        def the_lease_runs_out() -> None:
            syncing.product.advance(61)
            syncing.page()

        syncing.before("create_user", the_lease_runs_out)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.added, row.looked_at) == ("completed", 1, 1)
        assert len(syncing.rf.people) == 1
        assert len(syncing.outcomes(sync_id)) == 1

    def test_the_webhook_of_whom_we_enrolled_waits_and_changes_nothing(self, syncing: Syncing) -> None:
        syncing.product.set_up(Audience.REFERRERS, REFERRERS)
        syncing.contact("anna@example.com")
        syncing.start()

        def told() -> None:
            syncing.product.receive(id=101, code="code101", email="anna@example.com", first_name="Anna", type=TYPE)
            assert syncing.product.work() == []

        syncing.after("create_user", told)
        syncing.run()
        writes = syncing.intercom.called("update") + syncing.intercom.called("create")
        syncing.product.work_until_idle()
        assert syncing.intercom.called("update") + syncing.intercom.called("create") == writes
        assert syncing.product.told("send") == [("ignored", "already_in_campaign")]

    def test_someone_at_work_on_the_person_is_waited_for(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start()
        syncing.lease("anna@example.com", "another")
        syncing.page()
        assert syncing.rf.called("create_user") == 0
        assert syncing.row(sync_id).looked_at == 0
        syncing.product.advance(61)
        syncing.run()
        assert syncing.row(sync_id).added == 1

    def test_asked_to_stop_the_rest_is_left(self, syncing: Syncing) -> None:
        for number in range(4):
            syncing.contact(f"p{number}@example.com")
        sync_id = syncing.start()
        syncing.run(stopped=True)
        assert syncing.rf.calls == []
        assert syncing.row(sync_id).state == "queued"


class TestLaterLooks:
    def test_of_a_segment_find_who_came_and_who_has_changed(self, syncing: Syncing) -> None:
        syncing.intercom.segment_list.append(Segment("s1", "Fans", "user", 0))
        anna, bert = syncing.contact("anna@example.com"), syncing.contact("bert@example.com")
        syncing.intercom.members["s1"] = {anna.id}
        sync_id = syncing.start(contacts="segment", segment_id="s1", schedule="ongoing")
        syncing.run()
        assert syncing.row(sync_id).state == "watching"
        syncing.rf.calls.clear()
        syncing.intercom.calls.clear()
        syncing.product.advance(901)
        syncing.run()
        assert syncing.rf.calls == []
        assert {name for name, _ in syncing.intercom.calls} == {"search"}
        syncing.intercom.members["s1"].add(bert.id)
        syncing.intercom.change(anna.id, name="Annabel", email="annabel@example.com")
        syncing.product.advance(901)
        syncing.run()
        assert {one: said[0] for one, said in syncing.said(sync_id).items()} == {
            anna.id: "updated",
            bert.id: "added",
        }
        assert syncing.rf.people["101"].values["first_name"] == "Annabel"
        assert syncing.rf.people["101"].email == "annabel@example.com"
        row = syncing.row(sync_id)
        assert (row.state, row.look, row.looked_at, row.added, row.updated) == ("watching", 3, 2, 1, 1)
        assert syncing.product.people()[0].email == "annabel@example.com"

    def test_of_all_read_what_has_changed_only(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        syncing.product.advance(5 * 86400)
        sync_id = syncing.start(schedule="ongoing", write_back=[])
        syncing.run()
        syncing.product.advance(901)
        carl = syncing.contact("carl@example.com")
        syncing.run()
        assert syncing.row(sync_id).added == 2
        assert carl.id in syncing.said(sync_id)
        query = syncing.intercom.calls[-1][1][0]
        assert query["operator"] == "AND"
        assert syncing.row(sync_id).total == 1 + 1
        assert anna.id in syncing.said(sync_id)

    def test_who_was_left_out_is_taken_once_they_can_be(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com", name="")
        sync_id = syncing.start(schedule="ongoing")
        syncing.run()
        assert syncing.row(sync_id).skipped == 1
        syncing.product.advance(901)
        syncing.intercom.change(anna.id, name="Anna")
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.looked_at, row.skipped, row.added) == (1, 0, 1)

    def test_who_found_no_room_is_asked_again_once_there_is_some_the_oldest_first(self, syncing: Syncing) -> None:
        syncing.limit(account=1)
        contacts = [syncing.contact(f"n{number}@example.com") for number in range(5)]
        sync_id = syncing.start(contacts="users", schedule="ongoing")
        syncing.run()
        assert (syncing.row(sync_id).added, syncing.row(sync_id).skipped) == (1, 4)
        syncing.product.advance(10 * 86400)
        syncing.run()
        assert syncing.intercom.called("contact") == 0, "nobody is read for whom there is no room"
        syncing.limit(account=3)
        syncing.product.advance(901)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.look, row.looked_at, row.added, row.skipped) == ("watching", 3, 5, 3, 2)
        assert syncing.intercom.called("contact") == 2
        assert [syncing.said(sync_id)[one.id][0] for one in contacts] == [*["added"] * 3, *["skipped"] * 2]
        syncing.limit()
        syncing.product.advance(901)
        syncing.run()
        assert (syncing.row(sync_id).added, syncing.row(sync_id).skipped) == (5, 0)
        assert syncing.rf.called("create_user") == 5

    def test_of_those_whoever_is_gone_is_not_asked_for_again(self, syncing: Syncing) -> None:
        syncing.limit(account=0)
        gone, lead, there = (syncing.contact(f"{name}@example.com") for name in ("gone", "lead", "there"))
        sync_id = syncing.start(contacts="users", schedule="ongoing")
        syncing.run()
        syncing.product.advance(10 * 86400)
        syncing.run()
        syncing.intercom.archive(gone.id)
        syncing.intercom.merge(lead.id, into=there.id)
        syncing.limit(account=10)
        syncing.product.advance(901)
        syncing.run()
        assert {one: said[:2] for one, said in syncing.said(sync_id).items()} == {
            gone.id: ("skipped", "contact_archived"),
            lead.id: ("skipped", "contact_merged"),
            there.id: ("added", None),
        }
        row = syncing.row(sync_id)
        assert (row.state, row.looked_at, row.added, row.skipped) == ("watching", 3, 1, 2)

    def test_one_of_them_who_is_refused_keeps_nobody_from_the_others(self, syncing: Syncing) -> None:
        syncing.limit(account=0)
        syncing.contact("anna@example.com")
        syncing.contact("bert@example.com")
        sync_id = syncing.start(contacts="users", schedule="ongoing")
        for days in (0, 10):
            syncing.product.advance(days * 86400)
            syncing.run()
        syncing.limit()
        syncing.product.advance(901)
        syncing.intercom.fail("contact", Rejected(Vendor.INTERCOM, "This is not read.", status=400))
        syncing.run(threads=1)
        row = syncing.row(sync_id)
        assert (row.state, row.added, row.skipped) == ("watching", 1, 1)

    def test_where_intercom_is_away_they_are_asked_again_later(self, syncing: Syncing) -> None:
        syncing.limit(account=0)
        syncing.contact("anna@example.com")
        sync_id = syncing.start(contacts="users", schedule="ongoing")
        for days in (0, 10):
            syncing.product.advance(days * 86400)
            syncing.run()
        syncing.limit()
        syncing.product.advance(901)
        syncing.intercom.fail("contact", Unavailable(Vendor.INTERCOM, "It broke."))
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.cause, row.added) == ("running", "intercom_unavailable", 0)
        syncing.product.advance(31)
        syncing.run()
        assert (syncing.row(sync_id).state, syncing.row(sync_id).added) == ("watching", 1)

    def test_a_change_that_is_refused_is_not_tried_again(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        sync_id = syncing.start(schedule="ongoing", write_back=[])
        syncing.run()
        syncing.rf.sign_up("taken@example.com")
        for _ in range(3):
            syncing.product.advance(901)
            syncing.intercom.change(anna.id, email="taken@example.com")
            syncing.run()
        assert syncing.rf.called("update_user") == 1
        assert syncing.said(sync_id)[anna.id][:2] == ("failed", "referral_factory_refused")

    def test_paused_between_two_looks_of_the_last_page_it_stays_so(self, syncing: Syncing) -> None:
        syncing.contact("anna@example.com")
        sync_id = syncing.start(schedule="ongoing")
        syncing.before("create_user", lambda: syncing.set_state(sync_id, syncs.PAUSED))
        syncing.run()
        assert syncing.row(sync_id).state == "paused"

    def test_counts_that_change_later_are_written_though_it_ran_once(self, syncing: Syncing) -> None:
        anna = syncing.contact("anna@example.com")
        known = syncing.contact("known@example.com")
        syncing.rf.sign_up("known@example.com")
        syncing.know("known@example.com")
        syncing.start()
        syncing.run(threads=1)
        for email in ("anna@example.com", "known@example.com"):
            referrer = next(one for one in syncing.rf.people.values() if one.email == email)
            friend = syncing.rf.sign_up(f"friend-of-{email}", referrer=referrer)
            syncing.product.receive_lead(
                id=friend.values["id"], email=friend.email, referrer_id=referrer.values["id"], referrer_email=email
            )
        syncing.product.work_until_idle()
        syncing.product.advance(2)
        syncing.product.work_until_idle()
        for contact in (anna, known):
            assert syncing.intercom.contacts[contact.id].custom_attributes["Seats"] == 1


class TestADryRun:
    def test_says_what_would_become_of_each_and_writes_nothing(self, syncing: Syncing) -> None:
        syncing.limit(account=3)
        syncing.rf.sign_up("known@example.com")
        syncing.know("known@example.com")
        known = syncing.contact("KNOWN@example.com")
        anna, twin = syncing.contact("anna@example.com"), syncing.contact("Anna@example.com")
        bert, carl = syncing.contact("bert@example.com"), syncing.contact("carl@example.com")
        before = dict(syncing.intercom.contacts)
        sync_id = syncing.start(dry_run=True, schedule="ongoing")
        syncing.run()
        assert {one: said[:2] for one, said in syncing.said(sync_id).items()} == {
            known.id: ("existing", "already_in_campaign"),
            anna.id: ("added", None),
            twin.id: ("existing", "already_in_campaign"),
            bert.id: ("added", None),
            carl.id: ("skipped", "user_limit_reached"),
        }
        assert syncing.row(sync_id).state == "completed"
        assert syncing.intercom.contacts == before
        assert {name for name, _ in syncing.rf.calls} == {"campaigns", "users"}
        assert [row.email for row in syncing.product.people()] == ["known@example.com"]
        assert syncing.product.activity() == []

    def test_knows_from_the_list_who_is_in_the_campaign_where_the_referrers_were_never_read(
        self, syncing: Syncing
    ) -> None:
        syncing.rf.page_size = 2
        there, elsewhere, lead, new = (syncing.contact(f"{name}@example.com") for name in "abcd")
        twin = syncing.contact("A@example.com")
        rita = syncing.rf.sign_up("A@Example.com")
        syncing.rf.sign_up("b@example.com", campaign_id="2")
        syncing.rf.sign_up("c@example.com", referrer=rita)
        syncing.rf.sign_up("e@example.com")
        sync_id = syncing.start(dry_run=True)
        syncing.run()
        assert {one: said[0] for one, said in syncing.said(sync_id).items()} == {
            there.id: "existing",
            twin.id: "existing",
            elsewhere.id: "added",
            lead.id: "added",
            new.id: "added",
        }
        row = syncing.row(sync_id)
        assert (row.state, row.total, row.looked_at, row.added, row.existing) == ("completed", 5, 5, 3, 2)
        assert syncing.rf.called("users") == 2
        assert syncing.product.people() == []
        with syncing.product.database.reading() as connection:
            noted = sync_outcomes.of_emails(connection, sync_id, ["e@example.com"])
        assert noted == [], "what was noted of the list is of no use any more"

    def test_a_page_of_that_list_that_can_not_be_read_is_read_later_and_no_other_again(
        self, syncing: Syncing
    ) -> None:
        syncing.rf.page_size = 1
        for number in range(3):
            syncing.rf.sign_up(f"there{number}@example.com")
        syncing.contact("there2@example.com")
        sync_id = syncing.start(dry_run=True)
        syncing.page()
        syncing.rf.fail("users", Unavailable(Vendor.REFERRAL_FACTORY, "It broke.", sent=True))
        syncing.run()
        assert syncing.row(sync_id).cause == "referral_factory_unavailable"
        syncing.product.advance(31)
        syncing.run()
        row = syncing.row(sync_id)
        assert (row.state, row.existing) == ("completed", 1)
        assert syncing.rf.called("users") == 4

    @pytest.mark.parametrize("why", ["everybody was read once", "nobody is in the campaign"])
    def test_that_list_is_not_read_where(self, syncing: Syncing, why: str) -> None:
        if why == "everybody was read once":
            syncing.rf.sign_up("there@example.com")
            with syncing.product.database.writing() as connection:
                readings.ask(connection, syncing.product.campaign_id, "referrers", syncing.product.time)
            while read_campaigns(syncing.product.services):
                pass
        syncing.rf.calls.clear()
        syncing.contact("there@example.com")
        sync_id = syncing.start(dry_run=True)
        syncing.run()
        assert syncing.row(sync_id).state == "completed"
        assert syncing.rf.called("users") == 0


TYPE = "person_referring"
REFERRERS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
    "duplicates": "update",
}


def taken() -> Rejected:
    return Rejected(Vendor.REFERRAL_FACTORY, "The email has already been taken.", status=422, fields=("email",))
