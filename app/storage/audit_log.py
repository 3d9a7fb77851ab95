"""Who changed what, when, before and after: written in the transaction of the change, newest first to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from app.core.access import Change, parts_of_actor
from app.core.text import storable
from app.storage.tables import audit_log


def record(
    connection: Connection,
    at: datetime,
    actor: str,
    kind: Change,
    subject: str,
    *,
    name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """``subject`` is what was changed, such as ``campaign:12``, and ``name`` what people call it. ``before`` and
    ``after`` hold no secret and nothing of a lead or referrer but ids: rows stay when somebody is erased."""
    person, through = parts_of_actor(actor)
    connection.execute(
        insert(audit_log).values(
            at=at,
            person=storable(person),
            through=storable(through),
            kind=kind.value,
            subject=subject,
            name=storable(name),
            before=dict(before or {}),
            after=dict(after or {}),
        )
    )


LOOKED_AT = 1000


def about(connection: Connection, kinds: Collection[Change], subjects: Collection[str]) -> Sequence[Row[Any]]:
    """What was done to those subjects, newest first: among the latest thousand rows of those kinds."""
    latest = select(audit_log.c.id).where(audit_log.c.kind.in_([kind.value for kind in kinds]))
    ids = latest.order_by(audit_log.c.id.desc()).limit(LOOKED_AT)
    query = select(audit_log).where(audit_log.c.id.in_(ids), audit_log.c.subject.in_(subjects))
    return connection.execute(query.order_by(audit_log.c.id.desc())).all()


def page(
    connection: Connection, *, person: str | None, kind: str | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    for column, value in ((audit_log.c.person, person), (audit_log.c.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(audit_log.c.id < before)
    return connection.execute(query).all()
