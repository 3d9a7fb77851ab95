"""``make doctor``: check the installation with the environment that ``make run`` gives it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from config.settings import ROOT, VAR
from local import environment, notes, ports
from local.errors import CannotStartError


def main(environ: Mapping[str, str]) -> int:
    """The exit status of ``python -m app.doctor``; 2 where it can't be run."""
    try:
        given = environment_of(environ, VAR)
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    command = [sys.executable, "-m", "app.doctor"]
    return subprocess.run(command, cwd=ROOT, env=given, check=False).returncode  # noqa: S603


def environment_of(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a person has set; where ``make run`` has left its notes in ``folder``, the rest as it sets it."""
    if not (folder / "local.json").exists():
        return dict(environ)
    port = ports.number(environ.get("PORT", "").strip() or "8000", "PORT")
    sandbox_port = ports.number(environ.get("SANDBOX_PORT", "").strip() or "9100", "SANDBOX_PORT")
    children = environment.for_children(environ, notes.load(folder), port=port, sandbox_port=sandbox_port)
    redis = environ.get("REDIS_URL", "").strip() or _redis_of(folder)
    return children | ({"REDIS_URL": redis} if redis else {})


def _redis_of(folder: Path) -> str | None:
    """The address of the server that was started last, which may have ended since."""
    settings = max(folder.glob("redis/*/server.conf"), key=lambda path: path.stat().st_mtime, default=None)
    if settings is None:
        return None
    said = dict(re.findall(r"^(port|requirepass) (\S+)$", settings.read_text(), re.MULTILINE))
    return f"redis://:{said['requirepass']}@{ports.HOST}:{said['port']}/0" if len(said) == 2 else None


if __name__ == "__main__":
    sys.exit(main(os.environ))
