"""Who is which contact: links by workspace and email, attempts to create, and values that Intercom refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from app.storage.database import insert as insert_or
from app.storage.many import UpdateMany, among, put
from app.storage.people import Move
from app.storage.tables import creations, links, refusals


@dataclass(frozen=True, slots=True)
class Link:
    """A person of a workspace is this contact. ``made_for`` is the campaign and audience we made it for."""

    person_key: str
    workspace_id: int
    email: str
    contact_id: str
    role: str
    made_for_campaign_id: int | None
    made_for_audience: str | None


@dataclass(frozen=True, slots=True)
class Creation:
    """An attempt to create whose outcome is not known."""

    id: int
    person_key: str
    campaign_id: int
    audience: str
    role: str
    attempted_at: datetime


@dataclass(frozen=True, slots=True)
class CreationOutcome:
    """``outcome``: ``created``, ``refused`` (the vendor said no) or ``absent`` (looked for, and not there)."""

    creation_id: int
    outcome: str
    contact_id: str | None


def links_of(connection: Connection, person_keys: Collection[str]) -> dict[str, Link]:
    if not person_keys:
        return {}
    rows = connection.execute(
        select(*(links.c[name] for name in Link.__slots__)).where(among(links.c.person_key, person_keys))
    )
    return {row.person_key: Link(*row) for row in rows}


def save_links(connection: Connection, made: Sequence[Link], now: datetime) -> None:
    """Make or replace links."""
    if not made:
        return
    statement = insert_or(connection, links)
    names = [name for name in Link.__slots__ if name != "person_key"]
    statement = statement.on_conflict_do_update(
        index_elements=["person_key"], set_={name: statement.excluded[name] for name in names}
    )
    rows = {link.person_key: {**{n: getattr(link, n) for n in Link.__slots__}, "linked_at": now} for link in made}
    put(connection, statement, list(rows.values()))


def move(connection: Connection, moves: Collection[Move]) -> None:
    """People who are linked to those contacts are linked to the others from now on."""
    for one in sorted(moves, key=lambda move: (move.workspace_id, move.contact_id)):
        theirs = links.c.workspace_id == one.workspace_id, links.c.contact_id == one.contact_id
        connection.execute(update(links).where(*theirs).values(contact_id=one.new_id, role=one.new_role))


def remove_links(connection: Connection, person_keys: Collection[str]) -> None:
    if person_keys:
        connection.execute(delete(links).where(among(links.c.person_key, person_keys)))


def open_creations(connection: Connection, person_keys: Collection[str]) -> dict[str, list[Creation]]:
    """Attempts whose outcome nobody knows, oldest first, by person."""
    found: dict[str, list[Creation]] = {}
    if not person_keys:
        return found
    rows = connection.execute(
        select(*(creations.c[name] for name in Creation.__slots__))
        .where(among(creations.c.person_key, person_keys), creations.c.outcome.is_(None))
        .order_by(creations.c.id)
    )
    for row in rows:
        found.setdefault(row.person_key, []).append(Creation(*row))
    return found


_settle = UpdateMany(
    creations,
    "id",
    ("id", "outcome", "contact_id"),
    lambda new: (
        update(creations)
        .where(creations.c.id == new("id"))
        .values(outcome=new("outcome"), contact_id=new("contact_id"))
    ),
)


def settle_creations(connection: Connection, outcomes: Iterable[CreationOutcome]) -> None:
    rows = [{"id": o.creation_id, "outcome": o.outcome, "contact_id": o.contact_id} for o in outcomes]
    _settle.of(connection, rows)


def refused(connection: Connection, workspace_id: int, now: datetime) -> frozenset[tuple[str, str]]:
    """Paths and digests of values that Intercom refused lately."""
    rows = connection.execute(
        select(refusals.c.path, refusals.c.value_digest).where(
            refusals.c.workspace_id == workspace_id, refusals.c.until > now
        )
    )
    return frozenset((row.path, row.value_digest) for row in rows)


def remember_refused(connection: Connection, found: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """``found`` has ``workspace_id, path, value_digest, until``. What ran out is removed on the way."""
    if not found:
        return
    connection.execute(delete(refusals).where(refusals.c.until <= now))
    statement = insert_or(connection, refusals)
    statement = statement.on_conflict_do_update(
        index_elements=["workspace_id", "path", "value_digest"], set_={"until": statement.excluded["until"]}
    )
    unique = {(r["workspace_id"], r["path"], r["value_digest"]): dict(r) for r in found}
    # In one order, so that two workers that were refused the same can't wait for each other.
    connection.execute(statement, [unique[key] for key in sorted(unique)])
