"""What differs between two settings of an audience, one change at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.core.audiences import Action, AudienceSettings, Duplicates, QualificationRule, Source


class Part(StrEnum):
    ACTION = "action"
    ROW = "row"
    ORDER = "order"
    DUPLICATES = "duplicates"
    QUALIFICATION = "qualification"


Setting = Action | Duplicates | Source | QualificationRule


@dataclass(frozen=True, slots=True)
class SettingChange:
    """``before`` is ``None`` for what was added, ``after`` for what was taken away, both where only the order of the
    rows is another. ``to`` is the attribute of a row."""

    part: Part
    before: Setting | None = None
    after: Setting | None = None
    to: str | None = None


def changes(before: AudienceSettings, after: AudienceSettings) -> tuple[SettingChange, ...]:
    """In the order of the page; empty where nothing differs."""
    found = [
        SettingChange(Part.ACTION, before.action, after.action),
        *_rows(before, after),
        SettingChange(Part.DUPLICATES, before.duplicates, after.duplicates),
        SettingChange(Part.QUALIFICATION, before.qualification, after.qualification),
    ]
    return tuple(one for one in found if one.part is Part.ORDER or _differ(one.before, one.after))


def _rows(before: AudienceSettings, after: AudienceSettings) -> Iterator[SettingChange]:
    """An attribute is the target of one row only, so it names the row."""
    old = {row.to: row.source for row in before.mapping}
    new = {row.to: row.source for row in after.mapping}
    for to in dict.fromkeys([*old, *new]):
        yield SettingChange(Part.ROW, old.get(to), new.get(to), to)
    if set(old) == set(new) and list(old) != list(new):
        yield SettingChange(Part.ORDER)


def _differ(one: Setting | None, other: Setting | None) -> bool:
    # As text: to Python 1, 1.0 and True are equal.
    return repr(one) != repr(other)
