"""The catalogue of causes."""

from __future__ import annotations

from typing import Any

from app.core.causes import CATALOGUE
from app.web.api.operations import call, group
from app.web.api.paging import cursor_from, id_in
from schemas.api_records import CausePage, CauseQuery

calls = group("causes", "Why something did not happen, and what to do about it.")


@call(calls, "GET", "/causes", query=CauseQuery, answers=CausePage)
def list_causes(query: dict[str, Any]) -> Any:
    """List the catalogue: all of it, unless `limit` says less"""
    texts = list(CATALOGUE.values())
    start = id_in(query.get("cursor")) or 0
    end = start + query["limit"]
    following = cursor_from(end) if end < len(texts) else None
    return {"items": [text.as_dict() for text in texts[start:end]], "next_cursor": following}
