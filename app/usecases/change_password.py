"""Somebody changes their own password. Whoever else was signed in with the old one is not any more."""

from __future__ import annotations

from app.core.access import REPLACED, Change
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.storage import accounts, audit_log, sessions
from app.usecases import passwords
from app.usecases.services import Services
from app.usecases.sign_in import From, SignedIn, begin_session, count_attempt, succeed


def change_password(services: Services, by: SignedIn, current: str, new: str, came: From) -> str:
    """The token of a new session, in place of all there were.

    Raises: InvalidRequest 422 for a wrong current password or a new one that can't be chosen; 429 after too many
        attempts.
    """
    count_attempt(services, by.email, came)
    with services.database.reading() as connection:
        user = accounts.get(connection, by.user_id)
    if user is None or not passwords.matches(user.password_hash, current):
        detail = "This is not your password of now."
        raise InvalidRequest(detail, errors=(FieldError("/current", Cause.INVALID_REQUEST, detail),))
    new_hash, now = passwords.chosen(new, by.email), services.now()
    with services.database.writing() as connection:
        accounts.change(connection, by.user_id, password_hash=new_hash)
        succeed(connection, by.email, came)
        sessions.end_all(connection, by.user_id, now)
        subject, after = f"user:{by.user_id}", {"password": REPLACED}
        audit_log.record(connection, now, by.actor, Change.PASSWORD_CHANGED, subject, name=by.email, after=after)
        return begin_session(connection, by.user_id, came.browser, now)
