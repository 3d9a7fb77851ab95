"""The command that lets an owner in again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app.recover import main
from app.storage.database import Database
from app.storage.tables import metadata
from tests.web.console.visitor import OWNER, TEAMMATE, Installation

ANOTHER = "quite some other words"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    metadata.create_all(database.engine)
    made = Installation(database)
    yield made
    made.close()
    database.close()


def environ(here: Installation, **changes: str) -> dict[str, str]:
    url = here.services.database.engine.url.render_as_string()
    return {"DATABASE_URL": url, "SECRET_KEY": "x" * 16, "ENCRYPTION_KEYS": Fernet.generate_key().decode(), **changes}


@pytest.mark.parametrize("email", [OWNER, TEAMMATE])
def test_prints_a_link_that_makes_an_owner_once(
    here: Installation, email: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([email], environ(here, PUBLIC_URL="https://example.com")) == 0
    link = capsys.readouterr().out.split()[0]
    assert link.startswith("https://example.com/invitations/")
    path, visitor = link.removeprefix("https://example.com"), here.visitor()
    assert visitor.post(path, password=ANOTHER, again=ANOTHER).status_code == 303
    assert "Make a recovery link" in visitor.get("/teammates").text
    assert here.visitor().get(path).status_code == 404


@pytest.mark.parametrize(
    ("arguments", "changes", "status"),
    [([], {}, 2), (["--help"], {}, 2), (["a", "b"], {}, 2), (["no email"], {}, 1), ([OWNER], {"PORT": "x"}, 1)],
)
def test_says_what_is_wrong_with_a_call(
    here: Installation,
    arguments: list[str],
    changes: dict[str, str],
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments, environ(here, **changes)) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip()
