"""The API over a real, empty database, with as many workspaces and programs in memory as a test likes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from app.core.audiences import AttributeType
from app.core.errors import Unauthorized, Vendor
from app.core.people import Role
from app.integrations.budget import Pace
from app.storage import activity, inbox, people
from app.storage.database import Database
from app.storage.doors import Doors
from app.storage.inbox import NewEvent
from app.storage.people import PersonRecord
from app.storage.vault import Vault
from app.usecases.services import Services
from app.web import api, problems
from app.web.webhooks import webhooks
from schemas.intercom import Segment
from schemas.referral_factory import Campaign
from tests.fakes import FakeIntercom, FakeReferralFactory, custom
from tests.product import DirectCreations, DirectIntake, NoMetrics, RecordingBell

ADMIN_TOKEN = "a-token-of-the-admin-for-tests"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

WORKSPACE = {"name": "Acme", "region": "us", "access_token": "us-token", "client_secret": "us-secret"}
PROGRAM = {"name": "Acme referrals", "access_token": "rf-token"}

ATTRIBUTES = (
    custom("Plan", AttributeType.LIST, options=("trial", "pro")),
    custom("Referral Link"),
    custom("Referrer Email"),
    custom("Company"),
    custom("Seats", AttributeType.NUMBER),
    custom("Trial ends", AttributeType.DATE),
    custom("Old one", archived=True),
    custom("Locked", writable=False),
)


class Vendors:
    """By token. One that nobody has issued is refused."""

    regions_differ = True

    def __init__(self) -> None:
        self.intercoms = {("us", "us-token"): FakeIntercom("app1", ATTRIBUTES)}
        summer = Campaign("1", "Summer referral", "summer", "launched", leads=("Company",), referrers=("Last Name",))
        winter = Campaign("2", "Winter referral", "winter", "draft")
        self.referral_factories = {"rf-token": FakeReferralFactory(summer, winter)}
        self.budgets: list[str | None] = []

    def intercom(self, *, region: str, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> FakeIntercom:
        self.budgets.append(budget_key)
        known = self.intercoms.get((region, token))
        if known is not None:
            return known
        unknown = FakeIntercom()
        unknown.fail("me", Unauthorized(Vendor.INTERCOM, "Access Token Invalid", status=401))
        return unknown

    def referral_factory(self, *, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> FakeReferralFactory:
        self.budgets.append(budget_key)
        known = self.referral_factories.get(token)
        if known is not None:
            return known
        unknown = FakeReferralFactory()
        unknown.fail("campaigns", Unauthorized(Vendor.REFERRAL_FACTORY, "Unauthenticated.", status=401))
        return unknown


class Description:
    """The OpenAPI description, against which every answer of every test is held."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._registry = Registry().with_resource("urn:api", DRAFT202012.create_resource(document))

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """The description of a call. Raises ``KeyError`` for what is not described."""
        for rule, operations in self.document["paths"].items():
            pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(rule))
            if re.fullmatch(pattern, f"/api/v1{path}") and method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
        raise KeyError(f"{method} {path}")

    def check(self, method: str, path: str, answer: TestResponse) -> None:
        if answer.status_code == 204:
            assert answer.data == b""
            return
        status = str(answer.status_code)
        if answer.status_code >= 400:
            reference = "#/components/schemas/Problem"
            assert answer.content_type == "application/problem+json"
            assert json_of(answer)["status"] == answer.status_code
        else:
            assert answer.content_type == "application/json"
            described = self.operation(method, path)["responses"][status]["content"]["application/json"]
            reference = described["schema"]["$ref"]
        OAS31Validator({"$ref": f"urn:api{reference}"}, registry=self._registry).validate(json_of(answer))


_DESCRIPTIONS: list[Description] = []


def described(client: FlaskClient) -> Description:
    """Asked once: it is the same for every app."""
    if not _DESCRIPTIONS:
        _DESCRIPTIONS.append(Description(client.get("/api/v1/openapi.json").get_json()))
    return _DESCRIPTIONS[0]


class World:
    """The API's client and all that is behind it. ``get`` and the like speak with the admin's token."""

    def __init__(self, database: Database) -> None:
        self.database, self.vendors, self.bell, self.time = database, Vendors(), RecordingBell(), START
        self.bulk_bell = RecordingBell()
        self.services = Services(
            database=database,
            vault=Vault([Fernet.generate_key().decode()]),
            doors=Doors(database),
            intake=DirectIntake(database),
            creations=DirectCreations(database),
            vendors=self.vendors,
            bell=self.bell,
            bulk_bell=self.bulk_bell,
            metrics=NoMetrics(),
            now=lambda: self.time,
            random=lambda: 0.0,
            public_url="https://referloop.example.com",
            index_delay=timedelta(seconds=180),
            retry_schedule=(10, 60),
            retention=timedelta(days=90),
            reconcile_interval=timedelta(seconds=300),
            sync_interval=timedelta(seconds=900),
        )
        self.app = Flask("app.web")
        self.app.extensions["referloop"] = self.services
        self.app.extensions["referloop.admin_token"] = ADMIN_TOKEN
        self.app.extensions["referloop.admin_name"] = "owner@example.com"
        problems.register(self.app)
        self.app.register_blueprint(webhooks)
        api.register(self.app)
        self.client: FlaskClient = self.app.test_client()
        self.description = described(self.client)

    @property
    def intercom(self) -> FakeIntercom:
        return self.vendors.intercoms["us", "us-token"]

    @property
    def referral_factory(self) -> FakeReferralFactory:
        return self.vendors.referral_factories["rf-token"]

    def ask(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", **more.pop("headers", {})}
        answer = self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)
        self.description.check(method, path, answer)
        return answer

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.ask("GET", path, query_string=query)

    def post(self, path: str, body: Any = None) -> TestResponse:
        return self.ask("POST", path, json=body) if body is not None else self.ask("POST", path)

    def put(self, path: str, body: Any) -> TestResponse:
        return self.ask("PUT", path, json=body)

    def patch(self, path: str, body: Any) -> TestResponse:
        return self.ask("PATCH", path, json=body)

    def delete(self, path: str) -> TestResponse:
        return self.ask("DELETE", path)

    # What stands before a test begins

    def connected_workspace(self, **changes: Any) -> str:
        answer = self.post("/workspaces", {**WORKSPACE, **changes})
        assert answer.status_code == 201, answer.json
        return str(json_of(answer)["id"])

    def connected_program(self, **changes: Any) -> str:
        answer = self.post("/programs", {**PROGRAM, **changes})
        assert answer.status_code == 201, answer.json
        return str(json_of(answer)["id"])

    def campaign(self, **changes: Any) -> dict[str, Any]:
        """A campaign, with a workspace and a program of its own unless they are named."""
        workspace_id = changes.pop("workspace_id", None) or self.connected_workspace()
        program_id = changes.pop("program_id", None) or self.connected_program()
        body = {"program_id": program_id, "workspace_id": workspace_id, "referral_factory_id": 1, **changes}
        answer = self.post("/campaigns", body)
        assert answer.status_code == 201, answer.json
        return json_of(answer)

    def event(self, key: str, *, status: str = "received", **changes: Any) -> int:
        """A received event, left in ``status``."""
        columns: dict[str, Any] = {
            "dedupe_key": key,
            "source": "referral_factory",
            "topic": "joined",
            "workspace_id": 1,
            "campaign_id": None,
            "person_key": None,
            "content_type": "application/json",
            "payload": b'{"email": "lea@example.com"}',
            "received_at": self.time,
        }
        own = {name: changes.pop(name) for name in list(changes) if name in columns}
        with self.database.writing() as connection:
            event_id = inbox.keep(connection, [NewEvent(**{**columns, **own})])[0].event_id
            settled = self.time if status in ("done", "dead") else None
            connection.execute(
                inbox.events.update()
                .where(inbox.events.c.id == event_id)
                .values(status=status, settled_at=settled, **changes)
            )
        return event_id

    def activity(self, **changes: Any) -> None:
        row: dict[str, Any] = {
            "at": self.time,
            "campaign_id": 1,
            "audience": "leads",
            "verb": "send",
            "outcome": "created",
            "cause": None,
            "detail": None,
            "referral_factory_id": "7",
            "code": "friend7",
            "email": "lea@example.com",
            "workspace_id": 1,
            "contact_id": "c7",
            "contact_role": "lead",
            "fields": [{"to": "name", "cause": None}],
            "event_id": None,
            "sync_id": None,
        }
        with self.database.writing() as connection:
            activity.record(connection, [{**row, **changes}])

    def person(self, campaign_id: str, **changes: Any) -> None:
        columns: dict[str, Any] = {
            "campaign_id": int(campaign_id),
            "audience": "leads",
            "workspace_id": 1,
            "person_key": "key-of-lea",
            "referral_factory_id": "7",
            "code": "friend7",
            "email": "lea@example.com",
            "first_name": "Lea",
            "url": "https://example.com/friend7",
            "values": {"id": 7},
            "contact_id": "c7",
            "contact_role": "lead",
        }
        with self.database.writing() as connection:
            people.save(connection, [PersonRecord(**{**columns, **changes})], self.time)


def json_of(answer: TestResponse) -> dict[str, Any]:
    """The object that was answered."""
    body = answer.get_json(force=True)
    assert isinstance(body, dict)
    return body


def faults(answer: TestResponse) -> dict[str, str]:
    """The causes of a refusal by pointer."""
    assert answer.content_type == "application/problem+json"
    return {fault["pointer"]: fault["cause"] for fault in json_of(answer).get("errors", [])}


def segments(number: int) -> list[Segment]:
    """As many segments, every second one of leads."""
    return [Segment(f"s{n:03d}", f"Segment {n:03d}", Role.LEAD if n % 2 else Role.USER) for n in range(number)]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)
