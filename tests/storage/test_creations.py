"""An attempt to create is recorded only while nobody else has been at the person since."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from app.storage import inbox, links
from app.storage.creations import Creations, NewCreation, record_creations
from app.storage.database import Database
from app.storage.links import CreationOutcome, Link
from app.storage.tables import creations

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def new(person: str = "anna", link: Link | None = None, known: frozenset[int] = frozenset()) -> NewCreation:
    return NewCreation(person, 1, 1, "leads", None, "lead", NOW, link, known)


def lease(database: Database, *people: str) -> None:
    with database.writing() as connection:
        inbox.lease_people(connection, set(people), "worker", NOW, timedelta(seconds=60))


def record(database: Database, *asked: NewCreation) -> list[int | None]:
    with database.writing() as connection:
        return record_creations(connection, asked)


def test_attempts_for_several_people_are_recorded_together(database: Database) -> None:
    lease(database, "anna", "bert")
    first, second = record(database, new("anna"), new("bert"))
    assert None not in (first, second)
    assert first != second


def test_a_person_whom_nobody_has_leased_is_left_alone(database: Database) -> None:
    lease(database, "bert")
    anna, bert = record(database, new("anna"), new("bert"))
    assert (anna, bert is not None) == (None, True)


def test_who_was_linked_meanwhile_is_left_alone(database: Database) -> None:
    lease(database, "anna")
    link = Link("anna", 1, "anna@example.com", "c1", "lead", None, None)
    with database.writing() as connection:
        links.save_links(connection, [link], NOW)
    assert record(database, new()) == [None]
    assert record(database, new(link=link)) != [None]


def test_an_attempt_that_another_has_made_since_is_waited_for(database: Database) -> None:
    lease(database, "anna")
    (first,) = record(database, new())
    assert first is not None
    assert record(database, new()) == [None]
    assert record(database, new(known=frozenset({first}))) != [None]


def test_one_whose_outcome_is_known_is_in_nobodys_way(database: Database) -> None:
    lease(database, "anna")
    (first,) = record(database, new())
    assert first is not None
    with database.writing() as connection:
        links.settle_creations(connection, [CreationOutcome(first, "refused", None)])
    assert record(database, new()) != [None]


def test_two_at_the_same_moment_are_one(database: Database) -> None:
    lease(database, "anna")
    assert [one is None for one in record(database, new(), new())] == [False, True]


def test_many_threads_share_commits_and_one_of_each_person_wins(database: Database) -> None:
    people = [f"person{n}" for n in range(20)]
    lease(database, *people)
    recorder = Creations(database)
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(recorder.record, [new(person) for person in people * 3]))
    assert len([one for one in ids if one is not None]) == 20
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(creations)).scalar_one() == 20
