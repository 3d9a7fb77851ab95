"""What follows a failure: another attempt, a wait without one, or an end with its cause.

=======================================  ==============================================================
the error                                what follows
=======================================  ==============================================================
``Unavailable(down=True)``, ``Shut``     ``Park`` the vendor: a circuit is probed, no attempt is spent
``Unauthorized``                         ``Park`` the connection, or what needs the missing permission
``RateLimited``                          ``RetryIn`` its time, no attempt is spent
``Unavailable``                          ``RetryIn`` by the schedule, then ``GiveUp``
``Rejected``, ``NotUnderstood``, a bug   ``GiveUp``: the same call would fail again
=======================================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.causes import Cause
from app.core.errors import NotUnderstood, RateLimited, Rejected, Shut, Unauthorized, Unavailable, Vendor

JITTER = 0.1
"""Share of a wait by which it may be longer, so that what failed together does not come back together."""


class Scope(StrEnum):
    """How much waits as a whole."""

    VENDOR = "vendor"
    CONNECTION = "connection"
    PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after ``seconds``; ``spends_attempt`` says whether that counts against the schedule."""

    seconds: float
    cause: Cause
    spends_attempt: bool = True


@dataclass(frozen=True, slots=True)
class Park:
    """Wait until what is amiss with ``scope`` has passed or been mended. No attempt is spent."""

    scope: Scope
    vendor: Vendor
    cause: Cause


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Dead, with a cause; a person may replay it."""

    cause: Cause


Verdict = RetryIn | Park | GiveUp

_UNAVAILABLE = {
    Vendor.INTERCOM: Cause.INTERCOM_UNAVAILABLE,
    Vendor.REFERRAL_FACTORY: Cause.REFERRAL_FACTORY_UNAVAILABLE,
}
_UNAUTHORIZED = {
    Vendor.INTERCOM: Cause.INTERCOM_UNAUTHORIZED,
    Vendor.REFERRAL_FACTORY: Cause.REFERRAL_FACTORY_UNAUTHORIZED,
}


def decide(
    error: Exception, attempt: int, schedule: Sequence[int], *, random: float = 0.0, token_works: bool = False
) -> Verdict:
    """What follows ``error``.

    ``attempt`` is how many waits of ``schedule`` (seconds) are spent already, 0 at the first failure. ``random``,
    from 0 to 1, lengthens a wait by up to a tenth. ``token_works`` says that the vendor has taken the token for
    another call since it was refused for this one, so that one permission is missing and not the whole connection.
    """
    match error:
        case Unavailable(down=True) | Shut():
            return Park(Scope.VENDOR, error.vendor, _UNAVAILABLE[error.vendor])
        case RateLimited():
            return RetryIn(_later(error.after, random), Cause.RATE_LIMITED, spends_attempt=False)
        case Unauthorized():
            return _refused_token(error.vendor, token_works)
        case Unavailable():
            cause = _UNAVAILABLE[error.vendor]
            if attempt >= len(schedule):
                return GiveUp(cause)
            return RetryIn(_later(max(schedule[attempt], error.after), random), cause)
        case Rejected():
            return GiveUp(_rejection(error))
        case NotUnderstood():
            return GiveUp(Cause.WEBHOOK_NOT_UNDERSTOOD)
    return GiveUp(Cause.INTERNAL_ERROR)


def _later(seconds: float, random: float) -> float:
    # Never sooner: a vendor that names a time means it.
    return max(0.0, seconds) * (1 + JITTER * random)


def _refused_token(vendor: Vendor, token_works: bool) -> Park:
    if not token_works:
        return Park(Scope.CONNECTION, vendor, _UNAUTHORIZED[vendor])
    missing = Cause.INTERCOM_PERMISSION_MISSING if vendor is Vendor.INTERCOM else _UNAUTHORIZED[vendor]
    return Park(Scope.PERMISSION, vendor, missing)


def _rejection(error: Rejected) -> Cause:
    gone = error.status in (404, 410)
    if error.vendor is Vendor.REFERRAL_FACTORY:
        return Cause.UNKNOWN_IN_REFERRAL_FACTORY if gone else Cause.REFERRAL_FACTORY_REFUSED
    return Cause.CONTACT_DELETED if gone else Cause.VALUE_REFUSED_BY_INTERCOM
