"""What a sync of a campaign can be made of: segments, attributes each with the reason why it can't be chosen, fields.

Nobody is asked but our own tables: it is as the workspace and the campaign were read last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from app.core.attributes import STANDARD
from app.core.audiences import CampaignRules, Catalogue
from app.core.errors import FieldError
from app.core.people import CUSTOM, Audience
from app.core.syncs import READ_FROM, check_sync, not_carried, not_written_back
from app.storage import workspaces
from app.usecases.attribute_choices import Choice
from app.usecases.services import Services
from app.usecases.start_sync import Ground, ground_of
from schemas.syncs import read_sync


@dataclass(frozen=True, slots=True)
class SyncSetup:
    """``segments`` are all of the workspace's, by name. ``labels`` are the campaign's fields for referrers beside
    name and email, in their order."""

    ground: Ground
    catalogue: Catalogue
    segments: Sequence[Row[Any]]
    labels: Sequence[str]

    @property
    def rules(self) -> CampaignRules:
        return CampaignRules(self.ground.campaign.extended_types, tuple(self.ground.campaign.crm_fields))

    def carried(self) -> Sequence[Choice]:
        """From where something can be carried into the campaign."""
        return [
            (attribute, not_carried(path, self.catalogue))
            for path, attribute in self.catalogue.items()
            if path in READ_FROM or path.startswith(CUSTOM)
        ]

    def written_back(self, name: str) -> Sequence[Choice]:
        """Where ``name``, one of ``WRITTEN_BACK``, can be written."""
        custom = [attribute for path, attribute in self.catalogue.items() if path.startswith(CUSTOM)]
        return [(attribute, not_written_back(attribute, name, self.rules)) for attribute in custom]

    def faults(self, body: object) -> tuple[FieldError, ...]:
        """What is wrong with a sync's settings, whole or half made, as ``start_sync`` would say it; but what the
        campaign calls its fields is taken as it is given."""
        reading = read_sync(body)
        segment_ids = {segment.id for segment in self.segments}
        found = check_sync(reading.settings, self.catalogue, self.rules, segment_ids=segment_ids)
        return reading.all_faults(found)


def sync_setup(services: Services, campaign_id: int) -> SyncSetup:
    """Raises: InvalidRequest 404; 409 where the campaign is archived or a connection is lost."""
    ground = ground_of(services, campaign_id)
    with services.database.reading() as connection:
        catalogue = {**STANDARD, **workspaces.catalogue(connection, ground.workspace.id)}
        segments = workspaces.all_segments(connection, ground.workspace.id)
    by_name = sorted(segments, key=lambda one: (one.name.casefold(), one.id))
    labels = ground.campaign.fields.get(Audience.REFERRERS.value) or []
    return SyncSetup(ground, catalogue, by_name, list(dict.fromkeys(labels)))
