"""What is sent to the API and can't be read, or can't be meant."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.web.api.conftest import PROGRAM, WORKSPACE, World, faults, json_of

JSON = "application/json"


@pytest.mark.parametrize("path", ["/workspaces", "/campaigns/1/settings"])
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", JSON, 400),
        (b"{'name': 1}", JSON, 400),
        (b'{"name": NaN}', JSON, 400),
        (b'{"name": -Infinity}', JSON, 400),
        (b'{"name": 1e999}', JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"1" * 5000, JSON, 400),
        (b" " * 1024 * 1024 + b"{}", JSON, 413),
        (b"name=Acme", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{}", f"{JSON}; charset=utf-8", 422),
        (b"\xef\xbb\xbf{}", JSON, 422),
        (b"[]", JSON, 422),
        (b"null", JSON, 422),
        (b'"text"', JSON, 422),
        (b"5", JSON, 422),
    ],
)
def test_what_is_no_json_object_is_refused(
    world: World, path: str, body: bytes, content_type: str, status: int
) -> None:
    world.campaign()
    method = "PUT" if path.endswith("settings") else "POST"
    answer = world.ask(method, path, data=body, content_type=content_type)
    assert (answer.status_code, json_of(answer)["cause"]) == (status, "invalid_request")


@pytest.mark.parametrize("path", ["/workspaces", "/campaigns/1/settings"])
@pytest.mark.parametrize(("spaces", "status"), [(1, 422), (1024 * 1024, 413), (3 * 1024 * 1024, 413)])
def test_a_body_of_undeclared_length_is_counted(world: World, path: str, spaces: int, status: int) -> None:
    world.campaign()
    answer = world.ask(
        "PUT" if path.endswith("settings") else "POST",
        path,
        input_stream=io.BytesIO(b"{}" + b" " * spaces),
        content_type=JSON,
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"name": ""}, {"/name"}),
        ({"name": "   "}, {"/name"}),
        ({"name": 5}, {"/name"}),
        ({"name": None}, {"/name"}),
        ({"name": "x" * 256}, {"/name"}),
        ({"name": "a\u0000b"}, {"/name"}),
        ({"name": "a\ud800b"}, {"/name"}),
        ({"region": "de"}, {"/region"}),
        ({"region": "US"}, {"/region"}),
        ({"region": ["us"]}, {"/region"}),
        ({"access_token": "two words"}, {"/access_token"}),
        ({"access_token": "line\nbreak"}, {"/access_token"}),
        ({"access_token": "schlüssel"}, {"/access_token"}),
        ({"access_token": "x" * 2001}, {"/access_token"}),
        ({"client_secret": {}}, {"/client_secret"}),
        ({"id": "7", "a/b": 1, "c~d": 2}, {"/id", "/a~1b", "/c~0d"}),
        (
            {"name": 5, "region": "x", "access_token": "", "client_secret": None},
            {"/name", "/region", "/access_token", "/client_secret"},
        ),
    ],
)
def test_every_fault_of_a_workspace_is_named(world: World, changes: dict[str, Any], pointers: set[str]) -> None:
    answer = world.post("/workspaces", {**WORKSPACE, **changes})
    assert (answer.status_code, set(faults(answer))) == (422, pointers)
    assert world.vendors.budgets == []


def test_what_is_missing_is_named(world: World) -> None:
    assert set(faults(world.post("/workspaces", {}))) == {"/name", "/region", "/access_token", "/client_secret"}
    assert set(faults(world.post("/workspaces"))) == {"/name", "/region", "/access_token", "/client_secret"}
    assert set(faults(world.post("/programs", {"user_limit": 5}))) == {"/name", "/access_token"}


def test_a_fault_never_repeats_a_secret(world: World) -> None:
    answer = world.post("/workspaces", {**WORKSPACE, "access_token": "very secret words"})
    assert "very secret" not in answer.text


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", True, 2**31, 10**30])
def test_a_user_limit_that_cannot_be_is_refused(world: World, limit: object) -> None:
    assert faults(world.post("/programs", {**PROGRAM, "user_limit": limit})) == {"/user_limit": "invalid_request"}


@pytest.mark.parametrize("given", ["0", "01", "x", "", 0, -1, 1.0, True, None, [], 2**63, "9" * 19])
def test_an_id_that_cannot_be_is_refused(world: World, given: object) -> None:
    body = {"program_id": "1", "workspace_id": given, "referral_factory_id": 1}
    assert faults(world.post("/campaigns", body)) == {"/workspace_id": "invalid_request"}


@pytest.mark.parametrize("given", ["", " ", None, True, 1.5, [], "x" * 101, "a\u0000"])
def test_an_id_of_referral_factory_that_cannot_be_is_refused(world: World, given: object) -> None:
    body = {"program_id": "1", "workspace_id": "1", "referral_factory_id": given}
    assert faults(world.post("/campaigns", body)) == {"/referral_factory_id": "invalid_request"}


def test_text_is_trimmed(world: World) -> None:
    answer = world.post("/workspaces", {**WORKSPACE, "name": "  Acme  ", "access_token": " us-token\n"})
    assert json_of(answer)["name"] == "Acme"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/workspaces"), ("DELETE", "/activity"), ("PATCH", "/causes")])
def test_a_method_that_there_is_not_says_which_there_are(world: World, method: str, path: str) -> None:
    answer = world.ask(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_problem_names_its_kind_and_links_it(world: World) -> None:
    problem = json_of(world.get("/workspaces/9"))
    assert problem == {
        "type": problem["type"],
        "title": problem["title"],
        "status": 404,
        "detail": "There is no such workspace.",
        "cause": "not_found",
    }
    assert problem["type"].endswith("/api/v1/causes#not_found")
