"""Tokens, permissions, versions, limits and faults of the simulated Intercom."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.connection import HungUp
from sandbox.world import World
from tests.sandbox.conftest import Caller, error


def test_me_says_which_workspace_it_is(intercom: Caller) -> None:
    app = intercom("GET", "/me").json["app"]
    assert (app["id_code"], app["timezone"], app["region"]) == ("sandbox1", "America/New_York", "US")


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic intercom-sandbox-token"])
def test_a_bad_token_is_401(intercom: Caller, token: str) -> None:
    answer = intercom("GET", "/me", Authorization=token)
    assert error(answer) == (401, "unauthorized", "Access Token Invalid")


def test_a_revoked_token_is_401(intercom: Caller, control: Caller) -> None:
    control("POST", "/intercom/sandbox1/revoke")
    assert intercom("GET", "/me").status_code == 401
    control("PUT", "/intercom/sandbox1", {"tokens": ["intercom-sandbox-token"]})
    assert intercom("GET", "/me").status_code == 200


@pytest.mark.parametrize(
    ("permission", "method", "path"),
    [
        ("contacts_read", "GET", "/contacts"),
        ("contacts_read", "POST", "/contacts/search"),
        ("contacts_write", "POST", "/contacts"),
        ("attributes_read", "GET", "/data_attributes"),
        ("attributes_write", "POST", "/data_attributes"),
        ("segments_read", "GET", "/segments"),
        ("tags_read", "GET", "/tags"),
        ("tags_write", "POST", "/tags"),
    ],
)
def test_a_permission_that_is_missing_closes_its_paths_only(
    intercom: Caller, control: Caller, permission: str, method: str, path: str
) -> None:
    control("PUT", "/intercom/sandbox1", {"missing_permissions": [permission]})
    assert error(intercom(method, path, {} if method == "POST" else None))[:2] == (403, "action_forbidden")
    assert intercom("GET", "/me").status_code == 200
    control("PUT", "/settings", {"permission_answer": 401})
    assert error(intercom(method, path, {} if method == "POST" else None))[:2] == (401, "unauthorized")


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/json", 200), ("*/*", 200), ("text/html", 406), ("text/html, */*;q=0.1", 200)],
)
def test_answers_are_json_or_406(intercom: Caller, accept: str, status: int) -> None:
    assert intercom("GET", "/me", Accept=accept).status_code == status


@pytest.mark.parametrize(("method", "path"), [("GET", "/users"), ("PATCH", "/contacts"), ("GET", "/")])
def test_unknown_paths_and_methods_are_404(intercom: Caller, method: str, path: str) -> None:
    assert error(intercom(method, path))[:2] == (404, "not_found")


@pytest.mark.parametrize(("asked", "echoed"), [({"Intercom_Version": "2.15"}, "2.15"), ({}, "2.16")])
def test_the_version_is_echoed(intercom: Caller, asked: dict[str, str], echoed: str) -> None:
    assert intercom("GET", "/me", **asked).headers["Intercom-Version"] == echoed


def test_malformed_json_is_400(intercom: Caller) -> None:
    answer = intercom.client.post("/intercom/contacts", data=b"{", headers=intercom.headers)
    assert error(answer)[:2] == (400, "parameter_invalid")


def test_calls_are_limited_in_buckets_of_ten_seconds(intercom: Caller, world: World) -> None:
    world.settings.change({"intercom_calls_per_10s": 3})
    world.clock.advance(10 - world.clock.now() % 10)
    answers = [intercom("GET", "/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[3].headers["X-RateLimit-Limit"] == "3"
    assert error(answers[3])[1:] == ("rate_limit_exceeded", "Exceeded rate limit of 3 in 10_seconds")
    world.clock.advance(10)
    assert intercom("GET", "/me").status_code == 200


def test_the_reset_is_told_by_the_callers_clock(intercom: Caller, world: World) -> None:
    world.clock.advance(86400)
    reset = int(intercom("GET", "/me").headers["X-RateLimit-Reset"])
    assert 0 <= reset - (world.clock.now() - 86400) <= 10


def test_every_workspace_has_its_own_people_and_limit(intercom: Caller, control: Caller, world: World) -> None:
    other = {
        "app_id": "other",
        "token": "other-token",
        "client_secret": "s",
        "timezone": "Europe/Berlin",
        "region": "EU",
        "attributes": [{"name": "plan", "data_type": "string", "options": ["a", "b"]}],
    }
    assert control("POST", "/workspaces", other).status_code == 200
    elsewhere = Caller(intercom.client, "/intercom", "other-token")
    intercom("POST", "/contacts", {"email": "a@b.co"})
    assert elsewhere("POST", "/contacts", {"email": "a@b.co"}).json["workspace_id"] == "other"
    assert elsewhere("GET", "/me").json["app"]["region"] == "EU"
    assert world.buckets.peak == {"sandbox1": 1, "other": 2}


def _fault(control: Caller, **rule: Any) -> None:
    assert control("POST", "/faults", {"vendor": "intercom", **rule}).status_code == 200


@pytest.mark.parametrize(
    ("kind", "written"),
    [("error_before", False), ("error_after", True)],
)
def test_an_error_comes_before_or_after_the_write(
    intercom: Caller, control: Caller, world: World, kind: str, written: bool
) -> None:
    _fault(control, kind=kind, status=502, method="POST", path="/contacts", count=1)
    assert intercom("POST", "/contacts", {"email": "a@b.co"}).status_code == 502
    assert (world.workspaces["sandbox1"].live_count == 1) is written
    again = intercom("POST", "/contacts", {"email": "a@b.co"})
    assert again.status_code == (409 if written else 200)


@pytest.mark.parametrize(
    ("kind", "written"),
    [("reset_before", False), ("reset_after", True), ("timeout_before", False), ("timeout_after", True)],
)
def test_a_connection_is_cut_before_or_after_the_write(
    intercom: Caller, control: Caller, world: World, kind: str, written: bool
) -> None:
    _fault(control, kind=kind, method="POST", seconds=0.01)
    with pytest.raises(HungUp):
        intercom("POST", "/contacts", {"email": "a@b.co"})
    assert (world.workspaces["sandbox1"].live_count == 1) is written
    (call,) = control("GET", "/log").json["calls"]
    assert (call["fault"], call["status"]) == (kind, 200 if written else 0)


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("unavailable", 503), ("slow", 200)])
def test_vendors_that_are_busy(intercom: Caller, control: Caller, kind: str, status: int) -> None:
    _fault(control, kind=kind, ms=1)
    answer = intercom("GET", "/me")
    assert answer.status_code == status
    if kind == "429":
        assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_answers_can_be_misshapen(intercom: Caller, control: Caller) -> None:
    _fault(control, kind="empty_body", path="/me", count=1)
    _fault(control, kind="html_body", path="/me", count=1)
    _fault(control, kind="extra_fields", path="/me", count=1)
    _fault(control, kind="missing_request_id", path="/contacts/none")
    empty, html, extra = (intercom("GET", "/me") for _ in range(3))
    assert (empty.status_code, empty.data) == (200, b"")
    assert (html.status_code, html.content_type) == (200, "text/html")
    assert "field_of_tomorrow" in extra.json
    assert "request_id" not in intercom("GET", "/contacts/none").json


def test_faults_strike_whom_they_name(intercom: Caller, control: Caller) -> None:
    _fault(control, kind="unavailable", body="unlucky@b.co")
    _fault(control, kind="unavailable", method="GET", path="/seg*", every=2)
    assert intercom("POST", "/contacts", {"email": "lucky@b.co"}).status_code == 200
    assert intercom("POST", "/contacts", {"email": "unlucky@b.co"}).status_code == 503
    assert [intercom("GET", "/segments").status_code for _ in range(4)] == [200, 503, 200, 503]
    rules = control("GET", "/faults").json["faults"]
    assert [rule["struck"] for rule in rules] == [1, 2]
    control("DELETE", f"/faults/{rules[0]['id']}")
    assert intercom("POST", "/contacts", {"email": "unlucky@b.co"}).status_code == 200
    control("DELETE", "/faults")
    assert control("GET", "/faults").json["faults"] == []


def test_dice_are_seeded(intercom: Caller, control: Caller) -> None:
    runs = []
    for _ in range(2):
        control("DELETE", "/faults")
        control("POST", "/faults/seed", {"seed": 7})
        _fault(control, kind="unavailable", probability=0.5)
        runs.append([intercom("GET", "/me").status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "earthquake"}),
        ("/faults", {"kind": "slow", "vendor": "nobody"}),
        ("/faults", {"kind": "slow", "colour": "red"}),
        ("/workspaces", {"app_id": "sandbox1", "token": "t", "client_secret": "s"}),
        ("/workspaces", {"app_id": "x"}),
        ("/intercom/sandbox1/webhook", {"url": None, "topics": ["no.such"]}),
        ("/intercom/sandbox1/segments", {"name": "x", "person_type": "lead"}),
        ("/referral-factory/1/webhooks", {"url": "http://x", "topic": "left"}),
        (
            "/referral-factory/1/webhooks",
            {"url": "http://x", "topic": "joined", "headers": dict.fromkeys("abcd", "")},
        ),
        ("/clock/advance", {"seconds": -1}),
    ],
)
def test_controls_refuse_nonsense(control: Caller, path: str, body: dict[str, Any]) -> None:
    answer = control("POST", path, body)
    assert answer.status_code == 400
    assert answer.json["error"]


@pytest.mark.parametrize(
    "change", [{"nonsense": 1}, {"latency_ms": "slow"}, {"type_mismatch": "loud"}, {"latency_ms": -1}]
)
def test_switches_refuse_nonsense(control: Caller, change: dict[str, Any]) -> None:
    before = control("GET", "/settings").json
    assert control("PUT", "/settings", {"echo_own_writes": False, **change}).status_code == 400
    assert control("GET", "/settings").json == before


def test_calls_are_logged_and_counted(intercom: Caller, control: Caller) -> None:
    for _ in range(2):
        intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"})
    intercom("GET", "/contacts/none?x=1")
    calls = control("GET", "/log?vendor=intercom").json["calls"]
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/contacts", 200),
        ("POST", "/contacts", 200),
        ("GET", "/contacts/none", 404),
    ]
    counts = control("GET", "/counts").json
    assert {(row["path"], row["status"]): row["calls"] for row in counts["calls"]} == {
        ("/contacts", 200): 2,
        ("/contacts/<contact_id>", 404): 1,
    }
    assert counts["shared_emails"] == {"sandbox1": {"a@b.co": 2}}
    assert control("POST", "/counts/reset").status_code == 200
    assert control("GET", "/counts").json["total"] == 0


def test_a_reset_brings_back_the_beginning(intercom: Caller, control: Caller) -> None:
    intercom("POST", "/contacts", {"email": "a@b.co"})
    control("POST", "/reset")
    assert intercom("POST", "/contacts", {"email": "a@b.co"}).status_code == 200
