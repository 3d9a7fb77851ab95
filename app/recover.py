"""Lets an owner in again when none can come in: ``python -m app.recover owner@example.com`` prints a link that works
once. It reads the environment of the installation, as the web process does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.core.errors import InvalidRequest
from app.usecases.recover_owner import recover_owner
from app.wiring import Wired
from config.settings import Settings, SettingsError

UNASKED = "redis://127.0.0.1:6379/0"
"""A link needs no Redis, and none is asked; the client that is made all the same wants an address."""

USAGE = "Usage: python -m app.recover EMAIL\nPrints a link by which the person with this email becomes an owner.\n"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit status: 0 with a link, 1 where it can't be made, 2 for a call that is not understood."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = Settings.from_env(environ, needs_redis=False)
        sys.stdout.write(_link(settings, arguments[0]))
    except (SettingsError, InvalidRequest) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _link(settings: Settings, email: str) -> str:
    wired = Wired(replace(settings, redis_url=settings.redis_url or UNASKED), threads=1)
    try:
        path = recover_owner(wired.services, email)
    finally:
        wired.close()
    return f"{settings.public_url}{path}\nIt works once, for seven days. Whoever opens it becomes an owner.\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
