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

from app.core.erasure import Kind, Mark, Names
from app.core.problems import Standing
from app.core.qualification import FirstSight, Sight
from app.storage import (
    activity,
    counts,
    erasing,
    erasures,
    event_list,
    evidence,
    inbox,
    links,
    observations,
    overview,
    people,
    qualifications,
    sync_outcomes,
    syncs,
    watched,
)
from app.storage.database import Database
from app.storage.inbox import NewEvent
from app.storage.observations import NewSights
from app.storage.people import Change, Move, ReferrerName
from app.storage.tables import activity as activities
from app.storage.tables import creations as creation_rows
from app.storage.tables import erased_events as erased_event_rows
from app.storage.tables import erased_names as erased_name_rows
from app.storage.tables import erasures as erasure_rows
from app.storage.tables import events as event_rows
from app.storage.tables import links as link_rows
from app.storage.tables import metadata, person_leases
from app.storage.tables import observations as observation_rows
from app.storage.tables import people as people_rows
from app.storage.tables import qualifications as qualification_rows
from app.storage.tables import sync_outcomes as outcome_rows
from app.storage.tables import watches as watch_rows
from bench.servers import postgres
from tests.conftest import KINDS

MANY = 20_000
LARGE = (
    "events",
    "activity",
    "people",
    "links",
    "creations",
    "watches",
    "observations",
    "qualifications",
    "sync_outcomes",
    "erased_names",
    "erased_events",
    "erasures",
)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUNS = 200
RUN: dict[str, Any] = {
    "kind": syncs.SYNC,
    "campaign_id": 1,
    "workspace_id": 1,
    "program_id": 1,
    "audience": "referrers",
    "dry_run": True,
    "settings": {},
    "created_by": "test",
    "finished_at": NOW,
}
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
                "code": f"code{n}",
                "email": f"lead{n}@example.com",
                "values": {},
                "contact_id": f"c{n}" if n % 2 else None,
                # Of those with a contact, few are watched still.
                "qualification_state": "open" if n % 100 == 1 or not n % 2 else "qualified",
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
        watch_rows: [
            {
                "person_id": n + 1,
                "attribute": "custom_attributes.plan",
                "value": "trial",
                "at": n,
                "contact_is_new": True,
                "begun_at": at(n),
            }
            for n in range(MANY)
        ],
        observation_rows: [
            {
                "person_id": n + 1,
                "attribute": "custom_attributes.plan",
                "value_key": "trial",
                "value": "trial",
                "first_at": n,
                "last_at": n,
                "seen_in": "read",
            }
            for n in range(MANY)
        ],
        qualification_rows: [
            {"person_id": n + 1, "qualified": True, "attempted_at": at(n), "outcome": "done"} for n in range(MANY)
        ],
        outcome_rows: [
            {
                "sync_id": n % RUNS + 1,
                "subject": f"c{n}",
                "contact_id": f"c{n}",
                "person_id": n if n % 2 else None,
                "email": f"lead{n}@example.com",
                "outcome": "skipped" if n % 10 == 0 else "added",
                "cause": ("user_limit_reached", "blank_mapped_value")[n // 10 % 2] if n % 10 == 0 else None,
                "at": at(n),
            }
            for n in range(MANY)
        ],
        erasure_rows: [
            {
                "at": at(n),
                "actor": "somebody",
                "workspace_id": 1,
                "position": 0,
                "due_at": at(n),
                "finished_at": None if n == 7 else at(n),
            }
            for n in range(MANY)
        ],
        erased_name_rows: [{"digest": f"digest{n}", "kind": "email", "erasure_id": n + 1} for n in range(MANY)],
        erased_event_rows: [{"digest": f"digest{n}", "event_id": n, "at": at(n)} for n in range(MANY)],
        person_leases: [
            {"person_key": f"{key}{n}", "owner": "one", "until": NOW}
            for n in range(50)
            for key in ("leased", "person")
        ],
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
        for _ in range(RUNS):
            syncs.add(connection, NOW, **RUN)
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
    rf"|Seq Scan on (?:{'|'.join(LARGE)})\b"
    rf"|Index (?:Only )?Scan(?: Backward)? using (?:pk|uq|ix)_(?!events_due|events_open|events_held|events_leased)"
    rf"\w+ on (?:{'|'.join(LARGE)})[^\n]*(?:\n(?! *Index Cond)|\Z)",
    re.M,
)

EVENT = NewEvent("key7", "referral_factory", "joined", 1, 1, "person7", "application/json", b"{}", NOW)
LEASE = timedelta(seconds=60)
MARK = Mark(b"key")
NAMES = Names(
    workspaces=frozenset({1}),
    campaigns=frozenset({1, 2}),
    emails=frozenset({"lead7@example.com"}),
    ids=frozenset({(1, "7")}),
    codes=frozenset({(1, "code7")}),
    contacts=frozenset({(1, "c7"), (1, "c9")}),
    keys=frozenset({"person7", "person8"}),
    people=frozenset({8}),
)
REDACTED = {"row": 7, "new_payload": b"{}", "new_content_type": "application/json", "new_error": None}
MOVE = Move(1, "c7", "c8", "user")
CALL = qualifications.NewAttempt(7, True)
SEEN = NewSights("custom_attributes.plan", FirstSight("trial", 1, True), (Sight("trial", 1), Sight("pro", 2)))
STANDING = Standing("who", "send", 7, {"duplicate_skipped": NOW})
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
    return lambda connection: event_list.page(connection, before=None, limit=50, **asked)


HOT: dict[str, Callable[[Connection], object]] = {
    "diagnosis: a person's events": lambda c: evidence.events_of_person(c, {"person7", "x"}, {7, 8}, 200),
    "diagnosis: a campaign's events": lambda c: evidence.events_of_campaign(c, 1, 1, 200),
    "diagnosis: a person's records": lambda c: evidence.records_of(c, 1, "lead7@example.com"),
    "diagnosis: who joined before": lambda c: evidence.before_setup(c, 1, "leads"),
    "diagnosis: what was done lately": lambda c: evidence.latest_deeds(c, 2, 200),
    "diagnosis: who was left out of runs": lambda c: evidence.left_out(c, [1, 2]),
    "diagnosis: a contact in runs": lambda c: evidence.outcomes_of_contact(c, [1, 2], "lead7@example.com", "c7"),
    "diagnosis: what waits, by cause": lambda c: evidence.waiting_by_cause(c),
    "diagnosis: who was erased": lambda c: evidence.erased_at(c, "digest"),
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
    "oldest waiting": event_list.oldest_waiting,
    "counts by status": event_list.counts_by_status,
    "named or open": lambda c: event_list.named_or_open(c, [7, 8], "person7", 50),
    "ids to replay": lambda c: event_list.settled_ids(c, status="dead", source=None, topic=None, after=0, limit=50),
    "remove settled events": lambda c: event_list.remove_settled(c, LONG_AGO, 1000),
    "remove old activity": lambda c: activity.remove_older(c, LONG_AGO, 1000),
    "links": lambda c: links.links_of(c, ["person7", "person8"]),
    "open creations": lambda c: links.open_creations(c, ["person7", "person8"]),
    "when people were sent": lambda c: people.times(c, ["person7", "person8"]),
    "people by Referral Factory's ids": lambda c: people.by_referral_factory_ids(c, 1, "leads", ["7", "8"]),
    "people by email": lambda c: people.page(c, email="lead7@example.com", campaign_id=None, before=None, limit=50),
    "people of a campaign": lambda c: people.page(c, email=None, campaign_id=2, before=None, limit=50),
    "people of a campaign by email": lambda c: people.page(
        c, email="lead7@example.com", campaign_id=1, before=None, limit=50
    ),
    "somebody to try settings on": lambda c: people.some_of(c, 2, "leads", 20),
    "whoever has an email": lambda c: people.by_email(c, 1, "leads", "lead7@example.com"),
    "whoever stands so with some campaigns": lambda c: people.listed(
        c, [1, 2], audiences=["leads"], states=["disqualified"], before=None, limit=50
    ),
    "whoever is named so": lambda c: people.named(c, "code7", [1, 2], [1], 50),
    "whoever has one of some emails": lambda c: people.by_emails(c, [1, 2], ["lead7@example.com"]),
    "a person's other records": lambda c: people.others_of(c, people.by_ids(c, [8])[0], 50),
    "a person's events": lambda c: evidence.events_of_person(c, ["person7", "person8"], [7, 8], 50),
    "a person's calls": lambda c: qualifications.of_person(c, 7, 50),
    "what was seen of a person": lambda c: observations.rows_of(c, 7, 50),
    "what a person was watched from": lambda c: observations.watches_of(c, 7),
    "a person's outcomes": lambda c: sync_outcomes.of_person(c, 7, 50),
    "keep people": lambda c: people.save(c, [_person(7), _person(MANY + 1)], NOW),
    "activity of a person": lambda c: activity.of_person(c, 1, "lead7@example.com", None, 50),
    "activity of a person, older": lambda c: activity.of_person(c, 1, "lead7@example.com", None, 50, before=MANY),
    "activity that came of an event": lambda c: activity.of_event(c, 7, 50),
    "activity since": _activity(since=NOW - timedelta(minutes=20)),
    **{f"activity by {name}": _activity(**{name: value}) for name, value in FILTERS.items()},
    "events by status": _events(status="dead"),
    "events by source": _events(source="intercom"),
    "events by topic": _events(topic="contact.deleted"),
    "events by source and topic": _events(source="referral_factory", topic="qualified"),
    "events by status, source and topic": _events(status="dead", source="referral_factory", topic="joined"),
    "events given up for a cause": _events(status="dead", cause="internal_error"),
    "settled events, counted": lambda c: event_list.count_settled(
        c, status="dead", source=None, topic=None, cause="internal_error", most=50
    ),
    "settled events among some": lambda c: event_list.settled_among(c, [7, 8]),
    "watched leads, counted": lambda c: watched.count(c, 1, [1, 2]),
    "watched leads": lambda c: watched.page(c, 1, [1, 2], 7, 20),
    "watched leads that a list has not named": lambda c: watched.not_swept(c, [1, 2], 5, NOW, 7, 10),
    "who of a list is known": lambda c: watched.known(c, [1, 2], ["7", "8"], ["lead7@example.com"]),
    "note who was in a list": lambda c: watched.note_swept(c, [7, 8], 5),
    "end watches": lambda c: watched.close(c, [7, 8], "unknown_in_referral_factory", NOW),
    "people by contact": lambda c: people.by_contacts(c, [1], ["c7", "c9"]),
    "people by their keys": lambda c: people.by_person_keys(c, ["person7", "person8"]),
    "people by our ids": lambda c: people.by_ids(c, [7, 8]),
    "referrers by Referral Factory's id": lambda c: people.referrers(c, {ReferrerName(1, "7")}),
    "referrers by code": lambda c: people.referrers(c, {ReferrerName(1, None, "code7")}),
    "referrers by email": lambda c: people.referrers(c, {ReferrerName(1, None, None, "lead7@example.com")}),
    "change who is open": lambda c: people.change_open(c, [Change(7, "open", "value_not_a_target")], NOW),
    "decide": lambda c: people.decide(c, 7, "qualified", None, NOW),
    "people whose contact has another id": lambda c: people.move(c, {MOVE}),
    "links to a contact with another id": lambda c: links.move(c, {MOVE}),
    "what was seen": lambda c: observations.of_people(c, [7, 8]),
    "keep what was seen": lambda c: observations.save(c, [(7, SEEN), (8, SEEN)], NOW),
    "record a call": lambda c: qualifications.record(c, CALL, people.by_ids(c, [7])[0], (), NOW),
    "calls of unknown outcome": lambda c: qualifications.open_attempts(c, 7),
    "settle calls of unknown outcome": lambda c: qualifications.settle_open(c, 7, "done"),
    "people with an open event": lambda c: inbox.open_people(c, ["person7", "person8"]),
    "add events of our own": lambda c: inbox.add(c, [EVENT], NOW),
    "outcomes of contacts": lambda c: sync_outcomes.of_subjects(c, 1, ["c7", "c8"]),
    "outcomes of contacts in some runs": lambda c: sync_outcomes.of_contacts(c, [1, 2], ["c7", "c8"]),
    "outcomes by address": lambda c: sync_outcomes.of_emails(c, 1, ["lead7@example.com"]),
    "outcomes, a page of them": lambda c: sync_outcomes.page(c, 1, limit=50),
    "outcomes, the next page": lambda c: sync_outcomes.page(c, 1, after=MANY // 2, limit=50),
    "outcomes of one kind": lambda c: sync_outcomes.page(c, 1, outcome="failed", limit=50),
    "outcomes with a cause": lambda c: sync_outcomes.page(c, 1, cause="invalid_email", limit=50),
    "who was left out": lambda c: sync_outcomes.older_of(c, 1, "user_limit_reached", before=NOW, after=0, limit=50),
    "remove what a dry run has noted": lambda c: sync_outcomes.forget_listed(c, 1, 1000),
    "activity to be counted": lambda c: counts.activity_after(c, 7, NOW, 1000),
    "webhooks to be counted": lambda c: counts.events_after(c, 7, NOW, 1000),
    "what was done, by the hour": lambda c: counts.activity_since(c, NOW, 100),
    "what came in, by the hour": lambda c: counts.events_since(c, NOW, 100),
    "how it stands with people": lambda c: counts.stand(c, [STANDING]),
    "what waits, counted": overview.waiting,
    "what is held, counted": lambda c: overview.held(c, ["workspace:1", "intercom:1"]),
    "given up, by cause": overview.dead_groups,
    "people with a problem": lambda c: overview.people_with(c, "duplicate_skipped", before=None, limit=50),
    "remove strangers' events": lambda c: event_list.remove_strangers(c, LONG_AGO, 1000),
    "who somebody is in all tables": lambda c: erasing.names_of(c, people.by_ids(c, [8])[0]),
    "remove what is an erased person's": lambda c: erasing.remove_person(c, MARK, NAMES, NOW),
    "an erased person's activity": lambda c: erasing.own_activity(c, NAMES),
    "remove activity with its events": lambda c: erasing.remove_activity(c, MARK, [7, 8], NOW),
    "outcomes, some after some": lambda c: erasing.some_outcomes(c, 7),
    "outcomes by our ids": lambda c: erasing.outcomes_by_ids(c, [7, 8]),
    "outcomes that are nobody's": lambda c: erasing.unname_outcomes(c, MARK, [7, 8]),
    "events, some after some": lambda c: erasing.some_events(c, 7),
    "activity, some after some": lambda c: erasing.some_activity(c, 7),
    "people, some after some": lambda c: erasing.some_people(c, 7),
    "events that are redacted": lambda c: erasing.change_events(c, [REDACTED]),
    "details that are cleared": lambda c: erasing.clear_details(c, [7, 8]),
    "values that are redacted": lambda c: erasing.change_values(c, {7: {}}),
    "who was erased": lambda c: erasures.among(c, ["digest7", "digest8"]),
    "let somebody back": lambda c: erasures.let_back(c, {"digest7": Kind.EMAIL}),
    "which events were removed": lambda c: erasures.events_among(c, ["digest7", "digest8"]),
    "forget which events were removed": lambda c: erasures.remove_events(c, LONG_AGO, 1000),
    "erasures to go on with": lambda c: erasures.due(c, NOW),
}


PAGES = ("activity", "events", "people of", "people by email", "outcomes, ", "outcomes of one", "who was left out")


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


@pytest.mark.parametrize("name", ["claim", "is anything due"])
def test_in_a_rush_of_which_statistics_know_nothing_what_is_open_is_not_joined_to_what_is_open(
    full: Database, name: str
) -> None:
    def rush(connection: Connection) -> None:
        inbox.keep(connection, [EVENT.__class__(f"rush{n}", *_rest(EVENT)) for n in range(3000)])
        connection.execute(text("UPDATE events SET person_key = 'rush' || id WHERE status = 'received'"))
        HOT[name](connection)

    (plan,) = [one for one in _plans(full, rush) if "person_leases" in one and "earlier" in one]
    assert re.search(r"SEARCH earlier .*\(person_key=\?|earlier.*\n *Index Cond: \(+person_key = events\.", plan), (
        plan
    )
    assert not re.search("Hash|Merge|Nested Loop", plan), plan


@pytest.mark.parametrize("name", [name for name in HOT if name.startswith("watched leads")])
def test_watched_leads_are_found_among_everybody_by_their_own_index(full: Database, name: str) -> None:
    for plan in _plans(full, HOT[name]):
        assert "ix_people_watched" in plan, plan


@pytest.mark.parametrize("before", [None, MANY // 2])
@pytest.mark.parametrize("page", ["activity", "events", "people"])
def test_a_page_without_a_filter_ends_with_its_rows(full: Database, page: str, before: int | None) -> None:
    asked: dict[str, Callable[[Connection], object]] = {
        "activity": lambda c: activity.page(c, {}, since=None, before=before, limit=50),
        "events": lambda c: event_list.page(c, before=before, limit=50, status=None, source=None, topic=None),
        "people": lambda c: people.page(c, email=None, campaign_id=None, before=before, limit=50),
    }
    (plan,) = _plans(full, asked[page])
    assert not re.search(r"TEMP B-TREE|Sort|Seq Scan", plan), plan


def test_how_far_people_have_come_is_counted_by_an_index_alone(full: Database) -> None:
    """PostgreSQL chooses by how wide the rows are, which are narrow here: ``bench/pages.py`` measures it."""
    (plan,) = _plans(full, lambda c: overview.funnel(c, [1, 2]))
    assert not full.on_sqlite or "SEARCH people USING COVERING INDEX ix_people_funnel" in plan, plan


def test_a_statement_that_reads_a_large_table_whole_is_noticed(full: Database) -> None:
    for statement in (
        "SELECT * FROM activity WHERE detail = 'x'",
        "SELECT * FROM events WHERE attempts = 7 ORDER BY id DESC LIMIT 50",
    ):
        (plan,) = _plans(full, lambda c, asked=statement: c.exec_driver_sql(asked))  # type: ignore[misc]
        assert WHOLE.search(plan), plan
