"""The API's description (OpenAPI 3.1), and a page of it for people, whose parts are served from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask_smorest
import flask_swagger_ui
from flask import Blueprint, Flask, Response, render_template, send_from_directory
from werkzeug.exceptions import NotFound

from app.web.api.access import PREFIX
from app.web.api.operations import IdConverter
from schemas.api_records import Problem

PROBLEM_TYPE = "application/problem+json"

_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
_SERVED = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")

# The page's program writes styles and inlines its pictures; nothing comes from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_OPTIONS: dict[str, Any] = {
    "info": {
        "description": "Joins Referral Factory to Intercom in real time. Errors are problems (RFC 9457) with a "
        "`cause` of the catalogue at `/api/v1/causes`."
    },
    "security": [{"token": []}],
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
}

page = Blueprint("api_page", __name__, url_prefix=f"{PREFIX}/docs", static_folder=None)


class _Api(flask_smorest.Api):  # type: ignore[misc]  # it has no types
    """Describes; errors are answered by ``app.web.problems``, for the API as for everything."""

    ERROR_SCHEMA = Problem

    def _register_error_handlers(self) -> None:
        """None of its own."""

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_TYPE
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE


def make_api(app: Flask) -> Any:
    """The describer of ``app``, to which groups of calls are given."""
    app.config["OPENAPI_URL_PREFIX"] = PREFIX
    api = _Api(app, spec_kwargs={"title": "Referloop", "version": "v1", "openapi_version": "3.1.0", **_OPTIONS})
    api.register_converter(IdConverter, lambda _: {"type": "string", "pattern": "^[1-9][0-9]*$"})
    app.register_blueprint(page)
    return api


@page.get("", strict_slashes=False)
def show() -> Response:
    response = Response(render_template("api_docs.html", prefix=PREFIX))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@page.get("/start.js")
def start() -> Response:
    return send_from_directory(Path(__file__).parent, "start.js")


@page.get("/<name>")
def asset(name: str) -> Response:
    if name not in _SERVED:
        raise NotFound
    return send_from_directory(_ASSETS, name)
