"""Who may call the API: asked first, so that nothing is to be learnt without a token, not even what there is."""

from __future__ import annotations

import hashlib
import hmac

from flask import Flask, current_app, g, request

from app.core.access import OWNERS_RIGHTS, may_call
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.usecases.make_api_token import PREFIX as PREFIX_OF_TOKENS
from app.usecases.make_api_token import Caller, caller_by
from app.usecases.services import Services

PREFIX = "/api/v1"
OPEN_PATHS = (f"{PREFIX}/openapi.json", f"{PREFIX}/docs")
"""The description is no secret, and a browser that opens its page has no token to send."""

MOST_BYTES = 1024 * 1024
"""Of a body, as at the webhooks."""


def register(app: Flask) -> None:
    """Before each request of the API, also of those that lead nowhere."""
    app.before_request(_check)


def _check() -> None:
    """Raises: InvalidRequest 401 without a token that is ours, 403 for what its maker may not do."""
    path = request.path
    if not path.startswith(f"{PREFIX}/") or path in OPEN_PATHS or path.startswith(f"{PREFIX}/docs/"):
        return
    authorization = request.authorization
    given = authorization.token if authorization is not None and authorization.type == "bearer" else None
    caller = _caller(given) if given else None
    if caller is None:
        raise InvalidRequest(
            "Send an API token: Authorization: Bearer <token>.", status=401, cause=Cause.UNAUTHENTICATED
        )
    if not may_call(caller.rights, request.method):
        raise InvalidRequest(
            "This token's maker does not have the right to manage integrations. It can read only.",
            status=403,
            cause=Cause.TEAMMATE_NOT_PERMITTED,
        )
    # One more than there may be: a body that declares no length is cut at the most that is asked for.
    request.max_content_length = MOST_BYTES + 1
    g.actor = caller.actor


def _caller(given: str) -> Caller | None:
    if _is_admins(given):
        return Caller(current_app.extensions["referloop.admin_name"], OWNERS_RIGHTS)
    # Only what looks like one of ours is looked for: a stranger's guess costs the database nothing.
    services: Services = current_app.extensions["referloop"]
    return caller_by(services, given) if given.startswith(PREFIX_OF_TOKENS) else None


def _is_admins(given: str) -> bool:
    token: str | None = current_app.extensions["referloop.admin_token"]
    # Digests have one length, so the time taken tells nothing of the token's.
    return token is not None and hmac.compare_digest(_digest(given), _digest(token))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
