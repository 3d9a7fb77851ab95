"""Migrations make exactly the tables of ``app/storage/tables.py``, on both databases, however many run at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, UniqueConstraint, inspect, text

from app.storage import schema_version
from app.storage.database import Database
from app.storage.tables import metadata
from bench.servers import postgres
from tests.conftest import KINDS
from tests.web.installation import settings_for

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.enable_socket


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of its own."""
    if request.param == "postgresql":
        with postgres("migrations") as url:
            yield url
    else:
        yield f"sqlite:///{tmp_path / 'new' / 'test.db'}"


def alembic(address: str, *command: str) -> subprocess.Popen[str]:
    keys = settings_for(address).encryption_keys
    environ = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": address.replace("+psycopg", ""),
        "SECRET_KEY": "of-a-migration-in-a-test",
        "ENCRYPTION_KEYS": keys[0],
    }
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *command],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def done(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def _index(index: dict[str, Any]) -> str:
    options = sorted(f"{name}={value}" for name, value in index["dialect_options"].items())
    return f"index {index['name']} {index['column_names']} {index['unique']} {options}"


def schema(connection: Connection) -> dict[str, set[str]]:
    """Tables with what constrains and sorts them, as the database tells it."""
    found = inspect(connection)
    return {
        name: {
            *(f"{one['name']} {one['type']} {one['nullable']}" for one in found.get_columns(name)),
            *(_index(dict(one)) for one in found.get_indexes(name)),
            *(f"unique {one['name']} {one['column_names']}" for one in found.get_unique_constraints(name)),
            *(f"refers {one['name']} {one['referred_table']}" for one in found.get_foreign_keys(name)),
            str(found.get_pk_constraint(name)["constrained_columns"]),
        }
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def test_make_the_tables_of_the_code(address: str) -> None:
    done(alembic(address, "upgrade", "head"))
    database = Database(address)
    with database.reading() as connection:
        assert schema_version.is_current(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = schema(connection)
    done(alembic(address, "downgrade", "base"))
    with database.reading() as connection:
        assert schema(connection) == {}
        assert not schema_version.is_current(connection)
    metadata.create_all(database.engine)
    with database.reading() as connection:
        made = schema(connection)
    assert {name: made[name] ^ migrated[name] for name in made if made[name] != migrated.get(name)} == {}
    assert made.keys() == migrated.keys()
    database.close()


def test_run_at_once_and_again_without_harm(address: str) -> None:
    for process in [alembic(address, "upgrade", "head") for _ in range(3)]:
        done(process)
    done(alembic(address, "upgrade", "head"))
    database = Database(address)
    with database.reading() as connection:
        assert schema_version.is_current(connection)
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    database.close()


def _value(column: Column[Any]) -> Any:
    """Something that a column takes."""
    kinds: list[tuple[Any, Any]] = [
        (sa.JSON, {}),
        (sa.Boolean, True),
        (sa.DateTime, datetime(2026, 11, 22, tzinfo=UTC)),
        (sa.LargeBinary, b"{}"),
        (sa.Numeric, 1),
        (sa.Float, 1.0),
        (sa.Integer, 1),
    ]
    return next((value for kind, value in kinds if isinstance(column.type, kind)), "x")


def _as_then(address: str) -> MetaData:
    """The tables as they are at this moment."""
    found = MetaData()
    with closing(Database(address)) as database:
        found.reflect(database.engine)
    return found


def test_leave_the_version_before_at_work(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a new version migrates, the one before goes on: what it inserts and reads is to be there at the head."""
    revisions = [one.revision for one in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()][::-1]
    monkeypatch.setenv("DATABASE_URL", address.replace("+psycopg", ""))
    monkeypatch.setenv("SECRET_KEY", "of-a-migration-in-a-test")
    monkeypatch.setenv("ENCRYPTION_KEYS", settings_for(address).encryption_keys[0])
    then: dict[str, MetaData] = {}
    for revision in revisions:
        command.upgrade(Config(toml_file=ROOT / "pyproject.toml"), revision)
        then[revision] = _as_then(address)
    last = then[revisions[-1]]
    for revision, before in then.items():
        with (
            closing(Database(address)) as database,
            database.engine.connect() as connection,
            connection.begin() as undone,
        ):
            for table in before.sorted_tables:
                if table.name == "alembic_version":
                    continue
                now = last.tables[table.name]
                assert {column.name for column in table.c} <= {column.name for column in now.c}, (
                    revision,
                    table.name,
                )
                assert _uniques(connection, table) == _unique_columns(table), (revision, table.name)
                connection.execute(table.delete())  # what a migration made itself
                connection.execute(table.insert().values({one.name: _value(one) for one in table.c}))
            undone.rollback()


def _unique_columns(table: Table) -> set[tuple[str, ...]]:
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    unique = [*constraints, *(one for one in table.indexes if one.unique)]
    return {tuple(sorted(column.name for column in one.columns)) for one in unique}


def _uniques(connection: Connection, table: Table) -> set[tuple[str, ...]]:
    """Those of the table as it is now that say something about the columns it had then."""
    found, old = inspect(connection), {column.name for column in table.c}
    names = [*found.get_unique_constraints(table.name), *(x for x in found.get_indexes(table.name) if x["unique"])]
    return {
        columns for one in names if (columns := tuple(sorted(map(str, one["column_names"])))) and {*columns} <= old
    }


def test_of_a_later_version_are_taken_for_current_and_older_ones_are_not(address: str) -> None:
    done(alembic(address, "upgrade", "head"))
    with closing(Database(address)) as database, database.writing() as connection:
        assert schema_version.is_current(connection)
        for revision, current in (("9999", True), ("0001", False), ("0000", False), ("x", False)):
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
            assert schema_version.is_current(connection) is current


def test_stand_in_one_line_numbered_in_its_order() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    revisions = [one.revision for one in scripts.walk_revisions()][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
