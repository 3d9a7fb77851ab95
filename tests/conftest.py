"""What every test may ask for: a real database of each kind, and services with fakes at the vendors' edge."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pytest_socket import enable_socket
from sqlalchemy import Connection, text

from app.storage.database import Database
from app.storage.tables import metadata
from bench.servers import has_postgres, postgres
from tests.product import Product

ROOT = Path(__file__).parent
PACED = ("e2e", "workers", "local", "bench", "integrations/test_budget.py", "integrations/test_against_sandbox.py")
"""Whole systems, and what measures its own pace: two at once would measure each other."""

IN_A_BROWSER = ("audience_page", "connection_pages", "console", "every_page", "first_signup", "sync_pages")
"""Of those, the ones that wait for a page and not for a time."""

SHARED = ("system", "full")
"""Fixtures of a module that exist once for each kind of database."""

KINDS = ["sqlite", *(["postgresql"] if has_postgres() else [])]


structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[Database]:
    enable_socket()
    with postgres() as url:
        database = Database(url)
        metadata.create_all(database.engine)
        yield database
        database.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What one of several test processes runs as a whole: a file, and all that goes one after the other. That takes
    longest, so it comes first."""
    groups = {item: _group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: (groups[item] != "paced", _system_of(item)))  # by chance otherwise


def _group_of(item: pytest.Item) -> str:
    paced = any(item.path.is_relative_to(ROOT / one) for one in PACED)
    if paced and item.path.stem.removeprefix("test_") not in IN_A_BROWSER:
        return "paced"
    return str(item.path.relative_to(ROOT))


def _system_of(item: pytest.Item) -> tuple[str, str]:
    """Tests of a file that share what takes long to make, a running system or a full database, come one after the
    other: mixed up by chance, they would have it made anew each time."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    shared = [str(params[name]) for name in SHARED if name in params]
    return (str(item.path), shared[0]) if shared else ("", "")


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables: to copy it takes a tenth of the time that it takes to make them."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    database.close()
    return path


def _empty(connection: Connection) -> None:
    """What the last test left is removed, and ids begin at 1 again. To truncate every table takes 100 ms a test, to
    delete from the few that hold something 5."""
    tables = list(reversed(metadata.sorted_tables))
    holds = " UNION ALL ".join(f"SELECT '{one.name}' WHERE EXISTS (SELECT 1 FROM {one.name})" for one in tables)
    held = set(connection.execute(text(holds)).scalars())
    for table in tables:
        if table.name in held:
            connection.execute(table.delete())
    used = "SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL"
    for sequence in connection.execute(text(used)).scalars().all():
        connection.execute(text(f"ALTER SEQUENCE {sequence} RESTART"))


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with all tables; each test that asks runs on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        enable_socket()  # to the database; the vendors are fakes
        shared: Database = request.getfixturevalue("postgres_database")
        with shared.writing() as connection:
            _empty(connection)
        yield shared
        return
    own = Database(f"sqlite:///{shutil.copy(request.getfixturevalue('empty_file'), tmp_path / 'test.db')}")
    yield own
    own.close()


@pytest.fixture
def product(database: Database) -> Iterator[Product]:
    """The services on a real database, with both vendors in memory and a clock that the test moves."""
    made = Product(database)
    yield made
    made.close()
