"""The webhook doors: who gets in, and what everybody else is told. Nothing that was not verified is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from app.storage import campaigns, workspaces
from app.storage.inbox import NewEvent, Receipt
from app.storage.tables import events
from app.usecases.set_up_campaign import rotate_secret
from app.web import problems
from app.web.webhooks import MOST_BYTES, webhooks
from tests.product import Product, lead

JOINED = "/webhooks/referral-factory/key-1/joined"
SECRET = {"X-Referloop-Secret": "webhook-secret"}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client(product: Product) -> Iterator[FlaskClient]:
    app = Flask("app.web")
    app.extensions["referloop"] = product.services
    problems.register(app)
    app.register_blueprint(webhooks)
    with app.test_client() as client:
        yield client


def stored(product: Product) -> int:
    with product.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(events)).scalar_one()


def notification(**changes: Any) -> bytes:
    item = {"type": "contact", "id": "c1", "email": "x@example.com", "role": "lead"}
    envelope = {"type": "notification_event", "app_id": "app1", "id": "notif_1", "topic": "contact.lead.updated"}
    return json.dumps({**envelope, "data": {"type": "notification_event_data", "item": item}, **changes}).encode()


def signed(body: bytes, secret: str = "client-secret") -> dict[str, str]:
    return {"X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


def from_intercom(client: FlaskClient, body: bytes, headers: dict[str, str] | None = None) -> TestResponse:
    return client.post("/webhooks/intercom", data=body, content_type=JSON, headers=headers or signed(body))


class TestWhoGetsIn:
    def test_a_signup_is_stored_committed_and_rung_for(self, client: FlaskClient, product: Product) -> None:
        answer = client.post(JOINED, json=lead(), headers=SECRET)
        assert answer.status_code == 200
        assert answer.json == {"event_id": answer.json["event_id"], "duplicate": False}
        assert isinstance(answer.json["event_id"], str)
        assert (stored(product), product.bell.rings) == (1, 1)

    def test_the_secret_may_be_the_password_of_http_basic(self, client: FlaskClient) -> None:
        basic = base64.b64encode(b"anybody:webhook-secret").decode()
        assert client.post(JOINED, json=lead(), headers={"Authorization": f"Basic {basic}"}).status_code == 200

    def test_a_form_is_taken_and_is_the_same_event_as_its_json(self, client: FlaskClient) -> None:
        first = client.post(JOINED, json={"id": 7, "email": "a@example.com"}, headers=SECRET)
        again = client.post(JOINED, data={"email": "a@example.com", "id": "7"}, headers=SECRET)
        assert again.json == {"event_id": first.json["event_id"], "duplicate": True}  # type: ignore[index]

    def test_the_same_content_under_another_topic_is_another_event(self, client: FlaskClient) -> None:
        answers = [
            client.post(JOINED.replace("joined", topic), json=lead(), headers=SECRET).json
            for topic in ("joined", "qualified", "reward-issued")
        ]
        assert [answer["duplicate"] for answer in answers if answer] == [False] * 3

    def test_a_signed_notification_is_stored_once_whatever_its_topic(
        self, client: FlaskClient, product: Product
    ) -> None:
        for topic in ("contact.lead.updated", "ping", "something.new"):
            body = notification(topic=topic, id=f"notif_{topic}")
            answers = [from_intercom(client, body).json for _ in range(3)]
            assert [answer["duplicate"] for answer in answers if answer] == [False, True, True]
        assert stored(product) == 3

    def test_a_ping_without_id_is_known_by_its_body(self, client: FlaskClient) -> None:
        body = notification(topic="ping", id=None)
        assert [from_intercom(client, body).json["duplicate"] for _ in range(2)] == [False, True]  # type: ignore[index]

    def test_intercom_may_check_the_address(self, client: FlaskClient) -> None:
        answer = client.head("/webhooks/intercom")
        assert (answer.status_code, answer.data) == (200, b"")

    def test_a_former_secret_is_taken_for_a_day(self, client: FlaskClient, product: Product) -> None:
        vault = product.services.vault
        with product.database.writing() as connection:
            campaigns.change(
                connection,
                product.campaign_id,
                webhook_secret=vault.seal("new"),
                former_secret=vault.seal("webhook-secret"),
                former_until=product.time + timedelta(hours=24),
            )
            workspaces.change(
                connection,
                product.workspace_id,
                client_secret=vault.seal("new"),
                former_client_secret=vault.seal("client-secret"),
                former_until=product.time + timedelta(hours=24),
            )
        assert client.post(JOINED, json=lead(), headers=SECRET).status_code == 200
        assert from_intercom(client, notification()).status_code == 200
        product.advance(24 * 3600 + 1)
        assert client.post(JOINED, json=lead(id=8), headers=SECRET).status_code == 401
        assert from_intercom(client, notification(id="notif_2")).status_code == 401

    def test_what_a_process_remembers_opens_nothing_that_was_revoked_by_another(
        self, client: FlaskClient, product: Product
    ) -> None:
        assert client.post(JOINED, json=lead(), headers=SECRET).status_code == 200
        made = rotate_secret(product.services, product.campaign_id, "owner@example.com", revoke_former=True)
        assert client.post(JOINED, json=lead(id=8), headers=SECRET).status_code == 401
        new = {"X-Referloop-Secret": made.secret}
        assert client.post(JOINED, json=lead(id=9), headers=new).status_code == 200
        assert stored(product) == 2

    def test_a_workspaces_new_secret_counts_at_once_wherever_the_one_before_is_remembered(
        self, client: FlaskClient, product: Product
    ) -> None:
        assert from_intercom(client, notification()).status_code == 200
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, client_secret=product.services.vault.seal("new"))
        body = notification(id="notif_2")
        assert from_intercom(client, body).status_code == 401
        assert from_intercom(client, body, signed(body, "new")).status_code == 200
        assert stored(product) == 2

    def test_a_campaign_that_is_gone_has_no_address_wherever_it_is_remembered(
        self, client: FlaskClient, product: Product
    ) -> None:
        assert client.post(JOINED, json=lead(), headers=SECRET).status_code == 200
        with product.database.writing() as connection:
            campaigns.change(connection, product.campaign_id, webhook_key="another")
        assert client.post(JOINED, json=lead(id=8), headers=SECRET).status_code == 401
        assert client.post(JOINED, json=lead(id=9), headers=SECRET).status_code == 404
        assert stored(product) == 1

    def test_a_disconnected_workspace_is_still_verified_and_kept(self, client: FlaskClient, product: Product) -> None:
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="disconnected", token=None, token_digest=None)
        assert from_intercom(client, notification()).status_code == 200


BIG = b'{"email": "' + b"x" * (1024 * 1024) + b'"}'

REFUSED: list[tuple[str, str, bytes, str, dict[str, str], int]] = [
    ("unknown key", "/webhooks/referral-factory/nobody/joined", b"{}", JSON, SECRET, 404),
    ("unknown topic", "/webhooks/referral-factory/key-1/left", b"{}", JSON, SECRET, 404),
    ("unknown key, too large as well", "/webhooks/referral-factory/nobody/joined", BIG, JSON, SECRET, 404),
    ("key with a nul", "/webhooks/referral-factory/a%00b/joined", b"{}", JSON, SECRET, 404),
    ("too large", JOINED, BIG, JSON, SECRET, 413),
    ("too large and no content type we take", JOINED, BIG, "text/xml", {}, 413),
    ("text", JOINED, b"hello", "text/plain", SECRET, 415),
    ("xml and no secret", JOINED, b"<a/>", "application/xml", {}, 415),
    ("multipart", JOINED, b"--x--", "multipart/form-data; boundary=x", SECRET, 415),
    ("no content type", JOINED, b"{}", "", SECRET, 415),
    ("broken json", JOINED, b"{", JSON, SECRET, 400),
    ("broken json and no secret", JOINED, b"{", JSON, {}, 400),
    ("empty", JOINED, b"", JSON, SECRET, 400),
    ("a list", JOINED, b"[1]", JSON, SECRET, 400),
    ("a number", JOINED, b"7", JSON, SECRET, 400),
    ("null", JOINED, b"null", JSON, SECRET, 400),
    ("not utf-8", JOINED, b'{"a": "\xff"}', JSON, SECRET, 400),
    ("not a number", JOINED, b'{"a": NaN}', JSON, SECRET, 400),
    ("nested without end", JOINED, b"[" * 100_000, JSON, SECRET, 400),
    ("nested objects", JOINED, b'{"a":' * 100_000, JSON, SECRET, 400),
    ("a number beyond all", JOINED, b'{"a": 1e999}', JSON, SECRET, 400),
    ("a number of ten thousand digits", JOINED, b'{"a": ' + b"9" * 10_000 + b"}", JSON, SECRET, 400),
    ("a form that is none", JOINED, b"&&&", "application/x-www-form-urlencoded", SECRET, 400),
    ("a form not in utf-8", JOINED, b"a=%ff", "application/x-www-form-urlencoded", SECRET, 400),
    ("no secret", JOINED, b"{}", JSON, {}, 401),
    ("wrong secret", JOINED, b"{}", JSON, {"X-Referloop-Secret": "guess"}, 401),
    ("empty secret", JOINED, b"{}", JSON, {"X-Referloop-Secret": ""}, 401),
    ("secret with odd bytes", JOINED, b"{}", JSON, {"X-Referloop-Secret": "sécret\xff"}, 401),
    ("another campaign's secret", JOINED, b"{}", JSON, {"X-Referloop-Secret": "client-secret"}, 401),
    ("broken basic", JOINED, b"{}", JSON, {"Authorization": "Basic !!!"}, 401),
    ("bearer", JOINED, b"{}", JSON, {"Authorization": "Bearer webhook-secret"}, 401),
    ("intercom: form", "/webhooks/intercom", b"app_id=app1", "application/x-www-form-urlencoded", {}, 415),
    ("intercom: too large", "/webhooks/intercom", BIG, JSON, {}, 413),
    ("intercom: broken", "/webhooks/intercom", b"{", JSON, {}, 400),
    ("intercom: no signature", "/webhooks/intercom", notification(), JSON, {}, 401),
    ("intercom: unknown workspace", "/webhooks/intercom", notification(app_id="x"), JSON,
     signed(notification(app_id="x")), 401),
    ("intercom: workspace is no text", "/webhooks/intercom", notification(app_id={"a": 1}), JSON, {}, 401),
    ("intercom: workspace with a nul", "/webhooks/intercom", notification(app_id="a\0"), JSON, {}, 401),
    ("intercom: workspace is half a character", "/webhooks/intercom", b'{"app_id": "\\ud800"}', JSON, {}, 401),
    ("intercom: wrong secret", "/webhooks/intercom", notification(), JSON, signed(notification(), "guess"), 401),
    ("intercom: empty secret", "/webhooks/intercom", notification(), JSON, signed(notification(), ""), 401),
    ("intercom: signature of another body", "/webhooks/intercom", notification(), JSON, signed(b"{}"), 401),
    ("intercom: sha256", "/webhooks/intercom", notification(), JSON,
     {"X-Hub-Signature": "sha256=" + "0" * 64}, 401),
    ("intercom: odd signature", "/webhooks/intercom", notification(), JSON, {"X-Hub-Signature": "sha1=é"}, 401),
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "body", "content_type", "headers", "status"),
    [row[1:] for row in REFUSED],
    ids=[r[0] for r in REFUSED],
)
def test_is_refused_in_the_order_of_the_contract_and_not_stored(
    client: FlaskClient,
    product: Product,
    address: str,
    body: bytes,
    content_type: str,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = client.post(address, data=body, content_type=content_type, headers=headers)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    problem = json.loads(answer.data)
    assert problem["status"] == status
    assert {"type", "title", "detail", "cause"} <= problem.keys()
    assert (stored(product), product.bell.rings) == (0, 0)


@pytest.mark.parametrize(("address", "content_type"), [(JOINED, JSON), (JOINED, FORM), ("/webhooks/intercom", JSON)])
@pytest.mark.parametrize(("size", "too_large"), [(MOST_BYTES, False), (MOST_BYTES + 1, True), (3 * MOST_BYTES, True)])
def test_a_body_of_undeclared_length_is_counted_and_never_cut(
    client: FlaskClient, address: str, content_type: str, size: int, too_large: bool
) -> None:
    opening = b"a=" if content_type == FORM else b'"'
    answer = client.post(
        address,
        input_stream=io.BytesIO(opening + b"x" * (size - len(opening))),
        content_type=content_type,
        headers=SECRET,
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )
    assert (answer.status_code == 413) is too_large


@pytest.mark.parametrize("body", [b"{}", b"a=1"])
@pytest.mark.parametrize("trick", [{}, {"Content-Encoding": "gzip"}, {"Transfer-Encoding": "identity"}])
def test_what_is_verified_but_not_understood_is_kept_for_a_replay(
    client: FlaskClient, product: Product, body: bytes, trick: dict[str, str]
) -> None:
    content_type = JSON if body == b"{}" else "application/x-www-form-urlencoded"
    answer = client.post(JOINED, data=body, content_type=content_type, headers={**SECRET, **trick})
    assert answer.status_code == 200
    product.work()
    assert product.event(int(answer.json["event_id"])).status == "dead"  # type: ignore[index]


class AwayIntake:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def keep(self, event: NewEvent) -> Receipt:
        raise self.error


@pytest.mark.parametrize("error", [OperationalError("insert", {}, Exception("gone")), TimeoutError()])
def test_without_a_database_the_sender_is_asked_to_come_again(
    client: FlaskClient, product: Product, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    client.application.extensions["referloop"] = replace(product.services, intake=AwayIntake(error))
    answer = client.post(JOINED, json=lead(), headers=SECRET)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert product.bell.rings == 0


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_payloads = st.dictionaries(st.text(), st.recursive(_scalars, lambda s: st.lists(s) | st.dictionaries(st.text(), s)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=_payloads)
def test_whatever_a_proven_sender_sends_is_kept_and_settled(
    client: FlaskClient, product: Product, payload: dict[str, Any]
) -> None:
    answer = client.post(JOINED, data=json.dumps(payload), content_type=JSON, headers=SECRET)
    assert answer.status_code == 200
    body = json.dumps({**payload, "app_id": "app1"}).encode()
    assert from_intercom(client, body).status_code == 200
    product.work_until_idle()
    with product.database.reading() as connection:
        unsettled = connection.execute(select(events.c.status).where(events.c.settled_at.is_(None))).all()
        broken = connection.execute(select(events.c.error).where(events.c.cause == "internal_error")).all()
    assert (unsettled, broken) == ([], [])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=400), header=st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_no_stranger_is_answered_5xx_or_stored(
    client: FlaskClient, product: Product, body: bytes, header: str
) -> None:
    for address in (JOINED, "/webhooks/intercom"):
        for content_type in (JSON, "application/x-www-form-urlencoded"):
            answer = client.post(
                address,
                data=body,
                content_type=content_type,
                headers={"X-Hub-Signature": header, "X-Referloop-Secret": header},
            )
            assert answer.status_code in (400, 401, 415)
    assert stored(product) == 0


def test_a_form_of_thousands_of_fields_is_refused(client: FlaskClient) -> None:
    body = urlencode({f"f{number}": 1 for number in range(2000)})
    answer = client.post(JOINED, data=body, content_type="application/x-www-form-urlencoded", headers=SECRET)
    assert answer.status_code == 400
