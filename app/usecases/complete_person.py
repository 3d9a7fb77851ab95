"""What the mapping needs of a person and the webhook did not carry is read from Referral Factory: once, and only
then. What is known of a referrer is kept with them and used again."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.audiences import Action
from app.core.mapping import needed_fields
from app.core.people import REFERRER, Audience, Person, Value
from app.integrations.referral_factory import ReferralFactory
from app.storage import people
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.ways_out import WaysOut

COUNTS = frozenset({"referrals", "qualified_referrals"})
ALWAYS = frozenset({"email"})


def complete_person(services: Services, ways: WaysOut, setup: Setup, person: Person) -> Person:
    """The person with what the audience's mapping needs; ``audience`` stays ``None`` where nobody knows it.

    Raises: ApiError where Referral Factory stood in the way.
    """
    person = person.completed({"campaign.name": setup.campaign_name})
    asked = person.audience is None
    if asked:
        # One call whatever the audience turns out to be: the counts come with it.
        person = _with_details(ways.referral_factory(), setup, person, counts=True)
    if person.audience is None:
        return person
    settings = setup.settings(person.audience)
    if settings.action is Action.NOTHING:
        return person
    needed = needed_fields(settings, setup.rules) | ALWAYS
    own = person.unknown(name for name in needed if not name.startswith(REFERRER))
    if own and not asked:
        person = _with_details(ways.referral_factory(), setup, person, counts=bool(own & COUNTS))
    if _lacks_referrer(person, needed):
        person = person.completed(_referrer(services, ways, setup, person))
    return person


def _with_details(api: ReferralFactory, setup: Setup, person: Person, *, counts: bool) -> Person:
    """As Referral Factory has them, by id or code, else by an email that only one of the campaign has."""
    name = person.referral_factory_id or person.code
    if name is not None:
        found = api.user(name, counts=counts)
    else:
        same = api.find_by_email(setup.referral_factory_id, person.email or "")
        found = same[0] if len(same) == 1 else None
        id_ = found.referral_factory_id if found is not None else None
        if counts and id_ is not None:  # what a search answers has none
            found = api.user(id_, counts=True)
    if found is None:
        return person
    return person.completed(found.values, found.audience)


def _lacks_referrer(person: Person, needed: frozenset[str]) -> bool:
    unknown = person.unknown(name for name in needed if name.startswith(REFERRER))
    known = person.text("referrer.id") or person.text("referrer.code")
    return bool(unknown) and known is not None and person.audience is Audience.LEADS


def _referrer(services: Services, ways: WaysOut, setup: Setup, person: Person) -> Mapping[str, Value]:
    """The referrer's fields under ``referrer.``: from what we know of them, else from the API."""
    id_ = person.text("referrer.id")
    values: Mapping[str, Value] | None = None
    if id_ is not None:
        with services.database.reading() as connection:
            known = people.by_referral_factory_ids(connection, setup.campaign_id, Audience.REFERRERS.value, [id_])
        values = known.get(id_)
    if values is None or not values.get("email"):
        found = ways.referral_factory().user(id_ or person.text("referrer.code") or "")
        values = found.values if found is not None else {}
    return {REFERRER + name: values.get(name) for name in ("id", "code", "email", "first_name", "url")}
