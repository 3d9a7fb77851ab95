"""Whether the database has the tables this code was written for."""

from __future__ import annotations

from functools import cache

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from config.settings import ROOT


@cache
def newest() -> str | None:
    """The newest migration that comes with this code."""
    return ScriptDirectory(str(ROOT / "migrations")).get_current_head()


def is_current(connection: Connection) -> bool:
    return MigrationContext.configure(connection).get_current_revision() == newest()
