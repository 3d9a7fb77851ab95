"""Runs over many people as people look at them: all, one with how far it is, and what became of each contact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, abort, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy import Row

from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.core.people import normalised_email
from app.storage import campaigns, programs, sync_outcomes, workspaces
from app.storage import syncs as runs
from app.usecases.control_sync import cancel_sync, known_sync, pause_sync, resume_sync, run_sync
from app.usecases.services import Services
from app.web.api import shown as api_shown
from app.web.api.paging import cursor_from, id_in
from app.web.api.syncs import outcomes_file
from app.web.console.access import actor, services
from app.web.console.run_words import CONTACTS, KINDS, OUTCOMES, STATES, outcome_words, time_left
from app.web.console.sync_draft import draft_of, text_of
from app.web.console.sync_wizard import WRITTEN_BACK
from schemas.api_fields import id_from
from schemas.syncs import ONGOING, sync_settings_from

syncs = Blueprint("syncs", __name__)

RUNS_A_PAGE, OUTCOMES_A_PAGE = 50, 50
MOST_CAMPAIGNS = 500

CONTROLS: Mapping[str, tuple[Callable[[Services, int, str], None], str]] = {
    "pause": (pause_sync, "Paused. It goes on where it stopped as soon as you resume it."),
    "resume": (resume_sync, "It goes on where it stopped."),
    "cancel": (cancel_sync, "Cancelled. Who was added stays."),
    "run": (run_sync, "It looks now."),
}
"""What people do to a run, and what they are told then."""


# All of them


@syncs.get("/syncs")
def listed() -> Any:
    state, kind = _one_of(STATES, "state"), _one_of(KINDS, "kind")
    campaign_id = id_from(request.args.get("campaign_id", ""))
    with services().database.reading() as connection:
        rows = runs.page(
            connection,
            campaign_id=campaign_id,
            state=state,
            kind=kind,
            before=id_in(request.args.get("cursor") or None),
            limit=RUNS_A_PAGE + 1,
        )
        shown_rows, more = rows[:RUNS_A_PAGE], len(rows) > RUNS_A_PAGE
        names = campaigns.names(connection, {row.campaign_id for row in shown_rows})
        segments = runs.segment_names(connection, shown_rows)
        live = campaigns.page(connection, after=None, limit=MOST_CAMPAIGNS)
    chosen: dict[str, Any] = {"campaign_id": campaign_id, "state": state, "kind": kind}
    older = url_for(".listed", **chosen, cursor=cursor_from(shown_rows[-1].id)) if more else None
    return render_template(
        "console/syncs.html",
        runs=shown_rows,
        campaign_names=names,
        segment_names=segments,
        campaigns=live,
        chosen=chosen,
        older=older,
        kinds=KINDS,
        states=STATES,
        contacts=CONTACTS,
    )


def _one_of(words: Mapping[str, str], name: str) -> str | None:
    given = request.args.get(name, "")
    return given if given in words else None


# One


@syncs.get("/syncs/<id:sync_id>")
def shown(sync_id: int) -> Any:
    run = known_sync(services(), sync_id)
    return render_template("console/sync.html", **_progress(run), **_settings(run), **_outcomes(run))


@syncs.get("/syncs/<id:sync_id>/progress")
def progress(sync_id: int) -> Any:
    """How far it is, alone: for a page that is there, and asks again and again."""
    return render_template("console/sync_progress_part.html", **_progress(known_sync(services(), sync_id)))


def _progress(run: Row[Any]) -> dict[str, Any]:
    told = api_shown.sync(run)
    first_look = run.look <= 1 and run.state in (runs.QUEUED, runs.RUNNING, runs.PAUSED)
    left = told["seconds_left"]
    waits_for = _waits_for(run)
    return {
        "run": run,
        "cause": waits_for,
        "counts": told["progress"],
        "has_bar": first_look or run.state in runs.OVER,
        "left": time_left(left) if left is not None and run.state == runs.RUNNING and waits_for is None else None,
        "next_look": told["next_run_at"],
        "state_words": STATES[run.state],
        "what": _what(run),
        "outcome_words": outcome_words(run.kind, dry_run=run.dry_run),
        "may": _may(run),
    }


def _waits_for(run: Row[Any]) -> str | None:
    """What keeps it, or ended it: also a connection that was lost, of which the run itself says nothing."""
    own: str | None = run.cause
    if run.state in runs.OVER:
        return own
    with services().database.reading() as connection:
        workspace, program = workspaces.get(connection, run.workspace_id), programs.get(connection, run.program_id)
    if workspace is not None and workspace.state != workspaces.CONNECTED:
        return str(workspace.state_cause or Cause.WORKSPACE_DISCONNECTED)
    if program is not None and program.state != programs.CONNECTED:
        return str(program.state_cause or Cause.REFERRAL_FACTORY_UNAUTHORIZED)
    return own


def _what(run: Row[Any]) -> str:
    """What it is called in a sentence."""
    name = KINDS[run.kind].lower()
    return f"dry run of a {name}" if run.dry_run else name


def _may(run: Row[Any]) -> frozenset[str]:
    """What can be asked of it now; whether it can is decided by the use case."""
    stopped = run.state == runs.FAILED and run.cause == Cause.CURSOR_REPEATED
    may = {
        "pause": run.state in runs.GOING_ON,
        "resume": run.state == runs.PAUSED or stopped,
        "cancel": run.state not in runs.OVER,
        "run": run.state == runs.WATCHING,
    }
    return frozenset(name for name, can in may.items() if can)


def _settings(run: Row[Any]) -> dict[str, Any]:
    with services().database.reading() as connection:
        campaign = campaigns.get(connection, run.campaign_id)
        workspace = workspaces.get(connection, run.workspace_id)
        segment = runs.segment_names(connection, [run]).get(run.id)
        catalogue = workspaces.catalogue(connection, run.workspace_id)
    settings = sync_settings_from(run.settings) if run.kind == runs.SYNC else None
    return {
        "campaign": campaign,
        "workspace": workspace,
        "segment": segment,
        "settings": run.settings if settings else None,
        "ongoing": run.settings.get("schedule") == ONGOING,
        "draft": text_of(draft_of(settings)) if settings else None,
        "labels": {path: attribute.label for path, attribute in catalogue.items()},
        "contacts": CONTACTS,
        "written_back": WRITTEN_BACK,
    }


def _outcomes(run: Row[Any]) -> dict[str, Any]:
    outcome, email = _one_of(OUTCOMES, "outcome"), normalised_email(request.args.get("email"))
    with services().database.reading() as connection:
        causes = sync_outcomes.causes(connection, run.id)
        cause = request.args.get("cause") if request.args.get("cause") in causes else None
        rows = sync_outcomes.page(
            connection,
            run.id,
            outcome=outcome,
            cause=cause,
            email=email or None,
            after=id_in(request.args.get("cursor") or None),
            limit=OUTCOMES_A_PAGE + 1,
        )
    outcomes, more = rows[:OUTCOMES_A_PAGE], len(rows) > OUTCOMES_A_PAGE
    chosen: dict[str, Any] = {"outcome": outcome, "cause": cause, "email": email or None}
    here: dict[str, Any] = {"sync_id": run.id, **chosen, "_anchor": "outcomes"}
    return {
        "outcomes": outcomes,
        "outcome_causes": causes,
        "chosen": chosen,
        "following": url_for(".shown", **here, cursor=cursor_from(outcomes[-1].id)) if more else None,
        "is_first_page": not request.args.get("cursor"),
        "person_url": _person_url,
        "contact_url": api_shown.contact_url,
    }


def _person_url(row: Row[Any]) -> str | None:
    """Where the person is shown, if there is one."""
    page = "console.people.shown"
    known = row.person_id is not None and page in current_app.view_functions
    return url_for(page, person_id=row.person_id) if known else None


@syncs.get("/syncs/<id:sync_id>/outcomes.csv")
def download(sync_id: int) -> Response:
    return outcomes_file(services(), sync_id, _one_of(OUTCOMES, "outcome"), request.args.get("cause") or None)


@syncs.post("/syncs/<id:sync_id>/<do>")
def controlled(sync_id: int, do: str) -> Any:
    if do not in CONTROLS:
        abort(404)
    control, said = CONTROLS[do]
    try:
        control(services(), sync_id, actor())
        flash(said, "success")
    except InvalidRequest as refusal:
        if refusal.status != 409:
            raise
        flash(refusal.detail, "warning")
    return redirect(url_for(".shown", sync_id=sync_id))
