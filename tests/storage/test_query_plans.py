"""The hot statements find what they look for by an index, however much has been settled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_socket import enable_socket
from sqlalchemy import Connection, event, insert, text

from app.storage import activity, inbox, links, people
from app.storage.database import Database
from app.storage.inbox import NewEvent
from app.storage.tables import activity as activities
from app.storage.tables import creations as creation_rows
from app.storage.tables import events as event_rows
from app.storage.tables import links as link_rows
from app.storage.tables import metadata, person_leases
from app.storage.tables import people as people_rows
from bench.servers import postgres
from tests.conftest import KINDS

MANY = 20_000
LARGE = ("events", "activity", "people", "links", "creations")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)


def _settled_long_ago(database: Database) -> None:
    """What a year leaves behind: all of it done, of one source, sent and created."""

    def at(number: int) -> datetime:
        return NOW - timedelta(minutes=MANY - number)

    rows: dict[Any, list[dict[str, Any]]] = {
        event_rows: [
            {
                "dedupe_key": f"key{n}",
                "source": "referral_factory",
                "topic": "joined",
                "workspace_id": 1,
                "campaign_id": 1,
                "person_key": f"person{n}",
                "content_type": "application/json",
                "payload": b"{}",
                "status": "done",
                "attempts": 0,
                "received_at": at(n),
                "settled_at": at(n),
                "next_attempt_at": at(n),
            }
            for n in range(MANY)
        ],
        activities: [
            {
                "at": at(n),
                "campaign_id": 1,
                "audience": "leads",
                "verb": "send",
                "outcome": "created",
                "email": f"lead{n}@example.com",
                "workspace_id": 1,
                "fields": [],
                "event_id": n,
            }
            for n in range(MANY)
        ],
        people_rows: [
            {
                "campaign_id": 1,
                "audience": "leads",
                "workspace_id": 1,
                "person_key": f"person{n}",
                "referral_factory_id": str(n),
                "email": f"lead{n}@example.com",
                "values": {},
                "qualification_state": "open",
                "created_at": at(n),
                "updated_at": at(n),
            }
            for n in range(MANY)
        ],
        link_rows: [
            {
                "person_key": f"person{n}",
                "workspace_id": 1,
                "email": f"lead{n}@example.com",
                "contact_id": f"c{n}",
                "role": "lead",
                "linked_at": at(n),
            }
            for n in range(MANY)
        ],
        creation_rows: [
            {
                "person_key": f"person{n}",
                "workspace_id": 1,
                "campaign_id": 1,
                "audience": "leads",
                "role": "lead",
                "attempted_at": at(n),
                "outcome": "created",
            }
            for n in range(MANY)
        ],
        person_leases: [{"person_key": f"leased{n}", "owner": "one", "until": NOW} for n in range(50)],
    }
    with database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO workspaces (id, app_id, name, region, timezone, state, missing_permissions, created_at) "
                "VALUES (1, 'app1', 'W', 'us', 'UTC', 'connected', '[]', :now)"
            ),
            {"now": 0 if database.on_sqlite else NOW},
        )
        connection.execute(
            text("INSERT INTO programs (id, name, state, created_at) VALUES (1, 'P', 'connected', :now)"),
            {"now": 0 if database.on_sqlite else NOW},
        )
        connection.execute(
            text(
                "INSERT INTO campaigns (id, program_id, workspace_id, referral_factory_id, name, fields, "
                "webhook_key, webhook_secret, extended_types, crm_fields, created_at) "
                "VALUES (1, 1, 1, '1', 'C', '{}', 'key', 'secret', false, '[]', :now)"
            ),
            {"now": 0 if database.on_sqlite else NOW},
        )
        for table, values in rows.items():
            connection.execute(insert(table), values)
    if not database.on_sqlite:  # SQLite plans without statistics, as it does in an installation
        with database.reading() as connection:
            connection.execute(text("ANALYZE"))


@pytest.fixture(scope="module", params=KINDS)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with much that is settled and nothing that is open. Every test undoes what it does."""
    if request.param == "postgresql":
        enable_socket()
        with postgres("plans") as url:
            yield from _filled(url)
        return
    yield from _filled(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'test.db'}")


def _filled(url: str) -> Iterator[Database]:
    database = Database(url)
    metadata.create_all(database.engine)
    _settled_long_ago(database)
    yield database
    database.close()


Statement = tuple[str, Any]


@contextmanager
def _statements(connection: Connection) -> Iterator[list[Statement]]:
    """The statements that are executed meanwhile, each with its parameters (the first of many)."""
    found: list[Statement] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        found.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", note)


def _plans(database: Database, hot: Callable[[Connection], object]) -> list[str]:
    """How the database goes about each statement of ``hot``."""
    with database.engine.connect().execution_options(referloop_writes=True) as connection:
        transaction = connection.begin()
        try:
            with _statements(connection) as executed:
                hot(connection)
            explain = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
            return [
                "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
                for statement, parameters in executed
            ]
        finally:
            transaction.rollback()


WHOLE = re.compile(
    # SQLite: every row, or every row in the order of an index. PostgreSQL: every row, or an index without condition.
    rf"^SCAN (?:{'|'.join(LARGE)}|earlier)(?! USING (?:COVERING )?INDEX ix_events_(?:due|open|held|leased))"
    rf"|Seq Scan on (?:{'|'.join(LARGE)})"
    rf"|Index (?:Only )?Scan(?: Backward)? using (?:pk|uq|ix)_(?!events_due|events_open|events_held|events_leased)"
    rf"\w+ on (?:{'|'.join(LARGE)})[^\n]*(?:\n(?! *Index Cond)|\Z)",
    re.M,
)

EVENT = NewEvent("key7", "referral_factory", "joined", 1, 1, "person7", "application/json", b"{}", NOW)
LEASE = timedelta(seconds=60)
FILTERS: dict[str, Any] = {
    "campaign_id": 2,
    "sync_id": 1,
    "email": "lead7@example.com",
    "verb": "qualify",
    "outcome": "failed",
    "cause": "superseded",
}


def _activity(since: datetime | None = None, **filters: Any) -> Callable[[Connection], object]:
    return lambda connection: activity.page(connection, filters, since=since, before=None, limit=50)


def _events(**filters: Any) -> Callable[[Connection], object]:
    asked = {"status": None, "source": None, "topic": None, **filters}
    return lambda connection: inbox.page(connection, before=None, limit=50, **asked)


HOT: dict[str, Callable[[Connection], object]] = {
    "keep a new event": lambda c: inbox.keep(c, [EVENT.__class__("new", *_rest(EVENT))]),
    "keep a duplicate": lambda c: inbox.keep(c, [EVENT]),
    "claim": lambda c: inbox.claim(c, "one", NOW, 50, LEASE),
    "is anything due": lambda c: inbox.is_any_due(c, NOW),
    "has a lease run out": lambda c: inbox.has_expired(c, NOW),
    "give back what ran out": lambda c: inbox.give_back_expired(c, NOW, 7),
    "hold on": lambda c: inbox.extend(c, "one", [7, 8], NOW),
    "is it still ours": lambda c: inbox.still_ours(c, "one", [7, 8]),
    "release what is held": lambda c: inbox.release_held(c, "workspace:1", NOW),
    "release a few": lambda c: inbox.release_few(c, "intercom:1", 3, NOW),
    "oldest waiting": inbox.oldest_waiting,
    "counts by status": inbox.counts_by_status,
    "named or open": lambda c: inbox.named_or_open(c, [7, 8], "person7", 50),
    "ids to replay": lambda c: inbox.settled_ids(c, status="dead", source=None, topic=None, after=0, limit=50),
    "remove settled events": lambda c: inbox.remove_settled(c, LONG_AGO, 1000),
    "remove old activity": lambda c: activity.remove_older(c, LONG_AGO, 1000),
    "links": lambda c: links.links_of(c, ["person7", "person8"]),
    "open creations": lambda c: links.open_creations(c, ["person7", "person8"]),
    "when people were sent": lambda c: people.sent_at(c, ["person7", "person8"]),
    "people by Referral Factory's ids": lambda c: people.by_referral_factory_ids(c, 1, "leads", ["7", "8"]),
    "people by email": lambda c: people.page(c, email="lead7@example.com", campaign_id=None, before=None, limit=50),
    "people of a campaign": lambda c: people.page(c, email=None, campaign_id=2, before=None, limit=50),
    "people of a campaign by email": lambda c: people.page(
        c, email="lead7@example.com", campaign_id=1, before=None, limit=50
    ),
    "keep people": lambda c: people.save(c, [_person(7), _person(MANY + 1)], NOW),
    "activity of a person": lambda c: activity.of_person(c, 1, "lead7@example.com", None, 50),
    "activity since": _activity(since=NOW - timedelta(minutes=20)),
    **{f"activity by {name}": _activity(**{name: value}) for name, value in FILTERS.items()},
    "events by status": _events(status="dead"),
    "events by source": _events(source="intercom"),
    "events by topic": _events(topic="contact.deleted"),
    "events by source and topic": _events(source="referral_factory", topic="qualified"),
    "events by status, source and topic": _events(status="dead", source="referral_factory", topic="joined"),
}


PAGES = ("activity", "events", "people of", "people by email")


def _rest(event_: NewEvent) -> tuple[Any, ...]:
    return tuple(getattr(event_, name) for name in NewEvent.__slots__[1:])


def _person(number: int) -> people.PersonRecord:
    return people.PersonRecord(
        1, "leads", 1, f"person{number}", str(number), None, f"lead{number}@example.com", None, None, {}, None, None
    )


@pytest.mark.parametrize("name", HOT)
def test_no_large_table_is_read_whole(full: Database, name: str) -> None:
    plans = _plans(full, HOT[name])
    assert plans
    for plan in plans:
        assert not WHOLE.search(plan), plan
        assert not (name.startswith(PAGES) and "TEMP B-TREE" in plan), f"a page is sorted out of all:\n{plan}"


@pytest.mark.parametrize("before", [None, MANY // 2])
@pytest.mark.parametrize("page", ["activity", "events", "people"])
def test_a_page_without_a_filter_ends_with_its_rows(full: Database, page: str, before: int | None) -> None:
    asked: dict[str, Callable[[Connection], object]] = {
        "activity": lambda c: activity.page(c, {}, since=None, before=before, limit=50),
        "events": lambda c: inbox.page(c, before=before, limit=50, status=None, source=None, topic=None),
        "people": lambda c: people.page(c, email=None, campaign_id=None, before=before, limit=50),
    }
    (plan,) = _plans(full, asked[page])
    assert not re.search(r"TEMP B-TREE|Sort|Seq Scan", plan), plan


def test_a_statement_that_reads_a_large_table_whole_is_noticed(full: Database) -> None:
    for statement in (
        "SELECT * FROM activity WHERE detail = 'x'",
        "SELECT * FROM events WHERE attempts = 7 ORDER BY id DESC LIMIT 50",
    ):
        (plan,) = _plans(full, lambda c, asked=statement: c.exec_driver_sql(asked))  # type: ignore[misc]
        assert WHOLE.search(plan), plan
