"""The settings page of a campaign's leads in a real browser: what the script adds, and that it is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from app.core.audiences import AttributeType
from app.core.people import Audience
from app.storage import campaigns, workspaces
from app.storage.database import Database
from app.storage.tables import metadata
from tests.fakes import custom
from tests.web.api.conftest import World
from tests.web.console.marketer import HERE, Marketer

pytestmark = pytest.mark.enable_socket

LEADS = "/campaigns/1/leads"
SETTINGS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
}
WIDTHS = (1280, 390)


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
    world.campaign()
    world.put("/campaigns/1/audiences/leads", SETTINGS)
    world.person("1", contact_id=None, contact_role=None)
    return Marketer(world)


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
    """The page as it is opened by somebody who is signed in; what its script complains of ends the test."""
    cookie = mara.client.get_cookie("session", "referloop.example.com") or mara.client.get_cookie("session", HERE)
    assert cookie is not None
    context.add_cookies([{"name": "session", "value": cookie.value, "url": address}])
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address + LEADS)
    return page


def test_rows_come_without_leaving_the_page_and_the_preview_follows(
    context: BrowserContext, mara: Marketer, address: str
) -> None:
    page = opened(context, mara, address)
    expect(page.locator("#preview")).to_contain_text("Would be created in Intercom as a lead")
    page.evaluate("window.here = true")
    page.get_by_role("button", name="Add a row").click()
    expect(page.locator("#row-2-kind")).to_be_focused()
    page.get_by_label("Search the attributes for row 3").fill("comp")
    page.keyboard.press("Enter")
    assert page.evaluate("[...document.getElementById('row-2-to').options].filter((one) => !one.hidden).length") == 1
    page.select_option("#row-2-to", "custom_attributes.Company")
    page.select_option("#row-2-kind", "fixed")
    expect(page.locator("#row-2-field")).to_be_hidden()
    page.fill("#row-2-fixed", "Summer")
    expect(page.locator("#preview")).to_contain_text("Summer")
    page.get_by_role("button", name="Remove row 1").click()
    expect(page.locator("#preview")).to_contain_text("Name is not mapped yet")
    expect(page.locator("#row-1-fixed")).to_have_value("Summer")
    assert page.evaluate("window.here")


def test_without_a_script_the_same_is_done_by_buttons(browser: Browser, mara: Marketer, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, mara, address)
    page.get_by_role("button", name="Add a row").click()
    page.select_option("#row-2-kind", "fixed")
    page.fill("#row-2-fixed", "Summer")
    page.select_option("#row-2-to", "custom_attributes.Company")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#preview")).to_contain_text("Summer")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("status").first).to_contain_text("Saved as version 2")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_state_of_it_is_for_everybody(
    browser: Browser, mara: Marketer, address: str, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = opened(context, mara, address)
    for path in (LEADS, "/campaigns/1/referrers", f"{LEADS}/versions", "/campaigns/1/settings"):
        page.goto(address + path)
        accessible(page, width)
    page.goto(address + LEADS)
    page.get_by_label("When an attribute in Intercom changes").check()
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    accessible(page, width)
    context.close()


def test_the_longest_names_make_no_page_wider(browser: Browser, mara: Marketer, address: str) -> None:
    for_ever = "<b>\u202eש🎉</b>" + "x" * 10_000
    with mara.world.database.writing() as connection:
        workspaces.replace_attributes(connection, 1, [custom(for_ever, AttributeType.LIST, options=(for_ever,))])
        fields = {"leads": [for_ever], "referrers": [for_ever]}
        campaigns.change(connection, 1, name=for_ever, fields=fields, crm_fields=[for_ever])
        row = {"from": {"value": for_ever[:255]}, "to": "phone"}
        settings = {**SETTINGS, "mapping": [*SETTINGS["mapping"], row]}
        campaigns.add_audience_version(
            connection, 1, Audience.LEADS, settings, complete=True, changed_at=mara.world.time, changed_by=for_ever
        )
    mara.world.person("1", first_name=for_ever, values={f"meta.{for_ever}": for_ever}, contact_id=None)
    context = browser.new_context(viewport={"width": 390, "height": 900})
    page = opened(context, mara, address)
    expect(page.locator("#preview table")).to_be_visible()
    for path in (LEADS, "/campaigns/1/referrers", f"{LEADS}/versions", "/campaigns/1/settings"):
        page.goto(address + path)
        accessible(page, 390)
    context.close()


def accessible(page: Page, width: int) -> None:
    violations = Axe().run(page).response["violations"]
    assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
