"""What was done for whom, or not done and why: newest first, by the filters of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from flask import Blueprint, render_template, request, url_for
from sqlalchemy import Connection, Row

from app.core.causes import CATALOGUE
from app.core.people import normalised_email
from app.core.text import storable
from app.storage import activity, campaigns, people, workspaces
from app.web.api import shown as api_shown
from app.web.api.paging import cursor_from, id_in
from app.web.console.access import services
from app.web.console.deed_words import OUTCOMES, VERBS, WORDS
from schemas.api_fields import id_from

pages = Blueprint("activity", __name__)

DEEDS_A_PAGE = 50
MOST_CAMPAIGNS = 500


@pages.get("/activity")
def listed() -> Any:
    chosen, typed = _chosen(), request.args.get("since", "").strip()
    since = _day(typed)
    with services().database.reading() as connection:
        rows = activity.page(
            connection,
            {name: value for name, value in chosen.items() if value},
            since=since,
            before=id_in(request.args.get("cursor") or None),
            limit=DEEDS_A_PAGE + 1,
        )
        deeds = rows[:DEEDS_A_PAGE]
        page = {
            "names": campaigns.names(connection, {row.campaign_id for row in deeds}),
            "campaigns": campaigns.page(connection, after=None, limit=MOST_CAMPAIGNS),
            "people": people_behind(connection, deeds),
            "spaces": workspaces.by_ids(connection, {row.workspace_id for row in deeds}),
        }
    older = None
    if len(rows) > DEEDS_A_PAGE:
        here = {**chosen, "since": typed if since else None}
        older = url_for(".listed", **here, cursor=cursor_from(deeds[-1].id))
    return render_template(
        "console/activity.html",
        rows=deeds,
        chosen=chosen,
        typed=typed,
        wrong_day=bool(typed) and since is None,
        is_filtered=bool(typed) or any(chosen.values()),
        is_first=not request.args.get("cursor"),
        cause_choices=sorted(CATALOGUE.values(), key=lambda one: one.title),
        contact_url=api_shown.contact_url,
        older=older,
        **page,
        **WORDS,
    )


def _chosen() -> dict[str, Any]:
    given = request.args
    return {
        "campaign_id": id_from(given.get("campaign_id", "")),
        "sync_id": id_from(given.get("sync_id", "")),
        "email": normalised_email(storable(given.get("email", ""))) or None,
        "verb": given.get("verb") if given.get("verb") in VERBS else None,
        "outcome": given.get("outcome") if given.get("outcome") in OUTCOMES else None,
        "cause": given.get("cause") if given.get("cause") in set(CATALOGUE) else None,
    }


def _day(typed: str) -> datetime | None:
    """When a day begins in UTC; ``None`` for what is none."""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def people_behind(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, int]:
    """Whose page tells more of each row of activity: a person's id by the row's."""
    emails = {row.email for row in rows if row.email}
    found = people.by_emails(connection, {row.campaign_id for row in rows}, emails)
    by_name = {(row.campaign_id, row.email, audience): row.id for row in found for audience in (None, row.audience)}
    named = {row.id: (row.campaign_id, row.email, row.audience) for row in rows}
    return {row_id: by_name[name] for row_id, name in named.items() if name in by_name}
