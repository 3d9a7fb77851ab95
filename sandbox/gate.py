"""What every call passes through, whichever vendor it is for: latency, faults and the log."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Flask, Response, current_app, g, request

from sandbox import connection
from sandbox.faults import AFTER, Rule
from sandbox.world import World

# What a fault says with a status: as each vendor says it by itself.
INTERCOM_WORDS = {
    401: ("unauthorized", "Access Token Invalid"),
    404: ("not_found", "User Not Found"),
    429: ("rate_limit_exceeded", "Exceeded rate limit of 83 in 10_seconds"),
    503: ("service_unavailable", "The service is unavailable"),
}
FACTORY_WORDS = {
    401: "Unauthenticated.",
    404: "Not found",
    422: "Validation errors in your request",
    429: "Too Many Attempts.",
    503: "The service is unavailable",
}

PREFIXES = {"/intercom": "intercom", "/referral-factory": "referral_factory"}


def guard(app: Flask) -> None:
    """Put the gate in front of both vendors' doors."""

    @app.before_request
    def _before() -> Response | None:
        # Whatever the answer: a body left unread would be taken for the next call on the connection.
        request.get_data()
        g.vendor = vendor = _vendor(request.path)
        if vendor is None:
            return None
        world = _the_world()
        latency = world.settings.latency_ms
        if latency:
            time.sleep(latency / 1000)
        g.fault = rule = _struck(world, vendor)
        return None if rule is None or rule.kind in AFTER else _fail_before(rule, vendor)

    @app.after_request
    def _after(response: Response) -> Response:
        if g.get("vendor") is None:
            return response
        rule: Rule | None = g.get("fault")
        try:
            if rule is not None and rule.kind in AFTER:
                response = _fail_after(rule, response, g.vendor)
        finally:
            _log(_the_world(), response.status_code, rule)
        return response


def _the_world() -> World:
    world: World = current_app.extensions["sandbox"]
    return world


def _vendor(path: str) -> str | None:
    return PREFIXES.get("/" + path[1:].partition("/")[0])


def _below(path: str) -> str:
    return "/" + path[1:].partition("/")[2]


def _struck(world: World, vendor: str) -> Rule | None:
    if not world.faults.rules:
        return None
    text = request.get_data().decode("utf-8", "replace")
    with world.lock:
        return world.faults.strike(vendor, request.method, _below(request.path), text)


def _fail_before(rule: Rule, vendor: str) -> Response | None:
    if rule.kind == "slow":
        time.sleep(rule.ms / 1000)
        return None
    if rule.kind == "timeout_before":
        time.sleep(rule.seconds)
    if rule.kind in ("timeout_before", "reset_before"):
        _log(_the_world(), 0, rule)  # here, for no answer will pass the gate
        connection.cut(request.environ)
    status = {"429": 429, "unavailable": 503}.get(rule.kind, rule.status)
    return _error(vendor, status)


def _fail_after(rule: Rule, response: Response, vendor: str) -> Response:
    if rule.kind == "timeout_after":
        time.sleep(rule.seconds)
    if rule.kind in ("timeout_after", "reset_after"):
        connection.cut(request.environ)
    if rule.kind == "error_after":
        return _error(vendor, rule.status)
    if rule.kind == "empty_body":
        response.set_data(b"")
    elif rule.kind == "html_body":
        response.set_data(b"<html><body><h1>Something went wrong</h1></body></html>")
        response.content_type = "text/html"
    elif response.is_json:
        _rewrite(response, rule.kind)
    return response


def _rewrite(response: Response, kind: str) -> None:
    payload = json.loads(response.get_data())
    if kind == "missing_request_id":
        payload.pop("request_id", None)
    else:
        payload["field_of_tomorrow"] = {"type": "surprise", "values": [1, None]}
    response.set_data(json.dumps(payload))


def _error(vendor: str, status: int) -> Response:
    payload: dict[str, Any]
    if vendor == "intercom":
        code, message = INTERCOM_WORDS.get(status, ("server_error", "An error occurred"))
        payload = {"type": "error.list", "errors": [{"code": code, "message": message}]}
    else:
        payload = {"message": FACTORY_WORDS.get(status, "An error occurred")}
        if status == 422:
            wrong = {"field": "id", "message": "The selected id is invalid."}
            payload = {"code": 422, **payload, "errors": {"id": [wrong]}}
    response = Response(json.dumps(payload), status, mimetype="application/json")
    if vendor == "intercom" and status == 429:
        reset = str((int(time.time()) // 10 + 1) * 10)
        limits = {"Limit": "83", "Remaining": "0", "Reset": reset}
        response.headers.update({f"X-RateLimit-{name}": value for name, value in limits.items()})
    return response


def _log(world: World, status: int, rule: Rule | None) -> None:
    pattern = request.url_rule.rule if request.url_rule is not None else request.path
    with world.lock:
        world.calls[(g.vendor, request.method, _below(pattern), status)] += 1
        world.log.append(
            {
                "at": world.clock.now(),
                "vendor": g.vendor,
                "method": request.method,
                "path": _below(request.path),
                "query": request.query_string.decode(),
                "status": status,
                "fault": rule.kind if rule is not None else None,
            }
        )
