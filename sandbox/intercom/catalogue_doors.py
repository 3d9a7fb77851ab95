"""What belongs to a workspace besides its contacts, over HTTP: the owner, attributes, segments and tags."""

from __future__ import annotations

from typing import Any

from flask import request

from sandbox.intercom import attributes, contacts, segments, shown
from sandbox.intercom.doors import body, door, version
from sandbox.intercom.refusals import Refused, invalid
from sandbox.intercom.state import Workspace
from sandbox.world import World


@door("/me", "GET")
def me(_world: World, workspace: Workspace) -> dict[str, Any]:
    """Whose token this is, and of which workspace."""
    return {
        "type": "admin",
        "id": "1",
        "name": "Sandy Owner",
        "email": f"owner@{workspace.app_id}.example.com",
        "email_verified": True,
        "away_mode_enabled": False,
        "away_mode_reassign": False,
        "has_inbox_seat": True,
        "team_ids": [],
        "app": {
            "type": "app",
            "id_code": workspace.app_id,
            "name": workspace.name,
            "created_at": int(workspace.created_at),
            "secure": False,
            "identity_verification": False,
            "timezone": workspace.timezone,
            "region": workspace.region,
        },
    }


@door("/data_attributes", "GET", "attributes_read")
def attributes_listed(_world: World, workspace: Workspace) -> dict[str, Any]:
    """The catalogue: standard attributes and the workspace's own."""
    model = request.args.get("model")
    if model == "conversation":
        message = "model=conversation is no longer supported. Use GET /conversations/attributes instead"
        raise Refused(422, "parameter_invalid", message)
    archived = request.args.get("include_archived") == "true"
    return {"type": "list", "data": attributes.listed(workspace, model=model, archived=archived)}


@door("/data_attributes", "POST", "attributes_write")
def attribute_create(world: World, workspace: Workspace) -> dict[str, Any]:
    """Make an attribute."""
    return attributes.shown(attributes.create(workspace, body(), world.clock.now()))


@door("/data_attributes/<attribute_id>", "PUT", "attributes_write")
def attribute_update(world: World, workspace: Workspace, attribute_id: str) -> dict[str, Any]:
    """Change an attribute, or archive it."""
    return attributes.shown(attributes.update(workspace, attribute_id, body(), world.clock.now()))


@door("/segments", "GET", "segments_read")
def segments_listed(world: World, workspace: Workspace) -> dict[str, Any]:
    """All segments at once; counts only when asked for."""
    rows = [shown.segment(segment) for segment in workspace.segments.values()]
    if request.args.get("include_count") == "true":
        counts = segments.counts(workspace, world.clock.now())
        rows = [{**row, "count": counts[row["id"]]} for row in rows]
    return {"type": "segment.list", "segments": rows}


@door("/segments/<segment_id>", "GET", "segments_read")
def segment_shown(_world: World, workspace: Workspace, segment_id: str) -> dict[str, Any]:
    """One segment."""
    if segment_id not in workspace.segments:
        raise Refused(404, "not_found", "Resource Not Found")
    return shown.segment(workspace.segments[segment_id])


@door("/contacts/<contact_id>/segments", "GET", "segments_read")
def segments_of(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """The segments a contact is in, as the index knows the contact."""
    contacts.find(workspace, contact_id, version())
    now = world.clock.now()
    workspace.index.catch_up(now)
    indexed = workspace.index.contacts.get(contact_id)
    rows = [
        shown.segment(segment)
        for segment in workspace.segments.values()
        if indexed is not None and segments.belongs(segment, indexed, now)
    ]
    return {"type": "list", "data": rows}


@door("/tags", "GET", "tags_read")
def tags_listed(_world: World, workspace: Workspace) -> dict[str, Any]:
    """All tags."""
    return {"type": "list", "data": [shown.tag(tag) for tag in workspace.tags.values()]}


@door("/tags", "POST", "tags_write")
def tag_create(_world: World, workspace: Workspace) -> dict[str, Any]:
    """Make a tag, or find the one of that name."""
    name = body().get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid("name is required", "parameter_missing")
    for tag in workspace.tags.values():
        if tag["name"].lower() == name.strip().lower():
            return shown.tag(tag)
    tag = {"id": str(7000 + len(workspace.tags) + 1), "name": name.strip()}
    workspace.tags[tag["id"]] = tag
    return shown.tag(tag)
