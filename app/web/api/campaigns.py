"""Calls about campaigns: which workspace they are tied to, what is done with their people, their webhook."""

from __future__ import annotations

from typing import Any

from app.core.people import Audience
from app.storage import campaigns
from app.usecases.keep_settings import keep_settings, settings_of
from app.usecases.preview_person import preview_person
from app.usecases.set_up_audience import audience_of, keep_audience, versions_of
from app.usecases.set_up_campaign import (
    NewCampaign,
    archive_campaign,
    change_campaign,
    create_campaign,
    known_campaign,
    rotate_secret,
)
from app.web.api import shown
from app.web.api.operations import actor, call, group, json_body, services
from app.web.api.paging import id_in, page_of
from schemas.api_fields import PageQuery
from schemas.api_settings import CampaignSettingsSchema
from schemas.api_setup import (
    AudienceAnswer,
    CampaignAnswer,
    CampaignBody,
    CampaignChanges,
    CampaignPage,
    CampaignQuery,
    NewCampaignAnswer,
    PreviewAnswer,
    PreviewBody,
    RotateAnswer,
    RotateBody,
    VersionPage,
)
from schemas.audiences import AudienceSettingsSchema

calls = group("campaigns", "Campaigns of Referral Factory, each tied to one workspace, and their settings.")

AUDIENCE = "/campaigns/<id:campaign_id>/audiences/<any(leads, referrers):audience>"


def _campaign(campaign_id: int, secret: str | None = None) -> dict[str, Any]:
    return shown.campaign(known_campaign(services(), campaign_id), services().public_url, secret)


@call(calls, "POST", "/campaigns", body=CampaignBody, answers=NewCampaignAnswer, status=201)
def create_a_campaign(body: dict[str, Any]) -> Any:
    """Tie a campaign to a workspace

    The webhook's secret is shown this once. An archived campaign is taken up again, with another secret.
    """
    made = create_campaign(services(), NewCampaign(**body), actor())
    return _campaign(made.campaign_id, made.secret)


@call(calls, "GET", "/campaigns", query=CampaignQuery, answers=CampaignPage)
def list_campaigns(query: dict[str, Any]) -> Any:
    """List campaigns"""
    archived = query.get("archived") == "true"
    with services().database.reading() as connection:
        rows = campaigns.page(
            connection, after=id_in(query.get("cursor")), limit=query["limit"] + 1, archived=archived
        )
    return page_of(rows, query["limit"], lambda row: shown.campaign(row, services().public_url))


@call(calls, "GET", "/campaigns/<id:campaign_id>", answers=CampaignAnswer)
def show_campaign(campaign_id: int) -> Any:
    """Show a campaign"""
    return _campaign(campaign_id)


@call(calls, "PATCH", "/campaigns/<id:campaign_id>", body=CampaignChanges, answers=CampaignAnswer)
def update_campaign(changes: dict[str, Any], campaign_id: int) -> Any:
    """Change a campaign"""
    change_campaign(services(), campaign_id, changes, actor())
    return _campaign(campaign_id)


@call(calls, "DELETE", "/campaigns/<id:campaign_id>", status=204)
def archive_a_campaign(campaign_id: int) -> None:
    """Archive a campaign

    Its webhook goes on answering, without effect. The same campaign can be taken up again.
    """
    archive_campaign(services(), campaign_id, actor())


@call(
    calls,
    "POST",
    "/campaigns/<id:campaign_id>/webhook/rotate",
    body=RotateBody,
    optional_body=True,
    answers=RotateAnswer,
)
def rotate_webhook_secret(body: dict[str, Any], campaign_id: int) -> Any:
    """Make another webhook secret

    The former one is accepted for 24 hours, or ends at once with `revoke_former`.
    """
    made = rotate_secret(services(), campaign_id, actor(), revoke_former=body["revoke_former"])
    return {"secret": made.secret, "former_valid_until": made.former_until}


@call(calls, "GET", AUDIENCE, answers=AudienceAnswer)
def show_audience(campaign_id: int, audience: str) -> Any:
    """Show what is done with an audience's people"""
    return shown.audience(audience_of(services(), campaign_id, Audience(audience)))


@call(calls, "PUT", AUDIENCE, described_body=AudienceSettingsSchema, answers=AudienceAnswer)
def keep_an_audience(campaign_id: int, audience: str) -> Any:
    """Set what is done with an audience's people

    Refused as a whole where there is any fault; all faults are named at once. An answer can be sent back as it is.
    """
    return shown.audience(keep_audience(services(), campaign_id, Audience(audience), json_body(), actor()))


@call(calls, "GET", f"{AUDIENCE}/versions", query=PageQuery, answers=VersionPage)
def list_audience_versions(query: dict[str, Any], campaign_id: int, audience: str) -> Any:
    """List what was saved for an audience, newest first"""
    rows = versions_of(
        services(),
        campaign_id,
        Audience(audience),
        before=id_in(query.get("cursor")),
        limit=query["limit"] + 1,
    )
    return page_of(rows, query["limit"], shown.version, lambda row: row.version)


@call(calls, "POST", "/campaigns/<id:campaign_id>/preview", body=PreviewBody, answers=PreviewAnswer)
def preview_a_person(body: dict[str, Any], campaign_id: int) -> Any:
    """Tell what would become of a person

    Reads what it needs from both vendors, and writes nothing.
    """
    previewed = preview_person(services(), campaign_id, Audience(body["audience"]), body["person"])
    return shown.preview(previewed)


@call(calls, "GET", "/campaigns/<id:campaign_id>/settings", answers=CampaignSettingsSchema)
def show_settings(campaign_id: int) -> Any:
    """Show everything that was configured, as one document to keep and compare"""
    return settings_of(services(), campaign_id)


@call(
    calls,
    "PUT",
    "/campaigns/<id:campaign_id>/settings",
    described_body=CampaignSettingsSchema,
    answers=CampaignSettingsSchema,
)
def restore_settings(campaign_id: int) -> Any:
    """Restore everything that was configured, all of it or nothing"""
    return keep_settings(services(), campaign_id, json_body(), actor())
