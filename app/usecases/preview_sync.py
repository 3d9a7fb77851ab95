"""What a sync would come to, counted on real data, told without writing anything.

Who is in the campaign is known from our own table. It has everybody whom a webhook told of, or who was there when
the referrers were first read. Where they were never read (nobody has set up that audience) and Referral Factory has
users in the campaign, its list of everybody is read too. Who has joined since the list was read, and whose webhook
never came, counts as new here: a run is told by Referral Factory's own refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from app.core.causes import Cause
from app.core.enrolment import Decision, Enrol, Skip, decide
from app.core.erasure import Who
from app.core.errors import RateLimited
from app.core.people import Audience, Contact, normalised_email
from app.core.syncs import SyncSettings, query_of
from app.integrations.budget import Pace
from app.integrations.intercom import Intercom
from app.integrations.referral_factory import ReferralFactory
from app.storage import people, readings
from app.storage.sync_outcomes import ADDED, EXISTING, SKIPPED
from app.usecases.list_referrers import referrers_among
from app.usecases.pass_by import are_erased
from app.usecases.services import Services
from app.usecases.setups import intercom_of
from app.usecases.start_sync import Ground, begin, checked_settings, ground_of

PATIENCE = timedelta(seconds=10)
"""Of somebody who waits for the answer. What takes longer goes on as a dry run."""

MOST_SHOWN = 20

InCampaign = Callable[[Collection[str]], Collection[str]]
"""Which of these addresses, as normalised, referrers of the campaign have."""

Erased = Callable[[Sequence[Contact]], Collection[str]]
"""Who of these contacts was erased on request, by id."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One contact, and what would become of it in the words of a run's outcomes."""

    contact_id: str
    email: str | None
    outcome: str
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class SyncPreview:
    """``would_add`` counts who is new to the campaign, and ``would_exceed_limit_by`` those of them without room."""

    total: int
    would_add: int
    would_exceed_limit_by: int
    sample: tuple[Sampled, ...]


class _TakesLongerError(Exception):
    """Nobody waits for this at a counter."""


def preview_sync(
    services: Services, campaign_id: int, body: object, asked_by: str, *, patience: timedelta = PATIENCE
) -> SyncPreview | int:
    """``body`` has a sync's settings. Where counting takes longer than ``patience``, or the budgets of calls are
    spent, a dry run is begun: its id.

    Raises:
        InvalidRequest: as ``start_sync``, but not for a sync of the same contacts.
        ApiError: where a vendor can't be asked.
    """
    ground = ground_of(services, campaign_id)
    settings = checked_settings(services, ground, body)
    try:
        return _counted(services, ground, settings, _Clock(services.now, services.now() + patience))
    except (_TakesLongerError, RateLimited):
        return begin(services, ground, settings, asked_by, dry_run=True)


@dataclass(frozen=True, slots=True)
class _Clock:
    now: Callable[[], datetime]
    until: datetime

    def check(self) -> None:
        """Raises: _TakesLongerError."""
        if self.now() >= self.until:
            raise _TakesLongerError


def _counted(services: Services, ground: Ground, settings: SyncSettings, clock: _Clock) -> SyncPreview:
    with services.database.reading() as connection:
        whole = readings.is_whole(connection, ground.campaign.id, Audience.REFERRERS.value)
    counts = {} if whole and not _has_limit(ground) else _users(_referral_factory(services, ground))
    listed: frozenset[str] = frozenset()
    if not whole and counts.get(ground.campaign.referral_factory_id) != 0:
        listed = _listed(_referral_factory(services, ground), ground.campaign.referral_factory_id, clock)

    def in_campaign(emails: Collection[str]) -> Collection[str]:
        with services.database.reading() as connection:
            ours = people.referrers_by_emails(connection, ground.campaign.id, emails)
        return ours.keys() | (listed & set(emails))

    def erased(contacts: Sequence[Contact]) -> Collection[str]:
        named = [Who(ground.workspace.id, email=one.email, contact_id=one.id) for one in contacts]
        with services.database.reading() as connection:
            gone = are_erased(connection, services.vault, named)
        return {one.id for one, is_erased in zip(contacts, gone, strict=True) if is_erased}

    count = _Count(settings, in_campaign, erased, _room(ground, counts))
    for contacts in _pages(intercom_of(services, ground.workspace, Pace.BULK), settings, clock):
        count.add(contacts)
    return count.result()


def _referral_factory(services: Services, ground: Ground) -> ReferralFactory:
    row = ground.program
    token = services.vault.open(row.token)
    return services.vendors.referral_factory(token=token, budget_key=str(row.id), pace=Pace.BULK)


def _has_limit(ground: Ground) -> bool:
    return ground.program.user_limit is not None or ground.campaign.user_limit is not None


def _users(referral_factory: ReferralFactory) -> dict[str, int | None]:
    """How many users each campaign of the account has, leads and referrers together, where it is said."""
    return {one.referral_factory_id: one.users for one in referral_factory.campaigns(counts=True)}


def _room(ground: Ground, counts: Mapping[str, int | None]) -> int | None:
    """How many more the account and the campaign may have; ``None`` without a limit."""
    account, own = ground.program.user_limit, ground.campaign.user_limit
    rooms = [] if account is None else [account - sum(users or 0 for users in counts.values())]
    rooms += [] if own is None else [own - (counts.get(ground.campaign.referral_factory_id) or 0)]
    return max(0, min(rooms)) if rooms else None


def _listed(referral_factory: ReferralFactory, campaign_id: str, clock: _Clock) -> frozenset[str]:
    """The campaign's referrers by Referral Factory's list of everybody.

    Raises: _TakesLongerError, also where the list leads in a circle: what comes of that, the dry run tells.
    """
    found: set[str] = set()
    cursor, seen = None, set[str]()
    while True:
        page = referral_factory.users(cursor)
        found |= referrers_among(page.people, campaign_id)
        if page.cursor is None:
            return frozenset(found)
        _go_on(page.cursor, seen, clock)
        cursor = page.cursor


def _pages(intercom: Intercom, settings: SyncSettings, clock: _Clock) -> Iterator[Sequence[Contact]]:
    """Raises: _TakesLongerError as ``_listed``."""
    query, cursor, seen = query_of(settings), None, set[str]()
    while True:
        page = intercom.search(query, cursor)
        yield page.contacts
        if page.cursor is None:
            return
        _go_on(page.cursor, seen, clock)
        cursor = page.cursor


def _go_on(cursor: str, seen: set[str], clock: _Clock) -> None:
    clock.check()
    if cursor in seen:
        raise _TakesLongerError
    seen.add(cursor)


@dataclass(slots=True)
class _Count:
    """What the contacts until now come to. Of each outcome and cause the first few are kept, to be shown."""

    settings: SyncSettings
    in_campaign: InCampaign
    erased: Erased
    room: int | None
    total: int = 0
    added: int = 0
    shown: dict[tuple[str, Cause | None], list[Sampled]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _by_email: dict[str, str] = field(default_factory=dict)
    _without_room: set[str] = field(default_factory=set)

    def add(self, contacts: Sequence[Contact]) -> None:
        """Those of one page; a query for them all. One that moved from page to page meanwhile counts once."""
        fresh = list({one.id: one for one in contacts if one.id not in self._seen}.values())
        self._seen.update(one.id for one in fresh)
        there = self.in_campaign({normalised_email(one.email) for one in fresh} - {""})
        erased = self.erased(fresh)
        for contact in fresh:
            if contact.id in erased:
                self._show(Sampled(contact.id, None, SKIPPED, Cause.ERASED_ON_REQUEST))
                continue
            email = normalised_email(contact.email)
            same = self._by_email.get(email)
            decision = decide(contact, self.settings, in_campaign=email in there, same_email=same)
            outcome, cause = self._outcome(decision)
            if not isinstance(decision, Skip):
                self._by_email.setdefault(email, contact.id)
            self._show(Sampled(contact.id, email or None, outcome, cause))

    def _show(self, one: Sampled) -> None:
        self.total += 1
        alike = self.shown.setdefault((one.outcome, one.cause), [])
        if len(alike) < MOST_SHOWN:
            alike.append(one)

    def _outcome(self, decision: Decision) -> tuple[str, Cause | None]:
        if isinstance(decision, Skip):
            return SKIPPED, decision.cause
        email = decision.values.email
        if isinstance(decision, Enrol):
            self.added += 1
            if self.room is None or self.added <= self.room:
                return ADDED, None
            self._without_room.add(email)
        if email in self._without_room:  # nor is there room for who has the same email
            return SKIPPED, Cause.USER_LIMIT_REACHED
        return EXISTING, Cause.ALREADY_IN_CAMPAIGN

    def result(self) -> SyncPreview:
        beyond = max(0, self.added - self.room) if self.room is not None else 0
        # One of each kind in turn, so that all kinds are seen.
        rounds = zip_longest(*self.shown.values())
        sample = [one for one in chain.from_iterable(rounds) if one is not None]
        return SyncPreview(self.total, self.added, beyond, tuple(sample[:MOST_SHOWN]))
