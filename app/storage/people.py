"""The people of campaigns: who they are in Referral Factory and in Intercom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Insert,
    Row,
    Select,
    Update,
    case,
    exists,
    func,
    insert,
    literal_column,
    select,
    union_all,
    update,
)

from app.core.qualification import CLOSED, DISQUALIFIED, OPEN, QUALIFIED
from app.storage.many import UpdateMany, among, put
from app.storage.tables import people, sync_outcomes

FINAL = (QUALIFIED, DISQUALIFIED)

AUDIENCES = ("leads", "referrers")

STATES = (OPEN, QUALIFIED, DISQUALIFIED, CLOSED)


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
    joined_received_at: datetime | None = None
    # The sync that made them a referrer. None leaves what stands.
    enrolled_by: int | None = None


# What was decided for good, by a rule or by hand, is not undone by joining once more, nor by the echo of it.
_stands = people.c.qualification_state.in_([literal_column(f"'{one}'") for one in FINAL])
_decided = ("qualification_state", "qualification_since", "qualification_cause")
_kept_where_untold = [name for name in PersonRecord.__slots__ if name not in ("values", *_decided)]


def _made_known(new: Callable[[str], ColumnElement[Any]]) -> Update:
    return (
        update(people)
        .where(people.c.id == new("id"))
        .values(
            {name: func.coalesce(new(name), people.c[name]) for name in _kept_where_untold}
            | {
                name: case((_stands, people.c[name]), else_=func.coalesce(new(name), people.c[name]))
                for name in _decided
            }
            | {"joined_received_at": func.coalesce(people.c.joined_received_at, new("joined_received_at"))}
            | {name: new(name) for name in ("values", "updated_at")}
        )
    )


_change = UpdateMany(people, "id", (*PersonRecord.__slots__, "updated_at", "id"), _made_known)


def save(connection: Connection, records: Sequence[PersonRecord], now: datetime) -> list[int]:
    """Make or change people; their ids, in the order given. Someone is known again by Referral Factory's id, else by
    email, in one audience of one campaign. What was known, and the new record does not name, stays: a contact, who
    has referred them."""
    known = _by_names(_found(connection, records)) if records else {}
    rows = [_of(known, record) for record in records]
    # Given in the order of the rows, and not always told in it.
    made = _write(connection, list(zip(records, rows, strict=True)), now, _make)
    new = iter(sorted(one for result in made for one in result.scalars()))
    return [row.id if row is not None else next(new) for row in rows]


def _write(
    connection: Connection, pairs: Sequence[tuple[PersonRecord, Row[Any] | None]], now: datetime, make: Insert
) -> list[CursorResult[Any]]:
    """What ``make`` came to, where anybody is new."""
    new = [_made(record, now) for record, row in pairs if row is None]
    made = put(connection, make, new) if new else []
    _change.of(connection, [_changed(record, row, now) for record, row in pairs if row is not None])
    return made


_make = insert(people).returning(people.c.id, sort_by_parameter_order=True)


def _made(record: PersonRecord, now: datetime) -> dict[str, Any]:
    columns = _columns(record, now)
    return {**columns, "created_at": now, "qualification_state": record.qualification_state or OPEN}


def _changed(record: PersonRecord, row: Row[Any], now: datetime) -> dict[str, Any]:
    return {**_columns(record, now), "id": row.id, "values": {**row._mapping["values"], **record.values}}


def ids_of(connection: Connection, records: Sequence[PersonRecord]) -> list[int | None]:
    """Who of them is known already, in the order given; a query for each of their names."""
    if not records:
        return []
    known = _by_names(_found(connection, records))
    rows = [_of(known, record) for record in records]
    return [row.id if row is not None else None for row in rows]


def _columns(record: PersonRecord, now: datetime) -> dict[str, Any]:
    columns = {name: getattr(record, name) for name in PersonRecord.__slots__}
    return {**columns, "values": dict(record.values), "updated_at": now}


def _by_id(record: PersonRecord | Row[Any]) -> tuple[Any, ...]:
    return (record.campaign_id, record.audience, "id", record.referral_factory_id)


def _by_email(record: PersonRecord | Row[Any]) -> tuple[Any, ...]:
    return (record.campaign_id, record.audience, "email", record.email)


def _by_code(record: PersonRecord | Row[Any]) -> tuple[Any, ...]:
    return (record.campaign_id, record.audience, "code", record.code)


def _found(connection: Connection, records: Sequence[PersonRecord]) -> list[Row[Any]]:
    """People that are there already, under any of their names; a query for each kind of name."""
    campaigns, audiences = ({getattr(record, name) for record in records} for name in ("campaign_id", "audience"))
    emails = {record.email for record in records if record.email}
    ids = {record.referral_factory_id for record in records if record.referral_factory_id}
    codes = {record.code for record in records if _is_named_by_code(record) and record.code}
    found: list[Row[Any]] = []
    for mine, names in ((people.c.email, emails), (people.c.referral_factory_id, ids), (people.c.code, codes)):
        if names:
            ours = among(people.c.campaign_id, campaigns), among(people.c.audience, audiences)
            found += connection.execute(select(people).where(*ours, among(mine, names)).order_by(people.c.id))
    return found


def _by_names(found: Sequence[Row[Any]]) -> dict[tuple[Any, ...], Row[Any]]:
    """Rows under all of their names; rows and records are named alike."""
    return {key: row for row in found for key in (_by_id(row), _by_email(row), _by_code(row)) if key[3] is not None}


def _of(known: Mapping[tuple[Any, ...], Row[Any]], record: PersonRecord) -> Row[Any] | None:
    by_code = known.get(_by_code(record)) if _is_named_by_code(record) else None
    return known.get(_by_id(record)) or known.get(_by_email(record)) or by_code


def _is_named_by_code(record: PersonRecord) -> bool:
    """A code counts only where nothing surer is known."""
    return record.referral_factory_id is None and record.email is None


def save_read(connection: Connection, records: Sequence[PersonRecord], now: datetime) -> int:
    """Keep people as the first reading of their audience finds them; how many are marked.

    Of whom a webhook has told since the audience was complete, or who was sent ever, nothing changes. What was known
    of others before stays where the list does not say it: a list names a referrer by id only.
    """
    found = _by_names(_found(connection, records)) if records else {}
    marked = []
    for record in records:
        row = _of(found, record)
        if row is not None and (row.joined_before_setup is False or row.sent_received_at is not None):
            continue
        marked.append((replace(record, joined_before_setup=True), row))
    _write(
        connection, marked, now, insert(people)
    )  # a page of hundreds: nobody asks for their ids, which cost SQLite
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


def listed(
    connection: Connection,
    campaign_ids: Collection[int],
    *,
    audiences: Collection[str],
    states: Collection[str],
    before: int | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """People of some campaigns by audience and state of qualification, newest first. Their ids are found in the
    funnel's index alone."""
    theirs = select(people.c.id).where(
        people.c.campaign_id.in_(campaign_ids),
        people.c.audience.in_(audiences),
        people.c.qualification_state.in_(states),
    )
    if before is not None:
        theirs = theirs.where(people.c.id < before)
    ids = theirs.order_by(people.c.id.desc()).limit(limit)
    return connection.execute(select(people).where(people.c.id.in_(ids)).order_by(people.c.id.desc())).all()


def named(
    connection: Connection, name: str, campaign_ids: Collection[int], workspace_ids: Collection[int], limit: int
) -> Sequence[Row[Any]]:
    """Whose id or code in Referral Factory this is, or whose contact's id, newest first."""
    ours = people.c.campaign_id.in_(campaign_ids)
    each = (
        (ours, people.c.audience.in_(AUDIENCES), people.c.referral_factory_id == name),
        (ours, people.c.code == name),
        (people.c.workspace_id.in_(workspace_ids), people.c.contact_id == name),
    )
    return _any_of(connection, [select(people.c.id).where(*theirs) for theirs in each], limit)


def by_emails(connection: Connection, campaign_ids: Collection[int], emails: Collection[str]) -> Sequence[Row[Any]]:
    """Whoever has one of these addresses, as normalised, in one of these campaigns."""
    if not emails:
        return ()
    ours = people.c.campaign_id.in_(campaign_ids), people.c.audience.in_(AUDIENCES)
    return connection.execute(select(people).where(*ours, among(people.c.email, emails)).order_by(people.c.id)).all()


def others_of(connection: Connection, person: Row[Any], limit: int) -> Sequence[Row[Any]]:
    """The other records of whoever has a person's email, or is the same contact; newest first."""
    each = []
    if person.email:
        each.append(select(people.c.id).where(people.c.email == person.email))
    if person.contact_id:
        same = people.c.workspace_id == person.workspace_id, people.c.contact_id == person.contact_id
        each.append(select(people.c.id).where(*same))
    found = _any_of(connection, each, limit + 1) if each else ()
    return [row for row in found if row.id != person.id][:limit]


def _any_of(connection: Connection, each: Sequence[Select[Any]], limit: int) -> Sequence[Row[Any]]:
    # Unordered, so that no planner is tempted to walk through everybody from the newest on. A name is few people's.
    parts = [one.limit(limit).subquery() for one in each]
    ids = union_all(*(select(part.c.id) for part in parts))
    query = select(people).where(people.c.id.in_(ids))
    return connection.execute(query.order_by(people.c.id.desc()).limit(limit)).all()


LATEST = 200


def some_of(connection: Connection, campaign_id: int, audience: str, limit: int) -> Sequence[Row[Any]]:
    """Some people of one audience who have an email, to try settings on: those among the campaign's latest, newest
    first, else any. Bounded however many people there are."""
    latest = select(people.c.id, people.c.audience, people.c.email).where(people.c.campaign_id == campaign_id)
    newest = connection.execute(latest.order_by(people.c.id.desc()).limit(LATEST)).all()
    ids = [row.id for row in newest if row.audience == audience and row.email is not None][:limit]
    if ids:
        return connection.execute(select(people).where(people.c.id.in_(ids)).order_by(people.c.id.desc())).all()
    theirs = people.c.campaign_id == campaign_id, people.c.audience == audience, people.c.email.is_not(None)
    return connection.execute(select(people).where(*theirs).order_by(people.c.email).limit(limit)).all()


def by_email(connection: Connection, campaign_id: int, audience: str, email: str) -> Row[Any] | None:
    """Who of one audience has this address, as normalised; the newest where several have."""
    theirs = people.c.campaign_id == campaign_id, people.c.audience == audience, people.c.email == email
    return connection.execute(select(people).where(*theirs).order_by(people.c.id.desc()).limit(1)).first()


def times(
    connection: Connection, person_keys: Collection[str]
) -> dict[tuple[str, int, str], tuple[datetime | None, datetime | None]]:
    """When what was sent last of someone was received, and when they joined first, by person key, campaign and
    audience."""
    if not person_keys:
        return {}
    columns = (people.c.person_key, people.c.campaign_id, people.c.audience)
    # Of whom no webhook told, it counts when we heard of them first.
    joined_at = func.coalesce(people.c.joined_received_at, people.c.created_at)
    rows = connection.execute(
        select(*columns, people.c.sent_received_at, joined_at).where(among(people.c.person_key, person_keys))
    )
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


def enrolled(connection: Connection, person_keys: Collection[str]) -> frozenset[tuple[str, int, str]]:
    """Those whom a sync has enrolled, by person key, campaign and audience."""
    if not person_keys:
        return frozenset()
    columns = (people.c.person_key, people.c.campaign_id, people.c.audience)
    theirs = among(people.c.person_key, person_keys), people.c.enrolled_by.is_not(None)
    return frozenset((row[0], row[1], row[2]) for row in connection.execute(select(*columns).where(*theirs)))


def by_referral_factory_ids(
    connection: Connection, campaign_id: int, audience: str, referral_factory_ids: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """What is known of people of one audience, by Referral Factory's id."""
    rows = connection.execute(
        select(people.c.referral_factory_id, people.c["values"]).where(
            people.c.campaign_id == campaign_id,
            people.c.audience == audience,
            among(people.c.referral_factory_id, referral_factory_ids),
        )
    )
    return {row[0]: row[1] for row in rows}


def referrers_by_emails(connection: Connection, campaign_id: int, emails: Collection[str]) -> dict[str, Row[Any]]:
    """The referrers of a campaign who have these addresses, as normalised."""
    if not emails:
        return {}
    theirs = people.c.campaign_id == campaign_id, people.c.audience == "referrers", among(people.c.email, emails)
    return {row.email: row for row in connection.execute(select(people).where(*theirs).order_by(people.c.id.desc()))}


def by_contacts(
    connection: Connection, workspace_ids: Collection[int], contact_ids: Collection[str]
) -> Sequence[Row[Any]]:
    """Everybody who is one of those contacts, oldest first; contacts of those workspaces only."""
    if not contact_ids:
        return ()
    theirs = among(people.c.workspace_id, workspace_ids), among(people.c.contact_id, contact_ids)
    return connection.execute(select(people).where(*theirs).order_by(people.c.id)).all()


def by_person_keys(connection: Connection, person_keys: Collection[str]) -> Sequence[Row[Any]]:
    """Everybody of those keys, oldest first."""
    if not person_keys:
        return ()
    return connection.execute(
        select(people).where(among(people.c.person_key, person_keys)).order_by(people.c.id)
    ).all()


def by_ids(connection: Connection, person_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Oldest first."""
    return connection.execute(select(people).where(among(people.c.id, person_ids)).order_by(people.c.id)).all()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be said of a watched lead whose state was ``open``: still that, or ``closed``, and why."""

    person_id: int
    qualification_state: str
    qualification_cause: str | None


_CHANGED = ("qualification_state", "qualification_cause", "updated_at")

_change_open = UpdateMany(
    people,
    "id",
    ("id", *_CHANGED),
    lambda new: (
        update(people)
        .where(people.c.id == new("id"), people.c.qualification_state == literal_column("'open'"))
        .values({name: new(name) for name in _CHANGED})
    ),
)


def change_open(connection: Connection, changes: Sequence[Change], now: datetime) -> None:
    """Of leads that are open still: what was decided meanwhile stands."""
    _change_open.of(
        connection,
        [
            {
                "id": one.person_id,
                "qualification_state": one.qualification_state,
                "qualification_cause": one.qualification_cause,
                "updated_at": now,
            }
            for one in changes
        ],
    )


def decide(connection: Connection, person_id: int, state: str, cause: str | None, now: datetime) -> None:
    """What became of a referral for good: ``qualified`` or ``disqualified``."""
    connection.execute(
        update(people)
        .where(people.c.id == person_id)
        .values(qualification_state=state, qualification_since=now, qualification_cause=cause, updated_at=now)
    )


@dataclass(frozen=True, slots=True)
class Move:
    """A contact is known under another id, after a merge, or has another role."""

    workspace_id: int
    contact_id: str
    new_id: str
    new_role: str


def move(connection: Connection, moves: Collection[Move]) -> None:
    """Everybody who is one of those contacts is the other from now on."""
    for one in sorted(moves, key=lambda move: (move.workspace_id, move.contact_id)):
        theirs = people.c.workspace_id == one.workspace_id, people.c.contact_id == one.contact_id
        connection.execute(update(people).where(*theirs).values(contact_id=one.new_id, contact_role=one.new_role))


@dataclass(frozen=True, slots=True)
class ReferrerName:
    """Who a lead says has referred them; any of the names may be missing."""

    campaign_id: int
    referral_factory_id: str | None = None
    code: str | None = None
    email: str | None = None


def referrers(connection: Connection, named: Collection[ReferrerName]) -> Sequence[Row[Any]]:
    """The referrers that have a contact and were sent, or synced, by any of their names; a query for each kind."""
    campaigns = {one.campaign_id for one in named}
    synced = exists().where(sync_outcomes.c.person_id == people.c.id)
    sent = (
        among(people.c.campaign_id, campaigns),
        people.c.audience == "referrers",
        people.c.contact_id.is_not(None),
        people.c.sent_received_at.is_not(None) | synced,
    )
    found: dict[int, Row[Any]] = {}
    for name in ("referral_factory_id", "code", "email"):
        values = {(one.campaign_id, getattr(one, name)) for one in named if getattr(one, name)}
        if values:
            rows = connection.execute(
                select(people).where(*sent, among(people.c[name], {value for _, value in values}))
            )
            found |= {row.id: row for row in rows if (row.campaign_id, row._mapping[name]) in values}
    return list(found.values())


def _joined_before(campaign_id: int, audience: str) -> tuple[ColumnElement[bool], ...]:
    """Spelt as in the partial index."""
    before: ColumnElement[bool] = literal_column("joined_before_setup IS TRUE AND sent_received_at IS NULL")
    return people.c.campaign_id == campaign_id, people.c.audience == audience, before


def joined_before(
    connection: Connection, campaign_id: int, audience: str, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Who joined before the audience was set up, and was never sent; in the order they became known."""
    theirs = _joined_before(campaign_id, audience)
    return connection.execute(
        select(people).where(*theirs, people.c.id > after).order_by(people.c.id).limit(limit)
    ).all()


def count_joined_before(connection: Connection, campaign_id: int, audience: str) -> int:
    theirs = _joined_before(campaign_id, audience)
    return int(connection.execute(select(func.count()).select_from(people).where(*theirs)).scalar_one())
