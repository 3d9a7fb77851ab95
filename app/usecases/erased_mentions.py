"""An event that an erasure comes upon: whether it is the person's own, or names them beside somebody else.

What names them is taken out in such a way that the event can be worked on again and comes to the same: a lead's
webhook is written anew in its documented names, without its referrer. A payload that is not understood, and names
them, is dropped: nothing could be taken out of it for certain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import unquote_plus

from app.core.erasure import Names, Who, redacted, referrer_in, texts_in, who, without_referrer
from app.core.errors import InvalidRequest, NotUnderstood
from app.storage.inbox import WRITE_BACK
from schemas.bodies import JSON, object_from
from schemas.intercom import notification_from
from schemas.referral_factory import person_from_webhook, webhook_payload_from


class Kept(Protocol):
    """An event as it is kept, or in hand."""

    @property
    def source(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def workspace_id(self) -> int: ...
    @property
    def campaign_id(self) -> int | None: ...
    @property
    def person_key(self) -> str | None: ...
    @property
    def content_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Left:
    """An event, with what is left of it; ``referred`` says that its contact is a lead of theirs."""

    event: Kept
    payload: bytes | None
    error: str | None
    referred: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """It is the person's own."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """It is somebody else's, and this is what stays."""

    payload: bytes | None
    content_type: str
    error: str | None


def fate_of(left: Left, names: Names) -> Gone | Redacted | None:
    """``None`` where it does not name them."""
    event = left.event
    if event.workspace_id not in names.workspaces:
        return None
    if event.person_key is not None and event.person_key in names.keys:
        return Gone()
    error = None if left.error is not None and names.are_in(left.error) else left.error
    told = _of_payload(left, names) if left.payload is not None else None
    if isinstance(told, Gone):
        return told
    if told is None and error == left.error:
        return None
    payload, content_type = told or (left.payload, event.content_type)
    return Redacted(payload, content_type, error)


def _of_payload(left: Left, names: Names) -> Gone | tuple[bytes | None, str] | None:
    event, body = left.event, left.payload or b""
    try:
        payload = object_from(body, event.content_type)
    except InvalidRequest:
        return (None, event.content_type) if _are_in_bytes(body, names) else None
    if event.origin == WRITE_BACK:
        return Gone() if payload.get("person_id") in names.people else None
    try:
        of_vendor = _from_intercom if event.source == "intercom" else _from_referral_factory
        new = of_vendor(left, payload, names)
    except NotUnderstood:
        return (None, event.content_type) if any(map(names.are_in, texts_in(payload))) else None
    if new is None or isinstance(new, Gone):
        return new
    return json.dumps(new).encode(), JSON


def _from_referral_factory(left: Left, payload: dict[str, Any], names: Names) -> Gone | dict[str, Any] | None:
    workspace_id, campaign_id = left.event.workspace_id, left.event.campaign_id or 0
    person = person_from_webhook(payload)
    if names.are(who(workspace_id, campaign_id, person)):
        return Gone()
    values = dict(person.values)
    referrer = referrer_in(workspace_id, campaign_id, values)
    if referrer is not None and names.are(referrer):
        values = without_referrer(values)
    elif not any(map(names.are_in, texts_in(payload))):
        return None
    return webhook_payload_from(replace(person, values=redacted(values, names)))


def _from_intercom(left: Left, payload: dict[str, Any], names: Names) -> Gone | dict[str, Any] | None:
    notice = notification_from(payload)
    workspace_id = left.event.workspace_id
    for contact_id in (notice.contact_id, notice.merged_from):
        if names.are(Who(workspace_id, email=notice.email, contact_id=contact_id)):
            return Gone()
    if not left.referred and not any(map(names.are_in, texts_in(payload))):
        return None
    new = redacted(payload, names, names.words)
    return new if new != payload else None


def _are_in_bytes(body: bytes, names: Names) -> bool:
    text = body.decode("utf-8", "replace")
    return names.are_in(text) or names.are_in(unquote_plus(text))
