"""Everything that was configured for a campaign, as one document: to keep, to compare, and to restore.

It names no ids and no times, so that two documents are equal where the settings are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import Change, difference
from app.core.audiences import AudienceSettings, CampaignRules
from app.core.errors import FieldError
from app.core.people import Audience
from app.storage import audit_log, campaigns
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a document would change. ``after`` is ``None`` where it has ``errors``; ``mark`` stands for ``before``."""

    before: dict[str, Any]
    after: dict[str, Any] | None
    errors: tuple[FieldError, ...]
    mark: str


def compare_settings(services: Services, campaign_id: int, body: object) -> Comparison:
    """A document beside what holds. Nothing is kept.

    Raises: InvalidRequest 404.
    """
    own, errors, given = read_campaign_settings(body)
    with services.database.reading() as connection:
        around = surroundings(connection, campaign_id, _rules(own))
    before = _document(around)
    found = (*errors, *_audience_faults(around, given))
    audiences = {audience.value: document_from(read_audience(given[audience]).settings) for audience in given}
    return Comparison(before, None if found else {**own, "audiences": audiences}, found, _mark(before))


def _mark(document: Mapping[str, Any]) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _rules(own: Mapping[str, Any]) -> CampaignRules:
    return CampaignRules(own.get("extended_types", False), tuple(own.get("crm_fields", ())))


def keep_settings(
    services: Services, campaign_id: int, body: object, changed_by: str, expected: str | None = None
) -> dict[str, Any]:
    """Check a whole document, and keep all of it or nothing; the document as it is then. ``expected`` is the mark of
    what it was compared with, ``None`` where whatever holds may be replaced.

    Raises: InvalidRequest 404; 422 with every fault; 409 where somebody else has changed them since.
    """
    own, errors, given = read_campaign_settings(body)
    try:
        with services.database.writing() as connection:
            campaigns.lock(connection, campaign_id)
            around = surroundings(connection, campaign_id, _rules(own))
            if expected is not None and expected != _mark(_document(around)):
                raise changed_meanwhile()
            refuse_faulty([*errors, *_audience_faults(around, given)])
            campaigns.change(connection, campaign_id, **own)
            _record(connection, services.now(), changed_by, around.campaign, own)
            for audience, document in given.items():
                settings = read_audience(document).settings
                if audience in around.newest or settings != AudienceSettings():
                    keep_version(connection, around, audience, settings, services.now(), changed_by)
            return _document(surroundings(connection, campaign_id))
    except IntegrityError as error:
        raise changed_meanwhile() from error


def _record(connection: Connection, now: datetime, changed_by: str, campaign: Row[Any], own: dict[str, Any]) -> None:
    """Of the campaign's own settings; those of an audience are recorded with its version."""
    before, after = difference({name: campaign._mapping[name] for name in own}, own)
    if before or after:
        subject = f"campaign:{campaign.id}"
        audit_log.record(
            connection,
            now,
            changed_by,
            Change.CAMPAIGN_CHANGED,
            subject,
            name=campaign.name,
            before=before,
            after=after,
        )


def _audience_faults(around: Surroundings, given: Mapping[Audience, object]) -> list[FieldError]:
    return [
        fault
        for audience, document in given.items()
        for fault in faults(around, audience, read_audience(document), f"/audiences/{audience.value}")
    ]
