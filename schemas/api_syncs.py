"""The API's bodies, queries and answers for runs over many people: syncs and backfills."""

from __future__ import annotations

from marshmallow import fields

from app.core.people import Audience
from schemas.api_fields import Answer, Choice, Flag, Id, Moment, PageQuery, Words, page_of
from schemas.api_setup import CauseId

KINDS = ("sync", "backfill")
STATES = ("queued", "running", "paused", "completed", "cancelled", "failed", "watching")
OUTCOMES = ("added", "existing", "updated", "skipped", "failed")


class BackfillBody(Words):
    audience = Choice(*Audience, required=True)
    dry_run = Flag(
        load_default=False, metadata={"description": "Count what would become of everybody, and send nobody."}
    )


class SyncQuery(PageQuery):
    campaign_id = Id()


class ProgressAnswer(Answer):
    """How far it is. In a backfill, `added` are contacts that were created."""

    total = fields.Integer(
        allow_none=True, metadata={"description": "How many there are to look at, as the vendor says."}
    )
    seen = fields.Integer(metadata={"description": "How many were looked at."})
    added = fields.Integer()
    existing = fields.Integer()
    updated = fields.Integer()
    skipped = fields.Integer()
    failed = fields.Integer()
    written_back = fields.Integer()


class SyncAnswer(Answer):
    """A run. With a cause it waits for something, or has ended without having been whole."""

    id = Id()
    kind = Choice(*KINDS)
    campaign_id = Id()
    dry_run = Flag(metadata={"description": "It counts and lists, and changes nothing."})
    state = Choice(*STATES)
    cause = CauseId(allow_none=True)
    progress = fields.Nested(ProgressAnswer)
    seconds_left = fields.Integer(
        allow_none=True, metadata={"description": "An estimate; null where there is none to be made."}
    )
    started_at = Moment(allow_none=True)
    finished_at = Moment(allow_none=True)
    next_run_at = Moment(allow_none=True, metadata={"description": "When one that watches looks again."})


class SampleAnswer(Answer):
    contact_id = fields.String()
    email = fields.String(allow_none=True)
    outcome = Choice("added", "existing", "skipped")
    cause = CauseId(allow_none=True)


class SyncPreviewAnswer(Answer):
    total = fields.Integer(metadata={"description": "Contacts that the sync looks at."})
    would_add = fields.Integer(metadata={"description": "Those who are new to the campaign."})
    would_exceed_limit_by = fields.Integer(
        metadata={"description": "As many of the new ones would find no room under the user limit, and be skipped."}
    )
    sample = fields.List(fields.Nested(SampleAnswer))


class PreviewRunAnswer(SyncAnswer):
    """A dry run that goes on counting: follow it under `/syncs/{id}`."""

    sync_id = Id()


class OutcomeQuery(PageQuery):
    outcome = Choice(*OUTCOMES)
    cause = CauseId()


class OutcomeFilter(Words):
    outcome = Choice(*OUTCOMES)
    cause = CauseId()


class OutcomeAnswer(Answer):
    contact_id = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    outcome = Choice(*OUTCOMES)
    cause = CauseId(allow_none=True)
    detail = fields.String(allow_none=True)
    at = Moment()


SyncPage = page_of(SyncAnswer, "SyncPage")
OutcomePage = page_of(OutcomeAnswer, "OutcomePage")
