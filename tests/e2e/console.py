"""The console of a whole running system, at a browser: what its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from bench.system import System

OWNER, PASSWORD = "olga@example.com", "correct horse battery staple"

PATIENCE_SECONDS = 45
"""For what several processes have a part in, on a machine that others use too."""


@contextmanager
def running(folder: Path, *, seeded: bool = True) -> Iterator[System]:
    """Every process there is, with an owner; one kind of database is enough, for the storage is tried elsewhere."""
    environ = {
        "ADMIN_EMAIL": OWNER,
        "ADMIN_PASSWORD": PASSWORD,
        "REFERRAL_FACTORY_CALLS_PER_MINUTE": "5700",
        "SYNC_INTERVAL_SECONDS": "2",
        "RECONCILE_INTERVAL_SECONDS": "3600",  # what goes wrong on purpose is not to be found and mended by itself
    }
    with System(folder, f"sqlite:///{folder / 'referloop.db'}", **environ) as system:
        system.environ["PUBLIC_URL"] = system.web
        system.start_all(seeded=seeded, index_delay=1)
        system.control("PUT", "/settings", {"referral_factory_calls_per_minute": 6000, "public_url": system.sandbox})
        yield system


def opened(context: BrowserContext) -> Page:
    """A page whose script must not fail, and which must not hold anything that its policy forbids."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"{page.url}: {error}"))
    page.on("console", lambda said: _heard(page, said.text))
    return page


def _heard(page: Page, text: str) -> None:
    if "Content Security Policy" in text or "Content-Security-Policy" in text:
        pytest.fail(f"{page.url}: {text}")


def sign_in(page: Page, system: System, email: str = OWNER, password: str = PASSWORD) -> None:
    page.goto(system.web)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def follow(page: Page, *names: str) -> None:
    """From page to page by the links that are called so."""
    for name in names:
        page.get_by_role("link", name=name, exact=True).first.click()


def menu(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()


def comes(page: Page, what: Locator, seconds: float = PATIENCE_SECONDS) -> None:
    """A person loads the page again until it is there."""
    for _ in range(int(seconds / 0.3)):
        if what.count():
            break
        page.wait_for_timeout(300)
        page.reload()
    expect(what.first).to_be_visible()
