"""Does a lead qualify: what was seen of the trigger attribute, and the rule, to a verdict.

=====================================================  =================================================
What is known of the referral                          what follows
=====================================================  =================================================
a referrer                                             ``Never`` ``only_leads_qualify``
qualified                                              ``Never`` ``already_qualified``
disqualified, closed                                   ``Never`` with the cause that was kept
the attribute is unknown, archived                     ``NotYet`` ``attribute_unknown``, ``_archived``
nothing was seen                                       ``NotYet`` ``initial_value_mismatch``
first seen at a target, the contact is new             ``Qualify``
first seen at a target, the contact was there before   ``Never`` ``already_converted``
the initial value seen, in that second or later a      ``Qualify``
target
the initial value seen, no target since                ``NotYet`` ``value_not_a_target``
neither                                                ``NotYet`` ``initial_value_mismatch``
=====================================================  =================================================

Sights are ordered by the contact's own update time, so it does not matter when, in what order or how often they reach
us. A further sight can only bring a verdict nearer to ``Qualify``, never take one back; and of many sights of one
value the earliest and the latest decide, which is why only these are kept.
"""

from __future__ import annotations

import html
import json
import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.core.attributes import Converted, as_text, convert
from app.core.audiences import Attribute, AttributeType, QualificationRule
from app.core.causes import Cause
from app.core.identity import value_digest
from app.core.mapping import ROLE
from app.core.people import CUSTOM, Audience, Contact, Role, Scalar, is_blank

OPEN, QUALIFIED, DISQUALIFIED, CLOSED = "open", "qualified", "disqualified", "closed"
"""The states of a referral."""


# What was seen


class SeenIn(StrEnum):
    """How a value came to be known: we wrote it, a webhook said so, or we read the contact."""

    WRITTEN = "written"
    NOTIFIED = "notified"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Sight:
    """One value of the trigger attribute, as it was seen. ``at``: Unix seconds, the contact's own update time."""

    value: object
    at: int
    seen_in: SeenIn = SeenIn.READ


@dataclass(frozen=True, slots=True)
class FirstSight:
    """What stood there when the lead began to be watched; kept once, and never changed.

    ``contact_is_new``: we made the contact, or it was created no earlier than the signup was received.
    """

    value: object
    at: int
    contact_is_new: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What is kept of all sights of one value: the earliest and the latest time, in Unix seconds."""

    value: object
    first_at: int
    last_at: int


def begin(
    contact: Contact,
    rule: QualificationRule,
    attribute: Attribute | None,  # noqa: ARG001 - all that ask about a rule are asked alike
    *,
    made_here: bool,
    signed_up_at: float,
    fallback_at: int,
) -> FirstSight:
    """The first sight of a lead whose ``contact`` has just become known.

    ``signed_up_at`` is when the signup was received, ``fallback_at`` stands in where Intercom tells no time; both are
    Unix seconds. With ``made_here`` what we created the contact with has been seen, at its creation, whatever
    Intercom made of it and however late it was found again: the rule's initial value; without one a blank. The role
    is never blank: of a contact made here it was ``lead``, for the role can't be the trigger where users are created.
    """
    if made_here:
        return FirstSight(_made_with(rule), _known(contact.created_at, contact.updated_at, fallback_at), True)
    seen = sight_of(contact, rule.attribute, SeenIn.READ, fallback_at)
    # Intercom tells whole seconds, we receive within them.
    is_new = contact.created_at is not None and contact.created_at >= math.floor(signed_up_at)
    return FirstSight(seen.value, seen.at, is_new)


def _made_with(rule: QualificationRule) -> object:
    if not is_blank(rule.initial_value):
        return rule.initial_value
    return Role.LEAD.value if rule.attribute == ROLE else None


def sight_of(contact: Contact, path: str, seen_in: SeenIn, fallback_at: int) -> Sight:
    """What stands under ``path``, the role included, at the contact's update time, else its creation, else
    ``fallback_at``."""
    value = contact.value(path)
    plain = value.value if isinstance(value, Role) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        plain = str(plain)  # as 1e400 is read; JSON has no word for it, so it could not be kept
    return Sight(plain, _known(contact.updated_at, contact.created_at, fallback_at), seen_in)


def _known(first: int | None, second: int | None, fallback: int) -> int:
    return next((time for time in (first, second) if time is not None), fallback)


def value_key(value: object) -> str:
    """A digest of the type and JSON spelling: two sights of one key are one row, ``5`` and ``"5"`` are two."""
    return value_digest(json.dumps(value, sort_keys=True))


def merged(spans: Iterable[Span], sights: Iterable[Sight], first: FirstSight) -> tuple[Span, ...]:
    """``spans`` with ``sights`` added, the earliest first. What was so before the lead was watched is dropped."""
    by_key: dict[str, Span] = {}
    for span in [*spans, *(Span(sight.value, sight.at, sight.at) for sight in sights if sight.at >= first.at)]:
        key = value_key(span.value)
        known = by_key.get(key, span)
        by_key[key] = Span(known.value, min(known.first_at, span.first_at), max(known.last_at, span.last_at))
    return tuple(span for _, span in sorted(by_key.items(), key=lambda item: (item[1].first_at, item[0])))


# The decision


@dataclass(frozen=True, slots=True)
class Qualify:
    """The lead has converted. ``value`` is the target value that was reached, as it was seen."""

    value: object


@dataclass(frozen=True, slots=True)
class NotYet:
    """A later sight, or a repaired rule, may change this."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class Never:
    """No sight changes this."""

    cause: Cause


Verdict = Qualify | NotYet | Never


@dataclass(frozen=True, slots=True)
class Referral:
    """One person of one campaign, as far as it decides. ``cause`` is why it is not open any more, if so."""

    audience: Audience
    state: str
    cause: Cause | None = None
    first: FirstSight | None = None
    spans: tuple[Span, ...] = ()


def decide(referral: Referral, rule: QualificationRule, attribute: Attribute | None) -> Verdict:
    """Whether ``referral`` qualifies by ``rule``; ``attribute`` is the rule's own, ``None`` where it is unknown."""
    if referral.audience is Audience.REFERRERS:
        return Never(Cause.ONLY_LEADS_QUALIFY)
    if referral.state != OPEN:
        return Never(_end(referral))
    if attribute is None:
        return NotYet(Cause.ATTRIBUTE_UNKNOWN)
    if attribute.archived:
        return NotYet(Cause.ATTRIBUTE_ARCHIVED)
    if referral.first is None:
        return NotYet(Cause.INITIAL_VALUE_MISMATCH)
    return _by_sights(referral.first, referral.spans, rule, attribute)


def _end(referral: Referral) -> Cause:
    if referral.state == QUALIFIED:
        return Cause.ALREADY_QUALIFIED
    nameless = Cause.ALREADY_QUALIFIED if referral.state == DISQUALIFIED else Cause.NOT_A_TRACKED_LEAD
    return referral.cause or nameless


def _by_sights(first: FirstSight, spans: tuple[Span, ...], rule: QualificationRule, attribute: Attribute) -> Verdict:
    if is_target(first.value, rule, attribute):
        return Qualify(first.value) if first.contact_is_new else Never(Cause.ALREADY_CONVERTED)
    seen = (Span(first.value, first.at, first.at), *spans)
    initial_at = min((span.first_at for span in seen if is_initial(span.value, rule, attribute)), default=None)
    if initial_at is None:
        return NotYet(Cause.INITIAL_VALUE_MISMATCH)
    targets = [span for span in seen if is_target(span.value, rule, attribute)]
    # Of several the one that stood last; the key settles the rest, so that every worker names the same.
    reached = max(targets, key=lambda span: (span.last_at, value_key(span.value)), default=None)
    if reached is None or reached.last_at < initial_at:
        return NotYet(Cause.VALUE_NOT_A_TARGET)
    return Qualify(reached.value)


# Comparing


def is_target(value: object, rule: QualificationRule, attribute: Attribute) -> bool:
    """Whether ``value`` is one of the rule's targets. A blank never is, nor is the initial value.

    Setting up warns of a target that is the initial value as well; if it counted, our own creation would convert.
    """
    if _equal(rule.initial_value, value, attribute):
        return False
    return any(_equal(target, value, attribute) for target in rule.target_values)


def is_initial(value: object, rule: QualificationRule, attribute: Attribute) -> bool:
    """Whether ``value`` may come first: the rule's initial value; without one all that is no target, blanks too."""
    if is_blank(rule.initial_value):
        return not is_target(value, rule, attribute)
    return _equal(rule.initial_value, value, attribute)


def elsewhere(contact: Contact, rule: QualificationRule, attribute: Attribute | None) -> str | None:
    """The path of another custom attribute that reads like a target value, while the trigger has none.

    By text alone, for the type of the other one is not the rule's concern. The first by name, if there are several.
    """
    if attribute is None or is_target(contact.value(rule.attribute), rule, attribute):
        return None
    others = (CUSTOM + name for name in sorted(contact.custom_attributes) if CUSTOM + name != rule.attribute)
    return next((path for path in others if _reads_like_a_target(contact.value(path), rule)), None)


def _reads_like_a_target(value: object, rule: QualificationRule) -> bool:
    return any(_equal_text(target, value) for target in rule.target_values)


_BY_TEXT = frozenset({AttributeType.TEXT, AttributeType.LIST, AttributeType.REFERENCE})


def _equal(wanted: Scalar | None, seen: object, attribute: Attribute) -> bool:
    if attribute.type in _BY_TEXT:
        return _equal_text(wanted, seen)
    ours = convert(wanted, attribute, extended_types=True)
    theirs = convert(seen, attribute, extended_types=True)
    if not isinstance(ours, Converted) or not isinstance(theirs, Converted):
        return _equal_text(wanted, seen)
    if attribute.type is AttributeType.DECIMAL:
        return math.isclose(float(ours.value), float(theirs.value), rel_tol=1e-9)
    return ours.value == theirs.value


def _equal_text(wanted: Scalar | None, seen: object) -> bool:
    if wanted is None or is_blank(wanted) or is_blank(seen) or not isinstance(seen, str | int | float):
        return False
    ours, theirs = as_text(wanted), as_text(seen)
    if ours is None or theirs is None:
        return False
    # Names have come back HTML-escaped in recorded traffic.
    return _spelling(ours) in (_spelling(theirs), _spelling(html.unescape(theirs)))


def _spelling(text: str) -> str:
    # Composed first: the same letters typed on a Mac and on Windows differ in code points.
    return unicodedata.normalize("NFC", text).strip().casefold()
