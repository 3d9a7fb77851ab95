"""Somebody qualifies a lead by hand, or takes a qualification back: at once, recorded, and in their name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row

from app.core.causes import CATALOGUE, Cause
from app.core.errors import ApiError, InvalidRequest
from app.core.people import Audience
from app.core.retry import decide
from app.storage import activity, inbox, programs
from app.storage.inbox import LEASE
from app.usecases.qualify_lead import Overtaken, Refused, Wish, qualify_lead
from app.usecases.records import activity_row, contact_of, person_of
from app.usecases.send_person import Sent
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from app.usecases.show_person import known_person
from app.usecases.ways_out import WaysOut

PATIENCE_SECONDS = 2.0
"""How long somebody who asks waits for a worker to be done with the person."""


def qualify_by_hand(services: Services, person_id: int, *, qualified: bool, asked_by: str) -> None:
    """Referral Factory is asked how it stands before it is told: what stands already is not done again.

    Raises:
        InvalidRequest: 404; 422 for a referrer and for what Referral Factory refuses; 409 while the program is
            disconnected, or somebody else is at work on the person.
        ApiError: where Referral Factory can't be asked.
    """
    with services.database.reading() as connection:
        person = known_person(connection, person_id)
        setup = load_setups(connection, {person.campaign_id}, services.now())[person.campaign_id]
    if person.audience != Audience.LEADS.value:
        raise _refused(Cause.ONLY_LEADS_QUALIFY)
    if setup.program.state != programs.CONNECTED:
        raise _refused(Cause(setup.program.state_cause or Cause.REFERRAL_FACTORY_UNAUTHORIZED), status=409)
    wish = Wish(qualified, asked_by=asked_by, look_first=True)
    with _leased(services, person):
        try:
            refused = qualify_lead(services, WaysOut(services, setup), setup, person, None, wish)
        except Overtaken:
            raise _busy() from None
        except ApiError as error:
            _tell(services, setup, person, decide(error, 0, ()).cause, str(error), asked_by)
            raise
    if isinstance(refused, Refused):
        _tell(services, setup, person, refused.cause, refused.detail, asked_by)
        raise _refused(refused.cause, refused.detail)


@contextmanager
def _leased(services: Services, person: Row[Any]) -> Iterator[None]:
    """Nobody else works on the person meanwhile. One of whom no email is known is nobody else's."""
    keys = {person.person_key} if person.person_key else set()
    owner = f"hand:{uuid.uuid4().hex}"
    until = time.monotonic() + PATIENCE_SECONDS
    while keys:
        with services.database.writing() as connection:
            if inbox.lease_people(connection, keys, owner, services.now(), LEASE):
                break
        if time.monotonic() > until:
            raise _busy()
        time.sleep(0.1)
    try:
        yield
    finally:
        with services.database.writing() as connection:
            inbox.release_people(connection, keys, owner)


def _tell(services: Services, setup: Setup, person: Row[Any], cause: Cause, detail: str, asked_by: str) -> None:
    sent = Sent("failed", cause, f"By hand: {asked_by}. {detail}")
    row = activity_row(setup, person_of(person), "qualify", sent, contact_of(person), None)
    with services.database.writing() as connection:
        activity.record(connection, [{**row, "at": services.now()}])


def _busy() -> InvalidRequest:
    return InvalidRequest(
        "Somebody is at work on this person at the moment. Try again in a few seconds.",
        status=409,
        cause=Cause.WAITING_IN_QUEUE,
    )


def _refused(cause: Cause, detail: str | None = None, *, status: int = 422) -> InvalidRequest:
    return InvalidRequest(detail or CATALOGUE[cause].explanation, status=status, cause=cause)
