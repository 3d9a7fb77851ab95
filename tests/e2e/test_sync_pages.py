"""The sync wizard and the pages of runs in a real browser: to the end with the bar moving, paused, cancelled, and
without a script; and every state of the pages is for everybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from app.core.people import Role
from app.storage.database import Database
from app.storage.tables import metadata
from app.usecases.run_pages import do_page
from schemas.intercom import Segment
from tests.web.api.conftest import World
from tests.web.console.marketer import Marketer
from tests.web.console.test_backfill import LEADS, joined_before
from tests.web.console.test_sync_wizard import at
from tests.web.console.test_syncs import became, put, run

pytestmark = pytest.mark.enable_socket

WIDTHS = (1280, 390)
MEMBERS = 12


@pytest.fixture
def database(tmp_path: object) -> Iterator[Database]:
    """One kind is enough: the storage is tried elsewhere."""
    made = Database(f"sqlite:///{tmp_path}/test.db")
    metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def mara(database: Database) -> Marketer:
    world = World(database)
    world.intercom.segment_list = [Segment(f"s{n}", f"Segment {n}", Role.USER, n) for n in range(260)]
    for number in range(MEMBERS):
        made = world.intercom.put(f"n{number}@example.com", name=f"Number {number}")
        world.intercom.members["s107"].add(made.id)
    world.intercom.page_size = 4
    world.campaign()
    return Marketer(world)


@pytest.fixture
def address(mara: Marketer) -> Iterator[str]:
    mara.world.app.config["SESSION_COOKIE_SECURE"] = False
    server = make_server("127.0.0.1", 0, mara.world.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(context: BrowserContext, mara: Marketer, address: str, path: str) -> Page:
    """A page as somebody who is signed in opens it; what its script complains of ends the test."""
    cookie = mara.client.get_cookie("session", "referloop.example.com")
    assert cookie is not None
    context.add_cookies([{"name": "session", "value": cookie.value, "url": address}])
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address + path)
    return page


def next_page(world: World, sync_id: int) -> None:
    """A worker does the run's next page."""
    with ThreadPoolExecutor(2) as crew:
        assert do_page(world.services, sync_id, crew, threading.Event())


def through_the_wizard(page: Page, *, script: bool) -> None:
    page.get_by_role("link", name="Sync Intercom contacts").click()
    page.get_by_role("button", name="Continue").click()
    if script:  # the browser itself asks for a choice
        assert page.get_by_role("heading", name="Which segment?").count() == 0
    page.get_by_label("A specific segment").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Search by name").fill("segment 107")
    if not script:
        page.get_by_role("button", name="Search").click()
    assert page.locator("#segments > li:visible").count() == 1
    page.get_by_label("Segment 107").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name (needed)").select_option("")
    page.get_by_role("button", name="Continue", exact=True).last.click()
    expect(page.get_by_label("Name (needed)")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name (needed)").select_option("name")
    page.get_by_text("Create an attribute for it").nth(1).click()
    page.get_by_role("button", name="Create this attribute in Intercom").locator("visible=true").click()
    expect(page.get_by_label("Referrals Count", exact=True)).to_have_value("custom_attributes.Referrals Count")
    page.get_by_role("button", name="Continue", exact=True).last.click()
    page.get_by_role("button", name="Continue to the numbers").click()
    if not script:
        page.get_by_role("button", name="Count now").click()
    expect(page.locator("#count")).to_contain_text(f"New to the campaign\n{MEMBERS}", use_inner_text=True)
    page.get_by_role("button", name="Start the sync").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sync 1")


def test_a_segment_is_synced_with_the_bar_moving(context: BrowserContext, mara: Marketer, address: str) -> None:
    page = opened(context, mara, address, "/syncs")
    through_the_wizard(page, script=True)
    bar, said = page.locator("#run-bar"), page.locator("#run-said")
    expect(said).to_have_text("The sync waits for its turn.")
    page.get_by_text("Cancel this sync…").click()
    next_page(mara.world, 1)
    expect(bar).to_have_attribute("value", "4")
    expect(said).to_have_text("The sync is running.")
    page.get_by_text("Cancel this sync…").click()
    next_page(mara.world, 1)
    expect(bar).to_have_attribute("value", "8")
    expect(page.get_by_role("button", name="Cancel this sync", exact=True)).to_be_visible()  # still open
    next_page(mara.world, 1)
    expect(said).to_have_text("The sync is completed.")
    expect(page.locator("#run-controls")).to_have_text("")
    page.reload()
    expect(page.get_by_role("region", name="Outcomes").locator("tbody tr")).to_have_count(MEMBERS)
    with page.expect_download() as file:
        page.get_by_role("link", name="Download as CSV").click()
    assert file.value.suggested_filename == "sync-1-outcomes.csv"
    assert len(mara.world.referral_factory.people) == MEMBERS


def test_one_is_paused_goes_on_and_is_cancelled(context: BrowserContext, mara: Marketer, address: str) -> None:
    run(mara.world, settings={"contacts": "all"})
    page = opened(context, mara, address, "/syncs/1")
    next_page(mara.world, 1)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused. It goes on where it stopped")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    next_page(mara.world, 1)
    expect(page.locator("#run-bar")).to_have_attribute("value", "8")
    page.get_by_text("Cancel this sync…").press("Enter")
    expect(page.get_by_text("Who was added stays in the campaign")).to_be_visible()
    page.get_by_role("button", name="Cancel this sync", exact=True).press("Enter")
    expect(page.get_by_text("Cancelled. Who was added stays.")).to_be_visible()
    assert len(mara.world.referral_factory.people) == 8


def test_without_a_script_nothing_but_comfort_is_lost(browser: Browser, mara: Marketer, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, mara, address, "/syncs")
    through_the_wizard(page, script=False)
    next_page(mara.world, 1)
    page.reload()
    expect(page.locator("#run-bar")).to_have_attribute("value", "4")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    context.close()


def states(world: World) -> Iterator[list[str]]:
    """Empty, full and failing, each with the pages to be looked at."""
    wizard = [
        at(step, contacts="segment", segment_id="s107") for step in ("contacts", "segment", "mapping", "schedule")
    ]
    yield ["/syncs", "/campaigns/1/backfill", *wizard, at("confirm")]
    assert world.put("/campaigns/1/audiences/leads", LEADS).status_code == 200
    joined_before(world, 3)
    later = world.time + timedelta(minutes=9)
    run(world, state="running", look=1, total=5_000, looked_at=1_200, busy_seconds=120.0)
    run(world, state="watching", look=3, due_at=later, looked_at=90, settings={"schedule": "ongoing"})
    run(world, state="completed", dry_run=True, look=1, total=3, looked_at=3, added=3, finished_at=world.time)
    run(world, state="completed", dry_run=True, kind="backfill", audience="leads", look=1, finished_at=world.time)
    run(world, state="failed", cause="segment_gone", look=1, finished_at=world.time)
    nasty = "<b>‮שלום🎉" + "x" * 5_000
    put(
        world,
        1,
        became(1, 1),
        became(1, 2, "failed", email=nasty[:300], cause="referral_factory_refused", detail=nasty),
    )
    yield [
        "/syncs",
        "/syncs?state=paused",
        *(f"/syncs/{n}" for n in range(1, 6)),
        "/campaigns/1/backfill",
        at("confirm"),
    ]
    assert world.delete("/workspaces/1").status_code == 204
    yield ["/syncs/1", "/campaigns/1/sync/contacts", "/campaigns/1/backfill"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_them_is_for_everybody(browser: Browser, mara: Marketer, address: str, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = opened(context, mara, address, "/syncs")
    for paths in states(mara.world):
        for path in paths:
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                violations = Axe().run(page).response["violations"]
                assert not violations, (path, [(one["id"], one["nodes"][0]["html"]) for one in violations])
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
