"""Everything that was set up for a campaign, as one frozen value read at one moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.audiences import AudienceSettings, CampaignRules, Catalogue
from app.core.people import Audience
from app.integrations.budget import Pace
from app.integrations.intercom import Intercom
from app.integrations.referral_factory import ReferralFactory
from app.storage import campaigns, circuits, links, programs, syncs, workspaces
from app.usecases.services import Services
from schemas.audiences import audience_settings_from


@dataclass(frozen=True, slots=True)
class Setup:
    """A campaign with its connections and settings. ``refused`` are values that Intercom refused lately,
    by path and digest. Tokens are sealed."""

    campaign_id: int
    campaign_name: str
    referral_factory_id: str
    archived: bool
    rules: CampaignRules
    audiences: Mapping[Audience, AudienceSettings]
    workspace: Row[Any]
    program: Row[Any]
    catalogue: Catalogue
    refused: frozenset[tuple[str, str]]
    open_circuits: Mapping[str, str]
    """What is away at the moment, by the circuit's name, and the cause."""
    synced: bool = False
    """Whether a sync has made referrers, to whose contacts it writes back."""

    def settings(self, audience: Audience) -> AudienceSettings:
        return self.audiences.get(audience, AudienceSettings())

    def intercom(self, services: Services, pace: Pace = Pace.LIVE) -> Intercom:
        return intercom_of(services, self.workspace, pace)

    def referral_factory(self, services: Services, pace: Pace = Pace.LIVE) -> ReferralFactory:
        return services.vendors.referral_factory(
            token=services.vault.open(self.program.token), budget_key=str(self.program.id), pace=pace
        )


def intercom_of(services: Services, workspace: Row[Any], pace: Pace = Pace.LIVE) -> Intercom:
    """The way to a connected workspace."""
    return services.vendors.intercom(
        region=workspace.region, token=services.vault.open(workspace.token), budget_key=str(workspace.id), pace=pace
    )


def load_setups(connection: Connection, campaign_ids: Collection[int], now: datetime) -> dict[int, Setup]:
    """The setups of those campaigns; a bounded number of queries a workspace, however many events ask."""
    rows = [row for row in (campaigns.get(connection, one) for one in sorted(campaign_ids)) if row is not None]
    found = campaigns.newest_audiences(connection, [row.id for row in rows])
    spaces = {one: workspaces.get(connection, one) for one in {row.workspace_id for row in rows}}
    accounts = {one: programs.get(connection, one) for one in {row.program_id for row in rows}}
    catalogues = {one: workspaces.catalogue(connection, one) for one in spaces}
    refused = {one: links.refused(connection, one, now) for one in spaces}
    open_circuits = circuits.open_names(connection)
    synced = syncs.synced_campaigns(connection, [row.id for row in rows])
    setups = {}
    for row in rows:
        workspace, program = spaces[row.workspace_id], accounts[row.program_id]
        if workspace is None or program is None:
            continue  # the foreign keys forbid it
        setups[row.id] = Setup(
            campaign_id=row.id,
            campaign_name=row.name,
            referral_factory_id=row.referral_factory_id,
            archived=row.archived_at is not None,
            rules=CampaignRules(row.extended_types, tuple(row.crm_fields)),
            audiences={
                Audience(one.audience): audience_settings_from(one.settings)
                for one in found
                if one.campaign_id == row.id
            },
            workspace=workspace,
            program=program,
            catalogue=catalogues[row.workspace_id],
            refused=refused[row.workspace_id],
            open_circuits=open_circuits,
            synced=row.id in synced,
        )
    return setups
