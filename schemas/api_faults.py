"""What marshmallow complains of, as faults with JSON pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.causes import Cause
from app.core.errors import FieldError

WHOLE = "_schema"
"""marshmallow's key for a complaint about an object as a whole."""


def field_errors(messages: Any, pointer: str = "") -> tuple[FieldError, ...]:
    """Every complaint below ``messages`` (``ValidationError.messages``), each under the pointer of its place."""
    return tuple(
        FieldError(where, Cause.INVALID_REQUEST, complaint) for where, complaint in _complaints(messages, pointer)
    )


def _complaints(messages: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for key, below in messages.items():
            yield from _complaints(below, pointer if key == WHOLE else f"{pointer}/{escaped(key)}")
    elif isinstance(messages, list):
        for below in messages:
            yield from _complaints(below, pointer)
    else:
        yield pointer, str(messages)


def escaped(key: object) -> str:
    """A name as one step of a JSON pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")
