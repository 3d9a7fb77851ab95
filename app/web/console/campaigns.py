"""The campaigns' pages: the list, tying one to a workspace, and one campaign's home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from sqlalchemy import Connection, Row
from werkzeug.wrappers import Response

from app.core.errors import ApiError, InvalidRequest
from app.core.people import Audience
from app.storage import activity, campaigns, heard, programs, workspaces
from app.usecases.connect_program import campaigns_of
from app.usecases.set_up_audience import Surroundings, shown_audience, surroundings
from app.usecases.set_up_campaign import (
    NewCampaign,
    WithSecret,
    archive_campaign,
    change_campaign,
    create_campaign,
    known_campaign,
    rotate_secret,
)
from app.usecases.show_connections import connections_of
from app.web.api import shown as api_shown
from app.web.console.access import actor, services
from app.web.console.connection_words import PERMISSIONS
from app.web.console.forms import Refusal, read, refusal, sent, whole
from schemas.api_fields import id_from
from schemas.api_setup import CampaignBody, CampaignChanges
from schemas.referral_factory import Campaign

campaigns_pages = Blueprint("campaigns", __name__)

A_PAGE = 25
MOST_CHOICES = 200
"""Workspaces and programs to choose from."""
LATEST = 8

SECRET = "webhook_secret"  # noqa: S105 - where a new one is until it was shown


@campaigns_pages.get("/campaigns")
def listed() -> str:
    archived = request.args.get("archived") == "true"
    after = id_from(request.args.get("after", ""))
    with services().database.reading() as connection:
        rows = campaigns.page(connection, after=after, limit=A_PAGE + 1, archived=archived)
        shown = rows[:A_PAGE]
        spaces, accounts = connections_of(connection, shown)
        return render_template(
            "console/campaigns.html",
            campaigns=shown,
            workspaces=spaces,
            programs=accounts,
            audiences=_audiences(connection, shown),
            heard=heard.last(connection, [heard.campaign_scope(row.id) for row in shown]),
            archived=archived,
            after=shown[-1].id if len(rows) > A_PAGE else None,
        )


def _audiences(connection: Connection, rows: Sequence[Row[Any]]) -> dict[tuple[int, str], Row[Any]]:
    """The newest settings of each, by campaign and audience."""
    found = campaigns.newest_audiences(connection, [row.id for row in rows])
    return {(row.campaign_id, row.audience): row for row in found}


# A new one


@dataclass(frozen=True, slots=True)
class Offered:
    """A campaign as Referral Factory has it now, with ours, if it was ever set up."""

    found: Campaign
    ours: Row[Any] | None

    @property
    def is_live(self) -> bool:
        return self.ours is not None and self.ours.archived_at is None


@campaigns_pages.get("/campaigns/new")
def new() -> str:
    return _new(request.args.get("program_id", ""))


@campaigns_pages.post("/campaigns/new")
def create() -> Any:
    given: dict[str, Any] = {**sent("program_id", "referral_factory_id", "workspace_id")}
    try:
        body = read(CampaignBody, {name: value for name, value in given.items() if value})
        made = create_campaign(services(), NewCampaign(**body), actor())
    except (InvalidRequest, ApiError) as error:
        refused = refusal(error)
        return _new(given["program_id"], refused), refused.status
    flash(
        "The campaign is set up. Copy its webhook addresses to Referral Factory next, then choose a mapping.",
        "success",
    )
    return _told(made)


def _new(program_id: str, refused: Refusal | None = None) -> str:
    with services().database.reading() as connection:
        accounts = programs.page(connection, after=None, limit=MOST_CHOICES)
        spaces = workspaces.page(connection, after=None, limit=MOST_CHOICES)
    chosen = _chosen(accounts, program_id)
    offered, away = _offered(chosen)
    return render_template(
        "console/campaigns_new.html",
        programs=accounts,
        workspaces=spaces,
        workspace_options=[(row.id, row.name) for row in spaces],
        chosen=chosen,
        offered=offered,
        away=away,
        refused=refused,
        typed=request.form,
    )


def _chosen(accounts: Sequence[Row[Any]], program_id: str) -> Row[Any] | None:
    """The program that was named, or the only one there is."""
    only = accounts[0] if len(accounts) == 1 else None
    return next((row for row in accounts if str(row.id) == program_id), only)


def _offered(program: Row[Any] | None) -> tuple[list[Offered], Refusal | None]:
    """What Referral Factory lists at this moment, or why it can't be asked."""
    if program is None:
        return [], None
    try:
        found = campaigns_of(services(), program.id)
    except (InvalidRequest, ApiError) as error:
        return [], refusal(error)
    with services().database.reading() as connection:
        ours = {
            row.referral_factory_id: row for row in campaigns.of_program(connection, program.id, len(found) + 1000)
        }
    return sorted((Offered(one, ours.get(one.referral_factory_id)) for one in found), key=_by_name), None


def _by_name(offered: Offered) -> tuple[str, str]:
    return offered.found.name.casefold(), offered.found.referral_factory_id


# One campaign


@campaigns_pages.get("/campaigns/<id:campaign_id>")
def shown(campaign_id: int) -> Response:
    answer = make_response(_shown(campaign_id, secret=_secret_of(campaign_id)))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _shown(campaign_id: int, refused: Refusal | None = None, secret: str | None = None) -> str:
    """Raises: InvalidRequest 404."""
    with services().database.reading() as connection:
        told = _told_of(connection, surroundings(connection, campaign_id))
    return render_template(
        "console/campaign.html",
        **told,
        header=api_shown.WEBHOOK_HEADER,
        permission_words=PERMISSIONS,
        secret=secret,
        refused=refused,
        typed=request.form,
    )


def _told_of(connection: Connection, around: Surroundings) -> dict[str, Any]:
    row = around.campaign
    spaces, accounts = connections_of(connection, [row])
    return {
        "campaign": row,
        "workspace": spaces[row.workspace_id],
        "program": accounts[row.program_id],
        "audiences": {one.value: shown_audience(around, one, around.newest.get(one)) for one in Audience},
        "urls": api_shown.campaign(row, services().public_url)["webhook"]["urls"],
        "heard": heard.topics(connection, heard.campaign_scope(row.id)),
        "latest": activity.page(connection, {"campaign_id": row.id}, since=None, before=None, limit=LATEST),
        "labels": _labels(row),
        "former_until": _former_until(row),
    }


def _labels(campaign: Row[Any]) -> list[str]:
    """The campaign's own fields, and those that were called CRM fields."""
    fields: Mapping[str, Sequence[str]] = campaign.fields
    names = [*fields.get("leads", ()), *fields.get("referrers", ()), *campaign.crm_fields]
    return sorted(dict.fromkeys(names), key=str.casefold)


def _former_until(campaign: Row[Any]) -> Any:
    until = campaign.former_until
    return until if until is not None and until > services().now() else None


@campaigns_pages.post("/campaigns/<id:campaign_id>/own-settings")
def change(campaign_id: int) -> Any:
    form = request.form
    named = [*form.getlist("crm_field"), *(line.strip() for line in form.get("more_crm_fields", "").splitlines())]
    given = {
        "user_limit": whole(form.get("user_limit", "")),
        "extended_types": "extended_types" in form,
        "crm_fields": [name for name in named if name],
    }
    try:
        change_campaign(services(), campaign_id, read(CampaignChanges, given), actor())
    except (InvalidRequest, ApiError) as error:
        refused = refusal(error, "settings")
        return _shown(campaign_id, refused), refused.status
    flash("Saved.", "success")
    return _to(campaign_id)


@campaigns_pages.post("/campaigns/<id:campaign_id>/rotate")
def rotate(campaign_id: int) -> Response:
    revoke = "revoke_former" in request.form
    made = rotate_secret(services(), campaign_id, actor(), revoke_former=revoke)
    until = "The former one has ended." if revoke else "The former one is accepted for 24 more hours."
    flash(f"There is a new webhook secret; copy it to Referral Factory now. {until}", "success")
    return _told(made)


@campaigns_pages.post("/campaigns/<id:campaign_id>/archive")
def archive(campaign_id: int) -> Response:
    archive_campaign(services(), campaign_id, actor())
    flash("Archived. Its settings and history are kept, and it can be taken up again.", "success")
    return _to(campaign_id)


@campaigns_pages.post("/campaigns/<id:campaign_id>/take-up")
def take_up(campaign_id: int) -> Any:
    row = known_campaign(services(), campaign_id)
    again = NewCampaign(
        row.program_id,
        row.referral_factory_id,
        row.workspace_id,
        row.user_limit,
        row.extended_types,
        tuple(row.crm_fields),
    )
    try:
        made = create_campaign(services(), again, actor())
    except (InvalidRequest, ApiError) as error:
        refused = refusal(error, "take-up")
        return _shown(campaign_id, refused), refused.status
    flash(
        "The campaign is taken up again, with a new webhook secret. The former one is accepted for 24 hours.",
        "success",
    )
    return _told(made)


def _to(campaign_id: int) -> Response:
    return redirect(url_for(".shown", campaign_id=campaign_id), 303)


def _told(made: WithSecret) -> Response:
    """A new secret is shown once, on the page that follows. Until then it is with the browser, sealed."""
    session[SECRET] = {"campaign": made.campaign_id, "sealed": services().vault.seal(made.secret)}
    return redirect(url_for(".shown", campaign_id=made.campaign_id) + "#webhooks", 303)


def _secret_of(campaign_id: int) -> str | None:
    kept = session.get(SECRET)
    if not isinstance(kept, dict) or kept.get("campaign") != campaign_id:
        return None
    del session[SECRET]
    return services().vault.open(kept["sealed"])
