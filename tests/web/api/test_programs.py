"""Connecting Referral Factory accounts."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import RateLimited, Vendor
from app.storage.tables import events, programs
from tests.fakes import FakeReferralFactory
from tests.web.api.conftest import PROGRAM, World, faults, json_of


def test_a_program_is_connected_after_its_token_was_tried(world: World) -> None:
    answer = world.post("/programs", {**PROGRAM, "user_limit": 500})
    assert answer.status_code == 201
    assert json_of(answer) | {"created_at": None} == {
        "id": "1",
        "name": "Acme referrals",
        "state": "connected",
        "cause": None,
        "user_limit": 500,
        "created_at": None,
    }
    assert world.referral_factory.called("campaigns") == 1


def test_its_token_is_sealed_and_never_answered(world: World) -> None:
    world.connected_program()
    with world.database.reading() as connection:
        row = connection.execute(select(programs)).one()
    assert "rf-token" not in str(row) + world.get("/programs").text
    assert world.services.vault.open(row.token) == "rf-token"


def test_a_wrong_token_is_refused(world: World) -> None:
    answer = world.post("/programs", {**PROGRAM, "access_token": "wrong"})
    assert (answer.status_code, json_of(answer)["cause"]) == (422, "referral_factory_unauthorized")
    assert faults(answer) == {"/access_token": "referral_factory_unauthorized"}
    assert json_of(world.get("/programs"))["items"] == []


def test_a_vendor_that_asks_to_wait_is_passed_on(world: World) -> None:
    world.referral_factory.fail("campaigns", RateLimited(Vendor.REFERRAL_FACTORY, "Slow down", after=42))
    answer = world.post("/programs", PROGRAM)
    assert (answer.status_code, json_of(answer)["cause"]) == (503, "rate_limited")
    assert answer.headers["Retry-After"] == "42"


def test_the_same_token_twice_is_refused(world: World) -> None:
    world.connected_program()
    answer = world.post("/programs", {**PROGRAM, "name": "Again"})
    assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")


def test_a_token_of_another_program_is_refused_as_a_change(world: World) -> None:
    world.connected_program()
    world.vendors.referral_factories["second"] = FakeReferralFactory()
    world.connected_program(access_token="second")
    answer = world.patch("/programs/2", {"access_token": "rf-token"})
    assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")


@pytest.mark.parametrize("changes", [{"name": "Other"}, {"user_limit": 10}, {"user_limit": None}, {}])
def test_fields_that_are_not_given_stay(world: World, changes: dict[str, Any]) -> None:
    world.connected_program(user_limit=5)
    before = json_of(world.get("/programs/1"))
    assert json_of(world.patch("/programs/1", changes)) == {**before, **changes}


def test_disconnecting_keeps_its_campaigns(world: World) -> None:
    campaign = world.campaign()
    assert world.delete("/programs/1").status_code == 204
    assert json_of(world.get("/programs/1"))["state"] == "disconnected"
    assert json_of(world.get(f"/campaigns/{campaign['id']}"))["program_id"] == "1"
    answer = world.get("/programs/1/campaigns")
    assert (answer.status_code, json_of(answer)["cause"]) == (409, "referral_factory_unauthorized")


@pytest.mark.parametrize("again", ["post", "patch"])
def test_connecting_again_brings_it_back_and_lets_go_of_what_was_held(world: World, again: str) -> None:
    world.connected_program()
    world.delete("/programs/1")
    world.event("a", held_by="program:1")
    if again == "post":
        answer = world.post("/programs", PROGRAM)
    else:
        world.vendors.referral_factories["new-token"] = world.referral_factory
        answer = world.patch("/programs/1", {"access_token": "new-token"})
    assert (json_of(answer)["id"], json_of(answer)["state"]) == ("1", "connected")
    with world.database.reading() as connection:
        assert connection.execute(select(events.c.held_by)).scalar() is None
    assert world.bell.rings


def test_campaigns_are_listed_as_referral_factory_has_them(world: World) -> None:
    world.connected_program()
    page = json_of(world.get("/programs/1/campaigns", limit=1))
    assert page["items"] == [
        {
            "referral_factory_id": 1,
            "name": "Summer referral",
            "code": "summer",
            "status": "launched",
            "fields": {"leads": ["Company"], "referrers": ["Last Name"]},
        }
    ]
    following = json_of(world.get("/programs/1/campaigns", limit=1, cursor=page["next_cursor"]))
    assert [item["referral_factory_id"] for item in following["items"]] == [2]
    assert following["next_cursor"] is None
