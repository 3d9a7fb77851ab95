"""``python -m workers``: one worker, all of it."""

from __future__ import annotations

import os
import sys

from config.settings import Settings, SettingsError


def main() -> int:
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there are no logs yet
        return 1
    from workers.main import supervise

    return supervise(settings)


if __name__ == "__main__":
    sys.exit(main())
