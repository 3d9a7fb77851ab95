"""Referral Factory's outbound webhooks: unsigned, never repeated, and in the customer's own words.

A webhook is {"url", "topic", "campaign_id", "headers", "method", "encoding", "fields", "names", "sources"}:
`topic` is joined, qualified or reward-issued; `encoding` json or form; `fields` the documented names to send
(null: all); `names` renames them for the receiver; `sources` limits who fires it (null: everybody).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sandbox import fates
from sandbox.webhooks import Delivery

if TYPE_CHECKING:
    from sandbox.referral_factory.people import Joined
    from sandbox.world import World

TOPICS = ("joined", "qualified", "reward-issued")
MOST_HEADERS = 3
ALTERNATIVE_NAMES = {"first_name": "First Name", "email": "email_address", "code": "referral_code"}


def make(body: dict[str, Any], number: int) -> dict[str, Any]:
    """A webhook from its description; ValueError says what is wrong with it."""
    headers = body.get("headers") or {}
    if body.get("topic") not in TOPICS:
        raise ValueError(f"topic must be one of {', '.join(TOPICS)}")
    if not isinstance(body.get("url"), str) or not body["url"].startswith("http"):
        raise ValueError("url must be an address")
    if not isinstance(headers, dict) or len(headers) > MOST_HEADERS:
        raise ValueError(f"headers takes {MOST_HEADERS} at most")
    if body.get("encoding", "json") not in ("json", "form"):
        raise ValueError("encoding must be json or form")
    names = body.get("names") or {}
    return {
        "id": number,
        "url": body["url"],
        "topic": body["topic"],
        "campaign_id": body.get("campaign_id"),
        "headers": {str(name): str(value) for name, value in headers.items()},
        "method": str(body.get("method", "POST")).upper(),
        "encoding": body.get("encoding", "json"),
        "fields": body.get("fields"),
        "names": ALTERNATIVE_NAMES if names == "alternative" else dict(names),
        "sources": body.get("sources"),
    }


def payload(world: World, joined: Joined) -> dict[str, Any]:
    """Everything a webhook can carry about a person, under the documented names."""
    account, campaign, person = joined.account, joined.campaign, joined.person
    base = world.settings.public_url
    brought, qualified = account.count(person["id"])
    referrer = account.people.get(person["referrer_id"] or 0) or {}
    code = referrer.get("code")
    return {
        "id": person["id"],
        "code": person["code"],
        "email": person["email"],
        "first_name": person["first_name"],
        "type": person["type"],
        "source": person["source"],
        "url": f"{base}/r/{person['code']}",
        "campaign_id": campaign["id"],
        "campaign_name": campaign["name"],
        "signed_up_at": person["signed_up_at"],
        "qualified_at": person["qualified_at"],
        "referrals": brought,
        "qualified_referrals": qualified,
        "referrer_id": referrer.get("id"),
        "referrer_code": code,
        "referrer_email": referrer.get("email"),
        "referrer_first_name": referrer.get("first_name"),
        "referrer_url": f"{base}/r/{code}" if code else None,
        **{row["field"]: row["value"] for row in person["meta"]},
    }


def fire(world: World, topic: str, joined: Joined) -> None:
    """Send a topic's webhooks of the person's campaign."""
    hooks = [
        hook
        for hook in joined.account.webhooks
        if hook["topic"] == topic
        and hook["campaign_id"] in (None, joined.campaign["id"])
        and (hook["sources"] is None or joined.person["source"] in hook["sources"])
    ]
    if not hooks:
        return
    full = payload(world, joined)
    for hook in hooks:
        _send(world, joined.account.name, hook, full)


def _send(world: World, owner: str, hook: dict[str, Any], full: dict[str, Any]) -> None:
    chosen = {
        hook["names"].get(name, name): value
        for name, value in full.items()
        if hook["fields"] is None or name in hook["fields"]
    }
    if hook["encoding"] == "json":
        kind, body = "application/json", json.dumps(chosen).encode()
    else:
        texts = {name: "" if value is None else str(value) for name, value in chosen.items()}
        kind, body = "application/x-www-form-urlencoded", urlencode(texts).encode()
    headers = {"Content-Type": kind, **hook["headers"]}
    delivery = Delivery(
        vendor="referral_factory",
        owner=owner,
        topic=hook["topic"],
        url=hook["url"],
        method=hook["method"],
        render=lambda _attempt: (headers, body),
        done=lambda _delivery, _status: None,
        timeout=world.settings.webhook_timeout_seconds,
        about=full["id"],
    )
    world.sender.submit(delivery, fates.choose(world, "referral_factory", hook["topic"], full))
