"""Erasing a person over the API."""

from __future__ import annotations

from app.core.identity import person_key
from app.storage import inbox
from tests.web.api.conftest import World, json_of


class TestErase:
    def test_answers_without_a_body_and_nobody_is_found_any_more(self, world: World) -> None:
        campaign = world.campaign()
        world.person(campaign["id"], email="lea@example.com")
        world.person(campaign["id"], email="franz@example.com", referral_factory_id="8", code="f8", contact_id="c8")
        answer = world.ask("DELETE", "/people/1")
        assert (answer.status_code, answer.data) == (204, b"")
        assert world.get("/people/1").status_code == 404
        assert [one["id"] for one in json_of(world.get("/people"))["items"]] == ["2"]
        assert json_of(world.get("/people", email="lea@example.com"))["items"] == []
        assert world.ask("DELETE", "/people/1").status_code == 404

    def test_a_record_says_that_it_was_done(self, world: World) -> None:
        campaign = world.campaign()
        world.person(campaign["id"], email="lea@example.com")
        world.ask("DELETE", "/people/1")
        (record,) = json_of(world.get("/erasures"))["items"]
        assert record == {
            "id": "1",
            "at": "2026-11-22T12:00:00.000Z",
            "actor": "owner@example.com",
            "workspace_id": campaign["workspace_id"],
            "finished_at": "2026-11-22T12:00:00.000Z",
        }

    def test_who_is_being_worked_on_is_erased_a_moment_later(self, world: World) -> None:
        campaign = world.campaign()
        world.person(campaign["id"], email="lea@example.com")
        key = person_key(int(campaign["workspace_id"]), "lea@example.com")
        with world.database.writing() as connection:
            inbox.lease_people(connection, {key}, "worker", world.time, inbox.LEASE)
        answer = world.ask("DELETE", "/people/1")
        assert answer.status_code == 409
        assert json_of(answer)["cause"] == "waiting_in_queue"
        assert world.get("/people/1").status_code == 200

    def test_somebody_unknown_is_not_found(self, world: World) -> None:
        answer = world.ask("DELETE", "/people/7")
        assert (answer.status_code, json_of(answer)["cause"]) == (404, "not_found")

    def test_a_preview_of_a_sync_passes_them_by(self, world: World) -> None:
        campaign = world.campaign()
        world.person(campaign["id"], email="lea@example.com", contact_id=None)
        world.ask("DELETE", "/people/1")
        world.intercom.put("lea@example.com", name="Lea")
        world.intercom.put("franz@example.com", name="Franz")
        world.intercom.index()
        mapping = [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}]
        asked = {"contacts": "all", "mapping": mapping, "write_back": [], "schedule": "once"}
        answer = json_of(world.post(f"/campaigns/{campaign['id']}/syncs/preview", asked))
        assert (answer["total"], answer["would_add"]) == (2, 1)
        told = {(one["email"], one["outcome"], one["cause"]) for one in answer["sample"]}
        assert told == {(None, "skipped", "erased_on_request"), ("franz@example.com", "added", None)}
