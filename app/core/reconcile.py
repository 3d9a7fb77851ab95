"""What a reconcile decides by itself: which way is the cheaper, how far back it looks, and what counts as found.

It never decides on a referral: what is found becomes an event, and goes the way of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.audiences import Attribute, QualificationRule
from app.core.causes import Cause
from app.core.people import Contact
from app.core.qualification import NotYet, Referral, SeenIn, Span, decide, sight_of, value_key

WHOLE_EVERY = timedelta(days=1)
"""How often all watched leads are looked at by id: no search shows what was archived or merged."""

OVERLAP = timedelta(days=2)
"""Intercom compares whole days of the workspace's time zone: after a moment means from the next day's start on. A day
can have 25 hours, so one day is not enough."""

CLOCKS = timedelta(seconds=60)
"""How far Intercom's clock may be from ours."""


RIPE_SECONDS = 5
"""How long a notification may be on its way before what it tells counts as missed."""


class Way(StrEnum):
    """How it goes: by contacts changed lately or by watched leads; by a program's list, then by those not in it."""

    CHANGED = "changed"
    OPEN = "open"
    LIST = "list"
    MISSING = "missing"


# Which way


@dataclass(frozen=True, slots=True)
class PageSeen:
    """A page of a search from the newest on: how many contacts, and the first's and last's update in Unix seconds.
    ``total`` is how many the search matches, where Intercom says so."""

    contacts: int
    newest: int
    oldest: int
    total: int | None = None


def first_way(watched: int, *, known_until: datetime | None, all_due_at: datetime | None, now: datetime) -> Way:
    """Before anything was asked. One watched lead is never dearer by id than by a search."""
    whole = known_until is None or all_due_at is None or all_due_at <= now
    return Way.OPEN if whole or watched <= 1 else Way.CHANGED


def way_on(watched: int, pages_read: int, page: PageSeen, looked_back_to: int) -> Way:
    """After a page of changes that does not reach back far enough: read on, or ask for the leads by id instead."""
    if pages_read >= watched:
        return Way.OPEN
    return Way.CHANGED if pages_left(pages_read, page, looked_back_to) <= watched else Way.OPEN


def pages_left(pages_read: int, page: PageSeen, looked_back_to: int) -> int:
    """How many more pages it takes, if contacts changed before as often as those of this page."""
    if not page.contacts:
        return 0
    per_second = page.contacts / max(page.newest - page.oldest, 1)
    rows = per_second * max(page.oldest - looked_back_to, 0)
    pages = math.ceil(rows / page.contacts)
    if page.total is None:
        return pages
    return min(pages, max(math.ceil(page.total / page.contacts) - pages_read, 0))


# How far back


def looks_back_to(known_until: datetime, index_delay: timedelta) -> int:
    """Unix seconds. What changed before was looked at by the last reconcile, however late the search showed it."""
    return math.floor((known_until - index_delay - CLOCKS).timestamp())


def mark_of(looked_back_to: int) -> int:
    """What the search is asked for: later than this, as Intercom compares; exactly is compared here."""
    return looked_back_to - int(OVERLAP.total_seconds())


# What is found


def is_ripe(contact: Contact, now: datetime) -> bool:
    """Whether a notification of the contact's last change would have come by now. If not, the next reconcile sees it:
    it looks back further than that."""
    return contact.updated_at is None or contact.updated_at + RIPE_SECONDS <= now.timestamp()


REFUSED = frozenset(
    {
        Cause.UNKNOWN_IN_REFERRAL_FACTORY,
        Cause.REFERRAL_FACTORY_REFUSED,
        Cause.SEVERAL_PEOPLE_MATCH,
        Cause.ONLY_LEADS_QUALIFY,
    }
)
"""A conversion was seen, and Referral Factory would not have it: that waits for a person, and not for a reconcile."""


def is_found(contact: Contact, referral: Referral, rule: QualificationRule, attribute: Attribute | None) -> bool:
    """Whether there is something to be decided of a watched lead whose contact is ``contact``.

    Its watch has not begun; it is there again; what is known decides already, by a rule that was changed perhaps; or
    its value is none of those seen last. A contact older than what was seen last is a search's late echo.
    """
    if referral.first is None or referral.cause is Cause.CONTACT_ARCHIVED:
        return True
    if referral.cause not in REFUSED and not isinstance(decide(referral, rule, attribute), NotYet):
        return True
    last, known = _seen_last(referral)
    now = sight_of(contact, rule.attribute, SeenIn.READ, last)
    return now.at >= last and value_key(now.value) not in known


def _seen_last(referral: Referral) -> tuple[int, frozenset[str]]:
    """When something was seen last, and what: several values where one second has seen them."""
    first = referral.first
    spans = [*referral.spans, *([Span(first.value, first.at, first.at)] if first else [])]
    last = max((span.last_at for span in spans), default=0)
    return last, frozenset(value_key(span.value) for span in spans if span.last_at == last)


def is_gone_unknown(referral: Referral) -> bool:
    """Whether it is news that the lead's contact is archived, deleted or merged."""
    return referral.cause not in (Cause.CONTACT_ARCHIVED, Cause.CONTACT_DELETED)


# What makes a finding the same as another


def finding_of(contact: Contact, rules: Collection[QualificationRule]) -> str:
    """A contact as it stands since its last update, under these rules."""
    return json.dumps(["changed", contact.updated_at, *sorted(map(_rule, rules))])


def finding_of_gone(survivor: str | None, referral: Referral) -> str:
    """A contact that is gone since something was seen of it last."""
    return json.dumps(["gone", survivor, _seen_last(referral)[0]])


def _rule(rule: QualificationRule) -> str:
    return json.dumps([rule.attribute, rule.initial_value, *rule.target_values])
