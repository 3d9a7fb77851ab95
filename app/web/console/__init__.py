"""The console: the pages on which people set up and watch everything, over the use cases that the API calls too.

A page is a blueprint of its own, listed in ``PAGES``. What all of them share is their parent's: nobody comes in
without signing in, nothing is changed without the right to, and every refusal is a page in plain words.
"""

from __future__ import annotations

from flask import Blueprint, Flask

from app.web.console import (
    access,
    account,
    activity,
    audiences,
    audit,
    backfill,
    campaigns,
    connections,
    doctor,
    events,
    overview,
    people,
    refusals,
    sign_in,
    sync_wizard,
    syncs,
    teammates,
    tokens,
    troubleshooter,
)

PAGES: tuple[Blueprint, ...] = (
    overview.pages,
    sign_in.sign_in,
    account.account,
    teammates.teammates,
    tokens.tokens,
    audit.audit,
    audiences.audiences,
    connections.connections,
    campaigns.campaigns_pages,
    syncs.syncs,
    sync_wizard.sync_wizard,
    backfill.backfill,
    people.pages,
    activity.pages,
    events.pages,
    troubleshooter.troubleshooter,
    doctor.doctor,
)


def register(app: Flask) -> None:
    """Mount the console. Services are asked of ``app.extensions`` later."""
    console = Blueprint("console", __name__)
    access.guard(app, console)
    refusals.register(console)
    for page in PAGES:
        console.register_blueprint(page)
    app.register_blueprint(console)
