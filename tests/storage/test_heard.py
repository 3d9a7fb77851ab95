"""When webhooks came last is kept by whose they are and their topic, without a write for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pytest_socket import enable_socket
from sqlalchemy import event

from app.storage import heard
from app.storage.database import Database
from app.storage.inbox import NewEvent
from app.storage.intake import Intake

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _sockets(database: Database) -> None:
    enable_socket()


@pytest.fixture
def written(database: Database) -> Iterator[list[str]]:
    """The statements that note when something was heard."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "webhooks_heard" in statement:
            found.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield found
    event.remove(database.engine, "before_cursor_execute", note)


def webhook(key: str, topic: str = "joined", campaign_id: int | None = 1, after: float = 0) -> NewEvent:
    at = NOW + timedelta(seconds=after)
    return NewEvent(key, "referral_factory", topic, 7, campaign_id, None, "application/json", b"{}", at)


def test_a_campaigns_webhooks_are_told_apart_by_topic(database: Database) -> None:
    intake = Intake(database)
    intake.keep(webhook("a"))
    intake.keep(webhook("b", "qualified", after=5))
    with database.reading() as connection:
        assert heard.topics(connection, "campaign:1") == {"joined": NOW, "qualified": NOW + timedelta(seconds=5)}
        assert heard.last(connection, ["campaign:1", "campaign:2"]) == {"campaign:1": NOW + timedelta(seconds=5)}


def test_intercoms_are_the_workspaces(database: Database) -> None:
    Intake(database).keep(webhook("a", "contact.user.updated", None))
    with database.reading() as connection:
        assert heard.topics(connection, "workspace:7") == {"contact.user.updated": NOW}


def test_one_that_came_twice_was_heard_too(database: Database) -> None:
    intake = Intake(database)
    intake.keep(webhook("a"))
    assert intake.keep(webhook("a", after=60)).duplicate
    with database.reading() as connection:
        assert heard.topics(connection, "campaign:1") == {"joined": NOW + timedelta(seconds=60)}


def test_a_busy_topic_is_noted_every_ten_seconds(database: Database, written: list[str]) -> None:
    intake = Intake(database)
    for second in range(21):
        intake.keep(webhook(f"key{second}", after=second))
    assert len(written) == 3
