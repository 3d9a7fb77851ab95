"""Referral Factory's rules and traps."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.world import World
from tests.sandbox.conftest import Caller

RITA = {"field": "email", "value": "RITA@example.com"}


def _add(factory: Caller, email: str, referrer: Any = None, **more: Any) -> dict[str, Any]:
    body = {"campaign_id": 1, "first_name": "F", "email": email, **more}
    if referrer:
        body["referrer"] = referrer
    answer = factory("POST", "/users", body)
    assert answer.status_code == 201, answer.json
    person: dict[str, Any] = answer.json["data"]
    return person


def test_campaigns_tell_their_fields_by_role(factory: Caller) -> None:
    answer = factory("GET", "/campaigns").json
    assert [(row["id"], row["code"]) for row in answer["data"]] == [(1, "summer"), (2, "winter")]
    fields = answer["data"][0]["fields"]
    assert [field["label"] for field in fields["person_invited"]] == ["Last Name", "Company"]
    assert fields["person_invited"][0]["type"] == "input"
    assert "analytics" not in answer["data"][0]
    assert factory("GET", "/campaigns/summer").json == factory("GET", "/campaigns/1").json
    assert factory("GET", "/campaigns/9").status_code == 404
    shown = factory("GET", "/campaigns/1?with=campaign.analytics").json["data"]["analytics"]
    assert shown == {"reach": 0, "users": 1, "referrals": 0, "qualified_referrals": 0}
    found = factory("POST", "/campaigns/search", {"filters": {"value": [{"field": "id", "value": "2"}]}})
    assert [row["code"] for row in found.json["data"]] == ["winter"]


def test_a_wrong_token_is_401_and_a_new_one_ends_the_old(factory: Caller, control: Caller) -> None:
    assert factory("GET", "/campaigns", Authorization="Bearer wrong").status_code == 401
    control("PUT", "/accounts/sandbox", {"token": "fresh"})
    assert factory("GET", "/campaigns").status_code == 401
    assert factory("GET", "/campaigns", Authorization="Bearer fresh").status_code == 200


def test_the_role_follows_from_the_referrer_and_never_from_the_source(factory: Caller) -> None:
    referrer = _add(factory, "r@example.com")
    lead = _add(factory, "l@example.com", {"field": "code", "value": referrer["code"]})
    assert (referrer["type"], referrer["source"]) == ("person_referring", "Api")
    assert (lead["type"], lead["source"]) == ("person_invited", "Api")
    assert lead["referrer_id"] == referrer["id"]
    assert lead["url"].endswith(f"/r/{lead['code']}")
    assert len(lead["signed_up_at"]) == len("2026-01-01")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"first_name": ""}, "first_name"),
        ({"email": None}, "email"),
        ({"email": "no address"}, "email"),
        ({"email": "rita@example.com"}, "email"),
        ({"email": "Rita@Example.com"}, "email"),
        ({"campaign_id": 99}, "campaign_id"),
        ({"campaign_id": None}, "campaign_id"),
        ({"referrer": {"field": "code", "value": "nobody"}}, "referrer"),
        ({"referrer": {"field": "id", "value": "x"}}, "referrer"),
        ({"campaign_id": 2, "referrer": {"field": "id", "value": 1}}, "referrer"),
        ({"meta": [{"field": "Shoe size", "value": "42"}]}, "meta"),
    ],
)
def test_people_that_cannot_be_added(factory: Caller, body: dict[str, Any], field: str) -> None:
    answer = factory("POST", "/users", {"campaign_id": 1, "first_name": "F", "email": "f@example.com", **body})
    assert answer.status_code == 422
    assert answer.json["code"] == 422
    assert answer.json["errors"][field][0]["field"] == field


def test_one_person_may_be_lead_and_referrer_and_in_two_campaigns(factory: Caller) -> None:
    _add(factory, "rita@example.com", RITA)
    _add(factory, "rita@example.com", campaign_id=2)
    filters = {"operator": "AND", "value": [{"field": "email", "operator": "=", "value": "rita@EXAMPLE.com"}]}
    found = factory("POST", "/users/search", {"filters": filters}).json["data"]
    assert [(row["type"], row["campaign_id"]) for row in found] == [
        ("person_referring", 1),
        ("person_invited", 1),
        ("person_referring", 2),
    ]
    filters["value"].append({"field": "campaign_id", "operator": "=", "value": "2"})
    assert len(factory("POST", "/users/search", {"filters": filters}).json["data"]) == 1
    filters["value"].append({"field": "campaign_id", "operator": ">", "value": "2"})
    assert factory("POST", "/users/search", {"filters": filters}).status_code == 422


def test_the_list_ignores_its_filter_and_pages_by_link(factory: Caller) -> None:
    for number in range(30):
        _add(factory, f"p{number}@example.com", campaign_id=1 + number % 2)
    page = factory("GET", "/users?campaign_id=2").json
    assert {row["campaign_id"] for row in page["data"]} == {1, 2}
    assert (len(page["data"]), page["meta"]["total"], page["meta"]["last_page"]) == (25, 31, 2)
    following = page["links"]["next"].partition("/referral-factory")[2]
    last = factory("GET", following).json
    assert (len(last["data"]), last["links"]["next"]) == (6, None)
    assert factory("GET", "/users?per_page=999").json["meta"]["per_page"] == 250


def test_counts_come_only_when_asked_for(factory: Caller) -> None:
    lead = _add(factory, "l@example.com", RITA)
    assert "analytics" not in factory("GET", "/users/1").json["data"]
    factory("PUT", "/users/qualification", {"id": lead["id"], "qualified": True})
    shown = factory("GET", "/users/1?with=user.analytics").json["data"]["analytics"]
    assert shown == {"reach": 0, "referrals": 1, "qualified_referrals": 1}
    factory("PUT", "/users/qualification", {"code": lead["code"], "qualified": False})
    shown = factory("GET", "/users/1?with=user.analytics").json["data"]["analytics"]
    assert shown["qualified_referrals"] == 0
    factory("DELETE", f"/users/{lead['id']}")
    shown = factory("GET", "/users/1?with=user.analytics").json["data"]["analytics"]
    assert shown["referrals"] == 0


def test_counts_come_page_by_page_too(factory: Caller) -> None:
    for number in range(3):
        lead = _add(factory, f"l{number}@example.com", RITA)
    factory("PUT", "/users/qualification", {"email": lead["email"], "campaign_id": 1, "qualified": True})
    found, path = [], "/users?per_page=2&with=user.analytics"
    while path:
        page = factory("GET", path).json
        found += [(row["type"], row["analytics"]) for row in page["data"]]
        path = (page["links"]["next"] or "").partition("/referral-factory")[2]
    nobody = {"reach": 0, "referrals": 0, "qualified_referrals": 0}
    rita = {"reach": 0, "referrals": 3, "qualified_referrals": 1}
    assert found == [("person_referring", rita), *[("person_invited", nobody)] * 3]


def test_people_are_found_by_id_or_code_and_by_email_by_switch(factory: Caller, world: World) -> None:
    by_id = factory("GET", "/users/1").json
    assert factory("GET", f"/users/{by_id['data']['code']}").json == by_id
    assert factory("GET", "/users/rita@example.com").status_code == 404
    world.settings.change({"referral_factory_get_by_email": True})
    assert factory("GET", "/users/rita@example.com").json == by_id


def test_an_update_keeps_the_link(factory: Caller) -> None:
    before = factory("GET", "/users/1").json["data"]
    meta = [{"field": "Last Name", "value": "Q"}]
    after = factory("PUT", "/users/1", {"email": "new@example.com", "meta": meta}).json["data"]
    assert (after["email"], after["code"], after["meta"]) == ("new@example.com", before["code"], meta)
    _add(factory, "taken@example.com")
    assert factory("PUT", "/users/1", {"email": "TAKEN@example.com"}).status_code == 422
    assert factory("DELETE", "/users/1").status_code == 200
    assert factory("GET", "/users/1").status_code == 404


@pytest.mark.parametrize(
    ("way", "status", "kind"),
    [("first", 422, None), ("lead", 200, "person_invited"), ("refuse", 422, None)],
)
def test_an_email_of_two_people_is_a_trap(
    factory: Caller, world: World, way: str, status: int, kind: str | None
) -> None:
    _add(factory, "rita@example.com", RITA)
    world.settings.change({"referral_factory_ambiguous_email": way})
    body = {"email": "rita@example.com", "campaign_id": 1, "qualified": True}
    answer = factory("PUT", "/users/qualification", body)
    assert answer.status_code == status
    if kind:
        assert answer.json["data"]["type"] == kind


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": 1, "qualified": True}, 422),
        ({"id": 99, "qualified": True}, 404),
        ({"code": "nobody", "qualified": True}, 404),
        ({"email": "l@example.com", "qualified": True}, 422),
        ({"qualified": True}, 422),
        ({"id": 2}, 422),
        ({"id": 2, "qualified": True}, 200),
        ({"email": "L@example.com", "campaign_id": 1, "qualified": True}, 200),
    ],
)
def test_only_a_named_lead_qualifies(factory: Caller, body: dict[str, Any], status: int) -> None:
    _add(factory, "l@example.com", RITA)
    assert factory("PUT", "/users/qualification", body).status_code == status


def test_qualifying_twice_is_a_switch(factory: Caller, world: World) -> None:
    lead = _add(factory, "l@example.com", RITA)
    body = {"id": lead["id"], "qualified": True}
    first = factory("PUT", "/users/qualification", body)
    assert factory("PUT", "/users/qualification", body).json == first.json
    world.settings.change({"referral_factory_qualify_twice": "refuse"})
    assert factory("PUT", "/users/qualification", body).status_code == 422


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), ("*/*", 200), ("text/html", 406)])
def test_only_json_is_spoken(factory: Caller, accept: str, status: int) -> None:
    assert factory("GET", "/users", Accept=accept).status_code == status
    form = factory.client.post("/referral-factory/users", data={"email": "a@b.co"}, headers=factory.headers)
    assert form.status_code == 406


@pytest.mark.parametrize(("answer", "status"), [("403", 403), ("429", 429)])
def test_too_many_calls_are_429_and_then_the_address_is_blocked(
    factory: Caller, control: Caller, world: World, answer: str, status: int
) -> None:
    world.settings.change({"referral_factory_calls_per_minute": 2, "referral_factory_block_answer": answer})
    answers = [factory("GET", "/users") for _ in range(7)]
    assert [each.status_code for each in answers] == [200, 200, 429, 429, 429, 429, status]
    assert not any(name.lower().startswith(("x-ratelimit", "retry")) for name, _ in answers[2].headers)
    world.clock.advance(3600)
    assert factory("GET", "/users").status_code == status
    control("POST", "/referral-factory/unblock")
    assert factory("GET", "/users").status_code == 200


@pytest.mark.parametrize(("window", "status"), [("sliding", 429), ("fixed", 200)])
def test_the_minute_slides_or_starts_on_the_minute(factory: Caller, world: World, window: str, status: int) -> None:
    world.settings.change({"referral_factory_calls_per_minute": 2, "referral_factory_window": window})
    world.clock.advance(115 - world.clock.now() % 60)  # five seconds before a minute
    assert [factory("GET", "/users").status_code for _ in range(2)] == [200, 200]
    world.clock.advance(10)
    assert factory("GET", "/users").status_code == status


def test_over_the_user_limit_the_links_stop_working(client: Any, control: Caller, world: World) -> None:
    code = world.factory.accounts["sandbox"].people[1]["code"]
    friend = {"code": code, "first_name": "F", "email": "f@example.com"}
    control("PUT", "/accounts/sandbox", {"user_limit": 1})
    assert control("POST", "/referral-factory/sign-up", friend).status_code == 200
    assert client.get(f"/r/{code}").status_code == 404
    assert control("POST", "/referral-factory/sign-up", {**friend, "email": "g@example.com"}).status_code == 400


def test_accounts_are_apart(factory: Caller, control: Caller) -> None:
    made = control("POST", "/accounts", {"name": "two", "token": "two-token", "campaigns": [{"name": "Other"}]})
    number = made.json["campaigns"][0]["id"]
    elsewhere = Caller(factory.client, "/referral-factory", "two-token")
    assert elsewhere("GET", "/users").json["data"] == []
    assert elsewhere("GET", "/users/1").status_code == 404
    assert number == 3
    assert factory("GET", f"/campaigns/{number}").status_code == 404
    assert control("POST", "/accounts/two/campaigns", {"name": "More", "id": 3}).status_code == 400
