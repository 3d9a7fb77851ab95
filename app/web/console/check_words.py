"""A check as people read it: how it stands, what was looked at, and its evidence in words, times and links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import Check, Verdict
from app.core.diagnosis.checks import Plain, Telling
from app.core.diagnosis.connections import PERMISSIONS
from app.core.people import CUSTOM
from app.web.console.deed_words import OUTCOMES, RUN_OUTCOMES, STATUSES, topic, waits_for
from app.web.console.mending import Mend, mend_of
from app.web.console.run_words import CONTACTS
from app.web.console.run_words import STATES as RUN_STATES

MOST_SHOWN = 50
"""Values of a list that is told in full; of a longer one, how many more there are."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: words, a time, or a link. ``elsewhere`` leads out of the console."""

    text: str
    at: datetime | None = None
    url: str | None = None

    @property
    def elsewhere(self) -> bool:
        return self.url is not None and not self.url.startswith("/")


@dataclass(frozen=True, slots=True)
class Told:
    """One line of evidence."""

    label: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a check stands: by a sign, a word and a colour."""

    sign: str
    word: str
    colour: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A check with its words. ``asked_at`` is when a vendor was asked for it."""

    id: str
    cause: str | None
    standing: Standing
    looked_at: str
    title: str
    explanation: Sequence[Piece]
    remedy: str | None
    evidence: Sequence[Told]
    mend: Mend | None
    is_ok: bool
    is_problem: bool


ContactUrl = Callable[[str], str | None]


def told_once(checks: Sequence[Shown]) -> list[Shown]:
    """What several checks say in the same words is told once, with the evidence of all of them."""
    found: dict[tuple[str | None, tuple[Piece, ...]], Shown] = {}
    for one in checks:
        key = one.cause, tuple(one.explanation)
        before = found.get(key)
        found[key] = one if before is None else _joined(before, one)
    return list(found.values())


def _joined(one: Shown, other: Shown) -> Shown:
    evidence = [*one.evidence, *(line for line in other.evidence if line not in one.evidence)]
    return replace(one, looked_at=f"{one.looked_at}, {other.looked_at.lower()}", evidence=evidence)


def shown(check: Check, campaign_id: int | None = None, contact_url: ContactUrl = lambda _: None) -> Shown:
    """``contact_url`` is where a contact is seen in Intercom, by its id."""
    is_ok = check.verdict is Verdict.OK
    return Shown(
        id=check.id,
        cause=check.cause,
        standing=_standing(check),
        looked_at=looked_at(check),
        title=_title(check),
        explanation=pieces(check.explanation.replace(CUSTOM, "")),
        remedy=None if is_ok else check.remedy,
        evidence=list(_evidence(check, contact_url)),
        mend=mend_of(check, campaign_id),
        is_ok=is_ok,
        is_problem=check.verdict is Verdict.PROBLEM,
    )


def _standing(check: Check) -> Standing:
    if check.verdict is Verdict.OK:
        return Standing("✓", "OK", "success")
    if check.verdict is Verdict.UNKNOWN:
        return Standing("?", "Unknown", "secondary")
    if check.telling is Telling.NOTE:
        return Standing("i", "Worth knowing", "info")
    if check.telling is Telling.WAITS:
        return Standing("…", "Problem that may pass by itself", "warning")
    return Standing("!", "Problem", "danger")


def _title(check: Check) -> str:
    if check.cause is not None:
        return CATALOGUE[check.cause].title
    return "Can’t be known from here" if check.verdict is Verdict.UNKNOWN else looked_at(check)


# What was looked at


def looked_at(check: Check) -> str:
    """By the beginning of the check's id; what follows tells apart checks of one kind."""
    parts = check.id.split(".")
    name = _LOOKED_AT.get(parts[0], parts[0].replace("_", " ").capitalize())
    detail = _DETAILED.get(parts[0])
    return f"{name}: {detail(check, parts)}" if detail is not None and len(parts) > 1 else name


_LOOKED_AT: Mapping[str, str] = {
    "teammate_rights": "Your rights",
    "intercom_token": "Intercom’s access token",
    "intercom_region": "Intercom’s region",
    "intercom_permission": "Permission in Intercom",
    "intercom_permissions": "Permissions in Intercom",
    "intercom_answers": "Whether Intercom answers",
    "referral_factory_token": "Referral Factory’s access token",
    "referral_factory_answers": "Whether Referral Factory answers",
    "campaign": "The campaign",
    "action": "The set-up",
    "name_mapped": "The name’s mapping",
    "email_mapped": "The email’s mapping",
    "types": "Types of the mapped attributes",
    "where": "Where to find them in Intercom",
    "webhooks": "Webhooks from Referral Factory",
    "events": "Events that wait or were given up",
    "event": "An event",
    "events_waiting": "Events that wait",
    "events_dead": "Events that were given up",
    "person": "The person",
    "arrival": "What became of the person",
    "self_referral": "Who referred the person",
    "webhook_came": "How we were told",
    "contact": "The contact in Intercom",
    "before_setup": "Who joined before the set-up",
    "skipped": "Those who joined lately",
    "left_out": "Those who joined lately",
    "fields": "Mapped fields",
    "field": "A field",
    "duplicates": "The duplicates policy",
    "catalogue": "The list of attributes",
    "attribute": "The attribute",
    "link_attribute": "The attribute for the link",
    "rule": "The qualification rule",
    "lead": "The referral",
    "segments": "Segments",
    "segment": "The segment",
    "sync": "The sync",
    "room": "The user limit",
    "ongoing": "The sync’s schedule",
    "matched": "Whom the sync takes",
    "link_mapped": "Where the link goes",
    "link": "The link",
    # Of the whole
    "connections": "Connections",
    "missed": "Webhooks that never came",
    "notifications": "Notifications of Intercom",
    "heard": "Webhooks from Referral Factory",
    "mappings": "The mapping",
    "rules": "The qualification rule",
    "users": "The user limit",
    "calls": "The vendors’ speed limits",
    "worker": "The worker",
    "redis": "Redis",
    "waiting": "Events that wait",
    "dead": "Events that were given up",
    "clock": "The clock",
    "disk": "The disk",
}


def _of_audience(_check: Check, parts: Sequence[str]) -> str:
    return parts[1]


def _of_attribute(check: Check, _parts: Sequence[str]) -> str:
    return str(check.evidence.get("attribute", "")).removeprefix(CUSTOM)


_DETAILED: Mapping[str, Callable[[Check, Sequence[str]], str]] = {
    "action": _of_audience,
    "name_mapped": _of_audience,
    "email_mapped": _of_audience,
    "types": _of_audience,
    "where": _of_audience,
    "before_setup": _of_audience,
    "field": _of_attribute,
    "attribute": _of_attribute,
    "link_attribute": _of_attribute,
    "link": _of_attribute,
}


# Evidence

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def pieces(text: str) -> list[Piece]:
    """A text with its times told apart, so that each reader has them in their own zone."""
    found: list[Piece] = []
    end = 0
    for match in _MOMENT.finditer(text):
        at = _moment(match[0])
        if at is not None:
            found += [Piece(text[end : match.start()]), Piece(match[0], at)]
            end = match.end()
    return [one for one in (*found, Piece(text[end:])) if one.text]


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _evidence(check: Check, contact_url: ContactUrl) -> Iterator[Told]:
    for name, value in check.evidence.items():
        if name in _HIDDEN or (value is None and name not in _NONE) or value in ("", (), [], {}):
            continue
        if value is None and _was_not_asked(check):
            continue
        yield Told(_label(name, value), list(_pieces_of(name, value, contact_url)))


_HIDDEN = frozenset({"contact_url", "pointer"})

_NONE: Mapping[str, str] = {
    "given": "nothing",
    "in_intercom": "nothing",
    "value_now": "nothing",
    "initial_value": "any that is no target",
    "first_seen": "nothing",
}
"""Where nothing is something to tell."""


def _was_not_asked(check: Check) -> bool:
    return bool(check.evidence.get("answer"))


def _pieces_of(name: str, value: Plain, contact_url: ContactUrl) -> Iterator[Piece]:
    if isinstance(value, Mapping):
        for index, (key, text) in enumerate(value.items()):
            yield Piece(f"{'; ' if index else ''}{_plain(name, key)}: ")
            yield from pieces(text)
        return
    values: Sequence[object] = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    for index, each in enumerate(values[:MOST_SHOWN]):
        if index:
            yield Piece(", ")
        yield from _piece(name, each, contact_url)
    if len(values) > MOST_SHOWN:
        yield Piece(f", and {len(values) - MOST_SHOWN} more")


def _piece(name: str, value: object, contact_url: ContactUrl) -> Iterator[Piece]:
    if value is None:
        yield Piece(_NONE[name])
    elif isinstance(value, bool):
        yield Piece("yes" if value else "no")
    elif isinstance(value, int | float):
        yield Piece(_number(name, value))
    else:
        text = str(value)
        url = _url(name, text, contact_url)
        if url is not None:
            yield Piece(_LINK_TEXTS.get(name, "{}").format(text), url=url)
        else:
            yield from pieces(_plain(name, text))


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    return f"{value:,}"


_LINK_TEXTS: Mapping[str, str] = {
    "campaign_id": "Campaign {}",
    "campaign_ids": "Campaign {}",
    "event_id": "Event {}",
    "event_ids": "Event {}",
    "latest_event_id": "Event {}",
    "person_id": "Open it",
    "sync_id": "Sync {}",
    "syncs": "Sync {}",
    "url": "Open in Intercom",
    "workspace_id": "Open its page",
}


def _url(name: str, text: str, contact_url: ContactUrl) -> str | None:
    """Where something of ours is seen. What somebody else has written is no link."""
    if name in ("contact_id", "latest_contact_id", "example_contact_id", "merged_from", "merged_into"):
        return contact_url(text)
    if name == "url":
        return text if _INTERCOM.match(text) else None
    page = _PAGES.get(name)
    return f"{page}{text}" if page is not None and text.isascii() and text.isdigit() else None


_INTERCOM = re.compile(r"https://app\.(?:eu\.|au\.)?intercom\.com/")

_PAGES: Mapping[str, str] = {
    "campaign_id": "/campaigns/",
    "campaign_ids": "/campaigns/",
    "event_id": "/events/",
    "event_ids": "/events/",
    "latest_event_id": "/events/",
    "person_id": "/people/",
    "sync_id": "/syncs/",
    "syncs": "/syncs/",
    "workspace_id": "/workspaces/",
}


def _plain(name: str, text: str) -> str:
    if name in ("cause_then", "cause_today", "note") and text in CATALOGUE:
        return CATALOGUE[Cause(text)].title
    if name == "waits_for":
        return waits_for(text)
    if name == "topic":
        return topic(text)
    if name in ("attribute", "attributes", "trigger", "stands_in", "fit", "given", "in_intercom"):
        return text.removeprefix(CUSTOM)
    return _WORDS.get(name, {}).get(text, text)


_WORDS: Mapping[str, Mapping[str, str]] = {
    "action": {"nothing": "Do nothing", "create_lead": "Create lead", "create_user": "Create user"},
    "audience": {"leads": "Leads", "referrers": "Referrers"},
    "contacts": CONTACTS,
    "duplicates": {"skip": "Skip", "update": "Update", "fill_blanks": "Fill blanks"},
    "permission": PERMISSIONS,
    "permissions": PERMISSIONS,
    "outcome": {**OUTCOMES, **RUN_OUTCOMES},
    "schedule": {"once": "once", "ongoing": "ongoing"},
    "state": {
        **RUN_STATES,
        "open": "not qualified yet",
        "qualified": "qualified",
        "disqualified": "disqualified by hand",
        "closed": "will not qualify",
    },
    "status": STATUSES,
}


def _label(name: str, value: Plain) -> str:
    if name == "contacts" and isinstance(value, int):
        return "Contacts"
    return _LABELS.get(name, name.replace("_", " ").capitalize())


_LABELS: Mapping[str, str] = {
    "account_limit": "User limit of the account",
    "answer": "What was answered",
    "answered": "Answer",
    "answering_region": "Region that takes the token",
    "app_id": "Workspace id",
    "asked": "You asked for",
    "asked_at": "Asked",
    "at": "When",
    "campaign_id": "Campaign",
    "campaign_ids": "Other campaigns",
    "campaign_limit": "User limit of the campaign",
    "cause_then": "Cause when it was written",
    "cause_today": "Cause by today’s attributes",
    "contact_id": "Contact in Intercom",
    "contact_is_new": "Contact made after the signup",
    "contact_role": "Role of the contact",
    "contacts": "Takes",
    "count": "Contacts in it",
    "counted_at": "Counted",
    "database": "The database’s time",
    "detail": "In detail",
    "duplicates": "Duplicates policy",
    "erased_at": "Erased",
    "error": "Last error",
    "event_id": "Event",
    "event_ids": "Events",
    "events": "How many events",
    "everybody": "Concerns everybody",
    "example_contact_id": "For example",
    "existing": "Were in the campaign before",
    "finished_at": "Ended",
    "first_seen": "First seen",
    "first_seen_at": "First seen at",
    "fit": "Attributes that fit",
    "found": "Found by our own check",
    "found_at": "Found last",
    "found_by_our_own_check": "Found by our own check",
    "free_bytes": "Free",
    "given": "What Referral Factory sent",
    "here": "Our time",
    "holds_work": "Work waits for it",
    "id": "Our id",
    "in_intercom": "What stands in Intercom",
    "last_at": "Last one came",
    "last_from_intercom": "Last notification of Intercom",
    "last_found_at": "Found last",
    "last_joined_at": "Last one that somebody joined",
    "last_other_at": "Last one at all",
    "latest_at": "Latest",
    "latest_contact_id": "Latest contact",
    "latest_detail": "In detail",
    "latest_email": "Latest person",
    "latest_event_id": "Latest event",
    "left": "Room left",
    "link": "The link",
    "made_by_us": "Made by us",
    "mapped_in": "Mapped for",
    "may_manage_integrations": "May manage integrations",
    "merged_from": "Merged from",
    "merged_into": "Merged into",
    "multiline": "Of several lines",
    "named": "What it is about",
    "near": "Names that are near",
    "next_attempt_at": "Next attempt",
    "next_look_at": "Next look",
    "note": "To be known",
    "oldest_at": "Oldest",
    "oldest_received_at": "Oldest received",
    "owners": "Who can allow it",
    "path": "Where",
    "people": "How many people",
    "person_id": "The person’s page",
    "person_type": "Made of",
    "qualified_at_in_referral_factory": "Qualified in Referral Factory",
    "received_at": "Received",
    "recurring_work_due_at": "Recurring work due",
    "referral_factory_asked_at": "Referral Factory asked",
    "referral_factory_ids": "Ids in Referral Factory",
    "refreshed_at": "Attributes and segments read",
    "seconds_apart": "Seconds apart",
    "seconds_left": "Seconds left, about",
    "seen": "Values seen, each from when to when",
    "segment_id": "Segment",
    "segments": "Segments in the list",
    "similar_target": "Target spelt much alike",
    "since": "Since",
    "stands_in": "Where a target value stands",
    "started_at": "Began",
    "state": "How it stands",
    "status": "How it stands",
    "sync_id": "Sync",
    "target_values": "Target values",
    "total_bytes": "In all",
    "trigger": "Attribute that decides",
    "url": "In Intercom",
    "users": "Users",
    "value_now": "Value now",
    "waits_for": "Waits for",
    "workspace_id": "Workspace",
    "writable": "Can be filled from outside",
    "written_at": "Written",
}
