"""What every test may ask for: a real database of each kind, and services with fakes at the vendors' edge."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pytest_socket import enable_socket
from sqlalchemy import text

from app.storage.database import Database
from app.storage.tables import metadata
from bench.servers import has_postgres, postgres
from tests.product import Product

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


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with all tables; each test that asks runs on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        enable_socket()  # to the database; the vendors are fakes
        shared: Database = request.getfixturevalue("postgres_database")
        with shared.writing() as connection:
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        yield shared
        return
    own = Database(f"sqlite:///{tmp_path / 'test.db'}")
    metadata.create_all(own.engine)
    yield own
    own.close()


@pytest.fixture
def product(database: Database) -> Iterator[Product]:
    """The services on a real database, with both vendors in memory and a clock that the test moves."""
    made = Product(database)
    yield made
    made.close()
