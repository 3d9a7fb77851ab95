"""Somebody follows a link, chooses a password, and is in. Each link works once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import Change
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import accounts, audit_log, invitations, sessions
from app.usecases import passwords
from app.usecases.services import Services
from app.usecases.sign_in import From, begin_session, digest_of


def known_invitation(services: Services, token: str) -> Row[Any]:
    """A link that can still be used.

    Raises: InvalidRequest 404, in words that say what became of it.
    """
    with services.database.reading() as connection:
        found = invitations.by_token_digest(connection, digest_of(token))
    if found is None:
        raise _refused("This link is not one of ours. Was it copied whole?")
    if found.used_at is not None:
        raise _refused("This link was used already. It works once. If that was you, sign in.")
    if found.withdrawn_at is not None:
        raise _refused("This link was withdrawn, or a newer one took its place.")
    if found.ends_at <= services.now():
        raise _refused("This link is too old. Links work for seven days.")
    return found


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"{why} Ask an owner for a new one.", status=404, cause=Cause.NOT_FOUND)


def accept_invitation(services: Services, token: str, password: str, came: From) -> str:
    """The token of the newcomer's session. Who comes in again is signed out everywhere else.

    Raises: InvalidRequest 404 as ``known_invitation``; 422 for a password that can't be chosen; 409 where the email
        has become somebody's meanwhile.
    """
    invitation = known_invitation(services, token)
    password_hash, now = passwords.chosen(password, invitation.email), services.now()
    try:
        with services.database.writing() as connection:
            if not invitations.use(connection, invitation.id, now):
                raise _refused("This link was used or withdrawn at this very moment.")
            user_id = _let_in(connection, invitation, password_hash, now)
            return begin_session(connection, user_id, came.browser, now)
    except IntegrityError as error:
        raise InvalidRequest(
            "Somebody with this email is here already. Sign in.", status=409, cause=Cause.ALREADY_EXISTS
        ) from error


def _let_in(connection: Connection, invitation: Row[Any], password_hash: str, now: datetime) -> int:
    former = accounts.lock(connection, invitation.user_id) if invitation.user_id is not None else None
    brought = {"owner": invitation.owner, "may_manage": invitation.may_manage}
    if former is None:
        user_id = accounts.add(
            connection, email=invitation.email, password_hash=password_hash, created_at=now, **brought
        )
        _record(connection, now, invitation, Change.INVITATION_ACCEPTED, user_id, {}, brought)
        return user_id
    held = {"owner": former.owner, "may_manage": former.may_manage}
    # Who was removed has no rights left, so what the link brings is all of them; a recovery takes none away.
    rights = brought if former.removed_at is not None else {name: held[name] or brought[name] for name in held}
    accounts.change(connection, former.id, password_hash=password_hash, removed_at=None, **rights)
    sessions.end_all(connection, former.id, now)
    kind = Change.INVITATION_ACCEPTED if former.removed_at is not None else Change.RECOVERED
    _record(connection, now, invitation, kind, former.id, held, rights)
    return int(former.id)


def _record(
    connection: Connection,
    now: datetime,
    invitation: Row[Any],
    kind: Change,
    user_id: int,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    audit_log.record(
        connection,
        now,
        invitation.email,
        kind,
        f"user:{user_id}",
        name=invitation.email,
        before=before,
        after=after,
    )
