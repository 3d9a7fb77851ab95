"""A webhook comes in: proven, kept, committed; only then the workers are rung for and the sender is answered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
from app.storage import campaigns, workspaces
from app.storage.inbox import NewEvent, Receipt
from app.usecases.services import Services
from schemas import intercom as intercom_format
from schemas import referral_factory as referral_factory_format

CAMPAIGN_TOPICS = ("joined", "qualified", "reward-issued")


@dataclass(frozen=True, slots=True)
class Door:
    """The campaign a webhook address belongs to, and the secrets that open it now."""

    campaign_id: int
    workspace_id: int
    secrets: tuple[str, ...]


def campaign_door(services: Services, key: str, topic: str) -> Door:
    """Raises: InvalidRequest 404 for an unknown key or topic."""
    if topic in CAMPAIGN_TOPICS and is_storable(key):
        with services.database.reading() as connection:
            campaign = campaigns.by_webhook_key(connection, key)
        if campaign is not None:
            secrets = _valid(services, campaign.webhook_secret, campaign.former_secret, campaign.former_until)
            return Door(campaign.id, campaign.workspace_id, secrets)
    raise InvalidRequest(
        "There is no such webhook address. Copy it from the campaign's page; it ends in joined, qualified or "
        "reward-issued.",
        status=404,
        cause="not_found",
    )


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
    try:
        verify_secret(secret, door.secrets)
    except SignatureError as error:
        raise InvalidRequest(
            "The webhook secret is missing or wrong. Send it in the header X-Referloop-Secret.",
            status=401,
            cause="unauthenticated",
        ) from error
    return _keep(
        services,
        NewEvent(
            dedupe_key=content_key(door.campaign_id, topic, payload),
            source="referral_factory",
            topic=topic,
            workspace_id=door.workspace_id,
            campaign_id=door.campaign_id,
            person_key=_whose(door, payload),
            content_type=content_type,
            payload=body,
            received_at=services.now(),
        ),
    )


def receive_from_intercom(
    services: Services, *, body: bytes, payload: Mapping[str, Any], signature: str | None
) -> Receipt:
    """Raises: InvalidRequest 401; TimeoutError or DBAPIError where the database is away."""
    app_id = str(payload.get("app_id") or "")
    workspace_id = _verified_workspace(services, app_id, body, signature)
    notification_id = payload.get("id")
    return _keep(
        services,
        NewEvent(
            dedupe_key=notification_key(app_id, str(notification_id) if notification_id else None, body),
            source="intercom",
            topic=_topic(payload.get("topic")),
            workspace_id=workspace_id,
            campaign_id=None,
            person_key=_about(workspace_id, payload),
            content_type="application/json",
            payload=body,
            received_at=services.now(),
        ),
    )


def _verified_workspace(services: Services, app_id: str, body: bytes, signature: str | None) -> int:
    """The workspace that the body names and whose secret signed it; a disconnected one is still verified."""
    with services.database.reading() as connection:
        workspace = workspaces.by_app_id(connection, app_id) if is_storable(app_id) else None
    if workspace is not None:
        secrets = _valid(services, workspace.client_secret, workspace.former_client_secret, workspace.former_until)
        with suppress(SignatureError):
            verify_intercom(body, signature, secrets)
            return int(workspace.id)
    raise InvalidRequest(
        "The signature does not fit a connected workspace. Check its client secret.",
        status=401,
        cause="unauthenticated",
    )


def _keep(services: Services, event: NewEvent) -> Receipt:
    receipt = services.intake.keep(event)
    services.metrics.received(event.source, receipt.duplicate)
    services.bell.ring()
    return receipt


def _valid(services: Services, sealed: str | None, former: str | None, until: datetime | None) -> tuple[str, ...]:
    """The secret, and the one before it as long as that is accepted."""
    still = former if until is not None and until > services.now() else None
    return tuple(services.vault.open(one) for one in (sealed, still) if one)


MOST_TOPIC = 100


def _topic(topic: object) -> str:
    """As sent, within what a column and a page can bear; no control characters, which PostgreSQL refuses."""
    return "".join(c for c in str(topic or "")[:MOST_TOPIC] if c.isprintable() and is_storable(c))


def _whose(door: Door, payload: Mapping[str, Any]) -> str | None:
    try:
        person = referral_factory_format.person_from_webhook(payload)
    except NotUnderstood:
        return None
    if person.email:
        return person_key(door.workspace_id, person.email)
    name = person.referral_factory_id or person.code
    return referral_factory_key(door.campaign_id, name) if name else None


def _about(workspace_id: int, payload: Mapping[str, Any]) -> str | None:
    try:
        notification = intercom_format.notification_from(payload)
    except NotUnderstood:
        return None
    if notification.email:
        return person_key(workspace_id, notification.email)
    return contact_key(workspace_id, notification.contact_id) if notification.contact_id else None
