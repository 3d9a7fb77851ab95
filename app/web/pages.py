"""The plain first page: what was done lately, what to try, and where the API is described."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, render_template, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.causes import CATALOGUE, Cause
from app.storage import activity, campaigns, inbox
from app.usecases.services import Services

LATEST = 25

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

pages = Blueprint("pages", __name__)


@pages.get("/")
def first_page() -> Response:
    services: Services = current_app.extensions["referloop"]
    shown = _may_see_people(services.public_url)
    if "sign-in" in request.args and not shown:
        return Response("Sign in with any name and an API token as the password.", 401, {"WWW-Authenticate": "Basic"})
    response = Response(render_template("first_page.html", shown=shown, **(_latest(services) if shown else {})))
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _latest(services: Services) -> dict[str, object]:
    try:
        with services.database.reading() as connection:
            rows = activity.page(connection, {}, since=None, before=None, limit=LATEST)
            names = campaigns.names(connection, {row.campaign_id for row in rows})
            waiting = inbox.counts_by_status(connection)
    except (DBAPIError, PoolTimeoutError):
        return {"away": True}
    return {"rows": rows, "campaigns": names, "waiting": waiting, "titles": _titles}


def _titles(cause: str | None) -> str:
    return CATALOGUE[Cause(cause)].title if cause else ""


def _may_see_people(public_url: str) -> bool:
    """Activity names people. It is shown to whoever holds a token, and without one only on an installation that is
    set up for its own machine alone, to that machine: neither through a proxy nor under a name that some site has
    pointed here."""
    token: str | None = current_app.extensions["referloop.admin_token"]
    given = request.authorization.password if request.authorization else None
    if token and given and hmac.compare_digest(given.encode(), token.encode()):
        return True
    if request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    asked = urlsplit(f"//{request.host}").hostname if request.host else None
    return all(_is_here(host) for host in (urlsplit(public_url).hostname, asked, request.remote_addr))


def _is_here(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
