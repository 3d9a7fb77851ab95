"""Intercom's attributes: which of them may be filled, and how a value becomes one of the attribute's type."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from app.core.audiences import Attribute, AttributeType, CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.people import CUSTOM, Scalar, is_blank, normalised_email
from app.core.text import is_storable

TEXT_LIMIT = 255
"""Code points in a text value (developers.intercom.com, 1.x users reference; what 2.x does beyond it is not said)."""

STANDARD: Mapping[str, Attribute] = MappingProxyType(
    {
        path: Attribute(path, path, label, AttributeType.TEXT, custom=False)
        for path, label in (
            ("name", "Name"),
            ("email", "Email"),
            ("phone", "Phone"),
            ("language_override", "Language override"),
        )
    }
)
"""The standard attributes that may be filled. Every workspace has them, whether its list names them or not."""

NEVER_FILLED = frozenset({"id", "role", "external_id", "owner_id", "unsubscribed_from_emails", "workspace_id"})
"""Standard attributes that decide who a contact is, whose it is or what it receives."""

EXTENDED_TYPES = frozenset({AttributeType.DATE, AttributeType.DECIMAL})


@dataclass(frozen=True, slots=True)
class Converted:
    """A value as it goes on the wire: text, ``int``, ``float`` or ``bool``; a date is Unix seconds, UTC."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The field is not sent, and why. ``not_in_payload`` means that there was no value."""

    cause: Cause


Conversion = Converted | LeftOut

_NO_VALUE = LeftOut(Cause.NOT_IN_PAYLOAD)
_WRONG_TYPE = LeftOut(Cause.VALUE_WRONG_TYPE)
_TOO_LONG = LeftOut(Cause.VALUE_TOO_LONG)


def attribute_at(path: str, catalogue: Catalogue) -> Attribute | None:
    """The attribute under ``path``: the workspace's own description, else a standard one."""
    return catalogue.get(path) or STANDARD.get(path)


def type_cause(type_: AttributeType, *, extended_types: bool) -> Cause | None:
    """Why attributes of this type can't be filled: references never can, dates and decimals where it is allowed."""
    if type_ is AttributeType.REFERENCE or (type_ in EXTENDED_TYPES and not extended_types):
        return Cause.UNSUPPORTED_ATTRIBUTE_TYPE
    return None


def fillable(attribute: Attribute, *, extended_types: bool) -> Cause | None:
    """Why nothing can be written to ``attribute``, ``None`` where it can."""
    if attribute.archived:
        return Cause.ATTRIBUTE_ARCHIVED
    if not attribute.writable or not (attribute.path in STANDARD or attribute.path.startswith(CUSTOM)):
        return Cause.ATTRIBUTE_NOT_WRITABLE
    return type_cause(attribute.type, extended_types=extended_types)


def mappable(attribute: Attribute, rules: CampaignRules, *, trigger: str | None = None) -> Cause | None:
    """Why ``attribute`` can't be chosen by hand as the target of a row, ``None`` where it can.

    ``trigger`` is the path of the audience's qualification trigger.
    """
    if cause := fillable(attribute, extended_types=rules.extended_types):
        return cause
    if attribute.path.removeprefix(CUSTOM) in rules.crm_fields and attribute.path.startswith(CUSTOM):
        return Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD
    return Cause.ATTRIBUTE_IS_THE_TRIGGER if attribute.path == trigger else None


def holds_link(attribute: Attribute) -> Cause | None:
    """Why a referral link can't be written to ``attribute``: Referral Factory asks for single-line text."""
    single_line = attribute.type is AttributeType.TEXT and not attribute.multiline
    return None if single_line else Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT


def convert(value: object, attribute: Attribute, *, extended_types: bool) -> Conversion:
    """``value``, anything that JSON can hold, as a value of the attribute's type. Never raises.

    Null, empty and blank are no value; ``0`` and ``False`` are values. Objects and arrays are ``value_wrong_type``.
    """
    if is_blank(value):
        return _NO_VALUE
    if not isinstance(value, str | int | float):
        return _WRONG_TYPE
    if cause := type_cause(attribute.type, extended_types=extended_types):
        return LeftOut(cause)
    trimmed = value.strip() if isinstance(value, str) else value
    if attribute.type is AttributeType.LIST:
        return _to_option(trimmed, attribute.options)
    return _CONVERSIONS[attribute.type](trimmed)


# Text


def as_text(value: Scalar) -> str | None:
    """A scalar as text, as JSON spells it (``true``, ``5``, ``5.0``); ``None`` for what no text can carry.

    That is a NUL, half of a surrogate pair, and numbers that are not finite: neither UTF-8 nor Intercom takes them.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, int):
        # Python refuses to spell integers of thousands of digits; any text beyond the limit will do.
        return str(value) if value.bit_length() <= 1024 else "9" * (TEXT_LIMIT + 1)
    return value if is_storable(value) else None


def _to_text(value: Scalar) -> Conversion:
    text = as_text(value)
    if text is None:
        return _WRONG_TYPE
    return Converted(text) if len(text) <= TEXT_LIMIT else _TOO_LONG


def _to_option(value: Scalar, options: tuple[str, ...]) -> Conversion:
    text = as_text(value)
    if text is None:
        return _WRONG_TYPE
    if text in options:  # two options may differ in case alone
        return Converted(text)
    wanted = _caseless(text)
    match = next((option for option in options if _caseless(option) == wanted), None)
    return Converted(match) if match is not None else LeftOut(Cause.VALUE_NOT_AN_OPTION)


def _caseless(text: str) -> str:
    # Composed first: the same letters typed on a Mac and on Windows differ in code points.
    return unicodedata.normalize("NFC", text).strip().casefold()


# Numbers

_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)", re.ASCII)
_NUMBER_LENGTH = 64
_LARGEST = 2**63 - 1
"""What a signed 64-bit integer holds. Larger ones would be changed on the way by one program or another."""


def _to_number(value: Scalar) -> Conversion:
    whole = _whole(value)
    return Converted(whole) if whole is not None and -_LARGEST - 1 <= whole <= _LARGEST else _WRONG_TYPE


def _whole(value: Scalar) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, int):
        return value
    if len(value) > _NUMBER_LENGTH or not _WHOLE.fullmatch(value):
        return None
    return int(value.partition(".")[0])


def _to_decimal(value: Scalar) -> Conversion:
    decimal = _decimal(value)
    # Adding zero makes -0.0 a plain 0.0.
    return Converted(decimal + 0.0) if decimal is not None and math.isfinite(decimal) else _WRONG_TYPE


def _decimal(value: Scalar) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(value) if value.bit_length() <= 1023 else None
    return float(value) if len(value) <= _NUMBER_LENGTH and _DECIMAL.fullmatch(value) else None


# True or false

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _to_boolean(value: Scalar) -> Conversion:
    if isinstance(value, str):
        truth = _TRUTH.get(value.lower())
        return _WRONG_TYPE if truth is None else Converted(truth)
    return Converted(bool(value)) if value in (0, 1) else _WRONG_TYPE


# Dates

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DAY_ALONE = re.compile(_DAY, re.ASCII)
_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
_OFFSET = r"[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?"
_ISO = re.compile(rf"({_DAY})(?:[Tt ]({_TIME})(?:[.,][0-9]+)? ?({_OFFSET})?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LATEST = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_MILLISECONDS_FROM = 10**11
"""Unix times from here on are milliseconds: as seconds they would lie after the year 5138."""


def _to_date(value: Scalar) -> Conversion:
    seconds = _iso_seconds(value) if isinstance(value, str) else None
    if seconds is None:
        seconds = _unix_seconds(value)
    return Converted(seconds) if seconds is not None and _EARLIEST <= seconds <= _LATEST else _WRONG_TYPE


def _iso_seconds(text: str) -> int | None:
    """Whole seconds, fractions dropped. A time without an offset is UTC, a day alone its first second."""
    match = _ISO.fullmatch(text) if len(text) <= _NUMBER_LENGTH else None
    if match is None:
        return None
    day, time, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00'}{(offset or 'Z').upper()}")
        return (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):  # 30 February, 25 o'clock, an offset of two days, the edges of the calendar
        return None


def _unix_seconds(value: Scalar) -> int | None:
    number = _decimal(value)
    # Eight digits as text are a day to one reader (20260331) and a time in 1970 to another: neither is guessed.
    ambiguous = isinstance(value, str) and len(value) == 8 and value.isdigit()
    if number is None or not math.isfinite(number) or ambiguous:
        return None
    return math.floor(number / 1000 if abs(number) >= _MILLISECONDS_FROM else number)


_CONVERSIONS: Mapping[AttributeType, Callable[[Scalar], Conversion]] = {
    AttributeType.TEXT: _to_text,
    AttributeType.NUMBER: _to_number,
    AttributeType.DECIMAL: _to_decimal,
    AttributeType.BOOLEAN: _to_boolean,
    AttributeType.DATE: _to_date,
}


# Comparing


def same_value(sent: Scalar, got: object, attribute: Attribute) -> bool:
    """Whether ``got``, as Intercom shows it, is what was sent, however it is spelt.

    Names have come back HTML-escaped in recorded traffic, phones regrouped, languages in another case.
    """
    if is_blank(got) or not isinstance(got, str | int | float):
        return False
    if attribute.type in (AttributeType.TEXT, AttributeType.LIST, AttributeType.REFERENCE):
        return _same_text(as_text(sent), as_text(got), attribute)
    if attribute.type is AttributeType.DATE and isinstance(got, str) and _DAY_ALONE.fullmatch(got.strip()):
        return _day_of(sent) == _day_of(got)
    ours = convert(sent, attribute, extended_types=True)
    theirs = convert(got, attribute, extended_types=True)
    if not isinstance(ours, Converted) or not isinstance(theirs, Converted):
        return False
    if attribute.type is AttributeType.DECIMAL:
        return math.isclose(float(ours.value), float(theirs.value), rel_tol=1e-9)
    return ours.value == theirs.value


def _same_text(sent: str | None, got: str | None, attribute: Attribute) -> bool:
    if sent is None or got is None:
        return False
    spelling = _SPELLING.get(attribute.path, _caseless if attribute.type is AttributeType.LIST else str.strip)
    return spelling(sent) in (spelling(got), spelling(html.unescape(got)))


def _digits(phone: str) -> str:
    # +49 and 0049 are the same; a text without digits is compared as it is.
    return re.sub(r"[^0-9]", "", phone).removeprefix("00") or phone.strip()


_SPELLING: Mapping[str, Callable[[str], str]] = {
    "email": normalised_email,
    "phone": _digits,
    "language_override": _caseless,
}


def _day_of(value: Scalar) -> int | None:
    converted = _to_date(value.strip() if isinstance(value, str) else value)
    return int(converted.value) // 86400 if isinstance(converted, Converted) else None
