"""What one run leaves for the next, in ``var/local.json``, which only its owner can read.

The API token has to stand there in clear, for each start hands it to the web process; the keys that protect all the
rest lie beside it under the same permissions. The owner's password stands there only until it has been shown.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from local.errors import CannotStartError

OWNER = "owner@example.com"
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass
class Notes:
    """The installation's own token and owner, and how far its first run came."""

    email: str = OWNER
    password: str | None = None
    api_token: str = ""
    campaign_id: int | str | None = None

    @property
    def seeded(self) -> bool:
        return self.campaign_id is not None


def make_private(folder: Path) -> None:
    """Make the folder for everything that is kept, for its owner's eyes only."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)


def load(folder: Path) -> Notes:
    """Read the notes, or make those of a first run.

    Raises:
        CannotStartError: if they can't be read.
    """
    path = folder / "local.json"
    if not path.exists():
        return Notes(password=readable_password(), api_token=f"referloop-{secrets.token_urlsafe(32)}")
    try:
        return Notes(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CannotStartError(
            f"{path} can't be read ({error}). Put it right, or remove the folder {folder.name}/ to start afresh."
        ) from None


def readable_password() -> str:
    """Four groups of letters and digits that can't be taken for one another; 78 bits."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))


def save(folder: Path, notes: Notes) -> None:
    """Write the notes in one step, never readable by others."""
    draft = folder / ".local.json.draft"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(asdict(notes), out, indent=1)
    draft.replace(folder / "local.json")


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder: two sets of processes would work on one database and one sandbox.

    The hold ends with the last process that has it, so a start also notices what a killed launcher left running.

    Raises:
        CannotStartError: if it is held.
    """
    with (folder / "local.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise CannotStartError(
                "Referloop is already running from this folder "
                f"(process {lock.read().strip() or 'unknown'}). Stop it first, with Ctrl-C where it runs."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
