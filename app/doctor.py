"""Checks the whole installation: ``python -m app.doctor`` prints what is in order and what is not, with its remedy.

It reads the environment of the installation, as the web process does, and exits with 1 where there is a problem.
"""

from __future__ import annotations

import sys

from app.terminal import with_services
from app.usecases.check_everything import check_everything


def main() -> int:
    """The exit status: 0 where nothing is amiss, 1 with a problem, 2 where nobody could look."""
    return with_services(lambda wired: check_everything(wired.services, wired.redis_answers))


if __name__ == "__main__":
    sys.exit(main())
