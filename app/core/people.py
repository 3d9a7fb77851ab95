"""Who the product is about: a person in Referral Factory, a contact in Intercom, and what is written between."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

Scalar = str | int | float | bool
Value = Scalar | None

CUSTOM = "custom_attributes."
REFERRER = "referrer."
META = "meta."
"""Prefix of a campaign field, which is named by its label: ``meta.Company``."""

PERSON_FIELDS: tuple[str, ...] = (
    "id",
    "code",
    "email",
    "first_name",
    "url",
    "source",
    "signed_up_at",
    "qualified_at",
    "campaign.name",
    "referrals",
    "qualified_referrals",
    "referrer.id",
    "referrer.code",
    "referrer.email",
    "referrer.first_name",
    "referrer.url",
)
"""Every field of a person that a mapping may name, besides ``meta.<label>``."""


class Audience(StrEnum):
    """The two kinds of people in a campaign."""

    LEADS = "leads"
    REFERRERS = "referrers"


class Role(StrEnum):
    """The two kinds of contact in Intercom."""

    LEAD = "lead"
    USER = "user"


def normalised_email(email: object) -> str:
    """Trimmed and lower-cased, the form in which people are compared and linked; plus-addresses stay as they are."""
    return str(email).strip().lower() if email is not None else ""


# RFC 5321's dot-atom and host name, with the letters of RFC 6531; quoted names and bare IP addresses are left out,
# for nobody signs up with one. Reserved endings such as .test pass: whether mail arrives is not ours to judge.
_LOCAL = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_EMAIL = re.compile(rf"{_LOCAL}(?:\.{_LOCAL})*@(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")


def is_email(text: str) -> bool:
    """Whether ``text``, already trimmed, is one plain address: at most 254 bytes, at most 64 before the @."""
    composed = unicodedata.normalize("NFC", text)
    if len(composed) > 254 or not _EMAIL.fullmatch(composed):
        return False
    return len(composed.encode()) <= 254 and len(composed.partition("@")[0].encode()) <= 64


@dataclass(frozen=True, slots=True)
class Person:
    """Someone of a campaign as Referral Factory knows them.

    ``values`` is keyed by the names of ``PERSON_FIELDS`` and ``meta.<label>``. A key that is absent is not known
    (and may be asked of the API); a key with ``None`` is known to be blank.
    """

    audience: Audience | None
    values: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))

    def text(self, name: str) -> str | None:
        """The field as trimmed text, ``None`` where it is unknown or blank."""
        value = self.values.get(name)
        return (str(value).strip() or None) if value is not None else None

    @property
    def referral_factory_id(self) -> str | None:
        return self.text("id")

    @property
    def code(self) -> str | None:
        return self.text("code")

    @property
    def email(self) -> str | None:
        """As given; ``normalised_email`` is the form to compare by."""
        return self.text("email")

    def unknown(self, names: Iterable[str]) -> frozenset[str]:
        """Those of ``names`` that nobody has told us yet."""
        return frozenset(name for name in names if name not in self.values)

    def completed(self, other: Mapping[str, Value], audience: Audience | None = None) -> Person:
        """This person with what ``other`` adds; what is already known stays."""
        return Person(self.audience or audience, {**other, **self.values})


@dataclass(frozen=True, slots=True)
class Contact:
    """A lead or user as Intercom showed it. Times are Unix seconds, UTC."""

    id: str
    role: Role
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    language_override: str | None = None
    custom_attributes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    created_at: int | None = None
    updated_at: int | None = None

    def value(self, path: str) -> object:
        """What stands under ``path`` (``name``, ``custom_attributes.Plan``); ``None`` where nothing does."""
        if path.startswith(CUSTOM):
            return self.custom_attributes.get(path.removeprefix(CUSTOM))
        return getattr(self, path, None)


@dataclass(frozen=True, slots=True)
class ContactDraft:
    """What is to be written: values by path, already of the attribute's type. ``role`` only where one is created."""

    values: Mapping[str, Scalar]
    role: Role | None = None

    def without(self, paths: Collection[str]) -> ContactDraft:
        return replace(self, values={path: v for path, v in self.values.items() if path not in paths})

    def only(self, paths: Collection[str]) -> ContactDraft:
        return replace(self, values={path: v for path, v in self.values.items() if path in paths})


def is_blank(value: object) -> bool:
    """Null, empty text and text of spaces; ``0`` and ``False`` are values."""
    return value is None or (isinstance(value, str) and not value.strip())
