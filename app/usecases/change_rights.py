"""An owner gives rights and takes them, and removes people. There is always an owner left."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from app.core.access import Change, difference
from app.core.causes import Cause
from app.core.errors import InvalidRequest
from app.storage import accounts, api_tokens, audit_log, invitations, sessions
from app.usecases.services import Services
from app.usecases.sign_in import SignedIn


def change_rights(services: Services, by: SignedIn, user_id: int, *, owner: bool, may_manage: bool) -> None:
    """Raises: InvalidRequest 404; 409 where nobody would be an owner."""
    now, rights = services.now(), {"owner": owner, "may_manage": may_manage}
    with services.database.writing() as connection:
        owners = accounts.lock_owners(connection)
        user = accounts.lock(connection, user_id)
        if user is None or user.removed_at is not None:
            raise _nobody()
        if not owner:
            _keep_an_owner(owners, user_id)
        before, after = difference({name: user._mapping[name] for name in rights}, rights)
        if not after:
            return
        accounts.change(connection, user_id, **rights)
        if user.owner and not owner:
            invitations.withdraw_about(connection, user_id, now)
        _record(connection, now, by, Change.RIGHTS_CHANGED, user_id, user.email, before, after)


def _nobody() -> InvalidRequest:
    return InvalidRequest("There is no such teammate.", status=404, cause=Cause.NOT_FOUND)


def _keep_an_owner(owners: frozenset[int], user_id: int) -> None:
    if owners == {user_id}:
        raise InvalidRequest(
            "This is the last owner. Make somebody else an owner first, for without one nobody could give rights.",
            status=409,
        )


def remove_teammate(services: Services, by: SignedIn, user_id: int) -> None:
    """They are signed out, and their API tokens and links end. Their name stays in what they did.

    Raises: InvalidRequest 404; 409 where nobody would be an owner.
    """
    now = services.now()
    with services.database.writing() as connection:
        owners = accounts.lock_owners(connection)
        user = accounts.lock(connection, user_id)
        if user is None or user.removed_at is not None:
            raise _nobody()
        _keep_an_owner(owners, user_id)
        accounts.change(connection, user_id, owner=False, may_manage=False, removed_at=now)
        sessions.end_all(connection, user_id, now)
        api_tokens.revoke_all(connection, user_id, now)
        invitations.withdraw_about(connection, user_id, now)
        before = {"owner": user.owner, "may_manage": user.may_manage}
        _record(connection, now, by, Change.USER_REMOVED, user_id, user.email, before, {})


def _record(
    connection: Connection,
    now: datetime,
    by: SignedIn,
    kind: Change,
    user_id: int,
    email: str,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    subject = f"user:{user_id}"
    audit_log.record(connection, now, by.actor, kind, subject, name=email, before=before, after=after)
