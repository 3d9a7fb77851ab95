"""What differs between two settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core.audiences import (
    Action,
    AudienceSettings,
    Duplicates,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
)
from app.core.changes import Part, SettingChange, changes

NAME = MappingRow(Field("first_name"), "name")
EMAIL = MappingRow(Field("email"), "email")
RULE = QualificationRule("custom_attributes.plan", "trial", ("pro",))
BEFORE = AudienceSettings(Action.CREATE_LEAD, (NAME, EMAIL), Duplicates.SKIP, RULE)

CASES: dict[str, tuple[dict[str, Any], list[SettingChange]]] = {
    "nothing": ({}, []),
    "another action": (
        {"action": Action.NOTHING},
        [SettingChange(Part.ACTION, Action.CREATE_LEAD, Action.NOTHING)],
    ),
    "a row more": (
        {"mapping": (NAME, EMAIL, MappingRow(Fixed("x"), "phone"))},
        [SettingChange(Part.ROW, None, Fixed("x"), "phone")],
    ),
    "a row less": ({"mapping": (EMAIL,)}, [SettingChange(Part.ROW, Field("first_name"), None, "name")]),
    "a row made of something else": (
        {"mapping": (MappingRow(Join(("first_name", "code")), "name"), EMAIL)},
        [SettingChange(Part.ROW, Field("first_name"), Join(("first_name", "code")), "name")],
    ),
    "the order of rows": ({"mapping": (EMAIL, NAME)}, [SettingChange(Part.ORDER)]),
    "duplicates": (
        {"duplicates": Duplicates.UPDATE},
        [SettingChange(Part.DUPLICATES, Duplicates.SKIP, Duplicates.UPDATE)],
    ),
    "no rule any more": ({"qualification": None}, [SettingChange(Part.QUALIFICATION, RULE, None)]),
    "another target": (
        {"qualification": replace(RULE, target_values=("pro", "team"))},
        [SettingChange(Part.QUALIFICATION, RULE, replace(RULE, target_values=("pro", "team")))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_change_is_told_with_what_was_and_what_is(name: str) -> None:
    given, expected = CASES[name]
    assert list(changes(BEFORE, replace(BEFORE, **given))) == expected


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (1, "1"), (0, False)])
def test_values_that_python_takes_for_equal_differ(one: Any, other: Any) -> None:
    def settings(value: Any) -> AudienceSettings:
        return AudienceSettings(mapping=(MappingRow(Fixed(value), "phone"),))

    (change,) = changes(settings(one), settings(other))
    assert (repr(change.before), repr(change.after)) == (repr(Fixed(one)), repr(Fixed(other)))
