"""A webhook comes in: proven, kept, committed; only then the workers are rung for and the sender is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from app.core.errors import InvalidRequest, NotUnderstood
from app.core.identity import (
    contact_key,
    content_key,
    notification_key,
    person_key,
    referral_factory_key,
)
from app.core.signatures import SignatureError, verify_intercom, verify_secret
from app.core.text import is_storable
from app.storage import erasures
from app.storage.doors import Door
from app.storage.inbox import NewEvent, Receipt
from app.usecases.services import Services
from schemas import intercom as intercom_format
from schemas import referral_factory as referral_factory_format

CAMPAIGN_TOPICS = ("joined", "qualified", "reward-issued")

# How one sender proves itself: raises SignatureError where none of the secrets does it.
Proof = Callable[[Sequence[str]], None]


def campaign_door(services: Services, key: str, topic: str) -> Door:
    """Raises: InvalidRequest 404 for an unknown key or topic."""
    door = services.doors.of_campaign(key) if topic in CAMPAIGN_TOPICS and is_storable(key) else None
    if door is None:
        raise InvalidRequest(
            "There is no such webhook address. Copy it from the campaign's page; it ends in joined, qualified or "
            "reward-issued.",
            status=404,
            cause="not_found",
        )
    return door


def receive_from_referral_factory(
    services: Services,
    door: Door,
    topic: str,
    *,
    body: bytes,
    content_type: str,
    payload: Mapping[str, Any],
    secret: str | None,
) -> Receipt:
    """Raises: InvalidRequest 401; TimeoutError or DBAPIError where the database is away."""

    def event(door: Door) -> NewEvent:
        key = content_key(door.campaign_id or 0, topic, payload)
        mark = erasures.mark_of(door.erasure_key, services.vault)
        return NewEvent(
            dedupe_key=key,
            erased_as=mark.event(key) if mark is not None else None,
            source="referral_factory",
            topic=topic,
            workspace_id=door.workspace_id,
            campaign_id=door.campaign_id,
            person_key=_whose(door, payload),
            content_type=content_type,
            payload=body,
            received_at=services.now(),
            came_by=door,
        )

    find = partial(services.doors.of_campaign, door.address)
    receipt = _let_in(services, find, lambda secrets: verify_secret(secret, secrets), event)
    if receipt is None:
        raise InvalidRequest(
            "The webhook secret is missing or wrong. Send it in the header X-Referloop-Secret.",
            status=401,
            cause="unauthenticated",
        )
    return receipt


def receive_from_intercom(
    services: Services, *, body: bytes, payload: Mapping[str, Any], signature: str | None
) -> Receipt:
    """By the workspace that the body names, where its secret signed it; a disconnected one is still verified.

    Raises: InvalidRequest 401; TimeoutError or DBAPIError where the database is away.
    """
    app_id = str(payload.get("app_id") or "")
    notification_id = payload.get("id")

    def event(door: Door) -> NewEvent:
        return NewEvent(
            dedupe_key=notification_key(app_id, str(notification_id) if notification_id else None, body),
            source="intercom",
            topic=_topic(payload.get("topic")),
            workspace_id=door.workspace_id,
            campaign_id=None,
            person_key=_about(door.workspace_id, payload),
            content_type="application/json",
            payload=body,
            received_at=services.now(),
            came_by=door,
        )

    receipt = None
    if is_storable(app_id):
        find = partial(services.doors.of_workspace, app_id)
        receipt = _let_in(services, find, lambda secrets: verify_intercom(body, signature, secrets), event)
    if receipt is None:
        raise InvalidRequest(
            "The signature does not fit a connected workspace. Check its client secret.",
            status=401,
            cause="unauthenticated",
        )
    return receipt


class Finds(Protocol):
    def __call__(self, *, anew: bool) -> Door | None: ...


def _let_in(services: Services, find: Finds, proof: Proof, event: Callable[[Door], NewEvent]) -> Receipt | None:
    """``None`` for who is refused. A remembered door that refuses, or stands so no more, is looked at anew: a secret
    that was made just now opens at once, and one that was revoked opens nowhere any more."""
    for anew in (False, True):
        door = find(anew=anew)
        if door is None:
            break
        if _opens(services, door, proof):
            receipt = services.intake.keep(event(door))
            if receipt is not None:
                return _told(services, door, receipt)
    return None


def _opens(services: Services, door: Door, proof: Proof) -> bool:
    """By its secret, or the one before it as long as that is accepted."""
    still = door.former_until is not None and door.former_until > services.now()
    sealed = (door.secret, door.former_secret if still else None)
    try:
        proof(tuple(services.vault.open(one) for one in sealed if one))
    except SignatureError:
        return False
    return True


def _told(services: Services, door: Door, receipt: Receipt) -> Receipt:
    services.metrics.received("intercom" if door.campaign_id is None else "referral_factory", receipt.duplicate)
    services.bell.ring()
    return receipt


MOST_TOPIC = 100


def _topic(topic: object) -> str:
    """As sent, within what a column and a page can bear; no control characters, which PostgreSQL refuses."""
    told = str(topic or "")[:MOST_TOPIC]
    if told.isprintable() and is_storable(told):
        return told
    return "".join(c for c in told if c.isprintable() and is_storable(c))


def _whose(door: Door, payload: Mapping[str, Any]) -> str | None:
    try:
        person = referral_factory_format.person_from_webhook(payload)
    except NotUnderstood:
        return None
    if person.email:
        return person_key(door.workspace_id, person.email)
    name = person.referral_factory_id or person.code
    return referral_factory_key(door.campaign_id or 0, name) if name else None


def _about(workspace_id: int, payload: Mapping[str, Any]) -> str | None:
    try:
        contact_id, email = intercom_format.named_in(payload)
    except NotUnderstood:
        return None
    if email:
        return person_key(workspace_id, email)
    return contact_key(workspace_id, contact_id) if contact_id else None
