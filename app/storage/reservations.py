"""Room under a user limit that runs have taken for the people they are about to enrol."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select

from app.storage.database import insert
from app.storage.tables import reservations


def of_others(connection: Connection, program_id: int, sync_id: int, now: datetime) -> dict[int, int]:
    """How much room other runs of the account hold, by campaign."""
    theirs = reservations.c.program_id == program_id, reservations.c.sync_id != sync_id, reservations.c.until > now
    held: dict[int, int] = {}
    for row in connection.execute(select(reservations.c.campaign_id, reservations.c.slots).where(*theirs)):
        held[row.campaign_id] = held.get(row.campaign_id, 0) + row.slots
    return held


def hold(
    connection: Connection, sync_id: int, *, program_id: int, campaign_id: int, slots: int, until: datetime
) -> None:
    """What a run holds from now on, instead of what it held; nothing with 0. Ask under the program's lock."""
    if slots <= 0:
        connection.execute(delete(reservations).where(reservations.c.sync_id == sync_id))
        return
    statement = insert(connection, reservations)
    statement = statement.on_conflict_do_update(
        index_elements=["sync_id"],
        set_={name: statement.excluded[name] for name in ("program_id", "campaign_id", "slots", "until")},
    )
    row = {"sync_id": sync_id, "program_id": program_id, "campaign_id": campaign_id, "slots": slots, "until": until}
    connection.execute(statement, [row])
