"""The document of everything that was configured for a campaign."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate

from app.core.errors import FieldError
from app.core.people import Audience
from schemas.api_faults import field_errors
from schemas.api_fields import Flag, Text, Whole, Words
from schemas.audiences import AudienceSettingsSchema

MOST_CRM_FIELDS = 100


class CrmFields(fields.List[str]):
    """Labels of campaign fields, each once."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            Text(),
            validate=validate.Length(max=MOST_CRM_FIELDS, error="Too many fields."),
            metadata={"description": "Labels of the campaign fields that are CRM fields."},
            **more,
        )

    def _deserialize(self, value: Any, *place: Any, **more: Any) -> list[Any]:
        return list(dict.fromkeys(super()._deserialize(value, *place, **more)))


class AudiencesSchema(Words):
    leads = fields.Nested(AudienceSettingsSchema, required=True)
    referrers = fields.Nested(AudienceSettingsSchema, required=True)


class CampaignSettingsSchema(Words):
    """Everything that was configured for a campaign, without ids and times."""

    user_limit = Whole(1, required=True, allow_none=True)
    extended_types = Flag(required=True)
    crm_fields = CrmFields(required=True)
    audiences = fields.Nested(AudiencesSchema, required=True)


class _Outer(Words):
    """The document with its audiences unread: these are read one by one, so that all faults are found at once."""

    user_limit = Whole(1, required=True, allow_none=True)
    extended_types = Flag(required=True)
    crm_fields = CrmFields(required=True)
    audiences = fields.Nested(
        Words.from_dict({audience.value: fields.Raw(required=True) for audience in Audience}), required=True
    )


def read_campaign_settings(
    body: Any,
) -> tuple[dict[str, Any], tuple[FieldError, ...], dict[Audience, object]]:
    """The campaign's own settings, what is wrong with them, and the audiences' documents, unread."""
    errors: tuple[FieldError, ...] = ()
    try:
        document = _Outer().load(body)
    except ValidationError as error:
        document, errors = error.valid_data, field_errors(error.messages)
    document = document if isinstance(document, dict) else {}
    audiences = document.pop("audiences", {})
    given = {audience: audiences[audience.value] for audience in Audience if audience.value in audiences}
    return document, errors, given
