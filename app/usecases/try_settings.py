"""Settings that nobody has saved yet, tried on somebody of the campaign: what is wrong with them, and on whom they
are to be previewed. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Connection

from app.core.audiences import AudienceSettings, CampaignRules
from app.core.errors import FieldError
from app.core.mapping import needed_fields
from app.core.people import META, Audience, Person, Value, normalised_email
from app.core.setup import SettingsCheck
from app.storage import people
from app.usecases.preview_person import Preview, foresee
from app.usecases.records import person_of
from app.usecases.services import Services
from app.usecases.set_up_audience import checked, faults, no_such_campaign, surroundings
from app.usecases.setups import Setup, load_setups
from schemas.audiences import read_audience

EXAMPLE: Mapping[str, Value] = MappingProxyType(
    {
        "id": "1024",
        "code": "frida24",
        "email": "frida.example@example.com",
        "first_name": "Frida",
        "url": "https://example.com/?code=frida24",
        "source": "Referred",
        "signed_up_at": "2026-01-31",
        "qualified_at": None,
        "referrals": 3,
        "qualified_referrals": 1,
        "referrer.id": "512",
        "referrer.code": "rita12",
        "referrer.email": "rita.example@example.com",
        "referrer.first_name": "Rita",
        "referrer.url": "https://example.com/?code=rita12",
    }
)
"""Somebody who never was, with every field known, so that no vendor is asked for them."""

OF_A_FIELD = "Example"


class Whom(StrEnum):
    """On whom settings are tried."""

    CHOSEN = "chosen"
    LATEST = "latest"
    EXAMPLE = "example"
    """There is nobody of that email, or nobody at all yet."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The sound part of the settings, in place of those that are saved, with a person and all that is to be said."""

    setup: Setup
    audience: Audience
    person: Person
    whom: Whom
    check: SettingsCheck
    errors: tuple[FieldError, ...]


def trial_of(services: Services, campaign_id: int, audience: Audience, body: object, email: str) -> Trial:
    """``body`` are settings in their wire form; ``email`` says who is chosen, and is blank for the latest.

    Raises: InvalidRequest 404.
    """
    reading = read_audience(body)
    with services.database.reading() as connection:
        around = surroundings(connection, campaign_id)
        setup = load_setups(connection, [campaign_id], services.now()).get(campaign_id)
        if setup is None:
            raise no_such_campaign()
        person, whom = someone(connection, campaign_id, audience, email)
    labels = around.campaign.fields.get(audience.value, ())
    if whom is Whom.EXAMPLE:
        person = example(audience, reading.settings, around.rules, labels, email)
    # Whoever asks wants to hear it from the vendor, circuits or not.
    setup = replace(setup, audiences={**setup.audiences, audience: reading.settings}, open_circuits={})
    errors = tuple(faults(around, audience, reading))
    return Trial(setup, audience, person, whom, checked(around, audience, reading.settings), errors)


def someone(connection: Connection, campaign_id: int, audience: Audience, email: str) -> tuple[Person, Whom]:
    """Whoever has this email, else the latest where none is named; nobody in particular where there is none."""
    wanted = normalised_email(email)
    if wanted:
        row, whom = people.by_email(connection, campaign_id, audience.value, wanted), Whom.CHOSEN
    else:
        row, whom = next(iter(people.some_of(connection, campaign_id, audience.value, 1)), None), Whom.LATEST
    return (person_of(row), whom) if row is not None else (Person(audience, EXAMPLE), Whom.EXAMPLE)


def example(
    audience: Audience, settings: AudienceSettings, rules: CampaignRules, labels: object, email: str = ""
) -> Person:
    """The example person with a value for each of the campaign's fields and whatever else a mapping asks for."""
    listed = [META + str(label) for label in labels] if isinstance(labels, list | tuple) else []
    asked = [name for name in needed_fields(settings, rules) if name.startswith(META)]
    values = {**dict.fromkeys([*listed, *asked], OF_A_FIELD), **EXAMPLE}
    return Person(audience, {**values, "email": email.strip()} if email.strip() else values)


def foreseen(services: Services, trial: Trial) -> Preview:
    """What would become of the person. Raises: ApiError where a vendor can't be asked."""
    return foresee(services, trial.setup, trial.person, trial.audience)
