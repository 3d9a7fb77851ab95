"""Those who joined before an audience was set up are sent: a dry run first, with its numbers, then for real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection, Row

from app.core.errors import InvalidRequest
from app.core.people import Audience
from app.storage import people, readings
from app.storage import syncs as runs
from app.usecases.services import Services
from app.usecases.set_up_audience import ShownAudience, audience_of
from app.usecases.set_up_campaign import known_campaign
from app.usecases.start_sync import start_backfill
from app.web.console.access import actor, services
from app.web.console.run_words import SENT_AS_FORESEEN, STATES

backfill = Blueprint("backfill", __name__)

WORDS: Mapping[Audience, str] = {Audience.LEADS: "Leads", Audience.REFERRERS: "Referrers"}
MOST_RUNS_NAMED = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """One audience: how many joined before it was set up, whether all were read, and how it stands with them."""

    audience: Audience
    set_up: ShownAudience
    joined_before: int
    is_whole: bool
    foreseen: Row[Any] | None
    under_way: Row[Any] | None

    @property
    def words(self) -> str:
        return WORDS[self.audience]

    @property
    def is_counting(self) -> bool:
        return self.foreseen is not None and self.foreseen.state not in runs.OVER

    @property
    def is_foreseen(self) -> bool:
        return self.foreseen is not None and self.foreseen.state == runs.COMPLETED


@backfill.get("/campaigns/<id:campaign_id>/backfill")
def shown(campaign_id: int) -> Any:
    return _page(campaign_id)


def _page(campaign_id: int, refusal: InvalidRequest | None = None, refused: str = "") -> Any:
    campaign = known_campaign(services(), campaign_id)
    standings = [_standing(services(), campaign_id, audience) for audience in WORDS]
    page = render_template(
        "console/backfill.html",
        campaign=campaign,
        standings=standings,
        refusal=refusal,
        refused=refused,
        states=STATES,
        foreseen=SENT_AS_FORESEEN,
    )
    return page, refusal.status if refusal else 200


def _standing(services: Services, campaign_id: int, audience: Audience) -> Standing:
    set_up = audience_of(services, campaign_id, audience)
    with services.database.reading() as connection:
        return Standing(
            audience,
            set_up,
            people.count_joined_before(connection, campaign_id, audience.value),
            readings.is_whole(connection, campaign_id, audience.value),
            runs.last_foreseen(connection, campaign_id, audience.value),
            _under_way(connection, campaign_id, audience),
        )


def _under_way(connection: Connection, campaign_id: int, audience: Audience) -> Row[Any] | None:
    """The real backfill of the audience that is not over."""
    mine = (runs.BACKFILL, audience.value, False)
    unfinished = runs.not_over(connection, campaign_id, MOST_RUNS_NAMED)
    return next((run for run in unfinished if (run.kind, run.audience, run.dry_run) == mine), None)


@backfill.post("/campaigns/<id:campaign_id>/backfill")
def begun(campaign_id: int) -> Any:
    named, dry_run = request.form.get("audience", ""), request.form.get("do") != "send"
    if named not in set(Audience):
        return _page(campaign_id, InvalidRequest("Choose whom to send: Leads or Referrers."))
    try:
        sync_id = start_backfill(services(), campaign_id, Audience(named), actor(), dry_run=dry_run)
    except InvalidRequest as refusal:
        if refusal.status == 404:
            raise
        return _page(campaign_id, refusal, named)
    flash(_said(dry_run=dry_run), "success")
    return redirect(url_for("console.syncs.shown", sync_id=sync_id))


def _said(*, dry_run: bool) -> str:
    if dry_run:
        return "Counting has begun. Nobody is sent: this page shows what would become of everybody."
    return "The backfill has begun. Nothing more is needed: this page shows how far it is."
