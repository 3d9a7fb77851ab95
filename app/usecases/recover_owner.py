"""For an installation whose owners can't come in any more: whoever runs it makes a link that works once."""

from __future__ import annotations

from app.core.access import Change
from app.storage import accounts, audit_log
from app.usecases.invite_teammate import checked_email, make_link
from app.usecases.services import Services

COMMAND = "recovery command"
"""Who it was, as the audit log names it."""


def recover_owner(services: Services, email: str) -> str:
    """The path of a link by which the person with this email chooses a password and is an owner. They need not have
    been here before.

    Raises: InvalidRequest 422 for what is no email.
    """
    email, now = checked_email(email), services.now()
    with services.database.writing() as connection:
        known = accounts.by_email(connection, email)
        token = make_link(
            connection,
            now,
            email=email,
            user_id=known.id if known is not None else None,
            owner=True,
            may_manage=False,
            made_by=None,
        )
        after = {"owner": True}
        audit_log.record(connection, now, COMMAND, Change.RECOVERY_MADE, "invitation", name=email, after=after)
    return path_of(token)


def path_of(token: str) -> str:
    """Where a link leads, within the installation."""
    return f"/invitations/{token}"
