"""A request's body as an object: from JSON, strictly, or from a form."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from app.core.errors import InvalidRequest

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

MOST_FIELDS: Final = 1000

_NESTED: Final = re.compile(r"^([^\[\]]+)\[([^\[\]]+)\]$")


def object_from(body: bytes, content_type: str) -> dict[str, Any]:
    """The object in a body.

    Raises: InvalidRequest 415 for another content type, 400 for what is not an object of that form.
    """
    if content_type == FORM:
        return _form(body)
    if content_type != JSON:
        raise InvalidRequest(f"The content type must be {JSON} or {FORM}.", status=415)
    payload = json_from(body)
    if not isinstance(payload, dict):
        raise InvalidRequest("The body must be one object with names and values.", status=400)
    return payload


def json_from(body: bytes) -> Any:
    """What a body says, if it is JSON by the standard: no NaN, no number that is none here.

    Raises: InvalidRequest 400 otherwise, however deep or long it is.
    """
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.", status=400) from error


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refused, parse_float=_finite)


def _form(body: bytes) -> dict[str, Any]:
    """A form's fields; ``referrer[email]`` is how PHP nests them."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise InvalidRequest("The body is not a form.", status=400) from error
    if not pairs:
        raise InvalidRequest("The body is an empty form.", status=400)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        nested = _NESTED.match(name)
        below = fields.setdefault(nested[1], {}) if nested else fields
        if isinstance(below, dict):
            below[nested[2] if nested else name] = value
    return fields
