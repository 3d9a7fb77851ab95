"""Who changed what, and when, with what it was before and after."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.core.access import Change
from app.core.text import storable
from app.storage import audit_log
from app.usecases.sign_in import email_of
from app.web.api.paging import cursor_from, id_in
from app.web.console.access import services

audit = Blueprint("audit", __name__)

PAGE = 50


@audit.get("/audit-log")
def show() -> ResponseReturnValue:
    person = email_of(request.args.get("person", "")) or None
    kind = request.args.get("kind") if request.args.get("kind") in set(Change) else None
    with services().database.reading() as connection:
        rows = audit_log.page(
            connection, person=person, kind=kind, before=id_in(request.args.get("before")), limit=PAGE + 1
        )
    older = None
    if len(rows) > PAGE:
        older = url_for(".show", before=cursor_from(rows[PAGE - 1].id), person=person, kind=kind)
    shown = [(row, _differences(row.before, row.after)) for row in rows[:PAGE]]
    kinds = [(one.value, words(one.value)) for one in Change]
    return render_template(
        "console/audit.html", rows=shown, person=person, kind=kind, kinds=kinds, words=words, older=older
    )


def words(kind: str) -> str:
    """A kind as people say it."""
    return kind.replace("_", " ").replace("api ", "API ").capitalize().replace("Api ", "API ")


MOST_SHOWN = 2000


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, before and after of each thing that changed, as text."""
    names = [*before, *(name for name in after if name not in before)]
    return [(name.replace("_", " "), _text(before, name), _text(after, name)) for name in names]


def _text(side: dict[str, Any], name: str) -> str:
    if name not in side:
        return ""
    value = side[name]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return storable(text, MOST_SHOWN) or ""
