"""Seals all tokens and secrets anew with the newest of ``ENCRYPTION_KEYS``: ``python -m app.rotate_keys``.

It reads the environment of the installation, as the web process does, and can be run beside it, and again.
"""

from __future__ import annotations

import sys

from app.terminal import with_installation
from app.usecases.rotate_keys import rotate_keys
from app.wiring import Wired


def main() -> int:
    """The exit status: 0 where older keys are needed no longer, 1 where something can't be opened by any key, 2 where
    nothing could be done."""
    return with_installation(_rotate)


def _rotate(wired: Wired) -> int:
    done = rotate_keys(wired.services)
    sys.stdout.write(f"{done.resealed} sealed anew, {done.current} were already sealed with the newest key.\n")
    if not done.lost:
        sys.stdout.write("Older keys are needed no longer.\n")
        return 0
    for column, count in sorted(done.lost.items()):
        sys.stderr.write(
            f"{column}: {count} can't be opened by any key. Enter them again, or add the key they need.\n"
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
