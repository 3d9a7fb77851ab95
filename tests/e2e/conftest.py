"""A real browser, for what a person sees: the machine's own Chromium, driven by Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from bench.browser import chromium, launched

PATIENCE_MS = 15_000

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """As long as its tests go on, a loop runs in this thread, and nobody else could begin one."""
    if chromium() is None:
        if os.environ.get("CI"):
            pytest.fail("There is no Chromium here: install it as .ci/run does.")
        pytest.skip("There is no Chromium on this machine: install it to try the pages in a browser.")
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor of whom nothing is known yet."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()
