"""A search's query, checked and turned into a test of one contact.

Dates are compared as whole days in the workspace's time zone, as Intercom does: `>` starts at the next day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.intercom import attributes, segments
from sandbox.intercom.refusals import Refused, invalid
from sandbox.intercom.state import Contact, Workspace

Test = Callable[[Contact], bool]

DEEPEST = 2
MOST_FILTERS = 15

OPERATORS: dict[str, tuple[str, ...]] = {
    "string": ("=", "!=", "IN", "NIN", "~", "!~", "^", "$"),
    "boolean": ("=", "!=", "IN", "NIN"),
    "integer": ("=", "!=", "IN", "NIN", "<", ">", "<=", ">="),
    "float": ("=", "!=", "IN", "NIN", "<", ">", "<=", ">="),
    "date": ("=", "<", ">"),
    "tag": ("=", "!="),
    "segment": ("=", "!="),
}

FIELDS: dict[str, str] = {
    **dict.fromkeys(
        (
            "id",
            "role",
            "name",
            "avatar",
            "email",
            "email_domain",
            "phone",
            "formatted_phone",
            "external_id",
            "language_override",
            "browser",
            "browser_language",
            "os",
            "location.country",
            "location.region",
            "location.city",
        ),
        "string",
    ),
    "owner_id": "integer",
    **dict.fromkeys(
        (
            "created_at",
            "signed_up_at",
            "updated_at",
            "last_seen_at",
            "last_contacted_at",
            "last_replied_at",
            "last_email_opened_at",
            "last_email_clicked_at",
        ),
        "date",
    ),
    **dict.fromkeys(("unsubscribed_from_emails", "marked_email_as_spam", "has_hard_bounced"), "boolean"),
    "segment_id": "segment",
    "tag_id": "tag",
}


def parse(workspace: Workspace, query: Any, now: float, depth: int = 0) -> Test:
    """A test of one contact for a query, or the 400 that it earns."""
    if not isinstance(query, dict) or "operator" not in query or "value" not in query:
        raise invalid("The query is not a filter", "parameter_invalid")
    if query["operator"] in ("AND", "OR") and isinstance(query["value"], list) and "field" not in query:
        return _group(workspace, query, now, depth + 1)
    return _filter(workspace, query, now)


def _group(workspace: Workspace, query: dict[str, Any], now: float, depth: int) -> Test:
    if depth > DEEPEST:
        raise invalid(f"Filters can be nested {DEEPEST} levels deep at most")
    if not 0 < len(query["value"]) <= MOST_FILTERS:
        raise invalid(f"A group takes from 1 to {MOST_FILTERS} filters")
    tests = [parse(workspace, part, now, depth) for part in query["value"]]
    if query["operator"] == "AND":
        return lambda contact: all(test(contact) for test in tests)
    return lambda contact: any(test(contact) for test in tests)


def _filter(workspace: Workspace, query: dict[str, Any], now: float) -> Test:
    field, operator, value = query.get("field"), query["operator"], query["value"]
    kind = field_type(workspace, field)
    if operator not in OPERATORS[kind]:
        raise invalid(f"The operator {operator} can't be used on {field}")
    if kind == "segment":
        return _segment(workspace, operator, value, now)
    if kind == "tag":
        return (lambda c: value in c["tags"]) if operator == "=" else (lambda c: value not in c["tags"])
    if kind == "date":
        return _date(workspace, str(field), operator, value)
    _check_value(str(field), kind, operator, value)
    read = reader(str(field))
    return _comparison(read, operator, value)


def field_type(workspace: Workspace, field: Any) -> str:
    """The type of a searchable field; 400 for one that isn't."""
    if not isinstance(field, str):
        raise invalid("A filter needs a field", "parameter_missing")
    if field in FIELDS:
        return FIELDS[field]
    name = field.removeprefix("custom_attributes.")
    attribute = workspace.attributes.get(name)
    if name == field or attribute is None or attribute["archived"]:
        raise invalid(f"The field {field} can't be searched", "parameter_invalid")
    data_type: str = attribute["data_type"]
    return data_type if data_type in OPERATORS else "string"


def reader(field: str) -> Callable[[Contact], Any]:
    """How to read a field from a contact as it is kept."""
    name = field.removeprefix("custom_attributes.")
    if name != field:
        return lambda contact: contact["custom_attributes"].get(name)
    if field == "email_domain":
        return lambda contact: contact["email"].rpartition("@")[2]
    if field == "owner_id":
        return lambda contact: int(contact["owner_id"]) if contact["owner_id"] else None
    return lambda contact: contact.get(field)


def _check_value(field: str, kind: str, operator: str, value: Any) -> None:
    values = value if operator in ("IN", "NIN") else [value]
    if not isinstance(values, list):
        raise invalid(f"The operator {operator} takes a list")
    for one in values:
        if one is not None and not attributes.fits(kind, one):
            raise Refused(400, "type_mismatch", f"The value of {field} must be a {kind}")


def _comparison(read: Callable[[Contact], Any], operator: str, value: Any) -> Test:
    blank = (None, "")
    tests: dict[str, Test] = {
        "=": lambda c: read(c) == value or (value in blank and read(c) in blank),
        "!=": lambda c: not (read(c) == value or (value in blank and read(c) in blank)),
        "IN": lambda c: read(c) in value,
        "NIN": lambda c: read(c) not in value,
        "~": lambda c: value.lower() in (read(c) or "").lower(),
        "!~": lambda c: value.lower() not in (read(c) or "").lower(),
        "^": lambda c: (read(c) or "").lower().startswith(value.lower()),
        "$": lambda c: (read(c) or "").lower().endswith(value.lower()),
        "<": lambda c: read(c) is not None and read(c) < value,
        ">": lambda c: read(c) is not None and read(c) > value,
        "<=": lambda c: read(c) is not None and read(c) <= value,
        ">=": lambda c: read(c) is not None and read(c) >= value,
    }
    return tests[operator]


def _segment(workspace: Workspace, operator: str, value: Any, now: float) -> Test:
    segment = workspace.segments.get(str(value))
    if segment is None:
        raise invalid("There is no such segment")
    if operator == "=":
        return lambda contact: segments.belongs(segment, contact, now)
    return lambda contact: not segments.belongs(segment, contact, now)


def day(timezone: str, moment: float) -> tuple[float, float]:
    """Start and end of the calendar day a moment lies in. A day may have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    date = datetime.fromtimestamp(moment, zone).date()
    ends = (datetime(each.year, each.month, each.day, tzinfo=zone) for each in (date, date + timedelta(days=1)))
    start, end = (each.timestamp() for each in ends)
    return start, end


def _date(workspace: Workspace, field: str, operator: str, value: Any) -> Test:
    read = reader(field)
    if value is None and operator == "=":
        return lambda contact: read(contact) is None
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, "type_mismatch", f"The value of {field} must be a Unix timestamp")
    try:
        start, end = day(workspace.timezone, value)
    except (OverflowError, ValueError, OSError):
        raise invalid(f"The value of {field} is no time") from None
    if operator == "=":
        return lambda contact: (moment := read(contact)) is not None and start <= moment < end
    if operator == ">":
        return lambda contact: (moment := read(contact)) is not None and moment >= end
    return lambda contact: (moment := read(contact)) is not None and moment < start
