"""A workspace's attributes, each with the reason why it can't be mapped, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from app.core.attributes import STANDARD, mappable
from app.core.audiences import Attribute, AudienceSettings, CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.core.people import Audience
from app.storage import campaigns, workspaces
from app.usecases.connect_workspace import known_workspace
from app.usecases.services import Services
from schemas.audiences import audience_settings_from

Choice = tuple[Attribute, Cause | None]


def attribute_choices(
    services: Services, workspace_id: int, *, campaign_id: int | None, audience: Audience | None
) -> Sequence[Choice]:
    """The standard attributes that can be mapped and all that Intercom lists, archived ones included.

    With a campaign, what it allows counts, and what it has mapped already: in both audiences, or in ``audience``.

    Raises: InvalidRequest 404; 422 for a campaign that is not one of the workspace's.
    """
    known_workspace(services, workspace_id)
    with services.database.reading() as connection:
        catalogue = workspaces.catalogue(connection, workspace_id)
        rules, settings = CampaignRules(), list[AudienceSettings]()
        if campaign_id is not None:
            rules = _rules(connection, workspace_id, campaign_id)
            settings = [
                audience_settings_from(row.settings)
                for row in campaigns.newest_audiences(connection, [campaign_id])
                if audience is None or row.audience == audience
            ]
    return choices(catalogue, rules, settings)


def choices(catalogue: Catalogue, rules: CampaignRules, settings: Sequence[AudienceSettings]) -> Sequence[Choice]:
    """The same from what was read already; ``settings`` may be such as nobody has saved yet."""
    every = {**STANDARD, **catalogue}
    return [(attribute, _cause(attribute, rules, settings)) for attribute in every.values()]


def _rules(connection: Connection, workspace_id: int, campaign_id: int) -> CampaignRules:
    campaign = campaigns.get(connection, campaign_id)
    if campaign is None or campaign.workspace_id != workspace_id:
        detail = "This workspace has no such campaign."
        raise InvalidRequest(detail, errors=(FieldError("/campaign_id", Cause.NOT_FOUND, detail),))
    return CampaignRules(campaign.extended_types, tuple(campaign.crm_fields))


def _cause(attribute: Attribute, rules: CampaignRules, settings: Iterable[AudienceSettings]) -> Cause | None:
    triggers = {one.qualification.attribute for one in settings if one.qualification is not None}
    trigger = attribute.path if attribute.path in triggers else None
    if cause := mappable(attribute, rules, trigger=trigger):
        return cause
    mapped = any(row.to == attribute.path for one in settings for row in one.mapping)
    return Cause.ATTRIBUTE_ALREADY_MAPPED if mapped else None
