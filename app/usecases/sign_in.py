"""Signing in: a password becomes a session, whose random token the browser holds. Guessing is counted before it is
looked at, by account and by address."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.core.access import (
    ATTEMPTS_LAST,
    ATTEMPTS_OF_ACCOUNT,
    ATTEMPTS_OF_ADDRESS,
    SEEN_EVERY,
    Rights,
    session_is_over,
)
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.core.text import storable
from app.storage import accounts, sessions, sign_in_attempts
from app.storage.vault import digest
from app.usecases import passwords
from app.usecases.services import Services

TOKEN_BYTES = 32

MOST_OF_BROWSER = 200


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody at work, with their rights at this moment. ``actor`` is how they are named in what they do."""

    user_id: int
    email: str
    rights: Rights
    session_id: int

    @property
    def actor(self) -> str:
        return self.email


@dataclass(frozen=True, slots=True)
class From:
    """Where a sign-in comes from."""

    address: str
    browser: str = ""


def email_of(typed: str) -> str:
    """An email as accounts are known by it."""
    return (storable(typed.strip(), 320) or "").casefold()


def sign_in(services: Services, email: str, password: str, came: From) -> str:
    """A new session's token.

    Raises: InvalidRequest 401 for an unknown email and a wrong password alike; 429 after too many attempts.
    """
    email = email_of(email)
    count_attempt(services, email, came)
    with services.database.reading() as connection:
        user = accounts.by_email(connection, email)
    known = user is not None and user.removed_at is None
    if not passwords.matches(user.password_hash if user is not None and known else None, password):
        raise InvalidRequest(
            "This email and password don't go together. Try again, or ask an owner for a recovery link.",
            status=401,
            cause=Cause.UNAUTHENTICATED,
        )
    assert user is not None  # noqa: S101 - nobody has no password that matches
    new_hash = passwords.hashed(password) if passwords.is_outdated(user.password_hash) else None
    with services.database.writing() as connection:
        if new_hash is not None:
            accounts.change(connection, user.id, password_hash=new_hash)
        succeed(connection, email, came)
        return begin_session(connection, user.id, came.browser, services.now())


def begin_session(connection: Connection, user_id: int, browser: str, now: datetime) -> str:
    """Its token, which is nowhere else."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    sessions.add(connection, digest(token), user_id, storable(browser, MOST_OF_BROWSER) or "", now)
    return token


def count_attempt(services: Services, email: str, came: From) -> None:
    """Raises: InvalidRequest 429 where there were too many of late."""
    account, address = _keys(email, came)
    now = services.now()
    with services.database.writing() as connection:
        counted = sign_in_attempts.count(connection, (account, address), now, now + ATTEMPTS_LAST)
    if counted[account] > ATTEMPTS_OF_ACCOUNT or counted[address] > ATTEMPTS_OF_ADDRESS:
        minutes = ATTEMPTS_LAST // timedelta(minutes=1)
        raise InvalidRequest(
            f"There were too many attempts to sign in. Wait {minutes} minutes, then try again.",
            status=429,
            cause=Cause.UNAUTHENTICATED,
        )


def succeed(connection: Connection, email: str, came: From) -> None:
    """Who knows the password was not guessing; those at the same address may still be."""
    account, address = _keys(email, came)
    sign_in_attempts.forget(connection, account)
    sign_in_attempts.take_back(connection, address)


def _keys(email: str, came: From) -> tuple[str, str]:
    return digest_of(f"account:{email}"), digest_of(f"address:{came.address}")


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def signed_in(services: Services, token: str) -> SignedIn | None:
    """Whose session this is; ``None`` where it has ended, or is nobody's."""
    now = services.now()
    with services.database.reading() as connection:
        session = sessions.find(connection, digest_of(token))
    if session is None or session_is_over(session.created_at, session.seen_at, now):
        return None
    if now - session.seen_at >= SEEN_EVERY:
        with services.database.writing() as connection:
            sessions.see(connection, session.id, now)
    return SignedIn(session.user_id, session.email, accounts.rights_of(session), session.id)


def sessions_of(services: Services, user_id: int) -> list[Row[Any]]:
    """The sessions that somebody can still use, newest first."""
    now = services.now()
    with services.database.reading() as connection:
        rows = sessions.open_of(connection, user_id)
    return [row for row in rows if not session_is_over(row.created_at, row.seen_at, now)]
