"""Contacts over HTTP."""

from __future__ import annotations

from typing import Any

from flask import request

from sandbox.intercom import contacts, notifications, search, shown
from sandbox.intercom.contacts import Change
from sandbox.intercom.doors import body, door, version
from sandbox.intercom.refusals import Refused, not_found
from sandbox.intercom.state import Contact, Workspace
from sandbox.world import World

READ = "contacts_read"
WRITE = "contacts_write"


def _done(world: World, workspace: Workspace, change: Change, merged: Contact | None = None) -> Contact:
    if world.settings.echo_own_writes:
        notifications.announce(world, workspace, change, merged)
    return change.contact


def _page(workspace: Workspace, page: search.Page) -> dict[str, Any]:
    found, total, pages = page
    return {
        "type": "list",
        "data": [shown.contact(workspace, contact, searched=True) for contact in found],
        "total_count": total,
        "pages": pages,
    }


@door("/contacts", "POST", WRITE)
def create(world: World, workspace: Workspace) -> dict[str, Any]:
    """Make a contact."""
    change = contacts.create(workspace, world.settings, world.clock.now(), body())
    return shown.contact(workspace, _done(world, workspace, change))


@door("/contacts", "GET", READ)
def listed(world: World, workspace: Workspace) -> dict[str, Any]:
    """Contacts, ten at a time unless asked otherwise."""
    per_page, after = request.args.get("per_page"), request.args.get("starting_after")
    return _page(workspace, search.listed(workspace, world.settings, per_page, after))


@door("/contacts/search", "POST", READ)
def searched(world: World, workspace: Workspace) -> dict[str, Any]:
    """Contacts that match, as the index knows them. A cursor in the address is passed over."""
    return _page(workspace, search.search(workspace, world.settings, world.clock.now(), body(), version()))


@door("/contacts/merge", "POST", WRITE)
def merge(world: World, workspace: Workspace) -> dict[str, Any]:
    """Merge a lead into a user."""
    now = world.clock.now()
    change, lead = contacts.merge(workspace, world.settings, now, body(), version())
    return shown.contact(workspace, _done(world, workspace, change, lead))


@door("/contacts/find_by_external_id/<path:external_id>", "GET", READ)
def find_by_external_id(_world: World, workspace: Workspace, external_id: str) -> dict[str, Any]:
    """A user by its own identity."""
    return shown.contact(workspace, contacts.find_by_external_id(workspace, external_id))


@door("/contacts/<contact_id>", "GET", READ)
def show(_world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """A contact as it is now."""
    contact = contacts.find(workspace, contact_id, version())
    answer = shown.contact(workspace, contact)
    if request.args.get("include_merge_history") == "true" and contact["role"] == "user":
        answer["merge_history"] = contacts.merge_history(workspace, contact)
    return answer


@door("/contacts/<contact_id>", "PUT", WRITE)
def update(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Change a contact."""
    contact = contacts.find(workspace, contact_id, version())
    change = contacts.update(workspace, world.settings, world.clock.now(), contact, body())
    return shown.contact(workspace, _done(world, workspace, change))


@door("/contacts/<contact_id>", "DELETE", WRITE)
def delete(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Delete a contact for good."""
    contact = contacts.find(workspace, contact_id, version())
    change = contacts.delete(workspace, world.settings, world.clock.now(), contact)
    return shown.reference(_done(world, workspace, change), deleted=True)


@door("/contacts/<contact_id>/archive", "POST", WRITE)
def archive(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Archive a contact."""
    contact = contacts.find(workspace, contact_id, version())
    change = contacts.archive(workspace, world.settings, world.clock.now(), contact)
    return shown.reference(_done(world, workspace, change), archived=True)


@door("/contacts/<contact_id>/unarchive", "POST", WRITE)
def unarchive(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Bring a contact back."""
    change = contacts.unarchive(workspace, world.settings, world.clock.now(), contact_id)
    return shown.reference(_done(world, workspace, change), archived=False)


@door("/contacts/<contact_id>/block", "POST", WRITE)
def block(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Block a contact."""
    contact = contacts.find(workspace, contact_id, version())
    change = contacts.block(workspace, world.settings, world.clock.now(), contact)
    return shown.reference(_done(world, workspace, change), blocked=True)


@door("/contacts/<contact_id>/merge_history", "GET", READ)
def merge_history(_world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """What was merged into a user."""
    contact = workspace.contacts.get(contact_id)
    if contact is None or contact["state"] != "live" or contact["role"] != "user":
        raise not_found("Contact not found")
    rows = contacts.merge_history(workspace, contact)
    if request.args.get("order") == "asc":
        rows.reverse()
    per_page = max(1, min(request.args.get("per_page", 50, type=int), 150))
    start = request.args.get("cursor", 0, type=int)
    more = start + per_page < len(rows)
    return {
        "type": "list",
        "data": rows[start : start + per_page],
        "next_cursor": str(start + per_page) if more else None,
        "has_more": more,
    }


def _found_tag(workspace: Workspace, tag_id: Any) -> str:
    if str(tag_id) not in workspace.tags:
        raise Refused(404, "not_found", "Resource Not Found")
    return str(tag_id)


def _retag(world: World, workspace: Workspace, contact: Contact, tag_id: str, *, on: bool) -> dict[str, Any]:
    had = tag_id in contact["tags"]
    tags = tuple(tag for tag in contact["tags"] if tag != tag_id) + ((tag_id,) if on else ())
    if had != on:
        now = world.clock.now()
        contact = {**contact, "tags": tags, "updated_at": now}
        workspace.store(contact, now, world.settings.index_delay_seconds)
        if world.settings.echo_own_writes:
            notifications.announce_tag(world, workspace, contact, tag_id, "created" if on else "deleted")
    return shown.tag(workspace.tags[tag_id])


@door("/contacts/<contact_id>/tags", "GET", READ)
def tags_of(_world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """A contact's tags, all of them."""
    contact = contacts.find(workspace, contact_id, version())
    return {"type": "list", "data": [shown.tag(workspace.tags[tag_id]) for tag_id in contact["tags"]]}


@door("/contacts/<contact_id>/tags", "POST", "tags_write")
def attach(world: World, workspace: Workspace, contact_id: str) -> dict[str, Any]:
    """Put a tag on a contact."""
    contact = contacts.find(workspace, contact_id, version())
    return _retag(world, workspace, contact, _found_tag(workspace, body().get("id")), on=True)


@door("/contacts/<contact_id>/tags/<tag_id>", "DELETE", "tags_write")
def detach(world: World, workspace: Workspace, contact_id: str, tag_id: str) -> dict[str, Any]:
    """Take a tag off a contact."""
    contact = contacts.find(workspace, contact_id, version())
    return _retag(world, workspace, contact, _found_tag(workspace, tag_id), on=False)
