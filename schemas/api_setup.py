"""The API's bodies and answers for setting up: workspaces, programs, campaigns and audiences."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import fields, validate

from app.core.audiences import AttributeType
from app.core.causes import Cause
from app.core.people import Audience, Role
from schemas.api_fields import (
    Answer,
    Choice,
    Flag,
    Id,
    Moment,
    PageQuery,
    ReferralFactoryId,
    Secret,
    Text,
    Whole,
    Words,
    page_of,
)
from schemas.api_settings import CrmFields
from schemas.audiences import AudienceSettingsSchema

REGIONS = ("us", "eu", "au")
STATES = ("connected", "disconnected")

_SEVERAL_WAYS = {"description": "An id of the catalogue at `/api/v1/causes`."}


class CauseId(Choice):
    """Why, by the catalogue."""

    def __init__(self, **more: Any) -> None:
        super().__init__(*Cause, metadata=_SEVERAL_WAYS, **more)


class _Partly(Words):
    """All fields optional; what is not given stays as it is."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{**more, "partial": True})


# Workspaces


class WorkspaceBody(Words):
    name = Text(required=True)
    region = Choice(*REGIONS, required=True)
    access_token = Secret(required=True)
    client_secret = Secret(required=True)


class WorkspaceChanges(_Partly, WorkspaceBody):
    pass


class WorkspaceAnswer(Answer):
    id = Id()
    app_id = fields.String()
    name = fields.String()
    region = Choice(*REGIONS)
    timezone = fields.String()
    state = Choice(*STATES)
    cause = CauseId(allow_none=True, attribute="state_cause")
    missing_permissions = fields.List(fields.String())
    refreshed_at = Moment(allow_none=True)
    created_at = Moment()


class RefreshAnswer(Answer):
    attributes = fields.Integer()
    segments = fields.Integer()
    refreshed_at = Moment()


class AttributeBody(Words):
    name = Text(
        most=190,
        required=True,
        validate=[validate.Regexp(re.compile(r"[^.$]+\Z"), error="This must have neither a dot nor a dollar sign.")],
    )
    type = Choice(*AttributeType, required=True)
    options = fields.List(Text(), load_default=list, validate=validate.Length(max=500))


class AttributeAnswer(Answer):
    name = fields.String()
    path = fields.String()
    label = fields.String()
    type = Choice(*AttributeType)
    options = fields.List(fields.String())
    writable = Flag()
    archived = Flag()
    mappable = Flag()
    cause = CauseId(allow_none=True)


class AttributeQuery(PageQuery):
    campaign_id = Id(metadata={"description": "Counts in what this campaign allows and has mapped already."})
    audience = Choice(*Audience, metadata={"description": "Of the campaign's mappings, count this one's only."})


class SegmentAnswer(Answer):
    id = fields.String()
    name = fields.String()
    person_type = Choice(*Role)
    count = fields.Integer(allow_none=True)


class SegmentQuery(PageQuery):
    search = Text(metadata={"description": "A part of the name, in any letter case."})


# Programs


class ProgramBody(Words):
    name = Text(required=True)
    access_token = Secret(required=True)
    user_limit = Whole(1, load_default=None, allow_none=True)


class ProgramChanges(_Partly, ProgramBody):
    pass


class ProgramAnswer(Answer):
    id = Id()
    name = fields.String()
    state = Choice(*STATES)
    cause = CauseId(allow_none=True, attribute="state_cause")
    user_limit = fields.Integer(allow_none=True)
    created_at = Moment()


class FieldsAnswer(Answer):
    leads = fields.List(fields.String())
    referrers = fields.List(fields.String())


class FoundCampaignAnswer(Answer):
    class Meta:
        include: ClassVar[dict[str, Any]] = {"fields": fields.Nested(FieldsAnswer)}

    referral_factory_id = ReferralFactoryId()
    name = fields.String()
    code = fields.String(allow_none=True)
    status = fields.String(allow_none=True)


# Campaigns


class CampaignBody(Words):
    program_id = Id(required=True)
    referral_factory_id = ReferralFactoryId(required=True)
    workspace_id = Id(required=True)
    user_limit = Whole(1, load_default=None, allow_none=True)
    extended_types = Flag(load_default=False)
    crm_fields = CrmFields(load_default=list)


class CampaignChanges(_Partly, CampaignBody):
    pass


class UrlsAnswer(Answer):
    joined = fields.String()
    qualified = fields.String()
    reward_issued = fields.String()


class WebhookAnswer(Answer):
    key = fields.String()
    header = fields.String()
    urls = fields.Nested(UrlsAnswer)


class NewWebhookAnswer(WebhookAnswer):
    secret = fields.String(metadata={"description": "Shown this once."})


class CampaignAnswer(Answer):
    id = Id()
    name = fields.String()
    state = Choice("active", "archived")
    program_id = Id()
    workspace_id = Id()
    referral_factory_id = ReferralFactoryId()
    code = fields.String(allow_none=True)
    status = fields.String(allow_none=True, metadata={"description": "In Referral Factory, when it was set up."})
    user_limit = fields.Integer(allow_none=True)
    extended_types = Flag()
    crm_fields = fields.List(fields.String())
    archived_at = Moment(allow_none=True)
    created_at = Moment()
    webhook = fields.Nested(WebhookAnswer)


class NewCampaignAnswer(CampaignAnswer):
    webhook = fields.Nested(NewWebhookAnswer)


class CampaignQuery(PageQuery):
    archived = Choice("true", "false", metadata={"description": "The archived ones instead of the live ones."})


class RotateBody(Words):
    revoke_former = Flag(load_default=False)


class RotateAnswer(Answer):
    secret = fields.String(metadata={"description": "Shown this once."})
    former_valid_until = Moment(allow_none=True)


# Audiences


class AudienceAnswer(AudienceSettingsSchema):
    """The settings that hold, and what there is to say of them."""

    setup_required = fields.List(CauseId(), required=True)
    warnings = fields.List(CauseId(), required=True)
    version = fields.Integer(required=True)
    changed_at = Moment(required=True, allow_none=True)
    changed_by = fields.String(required=True, allow_none=True)


class VersionAnswer(AudienceSettingsSchema):
    """Settings as they were saved once."""

    version = fields.Integer(required=True)
    changed_at = Moment(required=True)
    changed_by = fields.String(required=True)


WorkspacePage = page_of(WorkspaceAnswer, "WorkspacePage")
AttributePage = page_of(AttributeAnswer, "AttributePage")
SegmentPage = page_of(SegmentAnswer, "SegmentPage")
ProgramPage = page_of(ProgramAnswer, "ProgramPage")
FoundCampaignPage = page_of(FoundCampaignAnswer, "FoundCampaignPage")
CampaignPage = page_of(CampaignAnswer, "CampaignPage")
VersionPage = page_of(VersionAnswer, "VersionPage")


# Preview


class PreviewBody(Words):
    audience = Choice(*Audience, required=True)
    person = fields.Dict(
        keys=fields.String(),
        values=fields.Raw(allow_none=True),
        required=True,
        metadata={"description": "The keys of a `joined` webhook.", "examples": [{"email": "friend@example.com"}]},
    )


class PreviewContactAnswer(Answer):
    role = Choice(*Role, allow_none=True)
    email = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    custom_attributes = fields.Dict(keys=fields.String(), values=fields.Raw())


class PreviewFieldAnswer(Answer):
    to = fields.String()
    value = fields.Raw(allow_none=True, metadata={"type": ["string", "number", "boolean"]})
    cause = CauseId(allow_none=True)


class PreviewAnswer(Answer):
    class Meta:
        include: ClassVar[dict[str, Any]] = {"fields": fields.List(fields.Nested(PreviewFieldAnswer))}

    decision = Choice("create", "update", "skip", "nothing")
    cause = CauseId(allow_none=True)
    detail = fields.String(allow_none=True)
    contact = fields.Nested(PreviewContactAnswer, allow_none=True)
