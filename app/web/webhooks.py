"""The webhook doors. Never 410 or 429 (Intercom disables or throttles the subscription), never 5xx for a body that
the sender can't mend, and never a wait for Redis or a vendor."""

from __future__ import annotations

import json
from typing import NoReturn

import structlog
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.core.errors import InvalidRequest
from app.storage.inbox import Receipt
from app.usecases import receive_event
from app.usecases.services import Services
from schemas.bodies import FORM, JSON, object_from

MOST_BYTES = 1024 * 1024

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
    payload = object_from(body, JSON)
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
    payload = object_from(body, content_type)
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
    # One more than there may be: a body that declares no length is cut at the most that is asked for.
    request.max_content_length = MOST_BYTES + 1
    if (request.content_length or 0) > MOST_BYTES:
        _too_large()
    try:
        body = request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge:
        _too_large()
    if len(body) > MOST_BYTES:
        _too_large()
    return body


def _too_large() -> NoReturn:
    raise InvalidRequest("The body is larger than 1 MiB.", status=413)


def _content_type(*accepted: str) -> str:
    if request.mimetype not in accepted:
        raise InvalidRequest(
            f"The content type must be {' or '.join(accepted)}.",
            status=415,
        )
    return request.mimetype
