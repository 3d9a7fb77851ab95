"""Why? The questions of the vendor's troubleshooting guide, answered for one campaign and one person.

Facts in, checks out. Each question is answered by a module of this package; what a check looks at is gathered before,
so that nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from app.core.diagnosis import arrival, choices, connections, fields, qualifying, referral_links, syncing
from app.core.diagnosis.checks import (
    TITLES,
    Action,
    Check,
    Question,
    Telling,
    Verdict,
    in_order,
)
from app.core.diagnosis.facts import Asked, Asker, Facts

__all__ = ["TITLES", "Action", "Asked", "Asker", "Check", "Facts", "Question", "Telling", "Verdict", "diagnose"]

ANSWERS: Mapping[Question, Callable[[Facts], Iterator[Check]]] = MappingProxyType(
    {
        Question.CANNOT_CONNECT: connections.checks_of,
        Question.NONE_ARRIVE: arrival.checks_of_all,
        Question.SOME_DO_NOT_ARRIVE: arrival.checks_of_some,
        Question.ATTRIBUTE_NOT_UPDATED: fields.checks_of_fields,
        Question.DOES_NOT_UPDATE: fields.checks_of_updates,
        Question.ATTRIBUTE_NOT_SELECTABLE: choices.checks_of_choice,
        Question.LINK_ATTRIBUTE_NOT_SELECTABLE: choices.checks_of_link,
        Question.NOT_QUALIFIED: qualifying.checks_of,
        Question.SEGMENT_NOT_FOUND: syncing.checks_of_segments,
        Question.SYNC_ADDED_FEW: syncing.checks_of_few,
        Question.NO_LINK_IN_INTERCOM: referral_links.checks_of,
        Question.NEW_CONTACTS_NOT_ENROLLED: syncing.checks_of_new,
    }
)
"""Who answers which question, in the guide's order."""

_ORDER = tuple(Question)

_SENDING = frozenset(
    {
        Question.SOME_DO_NOT_ARRIVE,
        Question.ATTRIBUTE_NOT_UPDATED,
        Question.DOES_NOT_UPDATE,
        Question.NOT_QUALIFIED,
    }
)
"""What comes after a person's having been sent: why nobody arrives explains these, too."""


def diagnose(facts: Facts) -> tuple[Check, ...]:
    """All that is to be said, the most telling problem first.

    Of one question where one was asked; what keeps everybody from arriving is told with it, for without that nothing
    else happens.
    """
    asked = facts.asked.question
    if asked is None:
        return in_order([check for answer in ANSWERS.values() for check in answer(facts)], _ORDER)
    return in_order([*_roots(facts, asked), *ANSWERS[asked](facts)], _ORDER)


def _roots(facts: Facts, asked: Question) -> Iterator[Check]:
    """What is amiss so far up that it explains the question that was asked."""
    roots = [Question.CANNOT_CONNECT, *([Question.NONE_ARRIVE] if asked in _SENDING else [])]
    for root in roots:
        if root is not asked:
            yield from (check for check in ANSWERS[root](facts) if _is_root(check))


def _is_root(check: Check) -> bool:
    return check.verdict is Verdict.PROBLEM and check.telling <= Telling.CAMPAIGN
