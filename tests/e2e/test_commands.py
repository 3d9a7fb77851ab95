"""What operators run at a terminal, in processes of their own with the environment of an installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pytest_httpserver import HTTPServer
from sqlalchemy import select

from app.storage.database import Database
from app.storage.tables import programs
from app.storage.vault import Vault
from tests.product import START

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


class Installation:
    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'referloop.db'}"
        self.run("alembic", "upgrade", "head")

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        given = {"DATABASE_URL": self.url, "SECRET_KEY": "x" * 16, "ENCRYPTION_KEYS": OLD, "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**given, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def connect(self, token: str) -> None:
        database = Database(self.url)
        row = {"name": "Program", "token": Vault([OLD]).seal(token), "state": "connected", "created_at": START}
        with database.writing() as connection:
            connection.execute(programs.insert().values(row))
        database.close()

    def sealed(self) -> str:
        database = Database(self.url)
        with database.reading() as connection:
            found = connection.execute(select(programs.c.token)).scalar_one()
        database.close()
        return str(found)


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_keys_are_rotated_and_it_is_said_whether_the_old_one_may_go(here: Installation) -> None:
    here.connect("a-token")
    done = here.run("app.rotate_keys", ENCRYPTION_KEYS=f"{NEW},{OLD}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 sealed anew, 0 were")
    assert Vault([NEW]).open(here.sealed()) == "a-token"
    lost = here.run("app.rotate_keys")
    assert lost.returncode == 1
    assert "programs.token: 1 can't be opened by any key" in lost.stderr


def test_alerts_are_tried_by_every_way(here: Installation, httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/hook", method="POST").respond_with_data("ok")
    both = {"ALERT_EMAIL": "ops@example.com", "SMTP_URL": "smtp://127.0.0.1:1"}
    tried = here.run("app.try_alerts", ALERT_WEBHOOK_URL=httpserver.url_for("/hook?key=hush"), **both)
    assert tried.returncode == 1
    assert tried.stdout == "webhook: sent.\n"
    assert tried.stderr.startswith("mail: not sent, ")
    assert "hush" not in tried.stdout + tried.stderr
    nothing = here.run("app.try_alerts")
    assert (nothing.returncode, nothing.stdout) == (2, "")


@pytest.mark.parametrize("command", ["app.rotate_keys", "app.try_alerts"])
def test_faults_of_the_environment_are_told(here: Installation, command: str) -> None:
    told = here.run(command, PORT="eighty")
    assert told.returncode == 2
    assert "PORT:" in told.stderr
    assert "Traceback" not in told.stderr
