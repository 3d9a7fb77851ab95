"""What the product may rely on: the same of the clients over a wire and of the fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from app.core.audiences import AttributeType
from app.core.errors import Rejected
from app.core.people import Audience, Contact, ContactDraft, Role
from app.core.reconcile import mark_of
from app.integrations.budget import Unlimited
from app.integrations.http import Http
from app.integrations.intercom import (
    Conflict,
    Gone,
    GoneKind,
    Intercom,
    IntercomClient,
    NotRestorable,
    Order,
)
from app.integrations.referral_factory import Enrolment, ReferralFactory, ReferralFactoryClient
from sandbox.seed import DEFAULT_ACCOUNT_TOKEN, DEFAULT_TOKEN
from sandbox.server import Sandbox, start
from schemas.referral_factory import Campaign
from tests.fakes import FakeIntercom, FakeReferralFactory, custom

pytestmark = pytest.mark.enable_socket


@dataclass
class Vendors:
    """Both vendors, and what only their own people can do."""

    intercom: Intercom
    referral_factory: ReferralFactory
    archive: Callable[[str], None]
    delete: Callable[[str], None]
    merge: Callable[[str, str], None]
    lag: Callable[[], None]
    catch_up: Callable[[], None]
    pass_a_minute: Callable[[], None]


@pytest.fixture(params=["fake", "sandbox"])
def vendors(request: pytest.FixtureRequest) -> Iterator[Vendors]:
    if request.param == "fake":
        yield of_fakes()
        return
    with start(index_delay_seconds=0) as sandbox, Http() as http:
        yield of_sandbox(sandbox, http)


def of_fakes() -> Vendors:
    intercom = FakeIntercom("sandbox1", [custom("Referral Link"), custom("Referrals", AttributeType.NUMBER)])
    program = FakeReferralFactory(
        Campaign("1", "Summer referral", "summer", "launched", ("Last Name", "Company"), ("Last Name",)),
        Campaign("2", "Winter referral", "winter", "launched", ("Last Name", "Company"), ("Last Name",)),
    )
    program.sign_up("rita@example.com")
    return Vendors(
        intercom,
        program,
        intercom.archive,
        intercom.delete,
        intercom.merge,
        lambda: setattr(intercom, "search_lag", True),
        intercom.index,
        lambda: setattr(intercom, "now", intercom.now + 60),
    )


def of_sandbox(sandbox: Sandbox, http: Http) -> Vendors:
    def ask(method: str, path: str, body: object = None) -> None:
        answer = requests.request(
            method,
            f"{sandbox.intercom_url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {DEFAULT_TOKEN}"},
            timeout=10,
        )
        answer.raise_for_status()

    def merge(lead_id: str, into: str) -> None:
        ask("POST", "/contacts/merge", {"from": lead_id, "into": into, "skip_duplicate_validation": True})

    return Vendors(
        IntercomClient(sandbox.intercom_url, DEFAULT_TOKEN, http, Unlimited()),
        ReferralFactoryClient(sandbox.referral_factory_url, DEFAULT_ACCOUNT_TOKEN, http, Unlimited()),
        lambda contact_id: ask("POST", f"/contacts/{contact_id}/archive"),
        lambda contact_id: ask("DELETE", f"/contacts/{contact_id}"),
        merge,
        lambda: sandbox.state.settings.change({"index_delay_seconds": 120}),
        lambda: sandbox.advance(180),
        lambda: sandbox.advance(60),
    )


def draft(email: str, role: Role | None = Role.USER, **values: str | int) -> ContactDraft:
    return ContactDraft({"name": "Ann Smith", "email": email, **values}, role)


def made(vendors: Vendors, email: str, role: Role = Role.USER) -> Contact:
    contact = vendors.intercom.create(draft(email, role))
    assert isinstance(contact, Contact)
    return contact


def found(vendors: Vendors, email: str) -> list[str]:
    """Ids only: a search may show every custom attribute there is, as null."""
    return [contact.id for contact in vendors.intercom.search_email(email)]


def test_me_names_the_workspace(vendors: Vendors) -> None:
    workspace = vendors.intercom.me()
    assert (workspace.app_id, workspace.timezone, workspace.region) == ("sandbox1", "America/New_York", "us")


def test_a_created_contact_can_be_read_and_found(vendors: Vendors) -> None:
    values = {"custom_attributes.Referral Link": "https://x.example/a", "custom_attributes.Referrals": 0}
    contact = vendors.intercom.create(draft("Ann@Example.com", Role.LEAD, **values))
    assert isinstance(contact, Contact)
    assert (contact.role, contact.name) == (Role.LEAD, "Ann Smith")
    assert contact.value("custom_attributes.Referrals") == 0
    assert contact.created_at
    assert vendors.intercom.contact(contact.id) == contact
    assert found(vendors, " ANN@example.com") == [contact.id]
    assert vendors.intercom.search_email("nobody@example.com") == []


def test_a_new_contact_is_missing_from_search_for_a_while(vendors: Vendors) -> None:
    vendors.lag()
    contact = made(vendors, "ann@example.com")
    assert vendors.intercom.search_email("ann@example.com") == []
    vendors.catch_up()
    assert found(vendors, "ann@example.com") == [contact.id]


def test_users_of_one_address_conflict_and_the_conflict_names_the_other(vendors: Vendors) -> None:
    contact = made(vendors, "ann@example.com")
    conflict = vendors.intercom.create(draft("ann@example.com"))
    assert isinstance(conflict, Conflict)
    assert (conflict.contact_id, conflict.archived, conflict.several) == (contact.id, False, False)


def test_leads_never_conflict(vendors: Vendors) -> None:
    made(vendors, "ann@example.com")
    made(vendors, "ann@example.com", Role.LEAD)
    made(vendors, "ann@example.com", Role.LEAD)
    assert len(vendors.intercom.search_email("ann@example.com")) == 3


def test_an_archived_user_conflicts_and_comes_back(vendors: Vendors) -> None:
    contact = made(vendors, "ann@example.com")
    vendors.archive(contact.id)
    assert vendors.intercom.contact(contact.id) == Gone(GoneKind.MISSING)
    assert vendors.intercom.search_email("ann@example.com") == []
    conflict = vendors.intercom.create(draft("ann@example.com"))
    assert isinstance(conflict, Conflict)
    assert (conflict.contact_id, conflict.archived) == (contact.id, True)
    restored = vendors.intercom.unarchive(contact.id)
    assert isinstance(restored, Contact)
    assert restored.email == "ann@example.com"


def test_a_deleted_user_conflicts_for_ever(vendors: Vendors) -> None:
    contact = made(vendors, "ann@example.com")
    vendors.delete(contact.id)
    conflict = vendors.intercom.create(draft("ann@example.com"))
    assert isinstance(conflict, Conflict)
    assert conflict.archived
    assert isinstance(vendors.intercom.unarchive(contact.id), NotRestorable)


def test_a_merged_contact_names_its_survivor(vendors: Vendors) -> None:
    lead, user = made(vendors, "ann@example.com", Role.LEAD), made(vendors, "ann@example.com")
    vendors.merge(lead.id, user.id)
    gone = Gone(GoneKind.MERGED, user.id)
    assert vendors.intercom.contact(lead.id) == gone
    assert vendors.intercom.update(lead.id, ContactDraft({"name": "Else"})) == gone


def test_an_update_changes_what_is_named_and_nothing_else(vendors: Vendors) -> None:
    contact = vendors.intercom.create(draft("ann@example.com", **{"custom_attributes.Referral Link": "x"}))
    assert isinstance(contact, Contact)
    updated = vendors.intercom.update(contact.id, ContactDraft({"custom_attributes.Referrals": 3}))
    assert isinstance(updated, Contact)
    assert (updated.name, updated.email) == ("Ann Smith", "ann@example.com")
    assert updated.custom_attributes["Referral Link"] == "x"
    assert updated.custom_attributes["Referrals"] == 3


def test_an_update_of_an_unknown_contact_finds_it_gone(vendors: Vendors) -> None:
    assert vendors.intercom.update("0" * 24, ContactDraft({"name": "A"})) == Gone()
    assert vendors.intercom.unarchive("0" * 24) == Gone()


def test_an_update_into_another_users_address_conflicts(vendors: Vendors) -> None:
    ann, ben = made(vendors, "ann@example.com"), made(vendors, "ben@example.com")
    conflict = vendors.intercom.update(ben.id, ContactDraft({"email": "ann@example.com"}))
    assert isinstance(conflict, Conflict)
    assert conflict.contact_id == ann.id


def test_a_lead_becomes_a_user_and_not_the_other_way(vendors: Vendors) -> None:
    contact = made(vendors, "ann@example.com", Role.LEAD)
    promoted = vendors.intercom.update(contact.id, ContactDraft({}, Role.USER))
    assert isinstance(promoted, Contact)
    assert (promoted.id, promoted.role) == (contact.id, Role.USER)
    with pytest.raises(Rejected) as refused:
        vendors.intercom.update(contact.id, ContactDraft({}, Role.LEAD))
    assert (refused.value.status, refused.value.code) == (400, "client_error")


def test_an_unknown_attribute_fails_the_whole_write_and_is_named(vendors: Vendors) -> None:
    with pytest.raises(Rejected) as refused:
        vendors.intercom.create(draft("ann@example.com", **{"custom_attributes.Nothing such": "x"}))
    assert refused.value.fields == ("custom_attributes.Nothing such",)
    assert vendors.intercom.search_email("ann@example.com") == []


def test_attributes_are_listed_and_made(vendors: Vendors) -> None:
    attribute = vendors.intercom.create_attribute("Tier", AttributeType.LIST, ("gold", "silver"))
    assert (attribute.path, attribute.type, attribute.options) == (
        "custom_attributes.Tier",
        AttributeType.LIST,
        ("gold", "silver"),
    )
    listed = {each.path: each for each in vendors.intercom.attributes()}
    assert listed["custom_attributes.Tier"] == attribute
    assert listed["email"].writable
    assert listed["custom_attributes.Referrals"].type is AttributeType.NUMBER
    with pytest.raises(Rejected):
        vendors.intercom.create_attribute("Tier", AttributeType.TEXT)
    with pytest.raises(ValueError, match="can't be made"):
        vendors.intercom.create_attribute("Owner", AttributeType.REFERENCE)


def test_searches_walk_their_pages(vendors: Vendors) -> None:
    for number in range(160):
        made(vendors, f"lead{number}@example.com", Role.LEAD)
    query = {"field": "role", "operator": "=", "value": "lead"}
    first = vendors.intercom.search(query)
    rest = vendors.intercom.search(query, first.cursor)
    assert (len(first.contacts), len(rest.contacts)) == (150, 10)
    assert (first.total, rest.cursor) == (160, None)
    assert len({each.id for each in (*first.contacts, *rest.contacts)}) == 160


def test_searches_walk_from_the_newest_where_asked(vendors: Vendors) -> None:
    for number in range(160):
        made(vendors, f"lead{number}@example.com", Role.LEAD)
    query = {"field": "role", "operator": "=", "value": "lead"}
    first = vendors.intercom.search(query, order=Order.CHANGED_LAST_FIRST)
    rest = vendors.intercom.search(query, first.cursor, Order.CHANGED_LAST_FIRST)
    walked = [*first.contacts, *rest.contacts]
    assert len({each.id for each in walked}) == 160
    times = [each.updated_at or 0 for each in walked]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(("order", "is_seen_again"), [(Order.CREATED, False), (Order.CHANGED, True)])
def test_who_is_changed_meanwhile_keeps_the_place_only_in_the_order_of_creation(
    vendors: Vendors, order: Order, is_seen_again: bool
) -> None:
    ids = [made(vendors, f"lead{number}@example.com", Role.LEAD).id for number in range(160)]
    query = {"field": "role", "operator": "=", "value": "lead"}
    first = vendors.intercom.search(query, order=order)
    vendors.pass_a_minute()
    vendors.intercom.update(first.contacts[0].id, ContactDraft({"name": "Changed"}))
    rest = vendors.intercom.search(query, first.cursor, order)
    assert {each.id for each in (*first.contacts, *rest.contacts)} == set(ids)
    assert (first.contacts[0].id in {each.id for each in rest.contacts}) is is_seen_again


def test_what_changed_lately_is_found_from_a_mark_two_days_back(vendors: Vendors) -> None:
    contact = made(vendors, "lea@example.com", Role.LEAD)
    mark = mark_of(contact.updated_at or 0)
    query = {"field": "updated_at", "operator": ">", "value": mark}
    page = vendors.intercom.search(query, order=Order.CHANGED_LAST_FIRST)
    assert contact.id in [each.id for each in page.contacts]


def test_permissions_can_be_probed(vendors: Vendors) -> None:
    assert vendors.intercom.probe_contacts()
    assert vendors.intercom.probe_attributes()
    assert vendors.intercom.probe_segments()
    assert isinstance(vendors.intercom.segments(), list)


def test_campaigns_say_their_fields(vendors: Vendors) -> None:
    summer, winter = vendors.referral_factory.campaigns(counts=True)
    assert (summer.referral_factory_id, summer.code, summer.users) == ("1", "summer", 1)
    assert (summer.leads, summer.referrers) == (("Last Name", "Company"), ("Last Name",))
    assert winter.users == 0
    assert vendors.referral_factory.campaign("1") == summer
    assert vendors.referral_factory.campaign("99") is None


def test_a_referrer_is_enrolled_once(vendors: Vendors) -> None:
    enrolment = Enrolment("1", "Ann", "ann@example.com", {"Last Name": "Smith"})
    person = vendors.referral_factory.create_user(enrolment)
    assert person.audience is Audience.REFERRERS
    assert person.values["meta.Last Name"] == "Smith"
    assert person.values["referrer.email"] is None
    assert person.text("campaign_id") == "1"
    assert person.text("url")
    with pytest.raises(Rejected) as refused:
        vendors.referral_factory.create_user(enrolment)
    assert (refused.value.status, refused.value.fields) == (422, ("email",))
    vendors.referral_factory.create_user(Enrolment("2", "Ann", "ann@example.com", {}))


def test_a_person_is_read_by_id_and_code_with_counts_where_asked(vendors: Vendors) -> None:
    (rita,) = vendors.referral_factory.find_by_email("1", "RITA@example.com")
    assert rita.code
    vendors.referral_factory.create_user(Enrolment("1", "Lea", "lea@example.com", {}, referrer_code=rita.code))
    assert "referrals" not in rita.values
    counted = vendors.referral_factory.user(rita.code, counts=True)
    assert counted
    assert (counted.values["referrals"], counted.values["qualified_referrals"]) == (1, 0)
    assert vendors.referral_factory.user(str(rita.values["id"])) == rita
    assert vendors.referral_factory.user("999999") is None


def test_a_lead_and_a_referrer_may_share_an_address(vendors: Vendors) -> None:
    (rita,) = vendors.referral_factory.find_by_email("1", "rita@example.com")
    lead = vendors.referral_factory.create_user(
        Enrolment("1", "Rita", "rita@example.com", {}, referrer_code=rita.code)
    )
    assert lead.audience is Audience.LEADS
    assert lead.values["referrer.id"] == rita.values["id"]
    both = vendors.referral_factory.find_by_email("1", "rita@example.com")
    assert {each.audience for each in both} == {Audience.LEADS, Audience.REFERRERS}
    assert vendors.referral_factory.find_by_email("2", "rita@example.com") == []


def test_an_unknown_referrer_is_refused(vendors: Vendors) -> None:
    with pytest.raises(Rejected):
        vendors.referral_factory.create_user(Enrolment("1", "Lea", "lea@example.com", {}, referrer_code="none"))


def test_leads_qualify_and_unqualify_and_referrers_do_not(vendors: Vendors) -> None:
    program = vendors.referral_factory
    (rita,) = program.find_by_email("1", "rita@example.com")
    lead = program.create_user(Enrolment("1", "Lea", "lea@example.com", {}, referrer_code=rita.code))
    id_, code = lead.text("id"), lead.code
    assert id_
    assert program.qualify(user_id=id_)
    qualified = program.user(id_)
    assert qualified
    assert qualified.values["qualified_at"]
    assert program.qualify(code=code, qualified=False)
    assert not program.qualify(user_id="999999")
    with pytest.raises(Rejected):
        program.qualify(user_id=rita.text("id"))
    with pytest.raises(ValueError, match="id or a code"):
        program.qualify()


def test_a_person_is_changed_by_id(vendors: Vendors) -> None:
    program = vendors.referral_factory
    person = program.create_user(Enrolment("1", "Ann", "ann@example.com", {}))
    id_ = person.text("id")
    assert id_
    assert program.update_user(id_, first_name="Anna", email="anna@example.com", meta={"Last Name": "S"})
    changed = program.user(id_)
    assert changed
    assert (changed.text("first_name"), changed.email) == ("Anna", "anna@example.com")
    assert changed.values["meta.Last Name"] == "S"
    assert changed.code == person.code
    assert not program.update_user("999999", first_name="Nobody")


def test_everybody_is_read_page_by_page(vendors: Vendors) -> None:
    program = vendors.referral_factory
    for number in range(255):
        program.create_user(Enrolment("2", "Ann", f"ann{number}@example.com", {}))
    first = program.users(counts=True)
    second = program.users(first.cursor, counts=True)
    assert (len(first.people), len(second.people), second.cursor) == (250, 6, None)
    assert len({each.text("id") for each in (*first.people, *second.people)}) == 256
    assert all("referrals" in each.values for each in second.people)
