"""What becomes of the values of a write."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.world import World
from tests.sandbox.conftest import Caller, error

WRITTEN = {"role": "lead", "email": "a@b.co"}


def _write(intercom: Caller, **custom: Any) -> Any:
    return intercom("POST", "/contacts", {**WRITTEN, "custom_attributes": custom})


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("Company name", "Acme", "Acme"),
        ("plan", "pro", "pro"),
        ("Referrals", 0, 0),
        ("Lifetime value", 3, 3),
        ("Lifetime value", 3.25, 3.25),
        ("Newsletter", False, False),
        ("Trial ends", 1768000000, 1768000000),
        ("Company name", None, None),
        ("Company name", "é" * 256, "é" * 255),
        ("Account manager", ["7"], {"type": "Account manager.list", "instances": [{"id": "7"}]}),
    ],
)
def test_values_of_the_right_type_are_kept(intercom: Caller, name: str, value: Any, kept: Any) -> None:
    assert _write(intercom, **{name: value}).json["custom_attributes"] == {name: kept}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Nowhere", "x", "parameter_invalid"),
        ("Old campaign", "x", "parameter_invalid"),
        ("plan", "Pro", "parameter_invalid"),
        ("Referrals", "5", "type_mismatch"),
        ("Referrals", 5.0, "type_mismatch"),
        ("Referrals", True, "type_mismatch"),
        ("Newsletter", "yes", "type_mismatch"),
        ("Company name", 5, "type_mismatch"),
        ("Company name", {"a": 1}, "type_mismatch"),
        ("Trial ends", "2026-01-01", "type_mismatch"),
        ("Account manager", "7", "type_mismatch"),
    ],
)
def test_one_bad_value_fails_the_whole_write(
    intercom: Caller, world: World, name: str, value: Any, code: str
) -> None:
    answer = _write(intercom, **{"Company name": "Acme", name: value})
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (400, code)
    assert world.workspaces["sandbox1"].live_count == 0


def test_an_unknown_attribute_is_named(intercom: Caller) -> None:
    answer = _write(intercom, Nowhere="x")
    assert error(answer) == (400, "parameter_invalid", "Custom attribute 'Nowhere' does not exist")


def test_a_locked_attribute_is_passed_over_with_200(intercom: Caller) -> None:
    answer = _write(intercom, **{"Health score": 5, "plan": "pro"})
    assert answer.json["custom_attributes"] == {"plan": "pro"}


@pytest.mark.parametrize(
    ("switch", "name", "value"),
    [
        ("unknown_attribute", "Nowhere", "x"),
        ("archived_attribute", "Old campaign", "x"),
        ("locked_attribute", "Health score", 5),
        ("list_outside_options", "plan", "gold"),
        ("text_too_long", "Company name", "x" * 256),
        ("type_mismatch", "Referrals", "x"),
        ("rule_violation", "Code", "no digits"),
    ],
)
@pytest.mark.parametrize("way", ["named", "unnamed", "ignore"])
def test_every_refusal_is_a_switch(
    intercom: Caller, control: Caller, world: World, switch: str, name: str, value: Any, way: str
) -> None:
    rule = {"name": "Code", "data_type": "string", "pattern": "[0-9]+"}
    control("POST", "/intercom/sandbox1/attributes", rule)
    world.settings.change({switch: way})
    answer = _write(intercom, **{name: value})
    if way == "ignore":
        assert (answer.status_code, answer.json["custom_attributes"]) == (200, {})
    else:
        assert answer.status_code == 400
        assert (name in answer.json["errors"][0]["message"]) is (way == "named")


def test_one_attribute_can_answer_otherwise_than_its_workspace(intercom: Caller, control: Caller) -> None:
    for name, way in (("Quiet", "ignore"), ("Loud", "named")):
        attribute = {"name": name, "data_type": "string", "longest": 3, "answers": {"rule_violation": way}}
        control("POST", "/intercom/sandbox1/attributes", attribute)
    assert _write(intercom, Quiet="four").status_code == 200
    assert "Loud" in error(_write(intercom, Loud="four"))[2]


def test_unknown_keys_at_the_top_are_passed_over(intercom: Caller) -> None:
    body = {**WRITTEN, "plan": "pro", "customAttributes": {"plan": "pro"}}
    answer = intercom("POST", "/contacts", body)
    assert (answer.status_code, answer.json["custom_attributes"]) == (200, {})


def test_a_put_changes_only_what_it_carries(intercom: Caller) -> None:
    made = _write(intercom, plan="trial", Referrals=2).json
    path = f"/contacts/{made['id']}"
    assert intercom("PUT", path, {"name": "Ann"}).json["custom_attributes"] == {"plan": "trial", "Referrals": 2}
    after = intercom("PUT", path, {"custom_attributes": {"plan": None}}).json
    assert after["custom_attributes"] == {"plan": None, "Referrals": 2}
    assert after["name"] == "Ann"
    assert intercom("PUT", path, {"email": None}).json["email"] == ""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "parameter_missing"),
        ({"role": "user"}, "parameter_missing"),
        ({"role": "lead", "email_verified": True}, "parameter_invalid"),
        ({"role": "lead", "owner_id": 99}, "parameter_invalid"),
        ({"role": "lead", "signed_up_at": "yesterday"}, "type_mismatch"),
    ],
)
def test_bad_bodies_are_refused(intercom: Caller, body: dict[str, Any], code: str) -> None:
    answer = intercom("POST", "/contacts", body)
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (400, code)


def test_the_role_is_user_unless_said_otherwise(intercom: Caller) -> None:
    assert intercom("POST", "/contacts", {"email": "a@b.co"}).json["role"] == "user"
    assert intercom("POST", "/contacts", {"email": "b@b.co", "role": "contact"}).json["role"] == "user"


def test_the_catalogue_hides_archived_attributes_unless_asked(intercom: Caller) -> None:
    shown = intercom("GET", "/data_attributes?model=contact").json["data"]
    every = intercom("GET", "/data_attributes?model=contact&include_archived=true").json["data"]
    assert {row["name"] for row in every} - {row["name"] for row in shown} == {"Old campaign"}
    by_name = {row["full_name"]: row for row in shown}
    assert by_name["custom_attributes.plan"]["data_type"] == "string"
    assert by_name["custom_attributes.plan"]["options"] == ["trial", "pro", "team"]
    assert by_name["custom_attributes.Health score"]["api_writable"] is False
    assert "id" not in by_name["email"]
    assert by_name["created_at"]["api_writable"] is False
    assert intercom("GET", "/data_attributes?model=conversation").status_code == 422


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"name": "plan", "model": "contact", "data_type": "string"},
            "You already have 'plan' in your people data. To save this as new people data, use a different name.",
        ),
        (
            {"name": "a.b", "model": "contact", "data_type": "string"},
            "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens",
        ),
        ({"name": "New", "model": "contact", "data_type": "text"}, "Data Type isn't an option"),
        (
            {"name": "New", "model": "thing", "data_type": "string"},
            "The Data Attribute model field must be either contact or company",
        ),
        (
            {"name": "New", "model": "contact", "data_type": "options", "options": [{"value": "a"}]},
            "You must have at least two options on a list type data attribute",
        ),
        (
            {"name": "New", "model": "contact", "data_type": "string", "options": "a,b"},
            "Options isn't an array",
        ),
    ],
)
def test_attributes_that_cannot_be_made(intercom: Caller, body: dict[str, Any], message: str) -> None:
    assert error(intercom("POST", "/data_attributes", body)) == (400, "parameter_invalid", message)


def test_a_new_attribute_can_be_written_until_it_is_archived(intercom: Caller) -> None:
    body = {"name": "Tier", "model": "contact", "data_type": "options", "options": [{"value": "a"}, {"value": "b"}]}
    made = intercom("POST", "/data_attributes", body).json
    assert (made["data_type"], made["options"], made["api_writable"]) == ("string", ["a", "b"], True)
    assert _write(intercom, Tier="b").status_code == 200
    intercom("PUT", f"/data_attributes/{made['id']}", {"archived": True})
    assert error(_write(intercom, Tier="b"))[2] == "Custom attribute 'Tier' does not exist"
    answer = intercom("PUT", "/data_attributes/999999", {"archived": True})
    assert error(answer)[:2] == (404, "field_not_found")


def test_a_workspace_holds_250_custom_attributes(intercom: Caller, world: World) -> None:
    live = sum(not row["archived"] for row in world.workspaces["sandbox1"].attributes.values())
    body = {"model": "contact", "data_type": "string"}
    for number in range(250 - live):
        assert intercom("POST", "/data_attributes", {**body, "name": f"More {number}"}).status_code == 200
    assert intercom("POST", "/data_attributes", {**body, "name": "One more"}).status_code == 400
