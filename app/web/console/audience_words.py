"""What an audience's settings say, in a marketer's words. Plain text: the templates escape it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.attributes import as_text, attribute_at
from app.core.audiences import (
    Action,
    Attribute,
    Catalogue,
    Duplicates,
    Field,
    Fixed,
    Join,
    QualificationRule,
    Source,
)
from app.core.changes import Part, Setting, SettingChange, changes
from app.core.mapping import ROLE
from app.core.people import CUSTOM, META, Audience, Person, Scalar, is_blank
from schemas.audiences import audience_settings_from

FIELDS: Mapping[str, Mapping[str, str]] = {
    "Basic": {
        "first_name": "First name",
        "email": "Email",
        "code": "Referral code",
        "url": "Referral link",
        "source": "Source",
        "id": "Referral Factory id",
        "signed_up_at": "Joined on",
        "qualified_at": "Qualified on",
        "referrals": "Referrals count",
        "qualified_referrals": "Converted referrals count",
    },
    "Campaign": {"campaign.name": "Campaign name"},
    "Referrer": {
        "referrer.first_name": "Referrer first name",
        "referrer.email": "Referrer email",
        "referrer.code": "Referrer referral code",
        "referrer.url": "Referrer referral link",
        "referrer.id": "Referrer id",
    },
}
"""The fields that every person has, in Referral Factory's groups and words."""

_LABELS = {name: label for group in FIELDS.values() for name, label in group.items()}

ACTIONS: Mapping[Action, str] = {
    Action.NOTHING: "Do nothing",
    Action.CREATE_LEAD: "Create lead",
    Action.CREATE_USER: "Create user",
}

DUPLICATES: Mapping[Duplicates, str] = {
    Duplicates.SKIP: "Skip them",
    Duplicates.UPDATE: "Update them",
    Duplicates.FILL_BLANKS: "Fill in blanks only",
}

SHORT = 60
EXAMPLE_LENGTH = 32


def cut(text: str, most: int = SHORT) -> str:
    """On one line, and no longer than a menu bears."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def field_label(name: str) -> str:
    return _LABELS.get(name) or cut(name.removeprefix(META))


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """A field in a menu; ``example`` is what somebody has in it, blank where they have nothing."""

    name: str
    label: str
    example: str


def field_choices(
    labels: Collection[str], used: Collection[str], person: Person
) -> Iterator[tuple[str, list[FieldChoice]]]:
    """The groups of the menu. What a row names and the campaign does not have is there as well, and says so."""

    def choice(name: str, label: str) -> FieldChoice:
        value = person.values.get(name)
        return FieldChoice(name, label, "" if is_blank(value) else cut(as_text(value or 0) or "", EXAMPLE_LENGTH))

    for group, names in FIELDS.items():
        yield group, [choice(name, label) for name, label in names.items()]
    own = [META + label for label in labels]
    if own:
        yield "Fields of this campaign", [choice(name, field_label(name)) for name in own]
    others = [name for name in dict.fromkeys(used) if name and name not in _LABELS and name not in own]
    if others:
        yield "Not in the campaign's fields", [choice(name, field_label(name)) for name in others]


def source_words(source: Source) -> str:
    match source:
        case Field(name):
            return field_label(name)
        case Join(names):
            return " + ".join(field_label(name) for name in names)
        case Fixed(value):
            return f"the fixed value “{value_words(value)}”"


def value_words(value: Scalar) -> str:
    return cut(as_text(value) or "", 255)


def attribute_label(path: str, catalogue: Catalogue) -> str:
    """As Intercom shows it; the role, and what is not there, by its name."""
    if path == ROLE:
        return "Role (lead or user)"
    attribute = attribute_at(path, catalogue)
    return menu_label(attribute) if attribute is not None else cut(path.removeprefix(CUSTOM))


def menu_label(attribute: Attribute) -> str:
    return cut(attribute.label) or cut(attribute.name)


def rule_words(rule: QualificationRule, catalogue: Catalogue) -> str:
    """The rule in a breath, for a list of changes."""
    begins = "anything" if rule.initial_value is None else f"“{value_words(rule.initial_value)}”"
    targets = " or ".join(f"“{value_words(value)}”" for value in rule.target_values) or "no value yet"
    return f"when {attribute_label(rule.attribute, catalogue)} changes from {begins} to {targets}"


# Changes


@dataclass(frozen=True, slots=True)
class ChangeWords:
    """One change: what, and what it was and is. ``None`` where there was, or is, nothing."""

    what: str
    before: str | None
    after: str | None


def change_words(change: SettingChange, audience: Audience, catalogue: Catalogue) -> ChangeWords:
    return ChangeWords(
        _what(change, audience, catalogue), _said(change.before, catalogue), _said(change.after, catalogue)
    )


def _what(change: SettingChange, audience: Audience, catalogue: Catalogue) -> str:
    match change.part:
        case Part.ACTION:
            return f"When a {audience.value.removesuffix('s')} joins the campaign"
        case Part.ROW:
            return f"{attribute_label(change.to or '', catalogue)} in Intercom is filled from"
        case Part.ORDER:
            return "The order of the rows"
        case Part.DUPLICATES:
            return "People who are in Intercom already"
        case Part.QUALIFICATION:
            return "A lead qualifies"


def _said(setting: Setting | None, catalogue: Catalogue) -> str | None:
    match setting:
        case None:
            return None
        case Action():
            return ACTIONS[setting]
        case Duplicates():
            return DUPLICATES[setting]
        case QualificationRule():
            return rule_words(setting, catalogue)
        case Field() | Fixed() | Join():
            return source_words(setting)


def document_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], catalogue: Catalogue
) -> list[tuple[str, list[ChangeWords]]]:
    """Between two documents of a campaign, by the part of it: its own, its leads, its referrers."""
    found = [("The campaign", _campaign_changes(before, after))]
    for audience in Audience:
        old, new = (audience_settings_from(one["audiences"][audience.value]) for one in (before, after))
        found.append(
            (audience.value.capitalize(), [change_words(one, audience, catalogue) for one in changes(old, new)])
        )
    return [(part, words) for part, words in found if words]


_CAMPAIGN_WORDS = {
    "user_limit": "User limit of the campaign",
    "extended_types": "Dates and decimal numbers can be mapped",
    "crm_fields": "CRM fields",
}


def _campaign_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ChangeWords]:
    return [
        ChangeWords(words, _plain(before[name]), _plain(after[name]))
        for name, words in _CAMPAIGN_WORDS.items()
        if before[name] != after[name]
    ]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cut(str(one)) for one in value) or "none"
    return "none" if value is None else str(value)
