"""The connections' pages: connect, try, refresh, mend and disconnect, with what each vendor's screens ask for."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from app.core.causes import CATALOGUE, Cause
from app.core.errors import ApiError, InvalidRequest
from app.storage import campaigns, heard, programs, workspaces
from app.usecases.attribute_choices import Choice, attribute_choices
from app.usecases.check_connections import try_program, try_workspace
from app.usecases.connect_program import (
    NewProgram,
    campaigns_of,
    change_program,
    connect_program,
    disconnect_program,
    known_program,
    way_to,
)
from app.usecases.connect_workspace import (
    NewWorkspace,
    change_workspace,
    connect_workspace,
    disconnect_workspace,
    known_workspace,
)
from app.usecases.refresh_catalogue import connected_workspace, refresh_workspace
from app.usecases.show_connections import permissions_of, show_programs, show_workspaces
from app.web.console.access import actor, services
from app.web.console.connection_words import PERMISSIONS, REGIONS, TOPICS, Topic
from app.web.console.forms import Refusal, read, refusal, sent, whole
from schemas.api_fields import id_from
from schemas.api_setup import ProgramBody, ProgramChanges, WorkspaceBody, WorkspaceChanges

connections = Blueprint("connections", __name__)

A_PAGE = 20
"""Connections of each kind on a page."""

CAMPAIGNS_SHOWN = 100


@connections.get("/connections")
def page() -> str:
    after = {name: id_from(request.args.get(name, "")) for name in ("workspaces", "programs")}
    with services().database.reading() as connection:
        spaces = workspaces.page(connection, after=after["workspaces"], limit=A_PAGE + 1)
        accounts = programs.page(connection, after=after["programs"], limit=A_PAGE + 1)
        return render_template(
            "console/connections.html",
            workspaces=show_workspaces(connection, spaces[:A_PAGE]),
            programs=show_programs(connection, accounts[:A_PAGE]),
            more_workspaces=spaces[A_PAGE - 1].id if len(spaces) > A_PAGE else None,
            more_programs=accounts[A_PAGE - 1].id if len(accounts) > A_PAGE else None,
            permission_words=PERMISSIONS,
        )


# Workspaces


@connections.get("/workspaces/new")
def new_workspace() -> str:
    return _new_workspace()


@connections.post("/workspaces/new")
def connect_a_workspace() -> Any:
    given = sent("name", "region", "access_token", "client_secret")
    try:
        workspace_id = connect_workspace(services(), NewWorkspace(**read(WorkspaceBody, given)), actor())
    except (InvalidRequest, ApiError) as error:
        return _refused(_new_workspace, refusal(error))
    flash("The workspace is connected. Now set up its webhooks, as the page says below.", "success")
    return _to_workspace(workspace_id)


def _new_workspace(refused: Refusal | None = None) -> str:
    return render_template(
        "console/connections_new_workspace.html",
        refused=refused,
        typed=request.form,
        regions=REGIONS,
        permission_words=PERMISSIONS,
        topics=TOPICS,
        address=_intercom_address(),
    )


@connections.get("/workspaces/<id:workspace_id>")
def workspace(workspace_id: int) -> str:
    return _workspace(workspace_id)


def _workspace(workspace_id: int, refused: Refusal | None = None) -> str:
    row = known_workspace(services(), workspace_id)
    choices = attribute_choices(services(), workspace_id, campaign_id=None, audience=None)
    with services().database.reading() as connection:
        (shown,) = show_workspaces(connection, [row])
        return render_template(
            "console/connections_workspace.html",
            shown=shown,
            row=row,
            refused=refused,
            typed=request.form,
            regions=REGIONS,
            permissions=permissions_of(row),
            permission_words=PERMISSIONS,
            address=_intercom_address(),
            topics=_topics(connection, workspace_id),
            attributes=sorted(choices, key=_by_label),
            segments=sorted(workspaces.all_segments(connection, workspace_id), key=_by_name),
            now=services().now(),
        )


def _by_label(choice: Choice) -> tuple[bool, str]:
    return choice[0].custom, choice[0].label.casefold()


def _by_name(row: Any) -> str:
    return str(row.name).casefold()


def _intercom_address() -> str:
    return f"{services().public_url}/webhooks/intercom"


def _topics(connection: Connection, workspace_id: int) -> list[tuple[Topic, Any]]:
    """Those that are to be subscribed, with when each came last, and the others that came."""
    came = dict(heard.topics(connection, heard.workspace_scope(workspace_id)))
    wanted = [(topic, came.pop(topic.name, None)) for topic in TOPICS]
    return [*wanted, *((Topic(name, "Not needed here; it does no harm.", False), at) for name, at in came.items())]


@connections.post("/workspaces/<id:workspace_id>/test")
def test_workspace(workspace_id: int) -> Response:
    row = _with_token(workspace_id)
    if row is None:
        return _to_workspace(workspace_id)
    try:
        if not try_workspace(services(), row):
            flash(_title(Cause.INTERCOM_UNAUTHORIZED) + ". See below what to do.", "danger")
            return _to_workspace(workspace_id)
        refresh_workspace(services(), workspace_id)
    except (InvalidRequest, ApiError) as error:
        return _said(error, _to_workspace(workspace_id))
    missing = known_workspace(services(), workspace_id).missing_permissions
    if missing:
        names = ", ".join(PERMISSIONS[name].text if name in PERMISSIONS else name for name in missing)
        flash(f"Intercom accepts the token, but does not allow: {names}.", "warning")
    else:
        flash("Intercom accepts the token, and lets us read contacts, attributes and segments.", "success")
    return _to_workspace(workspace_id)


def _with_token(workspace_id: int) -> Any:
    """The workspace, or ``None`` once it is said that it has no token."""
    try:
        return connected_workspace(services(), workspace_id)
    except InvalidRequest as error:
        flash(refusal(error).detail, "warning")
        return None


@connections.post("/workspaces/<id:workspace_id>/refresh")
def refresh(workspace_id: int) -> Response:
    try:
        found = refresh_workspace(services(), workspace_id)
    except (InvalidRequest, ApiError) as error:
        return _said(error, _to_workspace(workspace_id))
    flash(f"Read anew from Intercom: {found.attributes} attributes and {found.segments} segments.", "success")
    return _to_workspace(workspace_id)


@connections.post("/workspaces/<id:workspace_id>/<any(name, token, secret):form>")
def change_a_workspace(workspace_id: int, form: str) -> Any:
    fields = {"name": ("name",), "token": ("region", "access_token"), "secret": ("client_secret",)}[form]
    try:
        change_workspace(services(), workspace_id, read(WorkspaceChanges, sent(*fields)), actor())
    except (InvalidRequest, ApiError) as error:
        return _refused(lambda refused: _workspace(workspace_id, refused), refusal(error, form))
    flash(_CHANGED[form], "success")
    return _to_workspace(workspace_id)


_CHANGED = {
    "name": "Saved.",
    "token": "Intercom accepts the new token. What waited goes on, and what was missed is looked for.",
    "secret": "Saved. Webhooks signed with the former client secret are accepted for 24 more hours.",
}


@connections.post("/workspaces/<id:workspace_id>/disconnect")
def disconnect_a_workspace(workspace_id: int) -> Response:
    disconnect_workspace(services(), workspace_id, actor())
    flash("Disconnected. Settings, mappings and history are kept, and what comes in waits.", "success")
    return _to_workspace(workspace_id)


# Programs


@connections.get("/programs/new")
def new_program() -> str:
    return _new_program()


@connections.post("/programs/new")
def connect_a_program() -> Any:
    given = {**sent("name", "access_token"), "user_limit": whole(request.form.get("user_limit", ""))}
    try:
        program_id = connect_program(services(), NewProgram(**read(ProgramBody, given)), actor())
    except (InvalidRequest, ApiError) as error:
        return _refused(_new_program, refusal(error))
    flash("The program is connected. Next, set up a campaign.", "success")
    return _to_program(program_id)


def _new_program(refused: Refusal | None = None) -> str:
    return render_template("console/connections_new_program.html", refused=refused, typed=request.form)


@connections.get("/programs/<id:program_id>")
def program(program_id: int) -> str:
    return _program(program_id)


def _program(program_id: int, refused: Refusal | None = None) -> str:
    row = known_program(services(), program_id)
    with services().database.reading() as connection:
        (shown,) = show_programs(connection, [row])
        mine = campaigns.of_program(connection, program_id, CAMPAIGNS_SHOWN)
        last = heard.last(connection, [heard.campaign_scope(one.id) for one in mine])
        return render_template(
            "console/connections_program.html",
            shown=shown,
            row=row,
            refused=refused,
            typed=request.form,
            campaigns=[(one, last.get(heard.campaign_scope(one.id))) for one in mine],
            public_url=services().public_url,
        )


@connections.post("/programs/<id:program_id>/test")
def test_program(program_id: int) -> Response:
    row = known_program(services(), program_id)
    try:
        way_to(services(), row)
        if not try_program(services(), row):
            flash(_title(Cause.REFERRAL_FACTORY_UNAUTHORIZED) + ". See below what to do.", "danger")
            return _to_program(program_id)
        found = campaigns_of(services(), program_id)
    except (InvalidRequest, ApiError) as error:
        return _said(error, _to_program(program_id))
    flash(f"Referral Factory accepts the token, and lists {len(found)} campaigns.", "success")
    return _to_program(program_id)


@connections.post("/programs/<id:program_id>/<any(settings, token):form>")
def change_a_program(program_id: int, form: str) -> Any:
    given: dict[str, Any] = sent("access_token")
    if form == "settings":
        given = {**sent("name"), "user_limit": whole(request.form.get("user_limit", ""))}
    try:
        change_program(services(), program_id, read(ProgramChanges, given), actor())
    except (InvalidRequest, ApiError) as error:
        return _refused(lambda refused: _program(program_id, refused), refusal(error, form))
    accepted = "Referral Factory accepts the new token. What waited goes on, and what was missed is looked for."
    flash("Saved." if form == "settings" else accepted, "success")
    return _to_program(program_id)


@connections.post("/programs/<id:program_id>/disconnect")
def disconnect_a_program(program_id: int) -> Response:
    disconnect_program(services(), program_id, actor())
    flash("Disconnected. Campaigns, settings and history are kept, and what comes in waits.", "success")
    return _to_program(program_id)


# What they have in common


def _to_workspace(workspace_id: int) -> Response:
    return redirect(url_for(".workspace", workspace_id=workspace_id), 303)


def _to_program(program_id: int) -> Response:
    return redirect(url_for(".program", program_id=program_id), 303)


def _refused(show: Any, refused: Refusal) -> tuple[str, int]:
    """The page again, with what was typed and what is wrong with it."""
    return show(refused), refused.status


def _said(error: InvalidRequest | ApiError, answer: Response) -> Response:
    """A button's refusal is told on the page it belongs to."""
    refused = refusal(error)
    words = CATALOGUE[refused.cause]
    flash(f"{words.title}. {refused.detail} {words.remedy}", "danger")
    return answer


def _title(cause: Cause) -> str:
    return CATALOGUE[cause].title
