"""The people of an audience are read once, whole, when its settings are first complete: these joined before setup.

Referral Factory's list knows no filter that works and names everybody of the account, so one reading of a program
serves all its audiences that wait. Nobody is sent by it, and nothing is told of single people. Each page is kept with
the cursor of the next in one transaction, so that a crash costs the repetition of a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.causes import Cause
from app.core.errors import ApiError, Rejected
from app.core.people import Audience, Person
from app.integrations.budget import Pace
from app.integrations.referral_factory import PeoplePage
from app.storage import inbox, people, programs, readings
from app.storage.inbox import LEASE
from app.storage.people import PersonRecord
from app.storage.readings import ReadAudience, Reading
from app.usecases.check_connections import check_program
from app.usecases.pass_by import without_erased
from app.usecases.reconcile_steps import delay_after
from app.usecases.records import person_record
from app.usecases.services import Services
from schemas.referral_factory import CAMPAIGN_ID

PAGES_A_TURN = 5
"""Of one program; then another program has its turn, or another worker."""

PAGE_LEASE = timedelta(seconds=90)
"""Longer than a page can take: twice 10 s for the budgets, 30 s for the answer, and the database."""

BUSY_SECONDS = 2.0

EASTERNMOST = timedelta(hours=14)
"""Somewhere it is tomorrow already. Referral Factory tells days, and not in which time zone."""

log = structlog.get_logger(__name__)


def read_campaigns(services: Services) -> int:
    """Go on with every reading that is due, a few pages each; how many pages were kept."""
    with services.database.reading() as connection:
        due = readings.due(connection, services.now())
    return sum(_read_program(services, program_id) for program_id in due)


def _read_program(services: Services, program_id: int) -> int:
    kept = 0
    while kept < PAGES_A_TURN and _read_page(services, program_id):
        kept += 1
    return kept


def _read_page(services: Services, program_id: int) -> bool:
    """Whether a page was read and kept."""
    with services.database.writing() as connection:
        program = programs.get(connection, program_id)
        if program is None or program.state != programs.CONNECTED:
            return False
        reading = readings.take(connection, program_id, services.now(), PAGE_LEASE)
    if reading is None:
        return False
    api = services.vendors.referral_factory(
        token=services.vault.open(program.token), budget_key=str(program_id), pace=Pace.SWEEP
    )
    try:
        page = api.users(reading.cursor)
    except ApiError as error:
        _put_off(services, program, reading, error)
        return False
    try:
        with services.database.writing() as connection:
            return _keep(services, connection, reading, page)
    except IntegrityError:
        # A webhook that names no email made somebody of the page at the same moment.
        with services.database.writing() as connection:
            _wait_for_others(services, connection, reading)
        return False


def _wait_for_others(services: Services, connection: Connection, reading: Reading) -> None:
    due_at = services.now() + timedelta(seconds=BUSY_SECONDS)
    readings.put_off(connection, reading, due_at, Cause.WAITING_IN_QUEUE)


def _keep(services: Services, connection: Connection, reading: Reading, page: PeoplePage) -> bool:
    """Keep a page's people while nobody else works on them: a webhook of theirs would be kept twice, or be undone."""
    now, owner = services.now(), f"reading:{reading.program_id}"
    records, _ = without_erased(connection, services.vault, _records(reading, page.people))
    keys = {record.person_key for record in records if record.person_key}
    leased = inbox.lease_people(connection, keys, owner, now, LEASE)
    free = leased == keys
    if not free:
        _wait_for_others(services, connection, reading)
    elif _move(services, connection, reading, page.cursor):
        people.save_read(connection, records, now)
    else:
        free = False
    inbox.release_people(connection, set(leased), owner)
    return free


def _move(services: Services, connection: Connection, reading: Reading, cursor: str | None) -> bool:
    """To the next page or to the end. False where another has done it, and has kept the page."""
    now = services.now()
    if cursor is not None and not reading.repeats(cursor):
        return readings.go_on(connection, reading, cursor, now)
    cause = None if cursor is None else Cause.CURSOR_REPEATED
    ended = readings.end(connection, reading, now, cause)
    if ended:
        log.info("campaign_people_read", program_id=reading.program_id, pages=reading.steps + 1, cause=cause)
    return ended


def _put_off(services: Services, program: Row[Any], reading: Reading, error: ApiError) -> None:
    """The page is asked for again: soon, after a refusal later, without a token once the program is connected."""
    delay = delay_after(error, lambda: not check_program(services, program))
    due_at, cause = services.now() + timedelta(seconds=delay.seconds), delay.cause or Cause.WAITING_IN_QUEUE
    log.info("campaign_people_not_read", program_id=program.id, cause=cause, error=str(error))
    put_off = readings.start_over if isinstance(error, Rejected) else readings.put_off
    with services.database.writing() as connection:
        put_off(connection, reading, due_at, cause)


# Who of a page is kept


def _records(reading: Reading, found: Sequence[Person]) -> list[PersonRecord]:
    """Each person once: a page may name somebody twice where the list moves as it is read."""
    records = {(one, person.text("id")): _record(one, person) for person in found for one in _theirs(reading, person)}
    return list(records.values())


def _theirs(reading: Reading, person: Person) -> Iterator[ReadAudience]:
    """The audience that is to know the person, if any. Another campaign's, an unknown one's, and who joined since it
    was set up are none of the reading's."""
    for one in reading.audiences:
        here = (one.referral_factory_id, one.audience) == (person.text(CAMPAIGN_ID), person.audience)
        if here and not _joined_since(one, person):
            yield one


def _joined_since(one: ReadAudience, person: Person) -> bool:
    """For certain: on a later day than it was anywhere when the settings were complete."""
    try:
        joined = date.fromisoformat((person.text("signed_up_at") or "")[:10])
    except ValueError:
        return False
    return joined > (one.asked_at + EASTERNMOST).date()


def _record(one: ReadAudience, person: Person) -> PersonRecord:
    """Whom Referral Factory holds for qualified already is not to qualify again."""
    record = person_record(one.campaign_id, one.workspace_id, person)
    qualified = person.audience is Audience.LEADS and person.text("qualified_at") is not None
    return replace(record, qualification_state="qualified") if qualified else record
