"""Calls about runs over many people: syncs and backfills, how far they are, and what became of each contact."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Response
from sqlalchemy import Row

from app.core.people import Audience
from app.storage import sync_outcomes, syncs
from app.usecases.control_sync import cancel_sync, known_sync, pause_sync, resume_sync, run_sync
from app.usecases.preview_sync import preview_sync
from app.usecases.services import Services
from app.usecases.start_sync import start_backfill, start_sync
from app.web.api import shown
from app.web.api.operations import actor, answered, call, group, json_body, services
from app.web.api.paging import id_in, page_of
from schemas.api_syncs import (
    BackfillBody,
    OutcomeAnswer,
    OutcomeFilter,
    OutcomePage,
    OutcomeQuery,
    PreviewRunAnswer,
    SyncAnswer,
    SyncPage,
    SyncPreviewAnswer,
    SyncQuery,
)
from schemas.syncs import SyncSettingsSchema

calls = group("syncs", "Runs over many people: contacts into a campaign, people of a campaign into Intercom.")

COLUMNS = ("contact_id", "email", "outcome", "cause", "detail", "at")
ROWS_A_PAGE = 1000
"""Of the file, which is read and sent page by page: of all the rows, no more are in memory at once."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet takes a cell that begins with one of these for something to be worked out or run."""

CSV = "text/csv"


def _run(sync_id: int) -> Any:
    return shown.sync(known_sync(services(), sync_id))


@call(
    calls,
    "POST",
    "/campaigns/<id:campaign_id>/syncs/preview",
    described_body=SyncSettingsSchema,
    answers=SyncPreviewAnswer,
    or_answers=(202, PreviewRunAnswer),
)
def preview_a_sync(campaign_id: int) -> Any:
    """Tell what a sync would come to

    Counts on real data, and writes nothing. What takes longer than ten seconds goes on as a dry run, whose id is
    answered.
    """
    previewed = preview_sync(services(), campaign_id, json_body(), actor())
    if isinstance(previewed, int):
        return answered(PreviewRunAnswer, {**_run(previewed), "sync_id": previewed}, 202)
    return shown.sync_preview(previewed)


@call(
    calls,
    "POST",
    "/campaigns/<id:campaign_id>/syncs",
    described_body=SyncSettingsSchema,
    answers=SyncAnswer,
    status=202,
)
def start_a_sync(campaign_id: int) -> Any:
    """Have contacts of Intercom become referrers of a campaign

    Refused as a whole where there is any fault; all faults are named at once. An ongoing one looks again and again.
    """
    return _run(start_sync(services(), campaign_id, json_body(), actor()))


@call(calls, "POST", "/campaigns/<id:campaign_id>/backfill", body=BackfillBody, answers=SyncAnswer, status=202)
def start_a_backfill(body: dict[str, Any], campaign_id: int) -> Any:
    """Send those who joined before the audience was set up

    A dry run says first how many would be created, updated and skipped.
    """
    audience = Audience(body["audience"])
    return _run(start_backfill(services(), campaign_id, audience, actor(), dry_run=body["dry_run"]))


@call(calls, "GET", "/syncs", query=SyncQuery, answers=SyncPage)
def list_syncs(query: dict[str, Any]) -> Any:
    """List syncs and backfills, newest first"""
    with services().database.reading() as connection:
        rows = syncs.page(
            connection,
            campaign_id=query.get("campaign_id"),
            before=id_in(query.get("cursor")),
            limit=query["limit"] + 1,
        )
    return page_of(rows, query["limit"], shown.sync)


@call(calls, "GET", "/syncs/<id:sync_id>", answers=SyncAnswer)
def show_sync(sync_id: int) -> Any:
    """Show how far a sync or backfill is"""
    return _run(sync_id)


@call(calls, "POST", "/syncs/<id:sync_id>/pause", answers=SyncAnswer)
def pause_a_sync(sync_id: int) -> Any:
    """Pause a run"""
    return _controlled(pause_sync, sync_id)


@call(calls, "POST", "/syncs/<id:sync_id>/resume", answers=SyncAnswer)
def resume_a_sync(sync_id: int) -> Any:
    """Let a paused run go on where it stopped"""
    return _controlled(resume_sync, sync_id)


@call(calls, "POST", "/syncs/<id:sync_id>/cancel", answers=SyncAnswer)
def cancel_a_sync(sync_id: int) -> Any:
    """End a run for good

    Also one that watches. Who was added stays.
    """
    return _controlled(cancel_sync, sync_id)


@call(calls, "POST", "/syncs/<id:sync_id>/run", answers=SyncAnswer)
def run_a_sync(sync_id: int) -> Any:
    """Have a sync that watches look at once"""
    return _controlled(run_sync, sync_id)


def _controlled(control: Callable[[Services, int, str], None], sync_id: int) -> Any:
    control(services(), sync_id, actor())
    return _run(sync_id)


@call(calls, "GET", "/syncs/<id:sync_id>/outcomes", query=OutcomeQuery, answers=OutcomePage)
def list_outcomes(query: dict[str, Any], sync_id: int) -> Any:
    """List what became of each contact

    In the order in which they were first looked at.
    """
    known_sync(services(), sync_id)
    with services().database.reading() as connection:
        rows = sync_outcomes.page(
            connection,
            sync_id,
            outcome=query.get("outcome"),
            cause=query.get("cause"),
            after=id_in(query.get("cursor")),
            limit=query["limit"] + 1,
        )
    return page_of(rows, query["limit"], shown.columns)


@call(calls, "GET", "/syncs/<id:sync_id>/outcomes.csv", query=OutcomeFilter, content_type=CSV)
def download_outcomes(query: dict[str, Any], sync_id: int) -> Response:
    """Download what became of each contact, as a table

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return outcomes_file(services(), sync_id, query.get("outcome"), query.get("cause"))


def outcomes_file(services: Services, sync_id: int, outcome: str | None, cause: str | None) -> Response:
    """The outcomes of a run as a file to keep, sent while it is read.

    Raises: InvalidRequest 404.
    """
    known_sync(services, sync_id)
    pages = _pages(services, sync_id, outcome, cause)
    response = Response(_lines(pages), content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="sync-{sync_id}-outcomes.csv"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _pages(services: Services, sync_id: int, outcome: str | None, cause: str | None) -> Iterator[Sequence[Row[Any]]]:
    """A transaction each, so that nothing is held while somebody downloads slowly."""
    after = None
    while True:
        with services.database.reading() as connection:
            rows = sync_outcomes.page(
                connection, sync_id, outcome=outcome, cause=cause, after=after, limit=ROWS_A_PAGE
            )
        yield rows
        if len(rows) < ROWS_A_PAGE:
            return
        after = rows[-1].id


def _lines(pages: Iterator[Sequence[Row[Any]]]) -> Iterator[str]:
    answer = OutcomeAnswer()
    yield _as_csv([COLUMNS])
    for rows in pages:
        cells = (answer.dump(shown.columns(row)) for row in rows)
        yield _as_csv([tuple(_defused(one[name]) for name in COLUMNS) for one in cells])


def _as_csv(lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


def _defused(cell: str | None) -> str:
    text = cell or ""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text
