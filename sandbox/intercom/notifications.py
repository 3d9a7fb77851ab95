"""Intercom's notifications: the envelope, the signature, the retry, and when a subscription is switched off."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from typing import TYPE_CHECKING, Any

from sandbox import fates
from sandbox.intercom import shown
from sandbox.webhooks import Delivery

if TYPE_CHECKING:
    from sandbox.intercom.contacts import Change
    from sandbox.intercom.state import Contact, Workspace
    from sandbox.world import World

TOPICS = (
    "contact.archived",
    "contact.deleted",
    "contact.email.updated",
    "contact.lead.added_email",
    "contact.lead.created",
    "contact.lead.signed_up",
    "contact.lead.tag.created",
    "contact.lead.tag.deleted",
    "contact.lead.updated",
    "contact.merged",
    "contact.unarchive",
    "contact.user.created",
    "contact.user.tag.created",
    "contact.user.tag.deleted",
    "contact.user.updated",
)

PAUSE_AFTER_ERRORS = 1000
PAUSE_SECONDS = 900
SUSPEND_SECONDS = 7 * 86400


def subscribe(world: World, workspace: Workspace, url: str | None, topics: list[str]) -> int | str | None:
    """Save the address and the topics; saving asks the address with a HEAD, whose answer is returned."""
    unknown = set(topics) - set(TOPICS)
    if unknown:
        raise ValueError(f"unknown topics: {', '.join(sorted(unknown))}")
    subscription = workspace.subscription
    subscription.url, subscription.topics = url, list(topics)
    subscription.active, subscription.errors_in_row, subscription.errors_since = True, 0, None
    subscription.paused_until = 0.0
    subscription.head_status = world.sender.call("HEAD", url, {}, None, 5.0) if url else None
    return subscription.head_status


def announce(
    world: World, workspace: Workspace, change: Change, merged: Contact | None = None, *, fate: str | None = None
) -> list[str]:
    """Notify of a change of a contact; what became of each notification, in the words of `fates`."""
    if fate == fates.SILENT:
        return []
    became = []
    for topic in change.topics:
        if topic in workspace.subscription.topics:
            item = _item(world, workspace, topic, change.contact, merged)
            became.append(notify(world, workspace, topic, item, fate=fate))
    return [word for word in became if word is not None]


def _item(world: World, workspace: Workspace, topic: str, contact: Contact, merged: Contact | None) -> dict[str, Any]:
    if topic == "contact.archived":
        return shown.reference(contact, archived=True)
    if topic == "contact.deleted":
        return shown.reference(contact, deleted=True)
    item = shown.notified(workspace, contact)
    if merged is not None and world.settings.merged_from_in_webhook:
        item["merged_from"] = {"type": "contact", "id": merged["id"]}
    return item


def announce_tag(world: World, workspace: Workspace, contact: Contact, tag_id: str, what: str) -> None:
    """Notify that a tag was put on a contact ("created") or taken off ("deleted")."""
    topic = f"contact.{contact['role']}.tag.{what}"
    if topic in workspace.subscription.topics:
        item = {
            "type": "contact_tag",
            "created_at": int(world.clock.now()),
            "tag": shown.tag(workspace.tags[tag_id]),
            "contact": shown.notified(workspace, contact),
        }
        notify(world, workspace, topic, item)


def ping(world: World, workspace: Workspace) -> None:
    """The test notification, which needs no topic."""
    item = {"type": "ping", "message": "A test notification"}
    notify(world, workspace, "ping", item, named=False)


def notify(
    world: World,
    workspace: Workspace,
    topic: str,
    item: dict[str, Any],
    *,
    named: bool = True,
    fate: str | None = None,
) -> str | None:
    """Queue one notification, unless the subscription is off or paused; what becomes of it."""
    subscription = workspace.subscription
    now = world.clock.now()
    if not subscription.url or not subscription.active or subscription.paused_until > now:
        return None
    envelope: dict[str, Any] = {
        "type": "notification_event",
        "app_id": workspace.app_id,
        "data": {"type": "notification_event_data", "item": item},
        "links": {},
        "id": f"notif_{uuid.uuid4()}" if named else None,
        "topic": topic,
        "delivery_status": "pending",
        "delivery_attempts": 1,
        "delivered_at": 0,
        "first_sent_at": int(now),
        "created_at": int(now),
        "self": None,
    }
    delivery = Delivery(
        vendor="intercom",
        owner=workspace.app_id,
        topic=topic,
        url=subscription.url,
        id=envelope["id"],
        render=lambda attempt: _signed(workspace, {**envelope, "delivery_attempts": attempt}),
        done=lambda sent, status: _answered(world, workspace, sent, status),
        timeout=world.settings.webhook_timeout_seconds,
        about=item.get("contact", item).get("id"),
    )
    chosen = fates.choose(world, "intercom", topic, item, fate)
    world.sender.submit(delivery, chosen)
    return chosen.word


def _signed(workspace: Workspace, envelope: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    body = json.dumps(envelope).encode()
    digest = hmac.new(workspace.client_secret.encode(), body, hashlib.sha1).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "intercom-parrot-service-client/1.0",
        "X-Hub-Signature": f"sha1={digest}",
    }
    return headers, body


def _answered(world: World, workspace: Workspace, delivery: Delivery, status: int | None) -> float | None:
    """What an answer means: the seconds until the next attempt, or None for no more."""
    subscription, settings = workspace.subscription, world.settings
    now = world.clock.now()
    if status is not None and 200 <= status < 300:
        subscription.errors_in_row, subscription.errors_since = 0, None
        return None
    if status == 410:
        subscription.active = False
        return None
    if status == 429:
        # Throttled: a minute at first, twice as long each time, dropped after two hours.
        wait = settings.webhook_retry_seconds * 2 ** (delivery.attempt - 1)
        late = now - delivery.created_at + wait
        return wait if late <= settings.webhook_retry_seconds * 120 else None
    subscription.errors_in_row += 1
    subscription.errors_since = subscription.errors_since or now
    if now - subscription.errors_since > SUSPEND_SECONDS:
        subscription.active = False
    elif subscription.errors_in_row > PAUSE_AFTER_ERRORS:
        subscription.paused_until, subscription.errors_in_row = now + PAUSE_SECONDS, 0
    return settings.webhook_retry_seconds if delivery.attempt == 1 else None
