"""Tying campaigns to workspaces, and their webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.storage.tables import campaigns
from schemas.referral_factory import Campaign
from tests.fakes import FakeIntercom, FakeReferralFactory
from tests.web.api.conftest import World, faults, json_of


def stored(world: World) -> Any:
    with world.database.reading() as connection:
        return connection.execute(select(campaigns)).one()


class TestCreating:
    def test_a_campaign_is_made_with_what_referral_factory_says_of_it(self, world: World) -> None:
        made = world.campaign(user_limit=50, extended_types=True, crm_fields=["Company", "Company", " Deal "])
        row = stored(world)
        assert made | {"webhook": None, "created_at": None} == {
            "id": "1",
            "name": "Summer referral",
            "state": "active",
            "program_id": "1",
            "workspace_id": "1",
            "referral_factory_id": 1,
            "code": "summer",
            "status": "launched",
            "user_limit": 50,
            "extended_types": True,
            "crm_fields": ["Company", "Deal"],
            "archived_at": None,
            "webhook": None,
            "created_at": None,
        }
        assert row.fields == {"leads": ["Company"], "referrers": ["Last Name"]}

    def test_its_webhook_is_shown_with_the_secret_this_once(self, world: World) -> None:
        webhook = world.campaign()["webhook"]
        base = f"https://referloop.example.com/webhooks/referral-factory/{webhook['key']}"
        assert webhook["header"] == "X-Referloop-Secret"
        assert webhook["urls"] == {
            "joined": f"{base}/joined",
            "qualified": f"{base}/qualified",
            "reward_issued": f"{base}/reward-issued",
        }
        assert len(webhook["key"]) >= 20
        assert len(webhook["secret"]) >= 32
        for path in ("/campaigns", "/campaigns/1"):
            assert webhook["secret"] not in world.get(path).text
        assert webhook["secret"] not in str(stored(world))
        assert json_of(world.get("/campaigns/1"))["webhook"] == {
            name: webhook[name] for name in ("key", "header", "urls")
        }

    def test_its_webhook_is_open_at_once(self, world: World) -> None:
        webhook = world.campaign()["webhook"]
        url = webhook["urls"]["joined"].removeprefix("https://referloop.example.com")
        headers = {webhook["header"]: webhook["secret"]}
        assert world.client.post(url, json={"email": "lea@example.com"}, headers=headers).status_code == 200

    def test_everything_that_is_not_there_is_named_at_once(self, world: World) -> None:
        answer = world.post("/campaigns", {"program_id": "8", "workspace_id": "9", "referral_factory_id": 1})
        assert (answer.status_code, faults(answer)) == (
            422,
            {"/program_id": "not_found", "/workspace_id": "not_found"},
        )

    def test_a_campaign_that_referral_factory_does_not_have_is_refused(self, world: World) -> None:
        program_id = world.connected_program()
        body = {"program_id": program_id, "workspace_id": "9", "referral_factory_id": 77}
        assert faults(world.post("/campaigns", body)) == {
            "/workspace_id": "not_found",
            "/referral_factory_id": "not_found",
        }

    @pytest.mark.parametrize("again", [1, "1", "summer"])
    def test_the_same_campaign_twice_is_refused_whatever_it_is_called(self, world: World, again: object) -> None:
        world.campaign()
        answer = world.post("/campaigns", {"program_id": "1", "workspace_id": "1", "referral_factory_id": again})
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")

    def test_an_id_that_is_no_number_is_shown_as_text(self, world: World) -> None:
        world.vendors.referral_factories["other"] = FakeReferralFactory(Campaign("abc-1", "Odd"))
        program_id = world.connected_program(access_token="other")
        made = world.campaign(program_id=program_id, referral_factory_id="abc-1")
        assert made["referral_factory_id"] == "abc-1"

    def test_bodies_are_checked_whole(self, world: World) -> None:
        body = {"program_id": "x", "user_limit": 0, "extended_types": "yes", "crm_fields": ["a", ""], "extra": 1}
        assert set(faults(world.post("/campaigns", body))) == {
            "/program_id",
            "/workspace_id",
            "/referral_factory_id",
            "/user_limit",
            "/extended_types",
            "/crm_fields/1",
            "/extra",
        }


class TestArchiving:
    def test_an_archived_campaign_is_out_of_the_list_and_still_there(self, world: World) -> None:
        world.campaign()
        assert [world.delete("/campaigns/1").status_code for _ in range(2)] == [204, 204]
        assert json_of(world.get("/campaigns"))["items"] == []
        assert [item["id"] for item in json_of(world.get("/campaigns", archived="true"))["items"]] == ["1"]
        shown = json_of(world.get("/campaigns/1"))
        assert (shown["state"], shown["archived_at"]) == ("archived", "2026-11-22T12:00:00.000Z")

    def test_it_is_taken_up_again_with_its_settings_and_another_secret(self, world: World) -> None:
        former = world.campaign()
        world.put("/campaigns/1/audiences/leads", {"action": "create_user"})
        world.delete("/campaigns/1")
        again = world.campaign(program_id="1", workspace_id="1", user_limit=7)
        assert (again["id"], again["state"], again["user_limit"]) == ("1", "active", 7)
        assert again["webhook"]["key"] == former["webhook"]["key"]
        assert again["webhook"]["secret"] != former["webhook"]["secret"]
        assert json_of(world.get("/campaigns/1/audiences/leads"))["action"] == "create_user"


class TestChanging:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"user_limit": 9},
            {"user_limit": None},
            {"extended_types": True},
            {"crm_fields": ["Deal"]},
            {"program_id": "1", "referral_factory_id": 1, "workspace_id": "1"},
        ],
    )
    def test_fields_that_are_not_given_stay(self, world: World, changes: dict[str, Any]) -> None:
        world.campaign(user_limit=5, crm_fields=["Company"])
        before = json_of(world.get("/campaigns/1"))
        assert json_of(world.patch("/campaigns/1", changes)) == {**before, **changes}
        assert world.referral_factory.called("campaign") == 1

    def test_it_may_be_tied_to_another_workspace(self, world: World) -> None:
        world.campaign()
        world.vendors.intercoms["us", "second"] = FakeIntercom("app2")
        second = world.connected_workspace(access_token="second")
        assert json_of(world.patch("/campaigns/1", {"workspace_id": second}))["workspace_id"] == second

    def test_what_is_not_there_is_refused(self, world: World) -> None:
        world.campaign()
        answer = world.patch("/campaigns/1", {"workspace_id": "9", "referral_factory_id": 77, "user_limit": 3})
        assert set(faults(answer)) == {"/workspace_id", "/referral_factory_id"}
        assert json_of(world.get("/campaigns/1"))["user_limit"] is None

    def test_it_cannot_become_one_that_is_set_up_already(self, world: World) -> None:
        world.campaign()
        world.campaign(program_id="1", workspace_id="1", referral_factory_id=2)
        assert world.patch("/campaigns/2", {"referral_factory_id": 1}).status_code == 409


class TestRotating:
    @pytest.mark.parametrize("body", [None, {}, {"revoke_former": False}])
    def test_the_former_secret_is_accepted_for_a_day(self, world: World, body: object) -> None:
        former = world.campaign()["webhook"]["secret"]
        answer = json_of(world.post("/campaigns/1/webhook/rotate", body))
        row = stored(world)
        assert answer["secret"] != former
        assert world.services.vault.open(row.webhook_secret) == answer["secret"]
        assert world.services.vault.open(row.former_secret) == former
        assert row.former_until == world.time + timedelta(hours=24)
        assert answer["former_valid_until"] == "2026-11-23T12:00:00.000Z"

    def test_the_former_secret_can_end_at_once(self, world: World) -> None:
        world.campaign()
        answer = json_of(world.post("/campaigns/1/webhook/rotate", {"revoke_former": True}))
        row = stored(world)
        assert (row.former_secret, row.former_until, answer["former_valid_until"]) == (None, None, None)
