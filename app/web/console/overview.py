"""The first page: how it goes, what stands in people's way, and what is to be done first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, render_template, request, url_for
from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.storage import campaigns, overview, workspaces
from app.storage.overview import MOST, Reached
from app.usecases.show_overview import DAY, DONE, MONTH, RECEIVED, Overview, Series, show_overview, show_series
from app.web.api.paging import cursor_from, id_in
from app.web.api.shown import contact_url
from app.web.console.access import services
from app.web.console.charts import COLOURS, HEIGHT, OTHER, THEMES, WIDTH, Bars, svg_response

PEOPLE_A_PAGE = 50

WORDS = {
    "intercom": "Intercom",
    "referral_factory": "Referral Factory",
    "created": "Created",
    "added": "Added to the campaign",
    "updated": "Updated",
    "qualified": "Qualified",
    "skipped": "Skipped",
    "failed": "Failed",
    "disqualified": "Disqualified",
    "ignored": "Nothing to do",
}
"""Sources and outcomes."""

CHARTS = (
    (RECEIVED, DAY, "What came in, by hour", "Webhooks of the last 24 hours, by who sent them"),
    (DONE, DAY, "What became of it, by hour", "What was done in the last 24 hours, by outcome"),
    (RECEIVED, MONTH, "What came in, by day", "Webhooks of the last 30 days, by who sent them"),
    (DONE, MONTH, "What became of it, by day", "What was done in the last 30 days, by outcome"),
)

pages = Blueprint("overview", __name__)


@pages.get("/")
def show() -> str:
    found = show_overview(services())
    return render_template(
        "console/overview.html",
        overview=found,
        charts=[(*chart, _told(found.series[chart[0], chart[1]])) for chart in CHARTS],
        funnel=_funnel(found),
        words=WORDS,
        size=(WIDTH, HEIGHT),
        colour_of=lambda name: COLOURS.get(name, OTHER),
        many=many,
    )


@pages.get("/overview/<name>.svg")
def chart(name: str) -> Response:
    known = {f"{what}-{span}": (what, span) for what, span, *_ in CHARTS}
    if name not in known:
        abort(404)
    theme = request.args.get("theme", "auto")
    told = _told(show_series(services(), *known[name]))
    labels = [_label(start, known[name][1]) for start in told.starts]
    return svg_response(Bars(labels, told.counts, WORDS), theme if theme in THEMES else "auto")


@pages.get("/problems/<cause>")
def people_with(cause: str) -> str:
    if cause not in set(Cause):
        abort(404)
    before = id_in(request.args.get("cursor"))
    with services().database.reading() as connection:
        rows = overview.people_with(connection, cause, before=before, limit=PEOPLE_A_PAGE + 1)
        shown = rows[:PEOPLE_A_PAGE]
        names = campaigns.names(connection, {row.campaign_id for row in shown})
        urls = _contacts(connection, shown)
    more = cursor_from(shown[-1].problem_id) if len(rows) > len(shown) else None
    return render_template(
        "console/overview_people.html",
        cause=cause,
        rows=shown,
        names=names,
        urls=urls,
        fields_of=lambda row: [field["to"] for field in row.fields if field.get("cause") == cause],
        next_url=url_for(".people_with", cause=cause, cursor=more) if more else None,
        is_first=before is None,
    )


def many(number: int) -> str:
    """A number that was counted up to a bound."""
    return f"more than {MOST:,}" if number > MOST else f"{number:,}"


def _told(series: Series) -> Series:
    """In the colours' order, which is that of the outcomes from good to bad."""
    order = {name: place for place, name in enumerate(COLOURS)}
    names = sorted(series.counts, key=lambda name: (order.get(name, len(order)), name))
    return Series(series.starts, {name: series.counts[name] for name in names})


def _label(start: datetime, span: str) -> str:
    return f"{start:%H:%M}" if span == DAY else f"{start.day} {start:%b}"


def _funnel(found: Overview) -> list[tuple[str, int | None, Reached, int]]:
    """All campaigns together, then each: name, id, how far its leads came, and how many referrers it has."""
    by = {(one.campaign_id, one.audience): one for one in found.funnel}
    each = [
        (row.name, row.id, by.get((row.id, "leads")) or _nobody(row.id), _number(by.get((row.id, "referrers"))))
        for row in found.campaigns
    ]
    leads = [one for _, _, one, _ in each]
    together = Reached(0, "leads", *(sum(getattr(one, name) for one in leads) for name in _REACHED))
    return [("All campaigns", None, together, sum(number for *_, number in each)), *each]


_REACHED = ("joined", "in_intercom", "qualified")


def _nobody(campaign_id: int) -> Reached:
    return Reached(campaign_id, "leads", 0, 0, 0)


def _number(reached: Reached | None) -> int:
    return reached.joined if reached else 0


def _contacts(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, str]:
    """Where each row's contact is seen in Intercom, by the row's id."""
    spaces = workspaces.by_ids(connection, _ids(rows))
    return {
        row.id: contact_url(spaces[row.workspace_id], row.contact_id)
        for row in rows
        if row.contact_id and row.workspace_id in spaces
    }


def _ids(rows: Iterable[Row[Any]]) -> set[int]:
    return {row.workspace_id for row in rows}
