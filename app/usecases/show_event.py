"""What was sent to us, as people may see it: secrets masked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from sqlalchemy import Row

from app.storage import campaigns, workspaces
from app.usecases.services import Services

MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|passw|authori[sz]ation|api[-_ ]?key|credential|signature", re.IGNORECASE)

FORM = "application/x-www-form-urlencoded"


def payload_of(services: Services, event: Row[Any]) -> Any:
    """An event's content: JSON as it was sent, a form as an object, else text. ``None`` where it was not kept."""
    if event.payload is None:
        return None
    return masked(_parsed(event.payload, event.content_type), _secrets_near(services, event))


def _parsed(payload: bytes, content_type: str) -> Any:
    text = payload.decode("utf-8", "replace")
    if content_type.startswith(FORM):
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_number)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _number(digits: str) -> float | str:
    """What no number of ours can hold is shown as it was written."""
    number = float(digits)
    return number if math.isfinite(number) else digits


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
