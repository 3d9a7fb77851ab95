"""Notifications: what they hold, how they are signed, repeated, lost and ended. These open sockets."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sandbox import seed, server
from sandbox.server import Sandbox
from tests.sandbox.conftest import Caller

pytestmark = pytest.mark.enable_socket


class Receiver:
    """Takes notifications and answers as told."""

    def __init__(self, http: HTTPServer) -> None:
        self.url = http.url_for("/hook")
        self.received: list[Request] = []
        self.statuses: list[int] = []
        http.expect_request("/hook").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        request.get_data()
        if request.method != "HEAD":
            self.received.append(request)
            if self.statuses:
                return Response(status=self.statuses.pop(0))
        return Response(status=200)

    def topics(self) -> list[str]:
        return [request.get_json()["topic"] for request in self.received]


@pytest.fixture(scope="module")
def http() -> Iterator[HTTPServer]:
    with HTTPServer(port=0) as running:
        yield running


@pytest.fixture
def receiver(http: HTTPServer) -> Receiver:
    http.clear()
    return Receiver(http)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with server.start(index_delay_seconds=0) as running:
        yield running


@pytest.fixture
def intercom(sandbox: Sandbox) -> Caller:
    return Caller(sandbox.app.test_client(), "/intercom", seed.DEFAULT_TOKEN)


@pytest.fixture
def control(sandbox: Sandbox) -> Caller:
    return Caller(sandbox.app.test_client(), "/control")


@pytest.fixture
def subscribed(control: Caller, receiver: Receiver) -> Receiver:
    answer = control("POST", "/intercom/sandbox1/webhook", {"url": receiver.url})
    assert answer.json == {"head": 200}
    return receiver


def _settled(sandbox: Sandbox) -> None:
    assert sandbox.state.sender.settle()


def test_a_notification_has_intercoms_envelope_and_signature(
    sandbox: Sandbox, intercom: Caller, subscribed: Receiver
) -> None:
    body = {"role": "user", "email": "a@b.co", "signed_up_at": 1768019995, "custom_attributes": {"plan": "pro"}}
    made = intercom("POST", "/contacts", body).json
    _settled(sandbox)
    (request,) = subscribed.received
    digest = hmac.new(seed.DEFAULT_CLIENT_SECRET.encode(), request.get_data(), hashlib.sha1).hexdigest()
    assert request.headers["X-Hub-Signature"] == f"sha1={digest}"
    assert request.headers["User-Agent"] == "intercom-parrot-service-client/1.0"
    envelope = request.get_json()
    assert list(envelope) == [
        *("type", "app_id", "data", "links", "id", "topic", "delivery_status", "delivery_attempts"),
        *("delivered_at", "first_sent_at", "created_at", "self"),
    ]
    assert re.fullmatch(r"notif_[0-9a-f-]{36}", envelope["id"])
    assert (envelope["app_id"], envelope["topic"]) == ("sandbox1", "contact.user.created")
    item = envelope["data"]["item"]
    assert set(made) - set(item) == {"email_domain"}
    assert item["custom_attributes"] == {"plan": "pro"}
    assert item["signed_up_at"] == "2026-01-10T04:39:55.000+00:00"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", item["updated_at"])
    assert isinstance(envelope["created_at"], int)


def test_each_change_has_its_topics(
    sandbox: Sandbox, intercom: Caller, control: Caller, subscribed: Receiver
) -> None:
    def expect(method: str, path: str, body: Any, *topics: str) -> Any:
        subscribed.received.clear()
        answer = intercom(method, path, body).json
        _settled(sandbox)
        assert sorted(subscribed.topics()) == sorted(topics)
        return answer

    lead = expect("POST", "/contacts", {"role": "lead"}, "contact.lead.created")["id"]
    path = f"/contacts/{lead}"
    added = ("contact.lead.added_email", "contact.lead.updated")
    expect("PUT", path, {"email": "a@b.co"}, *added)
    expect("PUT", path, {"custom_attributes": {"plan": "pro"}}, "contact.lead.updated")
    expect("PUT", path, {"role": "user", "external_id": "1"}, "contact.lead.signed_up")
    expect("PUT", path, {"email": "b@b.co"}, "contact.email.updated", "contact.user.updated")
    tag = expect("POST", "/tags", {"name": "VIP"})["id"]
    expect("POST", f"{path}/tags", {"id": tag}, "contact.user.tag.created")
    expect("DELETE", f"{path}/tags/{tag}", None, "contact.user.tag.deleted")
    expect("POST", f"{path}/archive", None, "contact.archived")
    gone = {"id": lead, "external_id": "1", "type": "contact", "archived": True}
    assert subscribed.received[0].get_json()["data"]["item"] == gone
    expect("POST", f"{path}/unarchive", None, "contact.unarchive")
    other = expect("POST", "/contacts", {"role": "lead", "email": "b@b.co"}, "contact.lead.created")["id"]
    expect("POST", "/contacts/merge", {"from": other, "into": lead}, "contact.merged")
    merged = subscribed.received[0].get_json()["data"]["item"]
    assert (merged["id"], merged["merged_from"]) == (lead, {"type": "contact", "id": other})
    expect("DELETE", path, None, "contact.deleted")
    del gone["archived"]
    assert subscribed.received[0].get_json()["data"]["item"] == {**gone, "deleted": True}


def test_only_subscribed_topics_are_sent_and_ping_always(
    sandbox: Sandbox, intercom: Caller, control: Caller, receiver: Receiver
) -> None:
    subscription = {"url": receiver.url, "topics": ["contact.user.updated"]}
    control("POST", "/intercom/sandbox1/webhook", subscription)
    intercom("POST", "/contacts", {"email": "a@b.co"})
    control("POST", "/intercom/sandbox1/ping")
    _settled(sandbox)
    (request,) = receiver.received
    assert (request.get_json()["topic"], request.get_json()["id"]) == ("ping", None)


def test_own_writes_need_not_echo_but_a_teammates_always_do(
    sandbox: Sandbox, intercom: Caller, control: Caller, subscribed: Receiver
) -> None:
    sandbox.state.settings.change({"echo_own_writes": False, "merged_from_in_webhook": False})
    made = intercom("POST", "/contacts", {"email": "a@b.co"}).json
    control("PUT", f"/intercom/sandbox1/contacts/{made['id']}", {"custom_attributes": {"plan": "pro"}})
    intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"})
    control("POST", "/intercom/sandbox1/auto-merge", {"email": "a@b.co"})
    control("POST", f"/intercom/sandbox1/contacts/{made['id']}/archive")
    control("POST", "/intercom/sandbox1/contacts", {"role": "lead", "custom_attributes": {"Health score": 5}})
    _settled(sandbox)
    assert sorted(subscribed.topics()) == [
        *("contact.archived", "contact.lead.created", "contact.merged", "contact.user.updated")
    ]
    by_topic = {request.get_json()["topic"]: request.get_json()["data"]["item"] for request in subscribed.received}
    assert by_topic["contact.lead.created"]["custom_attributes"] == {"Health score": 5}
    assert all("merged_from" not in request.get_json()["data"]["item"] for request in subscribed.received)


def test_a_failed_one_is_sent_once_more_after_a_minute(
    sandbox: Sandbox, intercom: Caller, control: Caller, subscribed: Receiver
) -> None:
    subscribed.statuses = [500, 500]
    intercom("POST", "/contacts", {"email": "a@b.co"})
    _settled(sandbox)
    sandbox.advance(59)
    _settled(sandbox)
    assert len(subscribed.received) == 1
    sandbox.advance(2)
    _settled(sandbox)
    first, second = (request.get_json() for request in subscribed.received)
    assert second == {**first, "delivery_attempts": 2}
    sandbox.advance(3600)
    _settled(sandbox)
    assert len(subscribed.received) == 2
    assert control("GET", "/webhooks").json["sent"][0]["attempts"] == 2


def test_410_ends_the_subscription(sandbox: Sandbox, intercom: Caller, subscribed: Receiver) -> None:
    subscribed.statuses = [410]
    for email in ("a@b.co", "b@b.co"):
        intercom("POST", "/contacts", {"email": email})
        _settled(sandbox)
    assert len(subscribed.received) == 1
    assert sandbox.state.workspaces["sandbox1"].subscription.active is False


def test_429_puts_off(sandbox: Sandbox, intercom: Caller, subscribed: Receiver) -> None:
    subscribed.statuses = [429, 429]
    intercom("POST", "/contacts", {"email": "a@b.co"})
    for seconds in (0, 61, 121):
        sandbox.advance(seconds)
        _settled(sandbox)
    assert len(subscribed.received) == 3


def test_nobody_there_is_noted(sandbox: Sandbox, intercom: Caller, control: Caller) -> None:
    answer = control("POST", "/intercom/sandbox1/webhook", {"url": "http://127.0.0.1:9/"})
    assert answer.json == {"head": "no connection"}
    intercom("POST", "/contacts", {"email": "a@b.co"})
    _settled(sandbox)
    assert control("GET", "/webhooks").json["sent"][0]["answers"][0]["answer"] == "no connection"


@pytest.mark.parametrize(
    ("switch", "received"),
    [("lose", []), ("duplicate", ["a", "a", "b", "b"]), ("delay", ["a", "b"]), ("reorder", ["b", "a"])],
)
def test_notifications_go_astray_by_the_dice(
    sandbox: Sandbox, intercom: Caller, subscribed: Receiver, switch: str, received: list[str]
) -> None:
    sandbox.state.settings.change({f"intercom_webhook_{switch}": 1.0})
    intercom("POST", "/contacts", {"email": "a@b.co"})
    if switch == "reorder":
        sandbox.state.settings.change({"intercom_webhook_reorder": 0.0})
    intercom("POST", "/contacts", {"email": "b@b.co"})
    _settled(sandbox)
    if switch == "delay":
        assert subscribed.received == []
        sandbox.advance(11)
    if switch == "reorder":
        sandbox.advance(2)
    _settled(sandbox)
    emails = [request.get_json()["data"]["item"]["email"][0] for request in subscribed.received]
    assert (emails if switch == "reorder" else sorted(emails)) == received
    assert len({request.get_json()["id"] for request in subscribed.received}) == len(set(received))


Hook = Callable[..., None]


@pytest.fixture
def hook(control: Caller, receiver: Receiver) -> Hook:
    def add(topic: str, **more: Any) -> None:
        body = {"url": receiver.url, "topic": topic, **more}
        assert control("POST", "/referral-factory/1/webhooks", body).status_code == 200

    return add


def _sign_up(sandbox: Sandbox, email: str = "fay@example.com") -> None:
    code = sandbox.state.factory.accounts["sandbox"].people[1]["code"]
    form = {"first_name": "Fay", "email": email, "meta-1": "Friend", "meta-2": "Acme"}
    answer = requests.post(f"{sandbox.url}/r/{code}", data=form, timeout=5)
    assert answer.status_code == 200


def test_joined_carries_the_documented_names(sandbox: Sandbox, receiver: Receiver, hook: Hook) -> None:
    hook("joined", headers={"X-Referloop-Secret": "s"})
    _sign_up(sandbox)
    _settled(sandbox)
    (request,) = receiver.received
    assert request.headers["X-Referloop-Secret"] == "s"
    payload = request.get_json()
    rita = sandbox.state.factory.accounts["sandbox"].people[1]
    assert payload | {"code": "", "url": "", "signed_up_at": ""} == {
        "id": 2,
        "code": "",
        "email": "fay@example.com",
        "first_name": "Fay",
        "type": "person_invited",
        "source": "Referred",
        "url": "",
        "campaign_id": 1,
        "campaign_name": "Summer referral",
        "signed_up_at": "",
        "qualified_at": None,
        "referrals": 0,
        "qualified_referrals": 0,
        "referrer_id": 1,
        "referrer_code": rita["code"],
        "referrer_email": "rita@example.com",
        "referrer_first_name": "Rita Referrer",
        "referrer_url": f"{sandbox.url}/r/{rita['code']}",
        "Last Name": "Friend",
        "Company": "Acme",
    }


def test_the_customer_chooses_encoding_names_and_fields(sandbox: Sandbox, receiver: Receiver, hook: Hook) -> None:
    hook("joined", encoding="form", names="alternative", fields=["email", "first_name", "code", "qualified_at"])
    _sign_up(sandbox)
    _settled(sandbox)
    (request,) = receiver.received
    assert request.mimetype == "application/x-www-form-urlencoded"
    assert set(request.form) == {"email_address", "First Name", "referral_code", "qualified_at"}
    assert (request.form["email_address"], request.form["qualified_at"]) == ("fay@example.com", "")


def test_topics_sources_and_campaigns_choose_who_fires(
    sandbox: Sandbox, receiver: Receiver, hook: Hook, control: Caller
) -> None:
    hook("joined", sources=["Referred"], fields=["email"])
    hook("qualified", fields=["id"])
    hook("reward-issued", fields=["first_name"])
    factory = Caller(sandbox.app.test_client(), "/referral-factory", seed.DEFAULT_ACCOUNT_TOKEN)
    person = {"first_name": "F", "email": "x@example.com"}
    factory("POST", "/users", {**person, "campaign_id": 1})
    factory("POST", "/users", {**person, "campaign_id": 2})
    _sign_up(sandbox)
    for _ in range(2):
        factory("PUT", "/users/qualification", {"id": 4, "qualified": True})
    control("POST", "/referral-factory/reward-issued", {"id": 4})
    _settled(sandbox)
    bodies = sorted(str(request.get_json()) for request in receiver.received)
    assert bodies == ["{'email': 'fay@example.com'}", "{'first_name': 'Fay'}", "{'id': 4}"]
    control("DELETE", "/referral-factory/1/webhooks")
    _sign_up(sandbox, "late@example.com")
    _settled(sandbox)
    assert len(receiver.received) == 3


def test_a_failed_one_is_never_repeated(sandbox: Sandbox, receiver: Receiver, hook: Hook) -> None:
    hook("joined")
    receiver.statuses = [500]
    _sign_up(sandbox)
    _settled(sandbox)
    sandbox.advance(86400)
    _settled(sandbox)
    assert len(receiver.received) == 1


def test_they_can_be_doubled_and_lost(sandbox: Sandbox, receiver: Receiver, hook: Hook) -> None:
    hook("joined", fields=["email"])
    sandbox.state.settings.change({"referral_factory_webhook_duplicate": 1.0})
    _sign_up(sandbox)
    sandbox.state.settings.change({"referral_factory_webhook_lose": 1.0})
    _sign_up(sandbox, "lost@example.com")
    _settled(sandbox)
    assert [request.get_json() for request in receiver.received] == [{"email": "fay@example.com"}] * 2


def test_an_overtaken_one_comes_right_behind_the_next(
    sandbox: Sandbox, control: Caller, subscribed: Receiver
) -> None:
    sandbox.state.settings.change({"intercom_webhook_reorder": 1.0})
    people = [{"role": "lead", "email": f"{name}@b.co"} for name in "abcde"]
    control("POST", "/intercom/sandbox1/contacts", people[0])
    _settled(sandbox)
    assert subscribed.received == []
    for person in people[1:]:
        control("POST", "/intercom/sandbox1/contacts", person)
        _settled(sandbox)
        sandbox.advance(2)
        _settled(sandbox)
    sandbox.advance(31)  # nobody overtakes the last one
    _settled(sandbox)
    emails = [request.get_json()["data"]["item"]["email"][0] for request in subscribed.received]
    assert "".join(emails) == "badce"


def test_one_can_be_tripled_or_late_by_word(sandbox: Sandbox, control: Caller, subscribed: Receiver) -> None:
    changes = [
        {"role": "lead", "name": "Ann", "notification": "triple"},
        {"role": "lead", "name": "Bob", "notification": "late"},
    ]
    control("POST", "/intercom/sandbox1/contacts/changes", {"changes": changes})
    _settled(sandbox)
    bodies = [request.get_json() for request in subscribed.received]
    assert [body["data"]["item"]["name"] for body in bodies] == ["Ann"] * 3
    assert len({body["id"] for body in bodies}) == 1
    sandbox.advance(11)
    _settled(sandbox)
    assert subscribed.received[-1].get_json()["data"]["item"]["name"] == "Bob"


def test_a_late_one_tells_what_was_true_when_it_was_written(
    sandbox: Sandbox, intercom: Caller, control: Caller, subscribed: Receiver
) -> None:
    made = control("POST", "/intercom/sandbox1/contacts", {"role": "lead", "notification": "silent"}).json
    path = f"/intercom/sandbox1/contacts/{made['id']}"
    control("PUT", path, {"custom_attributes": {"plan": "pro"}, "notification": "late"})
    control("PUT", path, {"custom_attributes": {"plan": "trial"}})
    _settled(sandbox)
    sandbox.advance(11)
    _settled(sandbox)
    plans = [request.get_json()["data"]["item"]["custom_attributes"]["plan"] for request in subscribed.received]
    assert plans == ["trial", "pro"]
    assert intercom("GET", f"/contacts/{made['id']}").json["custom_attributes"] == {"plan": "trial"}
