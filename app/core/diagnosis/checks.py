"""What a check says, and in which order checks are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType

from app.core.causes import CATALOGUE, Cause

Plain = str | int | float | bool | None | Sequence[str] | Mapping[str, str]
"""What evidence is made of. Times are RFC 3339 in UTC; never a secret."""

Evidence = Mapping[str, Plain]

NOTHING_TO_DO = "Nothing is needed."


class Question(StrEnum):
    """The questions of the vendor's troubleshooting guide, in its order. The ids are public interface."""

    CANNOT_CONNECT = "cannot_connect"
    NONE_ARRIVE = "none_arrive"
    SOME_DO_NOT_ARRIVE = "some_do_not_arrive"
    ATTRIBUTE_NOT_UPDATED = "attribute_not_updated"
    DOES_NOT_UPDATE = "does_not_update"
    ATTRIBUTE_NOT_SELECTABLE = "attribute_not_selectable"
    LINK_ATTRIBUTE_NOT_SELECTABLE = "link_attribute_not_selectable"
    NOT_QUALIFIED = "not_qualified"
    SEGMENT_NOT_FOUND = "segment_not_found"
    SYNC_ADDED_FEW = "sync_added_few"
    NO_LINK_IN_INTERCOM = "no_link_in_intercom"
    NEW_CONTACTS_NOT_ENROLLED = "new_contacts_not_enrolled"


TITLES: Mapping[Question, str] = MappingProxyType(
    {
        Question.CANNOT_CONNECT: "I can't connect, settings are greyed out, or there is a permission error",
        Question.NONE_ARRIVE: "No leads or referrers arrive in Intercom",
        Question.SOME_DO_NOT_ARRIVE: "Some leads or referrers do not arrive",
        Question.ATTRIBUTE_NOT_UPDATED: "Someone arrives, but an attribute is not updated",
        Question.DOES_NOT_UPDATE: "A contact that exists does not update",
        Question.ATTRIBUTE_NOT_SELECTABLE: "An attribute can't be chosen",
        Question.LINK_ATTRIBUTE_NOT_SELECTABLE: "The attribute for the link can't be chosen",
        Question.NOT_QUALIFIED: "Someone converted, but did not qualify",
        Question.SEGMENT_NOT_FOUND: "A segment can't be found",
        Question.SYNC_ADDED_FEW: "A sync added few or none",
        Question.NO_LINK_IN_INTERCOM: "Someone was added, but has no link in Intercom",
        Question.NEW_CONTACTS_NOT_ENROLLED: "New contacts are not enrolled",
    }
)
"""As people read them."""


class Verdict(StrEnum):
    """``UNKNOWN``: it can't be known from here; the check says what would tell."""

    PROBLEM = "problem"
    UNKNOWN = "unknown"
    OK = "ok"


class Telling(IntEnum):
    """How directly a problem explains that nothing happened: the first first."""

    CONNECTION = 1
    """Nothing passes at all."""
    CAMPAIGN = 2
    """Nobody of a campaign or audience, nothing of a sync."""
    PERSON = 3
    """This person, or those who are like them."""
    WAITS = 4
    """It will pass by itself."""
    FIELD = 5
    """A field is missing, the person is there."""
    NOTE = 6
    """Worth knowing."""


ACTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "change_campaign": frozenset({"campaign_id"}),
        "change_duplicates": frozenset({"campaign_id", "audience"}),
        "change_user_limit": frozenset({"program_id", "campaign_id"}),
        "create_attribute": frozenset({"workspace_id"}),
        "qualify_person": frozenset({"person_id"}),
        "reconnect_program": frozenset({"program_id"}),
        "reconnect_workspace": frozenset({"workspace_id"}),
        "refresh_catalogue": frozenset({"workspace_id"}),
        "replay_events": frozenset({"event_id", "campaign_id", "status", "cause"}),
        "resume_sync": frozenset({"sync_id"}),
        "run_sync": frozenset({"sync_id"}),
        "set_up_audience": frozenset({"campaign_id", "audience"}),
        "show_sync": frozenset({"sync_id"}),
        "show_webhook": frozenset({"campaign_id"}),
        "start_backfill": frozenset({"campaign_id", "audience"}),
        "start_reconcile": frozenset({"workspace_id"}),
        "start_sync": frozenset({"campaign_id"}),
    }
)
"""Every button there is, with what its target may name. Ids are public interface."""


@dataclass(frozen=True, slots=True)
class Action:
    """The button that mends it, one of ``ACTIONS``. ``target`` has ids by name, as text."""

    name: str
    target: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. ``question`` is an id of ``Question``, or of ``system.Area``; ``cause`` is ``None`` where all is
    well. Ids tell the checks of one answer apart and stay the same from one to the next."""

    id: str
    question: str
    verdict: Verdict
    cause: Cause | None
    explanation: str
    remedy: str
    evidence: Evidence = field(default_factory=lambda: MappingProxyType({}))
    action: Action | None = None
    telling: Telling = Telling.NOTE


def ok(id_: str, question: str, explanation: str, evidence: Evidence | None = None) -> Check:
    return Check(id_, question, Verdict.OK, None, explanation, NOTHING_TO_DO, evidence or {})


def unknown(
    id_: str,
    question: str,
    explanation: str,
    remedy: str,
    evidence: Evidence | None = None,
    *,
    cause: Cause | None = None,
    action: Action | None = None,
) -> Check:
    """``remedy`` says what would tell."""
    return Check(id_, question, Verdict.UNKNOWN, cause, explanation, remedy, evidence or {}, action)


def problem(
    id_: str,
    question: str,
    cause: Cause,
    telling: Telling,
    *,
    said: str | None = None,
    evidence: Evidence | None = None,
    action: Action | None = None,
) -> Check:
    """The catalogue's words, with what is so in this case (``said``, whole sentences) before them."""
    text = CATALOGUE[cause]
    explanation = f"{said} {text.explanation}" if said else text.explanation
    return Check(id_, question, Verdict.PROBLEM, cause, explanation, text.remedy, evidence or {}, action, telling)


_VERDICTS = (Verdict.PROBLEM, Verdict.UNKNOWN, Verdict.OK)


def in_order(checks: Sequence[Check], questions: Sequence[str]) -> tuple[Check, ...]:
    """The most telling problem first; what tells alike in the order of ``questions``, then as it came."""

    def rank(check: Check) -> tuple[int, int, int]:
        return _VERDICTS.index(check.verdict), check.telling, questions.index(check.question)

    return tuple(sorted(checks, key=rank))


def moment(at: datetime | None) -> str | None:
    """A time as evidence has it: RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at is not None else None


def unix_moment(at: int | None) -> str | None:
    """The same of Unix seconds; ``None`` too for what no calendar has."""
    try:
        return moment(datetime.fromtimestamp(at, UTC)) if at is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def events(count: int, one: str, more: str) -> str:
    """``events(1, "was", "were")`` is "1 event was"."""
    return f"1 event {one}" if count == 1 else f"{count} events {more}"


def shown(value: object) -> Plain:
    """A value of an attribute or a rule as evidence: plain, and of a length that can be read."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


LONGEST = 300
