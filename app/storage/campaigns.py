"""Campaigns, and the versions of what was set up for their audiences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from app.core.people import Audience
from app.storage.tables import audience_versions, campaigns


def add(connection: Connection, **columns: Any) -> int:
    """Raises: sqlalchemy.exc.IntegrityError where the program's campaign is there already."""
    return int(connection.execute(insert(campaigns).values(columns).returning(campaigns.c.id)).scalar_one())


def change(connection: Connection, campaign_id: int, **columns: Any) -> None:
    connection.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(columns))


def get(connection: Connection, campaign_id: int) -> Row[Any] | None:
    return connection.execute(select(campaigns).where(campaigns.c.id == campaign_id)).first()


def lock(connection: Connection, campaign_id: int) -> None:
    """The campaign stays as it is until the transaction ends, and so do the settings of those who lock it first."""
    connection.execute(select(campaigns.c.id).where(campaigns.c.id == campaign_id).with_for_update())


def names(connection: Connection, campaign_ids: Collection[int]) -> dict[int, str]:
    """The names of those campaigns, by id."""
    rows = connection.execute(select(campaigns.c.id, campaigns.c.name).where(campaigns.c.id.in_(campaign_ids)))
    return {row.id: row.name for row in rows}


MOST_IDS = 1000


def all_ids(connection: Connection) -> list[int]:
    """Of live and archived ones, the newest thousand."""
    return list(connection.execute(select(campaigns.c.id).order_by(campaigns.c.id.desc()).limit(MOST_IDS)).scalars())


def by_webhook_key(connection: Connection, key: str) -> Row[Any] | None:
    return connection.execute(select(campaigns).where(campaigns.c.webhook_key == key)).first()


def by_referral_factory_id(connection: Connection, program_id: int, referral_factory_id: str) -> Row[Any] | None:
    return connection.execute(
        select(campaigns).where(
            campaigns.c.program_id == program_id, campaigns.c.referral_factory_id == referral_factory_id
        )
    ).first()


def of_program(connection: Connection, program_id: int, limit: int) -> Sequence[Row[Any]]:
    """A program's campaigns, live and archived."""
    mine = select(campaigns).where(campaigns.c.program_id == program_id)
    return connection.execute(mine.order_by(campaigns.c.referral_factory_id).limit(limit)).all()


def page(connection: Connection, *, after: int | None, limit: int, archived: bool = False) -> Sequence[Row[Any]]:
    """The live ones, or the archived ones."""
    is_archived = campaigns.c.archived_at.is_not(None)
    query = select(campaigns).where(is_archived if archived else ~is_archived).order_by(campaigns.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(campaigns.c.id > after)).all()


def audience(connection: Connection, campaign_id: int, audience: Audience) -> Row[Any] | None:
    """The newest version."""
    return connection.execute(
        _versions(campaign_id, audience).order_by(audience_versions.c.version.desc()).limit(1)
    ).first()


def audience_version(connection: Connection, campaign_id: int, audience: Audience, version: int) -> Row[Any] | None:
    return connection.execute(_versions(campaign_id, audience).where(audience_versions.c.version == version)).first()


def audience_page(
    connection: Connection, campaign_id: int, audience: Audience, *, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Versions, newest first."""
    query = _versions(campaign_id, audience).order_by(audience_versions.c.version.desc()).limit(limit)
    return connection.execute(query if before is None else query.where(audience_versions.c.version < before)).all()


def _versions(campaign_id: int, audience: Audience) -> Any:
    return select(audience_versions).where(
        audience_versions.c.campaign_id == campaign_id, audience_versions.c.audience == audience.value
    )


def add_audience_version(
    connection: Connection,
    campaign_id: int,
    audience: Audience,
    settings: dict[str, Any],
    *,
    complete: bool,
    changed_at: datetime,
    changed_by: str,
) -> int:
    """The new version's number.

    Raises: sqlalchemy.exc.IntegrityError where another change was first.
    """
    newest = connection.execute(
        select(func.max(audience_versions.c.version)).where(
            audience_versions.c.campaign_id == campaign_id, audience_versions.c.audience == audience.value
        )
    ).scalar()
    version = (newest or 0) + 1
    connection.execute(
        insert(audience_versions).values(
            campaign_id=campaign_id,
            audience=audience.value,
            version=version,
            settings=settings,
            complete=complete,
            changed_at=changed_at,
            changed_by=changed_by,
        )
    )
    return version


def newest_audiences(connection: Connection, campaign_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """The newest version of each audience of those campaigns."""
    newest = (
        select(
            audience_versions.c.campaign_id,
            audience_versions.c.audience,
            func.max(audience_versions.c.version).label("version"),
        )
        .where(audience_versions.c.campaign_id.in_(campaign_ids))
        .group_by(audience_versions.c.campaign_id, audience_versions.c.audience)
        .subquery()
    )
    return connection.execute(
        select(audience_versions).join(
            newest,
            (audience_versions.c.campaign_id == newest.c.campaign_id)
            & (audience_versions.c.audience == newest.c.audience)
            & (audience_versions.c.version == newest.c.version),
        )
    ).all()


def others_of_workspace(connection: Connection, workspace_id: int, campaign_id: int) -> Sequence[Row[Any]]:
    """The other live campaigns of a workspace."""
    return connection.execute(
        select(campaigns).where(
            campaigns.c.workspace_id == workspace_id,
            campaigns.c.id != campaign_id,
            campaigns.c.archived_at.is_(None),
        )
    ).all()
