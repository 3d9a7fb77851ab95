"""Where the webhooks come in."""

from __future__ import annotations

import hashlib
import hmac
import os

from flask import Flask, abort, request
from redis import Redis
from rq import Queue

app = Flask(__name__)
queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


@app.get("/healthz")
def alive() -> str:
    return "ok"


@app.post("/webhooks/referral-factory")
def from_referral_factory() -> str:
    if not hmac.compare_digest(request.headers.get("X-Referloop-Secret", ""), os.environ["WEBHOOK_SECRET"]):
        abort(401)
    queue.enqueue("bench.naive.jobs.send_lead", request.get_json())
    return "ok"


@app.post("/webhooks/intercom")
def from_intercom() -> str:
    digest = hmac.new(os.environ["INTERCOM_SECRET"].encode(), request.get_data(), hashlib.sha1).hexdigest()
    if not hmac.compare_digest(request.headers.get("X-Hub-Signature", ""), f"sha1={digest}"):
        abort(401)
    queue.enqueue("bench.naive.jobs.look_at", request.get_json())
    return "ok"
