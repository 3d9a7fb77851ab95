"""A connection of the pool that has ended meanwhile is nobody's trouble."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.storage import database as storage
from app.storage.database import Database


def end_all_others(database: Database) -> None:
    """As a restart of the server does."""
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    own = Database(database.engine.url.render_as_string(hide_password=False))
    with own.writing() as connection:
        connection.execute(others)
    own.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_who_comes_after_a_restart_is_given_a_new_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "IDLE_SECONDS", 0.0)
    for way in (database.reading, database.writing, database.at_once):
        end_all_others(database)
        with way() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
