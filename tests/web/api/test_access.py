"""Who may call the API. Without a token nothing is to be learnt, not even what there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from tests.web.api.conftest import ADMIN_TOKEN, World

OPEN_ROUTES = {
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/api/v1/docs/start.js",
    "/api/v1/docs/<name>",
}

EXAMPLES = {"audience": "leads"}


def routes(world: World) -> Iterator[tuple[str, str]]:
    for rule in world.app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1") and rule.rule not in OPEN_ROUTES:
            for method in (rule.methods or set()) - {"OPTIONS"}:
                yield method, address(world, rule)


def address(world: World, rule: Rule) -> str:
    values = {name: EXAMPLES.get(name, 999) for name in rule.arguments}
    with world.app.test_request_context():
        built = world.app.url_map.bind("localhost").build(rule.endpoint, values)
    return str(built)


def is_refused(answer: TestResponse) -> bool:
    if answer.status_code != 401 or answer.headers["WWW-Authenticate"] != "Bearer":
        return False
    return answer.request.method == "HEAD" or answer.get_json(force=True)["cause"] == "unauthenticated"


def test_every_route_asks_for_a_token_before_anything_else(world: World) -> None:
    checked = 0
    for method, path in routes(world):
        assert is_refused(world.client.open(path, method=method, data=b"{", content_type="text/plain")), path
        checked += 1
    assert checked > 40


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/nothing", "/api/v1/workspaces/0", "/api/v1/workspaces/1/x"])
def test_what_does_not_exist_asks_for_a_token_too(world: World, path: str) -> None:
    assert is_refused(world.client.get(path))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {ADMIN_TOKEN}x",
        f"Bearer {ADMIN_TOKEN[:-1]}",
        f"Basic {ADMIN_TOKEN}",
        f"Token {ADMIN_TOKEN}",
        ADMIN_TOKEN,
        "Bearer \xff\xfe",
    ],
)
def test_another_token_is_refused(world: World, header: str) -> None:
    assert is_refused(world.client.get("/api/v1/workspaces", headers={"Authorization": header}))


def test_without_an_admins_token_nobody_gets_in(world: World) -> None:
    world.app.extensions["referloop.admin_token"] = None
    for header in ("Bearer None", "Bearer ", f"Bearer {ADMIN_TOKEN}"):
        assert is_refused(world.client.get("/api/v1/workspaces", headers={"Authorization": header}))


@pytest.mark.parametrize("path", sorted(OPEN_ROUTES - {"/api/v1/docs/<name>"}))
def test_the_description_is_open(world: World, path: str) -> None:
    assert world.client.get(path, buffered=True).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/workspaces/0",
        "/workspaces/-1",
        "/workspaces/1.0",
        "/workspaces/abc",
        "/workspaces/9223372036854775808",
        "/workspaces/99999999999999999999999",
        "/workspaces/%D9%A1",
        "/campaigns/1/audiences/others",
        "/nothing",
    ],
)
def test_what_can_be_no_id_is_not_found(world: World, path: str) -> None:
    answer = world.get(path)
    assert (answer.status_code, answer.get_json(force=True)["cause"]) == (404, "not_found")


def test_unknown_ids_are_not_found_whatever_is_asked_of_them(world: World) -> None:
    bodies = {"PATCH": {}, "PUT": {"action": "nothing"}}
    by_ending = {
        "attributes": {"name": "A", "type": "text"},
        "syncs": {"contacts": "all"},
        "backfill": {"audience": "leads"},
        "preview": {"audience": "leads", "person": {"email": "a@example.com"}},
    }
    for method, path in routes(world):
        if "999" in path and method != "HEAD" and not path.endswith("/settings"):
            body = by_ending.get(path.rsplit("/", 1)[1]) or bodies.get(method)
            answer = world.ask(method, path.removeprefix("/api/v1"), json=body)
            assert (answer.status_code, answer.get_json(force=True)["cause"]) == (404, "not_found"), (method, path)
