"""What a cause in somebody's activity means for whoever looks after it: a problem to be mended, or the way it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.causes import Cause
from app.core.identity import activity_key

NO_PROBLEM = frozenset(
    {
        Cause.ACTION_IS_NOTHING,
        Cause.NOT_IN_PAYLOAD,
        Cause.JOINED_BEFORE_SETUP,
        Cause.SUPERSEDED,
        Cause.ERASED_ON_REQUEST,
        Cause.NOT_A_TRACKED_LEAD,
        Cause.ONLY_LEADS_QUALIFY,
        Cause.ATTRIBUTE_NOT_THE_TRIGGER,
        Cause.VALUE_NOT_A_TARGET,
        Cause.ALREADY_CONVERTED,
        Cause.ALREADY_QUALIFIED,
        Cause.CONTACT_MERGED,
        Cause.ALREADY_IN_CAMPAIGN,
        Cause.SYNC_IS_ONE_TIME,
        Cause.RATE_LIMITED,
        Cause.WAITING_IN_QUEUE,
        Cause.WEBHOOK_MISSED,
        Cause.TOPIC_WITHOUT_MEANING,
    }
)
"""Causes that need nobody: what is as it should be, what goes on by itself, what was made good already."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one verb for one person: the causes in the way, none where all went well.

    ``since`` is when each cause came up among the rows looked at; ``who`` a digest.
    """

    who: str
    verb: str
    activity_id: int
    since: Mapping[str, datetime]


def standing_of(rows: Iterable[Any]) -> list[Standing]:
    """What rows of activity, in their order, come to: the newest of a verb and person stands.

    A cause that comes up again and again stands since it came up first; one that was mended in between does not.
    What came too late for anything to be done changes nothing.
    """
    found: dict[tuple[str, str], Standing] = {}
    for row in rows:
        if row.cause == Cause.SUPERSEDED:
            continue
        who = activity_key(row.campaign_id, row.audience, row.email or row.referral_factory_id or row.code)
        before = found.get((who, row.verb))
        known = before.since if before else {}
        since = {cause: known.get(cause, row.at) for cause in causes_of(row.cause, row.fields)}
        found[who, row.verb] = Standing(who, row.verb, row.id, since)
    return list(found.values())


def causes_of(cause: str | None, fields: Iterable[Mapping[str, Any]]) -> list[str]:
    """The causes of one row that are problems: its own, and those of the fields that were left out."""
    named = [cause, *(field.get("cause") for field in fields)]
    return sorted({one for one in named if one is not None and one not in NO_PROBLEM})
