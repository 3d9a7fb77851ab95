"""What was being worked on while somebody was erased is kept without them, and so is what names one as a referrer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from app.core.erasure import Names, Who
from app.core.people import normalised_email
from app.storage import erasures, people
from app.storage.vault import Vault
from app.usecases import pass_by
from app.usecases.erased_mentions import Left, Redacted, fate_of

if TYPE_CHECKING:
    from app.usecases.outcomes import Outcome


def leave_out_erased(connection: Connection, vault: Vault, outcomes: Sequence[Outcome]) -> None:
    """Take out of what is about to be kept whatever is of somebody who was erased while it was worked on, and
    whatever names one as the referrer, in the event's payload too."""
    if erasures.mark(connection, vault) is None:
        return
    for outcome in outcomes:
        outcome.people, referrers = pass_by.without_erased(connection, vault, outcome.people)
        if not outcome.people:
            outcome.sights = None
        if referrers and outcome.event.payload is not None:
            _redact(outcome, referrers)
    _leave_out_told(connection, vault, outcomes)
    known = {row.id for row in people.by_ids(connection, {one for each in outcomes for one, _ in each.seen})}
    for outcome in outcomes:
        outcome.seen = [(one, sights) for one, sights in outcome.seen if one in known]


def _leave_out_told(connection: Connection, vault: Vault, outcomes: Sequence[Outcome]) -> None:
    told = [_told(row) for outcome in outcomes for row in outcome.activity]
    linked = [Who(one.workspace_id, email=one.email) for outcome in outcomes for one in outcome.links]
    asked = [*told, *linked]
    gone = {one for one, erased in zip(asked, pass_by.are_erased(connection, vault, asked), strict=True) if erased}
    for outcome in outcomes:
        outcome.activity = [row for row in outcome.activity if _told(row) not in gone]
        outcome.links = [one for one in outcome.links if Who(one.workspace_id, email=one.email) not in gone]


def _told(row: Mapping[str, Any]) -> Who:
    names = ("workspace_id", "campaign_id", "email", "referral_factory_id", "code")
    return Who(*(row[name] for name in names))


def _redact(outcome: Outcome, referrers: Sequence[Who]) -> None:
    """The event can be replayed as before, and says no more who has referred the lead."""
    event = outcome.event
    names = Names(
        workspaces=frozenset(one.workspace_id for one in referrers),
        campaigns=frozenset(one.campaign_id for one in referrers if one.campaign_id is not None),
        emails=frozenset(normalised_email(one.email) for one in referrers if one.email),
        ids=frozenset(
            (one.campaign_id or 0, one.referral_factory_id) for one in referrers if one.referral_factory_id
        ),
        codes=frozenset((one.campaign_id or 0, one.code) for one in referrers if one.code),
    )
    fate = fate_of(Left(event, event.payload, None), names)
    if isinstance(fate, Redacted):
        outcome.settling = replace(outcome.settling, redacted=(fate.payload, fate.content_type))
