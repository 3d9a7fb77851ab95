"""The backup that docs/operations.md names can be made while the product is at work, and is whole."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from app.storage.database import Database
from app.storage.tables import metadata, sign_in_attempts
from tests.product import START

ROOT = Path(__file__).resolve().parents[2]


def documented() -> str:
    """The command, as operators read it."""
    (found,) = re.findall(r"^(sqlite3 .*VACUUM INTO.*)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 program here")
def test_a_backup_that_is_made_while_others_write_is_whole_and_new(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'referloop.db'}")
    metadata.create_all(database.engine)
    stopping, written = threading.Event(), [0]

    def write(first: int) -> None:
        for number in range(first, first + 1_000_000, 4):
            if stopping.is_set():
                return
            with database.writing() as connection:
                row = {"key": f"{number} {'x' * 500}", "attempts": number, "until": START}
                connection.execute(sign_in_attempts.insert().values(row))
                written[0] += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while written[0] < 200:
        stopping.wait(0.01)
    before = written[0]
    command = shlex.split(documented().replace("var/referloop.db", str(tmp_path / "referloop.db")))
    command = [part.replace("backup.db", str(tmp_path / "backup.db")) for part in command]
    subprocess.run(command, check=True, timeout=60)
    stopping.set()
    for writer in writers:
        writer.join()
    assert written[0] > before, "they wrote meanwhile"
    database.close()
    with sqlite3.connect(tmp_path / "backup.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM sign_in_attempts").fetchone()[0] >= before
    copy.close()
    restored = Database(f"sqlite:///{tmp_path / 'backup.db'}")
    with restored.writing() as connection:
        connection.execute(sign_in_attempts.delete())
    restored.close()
