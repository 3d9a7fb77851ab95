"""Connecting workspaces, and what can be read of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.audiences import AttributeType
from app.core.errors import ApiError, Rejected, Unauthorized, Unavailable, Vendor
from app.storage import circuits
from app.storage.circuits import Broken
from app.storage.tables import events, workspaces
from tests.fakes import FakeIntercom, custom
from tests.web.api.conftest import WORKSPACE, World, faults, json_of, segments


def refusal(status: int = 403) -> Unauthorized:
    return Unauthorized(Vendor.INTERCOM, "Not allowed", status=status)


def stored(world: World) -> Any:
    with world.database.reading() as connection:
        return connection.execute(select(workspaces)).one()


class TestConnecting:
    def test_a_workspace_is_connected_with_what_its_token_says_of_it(self, world: World) -> None:
        answer = world.post("/workspaces", WORKSPACE)
        assert answer.status_code == 201
        assert json_of(answer) | {"refreshed_at": None, "created_at": None} == {
            "id": "1",
            "app_id": "app1",
            "name": "Acme",
            "region": "us",
            "timezone": "America/New_York",
            "state": "connected",
            "cause": None,
            "missing_permissions": [],
            "refreshed_at": None,
            "created_at": None,
        }

    def test_tokens_and_secrets_are_sealed_and_never_answered(self, world: World) -> None:
        world.connected_workspace()
        row = stored(world)
        for plain in ("us-token", "us-secret"):
            assert plain not in str(row)
            for path in ("/workspaces", "/workspaces/1"):
                assert plain not in world.get(path).text
        assert world.services.vault.open(row.token) == "us-token"
        assert world.services.vault.open(row.client_secret) == "us-secret"

    def test_its_attributes_and_segments_are_read_whole_at_once(self, world: World) -> None:
        world.intercom.segment_list = segments(150)
        world.connected_workspace()
        assert len(json_of(world.get("/workspaces/1/segments", limit=200))["items"]) == 150
        paths = [item["path"] for item in json_of(world.get("/workspaces/1/attributes"))["items"]]
        assert {"name", "email", "custom_attributes.Plan", "custom_attributes.Old one"} <= set(paths)

    def test_a_token_that_is_only_tried_spends_no_connections_budget(self, world: World) -> None:
        world.connected_workspace()
        assert world.vendors.budgets == [None]

    def test_a_wrong_token_is_refused_and_nothing_is_stored(self, world: World) -> None:
        answer = world.post("/workspaces", {**WORKSPACE, "access_token": "wrong"})
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "intercom_unauthorized")
        assert faults(answer) == {"/access_token": "intercom_unauthorized"}
        assert json_of(world.get("/workspaces"))["items"] == []

    def test_a_token_of_another_region_is_refused_with_the_region_that_takes_it(self, world: World) -> None:
        world.vendors.intercoms["eu", "eu-token"] = FakeIntercom("app2")
        answer = world.post("/workspaces", {**WORKSPACE, "access_token": "eu-token"})
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "intercom_unauthorized")
        assert faults(answer) == {"/region": "intercom_unauthorized"}
        assert json_of(answer)["detail"].endswith("takes it in eu.")

    @pytest.mark.parametrize(
        ("operation", "effect", "missing"),
        [
            ("attributes", "fail", "attributes_read"),
            ("segments", "fail", "segments_read"),
            ("contacts", "forbid", "contacts_read"),
        ],
    )
    def test_a_missing_permission_is_named_now(self, world: World, operation: str, effect: str, missing: str) -> None:
        if effect == "fail":
            world.intercom.fail(operation, refusal())
        else:
            world.intercom.forbidden.add(operation)
        answer = world.post("/workspaces", WORKSPACE)
        assert answer.status_code == 201
        assert json_of(answer)["missing_permissions"] == [missing]

    @pytest.mark.parametrize(
        ("error", "cause"),
        [(Unavailable(Vendor.INTERCOM, "timed out", down=True), "intercom_unavailable")],
    )
    def test_a_vendor_that_is_away_is_no_fault_of_the_token(self, world: World, error: ApiError, cause: str) -> None:
        world.intercom.fail("me", error)
        answer = world.post("/workspaces", WORKSPACE)
        assert (answer.status_code, json_of(answer)["cause"]) == (503, cause)
        assert answer.headers["Retry-After"]

    def test_the_same_token_twice_is_refused_without_asking(self, world: World) -> None:
        world.connected_workspace()
        asked = len(world.intercom.calls)
        answer = world.post("/workspaces", WORKSPACE)
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")
        assert len(world.intercom.calls) == asked

    def test_the_same_workspace_under_another_token_is_refused(self, world: World) -> None:
        world.connected_workspace()
        world.vendors.intercoms["us", "second"] = world.intercom
        answer = world.post("/workspaces", {**WORKSPACE, "access_token": "second"})
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")

    def test_several_workspaces_are_listed_page_by_page(self, world: World) -> None:
        for n in range(5):
            world.vendors.intercoms["us", f"token{n}"] = FakeIntercom(f"app-{n}")
            world.connected_workspace(access_token=f"token{n}", name=f"Workspace {n}")
        first = json_of(world.get("/workspaces", limit=2))
        second = json_of(world.get("/workspaces", limit=2, cursor=first["next_cursor"]))
        third = json_of(world.get("/workspaces", limit=2, cursor=second["next_cursor"]))
        ids = [item["id"] for page in (first, second, third) for item in page["items"]]
        assert ids == ["1", "2", "3", "4", "5"]
        assert third["next_cursor"] is None


class TestDisconnecting:
    def test_the_token_is_forgotten_and_the_secret_kept(self, world: World) -> None:
        world.connected_workspace()
        assert world.delete("/workspaces/1").status_code == 204
        row = stored(world)
        assert (row.token, row.token_digest) == (None, None)
        assert world.services.vault.open(row.client_secret) == "us-secret"
        shown = json_of(world.get("/workspaces/1"))
        assert (shown["state"], shown["cause"]) == ("disconnected", "workspace_disconnected")

    def test_it_may_be_done_twice(self, world: World) -> None:
        world.connected_workspace()
        assert [world.delete("/workspaces/1").status_code for _ in range(2)] == [204, 204]

    def test_connecting_the_same_workspace_again_brings_it_back_with_its_settings(self, world: World) -> None:
        campaign = world.campaign()
        world.put(f"/campaigns/{campaign['id']}/audiences/leads", {"action": "create_user"})
        world.delete("/workspaces/1")
        world.vendors.intercoms["us", "new-token"] = world.intercom
        answer = world.post("/workspaces", {**WORKSPACE, "access_token": "new-token", "name": "Acme again"})
        assert answer.status_code == 201
        assert json_of(answer) | {"id": "1", "name": "Acme again", "state": "connected"} == json_of(answer)
        settings = json_of(world.get(f"/campaigns/{campaign['id']}/audiences/leads"))
        assert (settings["action"], settings["version"]) == ("create_user", 1)

    def test_connecting_again_lets_go_of_what_was_held(self, world: World) -> None:
        world.connected_workspace()
        world.delete("/workspaces/1")
        held = world.event("a", held_by="workspace:1", next_attempt_at=None)
        rings = world.bell.rings
        world.connected_workspace()
        with world.database.reading() as connection:
            row = connection.execute(select(events).where(events.c.id == held)).one()
        assert (row.held_by, row.next_attempt_at) == (None, world.time)
        assert world.bell.rings > rings

    def test_what_needs_the_token_says_that_there_is_none(self, world: World) -> None:
        world.connected_workspace()
        world.delete("/workspaces/1")
        for answer in (
            world.post("/workspaces/1/refresh"),
            world.post("/workspaces/1/attributes", {"name": "A", "type": "text"}),
        ):
            assert (answer.status_code, json_of(answer)["cause"]) == (409, "workspace_disconnected")


class TestChanging:
    def test_fields_that_are_not_given_stay(self, world: World) -> None:
        world.connected_workspace()
        before = json_of(world.get("/workspaces/1"))
        assert json_of(world.patch("/workspaces/1", {"name": "Other"})) == {**before, "name": "Other"}
        assert json_of(world.patch("/workspaces/1", {})) == {**before, "name": "Other"}
        assert world.intercom.called("me") == 1

    def test_a_new_secret_leaves_the_former_one_valid_for_a_day(self, world: World) -> None:
        world.connected_workspace()
        world.patch("/workspaces/1", {"client_secret": "another"})
        row = stored(world)
        assert world.services.vault.open(row.client_secret) == "another"
        assert world.services.vault.open(row.former_client_secret) == "us-secret"
        assert row.former_until == world.time + timedelta(hours=24)

    def test_the_same_secret_again_changes_nothing(self, world: World) -> None:
        world.connected_workspace()
        world.patch("/workspaces/1", {"client_secret": "us-secret"})
        assert stored(world).former_client_secret is None

    def test_a_new_token_must_work(self, world: World) -> None:
        world.connected_workspace()
        answer = world.patch("/workspaces/1", {"access_token": "wrong", "name": "Other"})
        assert faults(answer) == {"/access_token": "intercom_unauthorized"}
        assert json_of(world.get("/workspaces/1"))["name"] == "Acme"

    def test_a_new_token_must_be_of_the_same_workspace(self, world: World) -> None:
        world.connected_workspace()
        world.vendors.intercoms["us", "of-another"] = FakeIntercom("app2")
        answer = world.patch("/workspaces/1", {"access_token": "of-another"})
        assert (answer.status_code, faults(answer)) == (422, {"/access_token": "invalid_request"})

    def test_a_new_token_connects_a_workspace_that_was_lost(self, world: World) -> None:
        world.connected_workspace()
        world.delete("/workspaces/1")
        world.event("a", held_by="intercom:1:contacts_write")
        with world.database.writing() as connection:
            missing = Broken("intercom:1:contacts_write", "intercom_permission_missing", timedelta(minutes=5))
            circuits.open_(connection, missing, world.time)
        world.vendors.intercoms["eu", "eu-token"] = world.intercom
        answer = world.patch("/workspaces/1", {"access_token": "eu-token", "region": "eu"})
        assert json_of(answer) | {"state": "connected", "region": "eu", "cause": None} == json_of(answer)
        with world.database.reading() as connection:
            assert connection.execute(select(events.c.held_by)).scalar() is None

    def test_another_region_is_tried_with_the_token_that_is_there(self, world: World) -> None:
        world.connected_workspace()
        answer = world.patch("/workspaces/1", {"region": "eu"})
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "intercom_unauthorized")


class TestCatalogue:
    def test_refreshing_answers_counts(self, world: World) -> None:
        world.connected_workspace()
        world.intercom.segment_list = segments(3)
        world.intercom.catalogue["custom_attributes.New"] = custom("New")
        world.time += timedelta(hours=1)
        answer = world.post("/workspaces/1/refresh")
        assert json_of(answer) == {
            "attributes": len(world.intercom.catalogue),
            "segments": 3,
            "refreshed_at": "2026-11-22T13:00:00.000Z",
        }

    def test_refreshing_finds_a_permission_that_was_granted_since(self, world: World) -> None:
        world.intercom.fail("segments", refusal())
        world.connected_workspace()
        world.post("/workspaces/1/refresh")
        assert json_of(world.get("/workspaces/1"))["missing_permissions"] == []

    def test_a_revoked_token_is_named_and_the_catalogue_kept(self, world: World) -> None:
        world.connected_workspace()
        world.intercom.forbidden.add("contacts")
        for operation in ("attributes", "segments", "me"):
            world.intercom.fail(operation, refusal(401))
        answer = world.post("/workspaces/1/refresh")
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "intercom_unauthorized")
        assert json_of(world.get("/workspaces/1/attributes"))["items"]

    @pytest.mark.parametrize(
        ("path", "type_", "cause"),
        [
            ("name", "text", None),
            ("email", "text", None),
            ("phone", "text", None),
            ("language_override", "text", None),
            ("custom_attributes.Plan", "list", None),
            ("custom_attributes.Seats", "number", None),
            ("custom_attributes.Trial ends", "date", "unsupported_attribute_type"),
            ("custom_attributes.Old one", "text", "attribute_archived"),
            ("custom_attributes.Locked", "text", "attribute_not_writable"),
        ],
    )
    def test_each_attribute_says_whether_it_can_be_mapped(
        self, world: World, path: str, type_: str, cause: str | None
    ) -> None:
        world.connected_workspace()
        items = {item["path"]: item for item in json_of(world.get("/workspaces/1/attributes"))["items"]}
        shown = items[path]
        assert (shown["type"], shown["mappable"], shown["cause"]) == (type_, cause is None, cause)

    def test_a_campaign_counts_in_what_it_allows_and_has_mapped(self, world: World) -> None:
        campaign = world.campaign(extended_types=True, crm_fields=["Company"])
        rule = {"attribute": "custom_attributes.Plan", "initial_value": "trial", "target_values": ["pro"]}
        row = {"from": {"field": "url"}, "to": "custom_attributes.Referral Link"}
        path = f"/campaigns/{campaign['id']}/audiences/leads"
        assert world.put(path, {"action": "create_lead", "mapping": [row], "qualification": rule}).status_code == 200

        def causes(**query: str) -> dict[str, str | None]:
            answer = world.get("/workspaces/1/attributes", campaign_id=campaign["id"], **query)
            return {item["name"]: item["cause"] for item in json_of(answer)["items"]}

        of_leads = causes(audience="leads")
        assert of_leads["Trial ends"] is None
        assert of_leads["Company"] == "attribute_taken_by_crm_field"
        assert of_leads["Plan"] == "attribute_is_the_trigger"
        assert of_leads["Referral Link"] == "attribute_already_mapped"
        assert causes() == of_leads
        of_referrers = causes(audience="referrers")
        assert (of_referrers["Plan"], of_referrers["Referral Link"]) == (None, None)

    @pytest.mark.parametrize("campaign_id", ["99", "x"])
    def test_a_campaign_that_is_not_there_is_refused(self, world: World, campaign_id: str) -> None:
        world.connected_workspace()
        answer = world.get("/workspaces/1/attributes", campaign_id=campaign_id)
        assert (answer.status_code, list(faults(answer))) == (422, ["/campaign_id"])

    @pytest.mark.parametrize(
        ("body", "type_", "options"),
        [
            ({"name": "Referral Code", "type": "text"}, AttributeType.TEXT, []),
            ({"name": "Tier", "type": "list", "options": ["gold", "silver"]}, AttributeType.LIST, ["gold", "silver"]),
            ({"name": "Score", "type": "decimal"}, AttributeType.DECIMAL, []),
        ],
    )
    def test_an_attribute_can_be_made(
        self, world: World, body: dict[str, Any], type_: AttributeType, options: list[str]
    ) -> None:
        world.connected_workspace()
        answer = world.post("/workspaces/1/attributes", body)
        assert answer.status_code == 201
        made = json_of(answer)
        assert (made["path"], made["type"]) == (f"custom_attributes.{body['name']}", type_)
        assert made["options"] == options
        listed = json_of(world.get("/workspaces/1/attributes"))["items"]
        assert made in listed

    @pytest.mark.parametrize(
        ("body", "status", "found"),
        [
            ({"name": "Plan", "type": "text"}, 409, {"/name": "already_exists"}),
            ({"name": "Old one", "type": "text"}, 409, {"/name": "already_exists"}),
            ({"name": "A", "type": "reference"}, 422, {"/type": "unsupported_attribute_type"}),
            ({"name": "A", "type": "list", "options": ["one"]}, 422, {"/options": "invalid_request"}),
            ({"name": "A", "type": "text", "options": ["one"]}, 422, {"/options": "invalid_request"}),
            ({"name": "a.b", "type": "text"}, 422, {"/name": "invalid_request"}),
            ({"name": "", "type": "string"}, 422, {"/name": "invalid_request", "/type": "invalid_request"}),
        ],
    )
    def test_an_attribute_that_cannot_be_made_is_refused(
        self, world: World, body: dict[str, Any], status: int, found: dict[str, str]
    ) -> None:
        world.connected_workspace()
        answer = world.post("/workspaces/1/attributes", body)
        assert (answer.status_code, faults(answer)) == (status, found)
        assert world.intercom.called("create_attribute") == 0

    def test_what_intercom_refuses_to_make_is_told_in_its_words(self, world: World) -> None:
        world.connected_workspace()
        error = Rejected(Vendor.INTERCOM, "This name is reserved", status=400, code="parameter_invalid")
        world.intercom.fail("create_attribute", error)
        answer = world.post("/workspaces/1/attributes", {"name": "Name", "type": "text"})
        assert (answer.status_code, json_of(answer)["detail"]) == (422, "This name is reserved")

    def test_every_segment_is_listed_page_by_page(self, world: World) -> None:
        world.intercom.segment_list = segments(250)
        world.connected_workspace()
        names, cursor = [], None
        while True:
            page = json_of(world.get("/workspaces/1/segments", limit=100, **({"cursor": cursor} if cursor else {})))
            names += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert names == [f"Segment {n:03d}" for n in range(250)]

    @pytest.mark.parametrize(
        ("search", "found"), [("segment 00", 3), ("SEGMENT 001", 1), ("élan", 1), ("%", 0), ("", 4), ("  ", 4)]
    )
    def test_segments_are_searched_by_a_part_of_their_name(self, world: World, search: str, found: int) -> None:
        named = segments(4)
        world.intercom.segment_list = [*named[:3], replace(named[3], name="Élan vital")]
        world.connected_workspace()
        items = json_of(world.get("/workspaces/1/segments", search=search))["items"]
        assert len(items) == found

    def test_a_segment_is_shown_with_whom_it_holds(self, world: World) -> None:
        world.intercom.segment_list = segments(2)
        world.connected_workspace()
        items = json_of(world.get("/workspaces/1/segments"))["items"]
        assert items[1] == {"id": "s001", "name": "Segment 001", "person_type": "lead", "count": 0}
