"""The inbox's door for web requests."""

from __future__ import annotations

from app.storage import inbox
from app.storage.database import Database
from app.storage.inbox import NewEvent, Receipt
from app.storage.shared_commit import SharedCommit


class Intake(SharedCommit[NewEvent, Receipt]):
    """``keep`` returns once the event is committed, together with those that came at the same time."""

    def __init__(self, database: Database, *, patience: float = 4.0) -> None:
        super().__init__(database, inbox.keep, patience=patience)

    def keep(self, event: NewEvent) -> Receipt:
        """Raises: TimeoutError or sqlalchemy.exc.DBAPIError where the database is away."""
        return self.ask(event)
