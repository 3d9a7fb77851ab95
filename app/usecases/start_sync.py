"""Runs over many people are begun: a sync of contacts into a campaign, a backfill of people into Intercom."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.audiences import CampaignRules
from app.core.causes import CATALOGUE, Cause
from app.core.errors import ApiError, FieldError, InvalidRequest
from app.core.people import Audience
from app.core.syncs import SyncSettings, check_sync, unknown_labels
from app.storage import audit_log, campaigns, programs, syncs, workspaces
from app.usecases.connect_program import way_to
from app.usecases.services import Services
from app.usecases.set_up_audience import audience_of, no_such_campaign
from schemas.syncs import Reading, document_from_sync, read_sync


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on: a live campaign with both of its connections, and their tokens."""

    campaign: Row[Any]
    workspace: Row[Any]
    program: Row[Any]


def start_sync(services: Services, campaign_id: int, body: object, created_by: str) -> int:
    """Begin a sync from its settings in their wire form; the run's id.

    Raises: InvalidRequest 404; 409 for an archived campaign, a lost connection, and a sync of the same contacts that
        is not over; 422 with every fault.
    """
    ground = ground_of(services, campaign_id)
    return begin(services, ground, checked_settings(services, ground, body), created_by)


def start_backfill(
    services: Services, campaign_id: int, audience: Audience, created_by: str, *, dry_run: bool
) -> int:
    """Begin to send those who joined before an audience was set up; the run's id.

    Raises: InvalidRequest 404; 409 for an archived campaign, a lost connection, and a backfill of the audience that
        is not over; 422 with what its settings lack.
    """
    ground = ground_of(services, campaign_id)
    lacking = audience_of(services, campaign_id, audience).setup_required
    if lacking:
        raise InvalidRequest(
            "The audience is not set up completely, so nobody can be sent.",
            cause=lacking[0] if len(lacking) == 1 else Cause.INVALID_REQUEST,
            errors=tuple(FieldError("/audience", cause, CATALOGUE[cause].explanation) for cause in lacking),
        )
    with services.database.writing() as connection:
        for other in syncs.unfinished(connection, campaign_id):
            if (other.kind, other.audience) == (syncs.BACKFILL, audience.value):
                raise already_there(other)
        sync_id = _add(services, connection, ground, syncs.BACKFILL, audience, {}, created_by, dry_run=dry_run)
    services.bulk_bell.ring()
    return sync_id


def ground_of(services: Services, campaign_id: int) -> Ground:
    """Raises: InvalidRequest 404; 409 where the campaign is archived or a connection is lost."""
    with services.database.reading() as connection:
        campaign = campaigns.get(connection, campaign_id)
        if campaign is None:
            raise no_such_campaign()
        workspace = workspaces.get(connection, campaign.workspace_id)
        program = programs.get(connection, campaign.program_id)
    assert workspace is not None  # noqa: S101 - the foreign keys see to it
    assert program is not None  # noqa: S101 - here too
    if campaign.archived_at is not None:
        raise _in_the_way(Cause.CAMPAIGN_ARCHIVED)
    if workspace.state != workspaces.CONNECTED:
        raise _in_the_way(Cause(workspace.state_cause or Cause.WORKSPACE_DISCONNECTED))
    if program.state != programs.CONNECTED:
        raise _in_the_way(Cause(program.state_cause or Cause.REFERRAL_FACTORY_UNAUTHORIZED))
    return Ground(campaign, workspace, program)


def _in_the_way(cause: Cause) -> InvalidRequest:
    return InvalidRequest(CATALOGUE[cause].explanation, status=409, cause=cause)


def checked_settings(services: Services, ground: Ground, body: object) -> SyncSettings:
    """A sync's settings, against what there is in its workspace and its campaign.

    Raises: InvalidRequest 422 with every fault.
    """
    reading = read_sync(body)
    faults = reading.all_faults(_faults(services, ground, reading))
    if faults:
        causes = {fault.cause for fault in faults}
        raise InvalidRequest(
            "The sync can't be made as it is.",
            cause=causes.pop() if len(causes) == 1 else Cause.INVALID_REQUEST,
            errors=faults,
        )
    return reading.settings


def _faults(services: Services, ground: Ground, reading: Reading) -> tuple[FieldError, ...]:
    campaign = ground.campaign
    with services.database.reading() as connection:
        catalogue = workspaces.catalogue(connection, campaign.workspace_id)
        segments = workspaces.all_segments(connection, campaign.workspace_id)
    return check_sync(
        reading.settings,
        catalogue,
        CampaignRules(campaign.extended_types, tuple(campaign.crm_fields)),
        segment_ids={segment.id for segment in segments},
        known_meta=_labels(services, ground, reading.settings),
    )


def _labels(services: Services, ground: Ground, settings: SyncSettings) -> Collection[str] | None:
    """The campaign's fields for referrers. Where a mapping names one that is none of them, they are read anew, for
    it may have been added since; should nobody answer, what was known holds."""
    known: list[str] | None = ground.campaign.fields.get(Audience.REFERRERS.value)
    if known is None or not unknown_labels(settings, known):
        return known
    try:
        found = way_to(services, ground.program).campaign(ground.campaign.referral_factory_id)
    except ApiError:
        return known
    if found is None:
        return known
    fields = {Audience.LEADS.value: list(found.leads), Audience.REFERRERS.value: list(found.referrers)}
    with services.database.writing() as connection:
        campaigns.change(connection, ground.campaign.id, fields=fields)
    return found.referrers


def begin(
    services: Services, ground: Ground, settings: SyncSettings, created_by: str, *, dry_run: bool = False
) -> int:
    """A run with settings that were checked; its id. Overlapping ones are impossible: a dry run that counts the same
    already is the one that was asked for.

    Raises: InvalidRequest 409.
    """
    document = document_from_sync(settings)
    with services.database.writing() as connection:
        for other in syncs.unfinished(connection, ground.campaign.id):
            if other.kind != syncs.SYNC or other.dry_run != dry_run:
                continue
            if dry_run and other.settings == document:
                return int(other.id)
            if not dry_run and same_contacts(other.settings, document):
                raise already_there(other)
        audience = Audience.REFERRERS
        sync_id = _add(services, connection, ground, syncs.SYNC, audience, document, created_by, dry_run=dry_run)
    services.bulk_bell.ring()
    return sync_id


def same_contacts(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the two documents name the same contacts, or the same segment."""
    return all(one.get(name) == other.get(name) for name in ("contacts", "segment_id"))


def already_there(other: Row[Any]) -> InvalidRequest:
    what = "backfill of this audience" if other.kind == syncs.BACKFILL else "sync of these contacts"
    return InvalidRequest(
        f"There is a {what} that is not over yet: number {other.id}, {other.state}. Cancel it first, or let it be.",
        status=409,
        cause=Cause.ALREADY_EXISTS,
    )


def _add(
    services: Services,
    connection: Connection,
    ground: Ground,
    kind: str,
    audience: Audience,
    document: dict[str, Any],
    created_by: str,
    *,
    dry_run: bool,
) -> int:
    now = services.now()
    sync_id = syncs.add(
        connection,
        now,
        kind=kind,
        campaign_id=ground.campaign.id,
        workspace_id=ground.workspace.id,
        program_id=ground.program.id,
        audience=audience.value,
        dry_run=dry_run,
        settings=document,
        created_by=created_by,
    )
    asked = Change.BACKFILL_STARTED if kind == syncs.BACKFILL else Change.SYNC_STARTED
    after = {"campaign_id": ground.campaign.id, "audience": audience.value, "dry_run": dry_run, **document}
    audit_log.record(connection, now, created_by, asked, f"sync:{sync_id}", name=ground.campaign.name, after=after)
    return sync_id
