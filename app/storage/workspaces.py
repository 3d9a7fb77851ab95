"""Connected Intercom workspaces, with their attributes and segments as last read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, insert, literal, select, update

from app.core.audiences import Attribute, AttributeType, Catalogue
from app.storage.tables import attributes, segments, workspaces

CONNECTED, DISCONNECTED = "connected", "disconnected"


def add(connection: Connection, **columns: Any) -> int:
    """Raises: sqlalchemy.exc.IntegrityError where the workspace or its token is there already."""
    return int(connection.execute(insert(workspaces).values(columns).returning(workspaces.c.id)).scalar_one())


def change(connection: Connection, workspace_id: int, **columns: Any) -> None:
    """Raises: sqlalchemy.exc.IntegrityError where another workspace has the token."""
    connection.execute(update(workspaces).where(workspaces.c.id == workspace_id).values(columns))


def get(connection: Connection, workspace_id: int) -> Row[Any] | None:
    return connection.execute(select(workspaces).where(workspaces.c.id == workspace_id)).first()


def by_app_id(connection: Connection, app_id: str) -> Row[Any] | None:
    return connection.execute(select(workspaces).where(workspaces.c.app_id == app_id)).first()


def by_token_digest(connection: Connection, token_digest: str) -> Row[Any] | None:
    return connection.execute(select(workspaces).where(workspaces.c.token_digest == token_digest)).first()


def by_ids(connection: Connection, workspace_ids: Collection[int]) -> dict[int, Row[Any]]:
    if not workspace_ids:
        return {}
    rows = connection.execute(select(workspaces).where(workspaces.c.id.in_(workspace_ids)))
    return {row.id: row for row in rows}


def reconnect(connection: Connection, workspace_id: int, **columns: Any) -> bool:
    """Change a disconnected workspace; false where it is connected by now.

    Raises: sqlalchemy.exc.IntegrityError where another workspace has the token.
    """
    return bool(
        connection.execute(
            update(workspaces)
            .where(workspaces.c.id == workspace_id, workspaces.c.state == DISCONNECTED)
            .values(columns)
        ).rowcount
    )


def page(connection: Connection, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    query = select(workspaces).order_by(workspaces.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(workspaces.c.id > after)).all()


def all_ids(connection: Connection) -> list[int]:
    """The newest thousand."""
    return list(connection.execute(select(workspaces.c.id).order_by(workspaces.c.id.desc()).limit(1000)).scalars())


def connected(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(workspaces).where(workspaces.c.state == CONNECTED)).all()


def lose(connection: Connection, workspace_id: int, token_digest: str, cause: str, now: datetime) -> None:
    """The token is refused. One that was replaced meanwhile is left alone; one that was lost before stays so since
    then."""
    since = case(
        (workspaces.c.state == DISCONNECTED, workspaces.c.state_since),
        else_=literal(now, workspaces.c.state_since.type),
    )
    connection.execute(
        update(workspaces)
        .where(workspaces.c.id == workspace_id, workspaces.c.token_digest == token_digest)
        .values(state=DISCONNECTED, state_cause=cause, state_since=since)
    )


def connected_among(connection: Connection, workspace_ids: Sequence[int]) -> frozenset[str]:
    """``workspace:<id>`` of those that are connected; their rows stay as they are until the transaction ends."""
    if not workspace_ids:
        return frozenset()
    rows = connection.execute(
        select(workspaces.c.id, workspaces.c.state)
        .where(workspaces.c.id.in_(workspace_ids))
        .order_by(workspaces.c.id)
        .with_for_update(read=True)
    )
    return frozenset(f"workspace:{row.id}" for row in rows if row.state == CONNECTED)


def miss_permission(connection: Connection, workspace_id: int, permission: str) -> None:
    """Name a permission that a call was refused for."""
    row = connection.execute(
        select(workspaces.c.missing_permissions).where(workspaces.c.id == workspace_id).with_for_update()
    ).first()
    if row is not None and permission not in row.missing_permissions:
        change(connection, workspace_id, missing_permissions=[*row.missing_permissions, permission])


def have_permission(connection: Connection, workspace_id: int, permission: str) -> None:
    """No longer missing."""
    row = connection.execute(
        select(workspaces.c.missing_permissions).where(workspaces.c.id == workspace_id).with_for_update()
    ).first()
    if row is not None and permission in row.missing_permissions:
        kept = [name for name in row.missing_permissions if name != permission]
        change(connection, workspace_id, missing_permissions=kept)


def lost(connection: Connection) -> Sequence[Row[Any]]:
    """Those whose token was refused, not those that were disconnected by a person."""
    return connection.execute(
        select(workspaces).where(workspaces.c.state == DISCONNECTED, workspaces.c.token.is_not(None))
    ).all()


def regain(connection: Connection, workspace_id: int, token_digest: str, now: datetime) -> bool:
    """The token is taken again; false where it was replaced meanwhile."""
    return bool(
        connection.execute(
            update(workspaces)
            .where(workspaces.c.id == workspace_id, workspaces.c.token_digest == token_digest)
            .values(state=CONNECTED, state_cause=None, state_since=now)
        ).rowcount
    )


def catalogue(connection: Connection, workspace_id: int) -> Catalogue:
    """The attributes by path, archived ones included."""
    rows = connection.execute(
        select(attributes).where(attributes.c.workspace_id == workspace_id).order_by(attributes.c.path)
    )
    return {
        row.path: Attribute(
            path=row.path,
            name=row.name,
            label=row.label,
            type=AttributeType(row.type),
            options=tuple(row.options),
            writable=row.writable,
            archived=row.archived,
            custom=row.custom,
            multiline=row.multiline,
        )
        for row in rows
    }


def replace_attributes(connection: Connection, workspace_id: int, found: Iterable[Attribute]) -> int:
    """Keep what was read in place of what was there; how many."""
    connection.execute(delete(attributes).where(attributes.c.workspace_id == workspace_id))
    rows = [
        {
            "workspace_id": workspace_id,
            "path": attribute.path,
            "name": attribute.name,
            "label": attribute.label,
            "type": attribute.type.value,
            "options": list(attribute.options),
            "writable": attribute.writable,
            "archived": attribute.archived,
            "custom": attribute.custom,
            "multiline": attribute.multiline,
        }
        # A live attribute wins over an archived one of the same name.
        for attribute in {a.path: a for a in sorted(found, key=lambda a: not a.archived)}.values()
    ]
    if rows:
        connection.execute(insert(attributes), rows)
    return len(rows)


def replace_segments(connection: Connection, workspace_id: int, found: Iterable[dict[str, Any]]) -> int:
    """``found`` has ``id, name, person_type, count``; how many were kept."""
    connection.execute(delete(segments).where(segments.c.workspace_id == workspace_id))
    rows = [{"workspace_id": workspace_id, **segment} for segment in {s["id"]: s for s in found}.values()]
    if rows:
        connection.execute(insert(segments), rows)
    return len(rows)


def all_segments(connection: Connection, workspace_id: int) -> Sequence[Row[Any]]:
    """Every segment; some hundreds at most."""
    return connection.execute(select(segments).where(segments.c.workspace_id == workspace_id)).all()


def counts_of(connection: Connection, workspace_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many attributes and segments of each are kept."""
    found = []
    for table in (attributes, segments):
        mine = select(table.c.workspace_id, func.count()).where(table.c.workspace_id.in_(workspace_ids))
        rows = connection.execute(mine.group_by(table.c.workspace_id))
        found.append({row[0]: row[1] for row in rows})
    return {one: (found[0].get(one, 0), found[1].get(one, 0)) for one in workspace_ids}


def counts(connection: Connection, workspace_id: int) -> tuple[int, int]:
    """How many attributes and segments are kept."""
    kept = select(
        *(
            select(func.count()).where(table.c.workspace_id == workspace_id).scalar_subquery()
            for table in (attributes, segments)
        )
    )
    found = connection.execute(kept).one()
    return found[0], found[1]
