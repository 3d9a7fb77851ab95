"""Whether the database has the tables this code can work with: its own, or those of a later version. A later one only
adds to what an earlier one uses, so that the earlier goes on working while it is replaced (a test holds that)."""

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
    """Whether it was migrated as far as this code needs, or by a later version further than this code knows."""
    revision, mine = MigrationContext.configure(connection).get_current_revision(), newest()
    return revision == mine or (revision is not None and mine is not None and _number(revision) > _number(mine))


def _number(revision: str) -> int:
    """Migrations are numbered in their order; what is no number is none of ours."""
    return int(revision) if revision.isdecimal() else 0
