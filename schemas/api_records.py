"""The API's queries and answers for seeing: activity, events, people, causes, problems."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import fields

from app.core.people import Audience, Role
from schemas.api_fields import (
    Answer,
    Choice,
    Email,
    Id,
    Moment,
    PageLimit,
    PageQuery,
    ReferralFactoryId,
    Text,
    Words,
    page_of,
)
from schemas.api_setup import CauseId

VERBS = ("send", "qualify", "enroll", "update", "write_back")
OUTCOMES = ("created", "updated", "qualified", "disqualified", "added", "skipped", "ignored", "failed")
SOURCES = ("intercom", "referral_factory")
STATUSES = ("received", "processing", "retrying", "done", "dead")
QUALIFICATIONS = ("open", "qualified", "disqualified", "closed")


class ContactAnswer(Answer):
    id = fields.String()
    role = Choice(*Role, allow_none=True)
    url = fields.String()


class FieldAnswer(Answer):
    to = fields.String()
    cause = CauseId(allow_none=True)


# Activity


class ActivityQuery(PageQuery):
    campaign_id = Id()
    sync_id = Id()
    email = Email()
    verb = Choice(*VERBS)
    outcome = Choice(*OUTCOMES)
    cause = CauseId()
    since = Moment()


class ActivityPersonAnswer(Answer):
    referral_factory_id = ReferralFactoryId(allow_none=True)
    code = fields.String(allow_none=True)
    email = fields.String(allow_none=True)


class ActivityAnswer(Answer):
    class Meta:
        include: ClassVar[dict[str, Any]] = {"fields": fields.List(fields.Nested(FieldAnswer))}

    id = Id()
    at = Moment()
    campaign_id = Id()
    audience = Choice(*Audience, allow_none=True)
    verb = Choice(*VERBS)
    outcome = Choice(*OUTCOMES)
    cause = CauseId(allow_none=True)
    detail = fields.String(allow_none=True)
    person = fields.Nested(ActivityPersonAnswer)
    contact = fields.Nested(ContactAnswer, allow_none=True)
    event_id = Id(allow_none=True)
    sync_id = Id(allow_none=True)


# Events


class EventFilter(Words):
    """Which events to replay; without a status, the dead ones."""

    status = Choice(*STATUSES)
    source = Choice(*SOURCES)
    topic = Text(most=100)


class EventQuery(PageQuery):
    status = Choice(*STATUSES)
    source = Choice(*SOURCES)
    topic = Text(most=100)


class EventAnswer(Answer):
    id = Id()
    source = Choice(*SOURCES)
    topic = fields.String()
    status = Choice(*STATUSES)
    cause = CauseId(allow_none=True)
    attempts = fields.Integer()
    received_at = Moment()
    settled_at = Moment(allow_none=True)
    next_attempt_at = Moment(allow_none=True)
    error = fields.String(allow_none=True)


class WholeEventAnswer(EventAnswer):
    payload = fields.Raw(
        allow_none=True,
        metadata={
            "description": "What was sent, secrets masked: an object, or text where it is none. Null where it was "
            "not kept."
        },
    )


class ReplayAnswer(Answer):
    replayed = fields.Integer()


# Reconciles


class ReconcileAnswer(Answer):
    """One search for what webhooks have not told. With a cause it ended without having been whole, or can't go on."""

    id = Id()
    kind = Choice(*SOURCES)
    scope = fields.String(metadata={"examples": ["workspace:1", "program:1"]})
    started_at = Moment()
    finished_at = Moment(allow_none=True)
    looked_at = fields.Integer(metadata={"description": "Contacts or people that were looked at."})
    found = fields.Integer(metadata={"description": "What had been missed."})
    calls = fields.Integer(metadata={"description": "Calls to the vendor."})
    cause = CauseId(allow_none=True)


# People


class PeopleQuery(PageQuery):
    email = Email()
    campaign_id = Id()


class IdentityAnswer(Answer):
    id = ReferralFactoryId(allow_none=True)
    code = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    first_name = fields.String(allow_none=True)
    url = fields.String(allow_none=True)


class QualificationAnswer(Answer):
    state = Choice(*QUALIFICATIONS)
    since = Moment(allow_none=True)
    cause = CauseId(allow_none=True)


class PersonAnswer(Answer):
    id = Id()
    campaign_id = Id()
    audience = Choice(*Audience)
    referral_factory = fields.Nested(IdentityAnswer)
    contact = fields.Nested(ContactAnswer, allow_none=True)
    qualification = fields.Nested(QualificationAnswer)


class TimelineAnswer(Answer):
    """Something received (``event``) or done (``activity``); the fields of the other kind are null."""

    class Meta:
        include: ClassVar[dict[str, Any]] = {"fields": fields.List(fields.Nested(FieldAnswer))}

    kind = Choice("event", "activity")
    at = Moment()
    event_id = Id(allow_none=True)
    topic = fields.String(allow_none=True)
    status = Choice(*STATUSES, allow_none=True)
    verb = Choice(*VERBS, allow_none=True)
    outcome = Choice(*OUTCOMES, allow_none=True)
    cause = CauseId(allow_none=True)
    detail = fields.String(allow_none=True)


class WholePersonAnswer(PersonAnswer):
    timeline = fields.List(fields.Nested(TimelineAnswer))


class ErasureAnswer(Answer):
    """That somebody was erased: when, by whom, in which workspace, and when the last mention was gone."""

    id = Id()
    at = Moment()
    actor = fields.String()
    workspace_id = Id()
    finished_at = Moment(allow_none=True)


# Causes and problems


class CauseQuery(PageQuery):
    """The catalogue is short and closed: it is answered whole unless less is asked for."""

    limit = PageLimit(1, 200, load_default=200)


class CauseAnswer(Answer):
    id = fields.String()
    title = fields.String()
    explanation = fields.String()
    remedy = fields.String()


class FaultAnswer(Answer):
    pointer = fields.String(metadata={"description": "A JSON pointer (RFC 6901)."})
    cause = CauseId()
    detail = fields.String()


class Problem(Words):
    """RFC 9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    cause = CauseId(required=True)
    errors = fields.List(fields.Nested(FaultAnswer))


ActivityPage = page_of(ActivityAnswer, "ActivityPage")
EventPage = page_of(EventAnswer, "EventPage")
ErasurePage = page_of(ErasureAnswer, "ErasurePage")
ReconcilePage = page_of(ReconcileAnswer, "ReconcilePage")
PeoplePage = page_of(PersonAnswer, "PeoplePage")
CausePage = page_of(CauseAnswer, "CausePage")
