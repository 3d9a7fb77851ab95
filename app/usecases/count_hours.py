"""What happened is counted once, by the clock, and not each time somebody looks.

In the settling transaction a count would be a row that all workers wait for. So the clock reads on from where it was,
in the order of ids, a bite a transaction: a crash repeats a bite that was not kept, and of two workers with the same
bite one keeps it. What is younger than ``LATE`` waits, for a transaction that began before it may still be open.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from app.core.problems import standing_of
from app.storage import counts
from app.usecases.services import Services

LATE = timedelta(minutes=2)
"""How long after its time a row may become visible. A transaction is short, and waits 15 s for a lock at most."""

BITE = 1000
"""Rows a transaction: an installation that has millions of them counts them beside its webhooks."""

BITES = 50
"""Bites a turn; what is left is the next turn's."""

Step = Callable[[Services, datetime], bool]


def count_hours(services: Services) -> int:
    """Count what was done and what came in since the last time; how many bites that took."""
    return _count(services, counts.ACTIVITY, _activity) + _count(services, counts.EVENTS, _events)


def _count(services: Services, name: str, step: Step) -> int:
    now = services.now()
    with services.database.writing() as connection:
        counts.look(connection, name, now)
    for bites in range(BITES):
        if not step(services, now - LATE):
            return bites
    return BITES


def _activity(services: Services, until: datetime) -> bool:
    """Whether there was a bite to count that may have another behind it."""
    with services.database.reading() as connection:
        before = counts.position(connection, counts.ACTIVITY)
        rows = counts.activity_after(connection, before, until, BITE)
    if not rows:
        return False
    hours, standing = counts.by_hour_and_outcome(rows), standing_of(rows)
    with services.database.writing() as connection:
        if counts.move(connection, counts.ACTIVITY, before, rows[-1].id):
            counts.add_activity(connection, hours)
            counts.stand(connection, standing)
    return True


def _events(services: Services, until: datetime) -> bool:
    with services.database.reading() as connection:
        before = counts.position(connection, counts.EVENTS)
        rows = counts.events_after(connection, before, until, BITE)
    if not rows:
        return False
    hours = counts.by_hour_and_source(rows)
    with services.database.writing() as connection:
        if counts.move(connection, counts.EVENTS, before, rows[-1].id):
            counts.add_events(connection, hours)
    return True
