"""A campaign of Referral Factory is tied to a workspace, changed, archived and taken up again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import REPLACED, Change, difference
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.storage import audit_log, campaigns, programs, workspaces
from app.usecases.connect_program import way_to
from app.usecases.services import Services
from schemas.referral_factory import Campaign

FORMER_SECRET_LASTS = timedelta(hours=24)

KEY_BYTES, SECRET_BYTES = 18, 32


@dataclass(frozen=True, slots=True)
class NewCampaign:
    program_id: int
    referral_factory_id: str
    workspace_id: int
    user_limit: int | None = None
    extended_types: bool = False
    crm_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WithSecret:
    """A campaign with its webhook secret, which is told this once. ``former_until`` is how long the one before it
    is still accepted, ``None`` where there is none."""

    campaign_id: int
    secret: str
    former_until: datetime | None = None


def create_campaign(services: Services, new: NewCampaign, actor: str) -> WithSecret:
    """Tie a campaign to a workspace. An archived one is taken up again, with its settings and another secret.

    Raises:
        InvalidRequest: 422 naming a program, workspace or campaign that is not there; 409 where it is set up
            already, or its program is disconnected.
        ApiError: where Referral Factory can't be asked.
    """
    found = _found(services, new.program_id, new.referral_factory_id, new.workspace_id)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    columns = {
        **_as_found(new.program_id, found),
        "workspace_id": new.workspace_id,
        "user_limit": new.user_limit,
        "extended_types": new.extended_types,
        "crm_fields": list(new.crm_fields),
    }
    try:
        with services.database.writing() as connection:
            former = campaigns.by_referral_factory_id(connection, new.program_id, found.referral_factory_id)
            if former is not None:
                return _take_up(services, connection, former, columns, secret, actor)
            campaign_id = campaigns.add(
                connection,
                webhook_key=secrets.token_urlsafe(KEY_BYTES),
                webhook_secret=services.vault.seal(secret),
                created_at=services.now(),
                **columns,
            )
            _record(services, connection, actor, Change.CAMPAIGN_CREATED, None, campaign_id)
    except IntegrityError as error:
        raise _set_up_already() from error
    return WithSecret(campaign_id, secret)


def _take_up(
    services: Services, connection: Connection, former: Row[Any], columns: dict[str, Any], secret: str, actor: str
) -> WithSecret:
    if former.archived_at is None:
        raise _set_up_already()
    until = services.now() + FORMER_SECRET_LASTS
    campaigns.change(connection, former.id, archived_at=None, **columns, **_rotated(services, former, secret, until))
    _record(services, connection, actor, Change.CAMPAIGN_CREATED, former, former.id)
    return WithSecret(former.id, secret, until)


def _record(
    services: Services, connection: Connection, actor: str, kind: Change, former: Row[Any] | None, campaign_id: int
) -> None:
    """The log is told what people know of a campaign, and of its webhook's secret that it is another one now."""
    kept = campaigns.get(connection, campaign_id)
    assert kept is not None  # noqa: S101 - nobody removes it
    before, after = difference(_told(former) if former is not None else {}, _told(kept))
    if former is not None and former.webhook_secret != kept.webhook_secret:
        after["webhook_secret"] = REPLACED
    subject = f"campaign:{campaign_id}"
    audit_log.record(connection, services.now(), actor, kind, subject, name=kept.name, before=before, after=after)


def _told(campaign: Row[Any]) -> dict[str, Any]:
    told = ("name", "user_limit", "extended_types", "crm_fields", *TIES)
    return {**{name: campaign._mapping[name] for name in told}, "archived": campaign.archived_at is not None}


def _set_up_already() -> InvalidRequest:
    return InvalidRequest("This campaign is set up already.", status=409, cause=Cause.ALREADY_EXISTS)


def _found(services: Services, program_id: int, referral_factory_id: str, workspace_id: int) -> Campaign:
    """The campaign as Referral Factory has it.

    Raises: InvalidRequest 422 with everything that is not there.
    """
    with services.database.reading() as connection:
        program, workspace = programs.get(connection, program_id), workspaces.get(connection, workspace_id)
    absent = [("/program_id", "program")] if program is None else []
    absent += [("/workspace_id", "workspace")] if workspace is None else []
    found = None
    if program is not None:
        found = way_to(services, program).campaign(referral_factory_id)
        absent += [("/referral_factory_id", "campaign of this program")] if found is None else []
    if absent or found is None:
        faults = tuple(FieldError(where, Cause.NOT_FOUND, f"There is no such {what}.") for where, what in absent)
        raise InvalidRequest("What the campaign is to be tied to is not there.", errors=faults)
    return found


def _as_found(program_id: int, found: Campaign) -> dict[str, Any]:
    """Under Referral Factory's own id, also where somebody gave the code: one campaign, one row."""
    return {
        "program_id": program_id,
        "referral_factory_id": found.referral_factory_id,
        "name": found.name,
        "code": found.code,
        "status": found.status,
        "fields": {"leads": list(found.leads), "referrers": list(found.referrers)},
    }


def change_campaign(services: Services, campaign_id: int, changes: Mapping[str, Any], actor: str) -> None:
    """Change some of the fields of ``NewCampaign``. What is known of it in Referral Factory is read anew where it is
    another one now.

    Raises: InvalidRequest 404, and as ``create_campaign``.
    """
    campaign = known_campaign(services, campaign_id)
    columns = dict(changes)
    ties = {name: changes.get(name, campaign._mapping[name]) for name in TIES}
    if any(ties[name] != campaign._mapping[name] for name in TIES):
        found = _found(services, **ties)
        columns |= {**_as_found(ties["program_id"], found), "workspace_id": ties["workspace_id"]}
    if "crm_fields" in changes:
        columns["crm_fields"] = list(changes["crm_fields"])
    if not columns:
        return
    try:
        with services.database.writing() as connection:
            campaigns.change(connection, campaign_id, **columns)
            _record(services, connection, actor, Change.CAMPAIGN_CHANGED, campaign, campaign_id)
    except IntegrityError as error:
        raise _set_up_already() from error


TIES = ("program_id", "referral_factory_id", "workspace_id")


def archive_campaign(services: Services, campaign_id: int, actor: str) -> None:
    """Its webhook goes on answering, and its events settle without effect; settings and history stay.

    Raises: InvalidRequest 404.
    """
    campaign = known_campaign(services, campaign_id)
    if campaign.archived_at is None:
        with services.database.writing() as connection:
            campaigns.change(connection, campaign_id, archived_at=services.now())
            _record(services, connection, actor, Change.CAMPAIGN_ARCHIVED, campaign, campaign_id)


def rotate_secret(services: Services, campaign_id: int, actor: str, *, revoke_former: bool) -> WithSecret:
    """Another webhook secret; the former one is accepted for a day, or ends at once.

    Raises: InvalidRequest 404.
    """
    campaign = known_campaign(services, campaign_id)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    until = None if revoke_former else services.now() + FORMER_SECRET_LASTS
    with services.database.writing() as connection:
        campaigns.change(connection, campaign_id, **_rotated(services, campaign, secret, until))
        _record(services, connection, actor, Change.WEBHOOK_SECRET_ROTATED, campaign, campaign_id)
    return WithSecret(campaign_id, secret, until)


def _rotated(services: Services, campaign: Row[Any], secret: str, until: datetime | None) -> dict[str, Any]:
    return {
        "webhook_secret": services.vault.seal(secret),
        "former_secret": campaign.webhook_secret if until is not None else None,
        "former_until": until,
    }


def known_campaign(services: Services, campaign_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        campaign = campaigns.get(connection, campaign_id)
    if campaign is None:
        raise InvalidRequest("There is no such campaign.", status=404, cause=Cause.NOT_FOUND)
    return campaign
