"""Tokens for programs: made and revoked by people, and known again when one is sent. Each has its maker's rights of
that moment, not those of the day it was made."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from app.core.access import SEEN_EVERY, Change, Rights, actor_named
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest
from app.core.text import storable
from app.storage import accounts, api_tokens, audit_log
from app.storage.vault import digest
from app.usecases.services import Services
from app.usecases.sign_in import TOKEN_BYTES, SignedIn, digest_of

PREFIX = "referloop_"
"""By which scanners of code know what they have found."""

MOST_OF_NAME = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls by a token: their rights, and how they are named in what they do."""

    actor: str
    rights: Rights


def make_api_token(services: Services, by: SignedIn, name: str) -> str:
    """The token, which is told this once.

    Raises: InvalidRequest 422 without a name.
    """
    name, now = (storable(name.strip(), MOST_OF_NAME) or ""), services.now()
    if not name:
        detail = "Give the token a name, by which you will know what uses it."
        raise InvalidRequest(detail, errors=(FieldError("/name", Cause.INVALID_REQUEST, detail),))
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with services.database.writing() as connection:
        token_id = api_tokens.add(connection, digest(token), name, by.user_id, now)
        audit_log.record(connection, now, by.actor, Change.API_TOKEN_MADE, f"api_token:{token_id}", name=name)
    return token


def revoke_api_token(services: Services, by: SignedIn, token_id: int) -> None:
    """One's own, or as an owner anybody's.

    Raises: InvalidRequest 404.
    """
    now, own = services.now(), None if by.rights.is_owner else by.user_id
    with services.database.writing() as connection:
        gone = api_tokens.revoke(connection, token_id, now, user_id=own)
        if gone is None:
            raise InvalidRequest("There is no such token of yours.", status=404, cause=Cause.NOT_FOUND)
        audit_log.record(connection, now, by.actor, Change.API_TOKEN_REVOKED, f"api_token:{gone.id}", name=gone.name)


def caller_by(services: Services, token: str) -> Caller | None:
    """Who has sent this token; ``None`` where it is nobody's, or was revoked."""
    now = services.now()
    with services.database.reading() as connection:
        found = api_tokens.find(connection, digest_of(token))
    if found is None:
        return None
    if found.used_at is None or now - found.used_at >= SEEN_EVERY:
        with services.database.writing() as connection:
            api_tokens.use(connection, found.id, now)
    return Caller(actor_named(found.email, found.name), accounts.rights_of(found))
