"""A long history, made up: what an installation has kept after a year of work, filled in within a minute or two."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Table, insert, text

from app.core.identity import activity_key, person_key
from app.storage.database import Database
from app.storage.tables import (
    activity,
    audience_versions,
    campaigns,
    count_marks,
    events,
    metadata,
    people,
    programs,
    sync_outcomes,
    syncs,
    workspaces,
)

AT_ONCE = 20_000
CAMPAIGNS = 10

SETTINGS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
    "duplicates": "skip",
    "qualification": None,
}

# Verb, outcome, cause, and how often of a thousand.
KINDS: Sequence[tuple[str, str, str | None, int]] = (
    ("send", "created", None, 380),
    ("send", "updated", None, 150),
    ("send", "skipped", "duplicate_skipped", 90),
    ("send", "skipped", "invalid_email", 15),
    ("send", "failed", "intercom_unavailable", 5),
    ("qualify", "qualified", None, 60),
    ("qualify", "ignored", "value_not_a_target", 150),
    ("qualify", "ignored", "initial_value_mismatch", 30),
    ("qualify", "skipped", "already_converted", 20),
    ("write_back", "updated", None, 90),
    ("enroll", "skipped", "user_limit_reached", 10),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. ``days`` are those it happened in."""

    people: int = 200_000
    activity: int = 1_000_000
    events: int = 200_000
    outcomes: int = 20_000
    days: int = 60


def fill(database: Database, size: Size, now: datetime | None = None) -> None:
    """Make the tables, and what is in them. The database was empty."""
    metadata.create_all(database.engine)
    made = _History(size, now or datetime.now(UTC))
    with database.writing() as connection:
        for table, rows in made.few():
            connection.execute(insert(table), rows)
    for table, columns, many in made.many():
        _copy(database, table, columns, many)
    with database.writing() as connection:
        connection.execute(text("ANALYZE"))
        if not database.on_sqlite:  # rows were given their ids here
            for table in (workspaces, programs, campaigns, syncs):
                connection.execute(text(f"SELECT setval('{table.name}_id_seq', 1000)"))


class _History:
    """The same each time: what is by chance is seeded."""

    def __init__(self, size: Size, now: datetime) -> None:
        self._size, self._now = size, now
        self._chance = random.Random(7)

    def few(self) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
        now = self._now
        both, known = ("leads", "referrers"), {"state": "connected", "created_at": now}
        yield (
            workspaces,
            [
                {**known, "id": n, "app_id": f"app{n}", "name": f"Workspace {n}", "region": "us", "timezone": "UTC"}
                | {"missing_permissions": [], "refreshed_at": now}
                for n in (1, 2)
            ],
        )
        yield programs, [{**known, "id": n, "name": f"Account {n}"} for n in (1, 2)]
        yield (
            campaigns,
            [
                {"id": n, "program_id": 1 + n % 2, "workspace_id": 1 + n % 2, "referral_factory_id": str(n)}
                | {"name": f"Campaign {n}", "fields": {"leads": ["Company"], "referrers": []}, "crm_fields": []}
                | {"webhook_key": f"key{n}", "webhook_secret": "-", "extended_types": False, "created_at": now}
                for n in range(1, CAMPAIGNS + 1)
            ],
        )
        yield (
            audience_versions,
            [
                {"campaign_id": n, "audience": audience, "version": version, "settings": SETTINGS, "complete": True}
                | {"changed_at": now, "changed_by": "olga@example.com"}
                for n in range(1, CAMPAIGNS + 1)
                for audience in both
                for version in range(1, 30)
            ],
        )
        yield syncs, [self._sync(n) for n in range(1, 101)]
        yield count_marks, [{"name": name, "position": 0} for name in ("activity", "events")]

    def _sync(self, number: int) -> dict[str, Any]:
        counts = ("looked_at", "added", "existing", "updated", "skipped", "failed", "written_back")
        return {
            "id": number,
            "kind": "sync",
            "campaign_id": 1 + number % CAMPAIGNS,
            "workspace_id": 1 + number % CAMPAIGNS % 2,
            "program_id": 1 + number % CAMPAIGNS % 2,
            "audience": "referrers",
            "dry_run": False,
            "settings": {
                "contacts": "all",
                "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
                "write_back": [],
                "schedule": "once",
            },
            "state": "completed",
            "created_at": self._now,
            "created_by": "olga@example.com",
            "started_at": self._now,
            "finished_at": self._now,
            "due_at": self._now,
            "look": 1,
            "seen_cursors": [],
            "position": 0,
            "steps": 1,
            "busy_seconds": 60.0,
            "total": self._size.outcomes,
            **dict.fromkeys(counts, self._size.outcomes // 4),
        }

    def many(self) -> Iterator[tuple[Table, Sequence[str], Iterable[Sequence[Any]]]]:
        names = ("campaign_id", "audience", "workspace_id", "person_key", "referral_factory_id", "code", "email")
        more = ("first_name", "url", "values", "contact_id", "contact_role", "sent_received_at")
        last = ("qualification_state", "created_at", "updated_at")
        yield people, (*names, *more, *last), self._people()
        told = ("at", "campaign_id", "audience", "verb", "outcome", "cause", "referral_factory_id", "code", "email")
        yield activity, (*told, "workspace_id", "contact_id", "contact_role", "fields", "event_id"), self._activity()
        event = ("dedupe_key", "source", "topic", "origin", "workspace_id", "campaign_id", "person_key")
        rest = ("content_type", "payload", "status", "cause", "attempts", "received_at", "settled_at")
        yield events, (*event, *rest, "next_attempt_at", "held_by"), self._events()
        outcome = ("sync_id", "subject", "contact_id", "person_id", "email", "outcome", "cause", "at")
        yield sync_outcomes, outcome, self._outcomes()

    def _at(self, place: int, of: int) -> datetime:
        """Evenly over the days, oldest first, up to an hour ago."""
        return self._now - timedelta(hours=1) - timedelta(days=self._size.days) * (1 - (place + 1) / of)

    def _of(self, person: int) -> tuple[int, str, int, str, str, str]:
        """Campaign, audience, workspace, id, code and email."""
        campaign = 1 + person % CAMPAIGNS
        audience = "referrers" if person // CAMPAIGNS % 5 == 0 else "leads"
        return campaign, audience, 1 + campaign % 2, str(person), f"code{person}", f"person{person}@example.com"

    def _people(self) -> Iterator[Sequence[Any]]:
        for person in range(self._size.people):
            campaign, audience, workspace, id_, code, email = self._of(person)
            at, name = self._at(person, self._size.people), f"Person {person}"
            url = f"https://refer.example.com/{code}"
            values = json.dumps({"id": id_, "code": code, "email": email, "first_name": name, "url": url})
            contact = (f"c{person}", "lead", at) if person % 10 else (None, None, None)
            state = "qualified" if audience == "leads" and person % 7 == 1 and contact[0] else "open"
            key = person_key(workspace, email)
            yield ((campaign, audience, workspace, key, id_, code, email, name, url, values, *contact, state, at, at))

    def _activity(self) -> Iterator[Sequence[Any]]:
        kinds = self._chance.choices(KINDS, [kind[3] for kind in KINDS], k=self._size.activity)
        fine, short = ([{"to": "name", "cause": cause}] for cause in (None, "value_too_long"))
        for place, (verb, outcome, cause, _) in enumerate(kinds):
            person = self._chance.randrange(self._size.people)
            campaign, audience, workspace, id_, code, email = self._of(person)
            fields = json.dumps(short if verb == "send" and place % 40 == 0 else fine)
            who = (id_, code, email, workspace, f"c{person}", "lead", fields, place % self._size.events + 1)
            yield (self._at(place, self._size.activity), campaign, audience, verb, outcome, cause, *who)

    def _events(self) -> Iterator[Sequence[Any]]:
        payload = json.dumps({"type": "person_invited", "padding": "x" * 600}).encode()
        for place in range(self._size.events):
            campaign, _, workspace, *_, email = self._of(place % self._size.people)
            at = self._at(place, self._size.events)
            theirs = place % 3 == 0
            source = ("referral_factory", "joined") if theirs else ("intercom", "contact.user.updated")
            status, cause, held = "done", None, None
            if place % 500 == 0:
                status, cause = "dead", "webhook_not_understood"
            elif place > self._size.events - 200:
                status, held = "received", "intercom:1" if place % 2 else None
            settled = at if status in ("done", "dead") else None
            key = sha256(str(place).encode()).hexdigest()
            whose = (workspace, campaign, activity_key(campaign, "leads", email), "application/json", payload)
            yield (key, *source, "webhook", *whose, status, cause, 0, at, settled, at, held)

    def _outcomes(self) -> Iterator[Sequence[Any]]:
        kinds = (("added", None), ("existing", "already_in_campaign"), ("skipped", "blank_mapped_value"))
        for place in range(self._size.outcomes):
            outcome, cause = kinds[place % 3]
            yield (1, f"c{place}", f"c{place}", None, f"contact{place}@example.com", outcome, cause, self._now)


def _copy(database: Database, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """By the driver's fastest way; JSON is text already."""
    connection = database.engine.raw_connection()
    try:
        cursor = connection.cursor()
        names = ", ".join(f'"{name}"' for name in columns)
        if database.on_sqlite:
            marks = ", ".join("?" * len(columns))
            waiting = iter(rows)
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("BEGIN IMMEDIATE")
            while some := list(islice(waiting, AT_ONCE)):
                statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
                cursor.executemany(statement, [[_in_sqlite(value) for value in row] for row in some])
            cursor.execute("COMMIT")
            cursor.execute("PRAGMA synchronous=FULL")
        else:
            with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:  # type: ignore[attr-defined]
                for row in rows:
                    copy.write_row(row)
            connection.commit()
    finally:
        connection.close()


def _in_sqlite(value: Any) -> Any:
    return int(value.timestamp() * 1_000_000) if isinstance(value, datetime) else value
