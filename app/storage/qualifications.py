"""Calls that qualify someone in Referral Factory, or take it back: recorded before each, and how they ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from app.storage import inbox
from app.storage.tables import people, qualifications


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """A call that is about to be made. ``asked_by`` is who asked by hand, ``value`` the target that was reached."""

    person_id: int
    qualified: bool
    event_id: int | None = None
    asked_by: str | None = None
    value: object = None


def record(
    connection: Connection, new: NewAttempt, person: Row[Any], known: Collection[int], now: datetime
) -> int | None:
    """Its id; ``None`` where another has been at ``person`` since they were read: nobody has their lease any more,
    they stand otherwise than then, or the outcome of a call is open that is not among the ``known``.

    The person's row is locked, so that of two who record at once the second sees the first's.
    """
    if person.person_key is not None and not inbox.hold_people(connection, {person.person_key}):
        return None
    standing = select(people.c.qualification_state).where(people.c.id == person.id).with_for_update()
    if connection.execute(standing).scalar() != person.qualification_state:
        return None
    if open_attempts(connection, person.id) - set(known):
        return None
    columns = {name: getattr(new, name) for name in NewAttempt.__slots__}
    made = insert(qualifications).values(**columns, attempted_at=now).returning(qualifications.c.id)
    return int(connection.execute(made).scalar_one())


def of_person(connection: Connection, person_id: int, limit: int) -> Sequence[Row[Any]]:
    """The calls that were made for one person, newest first."""
    mine = select(qualifications).where(qualifications.c.person_id == person_id)
    return connection.execute(mine.order_by(qualifications.c.id.desc()).limit(limit)).all()


def settle(connection: Connection, attempt_id: int, outcome: str) -> None:
    """``done``, ``refused`` (the vendor said no) or ``not_sent``."""
    connection.execute(update(qualifications).where(qualifications.c.id == attempt_id).values(outcome=outcome))


def settle_open(connection: Connection, person_id: int, outcome: str) -> None:
    """All of whose outcome nobody knew, now that somebody has looked: ``done`` or ``absent``."""
    mine = qualifications.c.person_id == person_id, qualifications.c.outcome.is_(None)
    connection.execute(update(qualifications).where(*mine).values(outcome=outcome))


def open_attempts(connection: Connection, person_id: int) -> frozenset[int]:
    """The calls whose outcome is not known."""
    mine = qualifications.c.person_id == person_id, qualifications.c.outcome.is_(None)
    return frozenset(connection.execute(select(qualifications.c.id).where(*mine)).scalars())
