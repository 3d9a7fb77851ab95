"""Who was erased, known again without being named, and what names them in what others leave behind. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from app.core.people import REFERRER, Person, Value, normalised_email

ERASED: Final = "[erased]"
"""What stands where somebody was named."""

LEAST_WORD: Final = 4
"""Characters. A shorter code or id stands in texts for other things."""


class Kind(StrEnum):
    """By what an erased person is known again."""

    EMAIL = "email"
    CONTACT = "contact"
    ID = "id"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Mark:
    """Makes digests that nobody can make who lacks the key: an email is soon guessed, and so is a plain digest."""

    key: bytes = field(repr=False)

    def of(self, kind: Kind, scope: int, name: str) -> str:
        """Of a name within its workspace (email, contact) or campaign (id, code)."""
        return self._digest(kind.value, scope, normalised_email(name) if kind is Kind.EMAIL else name)

    def event(self, dedupe_key: str) -> str:
        """Of what makes an event the same as another."""
        return self._digest("event", dedupe_key)

    def outcome(self, sync_id: int, subject: str) -> str:
        """Whose outcome in a run it is, in place of the contact."""
        return f"erased:{self._digest('outcome', sync_id, subject)}"

    def _digest(self, *parts: object) -> str:
        text = json.dumps([str(part) for part in parts]).encode("ascii")
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody of a campaign, or of a workspace alone, by whatever names are known."""

    workspace_id: int
    campaign_id: int | None = None
    email: str | None = None
    referral_factory_id: str | None = None
    code: str | None = None
    contact_id: str | None = None

    def digests(self, mark: Mark) -> dict[str, Kind]:
        in_workspace = (Kind.EMAIL, self.email), (Kind.CONTACT, self.contact_id)
        in_campaign = (Kind.ID, self.referral_factory_id), (Kind.CODE, self.code)
        found = {mark.of(kind, self.workspace_id, name): kind for kind, name in in_workspace if name}
        if self.campaign_id is not None:
            found |= {mark.of(kind, self.campaign_id, name): kind for kind, name in in_campaign if name}
        return found


def who(workspace_id: int, campaign_id: int, person: Person) -> Who:
    """As Referral Factory names them."""
    return Who(workspace_id, campaign_id, person.email, person.referral_factory_id, person.code)


def referrer_in(workspace_id: int, campaign_id: int, values: Mapping[str, Value]) -> Who | None:
    """Whom a lead's values name as the referrer; ``None`` where they name nobody."""
    given = {name: _text(values.get(REFERRER + name)) for name in ("email", "id", "code")}
    if not any(given.values()):
        return None
    return Who(workspace_id, campaign_id, given["email"], given["id"], given["code"])


def _text(value: object) -> str | None:
    return (str(value).strip() or None) if value is not None else None


def without_referrer(values: Mapping[str, Any]) -> dict[str, Any]:
    """A lead's values, saying no more who has referred them."""
    return {name: value for name, value in values.items() if not name.startswith(REFERRER)}


@dataclass(frozen=True, slots=True)
class Names:
    """All that somebody is called while they are being erased: ``ids`` and ``codes`` by campaign, ``contacts`` by
    workspace, ``keys`` of their leases and events, ``words`` (first names, links) and ``people``, the rows that
    they had."""

    workspaces: frozenset[int] = frozenset()
    campaigns: frozenset[int] = frozenset()
    emails: frozenset[str] = frozenset()
    ids: frozenset[tuple[int, str]] = frozenset()
    codes: frozenset[tuple[int, str]] = frozenset()
    contacts: frozenset[tuple[int, str]] = frozenset()
    keys: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    people: frozenset[int] = frozenset()

    def digests(self, mark: Mark) -> dict[str, Kind]:
        """What stays of them."""
        found = {mark.of(Kind.EMAIL, one, email): Kind.EMAIL for one in self.workspaces for email in self.emails}
        for kind, names in ((Kind.CONTACT, self.contacts), (Kind.ID, self.ids), (Kind.CODE, self.codes)):
            found |= {mark.of(kind, scope, name): kind for scope, name in names}
        return found

    def are(self, one: Who) -> bool:
        """Whether somebody is this person, by any name."""
        campaign = one.campaign_id or 0
        return (
            (one.workspace_id in self.workspaces and normalised_email(one.email) in self.emails)
            or (campaign, one.referral_factory_id) in self.ids
            or (campaign, one.code) in self.codes
            or (one.workspace_id, one.contact_id) in self.contacts
        )

    def are_in(self, text: str) -> bool:
        """Whether a text has an email, a link or a contact of theirs in it."""
        telling = self.emails | self.links | {name for _, name in self.contacts if len(name) > LEAST_WORD}
        return bool(telling) and _any_of(telling).search(text.casefold()) is not None

    def to_json(self) -> str:
        return json.dumps({name: sorted(getattr(self, name)) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Names:
        kept = json.loads(text)
        return cls(**{name: frozenset(map(_hashable, kept[name])) for name in cls.__slots__})


# What an address goes on with: who is anna@example.com is not in johanna@example.com, nor in anna@example.com.au.
_BEFORE: Final = r"(?<![\w.+-])"
_AFTER: Final = r"(?![\w-]|\.\w)"


@lru_cache(maxsize=64)
def _any_of(words: frozenset[str]) -> re.Pattern[str]:
    """Finds one of them, as a whole, in a text without case."""
    return re.compile(f"{_BEFORE}(?:{'|'.join(re.escape(one.casefold()) for one in sorted(words))}){_AFTER}")


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def texts_in(value: object) -> Iterable[str]:
    """Every text of a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def redacted(value: Any, names: Names, words: Collection[str] = ()) -> Any:
    """A JSON value without the texts that name somebody; nor those that are one of ``words``, without case."""
    if isinstance(value, str):
        return ERASED if names.are_in(value) or value.strip().casefold() in words else value
    if isinstance(value, Mapping):
        return {redacted(name, names): redacted(each, names, words) for name, each in value.items()}
    return [redacted(each, names, words) for each in value] if isinstance(value, list) else value
