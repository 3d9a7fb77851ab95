"""Migrations make exactly the tables of ``app/storage/tables.py``, on both databases, however many run at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from app.storage import schema_version
from app.storage.database import Database
from app.storage.tables import metadata
from bench.servers import postgres
from tests.conftest import KINDS

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
    from tests.web.installation import settings_for

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


def test_stand_in_one_line() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
