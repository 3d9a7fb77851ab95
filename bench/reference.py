"""What the figures are compared with: the same door without a store, and the same calls without a product."""

from __future__ import annotations

import hashlib
import hmac
import json
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from flask import Flask, Response, request

from local.seed import INTERCOM_SECRET, INTERCOM_TOKEN

application = Flask("bench.reference")
"""Takes webhooks as a view of ten lines would, and keeps nothing."""


@application.get("/healthz")
def alive() -> str:
    return "ok"


@application.post("/webhooks/intercom")
def from_intercom() -> Response:
    body = request.get_data()
    digest = hmac.new(INTERCOM_SECRET.encode(), body, hashlib.sha1).hexdigest()
    if not hmac.compare_digest(f"sha1={digest}", request.headers.get("X-Hub-Signature", "")):
        return Response(status=401)
    payload = json.loads(body)
    return Response(json.dumps({"event_id": payload["id"], "duplicate": False}), content_type="application/json")


def loop(intercom: str, threads: int, leads: int, prefix: str) -> dict[str, float]:
    """Search and create each of ``leads`` by plain requests, from ``threads`` at once; nothing is kept."""
    mine = threading.local()

    def apply(number: int) -> None:
        if not hasattr(mine, "session"):
            mine.session = _session()
        email = f"{prefix}{number}@example.com"
        _post(mine.session, f"{intercom}/contacts/search", _search(email))
        _post(mine.session, f"{intercom}/contacts", _contact(email, number))

    used, started = _cpu(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(apply, range(leads)):
            pass
    return {"seconds": time.perf_counter() - started, "cpu_seconds": _cpu() - used}


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {INTERCOM_TOKEN}"
    return session


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> None:
    answer = session.post(url, json=body, timeout=20)
    answer.raise_for_status()
    answer.json()


def _search(email: str) -> dict[str, Any]:
    return {"query": {"field": "email", "operator": "=", "value": email}, "pagination": {"per_page": 150}}


def _contact(email: str, number: int) -> dict[str, Any]:
    return {
        "role": "lead",
        "email": email,
        "name": f"Lead {number}",
        "custom_attributes": {
            "Referrer First Name": "Rita",
            "Referrer Email": "rita@example.com",
            "Company name": "Acme",
            "Referral Campaign": "Summer referral",
            "plan": "trial",
        },
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    address, threads, leads, prefix = sys.argv[1:]
    print(json.dumps(loop(address, int(threads), int(leads), prefix)))
