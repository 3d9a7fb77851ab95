"""Everything that was configured for a campaign, as one document: to keep, to compare, and to restore.

It names no ids and no times, so that two documents are equal where the settings are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError

from app.core.audiences import AudienceSettings, CampaignRules
from app.core.errors import FieldError
from app.core.people import Audience
from app.storage import campaigns
from app.usecases.services import Services
from app.usecases.set_up_audience import (
    Surroundings,
    changed_meanwhile,
    faults,
    keep_version,
    refuse_faulty,
    surroundings,
)
from schemas.api_settings import read_campaign_settings
from schemas.audiences import audience_settings_from, document_from, read_audience


def settings_of(services: Services, campaign_id: int) -> dict[str, Any]:
    """``{user_limit, extended_types, crm_fields, audiences: {leads, referrers}}``.

    Raises: InvalidRequest 404.
    """
    with services.database.reading() as connection:
        return _document(surroundings(connection, campaign_id))


def _document(around: Surroundings) -> dict[str, Any]:
    return {
        "user_limit": around.campaign.user_limit,
        "extended_types": around.campaign.extended_types,
        "crm_fields": list(around.campaign.crm_fields),
        "audiences": {audience.value: document_from(_settings(around, audience)) for audience in Audience},
    }


def _settings(around: Surroundings, audience: Audience) -> AudienceSettings:
    row = around.newest.get(audience)
    return audience_settings_from(row.settings) if row is not None else AudienceSettings()


def keep_settings(services: Services, campaign_id: int, body: object, changed_by: str) -> dict[str, Any]:
    """Check a whole document, and keep all of it or nothing; the document as it is then.

    Raises: InvalidRequest 404; 422 with every fault; 409 where somebody else has just changed them.
    """
    own, errors, given = read_campaign_settings(body)
    rules = CampaignRules(own.get("extended_types", False), tuple(own.get("crm_fields", ())))
    try:
        with services.database.writing() as connection:
            around = surroundings(connection, campaign_id, rules)
            refuse_faulty([*errors, *_audience_faults(around, given)])
            campaigns.change(connection, campaign_id, **own)
            for audience, document in given.items():
                settings = read_audience(document).settings
                if audience in around.newest or settings != AudienceSettings():
                    keep_version(connection, around, audience, settings, services.now(), changed_by)
            return _document(surroundings(connection, campaign_id))
    except IntegrityError as error:
        raise changed_meanwhile() from error


def _audience_faults(around: Surroundings, given: Mapping[Audience, object]) -> list[FieldError]:
    return [
        fault
        for audience, document in given.items()
        for fault in faults(around, audience, read_audience(document), f"/audiences/{audience.value}")
    ]
