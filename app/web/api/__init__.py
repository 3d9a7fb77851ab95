"""The JSON API under ``/api/v1``: setting up and seeing, for programs."""

from __future__ import annotations

from flask import Flask

from app.web.api import access, campaigns, causes, diagnosis, programs, records, syncs, workspaces
from app.web.api.description import make_api
from app.web.api.operations import IdConverter


def register(app: Flask) -> None:
    """Mount the API with its description. Services and the admin's token are asked of ``app.extensions`` later."""
    app.url_map.converters["id"] = IdConverter
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    access.register(app)
    api = make_api(app)
    for module in (workspaces, programs, campaigns, syncs, records, diagnosis, causes):
        api.register_blueprint(module.calls)
