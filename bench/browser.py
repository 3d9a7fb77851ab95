"""The machine's own Chromium, for pictures and for tests in a browser."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where it is, if it is there."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launched(playwright: Playwright) -> Browser:
    # Its sandbox can't be used by root, as whom tests run in containers; only our own pages are opened.
    return playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
