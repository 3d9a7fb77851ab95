"""The first owner is made at start, from the environment, while there is no user. There is no open sign-up."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import DBAPIError

from app.storage import accounts
from app.usecases import passwords
from app.usecases.services import Services
from app.usecases.sign_in import email_of

log = structlog.get_logger(__name__)


def make_first_owner(services: Services, email: str | None, password: str | None) -> None:
    """A database that is away or not migrated yet does not keep the web from starting: health must answer."""
    if email is None or password is None:
        return
    try:
        with services.database.reading() as connection:
            if accounts.has_any(connection):
                return
        hashed = passwords.hashed(password)
        with services.database.writing() as connection:
            accounts.add_owner(connection, email_of(email), hashed, services.now())
    except DBAPIError as error:
        log.warning("first_owner_not_made", error=type(error).__name__)
