"""What is removed of a person who is erased, table by table. ``WHAT_BECOMES`` says it of every table there is.

What is found by an index goes at once; the large tables are gone through by their ids, for what names somebody
inside a payload or a text no index finds. Each step is bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, bindparam, delete, or_, select, update

from app.core.erasure import Mark, Names
from app.core.identity import contact_key, person_key, reconcile_person_key, referral_factory_key
from app.storage import erasures
from app.storage import sync_outcomes as outcomes_kept
from app.storage import syncs as runs
from app.storage.inbox import OPEN, status_is
from app.storage.sync_outcomes import SyncOutcome
from app.storage.tables import (
    activity,
    campaigns,
    creations,
    events,
    links,
    observations,
    people,
    qualifications,
    reconcile_turns,
    refusals,
    sync_outcomes,
    syncs,
    watches,
)

STEP: Final = 500
"""Rows a transaction: others write in between."""

CAUSE: Final = "erased_on_request"

WHAT_BECOMES: Final[Mapping[str, str]] = {
    "people": "their rows go; in their leads' rows, what the values say of the referrer",
    "watches": "go with their rows",
    "observations": "go with their rows",
    "qualifications": "go with their rows",
    "links": "go, by email and by contact",
    "creations": "go, by email",
    "activity": "theirs goes; elsewhere a detail that names them does",
    "events": "theirs go, whatever their state; other payloads and errors lose what names them, and can be replayed",
    "person_leases": "taken for the time of the erasure, then gone",
    "sync_outcomes": "stay as counted, with a keyed digest in place of the contact",
    "reservations": "names nobody",
    "syncs": "names nobody; the place of the next page may hold an id of Intercom's until that page is read",
    "reconcile_turns": "digests of their ids go from those whose webhook may be on its way",
    "reconciles": "names nobody",
    "refusals": "the workspace's go: digests of values, kept for 15 minutes, that could be guessed",
    "problems": "go with the activity that tells of them",
    "activity_hours": "counts; names nobody",
    "event_hours": "counts; names nobody",
    "count_marks": "names nobody",
    "erasures": "the record that it was done: when, by whom, where; their names, sealed, until all is done",
    "erased_names": "keyed digests of email, contact, id and code, by which they are passed by",
    "erased_events": "keyed digests of what made their events the same as others, for late deliveries",
    "erasure_keys": "the key of these digests, sealed",
    "audit_log": "names teammates, and leads and referrers by our own numbers only",
    "users": "teammates, who are not erased here",
    "sessions": "teammates'",
    "invitations": "teammates'",
    "api_tokens": "teammates'",
    "sign_in_attempts": "teammates', as digests",
    "workspaces": "names nobody",
    "programs": "names nobody",
    "campaigns": "names nobody",
    "attributes": "names nobody",
    "segments": "names nobody",
    "audience_versions": "settings; what stands there somebody has typed, and may change",
    "audience_readings": "names nobody",
    "program_readings": "names nobody",
    "alerts": "names nobody",
    "circuits": "names nobody",
    "schedules": "names nobody",
    "webhooks_heard": "names nobody",
}
"""What an erasure does to each table."""


# Who it is


def names_of(connection: Connection, person: Row[Any]) -> Names:
    """All that somebody is called, in every campaign that has their workspace or their program in common. Whoever has
    the same email there, or is the same contact, is the same person."""
    found = _in_scope(connection, person)
    found = _more(found, [person])
    for _ in range(2):  # a contact may be known under a second email, and that one in a second row
        found = _linked(connection, _more(found, _rows(connection, found)))
    return replace(found, keys=found.keys | _keys(found))


def _in_scope(connection: Connection, person: Row[Any]) -> Names:
    program = select(campaigns.c.program_id).where(campaigns.c.id == person.campaign_id).scalar_subquery()
    same_program = select(campaigns.c.workspace_id).where(campaigns.c.program_id == program)
    here = or_(campaigns.c.workspace_id == person.workspace_id, campaigns.c.workspace_id.in_(same_program))
    rows = connection.execute(select(campaigns.c.id, campaigns.c.workspace_id).where(here)).all()
    spaces = {row.workspace_id for row in rows} | {person.workspace_id}
    return Names(workspaces=frozenset(spaces), campaigns=frozenset({row.id for row in rows} | {person.campaign_id}))


def _rows(connection: Connection, names: Names) -> list[Row[Any]]:
    ids = sorted({contact for _, contact in names.contacts})
    by_email = people.c.email.in_(sorted(names.emails))
    by_contact = people.c.workspace_id.in_(sorted(names.workspaces)) & people.c.contact_id.in_(ids)
    found = [row for mine in (by_email, by_contact) for row in connection.execute(select(people).where(mine))]
    return [row for row in found if row.campaign_id in names.campaigns]


def _more(names: Names, rows: Iterable[Row[Any]]) -> Names:
    rows = list(rows)
    told = [row._mapping["values"] for row in rows]
    more = replace(
        names,
        emails=names.emails | {row.email for row in rows if row.email},
        ids=names.ids | {(row.campaign_id, row.referral_factory_id) for row in rows if row.referral_factory_id},
        codes=names.codes | {(row.campaign_id, row.code) for row in rows if row.code},
        contacts=names.contacts | {(row.workspace_id, row.contact_id) for row in rows if row.contact_id},
        keys=names.keys | {row.person_key for row in rows if row.person_key},
        people=names.people | {row.id for row in rows},
    )
    links_ = {str(one) for one in (*(row.url for row in rows), *(values.get("url") for values in told)) if one}
    words = {str(one) for one in (*(row.first_name for row in rows), *more.emails, *links_) if one}
    words |= {code for _, code in more.codes}
    return replace(
        more,
        links=names.links | links_,
        words=names.words | {word.strip().casefold() for word in words},
    )


def _linked(connection: Connection, names: Names) -> Names:
    keys = sorted(person_key(one, email) for one in names.workspaces for email in names.emails)
    ids = sorted({contact for _, contact in names.contacts})
    by_contact = links.c.workspace_id.in_(sorted(names.workspaces)) & links.c.contact_id.in_(ids)
    both = (links.c.person_key.in_(keys), by_contact)
    rows = [row for mine in both for row in connection.execute(select(links).where(mine))]
    return replace(
        names,
        emails=names.emails | {row.email for row in rows},
        contacts=names.contacts | {(row.workspace_id, row.contact_id) for row in rows},
    )


def _keys(names: Names) -> frozenset[str]:
    """Of their leases, and of events that are about them."""
    return frozenset(
        {person_key(one, email) for one in names.workspaces for email in names.emails}
        | {contact_key(one, contact) for one, contact in names.contacts}
        | {referral_factory_key(one, name) for one, name in names.ids | names.codes}
    )


# What goes at once


def remove_person(connection: Connection, mark: Mark, names: Names, now: datetime) -> None:
    """What is theirs by an index and may not be seen for a moment longer: after this nobody finds them, and nothing
    of theirs is worked on. Their leases are held by who calls."""
    ids, keys = sorted(names.people), sorted(names.keys)
    for table in (observations, watches, qualifications):
        connection.execute(delete(table).where(table.c.person_id.in_(ids)))
    connection.execute(delete(people).where(people.c.id.in_(ids)))
    of_contacts = links.c.contact_id.in_(sorted({contact for _, contact in names.contacts}))
    here = links.c.workspace_id.in_(sorted(names.workspaces))
    connection.execute(delete(links).where(links.c.person_key.in_(keys)))
    connection.execute(delete(links).where(here, of_contacts))
    connection.execute(delete(creations).where(creations.c.person_key.in_(keys)))
    connection.execute(delete(refusals).where(refusals.c.workspace_id.in_(sorted(names.workspaces))))
    _remove_unheard(connection, names)
    _remove_open_events(connection, mark, keys, now)


def _remove_unheard(connection: Connection, names: Names) -> None:
    """A step that is under way is done again: it would write down what it has read before."""
    theirs = {reconcile_person_key(topic, *one) for one in names.ids for topic in ("joined", "qualified")}
    for row in connection.execute(select(reconcile_turns)).all():  # one a connection
        unheard = {key: seen for key, seen in row.unheard.items() if key not in theirs}
        if unheard != row.unheard:
            mine = reconcile_turns.c.kind == row.kind, reconcile_turns.c.connection_id == row.connection_id
            connection.execute(update(reconcile_turns).where(*mine).values(unheard=unheard, steps=row.steps + 1))


def _remove_open_events(connection: Connection, mark: Mark, keys: Sequence[str], now: datetime) -> None:
    theirs = events.c.person_key.in_(keys), status_is(events.c.status, *OPEN)
    rows = connection.execute(select(events.c.id, events.c.dedupe_key, events.c.sync_id).where(*theirs)).all()
    for row in rows:
        if row.sync_id is not None:  # of a backfill, which counts them
            subject = mark.outcome(row.sync_id, f"event:{row.id}")
            outcomes_kept.save(connection, [SyncOutcome(row.sync_id, subject, "skipped", cause=CAUSE)], now)
            runs.count(connection, row.sync_id, ["skipped"])
    remove_events(connection, mark, rows, now)


def remove_events(connection: Connection, mark: Mark, rows: Collection[Any], now: datetime) -> None:
    """``rows`` have ``id, dedupe_key``. Whoever delivers one of them again is told its former id."""
    if rows:
        erasures.note_events(connection, {mark.event(row.dedupe_key): row.id for row in rows}, now)
        connection.execute(delete(events).where(events.c.id.in_([row.id for row in rows])))


# What goes step by step


def own_activity(connection: Connection, names: Names) -> list[int]:
    """Some of what was done for them, by email."""
    # Nothing is added but to have it sought by email: campaigns have an index, too.
    here = (activity.c.campaign_id + 0).in_(sorted(names.campaigns))
    theirs = activity.c.email.in_(sorted(names.emails)), here
    return list(connection.execute(select(activity.c.id).where(*theirs).limit(STEP)).scalars())


def remove_activity(connection: Connection, mark: Mark, activity_ids: Sequence[int], now: datetime) -> None:
    """With the events that it came of."""
    if not activity_ids:
        return
    gone = delete(activity).where(activity.c.id.in_(activity_ids)).returning(activity.c.event_id)
    named = sorted({one for one in connection.execute(gone).scalars() if one is not None})
    found = select(events.c.id, events.c.dedupe_key).where(events.c.id.in_(named))
    remove_events(connection, mark, connection.execute(found).all() if named else [], now)


def unname_outcomes(connection: Connection, mark: Mark, outcome_ids: Sequence[int]) -> None:
    """They stay, counted as before, and are nobody's any more."""
    columns = sync_outcomes.c.id, sync_outcomes.c.sync_id, sync_outcomes.c.subject
    rows = connection.execute(select(*columns).where(sync_outcomes.c.id.in_(outcome_ids))).all()
    nobodys = dict.fromkeys(("contact_id", "person_id", "email", "detail", "values_digest"))
    changes = [{"row": row.id, "whose": mark.outcome(row.sync_id, row.subject)} for row in rows]
    if changes:
        statement = update(sync_outcomes).where(sync_outcomes.c.id == bindparam("row"))
        connection.execute(statement.values({**nobodys, "subject": bindparam("whose"), "cause": CAUSE}), changes)


_EVENT: Final = [
    events.c[name]
    for name in (
        "id",
        "dedupe_key",
        "source",
        "origin",
        "workspace_id",
        "campaign_id",
        "person_key",
        "content_type",
        "payload",
        "error",
    )
]
_ACTIVITY: Final = [
    activity.c[name]
    for name in (
        "id",
        "workspace_id",
        "campaign_id",
        "email",
        "referral_factory_id",
        "code",
        "contact_id",
        "detail",
    )
]
_PERSON: Final = [people.c[name] for name in ("id", "workspace_id", "campaign_id", "values")]


def _some(connection: Connection, columns: Sequence[Column[Any]], after: int) -> Sequence[Row[Any]]:
    id_ = columns[0]
    return connection.execute(select(*columns).where(id_ > after).order_by(id_).limit(STEP)).all()


def _those(connection: Connection, columns: Sequence[Column[Any]], ids: Sequence[int]) -> Sequence[Row[Any]]:
    """As they are now, and stay until the transaction ends."""
    return connection.execute(select(*columns).where(columns[0].in_(ids)).with_for_update()).all()


_OUTCOME: Final = [
    *(sync_outcomes.c[name] for name in ("id", "subject", "contact_id", "person_id", "email")),
    *(syncs.c[name] for name in ("workspace_id", "campaign_id")),
]


def some_outcomes(connection: Connection, after: int) -> Sequence[Row[Any]]:
    """Some outcomes of runs after one, by id, whosever they are; and where the run is at home."""
    mine = select(*_OUTCOME).join(syncs, syncs.c.id == sync_outcomes.c.sync_id).where(sync_outcomes.c.id > after)
    return connection.execute(mine.order_by(sync_outcomes.c.id).limit(STEP)).all()


def outcomes_by_ids(connection: Connection, outcome_ids: Sequence[int]) -> Sequence[Row[Any]]:
    mine = select(*_OUTCOME).join(syncs, syncs.c.id == sync_outcomes.c.sync_id)
    return connection.execute(mine.where(sync_outcomes.c.id.in_(outcome_ids))).all()


def some_events(connection: Connection, after: int) -> Sequence[Row[Any]]:
    """Some events after one, by id, whoever they are about."""
    return _some(connection, _EVENT, after)


def events_by_ids(connection: Connection, event_ids: Sequence[int]) -> Sequence[Row[Any]]:
    return _those(connection, _EVENT, event_ids)


def some_activity(connection: Connection, after: int) -> Sequence[Row[Any]]:
    """Some activity after a row, by id, whosever it is."""
    return _some(connection, _ACTIVITY, after)


def activity_by_ids(connection: Connection, activity_ids: Sequence[int]) -> Sequence[Row[Any]]:
    return _those(connection, _ACTIVITY, activity_ids)


def some_people(connection: Connection, after: int) -> Sequence[Row[Any]]:
    """Some people after one, by id, with what is known of them."""
    return _some(connection, _PERSON, after)


def people_by_ids(connection: Connection, person_ids: Sequence[int]) -> Sequence[Row[Any]]:
    return _those(connection, _PERSON, person_ids)


def change_events(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """``changes`` have ``row, new_payload, new_content_type, new_error``."""
    if changes:
        names = ("payload", "content_type", "error")
        statement = update(events).where(events.c.id == bindparam("row"))
        connection.execute(statement.values({name: bindparam(f"new_{name}") for name in names}), list(changes))


def clear_details(connection: Connection, activity_ids: Sequence[int]) -> None:
    if activity_ids:
        connection.execute(update(activity).where(activity.c.id.in_(activity_ids)).values(detail=None))


def change_values(connection: Connection, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """What is known of people, by their rows' ids."""
    if changes:
        new = bindparam("new_values", type_=people.c["values"].type)
        statement = update(people).where(people.c.id == bindparam("row")).values({"values": new})
        rows = [{"row": row, "new_values": dict(values)} for row, values in sorted(changes.items())]
        connection.execute(statement, rows)
