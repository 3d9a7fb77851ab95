"""Who is in a campaign by Referral Factory's list of everybody, where the referrers were never read.

A run finds that out by Referral Factory's own refusal. Whoever only wants to know what a run would come to has the
list alone to go by: a preview for as long as somebody waits for it, a dry run page by page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.core.people import Audience, Person, normalised_email
from app.integrations.referral_factory import PeoplePage, ReferralFactory
from app.storage import readings, sync_outcomes
from app.usecases.plan_page import Run
from app.usecases.services import Services
from schemas.referral_factory import CAMPAIGN_ID

LIST_WHOLE = 1
"""A dry run's ``position`` once it knows all that the list says; then its contacts have their turn."""

FORGOTTEN_AT_ONCE = 1000
"""In one transaction: others write in between."""


def referrers_among(listed: Iterable[Person], referral_factory_id: str) -> set[str]:
    """The addresses, as normalised, of those who are referrers of that campaign."""
    theirs = (one for one in listed if one.audience is Audience.REFERRERS)
    emails = {normalised_email(one.email) for one in theirs if one.text(CAMPAIGN_ID) == referral_factory_id}
    return emails - {""}


def page_of_list(services: Services, run: Run, api: Callable[[], ReferralFactory]) -> PeoplePage:
    """The next page of the list, for a dry run; nobody where the list has nothing to tell it.

    Raises: ApiError.
    """
    cursor = run.turn.row.cursor
    if cursor is None and not _is_needed(services, run, api):
        return PeoplePage(())
    return api().users(cursor)


def forget_list(services: Services, run: Run) -> None:
    """What was noted is of no use to a run that is over. What a crash leaves goes with the run's outcomes."""
    gone = FORGOTTEN_AT_ONCE
    while gone == FORGOTTEN_AT_ONCE:
        with services.database.writing() as connection:
            gone = sync_outcomes.forget_listed(connection, run.id, FORGOTTEN_AT_ONCE)


def _is_needed(services: Services, run: Run, api: Callable[[], ReferralFactory]) -> bool:
    """Not where we have everybody who was there, and not for a campaign without users."""
    with services.database.reading() as connection:
        if readings.is_whole(connection, run.setup.campaign_id, Audience.REFERRERS.value):
            return False
    users = {one.referral_factory_id: one.users for one in api().campaigns(counts=True)}
    return users.get(run.limits.referral_factory_id) != 0
