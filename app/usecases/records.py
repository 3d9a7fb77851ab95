"""What is kept of people and told of them: their rows, and rows of activity."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from app.core.identity import person_key
from app.core.people import Audience, Contact, Person, Role, normalised_email
from app.core.text import storable
from app.storage.people import PersonRecord, ReferrerName
from app.usecases.send_person import Sent
from app.usecases.setups import Setup


def person_record(campaign_id: int, workspace_id: int, person: Person) -> PersonRecord:
    """What Referral Factory says of someone whose audience is known, fit to be kept."""
    assert person.audience is not None  # noqa: S101 - the caller has looked
    email = storable(normalised_email(person.email)) or None
    return PersonRecord(
        campaign_id=campaign_id,
        audience=person.audience.value,
        workspace_id=workspace_id,
        person_key=person_key(workspace_id, email) if email else None,
        referral_factory_id=storable(person.referral_factory_id),
        code=storable(person.code),
        email=email,
        first_name=storable(person.text("first_name")),
        url=storable(person.text("url")),
        values={name: storable(value) if isinstance(value, str) else value for name, value in person.values.items()},
        contact_id=None,
        contact_role=None,
    )


def activity_row(
    setup: Setup, person: Person, verb: str, sent: Sent, contact: Contact | None, event_id: int | None
) -> dict[str, Any]:
    """What was done for ``person``, or not done and why, for people to read."""
    return {
        "campaign_id": setup.campaign_id,
        "audience": person.audience.value if person.audience else None,
        "verb": verb,
        "outcome": sent.outcome,
        "cause": sent.cause.value if sent.cause else None,
        "detail": storable(sent.detail),
        "referral_factory_id": storable(person.referral_factory_id),
        "code": storable(person.code),
        "email": storable(normalised_email(person.email)) or None,
        "workspace_id": setup.workspace.id,
        "contact_id": contact.id if contact else None,
        "contact_role": contact.role.value if contact else None,
        "fields": [{"to": one.to, "cause": one.cause.value if one.cause else None} for one in sent.fields],
        "event_id": event_id,
        "sync_id": None,
    }


def person_of(row: Row[Any]) -> Person:
    """A person as they are kept."""
    named = {"id": row.referral_factory_id, "code": row.code, "email": row.email, "first_name": row.first_name}
    return Person(Audience(row.audience), {**row._mapping["values"], **{k: v for k, v in named.items() if v}})


def contact_of(row: Row[Any]) -> Contact | None:
    """Their contact, as far as it is kept: its id and role."""
    return Contact(row.contact_id, Role(row.contact_role or Role.LEAD)) if row.contact_id else None


def referrer_of(campaign_id: int, person: Person) -> set[ReferrerName]:
    """Who has referred the person, as far as they say; empty for a referrer."""
    id_, code, email = (person.text(f"referrer.{name}") for name in ("id", "code", "email"))
    if person.audience is Audience.REFERRERS or not (id_ or code or email):
        return set()
    return {ReferrerName(campaign_id, id_, code, normalised_email(email) or None)}


def own_name(campaign_id: int, referrer: Person) -> set[ReferrerName]:
    """The names a referrer is known by."""
    email = normalised_email(referrer.email) or None
    return {ReferrerName(campaign_id, referrer.referral_factory_id, referrer.code, email)}
