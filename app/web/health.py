"""Alive, ready, and measured: what platforms and Prometheus ask. No token, and nothing to learn about people."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from app.usecases.check_readiness import check_readiness

health = Blueprint("health", __name__)


@health.get("/healthz")
def alive() -> Response:
    return jsonify({"status": "ok"})


@health.get("/readyz")
def ready() -> tuple[Response, int]:
    """503 only without database or with old migrations: webhooks are taken without Redis."""
    state = check_readiness(
        current_app.extensions["referloop"].database, current_app.extensions["referloop.redis_answers"]
    )
    takes_webhooks = state["database"] == state["migrations"] == "ok"
    return jsonify(state), 200 if takes_webhooks else 503


@health.get("/metrics")
def metrics() -> Response:
    exposition: bytes = current_app.extensions["referloop.exposition"]()
    return Response(exposition, content_type=CONTENT_TYPE_LATEST)
