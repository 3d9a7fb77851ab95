"""The campaigns' pages: the list, setting one up, and its home with webhooks, own settings and what is missing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from app.core.errors import Unavailable, Vendor
from app.storage import activity, campaigns, heard, workspaces
from app.storage.database import Database
from schemas.referral_factory import Campaign
from tests.fakes import FakeReferralFactory
from tests.web.api.conftest import World
from tests.web.console.marketer import HERE, Marketer

NASTY = "<script>alert(1)</script> \"quoted\" & 'so' \u202eשלום 🎉"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def mara(world: World) -> Marketer:
    return Marketer(world)


def campaign(world: World, campaign_id: int = 1) -> Any:
    with world.database.reading() as connection:
        return campaigns.get(connection, campaign_id)


def secret_on(page: Marketer) -> str | None:
    found = re.search(r'id="webhook-secret" value="([^"]+)"', page.text)
    return found[1] if found else None


def is_taken(world: World, secret: str) -> bool:
    answer = world.client.post(
        f"/webhooks/referral-factory/{campaign(world).webhook_key}/joined",
        json={"email": "lea@example.com", "id": 1},
        headers={"X-Referloop-Secret": secret},
    )
    return answer.status_code == 200


class TestSettingOneUp:
    def test_asks_for_the_connections_first(self, mara: Marketer, world: World) -> None:
        mara.get("/campaigns")
        assert "No campaign yet" in mara.words
        mara.get("/campaigns/new")
        assert "First connect a program" in mara.words
        world.connected_program()
        mara.get("/campaigns/new")
        assert "First connect a workspace" in mara.words

    def test_offers_the_campaigns_that_referral_factory_has_now(self, mara: Marketer, world: World) -> None:
        world.connected_workspace()
        world.connected_program()
        mara.get("/campaigns/new")
        assert "Summer referral (launched)" in mara.words
        assert "Winter referral (draft)" in mara.words

    def test_shows_the_secret_once_and_it_opens_the_webhooks(self, mara: Marketer, world: World) -> None:
        world.connected_workspace()
        world.connected_program()
        mara.get("/campaigns/new")
        mara.send(303, referral_factory_id="1")
        assert mara.path == "/campaigns/1"
        secret = secret_on(mara)
        assert secret is not None
        assert is_taken(world, secret)
        for topic in ("joined", "qualified", "reward-issued"):
            assert f"/webhooks/referral-factory/{campaign(world).webhook_key}/{topic}" in mara.text
        mara.get("/campaigns/1")
        assert secret_on(mara) is None
        assert secret not in mara.text

    def test_keeps_the_secret_sealed_on_its_way(self, mara: Marketer, world: World) -> None:
        world.campaign()
        mark = mara._mark()
        mara._came("POST", "/campaigns/1/rotate", 303, data={"csrf_token": mark}, headers={"Referer": HERE})
        with mara.client.session_transaction(base_url=HERE) as session:
            sealed = session["webhook_secret"]["sealed"]
        mara.get("/campaigns/1")
        assert secret_on(mara) == world.services.vault.open(sealed) != sealed
        with mara.client.session_transaction(base_url=HERE) as session:
            assert "webhook_secret" not in session

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"referral_factory_id": ""}, "Nothing was saved yet"),
            ({"referral_factory_id": "77"}, "There is no such campaign of this program."),
            ({"workspace_id": "77"}, "There is no such workspace."),
        ],
        ids=["none chosen", "unknown", "no workspace"],
    )
    def test_says_what_is_wrong(self, mara: Marketer, world: World, given: dict[str, Any], words: str) -> None:
        world.connected_workspace()
        world.connected_program()
        right = {"program_id": "1", "referral_factory_id": "1", "workspace_id": "1"}
        mara.post("/campaigns/new", 422, **{**right, **given})
        assert words in mara.words

    def test_says_so_while_referral_factory_is_away(self, mara: Marketer, world: World) -> None:
        world.connected_workspace()
        world.connected_program()
        world.referral_factory.fail("campaigns", Unavailable(Vendor.REFERRAL_FACTORY, "It timed out."))
        mara.get("/campaigns/new")
        assert "Referral Factory can't be reached" in mara.words
        assert "Try again" in mara.words

    def test_leads_to_the_one_that_is_set_up_already(self, mara: Marketer, world: World) -> None:
        world.campaign()
        mara.get("/campaigns/new")
        assert "set up already: open it" in mara.words
        mara.post("/campaigns/new", 409, program_id="1", referral_factory_id="1", workspace_id="1")
        assert "That is already here" in mara.words

    def test_asks_for_the_program_where_there_are_several(self, mara: Marketer, world: World) -> None:
        world.connected_workspace()
        world.connected_program()
        world.vendors.referral_factories["other"] = FakeReferralFactory(Campaign("9", "Of the other", "nine"))
        world.connected_program(access_token="other", name="Other")
        mara.get("/campaigns/new")
        assert "Summer referral" not in mara.words
        mara.get("/campaigns/new", program_id="2")
        assert "Of the other" in mara.words


class TestOne:
    @pytest.fixture(autouse=True)
    def _set_up(self, world: World) -> None:
        self.secret = world.campaign()["webhook"]["secret"]

    def test_says_what_it_does_and_what_is_missing(self, mara: Marketer, world: World) -> None:
        mara.get("/campaigns/1")
        assert mara.words.count("does nothing") == 2
        assert "not set up yet" in mara.words
        assert "Three steps to the first sign-up" in mara.words
        body = {
            "action": "create_lead",
            "mapping": [{"from": {"field": "email"}, "to": "email"}],
            "duplicates": "skip",
            "qualification": None,
        }
        world.put("/campaigns/1/audiences/leads", body)
        mara.get("/campaigns/1")
        assert "Name is not mapped yet" in mara.words
        assert 'href="/campaigns/1/leads"' in mara.text
        mara.get("/campaigns")
        assert "not complete" in mara.words
        body["mapping"] = [*body["mapping"], {"from": {"field": "first_name"}, "to": "name"}]  # type: ignore[misc]
        world.put("/campaigns/1/audiences/leads", body)
        mara.get("/campaigns/1")
        assert "New ones become leads in Intercom." in mara.words
        mara.get("/campaigns")
        assert "creates leads" in mara.words
        assert "well" in mara.words

    def test_tells_when_each_webhook_came_last(self, mara: Marketer, world: World) -> None:
        with world.database.writing() as connection:
            heard.note(connection, [("campaign:1", "joined", world.time)])
        mara.get("/campaigns/1")
        assert "people arrive in Intercom by it. Last received: 22 Nov 2026, 12:00:00 UTC" in mara.words
        assert mara.words.count("Last received: never") == 2
        assert "done, a webhook has come" in mara.words

    def test_tells_of_its_workspace_that_is_away(self, mara: Marketer, world: World) -> None:
        world.delete("/workspaces/1")
        mara.get("/campaigns/1")
        assert "workspace disconnected" in mara.words
        assert "Disconnected by a teammate" in mara.words
        mara.get("/campaigns")
        assert "workspace disconnected" in mara.words

    def test_gets_another_secret_and_the_former_one_lasts_a_day(self, mara: Marketer, world: World) -> None:
        mara.post("/campaigns/1/rotate", 303)
        assert "The former secret is accepted until 23 Nov 2026, 12:00:00 UTC" in mara.words
        assert is_taken(world, self.secret)
        world.time += timedelta(hours=25)
        assert not is_taken(world, self.secret)

    def test_gets_another_secret_and_the_former_one_ends_at_once(self, mara: Marketer, world: World) -> None:
        mara.post("/campaigns/1/rotate", 303, revoke_former="1")
        assert "The former one has ended" in mara.words
        made = secret_on(mara)
        assert made is not None
        assert is_taken(world, made)
        assert not is_taken(world, self.secret)

    def test_keeps_its_own_settings(self, mara: Marketer, world: World) -> None:
        mara.get("/campaigns/1")
        assert "Company" in mara.words
        mara.post(
            "/campaigns/1/own-settings",
            303,
            user_limit="1,500",
            extended_types="1",
            crm_field="Company",
            more_crm_fields=f"{NASTY}\n\n Company \n",
        )
        row = campaign(world)
        assert (row.user_limit, row.extended_types, row.crm_fields) == (1500, True, ["Company", NASTY])
        assert NASTY in mara.words
        assert "<script>alert" not in mara.text
        mara.post("/campaigns/1/own-settings", 303)
        row = campaign(world)
        assert (row.user_limit, row.extended_types, row.crm_fields) == (None, False, [])

    def test_says_what_is_wrong_with_its_own_settings(self, mara: Marketer) -> None:
        mara.post("/campaigns/1/own-settings", 422, user_limit="a few", crm_field="Company", more_crm_fields="Mine")
        assert "This must be a whole number" in mara.words
        assert 'value="a few"' in mara.text
        assert "Mine</textarea>" in mara.text
        mara.post("/campaigns/1/own-settings", 422, more_crm_fields="x" * 300)
        assert "too long" in mara.words

    def test_is_archived_and_taken_up_again(self, mara: Marketer, world: World) -> None:
        mara.post("/campaigns/1/archive", 303)
        assert "Archived 22 Nov 2026" in mara.words
        mara.get("/campaigns")
        assert "No campaign yet" in mara.words
        mara.get("/campaigns", archived="true")
        assert "Summer referral" in mara.words
        mara.get("/campaigns/new")
        assert "archived here; its settings come back" in mara.words
        mara.post("/campaigns/1/take-up", 303)
        assert secret_on(mara) is not None
        assert campaign(world).archived_at is None

    def test_says_why_it_can_not_be_taken_up(self, mara: Marketer, world: World) -> None:
        mara.post("/campaigns/1/archive", 303)
        world.delete("/programs/1")
        mara.post("/campaigns/1/take-up", 409)
        assert "Give it a new access token first" in mara.words

    def test_shows_its_latest_activity_harmlessly(self, mara: Marketer, world: World) -> None:
        row = {
            "at": world.time,
            "campaign_id": 1,
            "audience": "leads",
            "verb": "send",
            "outcome": "skipped",
            "cause": "duplicate_skipped",
            "detail": NASTY * 200,
            "email": NASTY + "x" * 10_000,
            "workspace_id": 1,
            "fields": [],
        }
        with world.database.writing() as connection:
            activity.record(connection, [row])
        mara.get("/campaigns/1")
        assert "Already in Intercom, left untouched" in mara.words
        assert "<script>alert" not in mara.text
        assert "x" * 1000 not in mara.text

    def test_that_is_not_there_is_no_page(self, mara: Marketer) -> None:
        mara.get("/campaigns/99", 404)
        for path in ("rotate", "archive", "take-up", "own-settings"):
            mara.post(f"/campaigns/99/{path}", 404)

    def test_is_a_teammates_to_see_alone(self, world: World) -> None:
        guest = Marketer(world, "guest@example.com", may_manage=False)
        for path in ("/campaigns", "/campaigns/1", "/campaigns/new"):
            guest.get(path)
            assert "You may look, but not change this" in guest.words
        for path in ("rotate", "archive", "take-up", "own-settings"):
            guest.post(f"/campaigns/1/{path}", 403)
        assert campaign(world).archived_at is None


def test_names_of_any_kind_are_shown_harmlessly(mara: Marketer, world: World) -> None:
    world.campaign()
    name = NASTY + "x" * 10_000
    with world.database.writing() as connection:
        campaigns.change(connection, 1, name=name, status=NASTY, code=NASTY, fields={"leads": [NASTY]})
        workspaces.change(connection, 1, name=name)
    for path in ("/campaigns", "/campaigns/1", "/campaigns/new", "/connections", "/workspaces/1", "/programs/1"):
        mara.get(path)
        assert "<script>alert" not in mara.text


def test_the_list_goes_on_page_by_page(mara: Marketer, world: World) -> None:
    world.campaign()
    with world.database.writing() as connection:
        for number in range(30):
            campaigns.add(
                connection,
                program_id=1,
                workspace_id=1,
                referral_factory_id=f"more{number}",
                name=f"Campaign {number}",
                fields={},
                webhook_key=f"key{number}",
                webhook_secret=world.services.vault.seal("secret"),
                extended_types=False,
                crm_fields=[],
                created_at=world.time,
            )
    mara.get("/campaigns")
    assert "Campaign 29" not in mara.words
    (following,) = re.findall(r'href="(/campaigns\?after=\d+)"', mara.text)
    mara.get(following)
    assert "Campaign 29" in mara.words
