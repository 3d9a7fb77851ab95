"""The inbox's door for web requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.storage import arrivals, doors, heard, inbox
from app.storage.database import Database
from app.storage.inbox import NewEvent, Receipt
from app.storage.shared_commit import SharedCommit

NOTED_EVERY = timedelta(seconds=10)
"""How exact the time of the last webhook is: a busy workspace's row is not written with every one."""

MOST_NOTED = 10_000

GATHER_SECONDS = 0.004


class Intake(SharedCommit[NewEvent, Receipt | None]):
    """``keep`` returns once the event is committed, together with those that came at the same time."""

    def __init__(self, database: Database, *, patience: float = 4.0) -> None:
        super().__init__(database, self._keep, patience=patience, gather=GATHER_SECONDS)
        # Only the writer's thread looks at it.
        self._noted: dict[tuple[str, str], datetime] = {}

    def keep(self, event: NewEvent) -> Receipt | None:
        """``None`` where the door that it came by is another one now: nothing was kept.

        Raises: TimeoutError or sqlalchemy.exc.DBAPIError where the database is away.
        """
        return self.ask(event)

    def _commit(self, asked: list[NewEvent]) -> Sequence[Receipt | None]:
        """On PostgreSQL by one statement, which is its own transaction, whatever is plain; the rest one by one."""
        if self._database.on_sqlite:
            return super()._commit(asked)
        receipts: dict[int, Receipt | None] = dict(self._at_once(asked))
        left = [number for number in range(len(asked)) if number not in receipts]
        if left:
            receipts.update(zip(left, super()._commit([asked[number] for number in left]), strict=True))
        return [receipts[number] for number in range(len(asked))]

    def _at_once(self, asked: Sequence[NewEvent]) -> dict[int, Receipt]:
        """The receipts of new ones, by their places. One whose time is to be noted is left for a transaction."""
        plain = [number for number, event in enumerate(asked) if arrivals.is_plain(event) and self._is_noted(event)]
        if not plain:
            return {}
        with self._database.at_once() as connection:
            made = arrivals.keep(connection, [asked[number] for number in plain])
        return {plain[place]: receipt for place, receipt in made.items()}

    def _keep(self, connection: Connection, received: Sequence[NewEvent]) -> Sequence[Receipt | None]:
        receipts = keep_proven(connection, received)
        kept = [event for event, receipt in zip(received, receipts, strict=True) if receipt is not None]
        # Last: whoever waits for one of these rows holds on to no other that is waited for.
        heard.note(connection, self._worth_noting(kept))
        return receipts

    def _worth_noting(self, received: Sequence[NewEvent]) -> list[heard.Heard]:
        if len(self._noted) > MOST_NOTED:
            self._noted.clear()
        found = []
        for event in received:
            if not self._is_noted(event):
                key = heard.scope_of(event), event.topic
                self._noted[key] = event.received_at
                found.append((*key, event.received_at))
        return found

    def _is_noted(self, event: NewEvent) -> bool:
        before = self._noted.get((heard.scope_of(event), event.topic))
        return before is not None and event.received_at - before < NOTED_EVERY


def keep_proven(connection: Connection, received: Sequence[NewEvent]) -> list[Receipt | None]:
    """Keep each whose door stands as it was opened; ``None`` for the others."""
    came_by = {event.came_by for event in received if event.came_by is not None}
    closed = came_by - doors.standing(connection, came_by)
    proven = [event for event in received if event.came_by not in closed]
    receipts = iter(inbox.keep(connection, proven) if proven else ())
    return [None if event.came_by in closed else next(receipts) for event in received]
