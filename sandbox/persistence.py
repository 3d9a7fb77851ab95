"""Keeping the state in a file: read at start, written a second after changes and at the end."""

from __future__ import annotations

import copy
import json
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.intercom.state import Subscription, Workspace
from sandbox.referral_factory.state import Account, Factory
from sandbox.settings import DEFAULTS
from sandbox.world import World

FORM = 1
QUIET_SECONDS = 1.0
PLAIN = (
    *("app_id", "name", "timezone", "region", "tokens", "client_secret", "created_at"),
    *("missing_permissions", "seed", "attributes", "segments", "tags"),
)


def snapshot(world: World) -> dict[str, Any]:
    """The state as JSON can hold it. Contacts are never changed once stored, so they are not copied."""
    with world.lock:
        return {
            "form": FORM,
            "ahead": world.clock.ahead,
            "settings": world.settings.as_dict(),
            "workspaces": [_workspace(workspace) for workspace in world.workspaces.values()],
            "factory": {
                "next_person": world.factory.next_person,
                "next_campaign": world.factory.next_campaign,
                "accounts": [_account(account) for account in world.factory.accounts.values()],
            },
        }


def _workspace(workspace: Workspace) -> dict[str, Any]:
    kept = {name: getattr(workspace, name) for name in PLAIN}
    kept["contacts"] = [workspace.contacts[contact_id] for contact_id in workspace.order]
    kept["subscription"] = asdict(workspace.subscription)
    # Attributes and segments are changed in place, so these are copied while the lock is held.
    return {**copy.deepcopy({**kept, "contacts": []}), "contacts": kept["contacts"]}


def _account(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "token": account.token,
        "user_limit": account.user_limit,
        "campaigns": list(account.campaigns.values()),
        "people": list(account.people.values()),
        "webhooks": list(account.webhooks),
    }


def restore(world: World, kept: dict[str, Any], given: frozenset[str] = frozenset()) -> None:
    """Put a snapshot in the place of the state. Switches given at the start win over those kept."""
    with world.lock:
        settings = kept["settings"].items()
        world.settings.change({name: value for name, value in settings if name in DEFAULTS and name not in given})
        world.clock.ahead = kept["ahead"]
        world.workspaces.clear()
        for row in kept["workspaces"]:
            people = [{**contact, "tags": tuple(contact["tags"])} for contact in row.pop("contacts")]
            workspace = Workspace(
                **{**row, "subscription": Subscription(**row["subscription"])},
                contacts={contact["id"]: contact for contact in people},
                order=[contact["id"] for contact in people],
            )
            world.workspaces[workspace.app_id] = workspace
        factory = kept["factory"]
        world.factory = Factory(
            world.seed_number, next_person=factory["next_person"], next_campaign=factory["next_campaign"]
        )
        for row in factory["accounts"]:
            world.factory.accounts[row["name"]] = Account(
                **{
                    **row,
                    "campaigns": {campaign["id"]: campaign for campaign in row["campaigns"]},
                    "people": {person["id"]: person for person in row["people"]},
                }
            )


class Keeper:
    """Writes the state to its file once changes have been quiet for a moment."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._path = path
        self._written = world.changes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin watching for changes."""
        self._thread.start()

    def close(self) -> None:
        """Write what is not yet written, and end."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self.save()

    def _run(self) -> None:
        rest = QUIET_SECONDS
        while not self._end.wait(rest):
            started = time.monotonic()
            self.save()
            # A large state takes a while to write: then less often, so that calls are not held up.
            rest = max(QUIET_SECONDS, 20 * (time.monotonic() - started))

    def save(self) -> None:
        """Write the state if it has changed: to a new file, then in the place of the old one."""
        if self._world.changes == self._written:
            return
        self._written = self._world.changes
        text = json.dumps(snapshot(self._world))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text(text)
        fresh.replace(self._path)


def load(world: World, path: Path, given: frozenset[str] = frozenset()) -> bool:
    """Read the state from its file, if there is one."""
    if not path.exists():
        return False
    kept = json.loads(path.read_text())
    if kept.get("form") != FORM:
        raise ValueError(f"{path} was written by another version of the sandbox")
    restore(world, kept, given)
    return True
