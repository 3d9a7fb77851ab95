"""What leaves for Sentry: kind and place of an error, and nobody's data, however an exception came to hold it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from config.logging import scrub, set_up_sentry

EMAIL, TOKEN, NAME = "friend@example.com", "dG9rOmFiY2RlZg_secret-token", "Friedrich Webhooker"
PAYLOAD = MappingProxyType({"email": EMAIL, "first_name": NAME, "token": TOKEN})
SECRETS = (EMAIL, TOKEN, NAME, "friend%40example", "Friedrich")


class Kept(Transport):
    """Sentry's own seam: takes what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize())

    @property
    def text(self) -> str:
        return b"\n".join(self.sent).decode()


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """As the product sets it up, but for the network."""
    kept, init = Kept(), sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: init(**options, transport=kept))
    set_up_sentry("https://key@sentry.example.com/1", "web")
    yield kept
    init()


def fail(payload: Mapping[str, str]) -> None:
    token = payload["token"]
    try:
        raise KeyError(f"Bearer {token}")
    except KeyError as error:
        error.add_note(f"while working on {payload}")
        raise ValueError(f"Key (email)=({payload['email']}) of {payload}") from error


def test_an_error_is_told_with_kind_and_place(transport: Kept) -> None:
    with pytest.raises(ValueError, match="Key") as raised:
        fail(PAYLOAD)
    sentry_sdk.capture_exception(raised.value)
    assert len(transport.sent) == 1
    for told in ('"ValueError"', '"KeyError"', '"fail"', "test_sentry.py", '"process":"web"'):
        assert told in transport.text


def test_nobody_is_named_by_message_variable_note_request_or_crumb(transport: Kept) -> None:
    with sentry_sdk.isolation_scope() as scope:
        scope.set_user({"email": EMAIL})
        scope.set_extra("payload", dict(PAYLOAD))
        scope.set_context("payload", dict(PAYLOAD))
        scope.add_breadcrumb(message=f"GET /people?email={EMAIL}", data=dict(PAYLOAD))
        scope.add_event_processor(_with_request)
        with pytest.raises(ValueError, match="Key") as raised:
            fail(PAYLOAD)
        sentry_sdk.capture_exception(raised.value)
    assert len(transport.sent) == 1
    assert [secret for secret in SECRETS if secret in transport.text] == []


def _with_request(event: Any, _hint: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": TOKEN}
    event["request"] = {"url": f"https://x/people?email={EMAIL}", "headers": headers, "data": dict(PAYLOAD)}
    return event


def test_a_logged_error_is_named_by_its_word_only(transport: Kept) -> None:
    log = logging.getLogger("app.test")
    try:
        fail(PAYLOAD)
    except ValueError:
        log.exception("refused %s", PAYLOAD)
        log.error("bell_broken")
        log.error({"event": "worker_failed", "email": EMAIL})
    assert [secret for secret in SECRETS if secret in transport.text] == []
    assert '"message":"worker_failed"' in transport.text
    assert '"message":"bell_broken"' in transport.text


def test_what_a_later_version_finds_to_send_is_not_sent() -> None:
    event = {"event_id": "1", "spans": [EMAIL], "something_new": PAYLOAD, "exception": {"values": [{"value": EMAIL}]}}
    assert EMAIL not in str(scrub(event))
    assert scrub(event)["event_id"] == "1"


def test_without_an_address_nothing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry_sdk, "init", lambda **_: pytest.fail("set up"))
    set_up_sentry(None, "web")
