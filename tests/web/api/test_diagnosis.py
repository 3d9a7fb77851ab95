"""What is amiss, told to programs."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import Question
from app.core.errors import Unavailable, Vendor
from tests.web.api.conftest import World, faults, json_of
from tests.web.api.test_preview import ready

LEA = "lea@example.com"


def ask(world: World, **query: Any) -> list[dict[str, Any]]:
    answer = world.get("/diagnosis", **{"campaign_id": "1", **query})
    assert answer.status_code == 200, answer.json
    found: list[dict[str, Any]] = json_of(answer)["checks"]
    return found


def told(checks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["question"], one["cause"]) for one in checks if one["verdict"] == "problem"]


def test_a_skipped_person_is_told_with_the_cause_the_contact_and_what_mends_it(world: World) -> None:
    ready(world)
    there = world.intercom.put(LEA)
    world.person("1", contact_id=there.id, contact_role="user")
    world.activity(outcome="skipped", cause="duplicate_skipped", contact_id=there.id, contact_role="user")
    first = ask(world, email=LEA.upper(), question="some_do_not_arrive")[0]
    assert (first["id"], first["question"], first["verdict"]) == ("arrival.leads", "some_do_not_arrive", "problem")
    assert first["cause"] == "duplicate_skipped"
    assert CATALOGUE[Cause.DUPLICATE_SKIPPED].explanation in first["explanation"]
    assert first["remedy"] == CATALOGUE[Cause.DUPLICATE_SKIPPED].remedy
    assert first["evidence"]["contact_id"] == there.id
    assert first["evidence"]["contact_role"] == "user"
    assert first["evidence"]["at"] == "2026-11-22T12:00:00Z"
    assert first["action"] == {"name": "change_duplicates", "target": {"campaign_id": "1", "audience": "leads"}}


def test_without_a_question_all_that_apply_are_answered_in_one_order(world: World) -> None:
    ready(world)
    checks = ask(world)
    assert {one["question"] for one in checks} >= {"cannot_connect", "none_arrive", "segment_not_found"}
    verdicts = [one["verdict"] for one in checks]
    assert verdicts == sorted(verdicts, key=["problem", "unknown", "ok"].index)


def test_the_most_telling_problem_comes_first(world: World) -> None:
    ready(world)
    world.person("1", contact_id=None, contact_role=None)
    world.activity(outcome="skipped", cause="invalid_email", contact_id=None)
    world.delete("/workspaces/1")
    assert told(ask(world, email=LEA))[:2] == [
        ("cannot_connect", "workspace_disconnected"),
        ("some_do_not_arrive", "invalid_email"),
    ]


def test_a_vendor_that_is_away_is_a_finding_and_no_error(world: World) -> None:
    ready(world)
    world.person("1")
    world.activity()
    away = Unavailable(Vendor.INTERCOM, "Intercom did not answer.")
    world.intercom.fail("contact", away)
    found = {one["id"]: one for one in ask(world, email=LEA, question="some_do_not_arrive")}
    assert found["contact"]["verdict"] == "unknown"
    assert found["contact"]["cause"] == "intercom_unavailable"
    assert found["contact"]["evidence"]["answer"] == "Intercom did not answer."


def test_an_attribute_and_a_segment_are_asked_about_by_name(world: World) -> None:
    ready(world)
    (archived,) = told(ask(world, question="attribute_not_selectable", attribute="Old one"))
    assert archived == ("attribute_not_selectable", "attribute_archived")
    (unknown,) = told(ask(world, question="segment_not_found", segment_id="Big spenders"))
    assert unknown == ("segment_not_found", "segment_unknown")


def test_no_secret_is_told(world: World) -> None:
    ready(world)
    body = world.get("/diagnosis", campaign_id="1").get_data(as_text=True)
    body += world.get("/diagnosis/system").get_data(as_text=True)
    assert not [one for one in ("us-token", "us-secret", "rf-token") if one in body]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({}, {"/campaign_id"}),
        ({"campaign_id": "x"}, {"/campaign_id"}),
        ({"campaign_id": "1", "question": "why"}, {"/question"}),
        ({"campaign_id": "1", "colour": "red"}, {"/colour"}),
    ],
)
def test_a_query_that_names_nothing_is_refused(world: World, query: dict[str, str], pointers: set[str]) -> None:
    answer = world.get("/diagnosis", **query)
    assert answer.status_code == 422
    assert faults(answer).keys() == pointers


def test_an_unknown_campaign_is_not_found(world: World) -> None:
    assert world.get("/diagnosis", campaign_id="9").status_code == 404


@pytest.mark.parametrize("question", Question)
def test_every_question_is_answered(world: World, question: Question) -> None:
    ready(world)
    assert question.value in {one["question"] for one in ask(world, question=question.value, email=LEA)}


def test_the_whole_is_looked_at(world: World) -> None:
    ready(world)
    checks = json_of(world.get("/diagnosis/system"))["checks"]
    assert {one["question"] for one in checks} >= {"connections", "webhooks", "mappings", "rules", "queue"}
    assert (checks[0]["id"], checks[0]["verdict"]) == ("worker", "problem")  # none runs in a test
