"""The description says what there is, is valid, and its page needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.web.api.conftest import World


@pytest.fixture
def described(world: World) -> dict[str, Any]:
    return world.description.document


def test_it_is_openapi_3_1_with_the_tokens_scheme(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    assert described["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert described["security"] == [{"token": []}]


def test_every_schema_in_it_is_valid(described: dict[str, Any]) -> None:
    for schema in described["components"]["schemas"].values():
        OAS31Validator.check_schema(schema)


def test_every_reference_in_it_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described))):
        place: Any = described
        for step in reference.split("/"):
            place = place[step]


def test_every_call_is_in_it_with_a_name_of_its_own_and_a_summary(world: World, described: dict[str, Any]) -> None:
    operations = [one for path in described["paths"].values() for name, one in path.items() if name != "parameters"]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    assert all(one["summary"] for one in operations)
    served = [
        (method, re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1") and "docs" not in rule.rule and "openapi" not in rule.rule
    ]
    assert len(served) == len(operations)
    assert all(method.lower() in described["paths"][path] for method, path in served)


def test_every_call_says_how_it_refuses(described: dict[str, Any]) -> None:
    problem = described["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert list(problem) == ["application/problem+json"]
    for path in described["paths"].values():
        for name, operation in path.items():
            if name != "parameters":
                assert operation["responses"]["default"] == {"$ref": "#/components/responses/DEFAULT_ERROR"}


def test_tokens_are_taken_and_never_answered(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        for field, said in schema.get("properties", {}).items():
            if field in ("access_token", "client_secret"):
                assert said["writeOnly"], name
                assert "example" not in json.dumps(said), name


def test_its_page_is_made_of_parts_that_are_served_here(world: World) -> None:
    page = world.client.get("/api/v1/docs")
    html = page.get_data(as_text=True)
    parts = re.findall(r'(?:src|href|data-description)="([^"]+)"', html)
    assert len(parts) >= 5
    for part in parts:
        assert part.startswith("/api/v1/")
        assert world.client.get(part, buffered=True).status_code == 200, part
    assert "https:" not in page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["index.html", "LICENSE", "..%2f__init__.py", "swagger-ui.js.map"])
def test_its_page_serves_nothing_else(world: World, name: str) -> None:
    assert world.client.get(f"/api/v1/docs/{name}").status_code == 404
