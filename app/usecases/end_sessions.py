"""Sessions end: one's own, one by one or all others, and those of somebody else by an owner."""

from __future__ import annotations

from app.core.access import Change
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import accounts, audit_log, sessions
from app.usecases.services import Services
from app.usecases.sign_in import SignedIn


def sign_out(services: Services, by: SignedIn) -> None:
    with services.database.writing() as connection:
        sessions.end(connection, by.session_id, by.user_id, services.now())


def end_own_session(services: Services, by: SignedIn, session_id: int) -> None:
    """Raises: InvalidRequest 404 for another's, and one that has ended."""
    now = services.now()
    with services.database.writing() as connection:
        if not sessions.end(connection, session_id, by.user_id, now):
            raise InvalidRequest("This session has ended already.", status=404, cause=Cause.NOT_FOUND)
        subject, after = f"user:{by.user_id}", {"ended": 1}
        audit_log.record(connection, now, by.actor, Change.SESSIONS_ENDED, subject, name=by.email, after=after)


def end_sessions(services: Services, by: SignedIn, user_id: int) -> int:
    """Everywhere that somebody is signed in, but for the session that asks; how many.

    Raises: InvalidRequest 404.
    """
    now = services.now()
    with services.database.writing() as connection:
        user = accounts.get(connection, user_id)
        if user is None:
            raise InvalidRequest("There is no such teammate.", status=404, cause=Cause.NOT_FOUND)
        ended = sessions.end_all(connection, user_id, now, but=by.session_id)
        after = {"ended": ended}
        audit_log.record(
            connection, now, by.actor, Change.SESSIONS_ENDED, f"user:{user_id}", name=user.email, after=after
        )
    return ended
