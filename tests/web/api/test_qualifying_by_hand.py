"""Qualifying a lead by hand, and taking it back: at once, recorded, and never twice."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.core.errors import Rejected, Unavailable, Vendor
from app.core.people import Person
from app.storage import inbox
from app.storage.tables import qualifications
from tests.web.api.conftest import World, json_of


@pytest.fixture
def friend(world: World) -> Person:
    """A lead of the campaign, known here by all of their names."""
    campaign = world.campaign()
    anna = world.referral_factory.sign_up("anna@example.com")
    lea = world.referral_factory.sign_up("lea@example.com", referrer=anna)
    world.person(campaign["id"], referral_factory_id=lea.text("id"), code=lea.text("code"))
    world.referral_factory.calls.clear()
    return lea


def is_qualified(world: World, friend: Person) -> bool:
    return world.referral_factory.people[str(friend.values["id"])].values["qualified_at"] is not None


class TestQualify:
    def test_a_lead_is_qualified_at_once_and_by_name(self, world: World, friend: Person) -> None:
        answer = world.post("/people/1/qualify")
        assert answer.status_code == 200
        assert json_of(answer)["qualification"] == {
            "state": "qualified",
            "since": "2026-11-22T12:00:00.000Z",
            "cause": None,
        }
        assert is_qualified(world, friend)
        (line,) = json_of(answer)["timeline"]
        assert (line["verb"], line["outcome"]) == ("qualify", "qualified")
        assert "owner@example.com" in line["detail"]
        with world.database.reading() as connection:
            (attempt,) = connection.execute(select(qualifications)).all()
        assert (attempt.asked_by, attempt.outcome, attempt.qualified) == ("owner@example.com", "done", True)

    def test_a_second_time_calls_nobody_and_says_so(self, world: World, friend: Person) -> None:
        world.post("/people/1/qualify")
        answer = world.post("/people/1/qualify")
        assert answer.status_code == 200
        assert json_of(answer)["qualification"]["cause"] == "already_qualified"
        assert world.referral_factory.called("qualify") == 1

    def test_what_was_qualified_in_referral_factory_itself_is_not_done_again(
        self, world: World, friend: Person
    ) -> None:
        world.referral_factory.qualify(user_id=friend.text("id"))
        world.referral_factory.calls.clear()
        assert json_of(world.post("/people/1/qualify"))["qualification"]["state"] == "qualified"
        assert world.referral_factory.called("qualify") == 0

    def test_one_that_no_rule_would_qualify_is_qualified_by_hand(self, world: World) -> None:
        campaign = world.campaign()
        anna = world.referral_factory.sign_up("anna@example.com")
        lea = world.referral_factory.sign_up("lea@example.com", referrer=anna)
        world.person(
            campaign["id"],
            referral_factory_id=lea.text("id"),
            qualification_state="closed",
            qualification_cause="already_converted",
        )
        assert json_of(world.post("/people/1/qualify"))["qualification"]["state"] == "qualified"


class TestDisqualify:
    def test_a_qualification_is_taken_back(self, world: World, friend: Person) -> None:
        world.post("/people/1/qualify")
        answer = world.post("/people/1/disqualify")
        assert json_of(answer)["qualification"]["state"] == "disqualified"
        assert json_of(answer)["timeline"][0]["outcome"] == "disqualified"
        assert not is_qualified(world, friend)

    def test_and_given_again(self, world: World, friend: Person) -> None:
        world.post("/people/1/qualify")
        world.post("/people/1/disqualify")
        assert json_of(world.post("/people/1/qualify"))["qualification"]["state"] == "qualified"
        assert is_qualified(world, friend)


class TestRefusals:
    def test_nobody_is_not_found(self, world: World) -> None:
        answer = world.post("/people/9/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (404, "not_found")

    def test_a_referrer_does_not_qualify(self, world: World) -> None:
        world.person(world.campaign()["id"], audience="referrers")
        answer = world.post("/people/1/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "only_leads_qualify")

    def test_who_is_gone_from_referral_factory_is_told_of(self, world: World, friend: Person) -> None:
        world.referral_factory.remove(str(friend.values["id"]))
        answer = world.post("/people/1/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "unknown_in_referral_factory")
        (line,) = json_of(world.get("/people/1"))["timeline"]
        assert (line["outcome"], line["cause"]) == ("failed", "unknown_in_referral_factory")

    def test_what_referral_factory_refuses_is_told_in_its_words(self, world: World, friend: Person) -> None:
        refusal = Rejected(Vendor.REFERRAL_FACTORY, "The campaign is over.", status=422)
        world.referral_factory.fail("qualify", refusal)
        answer = world.post("/people/1/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (422, "referral_factory_refused")
        assert "The campaign is over." in json_of(answer)["detail"]
        assert json_of(world.get("/people/1"))["qualification"]["state"] == "open"

    def test_while_the_program_is_disconnected_nothing_is_asked(self, world: World, friend: Person) -> None:
        world.delete("/programs/1")
        answer = world.post("/people/1/qualify")
        assert answer.status_code == 409
        assert world.referral_factory.called("qualify") == 0

    def test_while_a_worker_is_at_the_person_it_is_to_be_tried_again(self, world: World, friend: Person) -> None:
        with world.database.writing() as connection:
            inbox.lease_people(connection, {"key-of-lea"}, "worker", world.time, inbox.LEASE)
        answer = world.post("/people/1/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "waiting_in_queue")

    def test_after_an_answer_that_never_came_it_is_looked_first(self, world: World, friend: Person) -> None:
        lost = Unavailable(Vendor.REFERRAL_FACTORY, "The answer did not come.", sent=True)
        world.referral_factory.fail("qualify", lost, after_effect=True)
        answer = world.post("/people/1/qualify")
        assert (answer.status_code, json_of(answer)["cause"]) == (503, "referral_factory_unavailable")
        assert json_of(world.post("/people/1/qualify"))["qualification"] == {
            "state": "qualified",
            "since": "2026-11-22T12:00:00.000Z",
            "cause": None,
        }
        assert world.referral_factory.called("qualify") == 1
