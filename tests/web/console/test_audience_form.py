"""An audience's settings through a form and back."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from app.core.errors import FieldError
from app.core.people import Audience
from app.web.console.audience_form import Form, Row, faults_at, form_from, form_of, kept_in
from schemas.audiences import audience_settings_from, document_from

DOCUMENTS: dict[str, dict[str, Any]] = {
    "fields": {
        "mapping": [
            {"from": {"field": "first_name"}, "to": "name"},
            {"from": {"join": ["first_name", "meta.Last Name"]}, "to": "custom_attributes.Full"},
        ]
    },
    "fixed values of every type": {
        "mapping": [
            {"from": {"value": value}, "to": f"custom_attributes.{number}"}
            for number, value in enumerate(["text", 5, 5.0, True, "5", "true", "two\nlines", ""])
        ]
    },
    "a rule": {
        "qualification": {"attribute": "custom_attributes.n", "initial_value": 1, "target_values": [2, "two", True]}
    },
    "a rule from any value": {
        "qualification": {"attribute": "role", "initial_value": None, "target_values": ["user"]}
    },
}


def fields_of(form: Form) -> MultiDict[str, str]:
    """What a browser sends of it. Text fields hold one line."""
    sent = MultiDict(
        {
            "action": form.action,
            "duplicates": form.duplicates,
            "qualifies": "yes" if form.qualifies else "no",
            "trigger": form.trigger,
            "initial": form.initial,
            "initial_value": form.initial_value,
            "version": str(form.version),
        }
    )
    sent.setlist("target", form.targets or [""])
    for number, row in enumerate(form.rows):
        sent[f"row-{number}-kind"], sent[f"row-{number}-to"] = row.kind, row.to
        sent[f"row-{number}-fixed"] = row.fixed
        sent.setlist(f"row-{number}-field", row.fields or [""])
    return sent


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_nobody_touches_stays_as_it_was(name: str) -> None:
    saved = audience_settings_from({"action": "create_lead", **DOCUMENTS[name]})
    form = form_from(fields_of(form_of(saved, 3)))
    assert form.version == 3
    assert repr(form.body(Audience.LEADS, kept_in(saved))) == repr(document_from(saved))


@pytest.mark.parametrize(
    ("sent", "row"),
    [
        (
            {"row-7-kind": "dynamic", "row-7-field": "email", "row-7-to": "email"},
            Row("dynamic", ["email"], "", "email"),
        ),
        ({"row-0-kind": "fixed", "row-0-fixed": "x", "row-0-field": "email"}, Row("fixed", ["email"], "x", "")),
        ({"row-0-to": "email"}, Row("dynamic", [], "", "email")),
        ({"row-0-kind": "nonsense", "row-0-to": "email"}, Row("dynamic", [], "", "email")),
    ],
)
def test_a_row_is_read_whatever_is_missing(sent: dict[str, str], row: Row) -> None:
    assert form_from(MultiDict(sent)).rows == [row]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"version": "nonsense", "row-x-to": "a", "row-99999999-to": "b", "action": "explode"},
        {"version": "٣", "initial": "?", "do": "remove:7"},
    ],
)
def test_nonsense_is_no_crash(sent: dict[str, str]) -> None:
    form = form_from(MultiDict(sent))
    assert (form.rows, form.version) == ([], 0)
    form.body(Audience.LEADS, {})


def test_what_is_left_blank_altogether_is_no_row() -> None:
    form = Form(rows=[Row(), Row("dynamic", ["email"], "", "email"), Row("fixed")], targets=["", "pro", " "])
    form.tidy()
    assert [row.to for row in form.rows] == ["email"]
    assert form.targets == ["pro"]


def test_a_new_attribute_is_taken_by_the_first_row_that_has_none() -> None:
    form = Form(rows=[Row("dynamic", ["email"], "", "email"), Row("dynamic", ["code"]), Row("dynamic", ["url"])])
    form.fill("custom_attributes.New")
    assert [row.to for row in form.rows] == ["email", "custom_attributes.New", ""]


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/mapping/2/to", "row-2-to"),
        ("/mapping/2/from/value", "row-2-fixed"),
        ("/mapping/2/from/field", "row-2-field"),
        ("/mapping/2/from/join/1", "row-2-field"),
        ("/mapping/2/from", "row-2-field"),
        ("/mapping/2", "row-2-field"),
        ("/mapping", "rows"),
        ("/qualification/attribute", "trigger"),
        ("/qualification", "trigger"),
        ("/qualification/initial_value", "initial_value"),
        ("/qualification/target_values", "targets"),
        ("/qualification/target_values/1", "target-1"),
        ("/action", "action"),
        ("/duplicates", "duplicates"),
        ("", ""),
        ("/somewhere/else", ""),
    ],
)
def test_a_fault_is_shown_at_its_field(pointer: str, place: str) -> None:
    form = Form(rows=[Row("dynamic", ["email"], "", "email")] * 3, trigger="role")
    (found,) = faults_at([FieldError(pointer, "invalid_request", "Why.")], form).items()
    assert (found[0], [one.detail for one in found[1]]) == (place, ["Why."])
