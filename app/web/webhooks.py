"""The webhook doors. Never 410 or 429 (Intercom disables or throttles the subscription), never 5xx for a body that
the sender can't mend, and never a wait for Redis or a vendor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import structlog
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.core.errors import InvalidRequest
from app.storage.inbox import Receipt
from app.usecases import receive_event
from app.usecases.services import Services

MOST_BYTES = 1024 * 1024
MOST_FIELDS = 1000

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

webhooks = Blueprint("webhooks", __name__, url_prefix="/webhooks")


def _services() -> Services:
    services: Services = current_app.extensions["referloop"]
    return services


@webhooks.route("/intercom", methods=["HEAD"], provide_automatic_options=False)
def intercom_checks_the_address() -> Response:
    return Response(status=200)


@webhooks.post("/intercom")
def from_intercom() -> Response:
    body = _body()
    _content_type(JSON)
    payload = _object(body, JSON)
    return _answer(
        receive_event.receive_from_intercom(
            _services(), body=body, payload=payload, signature=request.headers.get("X-Hub-Signature")
        )
    )


@webhooks.post("/referral-factory/<key>/<topic>")
def from_referral_factory(key: str, topic: str) -> Response:
    door = receive_event.campaign_door(_services(), key, topic)
    body = _body()
    content_type = _content_type(JSON, FORM)
    payload = _object(body, content_type)
    return _answer(
        receive_event.receive_from_referral_factory(
            _services(),
            door,
            topic,
            body=body,
            content_type=content_type,
            payload=payload,
            secret=_secret(),
        )
    )


def _secret() -> str | None:
    given = request.headers.get("X-Referloop-Secret")
    if given is None and request.authorization is not None and request.authorization.type == "basic":
        given = request.authorization.password
    return given


def _answer(receipt: Receipt) -> Response:
    structlog.contextvars.bind_contextvars(event_id=receipt.event_id)
    body = json.dumps({"event_id": str(receipt.event_id), "duplicate": receipt.duplicate})
    return Response(body, content_type=JSON)


def _body() -> bytes:
    request.max_content_length = MOST_BYTES
    if (request.content_length or 0) > MOST_BYTES:
        _too_large()
    try:
        return request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge:
        _too_large()


def _too_large() -> NoReturn:
    raise InvalidRequest("The body is larger than 1 MiB.", status=413)


def _content_type(*accepted: str) -> str:
    if request.mimetype not in accepted:
        raise InvalidRequest(
            f"The content type must be {' or '.join(accepted)}.",
            status=415,
        )
    return request.mimetype


def _object(body: bytes, content_type: str) -> Mapping[str, Any]:
    try:
        parsed = _json(body) if content_type == JSON else _form(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body can't be read as what its content type says.", status=400) from error
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be one object with names and values.", status=400)
    return parsed


def _json(body: bytes) -> Any:
    return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _form(body: bytes) -> dict[str, str]:
    pairs = parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
    )
    return dict(pairs)
