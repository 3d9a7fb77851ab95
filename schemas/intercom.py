"""Intercom's wire formats, both ways: its payloads as core values, our drafts as its bodies.

Read leniently: unknown keys, nulls, ids as numbers, times as Unix seconds or ISO 8601 and missing nested lists occur
in real answers (Intercom's 2.16 description is incomplete, and additive changes come without notice:
https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/unversioned-changes/).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from app.core.audiences import Attribute, AttributeType
from app.core.errors import NotUnderstood
from app.core.events import Change, IntercomNotification
from app.core.people import CUSTOM, Contact, ContactDraft, Role


def text_of(value: object) -> str | None:
    """A scalar as text (ids come as numbers at times); ``None`` for null, empty text, and what is no scalar."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def seconds_of(value: object) -> int | None:
    """A time as Unix seconds: REST has these, notifications have ISO 8601; ``None`` for what is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return _iso_seconds(value.strip()) if isinstance(value, str) and not value.isdigit() else int(value)
    except (ValueError, OverflowError):
        return None


def _iso_seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _object_of(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _flag_of(value: object) -> bool:
    return value is True or value in (1, "true")


def _text(**options: Any) -> fields.Function:
    return fields.Function(deserialize=text_of, **(options or {"load_default": None}))


def _seconds() -> fields.Function:
    return fields.Function(deserialize=seconds_of, load_default=None)


def _flag(default: bool | None = None) -> fields.Function:
    return fields.Function(deserialize=_flag_of, load_default=default, allow_none=True)


class _Payload(Schema):
    class Meta:
        unknown = EXCLUDE


class ContactSchema(_Payload):
    """``contact`` of the 2.16 description; the fields that can be mapped, compared or sorted by."""

    id = _text(required=True)
    role = _text()
    type = _text()
    email = _text()
    name = _text()
    phone = _text()
    language_override = _text()
    custom_attributes = fields.Function(deserialize=_object_of, load_default=dict, allow_none=True)
    created_at = _seconds()
    updated_at = _seconds()

    @post_load
    def _contact(self, data: dict[str, Any], **_: Any) -> Contact:
        kind = data.pop("type")
        data["custom_attributes"] = data["custom_attributes"] or {}
        return Contact(role=role_of(data.pop("role"), kind), **data)


class AttributeSchema(_Payload):
    """``data_attribute``. A list is ``string`` with options; what the enum lacks is taken for a Reference."""

    name = _text(required=True)
    full_name = _text()
    label = _text()
    data_type = _text()
    options = fields.Raw(load_default=None, allow_none=True)
    api_writable = _flag()
    archived = _flag(False)
    custom = _flag()
    multiline = _flag(False)

    @post_load
    def _attribute(self, data: dict[str, Any], **_: Any) -> Attribute:
        name, full_name = data["name"], data["full_name"]
        custom = data["custom"] if data["custom"] is not None else (full_name or "").startswith(CUSTOM)
        options = tuple(_options(data["options"]))
        return Attribute(
            path=full_name or (CUSTOM + name if custom else name),
            name=name,
            label=data["label"] or name,
            type=_type_of(data["data_type"], options),
            options=options,
            writable=custom if data["api_writable"] is None else data["api_writable"],
            archived=bool(data["archived"]),
            custom=custom,
            multiline=bool(data["multiline"]),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a workspace; ``person_type`` is the kind of contact it holds. ``count`` only where asked for."""

    id: str
    name: str
    person_type: Role
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a token opens: ``app_id`` is in every notification, ``timezone`` decides how searches compare days."""

    app_id: str
    name: str
    timezone: str | None = None
    region: str | None = None


_TYPES: Final = {
    "string": AttributeType.TEXT,
    "integer": AttributeType.NUMBER,
    "float": AttributeType.DECIMAL,
    "boolean": AttributeType.BOOLEAN,
    "options": AttributeType.LIST,
    "date": AttributeType.DATE,
    "datetime": AttributeType.DATE,
}

CREATED_AS: Final[Mapping[AttributeType, str]] = {
    AttributeType.TEXT: "string",
    AttributeType.NUMBER: "integer",
    AttributeType.DECIMAL: "float",
    AttributeType.BOOLEAN: "boolean",
    AttributeType.LIST: "options",
    AttributeType.DATE: "date",
}
"""``data_type`` in the body that makes one (``create_data_attribute_request``); a Reference can't be made."""

_ROLES: Final = {"user": Role.USER, "lead": Role.LEAD, "contact": Role.LEAD}

_CHANGES: Final = {
    "created": Change.CREATED,
    "updated": Change.UPDATED,
    "email.updated": Change.UPDATED,
    "added_email": Change.UPDATED,
    "signed_up": Change.SIGNED_UP,
    "archive": Change.ARCHIVED,
    "archived": Change.ARCHIVED,
    "unarchive": Change.UNARCHIVED,
    "unarchived": Change.UNARCHIVED,
    "deleted": Change.DELETED,
    "merged": Change.MERGED,
    # Of our own: see LOOK.
    "reconcile": Change.LOOKED_AT,
}

LOOK: Final = "contact.reconcile"
"""The topic of our own notifications: look at this contact, for something may have changed that nobody told."""

_FAMILIES: Final = (
    ("contact.user.", Role.USER),
    ("contact.lead.", Role.LEAD),
    ("user.", Role.USER),
    ("contact.", Role.LEAD),
)
"""Prefixes of topics, and the role of a contact that does not say its own. Before version 2.5 ``contact.created`` was
a lead's and ``user.created`` a user's (https://developers.intercom.com/docs/references/2.5/changelog)."""

_CONTACT, _ATTRIBUTE = ContactSchema(), AttributeSchema()


def role_of(role: str | None, kind: str | None = None) -> Role:
    """The role; where there is none, the ``type`` of old versions; else a user, as Intercom itself reads it."""
    return _ROLES.get((role or "").lower()) or ({"lead": Role.LEAD}.get((kind or "").lower()) or Role.USER)


def contact_from(payload: object) -> Contact:
    """A contact of an answer or a notification. Raises ``NotUnderstood`` where it has no id."""
    contact: Contact = _loaded(_CONTACT, payload, "a contact")
    return contact


def attribute_from(payload: object) -> Attribute:
    """A data attribute, standard or custom. Raises ``NotUnderstood`` where it has no name."""
    attribute: Attribute = _loaded(_ATTRIBUTE, payload, "a data attribute")
    return attribute


def segment_from(payload: object) -> Segment:
    """A segment; its ``person_type`` ``contact`` means lead. Raises ``NotUnderstood`` where it has no id."""
    row = payload if isinstance(payload, dict) else {}
    id_ = text_of(row.get("id"))
    if id_ is None:
        raise NotUnderstood(f"Expected a segment with an id, found {_kind(payload)}.")
    kind = _ROLES.get(text_of(row.get("person_type")) or "", Role.USER)
    return Segment(id_, text_of(row.get("name")) or id_, kind, seconds_of(row.get("count")))


def identity_from(payload: object) -> Workspace:
    """The workspace in an answer of ``GET /me``. Raises ``NotUnderstood`` where it names none."""
    app = payload.get("app") if isinstance(payload, dict) else None
    app = app if isinstance(app, dict) else {}
    app_id = text_of(app.get("id_code"))
    if app_id is None:
        raise NotUnderstood("Expected the workspace (app.id_code) of the token, found none.")
    region = (text_of(app.get("region")) or "").lower()[:2]
    return Workspace(
        app_id,
        text_of(app.get("name")) or app_id,
        text_of(app.get("timezone")),
        region if region in ("us", "eu", "au") else None,
    )


def body_from(draft: ContactDraft) -> dict[str, object]:
    """The body that creates or updates a contact: standard fields at the top, custom ones below, keys bare.

    The role only where the draft has one (an update with ``role: lead`` of a user is refused), custom attributes only
    where there are any, and never an ``external_id``, which leads ignore.
    """
    body: dict[str, object] = {path: value for path, value in draft.values.items() if not path.startswith(CUSTOM)}
    custom = {path.removeprefix(CUSTOM): value for path, value in draft.values.items() if path.startswith(CUSTOM)}
    body.pop("external_id", None)
    if draft.role is not None:
        body["role"] = draft.role.value
    if custom:
        body["custom_attributes"] = custom
    return body


def notification_from(payload: object) -> IntercomNotification:
    """A verified webhook in our words (https://developers.intercom.com/docs/references/2.16/webhooks/webhook-models).

    Old and new topics, contacts nested under ``user``, ``lead`` or ``contact``, and unknown topics are all taken.
    Raises ``NotUnderstood`` where the envelope has no workspace or topic, or a contact's topic names no contact.
    """
    envelope, app_id, topic = _envelope(payload)
    change, role = meaning_of(topic)
    item, contact_id = _contact_of(envelope, topic, change)
    return IntercomNotification(
        app_id=app_id,
        topic=topic,
        id=text_of(envelope.get("id")),
        change=_change_of(change, item),
        contact_id=contact_id,
        contact=_shown(item, role) if change else None,
        email=text_of(item.get("email")),
        merged_from=_id_in(item.get("merged_from")),
        created_at=seconds_of(envelope.get("created_at")),
        first_sent_at=seconds_of(envelope.get("first_sent_at")),
    )


def named_in(payload: object) -> tuple[str | None, str | None]:
    """The contact's id and email that a notification names, at a fraction of what reading all of it costs.

    Raises ``NotUnderstood`` as ``notification_from``.
    """
    envelope, _, topic = _envelope(payload)
    change, _ = meaning_of(topic)
    item, contact_id = _contact_of(envelope, topic, change)
    return contact_id, text_of(item.get("email"))


def _envelope(payload: object) -> tuple[Mapping[str, object], str, str]:
    envelope = payload if isinstance(payload, dict) else {}
    app_id, topic = text_of(envelope.get("app_id")), text_of(envelope.get("topic"))
    if app_id is None or topic is None:
        raise NotUnderstood(f"Expected a notification with app_id and topic, found {_kind(payload)}.")
    return envelope, app_id, topic


def _contact_of(
    envelope: Mapping[str, object], topic: str, change: Change | None
) -> tuple[Mapping[str, object], str | None]:
    """The contact and its id; neither where the topic means nothing here."""
    data = envelope.get("data")
    item = _contact_in(data.get("item") if isinstance(data, dict) else None) if change else {}
    contact_id = text_of(item.get("id"))
    if change and contact_id is None:
        raise NotUnderstood(f"Expected a contact with an id in a notification of {topic}, found none.")
    return item, contact_id


def look_payload(app_id: str, contact_id: str) -> bytes:
    """A notification of our own, in Intercom's envelope."""
    item = {"id": contact_id}
    return json.dumps({"app_id": app_id, "topic": LOOK, "data": {"item": item}}).encode()


def meaning_of(topic: str) -> tuple[Change | None, Role]:
    """What a topic says has happened (``None``: nothing that matters here), and whose topic it is."""
    for prefix, role in _FAMILIES:
        if topic.startswith(prefix):
            return _CHANGES.get(topic.removeprefix(prefix)), role
    return None, Role.USER


def _change_of(change: Change | None, item: Mapping[str, object]) -> Change | None:
    """An item that says it is gone is believed, whatever its topic."""
    if change and item.get("deleted") is True:
        return Change.DELETED
    return Change.ARCHIVED if change and item.get("archived") is True else change


def _contact_in(item: object) -> Mapping[str, object]:
    """The contact of an item, which older versions nest by its kind."""
    if not isinstance(item, dict):
        return {}
    nested = next((item[kind] for kind in ("contact", "user", "lead") if isinstance(item.get(kind), dict)), None)
    if nested is None:
        return item
    return {**nested, "merged_from": item["merged_from"]} if "merged_from" in item else nested


def _shown(item: Mapping[str, object], role: Role) -> Contact | None:
    """The contact as shown; ``None`` for the minimal items of archived and deleted ones."""
    if "email" not in item and "custom_attributes" not in item:
        return None
    own = item.get("role") or (item.get("type") if item.get("type") in ("user", "lead") else role.value)
    return contact_from({**item, "role": own})


def _id_in(value: object) -> str | None:
    return text_of(value.get("id")) if isinstance(value, dict) else text_of(value)


def _options(options: object) -> list[str]:
    rows = options if isinstance(options, list) else []
    texts = (text_of(row.get("value", row.get("label")) if isinstance(row, dict) else row) for row in rows)
    return [text for text in texts if text is not None]


def _type_of(data_type: str | None, options: tuple[str, ...]) -> AttributeType:
    if data_type == "string" and options:
        return AttributeType.LIST
    return _TYPES.get(data_type or "", AttributeType.REFERENCE)


def _loaded(schema: Schema, payload: object, what: str) -> Any:
    if not isinstance(payload, dict):
        raise NotUnderstood(f"Expected {what}, found {_kind(payload)}.")
    try:
        value = schema.load(payload)
    except ValidationError as error:
        raise NotUnderstood(
            f"Expected {what}, found one without {', '.join(sorted(error.messages_dict))}."
        ) from error
    if getattr(value, "id", "?") is None:
        raise NotUnderstood(f"Expected {what} with an id, found none.")
    return value


def _kind(payload: object) -> str:
    """What was found, without showing what is in it: it may be a person's."""
    if isinstance(payload, dict):
        return f"an object with {', '.join(sorted(map(str, payload))[:8]) or 'nothing in it'}"
    return "a list" if isinstance(payload, list) else "nothing of the kind"
