"""The controls of contacts: what teammates and visits do. The module `sandbox.control` lists them all."""

from __future__ import annotations

import random
from typing import Any

from sandbox import fates, teammate
from sandbox.control import knob
from sandbox.intercom import contacts, notifications
from sandbox.intercom.refusals import Refused
from sandbox.intercom.state import Workspace
from sandbox.vendor_controls import workspace_of
from sandbox.world import World


@knob("/intercom/<app_id>/auto-merge", "POST")
def auto_merge(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Merge in the background, as Intercom does by itself."""
    with world.lock:
        workspace = workspace_of(world, app_id)
        fate = fates.known(given.get("notification"))
        email = str(given["email"]).strip().lower()
        merged = contacts.auto_merge(workspace, world.settings, world.clock.now(), email)
        if merged is None:
            raise LookupError("there is no lead and user with this email")
        notifications.announce(world, workspace, *merged, fate=fate)
        return {"from": merged[1]["id"], "into": merged[0].contact["id"]}


@knob("/intercom/<app_id>/contacts", "GET")
def contacts_all(world: World, _given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Every contact in every state."""
    with world.lock:
        workspace = workspace_of(world, app_id)
        return {"contacts": [workspace.contacts[contact_id] for contact_id in workspace.order]}


@knob("/intercom/<app_id>/contacts", "POST")
def contact_add(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """A contact made by a teammate, or by a visit."""
    with world.lock:
        fate = fates.known(given.pop("notification", None))
        return teammate.make(world, workspace_of(world, app_id), given, fate).contact


@knob("/intercom/<app_id>/contacts/<contact_id>", "PUT")
def contact_change(world: World, given: dict[str, Any], app_id: str, contact_id: str) -> dict[str, Any]:
    """A change by a teammate."""
    with world.lock:
        fate = fates.known(given.pop("notification", None))
        return teammate.act(world, workspace_of(world, app_id), contact_id, "save", given, fate).contact


@knob("/intercom/<app_id>/contacts/<contact_id>/<action>", "POST")
def contact_act(world: World, given: dict[str, Any], app_id: str, contact_id: str, action: str) -> dict[str, Any]:
    """A teammate makes a user of it, archives it, brings it back, deletes, blocks or merges it."""
    with world.lock:
        fate = fates.known(given.pop("notification", None))
        return teammate.act(world, workspace_of(world, app_id), contact_id, action, given, fate).contact


@knob("/intercom/<app_id>/contacts/changes", "POST")
def contacts_change(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Many changes one after another; one that is refused doesn't stop the others."""
    changes = given["changes"]
    if not isinstance(changes, list) or not all(isinstance(each, dict) for each in changes):
        raise ValueError("changes must be a list of objects")
    chances, dice = given.get("chances") or {}, random.Random(int(given.get("seed", 1)))
    for word in (*chances, *(each.get("notification") for each in (given, *changes))):
        fates.known(word)
    with world.lock:
        workspace = workspace_of(world, app_id)
        results = []
        for each in changes:
            thrown = fates.by_chances(chances, dice) if chances else given.get("notification")
            results.append(_changed(world, workspace, {"notification": thrown, **each}))
    return {"results": results, "refused": sum("error" in result for result in results)}


def _changed(world: World, workspace: Workspace, change: dict[str, Any]) -> dict[str, Any]:
    contact_id, action = change.pop("id", None), change.pop("action", "save")
    fate = change.pop("notification")
    try:
        if contact_id is None:
            done = teammate.make(world, workspace, change, fate)
        else:
            done = teammate.act(world, workspace, str(contact_id), action, change, fate)
    except (Refused, LookupError, ValueError) as error:
        return {"id": contact_id, "error": str(error)}
    # `id` is the one that was asked for, also where it was merged and another remains.
    return {
        "id": contact_id or done.contact["id"],
        "state": workspace.contacts[str(contact_id or done.contact["id"])]["state"],
        "notifications": done.notifications,
    }
