"""Who was erased on request: the key of their digests, the record that it was done, and how far it has come."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from app.core.erasure import Kind, Mark, Names
from app.storage.database import insert as insert_or
from app.storage.tables import erased_events, erased_names, erasure_keys, erasures
from app.storage.vault import Vault

KEY = 1


@dataclass(frozen=True, slots=True)
class Erasing:
    """An erasure that goes on, of ``names``: at ``stage``, after the row ``position``."""

    id: int
    names: Names
    stage: str
    position: int


# The key


sealed_key = select(erasure_keys.c.sealed).where(erasure_keys.c.id == KEY).scalar_subquery()
"""For a look at something else that asks for the key on the way; null while nobody was ever erased."""


def mark(connection: Connection, vault: Vault) -> Mark | None:
    """By which the erased are known again; ``None`` while nobody ever was."""
    return mark_of(connection.execute(select(sealed_key)).scalar(), vault)


def mark_of(sealed: str | None, vault: Vault) -> Mark | None:
    return Mark(bytes.fromhex(vault.open(sealed))) if sealed is not None else None


def make_mark(connection: Connection, vault: Vault) -> Mark:
    """The same, made where there is none. It is sealed anew with the newest key on the way."""
    fresh = {"id": KEY, "sealed": vault.seal(secrets.token_hex(32))}
    connection.execute(
        insert_or(connection, erasure_keys).values(fresh).on_conflict_do_nothing(index_elements=["id"])
    )
    made = mark(connection, vault)
    assert made is not None  # noqa: S101 - it was made just now
    resealed = vault.seal(made.key.hex())
    connection.execute(update(erasure_keys).where(erasure_keys.c.id == KEY).values(sealed=resealed))
    return made


# Who was erased


def among(connection: Connection, digests: Collection[str]) -> frozenset[str]:
    """Those that are of somebody erased."""
    if not digests:
        return frozenset()
    found = select(erased_names.c.digest).where(erased_names.c.digest.in_(sorted(digests)))
    return frozenset(connection.execute(found).scalars())


def let_back(connection: Connection, digests: Mapping[str, Kind]) -> bool:
    """Whoever has one of these names is passed by no longer, under any email or contact of theirs; nor under these
    ids. Former ids, which stand for signups that were erased, stay. Whether anybody was."""
    mine = erased_names.c.digest.in_(sorted(digests))
    of_theirs = frozenset(connection.execute(select(erased_names.c.erasure_id).where(mine)).scalars())
    if not of_theirs:
        return False
    by_person = erased_names.c.kind.in_((Kind.EMAIL.value, Kind.CONTACT.value))
    theirs = erased_names.c.erasure_id.in_(sorted(of_theirs)) & by_person
    connection.execute(delete(erased_names).where(theirs))
    connection.execute(delete(erased_names).where(mine))
    return True


def note_names(connection: Connection, erasure_id: int, digests: Mapping[str, Kind]) -> None:
    if not digests:
        return
    statement = insert_or(connection, erased_names)
    statement = statement.on_conflict_do_update(
        index_elements=["digest"], set_={"erasure_id": statement.excluded.erasure_id}
    )
    rows = [{"digest": one, "kind": kind.value, "erasure_id": erasure_id} for one, kind in sorted(digests.items())]
    connection.execute(statement, rows)


# Which events were removed


def note_events(connection: Connection, removed: Mapping[str, int], now: datetime) -> None:
    """``removed`` are the events' ids by digest."""
    if removed:
        rows = [{"digest": one, "event_id": event_id, "at": now} for one, event_id in sorted(removed.items())]
        statement = insert_or(connection, erased_events).on_conflict_do_nothing(index_elements=["digest"])
        connection.execute(statement, rows)


def events_among(connection: Connection, digests: Collection[str]) -> dict[str, int]:
    """The ids that events of these digests had when they were removed."""
    if not digests:
        return {}
    found = select(erased_events.c.digest, erased_events.c.event_id)
    rows = connection.execute(found.where(erased_events.c.digest.in_(sorted(digests))))
    return {row.digest: row.event_id for row in rows}


def remove_events(connection: Connection, before: datetime, limit: int) -> int:
    """Forget up to ``limit`` of what was removed before a time; how many."""
    old = select(erased_events.c.digest).where(erased_events.c.at < before).order_by(erased_events.c.at).limit(limit)
    return connection.execute(delete(erased_events).where(erased_events.c.digest.in_(old))).rowcount


# The record, and how far it has come


def begin(
    connection: Connection,
    vault: Vault,
    names: Names,
    *,
    actor: str,
    workspace_id: int,
    stage: str,
    now: datetime,
    lease: timedelta,
) -> Erasing:
    """Record that somebody is being erased, by ``actor``; whoever begins goes on with it until ``lease`` is over."""
    row = {"at": now, "actor": actor, "workspace_id": workspace_id, "stage": stage, "position": 0}
    made = insert(erasures).values(**row, names=vault.seal(names.to_json()), due_at=now + lease)
    erasure_id = int(connection.execute(made.returning(erasures.c.id)).scalar_one())
    return Erasing(erasure_id, names, stage, 0)


def due(connection: Connection, now: datetime) -> list[int]:
    """Those that are to be gone on with, by id."""
    open_ones = erasures.c.finished_at.is_(None), erasures.c.due_at <= now
    return list(connection.execute(select(erasures.c.id).where(*open_ones).order_by(erasures.c.due_at)).scalars())


def take(connection: Connection, vault: Vault, erasure_id: int, now: datetime, lease: timedelta) -> Erasing | None:
    """One that is due, for one of all who ask and until ``lease`` is over."""
    mine = erasures.c.id == erasure_id, erasures.c.finished_at.is_(None), erasures.c.due_at <= now
    taken = update(erasures).where(*mine).values(due_at=now + lease).returning(*erasures.c)
    row = connection.execute(taken).first()
    return Erasing(row.id, Names.from_json(vault.open(row.names)), row.stage, row.position) if row else None


def go_on(connection: Connection, erasing: Erasing, due_at: datetime) -> None:
    """It has come as far as ``erasing`` says."""
    place = {"stage": erasing.stage, "position": erasing.position, "due_at": due_at}
    connection.execute(update(erasures).where(erasures.c.id == erasing.id).values(place))


def finish(connection: Connection, erasure_id: int, now: datetime) -> None:
    """All is done, and what was looked for is forgotten."""
    done = {"names": None, "stage": None, "finished_at": now}
    connection.execute(update(erasures).where(erasures.c.id == erasure_id).values(done))


def page(connection: Connection, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """The records, newest first: when, by whom, in which workspace, and when all was done."""
    columns = [erasures.c[name] for name in ("id", "at", "actor", "workspace_id", "finished_at")]
    query = select(*columns).order_by(erasures.c.id.desc()).limit(limit)
    return connection.execute(query if before is None else query.where(erasures.c.id < before)).all()
