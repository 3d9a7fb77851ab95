"""A lead is qualified in Referral Factory, or the qualification is taken back: exactly once, also when the answer
never comes.

The call is recorded before it is made. While its outcome is not known, the next to come looks first. What became of
the referral is kept in one transaction right after the answer, with its activity and what follows from it, so that
nothing of it depends on the event that brought it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.core.access import Change
from app.core.causes import Cause
from app.core.errors import ApiError, Unavailable
from app.core.people import Audience, Contact
from app.core.qualification import DISQUALIFIED, QUALIFIED
from app.integrations.referral_factory import ReferralFactory
from app.storage import activity, audit_log, people, qualifications
from app.storage.qualifications import NewAttempt
from app.usecases import write_back
from app.usecases.records import activity_row, contact_of, person_of, referrer_of
from app.usecases.send_person import Sent
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.ways_out import WaysOut


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to become of a referral, and why. ``value`` is the target that was reached, ``asked_by`` who asked by
    hand, ``cause`` what is to be said of it in the activity."""

    qualified: bool = True
    value: object = None
    asked_by: str | None = None
    event_id: int | None = None
    cause: Cause | None = None
    look_first: bool = False
    """Ask how it stands before calling, though nothing is unknown."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not done, and will not be by asking again."""

    cause: Cause
    detail: str


class Overtaken(Exception):
    """The person's lease ran out meanwhile, and another has been at them."""


def qualify_lead(
    services: Services, ways: WaysOut, setup: Setup, person: Row[Any], contact: Contact | None, wish: Wish
) -> Refused | None:
    """Carry out ``wish`` for a person whose lease is held, and keep it; ``None`` where it stands now as wished.

    By Referral Factory's id, else code; by email only where that is one record's in the campaign
    (https://referral-factory.com/help/articles/referral-factory-api-qualifying-leads-via-api).

    Raises: ApiError where Referral Factory stood in the way; Overtaken.
    """
    api = ways.referral_factory()
    name = _name_of(api, setup, person)
    if isinstance(name, Refused):
        return name
    with services.database.reading() as connection:
        unknown = qualifications.open_attempts(connection, person.id)
    if unknown or wish.look_first:
        there = api.user(name.spoken)
        if there is None:
            return _nobody(name)
        if (there.text("qualified_at") is not None) is wish.qualified:
            _keep(services, setup, person, contact, wish, already=not unknown)
            return None
    attempt = _record(services, person, unknown, wish)
    try:
        done = api.qualify(user_id=name.id, code=name.code, qualified=wish.qualified)
    except ApiError as error:
        if not (isinstance(error, Unavailable) and error.sent):
            _settle(services, attempt, "refused")
        raise
    if not done:
        _settle(services, attempt, "refused")
        return _nobody(name)
    _keep(services, setup, person, contact, wish)
    return None


@dataclass(frozen=True, slots=True)
class _Name:
    """By what Referral Factory knows the person; at least one of the two."""

    id: str | None
    code: str | None

    @property
    def spoken(self) -> str:
        return self.id or self.code or ""


def _name_of(api: ReferralFactory, setup: Setup, person: Row[Any]) -> _Name | Refused:
    """Asked for only where nothing but the email is known."""
    if person.referral_factory_id or person.code:
        return _Name(person.referral_factory_id, person.code)
    found = api.find_by_email(setup.referral_factory_id, person.email) if person.email else []
    if len(found) > 1:
        detail = f"{len(found)} people of the campaign have this email; none was qualified."
        return Refused(Cause.SEVERAL_PEOPLE_MATCH, detail)
    if not found:
        return Refused(Cause.UNKNOWN_IN_REFERRAL_FACTORY, "Nobody in the campaign has this email.")
    if found[0].audience is Audience.REFERRERS:
        return Refused(Cause.ONLY_LEADS_QUALIFY, "Who has this email is a referrer in the campaign, not a lead.")
    return _Name(found[0].referral_factory_id, found[0].code)


def _nobody(name: _Name) -> Refused:
    return Refused(Cause.UNKNOWN_IN_REFERRAL_FACTORY, f"Referral Factory knows nobody by {name.spoken}.")


def _record(services: Services, person: Row[Any], known: Collection[int], wish: Wish) -> int:
    """Raises: Overtaken."""
    new = NewAttempt(person.id, wish.qualified, wish.event_id, wish.asked_by, wish.value)
    with services.database.writing() as connection:
        attempt = qualifications.record(connection, new, person, known, services.now())
    if attempt is None:
        raise Overtaken
    return attempt


def _settle(services: Services, attempt: int, outcome: str) -> None:
    with services.database.writing() as connection:
        qualifications.settle(connection, attempt, outcome)


def _keep(
    services: Services,
    setup: Setup,
    person: Row[Any],
    contact: Contact | None,
    wish: Wish,
    *,
    already: bool = False,
) -> None:
    """``already``: it stood so before anybody here called."""
    now = services.now()
    state = QUALIFIED if wish.qualified else DISQUALIFIED
    cause = Cause.ALREADY_QUALIFIED if already and wish.qualified else None
    sent = Sent("ignored", cause, _detail(wish)) if cause else Sent(state, wish.cause, _detail(wish))
    row = activity_row(setup, person_of(person), "qualify", sent, contact or contact_of(person), wish.event_id)
    with services.database.writing() as connection:
        qualifications.settle_open(connection, person.id, "done")
        people.decide(connection, person.id, state, cause, now)
        activity.record(connection, [{**row, "at": now}])
        if wish.asked_by is not None:
            kind = Change.PERSON_QUALIFIED if wish.qualified else Change.PERSON_DISQUALIFIED
            before = {"state": person.qualification_state}
            subject = f"person:{person.id}"
            audit_log.record(connection, now, wish.asked_by, kind, subject, before=before, after={"state": state})
        if write_back.asks_for(setup):
            write_back.ask(connection, referrer_of(setup.campaign_id, person_of(person)), now)
    services.metrics.activity(row["verb"], row["outcome"], row["cause"])
    services.bell.ring()


def _detail(wish: Wish) -> str | None:
    if wish.asked_by is not None:
        return f"By hand: {wish.asked_by}"
    return f"Reached: {wish.value}" if wish.value is not None else None
