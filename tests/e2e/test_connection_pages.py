"""The connections' and campaigns' pages in a real browser: an empty console is set up, with a mistake and its
mending, and every state of the pages is for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import update
from werkzeug.serving import make_server

from app.core.people import Role
from app.storage import campaigns, circuits, workspaces
from app.storage.circuits import Broken
from app.storage.database import Database
from app.storage.tables import events, metadata
from schemas.intercom import Segment
from tests.web.api.conftest import World
from tests.web.console.marketer import Marketer

pytestmark = pytest.mark.enable_socket

WIDTHS = (1280, 390)
LONG = "<script>alert(1)</script> \u202eשלום 🎉 " + "x" * 10_000


@pytest.fixture
def database(tmp_path: object) -> Iterator[Database]:
    """One kind is enough: the storage is tried elsewhere."""
    made = Database(f"sqlite:///{tmp_path}/test.db")
    metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def mara(database: Database) -> Marketer:
    return Marketer(World(database))


@pytest.fixture
def address(mara: Marketer) -> Iterator[str]:
    mara.world.app.config["SESSION_COOKIE_SECURE"] = False
    server = make_server("127.0.0.1", 0, mara.world.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(context: BrowserContext, mara: Marketer, address: str) -> Page:
    """The connections' page as somebody who is signed in opens it; what its script complains of ends the test."""
    cookie = mara.client.get_cookie("session", "referloop.example.com")
    assert cookie is not None
    context.add_cookies([{"name": "session", "value": cookie.value, "url": address}])
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"{address}/connections")
    return page


def set_up(page: Page) -> None:
    """From the empty console to a campaign, as the pages lead."""
    page.get_by_role("link", name="Connect a workspace").first.click()
    page.get_by_label("Name").fill("Acme")
    page.get_by_label("Region").select_option("eu")
    page.get_by_label("Access token").fill("us-token")
    page.get_by_label("Client secret").fill("us-secret")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_label("Region")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#region-fault")).to_contain_text("and takes it in us")
    expect(page.get_by_label("Name")).to_have_value("Acme")
    expect(page.get_by_label("Access token")).to_have_value("")
    page.get_by_label("Region").select_option("us")
    page.get_by_label("Access token").fill("us-token")
    page.get_by_label("Client secret").fill("us-secret")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Connections").click()
    page.get_by_role("link", name="Connect a program").first.click()
    page.get_by_label("Name").fill("Acme referrals")
    page.get_by_label("Access token").fill("rf-token")
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("link", name="Set up a campaign").click()
    page.get_by_label("Summer referral").check()
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Summer referral")
    expect(page.get_by_label("Webhook secret")).not_to_have_value("")


def test_an_empty_console_is_set_up_with_a_mistake_on_the_way(
    context: BrowserContext, mara: Marketer, address: str
) -> None:
    mara.world.intercom.segment_list = [Segment(f"s{n}", f"Segment {n}", Role.USER) for n in range(150)]
    page = opened(context, mara, address)
    set_up(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == page.get_by_label("Webhook secret").input_value()
    page.goto(f"{address}/workspaces/1")
    page.locator("#segments > summary").click()
    page.get_by_label("Find a segment").fill("segment 149")
    assert page.locator("#segment-rows tr:visible").count() == 1
    page.get_by_text("Disconnect…").click()
    page.get_by_role("button", name="Disconnect", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Disconnected.")


def test_without_a_script_the_same_is_done(browser: Browser, mara: Marketer, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    set_up(opened(context, mara, address))
    context.close()


def states(world: World) -> Iterator[list[str]]:
    """Empty, full and failing, each with the pages to be looked at."""
    yield ["/connections", "/workspaces/new", "/programs/new", "/campaigns", "/campaigns/new"]
    world.intercom.segment_list = [Segment(f"s{n}", f"Segment {n}", Role.USER) for n in range(20)]
    world.campaign()
    yield ["/connections", "/workspaces/1", "/programs/1", "/campaigns", "/campaigns/1", "/campaigns/new"]
    ids = [world.event(f"event{n}") for n in range(3)]
    with world.database.writing() as connection:
        row = workspaces.get(connection, 1)
        assert row is not None
        workspaces.lose(connection, 1, row.token_digest, "intercom_unauthorized", world.time)
        workspaces.change(connection, 1, name=LONG)
        campaigns.change(connection, 1, name=LONG, status=LONG, fields={"leads": [LONG]})
        away = Broken("referral_factory:1", "referral_factory_unavailable", timedelta(seconds=10))
        circuits.open_(connection, away, world.time)
        connection.execute(update(events).where(events.c.id.in_(ids)).values(held_by="workspace:1"))
    yield ["/connections", "/workspaces/1", "/programs/1", "/campaigns", "/campaigns/1"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_them_is_for_everybody(browser: Browser, mara: Marketer, address: str, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = opened(context, mara, address)
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
