"""What becomes of an event that was not done: another attempt, a wait without one, or the end with its cause."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.core.causes import Cause
from app.core.errors import ApiError, Shut, Unauthorized, Vendor
from app.core.retry import GiveUp, Park, RetryIn, Scope, decide
from app.storage import programs, workspaces
from app.storage.inbox import Event
from app.usecases.check_connections import token_works
from app.usecases.outcomes import Outcome, settling
from app.usecases.services import Services
from app.usecases.setups import Setup
from app.usecases.ways_out import WaysOut

log = structlog.get_logger(__name__)


def after_failure(
    services: Services, event: Event, setup: Setup | None, ways: WaysOut | None, error: Exception
) -> Outcome:
    """``setup`` and ``ways`` are ``None`` where the event never came as far as to have them."""
    works = False
    if isinstance(error, Unauthorized) and setup is not None:
        try:
            works = token_works(services, setup, error)
        except ApiError as unanswered:
            error = unanswered  # nothing is known of the token; the vendor is asked again later
    verdict = decide(error, event.attempts, services.retry_schedule, random=services.random(), token_works=works)
    log.info("event_not_done", error=type(error).__name__, verdict=type(verdict).__name__)
    outcome = _carried_out(services, event, setup, ways, error, verdict)
    if ways is not None:
        outcome.closes = ways.proven(error)
    return outcome


def _carried_out(
    services: Services,
    event: Event,
    setup: Setup | None,
    ways: WaysOut | None,
    error: Exception,
    verdict: RetryIn | Park | GiveUp,
) -> Outcome:
    said, waiting = str(error), "retrying" if event.attempts else "received"
    if isinstance(error, Shut):
        return Outcome(event, settling(event, waiting, Cause(error.cause), held_by=error.circuit))
    match verdict:
        case RetryIn(seconds, cause, spends_attempt):
            attempts = event.attempts + int(spends_attempt)
            due = services.now() + timedelta(seconds=seconds)
            return Outcome(event, settling(event, "retrying", cause, attempts=attempts, due=due, error=said))
        case Park(Scope.CONNECTION, vendor, cause) if setup is not None:
            whole = f"workspace:{setup.workspace.id}" if vendor is Vendor.INTERCOM else f"program:{setup.program.id}"
            return Outcome(event, settling(event, waiting, cause, held_by=whole, error=said))
        case Park(scope, vendor, cause) if ways is not None and isinstance(error, ApiError):
            away = scope is Scope.VENDOR
            broken = ways.vendor_away(vendor, cause) if away else ways.permission_missing(error, cause)
            held = settling(event, waiting, cause, held_by=broken.name, error=said)
            return Outcome(event, held, opens=broken)
        case GiveUp(cause) | Park(_, _, cause):
            dead = settling(event, "dead", cause, attempts=event.attempts + 1, error=said)
            return Outcome(event, dead)


def after_lost_database(services: Services, event: Event, error: Exception) -> Outcome:
    """What was begun is taken up again by the schedule, should the database be back by then."""
    log.warning("database_unreachable", error=type(error).__name__)
    attempts, schedule, said = event.attempts + 1, services.retry_schedule, type(error).__name__
    if attempts > len(schedule):
        return Outcome(event, settling(event, "dead", Cause.INTERNAL_ERROR, attempts=attempts, error=said))
    due = services.now() + timedelta(seconds=schedule[attempts - 1])
    waiting = settling(event, "retrying", Cause.WAITING_IN_QUEUE, attempts=attempts, due=due, error=said)
    return Outcome(event, waiting)


def held(event: Event, setup: Setup) -> Outcome | None:
    """An event whose connections are lost waits as a whole, without a call; ``None`` where both are there."""
    return held_by_workspace(event, setup) or held_by_program(event, setup)


def held_by_workspace(event: Event, setup: Setup) -> Outcome | None:
    """``None`` where the workspace is connected."""
    if setup.workspace.state == workspaces.CONNECTED:
        return None
    cause = Cause(setup.workspace.state_cause or Cause.WORKSPACE_DISCONNECTED)
    return Outcome(event, settling(event, "received", cause, held_by=f"workspace:{setup.workspace.id}"))


def held_by_program(event: Event, setup: Setup) -> Outcome | None:
    """``None`` where the program is connected."""
    if setup.program.state == programs.CONNECTED:
        return None
    cause = Cause(setup.program.state_cause or Cause.REFERRAL_FACTORY_UNAUTHORIZED)
    return Outcome(event, settling(event, "received", cause, held_by=f"program:{setup.program.id}"))
