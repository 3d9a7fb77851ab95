"""Search and list: who matches, page by page."""

from __future__ import annotations

import base64
import binascii
import json
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from sandbox.intercom import query as queries
from sandbox.intercom.refusals import Refused, invalid
from sandbox.intercom.state import Contact, Workspace

if TYPE_CHECKING:
    from sandbox.settings import Settings

MOST_PER_PAGE = 150
SEARCH_PER_PAGE = 50
LIST_PER_PAGE = 10
INDEXED = ("id", "email", "external_id")
ORDERS = ("ascending", "descending")

# Later pages may come from an answer computed moments ago: the index is minutes old anyway, and a walk through
# a large workspace would otherwise test every contact for every page.
KEPT_SECONDS = 5.0

Page = tuple[list[Contact], int, dict[str, Any]]


def search(
    workspace: Workspace, settings: Settings, now: float, body: dict[str, Any], version: tuple[int, int]
) -> Page:
    """POST /contacts/search: the contacts of a page, how many in all, and the `pages` object."""
    workspace.index.catch_up(now)
    pagination = body.get("pagination") or {}
    if not isinstance(pagination, dict):
        raise invalid("pagination must be an object")
    per_page = _per_page(settings, pagination.get("per_page"), SEARCH_PER_PAGE)
    sort_field, descending = _sort(workspace, body.get("sort"), version)
    test = queries.parse(workspace, body.get("query"), now)
    after = _cursor(pagination["starting_after"]) if "starting_after" in pagination else None
    key = (json.dumps(body.get("query"), sort_keys=True), sort_field, descending, int(now) // 30)
    rows = _rows(workspace, body.get("query"), test, key, fresh=after is None)
    start = _place(rows, after, descending)
    chosen = rows[start : start + per_page]
    found = [workspace.index.contacts[row[1]] for row in chosen if row[1] in workspace.index.contacts]
    page = after[2] if after else 1
    more = start + per_page < len(rows)
    return found, len(rows), _pages(page, per_page, len(rows), chosen[-1] if more else None)


def _rows(
    workspace: Workspace, query: Any, test: queries.Test, key: tuple[str, str, bool, int], *, fresh: bool
) -> list[tuple[Any, str]]:
    answers = workspace.index.answers
    kept = answers.get(key)
    if kept and (kept[1] == workspace.index.version or not fresh) and time.monotonic() - kept[0] < KEPT_SECONDS:
        return kept[2]
    read = queries.reader(key[1])
    candidates = _candidates(workspace, query)
    contacts = workspace.index.contacts
    people = contacts.values() if candidates is None else [contacts[each] for each in candidates]
    rows = [(_sortable(read(contact)), contact["id"]) for contact in people if test(contact)]
    rows.sort(reverse=key[2])
    if candidates is None:
        answers[key] = (time.monotonic(), workspace.index.version, rows)
        while len(answers) > 32:
            answers.popitem(last=False)
    return rows


def _candidates(workspace: Workspace, query: dict[str, Any]) -> set[str] | None:
    """The only contacts that can match, where an index tells; else None, and all are tested."""
    operator, value = query["operator"], query["value"]
    if "field" in query:
        if query["field"] not in INDEXED or operator not in ("=", "IN"):
            return None
        wanted = value if operator == "IN" else [value]
        if any(one in (None, "") for one in wanted):
            return None
        return set().union(*(workspace.index.having(query["field"], one) for one in wanted))
    parts = [_candidates(workspace, part) for part in value]
    known = [part for part in parts if part is not None]
    if operator == "AND":
        return min(known, key=len) if known else None
    return set().union(*known) if len(known) == len(parts) else None


def _sortable(value: Any) -> tuple[bool, Any]:
    if isinstance(value, dict):
        value = json.dumps(value, sort_keys=True)
    return (value is not None, value if value is not None else 0)


def _sort(workspace: Workspace, sort: Any, version: tuple[int, int]) -> tuple[str, bool]:
    if sort is None:
        return "updated_at", True
    if not isinstance(sort, dict):
        raise invalid("sort must be an object")
    order = sort.get("order", "descending")
    if order not in ORDERS and version >= (2, 16):
        message = f"Invalid sort order '{order}'. Must be one of: ascending, descending"
        raise Refused(400, "invalid_sort_order", message)
    field = sort.get("field", "updated_at")
    queries.field_type(workspace, field)
    return field, order != "ascending"


def _per_page(settings: Settings, given: Any, default: int) -> int:
    if given is None:
        return default
    try:
        per_page = int(given)
    except (TypeError, ValueError):
        raise invalid("per_page must be a number") from None
    if per_page > MOST_PER_PAGE and settings.per_page_above_max == "error":
        raise invalid(f"per_page can be {MOST_PER_PAGE} at most")
    return max(1, min(per_page, MOST_PER_PAGE))


def _place(rows: list[tuple[Any, str]], after: tuple[Any, str, int] | None, descending: bool) -> int:
    if after is None:
        return 0
    mark = (tuple(after[0]), after[1])
    try:
        if not descending:
            return bisect_right(rows, mark)
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) // 2
            if rows[middle] < mark:
                high = middle
            else:
                low = middle + 1
        return low
    except TypeError:
        raise _bad_cursor() from None


def _pages(page: int, per_page: int, total: int, last: tuple[Any, str] | None) -> dict[str, Any]:
    pages: dict[str, Any] = {
        "type": "pages",
        "page": page,
        "per_page": per_page,
        "total_pages": -(-total // per_page),
    }
    if last is not None:
        text = json.dumps([last[0], last[1], page + 1])
        pages["next"] = {
            "page": page + 1,
            "per_page": per_page,
            "starting_after": base64.urlsafe_b64encode(text.encode()).decode(),
        }
    return pages


def _cursor(text: Any) -> tuple[Any, str, int]:
    try:
        value, contact_id, page = json.loads(base64.urlsafe_b64decode(text))
        return value, str(contact_id), int(page)
    except (TypeError, ValueError, AttributeError, binascii.Error):
        raise _bad_cursor() from None


def _bad_cursor() -> Refused:
    message = "Invalid starting_after param. Please try again using a starting_after value from a paginated response"
    return Refused(400, "client_error", message)


def listed(workspace: Workspace, settings: Settings, per_page: Any, starting_after: str | None) -> Page:
    """GET /contacts: as they are now, oldest first; the cursor is in the query."""
    size = _per_page(settings, per_page, LIST_PER_PAGE)
    after = _cursor(starting_after) if starting_after else None
    start, page = (int(after[0]), after[2]) if after else (0, 1)
    found: list[Contact] = []
    position = start
    while position < len(workspace.order) and len(found) < size:
        contact = workspace.contacts[workspace.order[position]]
        position += 1
        if contact["state"] == "live":
            found.append(contact)
    more = any(
        workspace.contacts[workspace.order[place]]["state"] == "live"
        for place in range(position, len(workspace.order))
    )
    last = (position, found[-1]["id"]) if more and found else None
    return found, workspace.live_count, _pages(page, size, workspace.live_count, last)
