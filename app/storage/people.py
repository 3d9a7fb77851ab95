"""The people of campaigns: who they are in Referral Factory and in Intercom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from app.storage.tables import people


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What is to be kept of a person; ``email`` normalised, ``values`` by the names of PERSON_FIELDS."""

    campaign_id: int
    audience: str
    workspace_id: int
    person_key: str | None
    referral_factory_id: str | None
    code: str | None
    email: str | None
    first_name: str | None
    url: str | None
    values: Mapping[str, Any]
    contact_id: str | None
    contact_role: str | None
    # When the event that was sent last was received; null where nothing was sent.
    sent_received_at: datetime | None = None
    qualification_state: str | None = None
    qualification_since: datetime | None = None
    qualification_cause: str | None = None
    # See the table. None leaves what stands.
    joined_before_setup: bool | None = None


_kept_where_untold = [name for name in PersonRecord.__slots__ if name != "values"]
_change = (
    update(people)
    .where(people.c.id == bindparam("new_id"))
    .values(
        {
            name: func.coalesce(bindparam(f"new_{name}", type_=people.c[name].type), people.c[name])
            for name in _kept_where_untold
        }
        | {name: bindparam(f"new_{name}", type_=people.c[name].type) for name in ("values", "updated_at")}
    )
)


def save(connection: Connection, records: Sequence[PersonRecord], now: datetime) -> None:
    """Make or change people. Someone is known again by Referral Factory's id, else by email, in one audience
    of one campaign. A contact once known stays where the new record names none."""
    if not records:
        return
    known = _ids(_found(connection, records))
    made, changed = [], []
    for record in records:
        columns = _columns(record, now)
        person_id = known.get(_by_id(record)) or known.get(_by_email(record))
        if person_id is None:
            made.append({**columns, "created_at": now, "qualification_state": record.qualification_state or "open"})
        else:
            changed.append({f"new_{name}": value for name, value in {**columns, "id": person_id}.items()})
    if made:
        connection.execute(insert(people), made)
    if changed:
        connection.execute(_change, changed)


def _columns(record: PersonRecord, now: datetime) -> dict[str, Any]:
    columns = {name: getattr(record, name) for name in PersonRecord.__slots__}
    return {**columns, "values": dict(record.values), "updated_at": now}


def _by_id(record: PersonRecord | Row[Any]) -> tuple[Any, ...]:
    return (record.campaign_id, record.audience, "id", record.referral_factory_id)


def _by_email(record: PersonRecord | Row[Any]) -> tuple[Any, ...]:
    return (record.campaign_id, record.audience, "email", record.email)


def _found(connection: Connection, records: Sequence[PersonRecord]) -> list[Row[Any]]:
    """People that are there already, under either of their names; a query each."""
    campaigns, audiences = ({getattr(record, name) for record in records} for name in ("campaign_id", "audience"))
    emails = {record.email for record in records if record.email}
    ids = {record.referral_factory_id for record in records if record.referral_factory_id}
    found: list[Row[Any]] = []
    for mine, names in ((people.c.email, emails), (people.c.referral_factory_id, ids)):
        if names:
            ours = people.c.campaign_id.in_(campaigns), people.c.audience.in_(audiences)
            found += connection.execute(select(people).where(*ours, mine.in_(names)).order_by(people.c.id))
    return found


def _ids(found: Sequence[Row[Any]]) -> dict[tuple[Any, ...], int]:
    return {key: row.id for key, row in _by_names(found).items()}


def _by_names(found: Sequence[Row[Any]]) -> dict[tuple[Any, ...], Row[Any]]:
    """Rows under both of their names; rows and records are named alike."""
    return {key: row for row in found for key in (_by_id(row), _by_email(row)) if key[3] is not None}


def save_read(connection: Connection, records: Sequence[PersonRecord], now: datetime) -> int:
    """Keep people as the first reading of their audience finds them; how many are marked.

    Of whom a webhook has told since the audience was complete, or who was sent ever, nothing changes. What was known
    of others before stays where the list does not say it: a list names a referrer by id only.
    """
    found = _by_names(_found(connection, records))
    marked = []
    for record in records:
        row = found.get(_by_id(record)) or found.get(_by_email(record))
        if row is not None:
            if row.joined_before_setup is False or row.sent_received_at is not None:
                continue
            record = replace(record, values={**row._mapping["values"], **record.values})
        marked.append(replace(record, joined_before_setup=True))
    save(connection, marked, now)
    return len(marked)


def get(connection: Connection, person_id: int) -> Row[Any] | None:
    return connection.execute(select(people).where(people.c.id == person_id)).first()


def page(
    connection: Connection, *, email: str | None, campaign_id: int | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first; ``email`` normalised."""
    query = select(people).order_by(people.c.id.desc()).limit(limit)
    if email is not None:
        query = query.where(people.c.email == email)
    if campaign_id is not None:
        query = query.where(people.c.campaign_id == campaign_id)
    if before is not None:
        query = query.where(people.c.id < before)
    return connection.execute(query).all()


def sent_at(connection: Connection, person_keys: Collection[str]) -> dict[tuple[str, int, str], datetime]:
    """When what was sent last of someone was received, by person key, campaign and audience."""
    if not person_keys:
        return {}
    rows = connection.execute(
        select(people.c.person_key, people.c.campaign_id, people.c.audience, people.c.sent_received_at).where(
            people.c.person_key.in_(person_keys), people.c.sent_received_at.is_not(None)
        )
    )
    return {(row.person_key, row.campaign_id, row.audience): row.sent_received_at for row in rows}


def by_referral_factory_ids(
    connection: Connection, campaign_id: int, audience: str, referral_factory_ids: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """What is known of people of one audience, by Referral Factory's id."""
    rows = connection.execute(
        select(people.c.referral_factory_id, people.c["values"]).where(
            people.c.campaign_id == campaign_id,
            people.c.audience == audience,
            people.c.referral_factory_id.in_(referral_factory_ids),
        )
    )
    return {row[0]: row[1] for row in rows}
