"""A sync's settings on their way through the wizard: in the address of each step, so that back, forward and reload
work and nothing is kept of what nobody starts.

The address is the reader's to change. What it holds is no more trusted than a request's body: only the shape is
looked at here, and each step checks it as the API would.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from app.core.syncs import SyncSettings
from app.core.text import is_storable
from schemas.syncs import document_from_sync

Draft = dict[str, Any]
"""Some of a sync's settings in their wire form."""

LONGEST = 3_000
"""Characters: within what every server and proxy takes as an address."""

MOST_BYTES = 100_000

_WORDS, _LISTS, _FLAG = ("contacts", "segment_id", "schedule"), ("mapping", "write_back"), "notify"


def draft_in(text: str) -> Draft:
    """Never raises: of what can't be read nothing is taken."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        document = json.loads(zlib.decompressobj().decompress(packed, MOST_BYTES))
    except (ValueError, zlib.error, RecursionError):
        return {}
    return _sound(document) if isinstance(document, dict) else {}


def text_of(draft: Mapping[str, Any]) -> str:
    """In letters, digits, - and _; the same for the same settings."""
    text = json.dumps(draft, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def draft_of(settings: SyncSettings) -> Draft:
    """The settings of a run, to be looked at or changed."""
    return _sound(document_from_sync(settings))


def _sound(document: Mapping[str, Any]) -> Draft:
    words = {name: document[name] for name in _WORDS if _is_text(document.get(name))}
    flag = {_FLAG: document[_FLAG]} if isinstance(document.get(_FLAG), bool) else {}
    lists = {name: _rows(document[name]) for name in _LISTS if isinstance(document.get(name), list)}
    return {**words, **flag, **lists}


def _rows(rows: list[Any]) -> list[dict[str, str]]:
    sound = (one for one in rows if isinstance(one, dict) and _is_text(one.get("from")) and _is_text(one.get("to")))
    return [{"from": one["from"], "to": one["to"]} for one in sound]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_storable(value)
