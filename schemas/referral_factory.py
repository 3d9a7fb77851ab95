"""Referral Factory's wire formats: its API's payloads and its webhooks' as core values.

The API's objects: https://developers.referral-factory.com/reference/user-structure and .../campaign-structure. A
webhook's keys are the customer's free choice and its encoding is not documented
(https://referral-factory.com/help/articles/referral-factory-webhooks-overview-and-setup), so the documented names and
their common other spellings are understood, in JSON and in forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app.core.errors import NotUnderstood
from app.core.events import CampaignEvent, Joined, Qualified, RewardIssued
from app.core.people import META, REFERRER, Audience, Person, Scalar, Value

CAMPAIGN_ID: Final = "campaign_id"
"""Kept with a person's values although no mapping may name it: it proves that a webhook is this campaign's."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as Referral Factory has it. ``leads`` and ``referrers`` are the labels of its fields for each.

    ``users`` counts leads and referrers together, only where counts were asked for.
    """

    referral_factory_id: str
    name: str
    code: str | None = None
    status: str | None = None
    leads: tuple[str, ...] = ()
    referrers: tuple[str, ...] = ()
    users: int | None = field(default=None, compare=False)


_AUDIENCES: Final = {
    "personinvited": Audience.LEADS,
    "invited": Audience.LEADS,
    "referreduser": Audience.LEADS,
    "lead": Audience.LEADS,
    "personreferring": Audience.REFERRERS,
    "referring": Audience.REFERRERS,
    "directuser": Audience.REFERRERS,
    "referrer": Audience.REFERRERS,
}

_OWN_NAMES: Final = {
    "id": "id",
    "code": "code",
    "email": "email",
    "first_name": "first_name",
    "type": "type",
    "source": "source",
    "url": "url",
    "campaign_id": CAMPAIGN_ID,
    "campaign_name": "campaign.name",
    "signed_up_at": "signed_up_at",
    "qualified_at": "qualified_at",
    "referrals": "referrals",
    "qualified_referrals": "qualified_referrals",
    "referrer_id": "referrer.id",
    "referrer_code": "referrer.code",
    "referrer_email": "referrer.email",
    "referrer_first_name": "referrer.first_name",
    "referrer_url": "referrer.url",
}
"""The documented names, and what each is here."""

_OTHER_NAMES: Final = {
    "userid": "id",
    "referralcode": "code",
    "emailaddress": "email",
    "name": "first_name",
    "usertype": "type",
    "referrallink": "url",
    "link": "url",
    "campaign": "campaign.name",
    "referralscount": "referrals",
    "referralcount": "referrals",
    "qualifiedreferralscount": "qualified_referrals",
    "convertedreferrals": "qualified_referrals",
    "convertedreferralscount": "qualified_referrals",
    "referreremailaddress": "referrer.email",
    "referrername": "referrer.first_name",
    "referrerreferralcode": "referrer.code",
    "referrerreferrallink": "referrer.url",
    "referrerlink": "referrer.url",
    **{name.replace("_", ""): ours for name, ours in _OWN_NAMES.items()},
}
"""Common other spellings, letters and digits only, in lower case."""

_ENVELOPES: Final = ("data", "user", "payload", "person")
_NESTED: Final = {"referrer": "referrer_", "campaign": "campaign_", "analytics": ""}
_EVENTS: Final[Mapping[str, type[CampaignEvent]]] = {
    "joined": Joined,
    "qualified": Qualified,
    "reward-issued": RewardIssued,
}


class _Payload(Schema):
    class Meta:
        unknown = EXCLUDE


class UserSchema(_Payload):
    """A user of the API (v2), and the counts of v1 under their other names."""

    id = fields.Raw(required=True)
    campaign_id = fields.Raw()
    code = fields.Raw(allow_none=True)
    email = fields.Raw(allow_none=True)
    first_name = fields.Raw(allow_none=True)
    url = fields.Raw(allow_none=True)
    source = fields.Raw(allow_none=True)
    type = fields.Raw(allow_none=True)
    signed_up_at = fields.Raw(allow_none=True)
    qualified_at = fields.Raw(allow_none=True)
    referrer_id = fields.Raw(data_key="referrer_id", allow_none=True)
    meta = fields.Raw(allow_none=True)
    analytics = fields.Raw(allow_none=True)


_USER = UserSchema()


def person_from(payload: object) -> Person:
    """A user of the API as a person: the audience by ``type``, else a referrer means lead; never by ``source``.

    Someone without ``referrer_id`` has a known blank referrer. Counts are there where the call asked for them
    (``with=user.analytics``). Raises ``NotUnderstood`` where there is no id.
    """
    row = _user(payload)
    values: dict[str, Value] = {
        name: _value(row[name]) for name in _OWN_NAMES if name in row and name not in ("type", "referrer_id")
    }
    if "referrer_id" in row:
        values |= _referrer(_value(row["referrer_id"]))
    values |= {META + label: value for label, value in _meta(row.get("meta"))}
    values |= _counts(row.get("analytics"))
    return Person(_audience(row.get("type"), values), values)


def campaign_from(payload: object) -> Campaign:
    """A campaign of the API. Raises ``NotUnderstood`` where there is no id."""
    row = payload if isinstance(payload, dict) else {}
    id_ = _value(row.get("id"))
    if id_ is None:
        raise NotUnderstood("Expected a campaign with an id, found none.")
    labels = row.get("fields")
    labels = labels if isinstance(labels, dict) else {}
    analytics = row.get("analytics")
    return Campaign(
        str(id_),
        str(row.get("name") or id_),
        _text(row.get("code")),
        _text(row.get("status")),
        leads=tuple(_labels(labels.get("person_invited"))),
        referrers=tuple(_labels(labels.get("person_referring"))),
        users=_count(analytics.get("users")) if isinstance(analytics, dict) else None,
    )


def event_from(topic: str, payload: Mapping[str, object]) -> CampaignEvent:
    """What a webhook says has happened; ``topic`` is ``joined``, ``qualified`` or ``reward-issued``.

    Raises ``NotUnderstood`` for another topic, and as ``person_from_webhook``.
    """
    if topic not in _EVENTS:
        raise NotUnderstood(f"Expected joined, qualified or reward-issued, found the topic {topic}.")
    return _EVENTS[topic](person_from_webhook(payload))


_TYPES: Final = {Audience.LEADS: "person_invited", Audience.REFERRERS: "person_referring"}


def webhook_payload_from(person: Person) -> dict[str, object]:
    """What a webhook would have said of someone, in the documented names. ``event_from`` reads the same person from
    it: campaign fields stand apart under ``meta``, for a label may be any word."""
    payload: dict[str, object] = {
        name: person.values[ours] for name, ours in _OWN_NAMES.items() if ours in person.values
    }
    labels = [name for name in person.values if name.startswith(META)]
    if labels:
        payload["meta"] = [{"field": name.removeprefix(META), "value": person.values[name]} for name in labels]
    return payload | ({"type": _TYPES[person.audience]} if person.audience else {})


def person_from_webhook(payload: Mapping[str, object]) -> Person:
    """The person in a webhook's payload. What is under no known name is a campaign field, by its label.

    The audience by ``type``, else a referrer means lead, else it is not known. ``campaign_id`` stays among the
    values. Raises ``NotUnderstood`` where there is neither email nor id nor code.
    """
    flat = dict(_flattened(_unwrapped(payload)))
    values: dict[str, Value] = {ours: flat.pop(name) for name, ours in _OWN_NAMES.items() if name in flat}
    for name, value in flat.items():
        ours = name if name.startswith(META) else _OTHER_NAMES.get(_letters(name), META + name)
        values.setdefault(META + name if ours in values and not ours.startswith(META) else ours, value)
    audience = _audience(values.pop("type", None), values)
    person = Person(audience, values)
    if not (person.email or person.referral_factory_id or person.code):
        found = ", ".join(sorted(map(str, payload))[:8]) or "nothing"
        raise NotUnderstood(f"Expected an email, id or code of a person, found {found}.")
    return person


def _user(payload: object) -> dict[str, Any]:
    try:
        row: dict[str, Any] = _USER.load(payload if isinstance(payload, dict) else {})
    except ValidationError as error:
        raise NotUnderstood("Expected a user with an id, found none.") from error
    if _value(row["id"]) is None:
        raise NotUnderstood("Expected a user with an id, found none.")
    return row


def _audience(kind: object, values: Mapping[str, Value]) -> Audience | None:
    known = _AUDIENCES.get(_letters(str(kind or "")))
    if known:
        return known
    referred = any(values.get(REFERRER + name) for name in ("id", "code", "email"))
    return Audience.LEADS if referred else None


def _referrer(id_: Value) -> dict[str, Value]:
    """A referrer's id; without one, all of a referrer's fields are known to be blank."""
    if id_ is not None:
        return {"referrer.id": id_}
    return {REFERRER + name: None for name in ("id", "code", "email", "first_name", "url")}


def _counts(analytics: object) -> dict[str, Value]:
    rows = analytics if isinstance(analytics, dict) else {}
    return {name: _count(rows[name]) for name in ("referrals", "qualified_referrals") if name in rows}


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit()) else None


def _meta(meta: object) -> Iterator[tuple[str, Value]]:
    """Campaign fields: ``[{"field": label, "value": ...}]``, or an object by label. Only scalars are values."""
    if isinstance(meta, dict):
        meta = [{"field": label, "value": value} for label, value in meta.items()]
    for row in meta if isinstance(meta, list) else ():
        label = row.get("field", row.get("label")) if isinstance(row, dict) else None
        if label and _is_scalar(row.get("value")):
            yield str(label), _value(row.get("value"))


def _labels(rows: object) -> list[str]:
    named = (row.get("label") for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
    return [str(label) for label in named if label]


def _unwrapped(payload: Mapping[str, object], layers: int = 3) -> dict[str, object]:
    """The payload without its envelopes; what stands beside the person in them (the campaign) stays."""
    inside = next((payload[name] for name in _ENVELOPES if isinstance(payload.get(name), dict)), None)
    if not isinstance(inside, dict) or not layers:
        return dict(payload)
    beside = {name: value for name, value in payload.items() if value is not inside}
    return {**beside, **_unwrapped(inside, layers - 1)}


def _flattened(payload: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    """Scalars by name: nested objects we know under the documented names, ``meta`` under its labels."""
    for key, value in payload.items():
        name = str(key).strip()
        if name.lower() == "meta":
            yield from ((META + label, each) for label, each in _meta(value))
        elif isinstance(value, dict) and name.lower() in _NESTED:
            prefix = _NESTED[name.lower()]
            yield from ((f"{prefix}{inner}", _value(each)) for inner, each in value.items() if _is_scalar(each))
        elif _is_scalar(value):
            yield name, _value(value)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _value(value: object) -> Value:
    """A scalar as it came, text trimmed; blank text and what is no scalar is ``None``."""
    if isinstance(value, str):
        return value.strip() or None
    return value if isinstance(value, int | float | bool) else None


def _text(value: object) -> str | None:
    scalar: Scalar | None = _value(value)
    return str(scalar) if scalar is not None else None
