"""Whatever the API's own description makes thinkable, and what it rules out: no 5xx, every refusal a problem with a
cause of the catalogue, and nothing stored by what was refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from tests.attack.target import JSON, PROBLEM, Answer, Target, examples
from tests.web.installation import TOKEN

SHARE = 0.25
VENDOR_STOOD_IN_THE_WAY = {"rate_limited", "intercom_unavailable", "referral_factory_unavailable"}

rushed = settings(
    deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.fixture(scope="module")
def operations(target: Target) -> list[Any]:
    """As they are described, those that take something away last."""
    document = target.app.test_client().get("/api/v1/openapi.json").get_json()
    schema = schemathesis.openapi.from_dict(document)
    found = [one.ok() for one in schema.get_all_operations()]
    assert len(found) > 30
    return sorted(found, key=lambda one: (one.method == "delete", one.path))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_that_the_description_makes_thinkable_breaks_anything(
    target: Target, operations: list[Any], mode: GenerationMode
) -> None:
    number = max(2, examples(SHARE) // len(operations) // len(GenerationMode))
    for operation in operations:
        _attack(target, operation, mode, number)


def _attack(target: Target, operation: Any, mode: GenerationMode, number: int) -> None:
    made = operation.as_strategy(generation_mode=mode)
    known = dict.fromkeys((one.name for one in operation.path_parameters), "1")

    @settings(rushed, max_examples=number)
    @given(made, st.booleans(), st.sampled_from([TOKEN] * 9 + ["somebody's"]))
    def one(case: Any, leads_to_something: bool, token: str) -> None:
        if leads_to_something and "audience" not in known:
            case.path_parameters = known
        before = target.version()
        holds_up(target, _sent(target, case, token), before)

    one()


def _sent(target: Target, case: Any, token: str) -> Answer:
    given_ = case.as_transport_kwargs(base_url=target.base)
    query = urlencode([(name, value) for name, value in _pairs(given_.get("params"))])
    path = urlsplit(given_["url"]).path + (f"?{query}" if query else "")
    headers = {str(name): str(value) for name, value in (given_.get("headers") or {}).items()}
    headers = {name: _plain(value) for name, value in headers.items() if name.isascii()}
    body = given_.get("data") or b""
    if "json" in given_:
        body, headers = json.dumps(given_["json"]).encode(), {"Content-Type": JSON, **headers}
    raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
    headers["Authorization"] = f"Bearer {token}"
    return target.send("the described calls", given_["method"].upper(), _unquoted(path), raw, headers)


def _pairs(params: Any) -> list[tuple[str, str]]:
    each = ((name, value if isinstance(value, list) else [value]) for name, value in (params or {}).items())
    return [(_well(name), _well(one)) for name, values in each for one in values]


def _well(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _plain(value: str) -> str:
    return value.encode("latin-1", "replace").decode("latin-1")


def _unquoted(path: str) -> bytes:
    before, mark, query = path.partition("?")
    return unquote_to_bytes(before).replace(b"?", b"%3F") + (mark + query).encode()


def holds_up(target: Target, answer: Answer, before: int) -> None:
    if answer.status >= 500:
        assert answer.status == 503, answer.broken or answer.body[:1000]
        assert answer.problem["cause"] in VENDOR_STOOD_IN_THE_WAY, answer.body[:1000]
    elif answer.status >= 400:
        target.refuses(answer)
        assert target.version() == before, f"stored by a call that was refused: {answer.body[:500]!r}"
    else:
        assert answer.headers.get("Content-Type") != PROBLEM


TOKENS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"bearer{TOKEN}",
    f"Basic {TOKEN}",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    "Bearer \x00",
    "Bearer é",
    "Bearer " + "x" * 100_000,
    f"Bearer {TOKEN}, {TOKEN}",
    f"Token {TOKEN}",
    f'Bearer token="{TOKEN}"',
    "Bearer rl_" + "0" * 40,
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: repr(token)[:30])
def test_nothing_is_learnt_or_done_without_a_token_that_is_ours(
    target: Target, operations: list[Any], token: str | None
) -> None:
    before = target.version()
    paths = [(one.method.upper(), one.path.replace("{", "").replace("}", "")) for one in operations]
    for method, path in [*paths, ("GET", "/api/v1/nowhere"), ("TRACE", "/api/v1/workspaces"), ("GET", "/api/v1/")]:
        headers = {"Content-Type": JSON} | ({"Authorization": token} if token is not None else {})
        answer = target.send("the described calls", method, path, b"{}", headers)
        assert answer.status == 401, (method, path, answer.body[:300])
        target.refuses(answer)
    assert target.version() == before


ODD = [
    "../workspaces",
    "..%2f",
    "%00",
    "\x00",
    "é",
    "\ud800",
    "1;drop table events",
    "1' or '1'='1",
    "-1",
    "0",
    "1e3",
    "٣",
    "9" * 19,
    "9" * 40,
    "9" * 5000,
    " 1",
    "1 ",
    "1%0a",
    "+1",
    "0x1",
    "null",
    "undefined",
    "{}",
    "[]",
]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_an_id_that_can_be_none_is_not_found(target: Target, operations: list[Any], odd: str) -> None:
    before = target.version()
    for operation in operations:
        path = operation.path
        names = [one.name for one in operation.path_parameters]
        if not names or operation.method == "delete":
            continue
        for name in names:
            path = path.replace(f"{{{name}}}", odd)
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {TOKEN}"}
        answer = target.send("the described calls", operation.method.upper(), path, b"{}", headers)
        assert answer.status in (308, 404, 405), (path, answer.body[:300])
    assert target.version() == before
