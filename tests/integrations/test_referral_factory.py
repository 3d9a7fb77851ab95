"""What the Referral Factory client sends, and how it reads answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from app.core.errors import Unavailable
from app.integrations.budget import Unlimited
from app.integrations.http import Http
from app.integrations.referral_factory import Enrolment, ReferralFactoryClient

from .conftest import Canned

pytestmark = pytest.mark.enable_socket

ANN = {"id": 1, "campaign_id": 7, "email": "ann@example.com", "type": "person_referring", "referrer_id": None}
BEN = {**ANN, "id": 2, "email": "ben@example.com"}


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[ReferralFactoryClient]:
    with Http() as http:
        yield ReferralFactoryClient(httpserver.url_for("/api/v2"), "token", http, Unlimited())


def test_a_person_may_come_without_an_envelope(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add(ANN)
    person = client.user("1", counts=True)
    assert person
    assert person.email == "ann@example.com"
    request, _ = canned.requests[0]
    assert (request.path, request.args["with"]) == ("/api/v2/users/1", "user.analytics")
    assert request.headers["Authorization"] == "Bearer token"


def test_the_search_names_campaign_and_lower_cased_address(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add({"data": [ANN]})
    assert len(client.find_by_email("7", "Ann@Example.com ")) == 1
    assert canned.requests[0][1] == {
        "filters": {
            "operator": "AND",
            "value": [
                {"field": "email", "operator": "=", "value": "ann@example.com"},
                {"field": "campaign_id", "operator": "=", "value": "7"},
            ],
        }
    }


def test_people_of_other_campaigns_and_addresses_are_dropped(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add({"data": [BEN, {**ANN, "campaign_id": 8}, ANN, {**ANN, "id": 3, "campaign_id": "7"}]})
    assert [person.text("id") for person in client.find_by_email("7", "ann@example.com")] == ["1", "3"]


def test_an_ignored_filter_is_made_good_page_by_page(
    client: ReferralFactoryClient, canned: Canned, httpserver: HTTPServer
) -> None:
    canned.add({"data": [BEN], "links": {"next": httpserver.url_for("/api/v2/users/search?page=2")}})
    canned.add({"data": [ANN], "links": {"next": None}})
    assert len(client.find_by_email("7", "ann@example.com")) == 1
    assert canned.requests[1][0].args["page"] == "2"
    assert canned.requests[1][1] == canned.requests[0][1]


def test_an_ignored_filter_never_means_none_found(
    client: ReferralFactoryClient, canned: Canned, httpserver: HTTPServer
) -> None:
    for _ in range(41):
        canned.add({"data": [BEN], "links": {"next": httpserver.url_for("/api/v2/users/search?page=2")}})
    with pytest.raises(Unavailable):
        client.find_by_email("7", "ann@example.com")


@pytest.mark.parametrize("payload", [{}, {"data": None}, {"data": {}}, {"data": [{}]}, "x"])
def test_a_list_that_is_none_is_no_answer(client: ReferralFactoryClient, canned: Canned, payload: object) -> None:
    canned.add(payload)
    with pytest.raises(Unavailable):
        client.find_by_email("7", "ann@example.com")


def test_pages_of_campaigns_are_followed_as_their_links_say(
    client: ReferralFactoryClient, canned: Canned, httpserver: HTTPServer
) -> None:
    canned.add({"data": [{"id": 1}], "links": {"next": httpserver.url_for("/api/v2/odd/place?cursor=x%3D")}})
    canned.add({"data": [{"id": 2}], "links": {}})
    assert [campaign.referral_factory_id for campaign in client.campaigns()] == ["1", "2"]
    assert canned.requests[0][0].args["per_page"] == "250"
    assert canned.requests[1][0].path == "/api/v2/odd/place"
    assert canned.requests[1][0].args["cursor"] == "x="


def test_pages_in_a_circle_end_in_an_error(
    client: ReferralFactoryClient, canned: Canned, httpserver: HTTPServer
) -> None:
    for _ in range(3):
        canned.add({"data": [{"id": 1}], "links": {"next": httpserver.url_for("/api/v2/campaigns?page=2")}})
    with pytest.raises(Unavailable, match="circle"):
        client.campaigns()


def test_a_link_to_another_host_does_not_take_the_token_there(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add({"data": [ANN], "links": {"next": "https://elsewhere.example/api/v2/users?page=2"}})
    canned.add({"data": [BEN]})
    page = client.users()
    assert page.cursor == "/users?page=2"
    assert client.users(page.cursor).cursor is None
    assert canned.requests[1][0].path == "/api/v2/users"


def test_what_enrols_a_lead(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add({"data": ANN}, 201)
    client.create_user(Enrolment("7", "Ann", "ann@example.com", {"Company": "Acme"}, True, "rita"))
    assert canned.requests[0][1] == {
        "campaign_id": 7,
        "first_name": "Ann",
        "email": "ann@example.com",
        "notify": True,
        "meta": [{"field": "Company", "value": "Acme"}],
        "referrer": {"field": "code", "value": "rita"},
    }


def test_silence_never_decides_about_the_welcome_mail(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add({"data": ANN}, 201)
    client.create_user(Enrolment("7", "Ann", "ann@example.com", {}))
    assert canned.requests[0][1]["notify"] is False


def test_a_200_confirms_a_qualification_whatever_its_body(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add(None, 200)
    canned.add({"message": "Not found"}, 404)
    assert client.qualify(user_id="123", code="x")
    assert canned.requests[0][1] == {"id": 123, "qualified": True}
    assert not client.qualify(code="x", qualified=False)
    assert canned.requests[1][1] == {"code": "x", "qualified": False}


def test_only_what_is_given_is_changed(client: ReferralFactoryClient, canned: Canned) -> None:
    canned.add(None, 200)
    assert client.update_user("1", meta={"Company": ""})
    assert canned.requests[0][1] == {"meta": [{"field": "Company", "value": ""}]}
