"""Calls about Intercom workspaces, their attributes and their segments."""

from __future__ import annotations

from typing import Any

from app.core.attributes import mappable
from app.core.audiences import AttributeType, CampaignRules
from app.core.people import Audience
from app.storage import workspaces
from app.usecases.attribute_choices import Choice, attribute_choices
from app.usecases.connect_workspace import (
    NewWorkspace,
    change_workspace,
    connect_workspace,
    disconnect_workspace,
    known_workspace,
)
from app.usecases.refresh_catalogue import create_attribute, refresh_workspace
from app.web.api import shown
from app.web.api.operations import actor, call, group, services
from app.web.api.paging import id_in, page_of, page_within
from schemas.api_fields import PageQuery
from schemas.api_setup import (
    AttributeAnswer,
    AttributeBody,
    AttributePage,
    AttributeQuery,
    RefreshAnswer,
    SegmentPage,
    SegmentQuery,
    WorkspaceAnswer,
    WorkspaceBody,
    WorkspaceChanges,
    WorkspacePage,
)

calls = group("workspaces", "Connected Intercom workspaces, with their attributes and segments.")


def _workspace(workspace_id: int) -> Any:
    return shown.columns(known_workspace(services(), workspace_id))


@call(calls, "POST", "/workspaces", body=WorkspaceBody, answers=WorkspaceAnswer, status=201)
def connect_a_workspace(body: dict[str, Any]) -> Any:
    """Connect a workspace, or connect it again

    The token is tried first. A workspace that was disconnected keeps its id, its settings and its history.
    """
    return _workspace(connect_workspace(services(), NewWorkspace(**body), actor()))


@call(calls, "GET", "/workspaces", query=PageQuery, answers=WorkspacePage)
def list_workspaces(query: dict[str, Any]) -> Any:
    """List workspaces"""
    with services().database.reading() as connection:
        rows = workspaces.page(connection, after=id_in(query.get("cursor")), limit=query["limit"] + 1)
    return page_of(rows, query["limit"], shown.columns)


@call(calls, "GET", "/workspaces/<id:workspace_id>", answers=WorkspaceAnswer)
def show_workspace(workspace_id: int) -> Any:
    """Show a workspace"""
    return _workspace(workspace_id)


@call(calls, "PATCH", "/workspaces/<id:workspace_id>", body=WorkspaceChanges, answers=WorkspaceAnswer)
def update_workspace(changes: dict[str, Any], workspace_id: int) -> Any:
    """Change a workspace

    A new token is tried first, and must be of the same workspace. The former client secret is accepted for 24 hours.
    """
    change_workspace(services(), workspace_id, changes, actor())
    return _workspace(workspace_id)


@call(calls, "DELETE", "/workspaces/<id:workspace_id>", status=204)
def disconnect_a_workspace(workspace_id: int) -> None:
    """Disconnect a workspace

    Its settings and history stay, and its webhooks are still verified and kept.
    """
    disconnect_workspace(services(), workspace_id, actor())


@call(calls, "POST", "/workspaces/<id:workspace_id>/refresh", answers=RefreshAnswer)
def refresh_a_workspace(workspace_id: int) -> Any:
    """Read attributes and segments anew"""
    return refresh_workspace(services(), workspace_id)


@call(calls, "GET", "/workspaces/<id:workspace_id>/attributes", query=AttributeQuery, answers=AttributePage)
def list_attributes(query: dict[str, Any], workspace_id: int) -> Any:
    """List attributes, and which can be mapped"""
    audience = Audience(query["audience"]) if "audience" in query else None
    choices = attribute_choices(services(), workspace_id, campaign_id=query.get("campaign_id"), audience=audience)
    return page_within(choices, query, shown.attribute, lambda choice: (choice[0].path,), parts=1)


@call(
    calls,
    "POST",
    "/workspaces/<id:workspace_id>/attributes",
    body=AttributeBody,
    answers=AttributeAnswer,
    status=201,
)
def create_an_attribute(body: dict[str, Any], workspace_id: int) -> Any:
    """Make an attribute in Intercom"""
    made = create_attribute(
        services(),
        workspace_id,
        actor(),
        name=body["name"],
        type_=AttributeType(body["type"]),
        options=body["options"],
    )
    choice: Choice = (made, mappable(made, CampaignRules()))
    return shown.attribute(choice)


@call(calls, "GET", "/workspaces/<id:workspace_id>/segments", query=SegmentQuery, answers=SegmentPage)
def list_segments(query: dict[str, Any], workspace_id: int) -> Any:
    """List every segment, by name"""
    known_workspace(services(), workspace_id)
    with services().database.reading() as connection:
        rows = workspaces.all_segments(connection, workspace_id)
    wanted = query.get("search", "").casefold()
    found = [row for row in rows if wanted in row.name.casefold()]
    return page_within(found, query, shown.columns, lambda row: (row.name.casefold(), row.id), parts=2)
