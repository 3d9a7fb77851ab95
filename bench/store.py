"""What the system has kept, read from its database and not asked of it: a measure must not cost what it measures."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import TextClause, and_, func, select
from sqlalchemy.engine import make_url

from app.storage.database import Database
from app.storage.tables import activity, events


@dataclass(frozen=True, slots=True)
class Settled:
    """Events that are settled: how many, and how many of them a second after the first ones."""

    number: int
    rate: float


class Store:
    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._database = Database(parsed.render_as_string(hide_password=False))

    def close(self) -> None:
        self._database.close()

    def execute(self, statement: TextClause) -> None:
        with self._database.writing() as connection:
            connection.execute(statement)

    def events(self) -> int:
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(events)).scalar_one()

    def open(self, up_to: int | None = None) -> int:
        """How many are not settled, of all or of those up to one."""
        unsettled = select(func.count()).where(events.c.status.in_(["received", "processing", "retrying"]))
        if up_to is not None:
            unsettled = unsettled.where(events.c.id <= up_to)
        with self._database.reading() as connection:
            return connection.execute(unsettled).scalar_one()

    def payloads(self, after: int) -> int:
        """How many of the events that came after one still have what was said."""
        kept = select(func.count()).where(events.c.id > after, events.c.payload.is_not(None))
        with self._database.reading() as connection:
            return connection.execute(kept).scalar_one()

    def activity(self, after: int) -> int:
        """How often the activity tells of the events that came after one."""
        told = select(func.count()).where(activity.c.event_id > after)
        with self._database.reading() as connection:
            return connection.execute(told).scalar_one()

    def last_event(self) -> int:
        with self._database.reading() as connection:
            return connection.execute(select(func.max(events.c.id))).scalar() or 0

    def settled(self, after: int) -> Settled:
        """Of the events that came after one. The first to be settled start the clock and are not counted."""
        mine = and_(events.c.id > after, events.c.settled_at.is_not(None))
        with self._database.reading() as connection:
            number, first, last = connection.execute(
                select(func.count(), func.min(events.c.settled_at), func.max(events.c.settled_at)).where(mine)
            ).one()
            if first == last:
                return Settled(number, 0.0)
            before = connection.execute(select(func.count()).where(mine, events.c.settled_at == first)).scalar_one()
        return Settled(number, (number - before) / (last - first).total_seconds())

    def created(self, after: int) -> int:
        """How many of the events that came after one made a contact, by the activity."""
        made = select(func.count()).where(activity.c.event_id > after, activity.c.outcome == "created")
        with self._database.reading() as connection:
            return connection.execute(made).scalar_one()
