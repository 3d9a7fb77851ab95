"""A workspace: its contacts with their indexes, and what else belongs to it.

A contact is a plain dictionary that is never changed once it is stored: a change stores a new one. So the search
index and the webhooks can hold an older state of it without copying.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from sandbox.intercom.index import SearchIndex

Contact = dict[str, Any]

LIVE = "live"
ARCHIVED = "archived"
DELETED = "deleted"
BLOCKED = "blocked"
MERGED = "merged"

BLANK: Contact = {
    "external_id": None,
    "email": "",
    "phone": None,
    "name": None,
    "avatar": None,
    "owner_id": None,
    "signed_up_at": None,
    "last_seen_at": None,
    "language_override": None,
    "unsubscribed_from_emails": False,
    "custom_attributes": {},
    "tags": (),
    "state": LIVE,
    "merged_into": None,
    "merged_at": None,
}


@dataclass
class Subscription:
    """Where a workspace's notifications go, and how that has fared."""

    url: str | None = None
    topics: list[str] = field(default_factory=list)
    active: bool = True
    head_status: int | str | None = None
    errors_in_row: int = 0
    errors_since: float | None = None
    paused_until: float = 0.0


@dataclass
class Workspace:
    """One Intercom workspace."""

    app_id: str
    name: str
    timezone: str
    region: str
    tokens: list[str]
    client_secret: str
    created_at: float
    missing_permissions: list[str] = field(default_factory=list)
    seed: int = 1
    contacts: dict[str, Contact] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscription: Subscription = field(default_factory=Subscription)

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.app_id}/{self.seed}/{len(self.order)}")
        self._by_email: dict[str, set[str]] = {}
        self._by_external_id: dict[str, str] = {}
        self.live_count = 0
        self.index = SearchIndex()
        for contact in self.contacts.values():
            self._remember(contact)
            if contact["state"] == LIVE:
                self.live_count += 1
                self.index.put(contact)

    def new_id(self, now: float) -> str:
        """24 hexadecimal digits, like an object id of Intercom."""
        return f"{int(now) & 0xFFFFFFFF:08x}{self._dice.getrandbits(40):010x}{len(self.order) & 0xFFFFFF:06x}"

    def new_uuid(self) -> str:
        """The identity Intercom invents for a lead."""
        bits = f"{self._dice.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"

    def store(self, contact: Contact, now: float, delay: float) -> None:
        """Keep a contact's new state; search shows it only `delay` seconds later."""
        before = self.contacts.get(contact["id"])
        if before is None:
            self.order.append(contact["id"])
        else:
            self._forget(before)
        self.live_count += (contact["state"] == LIVE) - (before is not None and before["state"] == LIVE)
        self.contacts[contact["id"]] = contact
        self._remember(contact)
        if contact["state"] == LIVE:
            self.index.put_later(contact, now + delay, now)
        else:
            self.index.remove(contact["id"])

    def with_email(self, email: str, role: str) -> list[Contact]:
        """Contacts of a role with this email in any state but merged, oldest first."""
        ids = self._by_email.get(email, ())
        found = [self.contacts[contact_id] for contact_id in ids]
        return sorted(
            (contact for contact in found if contact["role"] == role),
            key=lambda contact: (contact["created_at"], contact["id"]),
        )

    def with_external_id(self, external_id: str) -> Contact | None:
        """The user who holds this identity, in any state but merged."""
        contact_id = self._by_external_id.get(external_id)
        return self.contacts[contact_id] if contact_id else None

    def live(self) -> list[Contact]:
        """Every contact that is neither archived, deleted, blocked nor merged, oldest first."""
        contacts = self.contacts
        return [contact for contact_id in self.order if (contact := contacts[contact_id])["state"] == LIVE]

    def shared_emails(self) -> dict[str, int]:
        """Emails that several live contacts have, with how many."""
        counts: dict[str, int] = {}
        for email, ids in self._by_email.items():
            alive = sum(self.contacts[contact_id]["state"] == LIVE for contact_id in ids)
            if alive > 1:
                counts[email] = alive
        return counts

    def _remember(self, contact: Contact) -> None:
        if contact["state"] == MERGED:
            return
        if contact["email"]:
            self._by_email.setdefault(contact["email"], set()).add(contact["id"])
        if contact["role"] == "user" and contact["external_id"]:
            self._by_external_id[contact["external_id"]] = contact["id"]

    def _forget(self, contact: Contact) -> None:
        ids = self._by_email.get(contact["email"])
        if ids is not None:
            ids.discard(contact["id"])
            if not ids:
                del self._by_email[contact["email"]]
        if self._by_external_id.get(contact["external_id"] or "") == contact["id"]:
            del self._by_external_id[contact["external_id"]]
