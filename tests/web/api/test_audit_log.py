"""Every change that a person makes is in the audit log: in their name, before and after, and never a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from app.core.access import REPLACED
from app.storage.tables import audit_log, campaigns
from tests.web.api.conftest import PROGRAM, WORKSPACE, World

CAMPAIGN = {"program_id": "1", "referral_factory_id": 1, "workspace_id": "1"}
AUDIENCE = {
    "action": "create_lead",
    "mapping": [
        {"from": {"field": "first_name"}, "to": "name"},
        {"from": {"field": "email"}, "to": "email"},
    ],
    "duplicates": "skip",
    "qualification": None,
}

NOTHING = {name: {**AUDIENCE, "action": "nothing", "mapping": []} for name in ("leads", "referrers")}


@pytest.fixture
def ready(world: World) -> World:
    for path, body in (("/workspaces", WORKSPACE), ("/programs", PROGRAM), ("/campaigns", CAMPAIGN)):
        assert world.post(path, body).status_code == 201
    return world


def rows(world: World) -> list[Any]:
    with world.database.reading() as connection:
        return list(connection.execute(select(audit_log).order_by(audit_log.c.id)))


def told(row: Any) -> tuple[str, str, Mapping[str, Any], Mapping[str, Any]]:
    return row.kind, row.subject, row.before, row.after


def test_what_was_connected_is_told(ready: World) -> None:
    kinds = [(row.kind, row.subject, row.name) for row in rows(ready)]
    assert kinds == [
        ("workspace_connected", "workspace:1", "Acme"),
        ("program_connected", "program:1", "Acme referrals"),
        ("campaign_created", "campaign:1", "Summer referral"),
    ]
    assert all(row.person == rows(ready)[0].person and row.at == ready.time for row in rows(ready))


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PATCH", "/workspaces/1", {"name": "New"}, ("workspace_changed", {"name": "Acme"}, {"name": "New"})),
        (
            "PATCH",
            "/workspaces/1",
            {"client_secret": "x" * 9},
            ("workspace_changed", {}, {"client_secret": REPLACED}),
        ),
        (
            "DELETE",
            "/workspaces/1",
            None,
            ("workspace_disconnected", {"state": "connected"}, {"state": "disconnected"}),
        ),
        ("PATCH", "/programs/1", {"user_limit": 5}, ("program_changed", {"user_limit": None}, {"user_limit": 5})),
        ("DELETE", "/programs/1", None, ("program_disconnected", {"state": "connected"}, {"state": "disconnected"})),
        (
            "PATCH",
            "/campaigns/1",
            {"extended_types": True},
            ("campaign_changed", {"extended_types": False}, {"extended_types": True}),
        ),
        ("DELETE", "/campaigns/1", None, ("campaign_archived", {"archived": False}, {"archived": True})),
        (
            "POST",
            "/campaigns/1/webhook/rotate",
            {},
            ("webhook_secret_rotated", {}, {"webhook_secret": REPLACED}),
        ),
        ("PUT", "/campaigns/1/audiences/leads", AUDIENCE, ("audience_changed", {}, AUDIENCE)),
        (
            "PUT",
            "/campaigns/1/settings",
            {"user_limit": 7, "extended_types": False, "crm_fields": [], "audiences": NOTHING},
            ("campaign_changed", {"user_limit": None}, {"user_limit": 7}),
        ),
        (
            "POST",
            "/workspaces/1/attributes",
            {"name": "Tier", "type": "text"},
            ("attribute_created", {}, {"type": "text", "options": []}),
        ),
    ],
)
def test_what_was_changed_is_told_with_before_and_after(
    ready: World, method: str, path: str, body: Any, expected: tuple[str, Any, Any]
) -> None:
    answer = ready.ask(method, path, **({} if body is None else {"json": body}))
    assert answer.status_code < 300, answer.text
    kind, _, before, after = told(rows(ready)[-1])
    assert kind == expected[0]
    assert before == expected[1]
    if kind == "audience_changed":
        assert after.items() >= {"action": "create_lead", "duplicates": "skip"}.items()
        assert len(after["mapping"]) == 2
    else:
        assert after == expected[2]


def test_a_setting_is_told_with_what_it_was(ready: World) -> None:
    ready.put("/campaigns/1/audiences/leads", AUDIENCE)
    ready.put("/campaigns/1/audiences/leads", {**AUDIENCE, "duplicates": "update"})
    assert told(rows(ready)[-1])[2:] == ({"duplicates": "skip"}, {"duplicates": "update"})


def test_what_was_refused_is_not_told(ready: World) -> None:
    before = len(rows(ready))
    assert ready.put("/campaigns/1/audiences/leads", {**AUDIENCE, "duplicates": "no"}).status_code == 422
    assert ready.patch("/workspaces/1", {"access_token": "wrong"}).status_code == 422
    assert len(rows(ready)) == before


def test_no_secret_is_in_it(ready: World) -> None:
    ready.patch("/workspaces/1", {"client_secret": "another-client-secret"})
    secret = ready.post("/campaigns/1/webhook/rotate", {}).get_json()["secret"]
    with ready.database.reading() as connection:
        sealed = connection.execute(select(campaigns.c.webhook_secret)).scalar_one()
    everything = json.dumps([list(map(str, row)) for row in rows(ready)])
    for one in ("us-token", "us-secret", "rf-token", "another-client-secret", secret, sealed):
        assert one not in everything
