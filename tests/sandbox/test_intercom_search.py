"""Search: late, by whole days, and with a cursor that belongs in the body."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sandbox.world import World
from tests.sandbox.conftest import Caller, error, find

EMAIL = {"field": "email", "operator": "=", "value": "a@b.co"}


def _make(intercom: Caller, email: str, role: str = "lead", **more: Any) -> str:
    made = intercom("POST", "/contacts", {"role": role, "email": email, **more}).json
    contact_id: str = made["id"]
    return contact_id


def test_search_lags_behind_creation_and_change(intercom: Caller, world: World) -> None:
    world.settings.change({"index_delay_seconds": 120})
    made = _make(intercom, "a@b.co", custom_attributes={"plan": "trial"})
    assert intercom("GET", f"/contacts/{made}").status_code == 200
    assert find(intercom, "email", "a@b.co") == []
    world.clock.advance(119)
    assert find(intercom, "email", "a@b.co") == []
    world.clock.advance(2)
    assert find(intercom, "email", "a@b.co") == [made]
    intercom("PUT", f"/contacts/{made}", {"custom_attributes": {"plan": "pro"}, "email": "new@b.co"})
    stale = intercom("POST", "/contacts/search", {"query": EMAIL}).json["data"][0]
    assert stale["custom_attributes"]["plan"] == "trial"
    assert find(intercom, "email", "new@b.co") == []
    world.clock.advance(121)
    assert find(intercom, "email", "new@b.co") == [made]
    assert find(intercom, "email", "a@b.co") == []


def test_a_contact_archived_before_it_was_indexed_never_appears(intercom: Caller, world: World) -> None:
    world.settings.change({"index_delay_seconds": 120})
    made = _make(intercom, "a@b.co")
    intercom("POST", f"/contacts/{made}/archive")
    world.clock.advance(121)
    assert find(intercom, "email", "a@b.co") == []
    intercom("POST", f"/contacts/{made}/unarchive")
    assert find(intercom, "email", "a@b.co") == []
    world.clock.advance(121)
    assert find(intercom, "email", "a@b.co") == [made]


def test_emails_are_kept_in_lower_case_and_matched_exactly(intercom: Caller) -> None:
    made = _make(intercom, "Ann@B.co")
    assert find(intercom, "email", "ann@b.co") == [made]
    assert find(intercom, "email", "Ann@B.co") == []


def test_search_shows_every_attribute_and_get_only_those_set(intercom: Caller) -> None:
    made = _make(intercom, "a@b.co", custom_attributes={"plan": "pro"})
    searched = intercom("POST", "/contacts/search", {"query": EMAIL}).json["data"][0]
    assert searched["custom_attributes"]["Newsletter"] is None
    assert intercom("GET", f"/contacts/{made}").json["custom_attributes"] == {"plan": "pro"}


@pytest.mark.parametrize(
    ("field", "operator", "value", "found"),
    [
        ("email", "~", "ann", {"ann"}),
        ("email", "^", "bob", {"bob"}),
        ("email", "$", "example.com", {"ann", "bob"}),
        ("email", "!=", "ann@example.com", {"bob"}),
        ("email", "IN", ["ann@example.com", "x@example.com"], {"ann"}),
        ("email", "NIN", ["ann@example.com"], {"bob"}),
        ("role", "=", "user", {"bob"}),
        ("custom_attributes.plan", "=", "pro", {"bob"}),
        ("custom_attributes.plan", "=", None, {"ann"}),
        ("custom_attributes.Referrals", ">=", 3, {"bob"}),
        ("custom_attributes.Referrals", "<", 3, {"ann"}),
        ("custom_attributes.Newsletter", "=", True, {"bob"}),
        ("email_domain", "=", "example.com", {"ann", "bob"}),
        ("id", "=", "nobody", set()),
    ],
)
def test_operators(intercom: Caller, field: str, operator: str, value: Any, found: set[str]) -> None:
    ids = {
        "ann": _make(intercom, "ann@example.com", custom_attributes={"Referrals": 0}),
        "bob": _make(
            intercom,
            "bob@example.com",
            "user",
            custom_attributes={"plan": "pro", "Referrals": 3, "Newsletter": True},
        ),
    }
    assert set(find(intercom, field, value, operator)) == {ids[name] for name in found}


@pytest.mark.parametrize(
    "query",
    [
        {"field": "updated_at", "operator": ">=", "value": 1},
        {"field": "updated_at", "operator": "!=", "value": 1},
        {"field": "custom_attributes.Trial ends", "operator": "IN", "value": [1]},
        {"field": "updated_at", "operator": ">", "value": "soon"},
        {"field": "custom_attributes.Newsletter", "operator": ">", "value": True},
        {"field": "custom_attributes.Referrals", "operator": "=", "value": "3"},
        {"field": "custom_attributes.Nowhere", "operator": "=", "value": "3"},
        {"field": "custom_attributes.Old campaign", "operator": "=", "value": "3"},
        {"field": "custom_attributes.plan", "operator": ">", "value": "a"},
        {"field": "tag_id", "operator": "IN", "value": ["1"]},
        {"field": "shoe_size", "operator": "=", "value": "3"},
        {"field": "email", "operator": "IN", "value": "a@b.co"},
        {"operator": "AND", "value": []},
        {"operator": "AND", "value": [EMAIL] * 16},
        {"operator": "AND", "value": [{"operator": "OR", "value": [{"operator": "AND", "value": [EMAIL]}]}]},
        {"operator": "=", "value": "x"},
        None,
    ],
)
def test_queries_that_fail(intercom: Caller, query: Any) -> None:
    answer = intercom("POST", "/contacts/search", {"query": query})
    assert answer.status_code == 400
    assert answer.json["type"] == "error.list"


def test_groups_two_deep(intercom: Caller) -> None:
    ids = [_make(intercom, f"{name}@b.co", role) for name, role in (("a", "lead"), ("b", "user"), ("c", "user"))]
    emails = [{**EMAIL, "value": f"{name}@b.co"} for name in "ab"]
    query = {
        "operator": "AND",
        "value": [{"operator": "OR", "value": emails}, {"field": "role", "operator": "=", "value": "user"}],
    }
    found = intercom("POST", "/contacts/search", {"query": query}).json["data"]
    assert [contact["id"] for contact in found] == [ids[1]]


def _at(*moment: int) -> float:
    return datetime(*moment, tzinfo=ZoneInfo("America/New_York")).timestamp()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("operator", "asked", "found"),
    [
        ("=", _at(2026, 3, 10, 0, 0), True),
        ("=", _at(2026, 3, 10, 23, 59), True),
        ("=", _at(2026, 3, 11, 0, 0), False),
        (">", _at(2026, 3, 10, 0, 0), False),
        (">", _at(2026, 3, 9, 23, 59), True),
        ("<", _at(2026, 3, 10, 23, 59), False),
        ("<", _at(2026, 3, 11, 0, 0), True),
    ],
)
def test_dates_are_compared_by_the_workspaces_day(intercom: Caller, operator: str, asked: float, found: bool) -> None:
    # Half past ten in the evening in New York: already the 11th in UTC.
    made = _make(intercom, "a@b.co", signed_up_at=int(_at(2026, 3, 10, 22, 30)))
    assert (find(intercom, "signed_up_at", int(asked), operator) == [made]) is found


def test_a_day_of_25_hours_is_one_day(intercom: Caller) -> None:
    made = _make(intercom, "a@b.co", signed_up_at=int(_at(2026, 11, 1, 23, 30)))
    asked = int(_at(2026, 11, 1, 23, 45)) - 86400
    assert find(intercom, "signed_up_at", asked, ">") == []
    assert find(intercom, "signed_up_at", asked, "=") == [made]


@pytest.mark.parametrize("field", ["updated_at", "created_at"])
def test_when_a_contact_was_made_or_changed_is_compared_by_the_day(
    intercom: Caller, world: World, field: str
) -> None:
    workspace = world.workspaces["sandbox1"]
    made = _make(intercom, "a@b.co")

    def put(moment: float) -> None:
        workspace.store({**workspace.contacts[made], field: moment}, world.clock.now(), 0)

    # The 25-hour day at the end of summer time: a day's length before its last hour is still the same day.
    late = _at(2026, 11, 1, 23, 30)
    put(late)
    assert find(intercom, field, int(late) - 86400, ">") == []
    assert find(intercom, field, int(late) - 86400, "=") == [made]
    assert find(intercom, field, int(late) - 2 * 86400, ">") == [made]
    assert find(intercom, field, int(late) + 1800, "<") == [made]
    # The 23-hour day at its beginning.
    put(_at(2026, 3, 8, 0, 30))
    assert find(intercom, field, int(_at(2026, 3, 8, 23, 30)), "=") == [made]
    assert find(intercom, field, int(_at(2026, 3, 8, 23, 30)), "<") == []
    for operator in ("!=", "<=", ">=", "IN", "~"):
        query = {"field": field, "operator": operator, "value": int(late)}
        assert intercom("POST", "/contacts/search", {"query": query}).status_code == 400


def _walk(intercom: Caller, size: int, **more: Any) -> list[str]:
    found: list[str] = []
    body: dict[str, Any] = {"query": {**EMAIL, "operator": "$", "value": "b.co"}, "pagination": {"per_page": size}}
    while True:
        page = intercom("POST", "/contacts/search", {**body, **more}).json
        found += [contact["id"] for contact in page["data"]]
        if "next" not in page["pages"]:
            return found
        body["pagination"]["starting_after"] = page["pages"]["next"]["starting_after"]


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_a_walk_by_cursor_finds_each_once(intercom: Caller, order: str) -> None:
    ids = [_make(intercom, f"p{number}@b.co") for number in range(7)]
    found = _walk(intercom, 3, sort={"field": "created_at", "order": order})
    assert found == (ids if order == "ascending" else ids[::-1])


def test_a_cursor_in_the_address_is_passed_over(intercom: Caller) -> None:
    for number in range(3):
        _make(intercom, f"p{number}@b.co")
    body = {"query": {**EMAIL, "operator": "$", "value": "b.co"}, "pagination": {"per_page": 1}}
    first = intercom("POST", "/contacts/search", body).json
    cursor = first["pages"]["next"]["starting_after"]
    again = intercom("POST", f"/contacts/search?starting_after={cursor}&page=2", body).json
    assert again["data"] == first["data"]


@pytest.mark.parametrize("cursor", [None, "", "nonsense", 5])
def test_a_bad_cursor_is_refused(intercom: Caller, cursor: Any) -> None:
    answer = intercom("POST", "/contacts/search", {"query": EMAIL, "pagination": {"starting_after": cursor}})
    message = "Invalid starting_after param. Please try again using a starting_after value from a paginated response"
    assert error(answer) == (400, "client_error", message)


def test_the_order_must_be_a_full_word_since_2_16(intercom: Caller) -> None:
    body = {"query": EMAIL, "sort": {"field": "updated_at", "order": "desc"}}
    message = "Invalid sort order 'desc'. Must be one of: ascending, descending"
    assert error(intercom("POST", "/contacts/search", body)) == (400, "invalid_sort_order", message)
    assert intercom("POST", "/contacts/search", body, Intercom_Version="2.15").status_code == 200


def test_pages_have_their_sizes(intercom: Caller, control: Caller, world: World) -> None:
    control("POST", "/seed", {"contacts": 160})
    body: dict[str, Any] = {"query": {"field": "role", "operator": "IN", "value": ["lead", "user"]}}
    assert len(intercom("POST", "/contacts/search", body).json["data"]) == 50
    body["pagination"] = {"per_page": 500}
    assert len(intercom("POST", "/contacts/search", body).json["data"]) == 150
    assert len(intercom("GET", "/contacts").json["data"]) == 10
    world.settings.change({"per_page_above_max": "error"})
    assert intercom("POST", "/contacts/search", body).status_code == 400


def test_the_list_walks_by_a_cursor_in_the_address(intercom: Caller) -> None:
    ids = [_make(intercom, f"p{number}@b.co") for number in range(5)]
    intercom("POST", f"/contacts/{ids[4]}/archive")
    found, path = [], "/contacts?per_page=2"
    while path:
        page = intercom("GET", path).json
        assert page["total_count"] == 4
        found += [contact["id"] for contact in page["data"]]
        following = page["pages"].get("next")
        path = f"/contacts?per_page=2&starting_after={following['starting_after']}" if following else ""
    assert found == ids[:4]


def test_segments_are_searched_and_counted_on_the_index(intercom: Caller, world: World) -> None:
    segments = {row["name"]: row["id"] for row in intercom("GET", "/segments").json["segments"]}
    made = _make(intercom, "a@b.co", "user", custom_attributes={"plan": "trial"})
    assert find(intercom, "segment_id", segments["On plan pro"]) == []
    world.settings.change({"index_delay_seconds": 120})
    intercom("PUT", f"/contacts/{made}", {"custom_attributes": {"plan": "pro"}})
    assert find(intercom, "segment_id", segments["On plan pro"]) == []
    world.clock.advance(121)
    assert find(intercom, "segment_id", segments["On plan pro"]) == [made]
    counted = intercom("GET", "/segments?include_count=true").json["segments"]
    assert {row["name"]: row["count"] for row in counted}["On plan pro"] == 1
    mine = intercom("GET", f"/contacts/{made}/segments").json["data"]
    assert {row["name"] for row in mine} == {"All users", "On plan pro", "New this week"}
    # Membership can change without any change of the contact.
    world.clock.advance(8 * 86400)
    assert find(intercom, "segment_id", segments["New this week"]) == []


def test_segments_of_leads_say_contact(intercom: Caller) -> None:
    rows = intercom("GET", "/segments").json["segments"]
    assert {row["name"]: row["person_type"] for row in rows}["All leads"] == "contact"
    assert all("count" not in row for row in rows)
    assert intercom("GET", f"/segments/{rows[0]['id']}").json == rows[0]
    assert error(intercom("GET", "/segments/none")) == (404, "not_found", "Resource Not Found")


def test_tags_are_put_on_searched_and_taken_off(intercom: Caller) -> None:
    made = _make(intercom, "a@b.co")
    tag = intercom("POST", "/tags", {"name": "VIP"}).json["id"]
    assert intercom("POST", "/tags", {"name": "vip"}).json["id"] == tag
    intercom("POST", f"/contacts/{made}/tags", {"id": tag})
    assert find(intercom, "tag_id", tag) == [made]
    assert intercom("GET", f"/contacts/{made}").json["tags"]["total_count"] == 1
    intercom("DELETE", f"/contacts/{made}/tags/{tag}")
    assert intercom("GET", f"/contacts/{made}/tags").json["data"] == []
    assert intercom("POST", f"/contacts/{made}/tags", {"id": "none"}).status_code == 404
