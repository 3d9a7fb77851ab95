"""What a page says where it can't do what was asked: why, and what can be done, never what is inside."""

from __future__ import annotations

import sentry_sdk
import structlog
from flask import Blueprint, Response, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.core.causes import CATALOGUE, Cause
from app.core.errors import ApiError, InvalidRequest, RateLimited, Unauthorized, Unavailable, Vendor
from app.storage.database import is_unreachable

log = structlog.get_logger(__name__)


def register(console: Blueprint) -> None:
    console.register_error_handler(InvalidRequest, _invalid)
    console.register_error_handler(CSRFError, _forged)
    console.register_error_handler(HTTPException, _http)
    console.register_error_handler(ApiError, _vendor)
    console.register_error_handler(Exception, _unexpected)


def refusal(status: int, cause: str, detail: str) -> Response:
    """A page of its own. Should even that fail, for the database is away, it is shown without who is signed in."""
    known = CATALOGUE[Cause(cause)]
    response = make_response(render_template("console/refused.html", cause=known, detail=detail), status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _invalid(error: InvalidRequest) -> Response:
    faults = [fault.detail for fault in error.errors if fault.detail != error.detail]
    return refusal(error.status, error.cause, " ".join([error.detail, *faults]))


def _forged(_error: CSRFError) -> Response:
    detail = "The form was sent without this browser's own mark, or after signing in anew. Open its page again."
    return refusal(400, Cause.INVALID_REQUEST, detail)


def _http(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    causes = {401: Cause.UNAUTHENTICATED, 403: Cause.TEAMMATE_NOT_PERMITTED, 404: Cause.NOT_FOUND}
    return refusal(status, causes.get(status, Cause.INVALID_REQUEST), error.description or error.name)


def _vendor(error: ApiError) -> Response:
    intercom = error.vendor is Vendor.INTERCOM
    if isinstance(error, Unauthorized):
        return refusal(422, "intercom_unauthorized" if intercom else "referral_factory_unauthorized", str(error))
    if isinstance(error, RateLimited):
        return refusal(503, Cause.RATE_LIMITED, str(error))
    if isinstance(error, Unavailable):
        return refusal(503, "intercom_unavailable" if intercom else "referral_factory_unavailable", str(error))
    return refusal(422, "value_refused_by_intercom" if intercom else "referral_factory_refused", str(error))


def _unexpected(error: Exception) -> Response:
    if is_unreachable(error):
        log.error("database_unreachable", error=type(error).__name__)
        return Response(render_template("console/away.html"), 503, {"Retry-After": "30", "Cache-Control": "no-store"})
    sentry_sdk.capture_exception(error)
    log.exception("unexpected_error", route=str(request.url_rule or ""))
    return refusal(500, Cause.INTERNAL_ERROR, "Something broke on our side. It was recorded.")
