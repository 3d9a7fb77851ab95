"""A workspace, a program and a campaign of their own in a running system, and contacts of every kind to be synced."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.system import System
from local.seed import AUDIENCES

AT_ONCE = 1000
"""Contacts made by one call."""

MAPPING = [
    {"from": "name", "to": "first_name"},
    {"from": "email", "to": "email"},
    {"from": "custom_attributes.Company name", "to": "meta.Last Name"},
]
WRITE_BACK = [
    {"from": "url", "to": "custom_attributes.Referral Link"},
    {"from": "referrals", "to": "custom_attributes.Referrals"},
]

Document = dict[str, Any]


@dataclass(slots=True)
class Crowd:
    """What contacts are to be made, and what is to become of each. ``there`` has those who are in the campaign, in
    other letters' case every second one."""

    contacts: list[Document] = field(default_factory=list)
    there: list[Document] = field(default_factory=list)
    expected: Counter[tuple[str, str | None]] = field(default_factory=Counter)

    @property
    def addresses(self) -> set[str]:
        """Of all who are to be in the campaign in the end."""
        lacking = {one["email"].lower() for one in self.contacts if not all(_mapped(one))}
        return {one["email"].lower() for one in self.contacts if one["email"]} - lacking


def crowd(prefix: str, number: int, *, kinds: bool = True) -> Crowd:
    """Two users for each lead. With ``kinds``, a tenth is in the campaign, a twentieth lacks a value that is mapped,
    and three of a hundred have the address of the one before, in capitals."""
    made = Crowd()
    for place in range(number):
        email = f"{prefix}{place}@example.com"
        one: Document = {
            "role": "lead" if place % 3 == 2 else "user",
            "external_id": f"{prefix}-{place}",
            "email": email,
            "name": f"{prefix.title()} {place}",
            "custom_attributes": {"Company name": f"Acme {place}"},
        }
        outcome: tuple[str, str | None] = ("added", None)
        if kinds and place % 10 == 4:
            in_campaign = email.upper() if place % 20 == 4 else email
            made.there.append({"email": in_campaign, "first_name": one["name"]})
            outcome = ("existing", "already_in_campaign")
        elif kinds and place % 20 == 7:
            _take_away(one, place // 20 % 3)
            outcome = ("skipped", "blank_mapped_value")
        elif kinds and place % 100 in (20, 50, 80):
            one["email"] = f"{prefix}{place - 1}@example.com".upper()
            outcome = ("existing", "already_in_campaign")
        made.contacts.append(one)
        made.expected[outcome] += 1
    return made


def _take_away(one: Document, which: int) -> None:
    if which == 0:
        one["name"] = None
    elif which == 1:
        one["email"] = ""
    else:
        one["custom_attributes"] = {}


def _mapped(one: Mapping[str, Any]) -> Sequence[Any]:
    return one["name"], one["email"], one["custom_attributes"].get("Company name")


@dataclass(frozen=True, slots=True)
class Ground:
    """A workspace and a program of their own, joined by a campaign; ``name`` is theirs at both vendors."""

    system: System
    name: str
    workspace_id: str
    program_id: str
    campaign_id: str
    number: int
    """Of the campaign at Referral Factory."""

    # At the vendors

    def make_contacts(self, contacts: Sequence[Document], notification: str = "silent") -> list[str]:
        """Their ids."""
        ids: list[str] = []
        for start in range(0, len(contacts), AT_ONCE):
            answer = self.change(contacts[start : start + AT_ONCE], notification)
            ids += [one["id"] for one in answer["results"]]
        return ids

    def change(self, changes: Sequence[Document], notification: str = "send") -> Any:
        body = {"changes": [{**one} for one in changes], "notification": notification}
        answer = self.system.control("POST", f"/intercom/{self.name}/contacts/changes", body)
        assert answer["refused"] == 0, answer
        return answer

    def contacts(self) -> list[Document]:
        found: list[Document] = self.system.control("GET", f"/intercom/{self.name}/contacts")["contacts"]
        return found

    def make_people(self, people: Sequence[Document]) -> list[Document]:
        """In the campaign, of whom nobody is told."""
        users = [{"campaign_id": self.number, **one} for one in people]
        made: list[Document] = self.system.control("POST", "/referral-factory/users", {"users": users})["users"]
        return made

    def people(self) -> list[Document]:
        """Everybody of the campaign, as Referral Factory has them."""
        accounts = self.system.control("GET", "/state")["factory"]["accounts"]
        (people,) = [one["people"] for one in accounts if one["name"] == self.name]
        return [one for one in people if one["campaign_id"] == self.number]

    def sign_up(self, code: str, email: str) -> None:
        friend = {"code": code, "first_name": email.partition("@")[0], "email": email}
        self.system.control("POST", "/referral-factory/sign-up", friend)

    # Here

    def settings(self, **more: Any) -> Document:
        return {"contacts": "all", "mapping": MAPPING, "write_back": WRITE_BACK, "schedule": "once", **more}

    def set_up(self, *audiences: str) -> None:
        for audience in audiences:
            self.system.api("PUT", f"/campaigns/{self.campaign_id}/audiences/{audience}", AUDIENCES[audience])

    def sync(self, **more: Any) -> str:
        """Begin one; its id."""
        return str(self.system.api("POST", f"/campaigns/{self.campaign_id}/syncs", self.settings(**more))["id"])

    def run(self, sync_id: str) -> Document:
        shown: Document = self.system.api("GET", f"/syncs/{sync_id}")
        return shown

    def outcomes(self, sync_id: str) -> list[Document]:
        return self.system.items(f"/syncs/{sync_id}/outcomes")


def make_ground(system: System, name: str) -> Ground:
    """A workspace, an account and a campaign that know each other, with webhooks, and no settings of any audience."""
    token, secret = f"token-of-{name}-{secrets.token_hex(4)}", f"secret-of-{name}"
    system.control("POST", "/workspaces", {"app_id": name, "token": token, "client_secret": secret})
    fields = {kind: [{"label": "Last Name"}, {"label": "Company"}] for kind in ("person_invited", "person_referring")}
    account = {"name": name, "token": token, "campaigns": [{"name": name, "code": name, "fields": fields}]}
    (campaign,) = system.control("POST", "/accounts", account)["campaigns"]

    workspace = system.api(
        "POST", "/workspaces", {"name": name, "region": "us", "access_token": token, "client_secret": secret}
    )
    program = system.api("POST", "/programs", {"name": name, "access_token": token})
    body = {
        "program_id": program["id"],
        "referral_factory_id": str(campaign["id"]),
        "workspace_id": workspace["id"],
    }
    made = system.api("POST", "/campaigns", body)
    system.control("POST", f"/intercom/{name}/webhook", {"url": f"{system.web}/webhooks/intercom"})
    webhook = made["webhook"]
    for topic, url in webhook["urls"].items():
        hook = {
            "url": system.web + urlsplit(url).path,
            "topic": topic.replace("_", "-"),
            "headers": {webhook["header"]: webhook["secret"]},
        }
        system.control("POST", f"/referral-factory/{campaign['id']}/webhooks", hook)
    return Ground(system, name, str(workspace["id"]), str(program["id"]), str(made["id"]), campaign["id"])
