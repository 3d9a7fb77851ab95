"""What was received and done for whom, in a marketer's words; and where to ask why something was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import flash
from sqlalchemy import Row

from app.core.causes import CATALOGUE
from app.core.diagnosis import Question
from app.core.errors import ApiError, InvalidRequest
from app.core.people import CUSTOM
from app.core.qualification import CLOSED, DISQUALIFIED, OPEN, QUALIFIED
from app.web.console.forms import refusal

AUDIENCES: Mapping[str, str] = {"leads": "Lead", "referrers": "Referrer"}

STATES: Mapping[str, str] = {
    OPEN: "Not qualified yet",
    QUALIFIED: "Qualified",
    DISQUALIFIED: "Disqualified by hand",
    CLOSED: "Will not qualify",
}

VERBS: Mapping[str, str] = {
    "send": "Send to Intercom",
    "qualify": "Qualify",
    "enroll": "Add to the campaign",
    "update": "Update",
    "write_back": "Write back to Intercom",
}

OUTCOMES: Mapping[str, str] = {
    "created": "Created",
    "updated": "Updated",
    "qualified": "Qualified",
    "disqualified": "Disqualified",
    "added": "Added",
    "skipped": "Skipped",
    "ignored": "Nothing to do",
    "failed": "Failed",
}

_DEEDS: Mapping[tuple[str, str], str] = {
    ("send", "created"): "Created in Intercom",
    ("send", "updated"): "Updated in Intercom",
    ("send", "skipped"): "Not sent to Intercom",
    ("send", "ignored"): "Nothing to send to Intercom",
    ("send", "failed"): "Could not be sent to Intercom",
    ("qualify", "qualified"): "Qualified in Referral Factory",
    ("qualify", "disqualified"): "Disqualified in Referral Factory",
    ("qualify", "skipped"): "Not qualified",
    ("qualify", "ignored"): "Not qualified",
    ("qualify", "failed"): "Could not be qualified",
    ("enroll", "added"): "Added to the campaign",
    ("enroll", "updated"): "Updated in the campaign",
    ("enroll", "skipped"): "Not added to the campaign",
    ("enroll", "ignored"): "Already in the campaign",
    ("enroll", "failed"): "Could not be added to the campaign",
    ("update", "updated"): "Brought up to date",
    ("update", "skipped"): "Not brought up to date",
    ("update", "failed"): "Could not be brought up to date",
    ("write_back", "updated"): "Link and counts written to Intercom",
    ("write_back", "skipped"): "Link and counts not written to Intercom",
    ("write_back", "ignored"): "Link and counts are in Intercom already",
    ("write_back", "failed"): "Link and counts could not be written to Intercom",
}

_QUESTIONS: Mapping[str, Question] = {
    "send": Question.SOME_DO_NOT_ARRIVE,
    "qualify": Question.NOT_QUALIFIED,
    "enroll": Question.SYNC_ADDED_FEW,
    "update": Question.DOES_NOT_UPDATE,
    "write_back": Question.NO_LINK_IN_INTERCOM,
}

_NOT_DONE = ("skipped", "ignored", "failed")

SOURCES: Mapping[str, str] = {"intercom": "Intercom", "referral_factory": "Referral Factory"}

STATUSES: Mapping[str, str] = {
    "received": "Waiting",
    "processing": "Being worked on",
    "retrying": "To be tried again",
    "dead": "Given up",
    "done": "Done",
}

_TOPICS: Mapping[str, str] = {
    "joined": "Somebody joined",
    "qualified": "Somebody is qualified",
    "reward-issued": "A reward was issued",
    "write_back": "Link and counts to be written",
    "contact.reconcile": "A contact to be looked at",
    "ping": "A test",
}

TOPICS = (
    "joined",
    "qualified",
    "reward-issued",
    "contact.user.created",
    "contact.user.updated",
    "contact.lead.created",
    "contact.lead.updated",
    "contact.lead.signed_up",
    "contact.archived",
    "contact.unarchived",
    "contact.deleted",
    "contact.merged",
)
"""To choose from; any other can be typed."""

_ORIGINS: Mapping[str, str] = {
    "webhook": "A webhook",
    "follow_up": "Follows from something that was received",
    "reconcile": "Found by our own check: no webhook had told it",
    "write_back": "Owed to a referrer’s contact",
    "backfill": "Sent by a backfill",
}

SEEN_IN: Mapping[str, str] = {
    "written": "written by us",
    "notified": "in a webhook of Intercom",
    "read": "when the contact was read",
}

RUN_OUTCOMES: Mapping[str, str] = {
    "added": "Added",
    "existing": "Already in the campaign",
    "updated": "Updated",
    "skipped": "Left out",
    "failed": "Failed",
}


def deed(row: Row[Any]) -> str:
    """A row of activity as somebody would say it."""
    if row.verb == "qualify" and row.cause == "already_qualified":
        return "Already qualified in Referral Factory"
    words = _DEEDS.get((row.verb, row.outcome))
    return words or f"{VERBS.get(row.verb, row.verb)}: {OUTCOMES.get(row.outcome, row.outcome).lower()}"


def topic(name: str) -> str:
    """What an event tells: ``contact.user.updated`` is "User updated"."""
    if name in _TOPICS or not name.startswith("contact."):
        return _TOPICS.get(name, name)
    *whose, what = name.split(".")
    return f"{whose[-1]} {what}".replace("_", " ").capitalize()


def origin(row: Row[Any]) -> str:
    return _ORIGINS.get(row.origin, row.origin)


def attribute(path: str) -> str:
    """A target of a mapping as Intercom names it."""
    return path.removeprefix(CUSTOM)


def waits_for(held_by: str) -> str:
    """Behind what an event waits as a whole: a connection's name, or a circuit's."""
    what = held_by.partition(":")[0]
    words = {
        "workspace": "the Intercom workspace to be connected again",
        "program": "the Referral Factory program to be connected again",
        "intercom": "Intercom to answer again, or to allow it",
        "referral_factory": "Referral Factory to answer again",
    }
    return words.get(what, "what it needs")


# Why?


def why_url(question: str | None = None, **asked: object) -> str:
    """Where the troubleshooter answers for a campaign (``campaign_id``), a person (``email``), an ``attribute``."""
    query = {**asked, "question": question}
    return "/troubleshooter?" + urlencode({name: value for name, value in query.items() if value})


def why_of(row: Row[Any]) -> str | None:
    """Of an activity that says that something was not done; ``None`` where nothing is to be asked."""
    if row.outcome not in _NOT_DONE or row.cause == "already_qualified":
        return None
    question = _QUESTIONS.get(row.verb, Question.SOME_DO_NOT_ARRIVE)
    return why_url(question, campaign_id=row.campaign_id, email=row.email)


def why_field(row: Row[Any], path: str) -> str:
    question = Question.ATTRIBUTE_NOT_UPDATED
    return why_url(question, campaign_id=row.campaign_id, email=row.email, attribute=path)


WORDS: Mapping[str, Any] = {
    "deed": deed,
    "topic_words": topic,
    "origin_words": origin,
    "attribute_name": attribute,
    "waits_for": waits_for,
    "why_of": why_of,
    "why_field": why_field,
    "why_url": why_url,
    "audience_words": AUDIENCES,
    "state_words": STATES,
    "verb_words": VERBS,
    "outcome_words": OUTCOMES,
    "source_words": SOURCES,
    "status_words": STATUSES,
    "seen_in": SEEN_IN,
    "run_outcomes": RUN_OUTCOMES,
    "kind_words": {"sync": "Sync", "backfill": "Backfill"},
}
"""For the templates that show what was received and done."""


def say_refusal(error: InvalidRequest | ApiError) -> None:
    """A button's refusal, told on the page that is shown next.

    Raises: InvalidRequest 404 as it came.
    """
    refused = refusal(error)
    words = CATALOGUE[refused.cause]
    known = f"{words.title}. " if refused.cause != "invalid_request" else ""
    remedy = f" {words.remedy}" if known else ""
    flash(f"{known}{refused.detail}{remedy}", "danger")
