"""What is done with an audience's people: checked whole, kept in versions, shown with what there is to say."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.web.api.conftest import ATTRIBUTES, World, faults, json_of

LEADS = "/campaigns/1/audiences/leads"
REFERRERS = "/campaigns/1/audiences/referrers"

SETTINGS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [
        {"from": {"join": ["first_name", "meta.Company"]}, "to": "name"},
        {"from": {"field": "email"}, "to": "email"},
        {"from": {"field": "referrer.email"}, "to": "custom_attributes.Referrer Email"},
        {"from": {"value": 5}, "to": "custom_attributes.Seats"},
    ],
    "duplicates": "fill_blanks",
    "qualification": {"attribute": "custom_attributes.Plan", "initial_value": "trial", "target_values": ["pro"]},
}

DEFAULTS = {"action": "nothing", "mapping": [], "duplicates": "skip", "qualification": None}


def row(source: object, to: object) -> dict[str, Any]:
    return {"from": source, "to": to}


def test_before_anything_is_saved_the_defaults_hold(world: World) -> None:
    world.campaign()
    for path in (LEADS, REFERRERS):
        assert json_of(world.get(path)) == {
            **DEFAULTS,
            "setup_required": ["action_is_nothing"],
            "warnings": [],
            "version": 0,
            "changed_at": None,
            "changed_by": None,
        }


def test_settings_are_kept_as_they_were_sent(world: World) -> None:
    world.campaign()
    expected = {
        **SETTINGS,
        "setup_required": [],
        "warnings": [],
        "version": 1,
        "changed_at": "2026-11-22T12:00:00.000Z",
        "changed_by": "owner@example.com",
    }
    assert json_of(world.put(LEADS, SETTINGS)) == expected
    assert json_of(world.get(LEADS)) == expected
    assert json_of(world.get(REFERRERS))["version"] == 0


@pytest.mark.parametrize("value", ["text", 5, 5.5, True, False, 0, ""])
def test_a_fixed_value_keeps_its_type(world: World, value: object) -> None:
    world.campaign()
    answer = json_of(world.put(LEADS, {**DEFAULTS, "mapping": [row({"value": value}, "custom_attributes.Company")]}))
    (kept,) = answer["mapping"]
    assert kept["from"]["value"] == value
    assert type(kept["from"]["value"]) is type(value)


def test_an_answer_can_be_sent_back_as_it_is(world: World) -> None:
    world.campaign()
    saved = json_of(world.put(LEADS, SETTINGS))
    assert json_of(world.put(LEADS, saved)) == saved


def test_the_same_settings_again_are_no_new_version(world: World) -> None:
    world.campaign()
    world.put(LEADS, SETTINGS)
    world.time += timedelta(hours=1)
    assert json_of(world.put(LEADS, SETTINGS))["version"] == 1


def test_values_that_only_python_holds_for_equal_are_a_change(world: World) -> None:
    world.campaign()
    versions = [
        json_of(world.put(LEADS, {**DEFAULTS, "mapping": [row({"value": value}, "custom_attributes.Company")]}))[
            "version"
        ]
        for value in (1, True, 1.0, "1", 1)
    ]
    assert versions == [1, 2, 3, 4, 5]


def test_versions_are_listed_newest_first(world: World) -> None:
    world.campaign()
    for policy in ("skip", "update", "fill_blanks"):
        world.put(LEADS, {**SETTINGS, "duplicates": policy})
    page = json_of(world.get(f"{LEADS}/versions", limit=2))
    assert [(item["version"], item["duplicates"]) for item in page["items"]] == [(3, "fill_blanks"), (2, "update")]
    rest = json_of(world.get(f"{LEADS}/versions", limit=2, cursor=page["next_cursor"]))
    assert [(item["version"], item["changed_by"]) for item in rest["items"]] == [(1, "owner@example.com")]
    assert json_of(world.get(f"{REFERRERS}/versions"))["items"] == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"action": "create"}, {"/action": "invalid_request"}),
        ({"action": None}, {"/action": "invalid_request"}),
        ({"duplicates": "ask"}, {"/duplicates": "invalid_request"}),
        ({"mapping": {}}, {"/mapping": "invalid_request"}),
        ({"mapping": ["row"]}, {"/mapping/0": "invalid_request"}),
        ({"mapping": [{"to": "name"}]}, {"/mapping/0/from": "invalid_request"}),
        ({"mapping": [row({}, "name")]}, {"/mapping/0/from": "invalid_request"}),
        ({"mapping": [row({"field": "email", "value": 1}, "name")]}, {"/mapping/0/from": "invalid_request"}),
        ({"mapping": [row({"value": None}, "name")]}, {"/mapping/0/from/value": "invalid_request"}),
        ({"mapping": [row({"value": {"a": 1}}, "name")]}, {"/mapping/0/from/value": "invalid_request"}),
        ({"mapping": [row({"field": "last_name"}, "name")]}, {"/mapping/0/from/field": "invalid_request"}),
        ({"mapping": [row({"join": ["email", 5]}, "name")]}, {"/mapping/0/from/join/1": "invalid_request"}),
        ({"mapping": [row({"join": []}, "name")]}, {"/mapping/0/from/join": "invalid_request"}),
        ({"mapping": [row({"field": "email"}, "")]}, {"/mapping/0/to": "invalid_request"}),
        ({"mapping": [row({"field": "url"}, "a\u0000")]}, {"/mapping/0/to": "invalid_request"}),
        ({"mapping": [row({"field": "code"}, "email")]}, {"/mapping/0/from": "invalid_request"}),
        ({"mapping": [row({"field": "url"}, "custom_attributes.None")]}, {"/mapping/0/to": "attribute_unknown"}),
        ({"mapping": [row({"field": "url"}, "role")]}, {"/mapping/0/to": "attribute_not_writable"}),
        (
            {"mapping": [row({"field": "url"}, "custom_attributes.Locked")]},
            {"/mapping/0/to": "attribute_not_writable"},
        ),
        ({"mapping": [row({"field": "url"}, "custom_attributes.Old one")]}, {"/mapping/0/to": "attribute_archived"}),
        (
            {"mapping": [row({"field": "url"}, "custom_attributes.Trial ends")]},
            {"/mapping/0/to": "unsupported_attribute_type"},
        ),
        (
            {"mapping": [row({"value": "x"}, "custom_attributes.Seats")]},
            {"/mapping/0/from/value": "value_wrong_type"},
        ),
        (
            {"mapping": [row({"field": "url"}, "custom_attributes.Plan")]},
            {"/mapping/0/to": "attribute_is_the_trigger"},
        ),
        (
            {"qualification": {}},
            {"/qualification/attribute": "invalid_request", "/qualification/target_values": "invalid_request"},
        ),
        (
            {"qualification": {"attribute": "custom_attributes.Nix", "target_values": ["pro"]}},
            {"/qualification/attribute": "attribute_unknown"},
        ),
        (
            {"qualification": {"attribute": "custom_attributes.Plan", "target_values": ["pro", "gold"]}},
            {"/qualification/target_values/1": "value_not_an_option"},
        ),
        ({"colour": "red"}, {"/colour": "invalid_request"}),
    ],
)
def test_a_fault_is_refused_with_its_place(world: World, changes: dict[str, Any], found: dict[str, str]) -> None:
    world.campaign()
    answer = world.put(LEADS, {**SETTINGS, **changes})
    assert (answer.status_code, faults(answer)) == (422, found)
    assert json_of(world.get(LEADS))["version"] == 0


def test_all_faults_are_named_at_once_whatever_their_kind(world: World) -> None:
    world.campaign()
    body = {
        "action": "create_leads",
        "mapping": [
            row({"field": "first_name"}, "name"),
            row({"fild": "email"}, "email"),
            row({"field": "code"}, "custom_attributes.Nix"),
            "row",
            row({"field": "url"}, "name"),
        ],
        "qualification": {"target_values": []},
        "surprise": 1,
    }
    assert faults(world.put(LEADS, body)) == {
        "/action": "invalid_request",
        "/mapping/1/from/fild": "invalid_request",
        "/mapping/2/to": "attribute_unknown",
        "/mapping/3": "invalid_request",
        "/mapping/4/to": "attribute_already_mapped",
        "/qualification/attribute": "invalid_request",
        "/surprise": "invalid_request",
    }


def test_referrers_never_qualify(world: World) -> None:
    world.campaign()
    assert faults(world.put(REFERRERS, SETTINGS)) == {"/qualification": "only_leads_qualify"}


def test_one_kind_of_fault_is_the_cause_of_the_whole(world: World) -> None:
    world.campaign()
    answer = world.put(LEADS, {**SETTINGS, "mapping": [row({"field": "url"}, "custom_attributes.Nix")]})
    assert json_of(answer)["cause"] == "attribute_unknown"


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_what_is_no_object_is_refused(world: World, body: object) -> None:
    world.campaign()
    answer = world.ask("PUT", LEADS, data=json.dumps(body), content_type="application/json")
    assert (answer.status_code, faults(answer)) == (422, {"": "invalid_request"})


@pytest.mark.parametrize(
    ("mapping", "missing"),
    [
        ([], ["name_not_mapped", "email_not_mapped"]),
        ([row({"field": "email"}, "email")], ["name_not_mapped"]),
        ([row({"field": "code"}, "name"), row({"field": "email"}, "email")], []),
    ],
)
def test_what_is_missing_before_anybody_is_sent_is_said(world: World, mapping: list[Any], missing: list[str]) -> None:
    world.campaign()
    assert json_of(world.put(LEADS, {**SETTINGS, "mapping": mapping}))["setup_required"] == missing


def test_two_campaigns_with_their_link_in_one_attribute_are_warned(world: World) -> None:
    world.campaign()
    world.campaign(program_id="1", workspace_id="1", referral_factory_id=2)
    linked = {**SETTINGS, "mapping": [row({"field": "url"}, "custom_attributes.Referral Link")]}
    assert json_of(world.put(LEADS, linked))["warnings"] == []
    second = "/campaigns/2/audiences/referrers"
    assert json_of(world.put(second, {**linked, "qualification": None}))["warnings"] == [
        "attribute_shared_by_campaigns"
    ]
    assert json_of(world.get(LEADS))["warnings"] == ["attribute_shared_by_campaigns"]
    world.delete("/campaigns/2")
    assert json_of(world.get(LEADS))["warnings"] == []


def test_what_became_wrong_since_is_warned_of(world: World) -> None:
    world.campaign()
    world.put(LEADS, SETTINGS)
    for attribute in ATTRIBUTES:
        world.intercom.catalogue.pop(attribute.path)
    world.post("/workspaces/1/refresh")
    assert json_of(world.get(LEADS))["warnings"] == ["attribute_unknown"]


def test_a_crm_field_takes_its_attribute_from_the_rows(world: World) -> None:
    world.campaign(crm_fields=["Company"])
    taken = {**SETTINGS, "mapping": [row({"field": "code"}, "custom_attributes.Company")]}
    assert faults(world.put(LEADS, taken)) == {"/mapping/0/to": "attribute_taken_by_crm_field"}


def test_extended_types_are_the_campaigns_to_allow(world: World) -> None:
    world.campaign(extended_types=True)
    dated = {**SETTINGS, "mapping": [row({"field": "signed_up_at"}, "custom_attributes.Trial ends")]}
    assert world.put(LEADS, dated).status_code == 200


def test_of_several_who_save_at_the_same_moment_each_gets_a_version_or_is_told(world: World) -> None:
    world.campaign()
    values = [f"value {n}" for n in range(8)]

    def save(value: str) -> int:
        body = {**DEFAULTS, "mapping": [row({"value": value}, "custom_attributes.Company")]}
        return world.put(LEADS, body).status_code

    with ThreadPoolExecutor(len(values)) as several:
        statuses = list(several.map(save, values))
    assert set(statuses) <= {200, 409}
    saved = statuses.count(200)
    items = json_of(world.get(f"{LEADS}/versions"))["items"]
    assert [item["version"] for item in items] == list(range(saved, 0, -1))
    assert saved >= 1


class TestWholeDocument:
    PATH = "/campaigns/1/settings"

    DOCUMENT: dict[str, Any] = {  # noqa: RUF012
        "user_limit": 500,
        "extended_types": True,
        "crm_fields": ["Company"],
        "audiences": {"leads": SETTINGS, "referrers": {**DEFAULTS, "action": "create_user"}},
    }

    def test_it_holds_everything_that_was_configured(self, world: World) -> None:
        world.campaign(user_limit=500, extended_types=True, crm_fields=["Company"])
        world.put(LEADS, SETTINGS)
        world.put(REFERRERS, {"action": "create_user"})
        assert json_of(world.get(self.PATH)) == self.DOCUMENT

    def test_it_restores_everything(self, world: World) -> None:
        world.campaign()
        assert json_of(world.put(self.PATH, self.DOCUMENT)) == self.DOCUMENT
        assert json_of(world.get(self.PATH)) == self.DOCUMENT
        assert json_of(world.get("/campaigns/1"))["user_limit"] == 500
        saved = json_of(world.get(LEADS))
        assert (saved["version"], saved["changed_by"]) == (1, "owner@example.com")

    def test_what_has_not_changed_is_no_new_version(self, world: World) -> None:
        world.campaign()
        for _ in range(2):
            world.put(self.PATH, self.DOCUMENT)
        fresh = {**self.DOCUMENT["audiences"], "referrers": DEFAULTS}
        world.put(self.PATH, {**self.DOCUMENT, "audiences": fresh})
        assert (json_of(world.get(LEADS))["version"], json_of(world.get(REFERRERS))["version"]) == (1, 2)

    def test_of_an_untouched_campaign_it_makes_no_versions(self, world: World) -> None:
        world.campaign()
        world.put(self.PATH, json_of(world.get(self.PATH)))
        assert json_of(world.get(LEADS))["version"] == 0

    def test_it_is_kept_whole_or_not_at_all(self, world: World) -> None:
        world.campaign()
        wrong = {**SETTINGS, "mapping": [row({"field": "url"}, "custom_attributes.Nix")]}
        audiences = {"leads": SETTINGS, "referrers": {**wrong, "qualification": None}}
        before = json_of(world.get(self.PATH))
        answer = world.put(self.PATH, {**self.DOCUMENT, "audiences": audiences})
        assert faults(answer) == {"/audiences/referrers/mapping/0/to": "attribute_unknown"}
        assert json_of(world.get(self.PATH)) == before

    def test_it_is_checked_against_its_own_rules(self, world: World) -> None:
        world.campaign()
        dated = {**SETTINGS, "mapping": [row({"field": "signed_up_at"}, "custom_attributes.Trial ends")]}
        document = {**self.DOCUMENT, "audiences": {"leads": dated, "referrers": DEFAULTS}}
        assert world.put(self.PATH, document).status_code == 200
        answer = world.put(self.PATH, {**document, "extended_types": False})
        assert faults(answer) == {"/audiences/leads/mapping/0/to": "unsupported_attribute_type"}

    def test_all_its_faults_are_named_at_once(self, world: World) -> None:
        world.campaign()
        document = {
            "user_limit": 0,
            "extended_types": "yes",
            "audiences": {"leads": {"action": "x"}, "others": {}},
            "more": 1,
        }
        assert set(faults(world.put(self.PATH, document))) == {
            "/user_limit",
            "/extended_types",
            "/crm_fields",
            "/more",
            "/audiences/referrers",
            "/audiences/others",
            "/audiences/leads/action",
        }

    def test_an_unknown_campaign_is_not_found(self, world: World) -> None:
        answer = world.put("/campaigns/9/settings", self.DOCUMENT)
        assert (answer.status_code, json_of(answer)["cause"]) == (404, "not_found")
