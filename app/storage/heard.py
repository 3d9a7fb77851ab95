"""When webhooks came last, by whose they are and their topic: what tells a subscription that is set up from one that
is not. Kept apart from the events, which are removed in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from app.storage.database import insert
from app.storage.inbox import NewEvent
from app.storage.tables import webhooks_heard

Heard = tuple[str, str, datetime]
"""Scope, topic and time."""


def scope_of(event: NewEvent) -> str:
    """A campaign's webhook tells of the campaign, any other of the workspace."""
    if event.campaign_id is not None:
        return campaign_scope(event.campaign_id)
    return workspace_scope(event.workspace_id)


def workspace_scope(workspace_id: int) -> str:
    return f"workspace:{workspace_id}"


def campaign_scope(campaign_id: int) -> str:
    return f"campaign:{campaign_id}"


def note(connection: Connection, heard: Sequence[Heard]) -> None:
    """Keep when these came, each scope and topic at most once among them. In order, so that two who note the same
    can't wait for each other."""
    if not heard:
        return
    rows = [{"scope": scope, "topic": topic, "at": at} for scope, topic, at in sorted(heard)]
    statement = insert(connection, webhooks_heard)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["scope", "topic"], set_={"at": statement.excluded.at}), rows
    )


def last(connection: Connection, scopes: Iterable[str]) -> Mapping[str, datetime]:
    """When each scope was heard of last, whatever the topic; who never was is left out."""
    named = webhooks_heard.c.scope.in_(sorted(scopes))
    rows = connection.execute(
        select(webhooks_heard.c.scope, func.max(webhooks_heard.c.at).label("at"))
        .where(named)
        .group_by(webhooks_heard.c.scope)
    )
    return {row.scope: row.at for row in rows}


def topics(connection: Connection, scope: str, limit: int = 200) -> Mapping[str, datetime]:
    """When each topic of a scope came last; there are as many as a vendor has topics."""
    mine = select(webhooks_heard.c.topic, webhooks_heard.c.at).where(webhooks_heard.c.scope == scope)
    rows = connection.execute(mine.order_by(webhooks_heard.c.topic).limit(limit))
    return {row.topic: row.at for row in rows}
