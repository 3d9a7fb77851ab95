"""The API's queries and answers for finding out what is amiss."""

from __future__ import annotations

from marshmallow import fields

from app.core.diagnosis.checks import Question, Verdict
from schemas.api_fields import Answer, Choice, Email, Id, Moment, Text, Words
from schemas.api_setup import CauseId


class DiagnosisQuery(Words):
    campaign_id = Id(required=True)
    email = Email(metadata={"description": "Of a lead, a referrer or a contact. Without it, of the campaign alone."})
    question = Choice(*Question, metadata={"description": "Without it, all that apply."})
    attribute = Text(metadata={"description": "A path, a name or a label."})
    segment_id = Text(metadata={"description": "An id, or a segment's name."})


class ActionAnswer(Answer):
    """What mends it with one click, and of what."""

    name = fields.String(metadata={"examples": ["refresh_catalogue", "replay_events"]})
    target = fields.Dict(keys=fields.String(), values=fields.String(), metadata={"description": "Ids by name."})


class CheckAnswer(Answer):
    id = fields.String(metadata={"examples": ["intercom_token", "arrival.leads"]})
    question = fields.String(metadata={"examples": [Question.SOME_DO_NOT_ARRIVE.value]})
    verdict = Choice(*Verdict)
    cause = CauseId(allow_none=True)
    explanation = fields.String()
    remedy = fields.String()
    evidence = fields.Dict(
        keys=fields.String(),
        values=fields.Raw(allow_none=True),
        metadata={"description": "What was looked at: values, times, ids and names."},
    )
    action = fields.Nested(ActionAnswer, allow_none=True)


class DiagnosisAnswer(Answer):
    asked_at = Moment()
    checks = fields.List(fields.Nested(CheckAnswer), metadata={"description": "The most telling problem first."})
