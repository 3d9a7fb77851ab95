"""An audience's settings as a form: nothing typed is lost between what is saved, what is sent and what is refused.

Rows are told apart by their number in the fields' names (``row-2-to``); numbers may have gaps. What is left blank
altogether is no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from app.core.attributes import as_text
from app.core.audiences import Action, AudienceSettings, Duplicates, Field, Fixed, Join, MappingRow
from app.core.causes import Cause
from app.core.errors import FieldError
from app.core.people import Audience, Scalar
from schemas.audiences import MOST_ROWS, MOST_TARGETS

DYNAMIC, FIXED = "dynamic", "fixed"
ANY, VALUE = "any", "value"

_ROW = re.compile(r"row-([0-9]{1,6})-(?:kind|field|fixed|to)", re.ASCII)

Kept = Mapping[tuple[str, str], Scalar]
"""What a value that nobody has touched was: a form knows text only, and ``5`` is not ``"5"``."""


@dataclass
class Row:
    """One row as it was typed: ``fields`` in the order in which they are joined."""

    kind: str = DYNAMIC
    fields: list[str] = field(default_factory=list)
    fixed: str = ""
    to: str = ""

    @property
    def is_blank(self) -> bool:
        return not self.fields and not self.fixed and not self.to


@dataclass
class NewAttribute:
    """An attribute that is to be made in Intercom; ``options`` one a line."""

    name: str = ""
    type: str = "text"
    options: str = ""

    def body(self) -> dict[str, Any]:
        options = [line.strip() for line in self.options.splitlines() if line.strip()]
        return {"name": self.name, "type": self.type, "options": options}


@dataclass
class Form:
    """``version`` is the one that it was made from; ``person`` the email on whom it is previewed."""

    action: str = Action.NOTHING.value
    rows: list[Row] = field(default_factory=list)
    duplicates: str = Duplicates.SKIP.value
    qualifies: bool = False
    trigger: str = ""
    initial: str = ANY
    initial_value: str = ""
    targets: list[str] = field(default_factory=list)
    version: int = 0
    person: str = ""
    attribute: NewAttribute = field(default_factory=NewAttribute)

    def body(self, audience: Audience, kept: Kept) -> dict[str, Any]:
        """The settings in their wire form."""
        rows = [_row_body(row, kept) for row in self.rows if not row.is_blank]
        rule = self._rule(kept) if self.qualifies and audience is Audience.LEADS else None
        return {"action": self.action, "mapping": rows, "duplicates": self.duplicates, "qualification": rule}

    def _rule(self, kept: Kept) -> dict[str, Any]:
        def value(typed: str) -> Scalar:
            return kept.get((self.trigger, typed), typed)

        return {
            "attribute": self.trigger,
            "initial_value": None if self.initial == ANY else value(self.initial_value),
            "target_values": [value(typed) for typed in self.targets if typed.strip()],
        }

    def tidy(self) -> None:
        """Without what was left blank altogether."""
        self.rows = [row for row in self.rows if not row.is_blank]
        self.targets = [typed for typed in self.targets if typed.strip()]

    def fill(self, path: str) -> None:
        """Take an attribute that was just made into the first row without one, else into a new row."""
        row = next((row for row in self.rows if not row.to), None)
        if row is None:
            row = Row()
            self.rows.append(row)
        row.to = path


def _row_body(row: Row, kept: Kept) -> dict[str, Any]:
    if row.kind == FIXED:
        return {"from": {"value": kept.get((row.to, row.fixed), row.fixed)}, "to": row.to}
    if len(row.fields) > 1:
        return {"from": {"join": row.fields}, "to": row.to}
    return {"from": {"field": row.fields[0] if row.fields else ""}, "to": row.to}


def typed_as(value: Scalar) -> str:
    """A value as a text field hands it back: on one line."""
    return (as_text(value) or "").replace("\r", "").replace("\n", "")


def kept_in(settings: AudienceSettings) -> Kept:
    """The values of settings by the attribute they are for and the text that stands for them."""
    fixed = [(row.to, row.source.value) for row in settings.mapping if isinstance(row.source, Fixed)]
    rule = settings.qualification
    values = [*rule.target_values, rule.initial_value] if rule is not None else []
    ruled = [(rule.attribute, value) for value in values if value is not None] if rule is not None else []
    return {(path, typed_as(value)): value for path, value in [*fixed, *ruled]}


def form_of(settings: AudienceSettings, version: int) -> Form:
    """What is saved, to be changed."""
    form = Form(settings.action.value, [_row_of(row) for row in settings.mapping], settings.duplicates.value)
    form.version = version
    rule = settings.qualification
    if rule is not None:
        form.qualifies, form.trigger = True, rule.attribute
        form.targets = [typed_as(value) for value in rule.target_values]
        if rule.initial_value is not None:
            form.initial, form.initial_value = VALUE, typed_as(rule.initial_value)
    return form


def _row_of(row: MappingRow) -> Row:
    match row.source:
        case Field(name):
            return Row(DYNAMIC, [name], "", row.to)
        case Join(names):
            return Row(DYNAMIC, list(names), "", row.to)
        case Fixed(value):
            return Row(FIXED, [], typed_as(value), row.to)


def form_from(sent: MultiDict[str, str]) -> Form:
    """What was typed, whatever it is. More rows than can be saved are not read."""
    numbers = sorted({int(found[1]) for name in sent if (found := _ROW.fullmatch(name))})
    version = sent.get("version", "")
    return Form(
        action=sent.get("action", Action.NOTHING.value),
        rows=[_row_from(sent, number) for number in numbers[: MOST_ROWS + 1]],
        duplicates=sent.get("duplicates", Duplicates.SKIP.value),
        qualifies=sent.get("qualifies") == "yes",
        trigger=sent.get("trigger", ""),
        initial=VALUE if sent.get("initial") == VALUE else ANY,
        initial_value=sent.get("initial_value", ""),
        targets=sent.getlist("target")[: MOST_TARGETS + 1],
        version=int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0,
        person=sent.get("person", ""),
        attribute=NewAttribute(sent.get("new_name", ""), sent.get("new_type", "text"), sent.get("new_options", "")),
    )


def _row_from(sent: MultiDict[str, str], number: int) -> Row:
    name = f"row-{number}"
    return Row(
        FIXED if sent.get(f"{name}-kind") == FIXED else DYNAMIC,
        [one for one in sent.getlist(f"{name}-field") if one],
        sent.get(f"{name}-fixed", ""),
        sent.get(f"{name}-to", ""),
    )


# Faults at their fields

_PLACES = (
    (re.compile(r"/mapping/([0-9]+)/to"), "row-{}-to"),
    (re.compile(r"/mapping/([0-9]+)/from/value"), "row-{}-fixed"),
    (re.compile(r"/mapping/([0-9]+)(?:/from.*)?"), "row-{}-field"),
    (re.compile(r"/mapping.*"), "rows"),
    (re.compile(r"/qualification/target_values/([0-9]+)"), "target-{}"),
    (re.compile(r"/qualification/target_values"), "targets"),
    (re.compile(r"/qualification/initial_value"), "initial_value"),
    (re.compile(r"/qualification.*"), "trigger"),
    (re.compile(r"/action"), "action"),
    (re.compile(r"/duplicates"), "duplicates"),
)

Faults = Mapping[str, list[FieldError]]


def faults_at(errors: Iterable[FieldError], form: Form) -> Faults:
    """The faults by the id of the field that each is at; under ``""`` those of the whole.

    ``form`` is tidy: its rows and targets are those of the body.
    """
    found: dict[str, list[FieldError]] = {}
    for error in errors:
        place = next(
            (name.format(*match.groups()) for rule, name in _PLACES if (match := rule.fullmatch(error.pointer))), ""
        )
        found.setdefault(place, []).append(FieldError(place, error.cause, _said(place, error, form)))
    return found


def _said(place: str, error: FieldError, form: Form) -> str:
    """What is merely missing is said in the page's own words."""
    if error.cause != Cause.INVALID_REQUEST:
        return error.detail
    kind, _, number = place.partition("-")
    row = form.rows[int(number.partition("-")[0])] if kind == "row" and number else None
    if row is not None and place.endswith("-to") and not row.to.strip():
        return "Choose the attribute that this goes to in Intercom."
    if row is not None and place.endswith("-field") and not row.fields:
        return "Choose a field of Referral Factory, or make this a fixed value."
    if place == "trigger" and not form.trigger.strip():
        return "Choose the attribute whose change qualifies a lead."
    return error.detail
