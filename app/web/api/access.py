"""Who may call the API: asked first, so that nothing is to be learnt without a token, not even what there is."""

from __future__ import annotations

import hashlib
import hmac

from flask import Flask, current_app, g, request

from app.core.causes import Cause
from app.core.errors import InvalidRequest

PREFIX = "/api/v1"
OPEN_PATHS = (f"{PREFIX}/openapi.json", f"{PREFIX}/docs")
"""The description is no secret, and a browser that opens its page has no token to send."""

MOST_BYTES = 1024 * 1024
"""Of a body, as at the webhooks."""


def register(app: Flask) -> None:
    """Before each request of the API, also of those that lead nowhere."""
    app.before_request(_check)


def _check() -> None:
    """Raises: InvalidRequest 401 without a token that is ours."""
    path = request.path
    if not path.startswith(f"{PREFIX}/") or path in OPEN_PATHS or path.startswith(f"{PREFIX}/docs/"):
        return
    authorization = request.authorization
    given = authorization.token if authorization is not None and authorization.type == "bearer" else None
    if not given or not _is_admins(given):
        raise InvalidRequest(
            "Send an API token: Authorization: Bearer <token>.", status=401, cause=Cause.UNAUTHENTICATED
        )
    request.max_content_length = MOST_BYTES
    g.actor = current_app.extensions["referloop.admin_name"]


def _is_admins(given: str) -> bool:
    token: str | None = current_app.extensions["referloop.admin_token"]
    # Digests have one length, so the time taken tells nothing of the token's.
    return token is not None and hmac.compare_digest(_digest(given), _digest(token))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
