"""Every error over HTTP is a problem (RFC 9457) with a cause of the catalogue; none shows what is inside."""

from __future__ import annotations

import json
from typing import Any

import sentry_sdk
import structlog
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from app.core.causes import CATALOGUE, Cause
from app.core.errors import ApiError, InvalidRequest, RateLimited, Shut, Unauthorized, Unavailable, Vendor
from app.storage.database import is_unreachable

log = structlog.get_logger(__name__)

_CAUSES = {401: Cause.UNAUTHENTICATED, 403: Cause.TEAMMATE_NOT_PERMITTED, 404: Cause.NOT_FOUND}


def problem(status: int, cause: str, detail: str, **more: Any) -> Response:
    known = CATALOGUE.get(Cause(cause))
    body = {
        "type": f"{current_app.extensions['referloop'].public_url}/api/v1/causes#{cause}",
        "title": known.title if known else cause,
        "status": status,
        "detail": detail,
        "cause": cause,
        **more,
    }
    return Response(json.dumps(body), status=status, content_type="application/problem+json")


def register(app: Flask) -> None:
    app.register_error_handler(InvalidRequest, _invalid)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ApiError, _vendor)
    app.register_error_handler(Exception, _unexpected)


def _invalid(error: InvalidRequest) -> Response:
    more = {"errors": [fault.as_dict() for fault in error.errors]} if error.errors else {}
    response = problem(error.status, error.cause, error.detail, **more)
    if error.status == 401 and request.path.startswith("/api/"):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    response = problem(status, _CAUSES.get(status, Cause.INVALID_REQUEST), error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response


def vendor_cause(error: ApiError) -> Cause:
    """What stood in the way, by the catalogue."""
    intercom = error.vendor is Vendor.INTERCOM
    if isinstance(error, Shut):
        return Cause(error.cause)
    if isinstance(error, RateLimited):
        return Cause.RATE_LIMITED
    if isinstance(error, Unauthorized):
        return Cause.INTERCOM_UNAUTHORIZED if intercom else Cause.REFERRAL_FACTORY_UNAUTHORIZED
    if isinstance(error, Unavailable):
        return Cause.INTERCOM_UNAVAILABLE if intercom else Cause.REFERRAL_FACTORY_UNAVAILABLE
    return Cause.VALUE_REFUSED_BY_INTERCOM if intercom else Cause.REFERRAL_FACTORY_REFUSED


def _vendor(error: ApiError) -> Response:
    """A vendor stood in the way of what was asked here: our sender can't mend it, but may ask again."""
    cause = vendor_cause(error)
    if isinstance(error, RateLimited | Unavailable):
        response = problem(503, cause, str(error))
        after = max(1, round(error.after)) if isinstance(error, RateLimited) else 30
        response.headers["Retry-After"] = str(after)
        return response
    return problem(422, cause, str(error))


def _unexpected(error: Exception) -> Response:
    if is_unreachable(error):
        log.error("database_unreachable", error=type(error).__name__)
        response = problem(
            503, Cause.INTERNAL_ERROR, "The database can't be reached. Nothing was stored; send it again."
        )
        response.headers["Retry-After"] = "30"
        return response
    sentry_sdk.capture_exception(error)
    log.exception("unexpected_error", route=str(request.url_rule or ""))
    return problem(500, Cause.INTERNAL_ERROR, "Something broke on our side. It was recorded.")
