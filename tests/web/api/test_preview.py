"""What would become of a person, told without writing anything."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.people import Role
from tests.web.api.conftest import World, faults, json_of

PERSON = {"email": "Friend@Example.com", "first_name": "Frida", "Company": "Acme", "referrer_id": None}


def ready(world: World, **changes: Any) -> None:
    """A campaign whose leads are set up, with ``changes``."""
    world.campaign()
    mapping = [
        {"from": {"field": "first_name"}, "to": "name"},
        {"from": {"field": "email"}, "to": "email"},
        {"from": {"field": "meta.Company"}, "to": "custom_attributes.Company"},
    ]
    settings = {"action": "create_lead", "mapping": mapping, "duplicates": "skip", "qualification": None, **changes}
    assert world.put("/campaigns/1/audiences/leads", settings).status_code == 200


def preview(world: World, **person: Any) -> dict[str, Any]:
    body = {"audience": "leads", "person": {**PERSON, **person}}
    answer: dict[str, Any] = json_of(world.post("/campaigns/1/preview", body))
    return answer


def test_a_new_person_would_be_created(world: World) -> None:
    ready(world)
    assert preview(world) == {
        "decision": "create",
        "cause": None,
        "detail": None,
        "contact": {
            "role": "lead",
            "email": "friend@example.com",
            "name": "Frida",
            "custom_attributes": {"Company": "Acme"},
        },
        "fields": [
            {"to": "name", "value": "Frida", "cause": None},
            {"to": "email", "value": "friend@example.com", "cause": None},
            {"to": "custom_attributes.Company", "value": "Acme", "cause": None},
        ],
    }


def test_a_value_that_can_not_be_sent_is_named(world: World) -> None:
    ready(world)
    said = preview(world, Company="x" * 256)
    assert said["decision"] == "create"
    assert said["fields"][2] == {"to": "custom_attributes.Company", "value": None, "cause": "value_too_long"}


@pytest.mark.parametrize(
    ("policy", "decision", "cause", "written"),
    [
        ("skip", "skip", "duplicate_skipped", {}),
        ("update", "update", None, {"Company": "Acme"}),
        ("fill_blanks", "update", None, {"Company": "Acme"}),
    ],
)
def test_somebody_who_is_there_is_treated_by_the_policy(
    world: World, policy: str, decision: str, cause: str | None, written: dict[str, Any]
) -> None:
    ready(world, duplicates=policy)
    world.intercom.put("friend@example.com", Role.USER, name="There")
    said = preview(world)
    assert (said["decision"], said["cause"]) == (decision, cause)
    assert (said["contact"]["role"], said["contact"]["custom_attributes"]) == ("user", written)


@pytest.mark.parametrize(
    ("person", "cause"),
    [({"email": "nobody"}, "invalid_email"), ({"first_name": None}, "missing_required_value")],
)
def test_somebody_who_would_be_stopped(world: World, person: dict[str, Any], cause: str) -> None:
    ready(world)
    said = preview(world, **person)
    assert (said["decision"], said["cause"]) == ("skip", cause)


def test_without_an_action_nothing_would_happen(world: World) -> None:
    world.campaign()
    said = preview(world)
    assert (said["decision"], said["cause"], said["contact"]) == ("nothing", "action_is_nothing", None)


def test_nothing_is_written(world: World) -> None:
    ready(world)
    preview(world)
    assert world.intercom.contacts == {}
    assert world.intercom.called("create") == 0
    assert json_of(world.get("/activity"))["items"] == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/audience", "/person"}),
        ({"audience": "everybody", "person": {}}, {"/audience"}),
        ({"audience": "leads", "person": []}, {"/person"}),
        ({"audience": "leads", "person": {"first_name": "Nobody"}}, {"/person"}),
    ],
)
def test_a_body_that_names_nobody_is_refused(world: World, body: dict[str, Any], pointers: set[str]) -> None:
    ready(world)
    answer = world.post("/campaigns/1/preview", body)
    assert answer.status_code == 422
    assert faults(answer).keys() == pointers


def test_an_unknown_campaign_is_not_found(world: World) -> None:
    assert world.post("/campaigns/9/preview", {"audience": "leads", "person": PERSON}).status_code == 404
