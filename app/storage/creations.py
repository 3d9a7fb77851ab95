"""Attempts to create a contact, recorded before the call: should its answer never come, the next looks first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from app.storage import inbox, links
from app.storage.database import Database
from app.storage.links import Link
from app.storage.shared_commit import SharedCommit
from app.storage.tables import creations

_COLUMNS = ("person_key", "workspace_id", "campaign_id", "audience", "event_id", "role", "attempted_at")


@dataclass(frozen=True, slots=True)
class NewCreation:
    """An attempt that is about to be made. ``link`` and ``known`` (attempts) are what it rests on."""

    person_key: str
    workspace_id: int
    campaign_id: int
    audience: str
    event_id: int | None
    role: str
    attempted_at: datetime
    link: Link | None
    known: frozenset[int]


def record_creations(connection: Connection, asked: Sequence[NewCreation]) -> list[int | None]:
    """Ids of the recorded attempts; ``None`` for one that was overtaken: nobody has the person's lease any more, or
    somebody has linked the person or tried to create them since. A few queries, however many are asked for."""
    keys = {new.person_key for new in asked}
    leased = inbox.hold_people(connection, keys)
    linked, tried = links.links_of(connection, keys), links.open_creations(connection, keys)
    free: dict[str, NewCreation] = {}
    for new in asked:
        others = {one.id for one in tried.get(new.person_key, ())} - new.known
        if new.person_key in leased and linked.get(new.person_key) == new.link and not others:
            free.setdefault(new.person_key, new)
    if not free:
        return [None] * len(asked)
    made = connection.execute(
        insert(creations).returning(creations.c.id, creations.c.person_key),
        [{name: getattr(new, name) for name in _COLUMNS} for new in free.values()],
    )
    ids = {row.person_key: row.id for row in made}
    return [ids[new.person_key] if free.get(new.person_key) is new else None for new in asked]


GATHER_SECONDS = 0.005


class Creations(SharedCommit[NewCreation, int | None]):
    """``record`` returns once the attempt is committed, together with those of other threads."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, record_creations, gather=GATHER_SECONDS)

    def record(self, new: NewCreation) -> int | None:
        """As ``record_creations``. Raises: TimeoutError or DBAPIError where the database is away."""
        return self.ask(new)
