"""What was sent to us, as people may see it: secrets masked."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import Row

from app.core.errors import InvalidRequest
from app.storage import campaigns, workspaces
from app.usecases.services import Services
from schemas.bodies import object_from

MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|passw|authori[sz]ation|api[-_ ]?key|credential|signature", re.IGNORECASE)


def payload_of(services: Services, event: Row[Any]) -> Any:
    """An event's content: an object as it was sent, else text. ``None`` where it was not kept."""
    if event.payload is None:
        return None
    return masked(_parsed(event.payload, event.content_type), _secrets_near(services, event))


def _parsed(payload: bytes, content_type: str) -> Any:
    try:
        return object_from(payload, content_type)
    except InvalidRequest:
        return payload.decode("utf-8", "replace")


def masked(payload: Any, secrets: Collection[str]) -> Any:
    """``payload`` without the values of names that speak of secrets, and without ``secrets`` wherever they stand."""
    if isinstance(payload, dict):
        return {
            _without(str(name), secrets): MASK if _SECRET_NAME.search(str(name)) else masked(value, secrets)
            for name, value in payload.items()
        }
    if isinstance(payload, list):
        return [masked(value, secrets) for value in payload]
    return _without(payload, secrets) if isinstance(payload, str) else payload


def _without(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _secrets_near(services: Services, event: Row[Any]) -> frozenset[str]:
    """The secrets of the event's workspace and campaign, opened."""
    with services.database.reading() as connection:
        workspace = workspaces.get(connection, event.workspace_id)
        campaign = campaigns.get(connection, event.campaign_id) if event.campaign_id is not None else None
    sealed = []
    if workspace is not None:
        sealed += [workspace.token, workspace.client_secret, workspace.former_client_secret]
    if campaign is not None:
        sealed += [campaign.webhook_secret, campaign.former_secret]
    return frozenset(services.vault.open(one) for one in sealed if one)
