"""Links that let people in: for a teammate to come, and for somebody who has lost their password. No mail is sent;
whoever makes a link is shown it once, and passes it on."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.core.access import INVITATION_LASTS, Change
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.storage import accounts, audit_log, invitations
from app.storage.vault import digest
from app.usecases.services import Services
from app.usecases.sign_in import TOKEN_BYTES, SignedIn, email_of

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def invite_teammate(
    services: Services, by: SignedIn, email: str, *, owner: bool = False, may_manage: bool = False
) -> str:
    """The link's token. A former link for the same email no longer works.

    Raises: InvalidRequest 422 for what is no email, 409 for that of somebody who is here.
    """
    email, now = checked_email(email), services.now()
    with services.database.writing() as connection:
        known = accounts.by_email(connection, email)
        if known is not None and known.removed_at is None:
            raise _here_already()
        token = make_link(
            connection,
            now,
            email=email,
            user_id=known.id if known is not None else None,
            owner=owner,
            may_manage=may_manage,
            made_by=by.user_id,
        )
        after = {"owner": owner, "may_manage": may_manage}
        audit_log.record(connection, now, by.actor, Change.INVITATION_MADE, "invitation", name=email, after=after)
    return token


def checked_email(typed: str) -> str:
    """Raises: InvalidRequest 422 for what is no email."""
    email = email_of(typed)
    if not _EMAIL.fullmatch(email):
        detail = "This is not an email address."
        raise InvalidRequest(detail, errors=(FieldError("/email", Cause.INVALID_EMAIL, detail),))
    return email


def _here_already() -> InvalidRequest:
    detail = "Somebody with this email is a teammate already. Change their rights instead."
    fault = FieldError("/email", Cause.ALREADY_EXISTS, detail)
    return InvalidRequest(detail, status=409, cause=Cause.ALREADY_EXISTS, errors=(fault,))


def make_link(connection: Connection, now: datetime, *, email: str, **columns: Any) -> str:
    """The token of a link in place of all former ones for the email."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    invitations.withdraw_for(connection, email, now)
    invitations.add(
        connection,
        token_digest=digest(token),
        email=email,
        created_at=now,
        ends_at=now + INVITATION_LASTS,
        **columns,
    )
    return token


def make_recovery(services: Services, by: SignedIn, user_id: int) -> str:
    """The token of a link by which somebody chooses another password. Their rights stay as they are.

    Raises: InvalidRequest 404.
    """
    now = services.now()
    with services.database.writing() as connection:
        user = accounts.get(connection, user_id)
        if user is None or user.removed_at is not None:
            raise InvalidRequest("There is no such teammate.", status=404, cause=Cause.NOT_FOUND)
        token = make_link(
            connection,
            now,
            email=user.email,
            user_id=user.id,
            owner=False,
            may_manage=False,
            made_by=by.user_id,
        )
        audit_log.record(connection, now, by.actor, Change.RECOVERY_MADE, f"user:{user.id}", name=user.email)
    return token


def withdraw_invitation(services: Services, by: SignedIn, invitation_id: int) -> None:
    """Raises: InvalidRequest 404 where there is nothing to withdraw."""
    now = services.now()
    with services.database.writing() as connection:
        gone = invitations.withdraw(connection, invitation_id, now)
        if gone is None:
            raise InvalidRequest("This link was used or withdrawn before.", status=404, cause=Cause.NOT_FOUND)
        audit_log.record(
            connection, now, by.actor, Change.INVITATION_WITHDRAWN, f"invitation:{gone.id}", name=gone.email
        )


def pending_invitations(services: Services) -> Sequence[Row[Any]]:
    with services.database.reading() as connection:
        return invitations.pending(connection, services.now())
