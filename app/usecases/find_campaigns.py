"""In which campaigns somebody came up: what a colleague who has nothing but an email begins with."""

from __future__ import annotations

from sqlalchemy import Connection

from app.core.identity import person_key
from app.storage import activity, evidence, people, workspaces

MOST_RECORDS, MOST_DEEDS, MOST_EVENTS, MOST_WORKSPACES = 50, 200, 50, 50


def campaigns_of(connection: Connection, email: str) -> tuple[int, ...]:
    """Those of whom the address's owner is somebody, the newest record first; then those in which something was done
    about the address, or is owed. ``email`` as normalised; by indexes, and of a bounded number."""
    known = people.page(connection, email=email, campaign_id=None, before=None, limit=MOST_RECORDS)
    deeds = activity.page(connection, {"email": email}, since=None, before=None, limit=MOST_DEEDS)
    spaces = workspaces.page(connection, after=None, limit=MOST_WORKSPACES)
    keys = {person_key(row.id, email) for row in spaces}
    events = evidence.events_of_person(connection, keys, (), MOST_EVENTS) if keys else ()
    ids = (row.campaign_id for row in (*known, *deeds, *events))
    return tuple(dict.fromkeys(one for one in ids if one is not None))
