"""Makes the Flask application of one process."""

from __future__ import annotations

import random

import structlog
from flask import Flask, Response, request

from app.usecases.first_owner import make_first_owner
from app.web import api, console, problems
from app.web.health import health
from app.web.sessions import Sessions
from app.web.webhooks import webhooks
from app.wiring import Wired
from config.settings import Settings

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def make_app(settings: Settings, wired: Wired) -> Flask:
    app = Flask("app.web")
    app.secret_key = settings.secret_key
    app.session_interface = Sessions()
    app.extensions["referloop"] = wired.services
    app.extensions["referloop.redis_answers"] = wired.redis_answers
    app.extensions["referloop.exposition"] = wired.exposition()
    app.extensions["referloop.admin_token"] = settings.admin_api_token
    app.extensions["referloop.admin_name"] = settings.admin_email or "administrator"
    app.before_request(_begin)
    app.after_request(_finish)
    problems.register(app)
    app.register_blueprint(health)
    app.register_blueprint(webhooks)
    api.register(app)
    console.register(app)
    make_first_owner(wired.services, settings.admin_email, settings.admin_password)
    return app


def _begin() -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=f"{random.getrandbits(64):016x}")


_log = structlog.get_logger("app.web")


def _finish(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path not in ("/healthz", "/readyz", "/metrics"):
        _log.info("request", method=request.method, route=str(request.url_rule or ""), status=response.status_code)
    return response
