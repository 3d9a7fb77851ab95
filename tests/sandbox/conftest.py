"""A sandbox without sockets: the app's own test client, as each vendor's customer would call it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox import seed
from sandbox.server import make_app
from sandbox.settings import Settings
from sandbox.world import World


class Caller:
    """Calls below one prefix, with a token."""

    def __init__(self, client: FlaskClient, prefix: str, token: str | None = None) -> None:
        self.client = client
        self.prefix = prefix
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """One call; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(self.prefix + path, method=method, json=body, headers={**self.headers, **named})


@pytest.fixture
def world() -> World:
    return World(Settings(index_delay_seconds=0))


@pytest.fixture(scope="session")
def app() -> Flask:
    return make_app(World())


@pytest.fixture
def client(app: Flask, world: World) -> FlaskClient:
    # Building the app takes far longer than a call: one app, and for each test a world of its own.
    app.extensions["sandbox"] = world
    return app.test_client()


@pytest.fixture
def intercom(client: FlaskClient) -> Caller:
    return Caller(client, "/intercom", seed.DEFAULT_TOKEN)


@pytest.fixture
def factory(client: FlaskClient) -> Caller:
    return Caller(client, "/referral-factory", seed.DEFAULT_ACCOUNT_TOKEN)


@pytest.fixture
def control(client: FlaskClient) -> Caller:
    return Caller(client, "/control")


def error(response: TestResponse) -> tuple[int, str, str]:
    """Status, code and message of an Intercom refusal."""
    first = response.json["errors"][0]
    return response.status_code, first["code"], first["message"]


def find(intercom: Caller, field: str, value: Any, operator: str = "=", **more: Any) -> list[str]:
    """Ids of the contacts that a search finds."""
    query = {"query": {"field": field, "operator": operator, "value": value}, **more}
    answer = intercom("POST", "/contacts/search", query)
    assert answer.status_code == 200, answer.json
    return [contact["id"] for contact in answer.json["data"]]
