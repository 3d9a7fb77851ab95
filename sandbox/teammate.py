"""What a teammate does to a contact in Intercom's own screens: notified even where the API's own writes are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.intercom import contacts, notifications
from sandbox.intercom.refusals import invalid
from sandbox.intercom.state import LIVE, Contact, Workspace
from sandbox.world import World

_LEAVING: dict[str, Any] = {"archive": contacts.archive, "delete": contacts.delete, "block": contacts.block}
ACTIONS = ("save", "promote", "unarchive", "merge", *_LEAVING)


@dataclass
class Done:
    """A contact as it is now, and what became of each notification, in the words of `sandbox.fates`."""

    contact: Contact
    notifications: list[str]


def make(world: World, workspace: Workspace, body: dict[str, Any], fate: str | None = None) -> Done:
    """A contact made by a teammate, or by a visit."""
    change = contacts.create(workspace, world.settings, world.clock.now(), body, by_teammate=True)
    return Done(change.contact, notifications.announce(world, workspace, change, fate=fate))


def act(
    world: World, workspace: Workspace, contact_id: str, action: str, body: dict[str, Any], fate: str | None = None
) -> Done:
    """Change a contact, make it a user, merge it, archive it and so on."""
    settings, now = world.settings, world.clock.now()
    if action not in ACTIONS:
        raise LookupError(f"{action} is none of {', '.join(ACTIONS)}")
    if action == "merge":
        return _merge(world, workspace, contact_id, body.get("into"), fate)
    if action == "unarchive":
        change = contacts.unarchive(workspace, settings, now, contact_id)
    else:
        contact = contacts.find(workspace, contact_id)
        if action in _LEAVING:
            change = _LEAVING[action](workspace, settings, now, contact)
        else:
            given = {**body, "role": "user"} if action == "promote" else body
            change = contacts.update(workspace, settings, now, contact, given, by_teammate=True)
    return Done(change.contact, notifications.announce(world, workspace, change, fate=fate))


def _merge(world: World, workspace: Workspace, lead_id: str, into: str | None, fate: str | None) -> Done:
    """Merge a lead into a user: the one named, else the one of the same email."""
    user = workspace.contacts.get(str(into)) if into else into_whom(workspace, contacts.find(workspace, lead_id))
    if user is None:
        raise invalid("There is no user with the email of this lead")
    pair = {"from": lead_id, "into": user["id"], "skip_duplicate_validation": bool(into)}
    change, lead = contacts.merge(workspace, world.settings, world.clock.now(), pair)
    return Done(change.contact, notifications.announce(world, workspace, change, lead, fate=fate))


def into_whom(workspace: Workspace, contact: Contact) -> Contact | None:
    """The user whom a lead could be merged into, for they share an email."""
    if contact["role"] != "lead" or contact["state"] != LIVE:
        return None
    return contacts.user_seen_last(workspace, contact["email"])
