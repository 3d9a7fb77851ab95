"""Runs and their outcomes are found by an index, however many there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from app.storage import sync_outcomes, syncs
from app.storage.database import Database
from app.storage.tables import campaigns, programs, workspaces
from app.storage.tables import sync_outcomes as outcome_rows
from app.storage.tables import syncs as run_rows

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MANY = 6_000
OUTCOMES = ("added", "existing", "skipped", "failed")
CAUSES = (None, "already_in_campaign", "blank_mapped_value", "referral_factory_refused")


@pytest.fixture
def full(database: Database) -> Database:
    """One run of many contacts among others, and a campaign with little beside one with much."""
    columns = {"state": "connected", "created_at": NOW}
    with database.writing() as connection:
        connection.execute(
            insert(workspaces),
            {
                "id": 1,
                "app_id": "a",
                "name": "W",
                "region": "us",
                "timezone": "UTC",
                "missing_permissions": [],
                **columns,
            },
        )
        connection.execute(insert(programs), {"id": 1, "name": "P", **columns})
        tied = {"program_id": 1, "workspace_id": 1, "fields": {}, "crm_fields": [], "extended_types": False}
        for one in (1, 2):
            named = {"id": one, "referral_factory_id": str(one), "name": "C", "webhook_key": str(one)}
            connection.execute(insert(campaigns), {**named, **tied, "webhook_secret": "s", "created_at": NOW})
        for number in range(600):
            _run(connection, 2 if number == 7 else 1)
        connection.execute(
            insert(outcome_rows),
            [
                {
                    "sync_id": 1 if n % 10 else 2,
                    "subject": f"c{n}",
                    "email": f"n{n}@example.com",
                    "outcome": OUTCOMES[n % 4],
                    "cause": CAUSES[n % 4],
                    "at": NOW,
                }
                for n in range(MANY)
            ],
        )
    if not database.on_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    return database


def _run(connection: Connection, campaign_id: int) -> None:
    made: dict[str, Any] = {"kind": "sync", "audience": "referrers", "dry_run": False, "created_by": "test"}
    syncs.add(connection, NOW, **made, campaign_id=campaign_id, workspace_id=1, program_id=1, settings={})


STATEMENTS = {
    "by email": lambda connection: sync_outcomes.page(connection, 1, email="n41@example.com", limit=51),
    "by email and outcome": lambda connection: sync_outcomes.page(
        connection, 1, email="n41@example.com", outcome="existing", limit=51
    ),
    "by cause": lambda connection: sync_outcomes.page(connection, 1, cause="blank_mapped_value", limit=51),
    "by outcome, further on": lambda connection: sync_outcomes.page(
        connection, 1, outcome="failed", after=900, limit=51
    ),
    "causes": lambda connection: sync_outcomes.causes(connection, 1),
    "runs of a campaign": lambda connection: syncs.page(connection, campaign_id=2, before=None, limit=51),
    "runs that are not over": lambda connection: syncs.not_over(connection, 2, 20),
    "the last dry run": lambda connection: syncs.last_foreseen(connection, 2, "leads"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_all(full: Database, name: str) -> None:
    for plan in _plans(full, STATEMENTS[name]):
        assert not re.search(r"^SCAN (?:sync_outcomes|syncs)|Seq Scan on (?:sync_outcomes|syncs)", plan, re.M), plan


@pytest.mark.parametrize("name", ["by email", "by email and outcome"])
def test_an_email_is_looked_up_and_not_searched_for(full: Database, name: str) -> None:
    assert "ix_sync_outcomes_email" in "\n".join(_plans(full, STATEMENTS[name]))


def _plans(database: Database, read: Any) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
    executed: list[tuple[str, Any]] = []
    with database.reading() as connection:

        def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            executed.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        read(connection)
        event.remove(connection, "before_cursor_execute", note)
        return [
            "\n".join(str(row[-1]).strip() for row in connection.exec_driver_sql(explain + statement, parameters))
            for statement, parameters in executed
        ]


def test_every_cause_is_named_once(full: Database) -> None:
    with full.reading() as connection:
        assert sync_outcomes.causes(connection, 1) == sorted(cause for cause in CAUSES if cause)
        assert sync_outcomes.causes(connection, 3) == []


def test_a_segment_is_named_as_its_own_workspace_names_it(database: Database, full: Database) -> None:
    with full.writing() as connection:
        connection.execute(
            text("INSERT INTO segments (workspace_id, id, name, person_type) VALUES (1, 's1', 'Trials', 'lead')")
        )
        connection.execute(run_rows.update().where(run_rows.c.id == 1).values(settings={"segment_id": "s1"}))
        connection.execute(run_rows.update().where(run_rows.c.id == 2).values(settings={"segment_id": "gone"}))
        rows = [syncs.get(connection, sync_id) for sync_id in (1, 2, 3)]
        assert syncs.segment_names(connection, [row for row in rows if row is not None]) == {1: "Trials"}
        assert syncs.segment_names(connection, []) == {}
