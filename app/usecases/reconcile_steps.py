"""What the reconciles of both vendors have in common: how a step is kept, and when the next one is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.core.causes import Cause
from app.core.errors import ApiError, RateLimited, Rejected, Shut, Unauthorized, Vendor
from app.core.reconcile import WHOLE_EVERY
from app.storage import circuits, inbox, reconciles
from app.storage.circuits import permission_circuit, vendor_circuit
from app.storage.inbox import NewEvent
from app.storage.reconciles import Counts, Turn
from app.usecases.services import Services

STEPS_A_TURN = 5
"""Of one connection; then another has its turn, or another worker."""

LEASE = timedelta(seconds=75)
"""Longer than a step can take: it stops asking after ``ENOUGH``, and one call takes 50 s at the most. A worker that
was killed costs this time, and what it was about to find is to be found within 90 s."""

ENOUGH = timedelta(seconds=20)

BROKEN_OFF = timedelta(seconds=5)
"""When a step is taken up again that a database which was away, or a fault of ours, has broken off."""

AGAIN_SECONDS = 30.0
AGAIN_AFTER_REFUSAL_SECONDS = 300.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Step:
    """What one step came to. ``following`` is where the next begins, ``None`` after the last; ``failure`` is what cut
    it short, ``cause`` why the whole was not whole."""

    following: Turn | None
    looked_at: int = 0
    calls: int = 0
    failure: ApiError | None = None
    cause: Cause | None = None
    whole: bool = False
    """Everything was looked at, whatever the vendor's search shows."""
    again_after: timedelta | None = None
    """When the next one is to be at the latest, counted from the beginning; else after the interval."""

    def called(self, error: ApiError | None = None) -> None:
        """One call more, unless our own budget has kept it back."""
        if not (isinstance(error, RateLimited) and error.status is None):
            self.calls += 1


@dataclass(frozen=True, slots=True)
class Delay:
    """When to ask again, and why not at once."""

    seconds: float = 0.0
    cause: Cause | None = None


@dataclass(slots=True)
class Kept:
    """Whether a step was kept, and how many events it added."""

    kept: bool = False
    found: int = 0


def reconcile_due(
    services: Services,
    due: Callable[[Connection, datetime], Iterable[int]],
    do_step: Callable[[Services, int], bool],
    vendor: Vendor,
    permission: str,
) -> int:
    """Go on with every connection that is due, by id, a few steps each; how many steps were kept.

    ``do_step`` says whether a step was kept and another may follow. A connection has none while its vendor is away,
    or the permission to read anything is missing.
    """
    with services.database.reading() as connection:
        ids = due(connection, services.now())
        shut = circuits.open_names(connection).keys()
    there = [one for one in ids if not shut & _circuits_of(vendor.value, one, permission)]
    return sum(_reconcile(services, one, do_step) for one in there)


def _circuits_of(vendor: str, connection_id: int, permission: str) -> set[str]:
    return {vendor_circuit(vendor, connection_id), permission_circuit(vendor, connection_id, permission)}


def _reconcile(services: Services, connection_id: int, do_step: Callable[[Services, int], bool]) -> int:
    steps = 0
    while steps < STEPS_A_TURN and do_step(services, connection_id):
        steps += 1
    return steps


@contextmanager
def taken_up_again(services: Services, turn: Turn) -> Iterator[None]:
    """A step that breaks off is another's soon, and not only when its lease is over."""
    try:
        yield
    except Exception:
        with suppress(DBAPIError), services.database.writing() as connection:
            reconciles.put_off(connection, turn, services.now() + BROKEN_OFF)
        raise


def keep_step(
    services: Services,
    turn: Turn,
    step: Step,
    find: Callable[[Connection], Sequence[NewEvent]],
    lost: Callable[[], bool],
) -> bool:
    """Keep a step with all that it found, in one transaction; whether the next may follow at once.

    ``find`` says what was found as things stand now, and may write too. ``lost`` asks whether the connection's token
    is refused altogether. Nothing is kept where another worker was faster.
    """
    delay = delay_after(step.failure, lost) if step.failure is not None else Delay()
    kept = Kept()
    with services.database.writing() as connection:
        if reconciles.is_still(connection, turn):
            now = services.now()
            kept.kept, kept.found = True, inbox.add(connection, find(connection), now)
            _move(services, connection, turn, step, Counts(step.looked_at, kept.found, step.calls), delay, now)
    if kept.found:
        services.bell.ring()
    if kept.kept:
        services.metrics.reconciled(turn.kind, kept.found, step.calls)
        _tell(turn, step, kept.found, delay)
    return kept.kept and step.following is not None and step.failure is None


def _move(
    services: Services, connection: Connection, turn: Turn, step: Step, counts: Counts, delay: Delay, now: datetime
) -> None:
    if step.following is not None:
        due_at = now + timedelta(seconds=delay.seconds)
        reconciles.go_on(connection, turn, step.following, counts, due_at, delay.cause)
        return
    next_at = max(now, turn.begun_at + min(services.reconcile_interval, step.again_after or timedelta.max))
    all_due_at = turn.begun_at + WHOLE_EVERY if step.whole else turn.all_due_at
    if step.cause is not None:
        all_due_at = turn.begun_at  # a list that leads in a circle is not trusted the next time
    reconciles.end(connection, turn, counts, now, next_at=next_at, all_due_at=all_due_at, cause=step.cause)


def _tell(turn: Turn, step: Step, found: int, delay: Delay) -> None:
    if step.failure is not None:
        log.info("reconcile_put_off", kind=turn.kind, connection_id=turn.connection_id, cause=delay.cause)
    elif found or step.following is None:
        ended = step.following is None
        log.info("reconciled", kind=turn.kind, connection_id=turn.connection_id, found=found, ended=ended)


def delay_after(error: ApiError, lost: Callable[[], bool]) -> Delay:
    """A call that failed is made again: soon, after a refusal later, without a token once it is connected."""
    intercom = error.vendor is Vendor.INTERCOM
    match error:
        case RateLimited(after=after):
            return Delay(after, Cause.RATE_LIMITED)
        case Shut(cause=cause):
            return Delay(AGAIN_SECONDS, Cause(cause))
        case Unauthorized():
            return _without_token(lost, intercom)
        case Rejected():
            cause = Cause.INTERCOM_UNAVAILABLE if intercom else Cause.REFERRAL_FACTORY_REFUSED
            return Delay(AGAIN_AFTER_REFUSAL_SECONDS, cause)
        case _:
            cause = Cause.INTERCOM_UNAVAILABLE if intercom else Cause.REFERRAL_FACTORY_UNAVAILABLE
            return Delay(AGAIN_SECONDS, cause)


def _without_token(lost: Callable[[], bool], intercom: bool) -> Delay:
    """A connection that is lost has no turn until it is connected again, and then at once."""
    refused = Cause.INTERCOM_UNAUTHORIZED if intercom else Cause.REFERRAL_FACTORY_UNAUTHORIZED
    try:
        if lost():
            return Delay(0.0, refused)
    except ApiError:
        return Delay(AGAIN_SECONDS, refused)  # nothing is known of the token
    return Delay(AGAIN_AFTER_REFUSAL_SECONDS, Cause.INTERCOM_PERMISSION_MISSING if intercom else refused)
