"""Those who joined before the setup are sent from the console: counted first, and sent when somebody says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.storage import people, readings, syncs
from app.storage.people import PersonRecord
from app.storage.tables import audience_readings
from tests.web.api.conftest import World, world
from tests.web.console.marketer import Marketer

__all__ = ["world"]

LEADS = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
}


@pytest.fixture
def mara(world: World) -> Marketer:
    world.campaign()
    assert world.put("/campaigns/1/audiences/leads", LEADS).status_code == 200
    return Marketer(world)


def joined_before(world: World, number: int, *, whole: bool = True) -> None:
    columns: dict[str, Any] = dict.fromkeys(PersonRecord.__slots__[:12])
    known = {"campaign_id": 1, "audience": "leads", "workspace_id": 1, "values": {}, "joined_before_setup": True}
    with world.database.writing() as connection:
        for one in range(number):
            theirs = {"email": f"n{one}@example.com", "referral_factory_id": str(one), "person_key": f"key{one}"}
            people.save(connection, [PersonRecord(**{**columns, **known, **theirs})], world.time)
        if whole:
            readings.ask(connection, 1, "leads", world.time)
            connection.execute(audience_readings.update().values(ended_at=world.time))


def runs(world: World) -> list[tuple[str, bool, str]]:
    with world.database.reading() as connection:
        rows = syncs.page(connection, campaign_id=1, before=None, limit=10)
    return [(row.audience, row.dry_run, row.state) for row in rows]


def end(world: World, sync_id: int, **counts: int) -> None:
    with world.database.writing() as connection:
        syncs.change(connection, sync_id, ["queued"], state="completed", finished_at=world.time, **counts)


class TestBackfill:
    def test_a_dry_run_comes_first_and_its_numbers_before_the_real_one(self, mara: Marketer) -> None:
        joined_before(mara.world, 3)
        page = mara.get("/campaigns/1/backfill")
        assert "3 people joined before the setup and were not sent." in mara.words
        assert "Send them now" not in mara.words
        assert 'value="send"' not in page
        mara.send()
        assert (mara.path, runs(mara.world)) == ("/syncs/1", [("leads", True, "queued")])
        assert "Nobody is sent" in mara.words
        end(mara.world, 1, total=3, looked_at=3, added=2, skipped=1)
        mara.get("/campaigns/1/backfill")
        assert "Would be created 2 Would be updated 0 Would be skipped 1 Could not be told 0" in mara.words
        mara.send(form=1)
        assert (mara.path, runs(mara.world)[0]) == ("/syncs/2", ("leads", False, "queued"))

    def test_it_can_be_sent_from_the_dry_runs_own_page(self, mara: Marketer) -> None:
        joined_before(mara.world, 1)
        mara.post("/campaigns/1/backfill", audience="leads", do_="foresee")
        end(mara.world, 1, total=1, looked_at=1, added=1)
        mara.get("/syncs/1")
        assert "Would be created 1" in mara.words
        mara.send()
        assert runs(mara.world)[0] == ("leads", False, "queued")

    def test_an_audience_that_is_not_set_up_says_what_it_lacks(self, mara: Marketer) -> None:
        page = mara.get("/campaigns/1/backfill")
        assert "Set to do nothing" in mara.words
        buttons = re.findall(r'<button[^>]*aria-label="Dry run of a backfill of the Referrers"[^>]*>', page)
        assert [" disabled" in one for one in buttons] == [True]
        mara.post("/campaigns/1/backfill", 422, audience="referrers", do_="foresee")
        assert "The audience is not set up completely, so nobody can be sent." in mara.words
        assert runs(mara.world) == []

    def test_a_second_one_is_refused_while_one_is_not_over(self, mara: Marketer) -> None:
        joined_before(mara.world, 1)
        mara.post("/campaigns/1/backfill", audience="leads", do_="send")
        mara.get("/campaigns/1/backfill")
        assert "a second one can't run beside it: Backfill 1" in mara.words
        mara.post("/campaigns/1/backfill", 409, audience="leads", do_="send")
        assert "There is a backfill of this audience that is not over yet" in mara.words
        assert len(runs(mara.world)) == 1

    def test_people_who_are_still_being_read_are_told_of(self, mara: Marketer) -> None:
        joined_before(mara.world, 1, whole=False)
        mara.get("/campaigns/1/backfill")
        assert "1 person found until now" in mara.words
        assert "still being read" in mara.words

    def test_nobody_is_left(self, mara: Marketer) -> None:
        joined_before(mara.world, 0)
        mara.get("/campaigns/1/backfill")
        assert "Nobody is left to be sent" in mara.words

    def test_whom_to_send_must_be_said(self, mara: Marketer) -> None:
        mara.post("/campaigns/1/backfill", 422, audience="everybody")
        assert "Choose whom to send" in mara.words
        mara.get("/campaigns/9/backfill", 404)
        mara.post("/campaigns/9/backfill", 404, audience="leads")

    @pytest.mark.parametrize(("where", "said"), [("/workspaces/1", "connected"), ("/campaigns/1", "archived")])
    def test_where_none_can_be_made_it_says_why(self, mara: Marketer, where: str, said: str) -> None:
        mara.world.delete(where)
        mara.get("/campaigns/1/backfill")
        mara.post("/campaigns/1/backfill", 409, audience="leads", do_="foresee")
        assert said in mara.words

    def test_a_teammate_without_the_right_can_press_nothing(self, mara: Marketer) -> None:
        joined_before(mara.world, 1)
        timo = Marketer(mara.world, "timo@example.com", may_manage=False)
        page = timo.get("/campaigns/1/backfill")
        buttons = re.findall(r'<button[^>]*aria-label="Dry run[^>]*>', page)
        assert [" disabled" in one for one in buttons] == [True, True]
        timo.post("/campaigns/1/backfill", 403, audience="leads")
        assert runs(mara.world) == []
