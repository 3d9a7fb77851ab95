"""A preview and the run that follows say the same, whatever the contacts are."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from app.core.people import Role
from app.usecases.run_pages import do_due_pages
from tests.web.api.conftest import World, json_of, segments

BODY: dict[str, Any] = {
    "contacts": "all",
    "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
    "write_back": [{"from": "url", "to": "custom_attributes.Referral Link"}],
}


def _crowd(world: World, dice: random.Random) -> None:
    """Some new, some blank, some with one email."""
    world.intercom.page_size = 10
    for _ in range(35):
        name = dice.choice(["Ann", "Bob", " ", None])
        email = dice.choice([None, "nonsense", *(f"{'N' * dice.randint(0, 1)}n{n}@example.com" for n in range(20))])
        world.intercom.put(email, Role.LEAD, name=name)


def _work(world: World, sync_id: str) -> dict[str, Any]:
    do_due_pages(world.services, stopping=threading.Event(), seconds=30, threads=2)
    said = json_of(world.get(f"/syncs/{sync_id}"))
    assert said["state"] == "completed", said
    return said


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("seed", range(3))
def test_a_preview_tells_what_a_run_then_does(world: World, seed: int, limit: int | None) -> None:
    world.intercom.segment_list = segments(1)
    world.campaign()
    world.patch("/programs/1", {"user_limit": limit})
    _crowd(world, random.Random(seed))
    if limit is None:  # else a run can't tell whom it has no room for from who is there already
        for number in range(0, 20, 5):
            world.referral_factory.sign_up(f"n{number}@example.com")
    foretold = json_of(world.post("/campaigns/1/syncs/preview", BODY))
    run = json_of(world.post("/campaigns/1/syncs", BODY))
    progress = _work(world, run["id"])["progress"]
    assert progress["total"] == progress["seen"] == foretold["total"] == 35
    assert progress["added"] == foretold["would_add"] - foretold["would_exceed_limit_by"]
    outcomes = {one["contact_id"]: one for one in json_of(world.get("/syncs/1/outcomes", limit=200))["items"]}
    assert len(outcomes) == 35
    for one in foretold["sample"]:
        kept = outcomes[one["contact_id"]]
        assert (kept["email"], kept["outcome"], kept["cause"]) == (one["email"], one["outcome"], one["cause"])
    again = json_of(world.post("/campaigns/1/syncs/preview", BODY))
    assert again["would_add"] == foretold["would_exceed_limit_by"]
