"""The console over a running system: contacts are synced by the wizard, and whoever may not manage, uses the keyboard
alone or has no script finds their way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from bench.system import System
from local.seed import INTERCOM_APP
from tests.e2e.console import OWNER, PASSWORD, comes, follow, menu, opened, running, sign_in

pytestmark = pytest.mark.enable_socket

LATENCY_MS = 100
MANY = 700
"""Users of several pages: each page of 150 takes about two seconds, in which the bar stands still."""

FEW = 60


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("console")) as system:
        system.control("PUT", "/settings", {"latency_ms": LATENCY_MS})
        yield system


@pytest.fixture
def page(context: BrowserContext, system: System) -> Page:
    page = opened(context)
    sign_in(page, system)
    return page


# The sync wizard


def contacts_come(system: System, number: int) -> None:
    """Two users for each lead; some lack a name or an email."""
    system.control("POST", "/seed", {"app_id": INTERCOM_APP, "contacts": number})


def wizard(page: Page) -> None:
    """All its steps to the last one, where it has counted."""
    menu(page, "Syncs")
    follow(page, "Sync Intercom contacts")
    page.get_by_label("Only Users").check()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_label("Name (needed)")).to_have_value("name")
    page.get_by_role("button", name="Continue", exact=True).last.click()
    expect(page.get_by_label("One-time")).to_be_checked()
    page.get_by_role("button", name="Continue to the numbers").click()


def test_the_wizard_goes_through_its_steps_to_a_run_whose_bar_moves_and_whose_outcomes_are_kept(
    page: Page, system: System
) -> None:
    contacts_come(system, MANY)
    wizard(page)

    expect(page.locator("#count")).to_contain_text("New to the campaign")
    page.get_by_role("button", name="Start the sync").click()
    page.evaluate("window.here = true")
    values = moving(page)
    assert page.evaluate("window.here")
    assert values == sorted(values)
    assert len(values) > 2, values
    expect(page.get_by_role("status").filter(has_text="The sync is completed.")).to_be_attached()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)

    page.get_by_label("Outcome", exact=True).select_option("skipped")
    page.get_by_role("button", name="Filter").click()
    outcomes = page.get_by_role("region", name="Outcomes").get_by_role("row")
    expect(outcomes.nth(1)).to_contain_text("Skipped")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download as CSV").click()
    lines = Path(downloading.value.path()).read_text("utf-8-sig").splitlines()
    assert len(lines) == outcomes.count()
    assert "skipped" in lines[1]


def moving(page: Page) -> list[int]:
    """What the bar shows until the run is over, each value once."""
    page.evaluate(
        """() => { window.values = []; (function look() {
             const value = document.getElementById("run-bar")?.getAttribute("value");
             if (value && window.values.at(-1) !== Number(value)) window.values.push(Number(value));
             requestAnimationFrame(look);
           })(); }"""
    )
    expect(page.locator("#progress-part")).to_contain_text("Completed", timeout=60_000)
    values: list[int] = page.evaluate("window.values")
    return values


def test_a_run_is_paused_resumed_and_cancelled_by_its_buttons(page: Page, system: System) -> None:
    contacts_come(system, MANY)
    wizard(page)
    page.get_by_role("button", name="Start the sync").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#progress-part")).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_text("Cancel this sync…").click()
    page.get_by_role("button", name="Cancel this sync", exact=True).click()
    expect(page.locator("#progress-part")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)


# Other people, other ways


def test_a_teammate_sees_the_pages_greyed_with_the_reason_and_whom_to_ask(
    page: Page, browser: Browser, system: System
) -> None:
    page.locator(".account-menu summary").click()
    page.locator(".account-menu").get_by_role("link", name="Teammates").click()
    page.get_by_label("Their email").fill("tim@example.com")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("The link").input_value()
    theirs = browser.new_context()
    tim = opened(theirs)
    tim.goto(link)
    for label in ("Password", "The same again"):
        tim.get_by_label(label, exact=True).fill(PASSWORD)
    tim.get_by_role("button", name="Choose this password").click()
    expect(tim.get_by_role("heading", level=1)).to_have_text("Overview")
    for path in ("/campaigns/1", "/campaigns/1/leads", "/connections", "/workspaces/1", "/programs/1", "/teammates"):
        tim.goto(system.web + path)
        reason = tim.locator("[data-cause=teammate_not_permitted]")
        expect(reason).to_contain_text(f"Ask {OWNER}")
        assert tim.locator("main form[method=post] button:enabled").count() == 0, path
        assert tim.locator("main form[method=post] :is(input:not([type=hidden]), select):enabled").count() == 0, path
    tim.goto(f"{system.web}/campaigns/1/leads")
    tim.evaluate("for (const one of document.querySelectorAll(':disabled')) one.disabled = false")
    saved = system.api("GET", "/campaigns/1/audiences/leads")["version"]
    with tim.expect_response(
        lambda answer: answer.request.method == "POST" and "preview" not in answer.url
    ) as answer:
        tim.get_by_role("button", name="Save").first.click()
    assert answer.value.status == 403
    expect(tim.get_by_role("heading", level=1)).to_contain_text("not")
    assert system.api("GET", "/campaigns/1/audiences/leads")["version"] == saved
    theirs.close()


def test_the_keyboard_is_enough(context: BrowserContext, system: System) -> None:
    page = opened(context)
    page.goto(system.web)
    keys = page.keyboard
    tab_to(page, "Email")
    keys.type(OWNER)
    tab_to(page, "Password")
    keys.type(PASSWORD)
    with page.expect_navigation():
        keys.press("Enter")
    for link in ("Campaigns", "Summer referral", "Settings of the referrers"):
        tab_to(page, link)
        with page.expect_navigation():
            keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Referrers in Intercom")
    rows = page.get_by_role("heading", name="Row ").count()
    tab_to(page, "Add a row")
    keys.press("Space")
    expect(page.locator(f"#row-{rows}-kind")).to_be_focused()
    keys.press("f")
    tab_to(page, "The same for everyone")
    keys.type("yes")
    tab_to(page, "To Intercom")
    keys.type("Referral Campaign")
    tab_to(page, "Save")
    keys.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Saved as version")
    ours = system.api("GET", "/campaigns/1/audiences/referrers")["mapping"]
    assert {"from": {"value": "yes"}, "to": "custom_attributes.Referral Campaign"} in ours


def tab_to(page: Page, name: str) -> None:
    """On with the tab key until what is called so has the focus, which is to be seen on it."""
    for _ in range(200):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const one = document.activeElement;
                 const label = one.labels?.[0]?.textContent ?? one.getAttribute("aria-label") ?? one.textContent;
                 return label.trim().replace(/\\s+/g, " "); }"""
        )
        if focused == name:
            style = page.evaluate(
                "(({outlineStyle, boxShadow}) => outlineStyle + boxShadow)(getComputedStyle(document.activeElement))"
            )
            assert style != "nonenone", f"{name} has the focus, and it can't be seen"
            return
    pytest.fail(f"{name} is not reached by the tab key on {page.url}")


def test_without_a_script_nothing_but_comfort_is_lost(browser: Browser, system: System) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(15_000)
    page = context.new_page()
    contacts_come(system, FEW)
    sign_in(page, system)
    menu(page, "Campaigns")
    follow(page, "Summer referral", "Settings of the leads")
    page.get_by_label("Fill in blanks only").check()
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_role("status").first).to_contain_text("Saved as version")
    wizard(page)
    page.get_by_role("button", name="Count now").click()
    expect(page.locator("#count")).to_contain_text("New to the campaign")
    page.get_by_role("button", name="Start the sync").click()
    expect(page.locator("#run-bar")).to_be_visible()
    comes(page, page.locator("#progress-part").filter(has_text="Completed"))
    context.close()
