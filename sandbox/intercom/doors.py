"""Intercom over HTTP: who may come in, in which version, how often; and how answers and refusals look."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import uuid4

from flask import Blueprint, Response, current_app, g, request

from sandbox.intercom.refusals import Refused, invalid
from sandbox.intercom.state import Workspace
from sandbox.world import World

doors = Blueprint("intercom", __name__, url_prefix="/intercom")

NEWEST = (2, 16)

View = Callable[..., Any]


def the_world() -> World:
    """The state behind this app."""
    world: World = current_app.extensions["sandbox"]
    return world


def door(rule: str, method: str, permission: str | None = None) -> Callable[[View], View]:
    """Serve a rule by a function of the world, the workspace and the rule's variables."""

    def register(view: View) -> View:
        @wraps(view)
        def served(**variables: str) -> Response:
            world = the_world()
            with world.lock:
                if permission is not None:
                    _check_permission(world, g.workspace, permission)
                payload = view(world, g.workspace, **variables)
                if method != "GET":
                    world.changes += 1
            return answer(payload)

        doors.add_url_rule(rule, f"{method} {rule}", served, methods=[method], strict_slashes=False)
        return view

    return register


def answer(payload: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(payload), status, mimetype="application/json")


def body() -> dict[str, Any]:
    """The request's JSON object; a call without a body has an empty one."""
    raw = request.get_data()
    if not raw:
        return {}
    try:
        given = json.loads(raw)
    except ValueError:
        raise invalid("The body is not valid JSON") from None
    if not isinstance(given, dict):
        raise invalid("The body must be a JSON object")
    return given


def version() -> tuple[int, int]:
    """The version of the API that the call asks for."""
    found: tuple[int, int] = g.intercom_version
    return found


@doors.before_request
def _admit() -> None:
    world = the_world()
    asked = request.headers.get("Intercom-Version", "")
    known = re.fullmatch(r"(\d+)\.(\d+)", asked)
    g.intercom_version = (int(known[1]), int(known[2])) if known else NEWEST
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    workspace = world.workspace_by_token(token)
    if workspace is None:
        raise Refused(401, "unauthorized", "Access Token Invalid")
    g.workspace = workspace
    settings = world.settings
    with world.lock:
        now = world.clock.now()
        g.allowance = world.buckets.take(workspace.app_id, now, int(settings.intercom_calls_per_10s))
    if not g.allowance.allowed:
        message = f"Exceeded rate limit of {g.allowance.limit} in 10_seconds"
        raise Refused(429, "rate_limit_exceeded", message)
    if not _accepts_json():
        message = "The Accept header should send a media type of application/json"
        raise Refused(406, "media_type_not_acceptable", message)


def _accepts_json() -> bool:
    accepted = request.headers.get("Accept", "")
    return not accepted or any(kind in accepted for kind in ("application/json", "*/*", "application/*"))


def _check_permission(world: World, workspace: Workspace, permission: str) -> None:
    if permission in workspace.missing_permissions:
        status = world.settings.permission_answer
        code = "unauthorized" if status == 401 else world.settings.permission_code
        raise Refused(status, code, "The token may not do this")


@doors.after_request
def _head(response: Response) -> Response:
    shown = ".".join(map(str, g.get("intercom_version", NEWEST)))
    response.headers["Intercom-Version"] = shown
    response.headers["X-Intercom-Version"] = shown
    allowance = g.get("allowance")
    if allowance is not None:
        response.headers["X-RateLimit-Limit"] = str(allowance.limit)
        response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        # By the caller's clock: a simulated jump must not look like a long wait.
        response.headers["X-RateLimit-Reset"] = str(int(allowance.reset - the_world().clock.ahead))
    return response


@doors.errorhandler(Refused)
def _refuse(refused: Refused) -> Response:
    error: dict[str, Any] = {"code": refused.code}
    if refused.message is not None:
        error["message"] = refused.message
    if refused.field is not None:
        error["field"] = refused.field
    payload: dict[str, Any] = {"type": "error.list", "errors": [error]}
    if refused.names_request:
        payload = {"type": "error.list", "request_id": str(uuid4()), "errors": [error]}
    response = answer(payload, refused.status)
    response.headers.update(refused.headers)
    return response


@doors.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
@doors.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def _nowhere(**_path: str) -> Response:
    # A wrong method is answered like an unknown path.
    raise Refused(404, "not_found", "The requested resource was not found")
