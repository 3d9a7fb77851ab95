"""Passwords, as argon2 keeps them. Whether there is such an account is not to be learnt from the time taken."""

from __future__ import annotations

import secrets
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.core.access import fault_of_password
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest

_HASHER = PasswordHasher()


def hashed(password: str) -> str:
    return _HASHER.hash(_bytes(password))


def _bytes(password: str) -> bytes:
    """Whatever a browser sends can be held against a hash, half a surrogate pair too."""
    return password.encode("utf-8", "surrogatepass")


def chosen(password: str, email: str) -> str:
    """A password that somebody chooses, hashed.

    Raises: InvalidRequest 422 where it can't be chosen.
    """
    fault = fault_of_password(password, email)
    if fault is not None:
        raise InvalidRequest(fault, errors=(FieldError("/password", Cause.INVALID_REQUEST, fault),))
    return hashed(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Without a hash, as much work as with one, and never a match."""
    nobodys = _nobodys()  # in either case: the first to ask waits until it is made
    try:
        _HASHER.verify(password_hash or nobodys, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether argon2 would make it otherwise today."""
    return _HASHER.check_needs_rehash(password_hash)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return hashed(secrets.token_urlsafe(32))
