"""An audience's settings: as people write them, as they are kept, and as the core knows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.core.audiences import (
    Action,
    AudienceSettings,
    Duplicates,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
    Source,
)
from app.core.errors import FieldError
from app.core.people import PERSON_FIELDS, Scalar
from schemas.api_faults import field_errors
from schemas.api_fields import Choice, Text, Words

MOST_ROWS = 300
MOST_TARGETS = 200
SHOWN_ONLY = ("setup_required", "warnings", "version", "changed_at", "changed_by")
"""What an answer adds to the settings. An answer can be sent back as it is: these are passed over."""


class ScalarField(fields.Field[Scalar]):
    """A JSON string, number or boolean."""

    def __init__(self, **more: Any) -> None:
        metadata = {"type": ["string", "number", "boolean"], **more.pop("metadata", {})}
        super().__init__(metadata=metadata, **more)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Scalar:
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValidationError("This must be text, a number, true or false.")
        return value


class SourceSchema(Words):
    """Exactly one of the three."""

    field = Text(metadata={"description": f"One of {', '.join(PERSON_FIELDS)}, or meta. and a label."})
    value = ScalarField(metadata={"description": "The same for everyone."})
    join = fields.List(Text(), validate=validate.Length(max=20), metadata={"description": "Joined by a space."})

    @validates_schema(skip_on_field_errors=True)
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Give exactly one of field, value and join.")

    @post_load
    def _source(self, data: Mapping[str, Any], **_: Any) -> Source:
        if "field" in data:
            return Field(data["field"])
        return Fixed(data["value"]) if "value" in data else Join(tuple(data["join"]))


class RowSchema(Words):
    class Meta:
        include: ClassVar[dict[str, Any]] = {"from": fields.Nested(SourceSchema, required=True)}

    to = Text(required=True, metadata={"examples": ["name", "custom_attributes.Plan"]})

    @post_load
    def _row(self, data: Mapping[str, Any], **_: Any) -> MappingRow:
        return MappingRow(data["from"], data["to"])


class QualificationSchema(Words):
    attribute = Text(required=True, metadata={"examples": ["custom_attributes.plan", "role"]})
    initial_value = ScalarField(load_default=None, allow_none=True)
    target_values = fields.List(ScalarField(), required=True, validate=validate.Length(max=MOST_TARGETS))

    @post_load
    def _rule(self, data: Mapping[str, Any], **_: Any) -> QualificationRule:
        return QualificationRule(data["attribute"], data["initial_value"], tuple(data["target_values"]))


class AudienceSettingsSchema(Words):
    """What is done with the people of one audience."""

    action = Choice(*Action, required=True)
    mapping = fields.List(
        fields.Nested(RowSchema), load_default=list, validate=validate.Length(max=MOST_ROWS, error="Too many rows.")
    )
    duplicates = Choice(*Duplicates, load_default=Duplicates.SKIP.value)
    qualification = fields.Nested(QualificationSchema, load_default=None, allow_none=True)

    @post_load
    def _settings(self, data: Mapping[str, Any], **_: Any) -> AudienceSettings:
        return AudienceSettings(
            action=Action(data.get("action", Action.NOTHING)),
            mapping=tuple(data.get("mapping", ())),
            duplicates=Duplicates(data.get("duplicates", Duplicates.SKIP)),
            qualification=data.get("qualification"),
        )


_SETTINGS = AudienceSettingsSchema()


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings as somebody wrote them: what could be read of them, and what could not.

    ``places`` says for each row of ``settings.mapping`` which row of the body it was.
    """

    settings: AudienceSettings
    errors: tuple[FieldError, ...]
    places: tuple[int, ...]


def read_audience(body: object) -> Reading:
    """Settings from a body of any form. Never raises: what is at fault is in ``errors``, the sound rest is read."""
    if not isinstance(body, dict):
        return Reading(AudienceSettings(), field_errors(Words.error_messages["type"]), ())
    given = {name: value for name, value in body.items() if name not in SHOWN_ONLY}
    try:
        settings: AudienceSettings = _SETTINGS.load(given)
    except ValidationError as error:
        sound, places = _sound(given, error.messages_dict)
        return Reading(_SETTINGS.load(sound, partial=("action",)), field_errors(error.messages_dict), places)
    return Reading(settings, (), tuple(range(len(settings.mapping))))


def _sound(given: Mapping[str, Any], faults: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """What of the body has no fault in it, with the places of its rows."""
    sound = {name: value for name, value in given.items() if name not in faults}
    rows = given.get("mapping")
    faulty = faults.get("mapping", {})
    if not isinstance(rows, list) or not isinstance(faulty, dict):
        return sound, ()
    places = tuple(place for place in range(len(rows)) if place not in faulty)
    return {**sound, "mapping": [rows[place] for place in places]}, places


def audience_settings_from(document: Mapping[str, Any]) -> AudienceSettings:
    """Settings as they were kept.

    Raises: marshmallow.ValidationError for what ``document_from`` has not written.
    """
    settings: AudienceSettings = _SETTINGS.load(document)
    return settings


def document_from(settings: AudienceSettings) -> dict[str, Any]:
    """Settings in their wire form, in which they are kept too."""
    rule = settings.qualification
    return {
        "action": settings.action.value,
        "mapping": [{"from": _source(row.source), "to": row.to} for row in settings.mapping],
        "duplicates": settings.duplicates.value,
        "qualification": rule
        and {
            "attribute": rule.attribute,
            "initial_value": rule.initial_value,
            "target_values": list(rule.target_values),
        },
    }


def _source(source: Source) -> dict[str, Any]:
    match source:
        case Field(name):
            return {"field": name}
        case Fixed(value):
            return {"value": value}
        case Join(names):
            return {"join": list(names)}
