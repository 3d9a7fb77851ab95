"""Referral Factory: accounts, their campaigns and people, with the indexes that keep calls cheap."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Person = dict[str, Any]
Campaign = dict[str, Any]

REFERRER = "person_referring"
LEAD = "person_invited"
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass
class Account:
    """One account. It has one active token; a new one ends the old one."""

    name: str
    token: str
    user_limit: int | None = None
    campaigns: dict[int, Campaign] = field(default_factory=dict)
    people: dict[int, Person] = field(default_factory=dict)
    webhooks: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_code: dict[str, int] = {}
        self._by_email: dict[tuple[int, str], set[int]] = {}
        self.counts: dict[int, list[int]] = {}
        self.order: list[int] = []
        for person in self.people.values():
            self._remember(person)

    def store(self, person: Person) -> None:
        """Keep a person's new state."""
        before = self.people.get(person["id"])
        if before is not None:
            self._forget(before)
        self.people[person["id"]] = person
        self._remember(person, new=before is None)

    def remove(self, person: Person) -> None:
        """Delete a person."""
        self._forget(person)
        del self.people[person["id"]]
        self.order.remove(person["id"])

    def by_code(self, code: str) -> Person | None:
        """The person with this code. Codes are case-sensitive."""
        person_id = self._by_code.get(code)
        return self.people[person_id] if person_id is not None else None

    def by_email(self, campaign_id: int, email: str) -> list[Person]:
        """Everyone in a campaign with this email in any letter case, the oldest first."""
        ids = self._by_email.get((campaign_id, email.strip().lower()), set())
        return [self.people[person_id] for person_id in sorted(ids)]

    def is_over_limit(self) -> bool:
        """Over its limit an account's referral links stop working."""
        return self.user_limit is not None and len(self.people) > self.user_limit

    def count(self, person_id: int) -> tuple[int, int]:
        """How many a referrer brought, and how many of them qualified."""
        brought, qualified = self.counts.get(person_id, (0, 0))
        return brought, qualified

    def _remember(self, person: Person, *, new: bool = True) -> None:
        if new:
            self.order.append(person["id"])
        self._by_code[person["code"]] = person["id"]
        key = (person["campaign_id"], person["email"].strip().lower())
        self._by_email.setdefault(key, set()).add(person["id"])
        self._tally(person, 1)

    def _forget(self, person: Person) -> None:
        self._by_code.pop(person["code"], None)
        key = (person["campaign_id"], person["email"].strip().lower())
        self._by_email.get(key, set()).discard(person["id"])
        self._tally(person, -1)

    def _tally(self, person: Person, by: int) -> None:
        if person["referrer_id"] is not None:
            counts = self.counts.setdefault(person["referrer_id"], [0, 0])
            counts[0] += by
            counts[1] += by if person["qualified_at"] else 0


@dataclass
class Factory:
    """All accounts. Ids and codes are unique across them."""

    seed: int = 1
    accounts: dict[str, Account] = field(default_factory=dict)
    next_person: int = 1
    next_campaign: int = 1

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed}/{self.next_person}")

    def by_token(self, token: str) -> Account | None:
        """The account whose active token this is."""
        return next((account for account in self.accounts.values() if account.token == token), None)

    def add_campaign(self, account: Account, name: str, **more: Any) -> Campaign:
        """Add a campaign, as the account's owner would: the API has no way to."""
        campaign_id = int(more.pop("id", self.next_campaign))
        if self.campaign(campaign_id) is not None:
            raise ValueError(f"there is a campaign {campaign_id} already")
        self.next_campaign = max(self.next_campaign, campaign_id) + 1
        fields = more.pop("fields", {})
        campaign = {
            "id": campaign_id,
            "name": name,
            "code": more.pop("code", f"campaign-{campaign_id}"),
            "lang": "en",
            "status": "launched",
            "starts_at": None,
            "ends_at": None,
            "created_at": more.pop("created_at", "2026-01-05"),
            "fields": {
                kind: [_field(number, each) for number, each in enumerate(fields.get(kind, []), 1)]
                for kind in (REFERRER, LEAD)
            },
            **more,
        }
        account.campaigns[campaign_id] = campaign
        return campaign

    def campaign(self, campaign_id: int) -> tuple[Account, Campaign] | None:
        """A campaign and whose it is."""
        for account in self.accounts.values():
            if campaign_id in account.campaigns:
                return account, account.campaigns[campaign_id]
        return None

    def campaign_by_code(self, code: str) -> tuple[Account, Campaign] | None:
        """A campaign by the code in its link."""
        for account in self.accounts.values():
            for campaign in account.campaigns.values():
                if campaign["code"] == code:
                    return account, campaign
        return None

    def person_by_code(self, code: str) -> tuple[Account, Person] | None:
        """A person by the code in their link."""
        for account in self.accounts.values():
            person = account.by_code(code)
            if person is not None:
                return account, person
        return None

    def new_code(self) -> str:
        """Eight letters and digits that nobody has yet."""
        while True:
            code = "".join(self._dice.choices(ALPHABET, k=8))
            if self.person_by_code(code) is None:
                return code


def _field(number: int, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": given.get("id", number),
        "type": given.get("type", "input"),
        "label": given["label"],
        "value": given.get("value"),
        "required": bool(given.get("required", False)),
    }


def date(moment: float) -> str:
    """Referral Factory tells days, not times."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
