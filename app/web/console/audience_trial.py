"""What would become of somebody with the settings of a form, field by field, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.core.attributes import TEXT_LIMIT, as_text, attribute_at, same_value
from app.core.audiences import Catalogue, Duplicates
from app.core.causes import Cause
from app.core.errors import ApiError
from app.core.mapping import FieldResult
from app.core.people import Audience, Scalar
from app.usecases.preview_person import Preview, role_of
from app.usecases.try_settings import Trial, foreseen, trial_of
from app.web.console import audience_words
from app.web.console.access import services
from app.web.problems import vendor_cause

STAYS = "Not written, for Intercom has"


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute of a preview: what it is filled with, and what becomes of it."""

    label: str
    value: str | None
    what: str
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would become of somebody. ``problem`` is the vendor that could not be asked, and in what words."""

    trial: Trial
    preview: Preview | None
    lines: list[Line]
    role: str | None
    problem: tuple[Cause, str] | None = None

    @property
    def made_by_us(self) -> bool:
        """Whether the contact is no duplicate but one that we have made, of which only blanks are filled."""
        if self.preview is None or self.preview.decision != "update" or self.preview.contact is None:
            return False
        policy = self.trial.setup.settings(self.trial.audience).duplicates
        stays = any(line.what.startswith(STAYS) for line in self.lines)
        return policy is Duplicates.SKIP or (policy is Duplicates.UPDATE and stays)


def outcome_of(campaign_id: int, audience: Audience, body: dict[str, Any], email: str) -> Outcome:
    """Raises: InvalidRequest 404."""
    trial = trial_of(services(), campaign_id, audience, body, email)
    try:
        preview = foreseen(services(), trial)
    except ApiError as error:
        return Outcome(trial, None, [], None, (vendor_cause(error), str(error)))
    return Outcome(trial, preview, _lines(preview, trial), role_of(preview))


def _lines(preview: Preview, trial: Trial) -> list[Line]:
    """Field by field; what is written besides the mapping is the qualification's initial value."""
    catalogue = trial.setup.catalogue
    written = preview.draft.values if preview.draft is not None else {}
    lines = [_line(result, preview, catalogue) for result in preview.fields]
    besides = [path for path in written if path not in {result.to for result in preview.fields}]
    return lines + [
        Line(audience_words.attribute_label(path, catalogue), _text(written[path]), "The initial value, written once")
        for path in besides
    ]


def _line(result: FieldResult, preview: Preview, catalogue: Catalogue) -> Line:
    label = audience_words.attribute_label(result.to, catalogue)
    if result.cause is not None:
        return Line(label, None, "Left out", result.cause)
    value = _text(result.value)
    if preview.decision != "skip" and preview.draft is not None and result.to in preview.draft.values:
        return Line(label, value, "Written")
    there = preview.contact.value(result.to) if preview.contact is not None else None
    attribute = attribute_at(result.to, catalogue)
    if preview.decision != "update" or result.value is None or attribute is None:
        return Line(label, value, "Not written")
    if same_value(result.value, there, attribute):
        return Line(label, value, "Intercom has this already")
    shown_there = _text(there) if isinstance(there, str | int | float) else "another value"
    return Line(label, value, f"{STAYS} “{shown_there}”, which stays")


def _text(value: Scalar | None) -> str:
    return audience_words.cut(as_text(value) or "", TEXT_LIMIT) if value is not None else ""
