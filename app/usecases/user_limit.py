"""Room under the user limits of an account and of a campaign, shared by all runs.

Over its limit, all referral links of an account stop working. So nobody is enrolled without room that was taken for
them before, in one transaction under the program's lock; how many users there are Referral Factory is asked at the
beginning of a look, from time to time, and where room gets short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.integrations.referral_factory import ReferralFactory
from app.storage import programs, reservations
from app.usecases.services import Services

COUNTED_FOR = timedelta(minutes=5)
"""How long a count is relied on; other ways in, such as the campaign's page, make users too."""

SHORT_FOR = timedelta(seconds=30)
"""The same where room gets short."""

SHORT = 300
"""More than as many as a page has join meanwhile by other ways."""

HELD_FOR = timedelta(hours=1)
"""How long room is held for whoever may have been enrolled by a call that was not answered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a campaign: the account's plan, and a tighter limit of its own. ``None`` bounds nothing."""

    program_id: int
    campaign_id: int
    referral_factory_id: str
    account: int | None
    campaign: int | None

    @property
    def are_set(self) -> bool:
        return self.account is not None or self.campaign is not None


def count_users(
    services: Services,
    api: Callable[[], ReferralFactory],
    limits: Limits,
    sync_id: int,
    *,
    wanted: int,
    counted_for: timedelta,
) -> None:
    """See to it that the room for ``wanted`` people is known: lately, and very lately where it gets short.

    Raises: ApiError.
    """
    if not limits.are_set:
        return
    recount(services, api(), limits.program_id, counted_for)
    with services.database.writing() as connection:
        free = room(connection, limits, sync_id, services.now())
    if free is not None and wanted and free < wanted + SHORT:
        recount(services, api(), limits.program_id, SHORT_FOR)


def recount(services: Services, api: ReferralFactory, program_id: int, older_than: timedelta) -> None:
    """Ask how many users each campaign has, unless it was asked lately. Raises: ApiError."""
    with services.database.reading() as connection:
        before = programs.get(connection, program_id)
    now = services.now()
    if before is None or (before.counted_at is not None and now - before.counted_at < older_than):
        return
    said = {one.referral_factory_id: one.users or 0 for one in api.campaigns(counts=True)}
    with services.database.writing() as connection:
        program = programs.lock(connection, program_id)
        if program is not None:
            # Who was enrolled while the answer was on its way may be missing in it.
            counts = {key: users + _since(program, before, key) for key, users in said.items()}
            programs.change(connection, program_id, user_counts=counts, counted_at=now)


def _since(program: Row[Any], before: Row[Any], key: str) -> int:
    return max(0, int(program.user_counts.get(key, 0)) - int(before.user_counts.get(key, 0)))


def room(connection: Connection, limits: Limits, sync_id: int, now: datetime) -> int | None:
    """How many more may be enrolled now; ``None`` for any number. In a writing transaction it stays true."""
    if not limits.are_set:
        return None
    program = programs.lock(connection, limits.program_id)
    counts = program.user_counts if program is not None else {}
    held = reservations.of_others(connection, limits.program_id, sync_id, now)
    rooms: list[int] = []
    if limits.account is not None:
        rooms.append(limits.account - sum(counts.values()) - sum(held.values()))
    if limits.campaign is not None:
        own = counts.get(limits.referral_factory_id, 0)
        rooms.append(limits.campaign - own - held.get(limits.campaign_id, 0))
    return max(0, min(rooms))


def take_room(connection: Connection, limits: Limits, sync_id: int, wanted: int, now: datetime) -> int:
    """Hold as much room as there is, ``wanted`` at the most, instead of what the run held; how much."""
    free = room(connection, limits, sync_id, now)
    if free is None:
        return wanted
    taken = min(wanted, free)
    _hold(connection, limits, sync_id, taken, now)
    return taken


def settle_room(
    connection: Connection, limits: Limits, sync_id: int, *, enrolled: int, unknown: int, now: datetime
) -> None:
    """Those who were enrolled are users from now on; ``unknown`` may be, and keep their room."""
    if not limits.are_set:
        return
    program = programs.lock(connection, limits.program_id)
    if program is not None and enrolled:
        counts = {**program.user_counts}
        counts[limits.referral_factory_id] = int(counts.get(limits.referral_factory_id, 0)) + enrolled
        programs.change(connection, limits.program_id, user_counts=counts)
    _hold(connection, limits, sync_id, unknown, now)


def _hold(connection: Connection, limits: Limits, sync_id: int, slots: int, now: datetime) -> None:
    reservations.hold(
        connection,
        sync_id,
        program_id=limits.program_id,
        campaign_id=limits.campaign_id,
        slots=slots,
        until=now + HELD_FOR,
    )
