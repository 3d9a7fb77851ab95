"""What is done with the people of one audience: checked as a whole, kept in versions, each with its author."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import Change, difference
from app.core.audiences import AudienceSettings, CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.core.people import Audience
from app.core.setup import SettingsCheck, check_settings, link_attributes
from app.storage import audit_log, campaigns, readings, reconciles, workspaces
from app.usecases.services import Services
from schemas.audiences import Reading, audience_settings_from, document_from, read_audience


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an audience's settings are checked against. ``links_elsewhere`` are the attributes that other campaigns
    of the workspace put their links into."""

    campaign: Row[Any]
    rules: CampaignRules
    catalogue: Catalogue
    newest: Mapping[Audience, Row[Any]]
    links_elsewhere: frozenset[str]


@dataclass(frozen=True, slots=True)
class ShownAudience:
    """Settings with what there is to say of them. Version 0 is what holds before anything was set up."""

    settings: AudienceSettings
    setup_required: tuple[Cause, ...]
    warnings: tuple[Cause, ...]
    version: int
    changed_at: datetime | None
    changed_by: str | None


def audience_of(services: Services, campaign_id: int, audience: Audience) -> ShownAudience:
    """The settings that hold now. What became wrong with them since they were saved is among the warnings.

    Raises: InvalidRequest 404.
    """
    with services.database.reading() as connection:
        around = surroundings(connection, campaign_id)
    return shown_audience(around, audience, around.newest.get(audience))


def keep_audience(
    services: Services,
    campaign_id: int,
    audience: Audience,
    body: object,
    changed_by: str,
    expected: int | None = None,
) -> ShownAudience:
    """Check settings in their wire form and keep them as a new version, unless they are what holds already.
    ``expected`` is the version that they were made from, ``None`` where whatever holds may be replaced.

    Raises: InvalidRequest 404; 422 with every fault; 409 where somebody else has changed them since.
    """
    reading = read_audience(body)
    try:
        with services.database.writing() as connection:
            campaigns.lock(connection, campaign_id)  # what is read now is what is replaced
            around = surroundings(connection, campaign_id)
            refuse_overtaken(around, audience, expected)
            refuse_faulty(faults(around, audience, reading))
            keep_version(connection, around, audience, reading.settings, services.now(), changed_by)
            newest = campaigns.audience(connection, campaign_id, audience)
    except IntegrityError as error:
        raise changed_meanwhile() from error
    return shown_audience(around, audience, newest)


def versions_of(
    services: Services, campaign_id: int, audience: Audience, *, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """What was saved, newest first, the one that holds included.

    Raises: InvalidRequest 404.
    """
    with services.database.reading() as connection:
        if campaigns.get(connection, campaign_id) is None:
            raise no_such_campaign()
        return campaigns.audience_page(connection, campaign_id, audience, before=before, limit=limit)


def surroundings(connection: Connection, campaign_id: int, rules: CampaignRules | None = None) -> Surroundings:
    """``rules`` in place of the campaign's own where these are about to change.

    Raises: InvalidRequest 404.
    """
    campaign = campaigns.get(connection, campaign_id)
    if campaign is None:
        raise no_such_campaign()
    others = campaigns.others_of_workspace(connection, campaign.workspace_id, campaign_id)
    found = campaigns.newest_audiences(connection, [campaign_id, *(other.id for other in others)])
    elsewhere = [audience_settings_from(row.settings) for row in found if row.campaign_id != campaign_id]
    return Surroundings(
        campaign,
        rules or CampaignRules(campaign.extended_types, tuple(campaign.crm_fields)),
        workspaces.catalogue(connection, campaign.workspace_id),
        {Audience(row.audience): row for row in found if row.campaign_id == campaign_id},
        frozenset(path for settings in elsewhere for path in link_attributes(settings)),
    )


def no_such_campaign() -> InvalidRequest:
    return InvalidRequest("There is no such campaign.", status=404, cause=Cause.NOT_FOUND)


def changed_meanwhile() -> InvalidRequest:
    return InvalidRequest("Somebody else has changed these settings at the same moment. Read them again.", status=409)


def refuse_overtaken(around: Surroundings, audience: Audience, expected: int | None) -> None:
    """Raises: InvalidRequest 409 where another version holds than the expected one; 0 is none yet."""
    newest = around.newest.get(audience)
    if expected is not None and expected != (newest.version if newest is not None else 0):
        raise changed_meanwhile()


def faults(around: Surroundings, audience: Audience, reading: Reading, pointer: str = "") -> list[FieldError]:
    """All that is wrong: what could not be read, and what can't be done, under ``pointer``."""
    check = checked(around, audience, reading.settings)
    found = [*reading.errors, *(_placed(fault, reading.places) for fault in check.errors)]
    return [FieldError(pointer + fault.pointer, fault.cause, fault.detail) for fault in found]


def checked(around: Surroundings, audience: Audience, settings: AudienceSettings) -> SettingsCheck:
    """What there is to say of settings, as they would hold here."""
    labels = around.campaign.fields.get(audience.value)
    return check_settings(settings, audience, around.catalogue, around.rules, known_meta=labels)


def _placed(fault: FieldError, places: tuple[int, ...]) -> FieldError:
    """Under the row's place in the body, from which unreadable rows were left out."""
    steps = fault.pointer.split("/")
    if len(steps) > 2 and steps[1] == "mapping":
        steps[2] = str(places[int(steps[2])])
    return FieldError("/".join(steps), fault.cause, fault.detail)


def refuse_faulty(found: Sequence[FieldError]) -> None:
    """Raises: InvalidRequest 422 where there are any."""
    if found:
        causes = {fault.cause for fault in found}
        raise InvalidRequest(
            "The settings can't be saved as they are.",
            cause=causes.pop() if len(causes) == 1 else Cause.INVALID_REQUEST,
            errors=tuple(found),
        )


def keep_version(
    connection: Connection,
    around: Surroundings,
    audience: Audience,
    settings: AudienceSettings,
    now: datetime,
    changed_by: str,
) -> None:
    """A new version, unless nothing has changed; the first that is complete has the audience's people read.
    By a new rule, what was seen before may decide, so all watched leads are looked at again.

    Raises: sqlalchemy.exc.IntegrityError where another change was first.
    """
    newest = around.newest.get(audience)
    document = document_from(settings)
    # As text: to Python 1, 1.0 and True are equal.
    if newest is not None and _text(newest.settings) == _text(document):
        return
    complete = not checked(around, audience, settings).setup_required
    campaigns.add_audience_version(
        connection,
        around.campaign.id,
        audience,
        document,
        complete=complete,
        changed_at=now,
        changed_by=changed_by,
    )
    before, after = difference(newest.settings if newest is not None else {}, document)
    audit_log.record(
        connection,
        now,
        changed_by,
        Change.AUDIENCE_CHANGED,
        f"campaign:{around.campaign.id}",
        name=f"{around.campaign.name}: {audience.value}",
        before=before,
        after=after,
    )
    if complete:
        readings.ask(connection, around.campaign.id, audience.value, now)
    former = newest.settings.get("qualification") if newest is not None else None
    if document["qualification"] and _text(document["qualification"]) != _text(former or {}):
        reconciles.ask(connection, reconciles.INTERCOM, around.campaign.workspace_id, now)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)


def shown_audience(around: Surroundings, audience: Audience, row: Row[Any] | None) -> ShownAudience:
    """A version, and what there is to say of it today."""
    settings = audience_settings_from(row.settings) if row is not None else AudienceSettings()
    check = checked(around, audience, settings)
    shared = link_attributes(settings) & around.links_elsewhere
    warnings = [Cause(fault.cause) for fault in check.errors]
    warnings += check.warnings
    warnings += [Cause.ATTRIBUTE_SHARED_BY_CAMPAIGNS] if shared else []
    return ShownAudience(
        settings,
        check.setup_required,
        tuple(dict.fromkeys(warnings)),
        row.version if row is not None else 0,
        row.changed_at if row is not None else None,
        row.changed_by if row is not None else None,
    )
