"""Lists page by page: a cursor is the key of the last item, wrapped up so that nobody builds on it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.core.text import is_storable
from schemas.api_fields import LARGEST_ID

Item = TypeVar("Item")


def cursor_from(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def id_in(cursor: str | None) -> int | None:
    """The id that a cursor holds, ``None`` on the first page.

    Raises: InvalidRequest 422 for a cursor that is none of ours.
    """
    if cursor is None:
        return None
    key = _key_in(cursor)
    if not isinstance(key, int) or isinstance(key, bool) or not 0 < key <= LARGEST_ID:
        raise _broken()
    return key


def texts_in(cursor: str | None, number: int) -> tuple[str, ...] | None:
    """The ``number`` texts that a cursor holds.

    Raises: InvalidRequest 422 for a cursor that is none of ours.
    """
    if cursor is None:
        return None
    key = _key_in(cursor)
    if not isinstance(key, list) or len(key) != number:
        raise _broken()
    if not all(isinstance(part, str) and is_storable(part) for part in key):
        raise _broken()
    return tuple(key)


def _key_in(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise _broken() from error


def _broken() -> InvalidRequest:
    detail = "This is no cursor of this list. Take next_cursor as it was answered."
    return InvalidRequest(detail, errors=(FieldError("/cursor", Cause.INVALID_REQUEST, detail),))


def page_of(
    rows: Sequence[Item],
    limit: int,
    show: Callable[[Item], Any],
    key: Callable[[Item], object] = lambda row: row.id,  # type: ignore[attr-defined]  # most are rows with an id
) -> dict[str, Any]:
    """``rows`` are one more than ``limit`` where the list goes on."""
    shown = rows[:limit]
    following = cursor_from(key(shown[-1])) if len(rows) > limit else None
    return {"items": [show(row) for row in shown], "next_cursor": following}


def page_within(
    rows: Iterable[Item],
    query: dict[str, Any],
    show: Callable[[Item], Any],
    key: Callable[[Item], tuple[str, ...]],
    *,
    parts: int,
) -> dict[str, Any]:
    """A page of a list that is in memory as a whole, in the order of its ``key``, which has ``parts`` parts."""
    after = texts_in(query.get("cursor"), parts)
    following = sorted((row for row in rows if after is None or key(row) > after), key=key)
    return page_of(following[: query["limit"] + 1], query["limit"], show, key)
