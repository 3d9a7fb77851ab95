"""What a form was sent with: read by the API's own schemas, and its faults shown at its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import marshmallow
from flask import request

from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest, RateLimited, Shut, Unavailable
from app.web.problems import vendor_cause
from schemas.api_faults import field_errors
from schemas.api_fields import LARGEST_COUNT


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why what was sent is not done: ``faults`` are the details by their fields' names, as in ``user_limit``."""

    cause: Cause
    detail: str
    status: int
    faults: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    """Which of a page's forms was sent."""

    @property
    def as_a_whole(self) -> bool:
        """Whether there is more to say than stands at the fields."""
        return not self.faults


def read(schema: type[marshmallow.Schema], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a form was sent with, as the API would read it.

    Raises: InvalidRequest 422 with every fault.
    """
    try:
        loaded: dict[str, Any] = schema().load(given)
    except marshmallow.ValidationError as error:
        raise InvalidRequest("Some fields can't be used as they are.", errors=field_errors(error.messages)) from error
    return loaded


def sent(*names: str) -> dict[str, str]:
    """The form's fields of those names, blank where they are missing."""
    return {name: request.form.get(name, "") for name in names}


def whole(text: str) -> int | str | None:
    """A number as people write it (``20,000``); blank is none, and what is no number is left to the schema."""
    digits = text.replace(",", "").replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
    if not digits:
        return None
    return min(int(digits[:20]), LARGEST_COUNT + 1) if digits.isascii() and digits.isdigit() else text


def refusal(error: InvalidRequest | ApiError, form: str = "") -> Refusal:
    """Raises: InvalidRequest 404 as it came: then there is no page to show it on."""
    if isinstance(error, ApiError):
        away = isinstance(error, RateLimited | Unavailable | Shut)
        return Refusal(vendor_cause(error), str(error), 503 if away else 422, form=form)
    if error.status == 404:
        raise error
    faults: dict[str, str] = {}
    for fault in error.errors:
        faults.setdefault(fault.pointer.split("/")[1] if "/" in fault.pointer else "", fault.detail)
    return Refusal(Cause(error.cause), error.detail, error.status, faults, form)
