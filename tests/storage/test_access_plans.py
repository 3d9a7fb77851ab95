"""Who comes in, and who changed what, is found by an index however long the log has grown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert

from app.storage import accounts, api_tokens, audit_log, invitations, sessions, sign_in_attempts
from app.storage.database import Database
from app.storage.tables import audit_log as log_rows
from app.storage.tables import metadata

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

HOT: dict[str, Callable[[Connection], object]] = {
    "the log": lambda c: audit_log.page(c, person=None, kind=None, before=None, limit=50),
    "the log further back": lambda c: audit_log.page(c, person=None, kind=None, before=900, limit=50),
    "the log of a person": lambda c: audit_log.page(c, person="p1@example.com", kind=None, before=900, limit=50),
    "the log of a kind": lambda c: audit_log.page(c, person=None, kind="sync_started", before=900, limit=50),
    "the log of both": lambda c: audit_log.page(c, person="p1@example.com", kind="k1", before=None, limit=50),
    "a session": lambda c: sessions.find(c, "digest"),
    "somebody's sessions": lambda c: sessions.open_of(c, 1),
    "ending somebody's sessions": lambda c: sessions.end_all(c, 1, NOW, but=2),
    "sessions of long ago": lambda c: sessions.remove_older(c, NOW, 100),
    "a token": lambda c: api_tokens.find(c, "digest"),
    "somebody's tokens": lambda c: api_tokens.page(c, user_id=1, before=None, limit=50),
    "all tokens": lambda c: api_tokens.page(c, user_id=None, before=None, limit=50),
    "a link": lambda c: invitations.by_token_digest(c, "digest"),
    "links for an email": lambda c: invitations.withdraw_for(c, "a@example.com", NOW),
    "open links": lambda c: invitations.pending(c, NOW),
    "an account": lambda c: accounts.by_email(c, "a@example.com"),
    "owners": lambda c: accounts.owners(c),
    "attempts": lambda c: sign_in_attempts.count(c, ["a", "b"], NOW, NOW + timedelta(minutes=1)),
    "attempts of long ago": lambda c: sign_in_attempts.remove_older(c, NOW, 100),
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("plans")
    database = Database(f"sqlite:///{path / 'test.db'}")
    metadata.create_all(database.engine)
    rows = [
        {
            "at": NOW,
            "person": f"p{number % 7}@example.com",
            "kind": f"k{number % 11}",
            "subject": "user:1",
            "before": {},
            "after": {},
        }
        for number in range(1000)
    ]
    with database.writing() as connection:
        connection.execute(insert(log_rows), rows)
        connection.exec_driver_sql("ANALYZE")
    yield database
    database.close()


@pytest.mark.parametrize("name", HOT)
def test_nothing_is_read_whole(full: Database, name: str) -> None:
    said: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        said.append((statement, parameters))

    with full.writing() as connection:
        event.listen(connection, "before_cursor_execute", note)
        HOT[name](connection)
        event.remove(connection, "before_cursor_execute", note)
        plans = [
            str(row[3])
            for statement, parameters in said
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
        ]
    assert said
    whole = [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan and "CONSTANT" not in plan]
    # Without a filter the log is read along its own ids, and ends with the page.
    assert whole == (["SCAN audit_log"] if name == "the log" else [])
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]
