"""How a call of the API is declared: its address, what it takes, what it answers.

flask-smorest reads bodies and queries, writes answers and describes them all. It has no types, so this module is the
only one that touches it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import flask_smorest
import marshmallow
from flask import Request, Response, current_app, g, jsonify, request
from webargs import core
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict
from werkzeug.routing import BaseConverter, ValidationError

from app.core.errors import InvalidRequest
from app.usecases.services import Services
from app.web.api.access import MOST_BYTES
from schemas.api_faults import field_errors
from schemas.api_fields import id_from
from schemas.bodies import json_from

View = TypeVar("View", bound=Callable[..., Any])

BODY, QUERY = "json", "query"


def services() -> Services:
    found: Services = current_app.extensions["referloop"]
    return found


def actor() -> str:
    """In whose name the request is made."""
    name: str = g.actor
    return name


class IdConverter(BaseConverter):
    """An id in an address. What can be none is not found."""

    regex = "[0-9]{1,40}"
    part_isolating = True

    def to_python(self, value: str) -> int:
        number = id_from(value)
        if number is None:
            raise ValidationError
        return number


class Parser(FlaskParser):
    """Reads bodies and queries strictly. Every fault becomes one ``InvalidRequest``."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {BODY: marshmallow.RAISE, QUERY: marshmallow.RAISE}  # noqa: RUF012

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data()
        return _json(req, body) if body else core.missing

    def load_querystring(self, req: Request, schema: marshmallow.Schema) -> Any:
        """A filter without a value is no filter."""
        given = MultiDict([(name, value) for name, value in req.args.items(multi=True) if value.strip()])
        return self._makeproxy(given, schema)

    def handle_error(self, error: marshmallow.ValidationError, *_: Any, **__: Any) -> NoReturn:
        ((location, messages),) = error.messages_dict.items()
        what = "The address has filters" if location == QUERY else "The body has fields"
        raise InvalidRequest(f"{what} that can't be used as they are.", errors=field_errors(messages)) from error


def json_body() -> Any:
    """The body where a use case reads it by itself, to find all of its faults at once.

    Raises: InvalidRequest 400 for what is not JSON, 413 for too much of it, 415 for what does not say it is.
    """
    return _json(request, request.get_data())


def _json(req: Request, body: bytes) -> Any:
    if len(body) > MOST_BYTES:
        raise InvalidRequest("The body is larger than 1 MiB.", status=413)
    if not req.is_json:
        raise InvalidRequest("The content type must be application/json.", status=415)
    return json_from(body)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # it has no types
    ARGUMENTS_PARSER = Parser()


def group(name: str, description: str) -> Any:
    """A group of calls, one section of the description."""
    return Blueprint(name, __name__, url_prefix="/api/v1", description=description)


Schema = type[marshmallow.Schema]


def answered(schema: Schema, answer: object, status: int) -> Response:
    """An answer that is not the one a call has as a rule."""
    response = jsonify(schema().dump(answer))
    response.status_code = status
    return response


def call(
    calls: Any,
    method: str,
    rule: str,
    *,
    answers: Schema | None = None,
    status: int = 200,
    body: Schema | None = None,
    optional_body: bool = False,
    query: Schema | None = None,
    described_body: Schema | None = None,
    or_answers: tuple[int, Schema] | None = None,
    content_type: str | None = None,
) -> Callable[[View], View]:
    """Declare a view. It is given what ``body`` or ``query`` have read, and answers what ``answers`` writes.

    For the description only: ``described_body`` (the view reads the body with ``json_body``), ``or_answers`` (what
    the view may answer instead, with its status, by ``answered``) and ``content_type`` (of text that it answers).
    """

    def declare(view: View) -> View:
        declared: Any = view
        if body is not None:
            declared = calls.arguments(body, location=BODY, required=not optional_body)(declared)
        if query is not None:
            declared = calls.arguments(query, location=QUERY)(declared)
        described_answer = {"type": "string"} if content_type is not None else answers
        declared = calls.response(status, described_answer, content_type=content_type)(declared)
        if or_answers is not None:
            declared = calls.alt_response(or_answers[0], schema=or_answers[1], success=True)(declared)
        described: dict[str, Any] = {"operationId": view.__name__}
        if described_body is not None:
            content = {"application/json": {"schema": described_body}}
            described["requestBody"] = {"required": True, "content": content}
        calls.route(rule, methods=[method])(calls.doc(**described)(declared))
        return view

    return declare
