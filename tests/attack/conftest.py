"""One application for all attacks of a run: what one leaves behind is the next one's ground."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.database import Database
from tests.attack.target import TRIED, Target


@pytest.fixture(scope="module")
def target(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    file = shutil.copy(empty_file, tmp_path_factory.mktemp("attacked") / "attacked.db")
    database = Database(f"sqlite:///{file}")
    made = Target(database)
    yield made
    made.close()
    database.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TRIED:
        each = ", ".join(f"{name} {number:,}" for name, number in sorted(TRIED.items()))
        terminalreporter.write_line(f"{TRIED.total():,} bad requests were tried: {each}")
