"""A sync as a marketer sets it up: which of Intercom's contacts become referrers, and what is carried both ways."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from app.core.attributes import attribute_at, fillable, holds_link
from app.core.audiences import Attribute, AttributeType, CampaignRules, Catalogue, Field, MappingRow
from app.core.causes import CATALOGUE, Cause
from app.core.errors import FieldError
from app.core.mapping import LINK, WRITTEN_BACK
from app.core.people import CUSTOM, META, Role, is_blank

FIRST_NAME, EMAIL = "first_name", "email"
REQUIRED = (FIRST_NAME, EMAIL)
"""What Referral Factory makes nobody without."""

READ_FROM = ("name", "email", "phone", "language_override")
"""The standard attributes that may be carried over, besides custom ones."""


class Contacts(StrEnum):
    """Whom a sync looks at."""

    LEADS = "leads"
    USERS = "users"
    ALL = "all"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """A contact's attribute, by path, goes to a field of the person: ``first_name``, ``email``, ``meta.<label>``."""

    source: str
    to: str


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """``write_back`` has rows from ``url``, ``referrals`` and ``qualified_referrals`` to attributes."""

    contacts: Contacts
    segment_id: str | None = None
    mapping: tuple[CarriedRow, ...] = ()
    write_back: tuple[MappingRow, ...] = ()
    ongoing: bool = False
    notify: bool = False


def check_sync(
    settings: SyncSettings,
    catalogue: Catalogue,
    rules: CampaignRules,
    *,
    segment_ids: Collection[str],
    known_meta: Collection[str] | None = None,
) -> tuple[FieldError, ...]:
    """Every fault at once, each with a JSON pointer into the wire form. ``known_meta`` are the labels of the
    campaign's fields for referrers, ``None`` where they are not known."""
    return (
        *_segment_errors(settings, segment_ids),
        *_mapping_errors(settings, catalogue, known_meta),
        *_write_back_errors(settings, catalogue, rules),
    )


def _fault(pointer: str, cause: Cause, detail: str | None = None) -> FieldError:
    return FieldError(pointer, cause, detail or CATALOGUE[cause].explanation)


def _segment_errors(settings: SyncSettings, segment_ids: Collection[str]) -> Iterator[FieldError]:
    if settings.contacts is Contacts.SEGMENT:
        if settings.segment_id is None:
            yield _fault("/segment_id", Cause.INVALID_REQUEST, "Name the segment whose members become referrers.")
        elif settings.segment_id not in segment_ids:
            yield _fault("/segment_id", Cause.SEGMENT_UNKNOWN)
    elif settings.segment_id is not None:
        yield _fault("/segment_id", Cause.INVALID_REQUEST, "Only a sync of a segment names one.")


def _mapping_errors(
    settings: SyncSettings, catalogue: Catalogue, known_meta: Collection[str] | None
) -> Iterator[FieldError]:
    taken: set[str] = set()
    for index, row in enumerate(settings.mapping):
        pointer = f"/mapping/{index}"
        if row.to == EMAIL and row.source != EMAIL:
            yield _fault(
                f"{pointer}/from", Cause.INVALID_REQUEST, "The email is carried from the contact's own email."
            )
        elif cause := not_carried(row.source, catalogue):
            yield _fault(f"{pointer}/from", cause)
        if row.to in taken:
            yield _fault(f"{pointer}/to", Cause.ATTRIBUTE_ALREADY_MAPPED, f"“{row.to}” is filled by a row above.")
        elif row.to not in REQUIRED and not _is_label(row.to, known_meta):
            yield _fault(f"{pointer}/to", Cause.INVALID_REQUEST, f"The campaign has no field “{row.to}”.")
        taken.add(row.to)
    causes = {FIRST_NAME: Cause.NAME_NOT_MAPPED, EMAIL: Cause.EMAIL_NOT_MAPPED}
    for name in REQUIRED:
        if name not in taken:
            yield _fault("/mapping", causes[name])


def not_carried(path: str, catalogue: Catalogue) -> Cause | None:
    """Why nothing is carried from an attribute, ``None`` where it can be. What may not be written can be read all the
    same."""
    attribute = attribute_at(path, catalogue)
    if attribute is None or not (path in READ_FROM or path.startswith(CUSTOM)):
        return Cause.ATTRIBUTE_UNKNOWN
    if attribute.archived:
        return Cause.ATTRIBUTE_ARCHIVED
    return Cause.UNSUPPORTED_ATTRIBUTE_TYPE if attribute.type is AttributeType.REFERENCE else None


def unknown_labels(settings: SyncSettings, known_meta: Collection[str]) -> frozenset[str]:
    """Labels of campaign fields that the mapping names and nobody has told us of."""
    named = {row.to.removeprefix(META) for row in settings.mapping if row.to.startswith(META)}
    return frozenset(named - set(known_meta))


def _is_label(to: str, known_meta: Collection[str] | None) -> bool:
    label = to.removeprefix(META)
    return to.startswith(META) and not is_blank(label) and (known_meta is None or label in known_meta)


def _write_back_errors(settings: SyncSettings, catalogue: Catalogue, rules: CampaignRules) -> Iterator[FieldError]:
    taken: set[str] = set()
    for index, row in enumerate(settings.write_back):
        pointer = f"/write_back/{index}"
        if not isinstance(row.source, Field) or row.source.name not in WRITTEN_BACK:
            yield _fault(f"{pointer}/from", Cause.INVALID_REQUEST, f"Give one of {', '.join(sorted(WRITTEN_BACK))}.")
            continue
        attribute = attribute_at(row.to, catalogue)
        cause = not_written_back(attribute, row.source.name, rules)
        if row.to in taken:
            cause = Cause.ATTRIBUTE_ALREADY_MAPPED
        taken.add(row.to)
        if cause is not None:
            yield _fault(f"{pointer}/to", cause)


def not_written_back(attribute: Attribute | None, name: str, rules: CampaignRules) -> Cause | None:
    """Why ``name``, one of ``WRITTEN_BACK``, is not written to an attribute, ``None`` where it can be."""
    if attribute is None:
        return Cause.ATTRIBUTE_UNKNOWN
    if not attribute.path.startswith(CUSTOM):
        return Cause.ATTRIBUTE_NOT_WRITABLE
    if cause := fillable(attribute, extended_types=rules.extended_types):
        return cause
    if attribute.path.removeprefix(CUSTOM) in rules.crm_fields:
        return Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD
    return holds_link(attribute) if name == LINK else None


def wants(settings: SyncSettings, role: Role) -> bool:
    """Whether a contact of this role is looked at, whatever segment it is in: membership is in no webhook."""
    return {
        Contacts.LEADS: role is Role.LEAD,
        Contacts.USERS: role is Role.USER,
        Contacts.ALL: True,
        Contacts.SEGMENT: False,
    }[settings.contacts]


def query_of(settings: SyncSettings, changed_after: int | None = None) -> Mapping[str, object]:
    """The search of whom a look goes through. ``changed_after`` (Unix seconds) is compared by Intercom in whole days
    of the workspace's time zone, from the next day on: pass a moment that lies two days back, and compare again.
    A segment's members are always all read, for joining it changes no contact."""
    if settings.contacts is Contacts.SEGMENT:
        return {"field": "segment_id", "operator": "=", "value": settings.segment_id}
    whom = _roles(settings.contacts)
    if changed_after is None:
        return whom
    return {"operator": "AND", "value": [whom, {"field": "updated_at", "operator": ">", "value": changed_after}]}


def _roles(contacts: Contacts) -> Mapping[str, object]:
    roles = {Contacts.LEADS: [Role.LEAD], Contacts.USERS: [Role.USER]}.get(contacts, [Role.USER, Role.LEAD])
    each = [{"field": "role", "operator": "=", "value": role.value} for role in roles]
    return each[0] if len(each) == 1 else {"operator": "OR", "value": each}


USUAL_PACE = 9.5
"""Contacts a second, where all are new: each takes one of the 570 calls a minute that Referral Factory is asked."""


def seconds_left(
    *, total: int | None, looked_at: int, busy_seconds: float, contacts_a_second: float = USUAL_PACE
) -> int | None:
    """How long the rest of a look takes, by the pace it has had, waits for the vendors' budgets included; before its
    first page by the pace that these allow. ``None`` where it is not known how many there are."""
    if total is None:
        return None
    rest = max(0, total - looked_at)
    if looked_at > 0 and busy_seconds > 0:
        return ceil(rest * busy_seconds / looked_at)
    return ceil(rest / contacts_a_second)
