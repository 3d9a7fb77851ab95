"""Contacts that an ongoing sync has left out for want of room are asked again once there is room.

A look finds what has changed in Intercom, and room changes no contact. So after a look has gone through its list, it
goes on with the oldest of those that were left out before, as many as find room, each read by id. A segment's members
are all read in every look, those included.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import Rejected
from app.core.people import Contact, Role
from app.core.syncs import Contacts, wants
from app.integrations.intercom import ContactPage, Gone, GoneKind, Intercom
from app.storage import sync_outcomes
from app.usecases.plan_page import Kind, Run, Task

A_PAGE = 50
"""Read by id, before they are kept together."""

_MARK = "left_out:"


def is_place(cursor: str | None) -> bool:
    """Whether a look has gone through its list, and is at those who were left out before."""
    return cursor is not None and cursor.startswith(_MARK)


def first_place(connection: Connection, run: Run) -> str | None:
    """Where a look goes on after its list; ``None`` where nobody was left out before it."""
    once = not run.settings.ongoing or run.dry or run.first_look
    if once or run.settings.contacts is Contacts.SEGMENT:
        return None
    return _place(0) if _left_out(connection, run, 0, 1) else None


def _place(after: int) -> str:
    return f"{_MARK}{after}"


def _left_out(connection: Connection, run: Run, after: int, limit: int) -> Sequence[Row[Any]]:
    limit_reached, before = Cause.USER_LIMIT_REACHED, run.turn.row.begun_at
    return sync_outcomes.older_of(connection, run.id, limit_reached, before=before, after=after, limit=limit)


def next_left_out(connection: Connection, run: Run, room: int | None) -> tuple[Sequence[Row[Any]], str | None]:
    """The next few, as many as there is ``room`` for, and the place after them, if there may be more."""
    few = A_PAGE if room is None else min(A_PAGE, room)
    after = int(str(run.turn.row.cursor).removeprefix(_MARK))
    rows = _left_out(connection, run, after, few) if few else ()
    return rows, _place(rows[-1].id) if rows and len(rows) == few else None


def read_left_out(
    run: Run, rows: Sequence[Row[Any]], intercom: Intercom, crew: ThreadPoolExecutor
) -> tuple[ContactPage, list[Task]]:
    """Those of whom the sync still wants to know, as they are now; and what is told of those who are gone.

    Raises: ApiError, but not where one of them is refused: that keeps nobody from the others.
    """

    def read(row: Row[Any]) -> Contact | Gone | None:
        try:
            return intercom.contact(row.subject)
        except Rejected:
            return None

    found = list(zip(rows, crew.map(read, rows), strict=True))
    there = tuple(one for _, one in found if isinstance(one, Contact) and wants(run.settings, one.role))
    return ContactPage(there), [_gone(row, one) for row, one in found if isinstance(one, Gone)]


def _gone(row: Row[Any], gone: Gone) -> Task:
    """Not asked for again."""
    cause = Cause.CONTACT_MERGED if gone.kind is GoneKind.MERGED else Cause.CONTACT_ARCHIVED
    return Task(Contact(row.subject, Role.USER, row.email), Kind.SKIP, cause=cause, former=row)
