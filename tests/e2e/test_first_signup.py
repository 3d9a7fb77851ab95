"""From an empty console to a qualified referral, by the pages alone: no more is done by other ways than what the
vendors' owners do on their own screens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from bench.system import System
from local.seed import INTERCOM_APP, INTERCOM_SECRET, INTERCOM_TOKEN, REFERRAL_FACTORY_TOKEN
from tests.e2e.console import comes, follow, menu, opened, running, sign_in

pytestmark = pytest.mark.enable_socket

FRIEND = "frida@example.com"


@pytest.fixture
def system(tmp_path: object) -> Iterator[System]:
    with running(tmp_path, seeded=False) as system:  # type: ignore[arg-type]
        yield system


def test_a_marketer_sets_it_up_alone_and_a_friend_comes_and_qualifies(
    context: BrowserContext, system: System
) -> None:
    page = opened(context)
    sign_in(page, system)
    expect(first_steps(page)).to_have_count(5)
    connect_intercom(page)
    connect_referral_factory(page)
    set_up_campaign(page, system)
    tell_intercom(page, system)
    set_up_leads(page)
    follow(page, "Summer referral")
    sign_up_friend(opened(context), system)

    comes(page, row_of(page, FRIEND).filter(has_text="created"))
    menu(page, "Overview")
    expect(page.get_by_role("heading", name="What to do first")).to_have_count(0)
    convert(opened(context), system)
    menu(page, "Campaigns")
    follow(page, "Summer referral")
    comes(page, row_of(page, FRIEND).filter(has_text="qualified"))
    menu(page, "Overview")
    comes(page, page.get_by_role("row").filter(has_text="All campaigns 1 1 100 % 1 100 %"))


def first_steps(page: Page, done: str = "no") -> Locator:
    return page.locator(f"[data-step][data-done={done}]")


def connect_intercom(page: Page) -> None:
    """With a token that was copied badly at first."""
    follow(page, "Connect Intercom", "Connect a workspace")
    for token in ("intercom-sandbox-tok", INTERCOM_TOKEN):
        page.get_by_label("Name").fill("Acme")
        page.get_by_label("Region").select_option("us")
        page.get_by_label("Access token").fill(token)
        page.get_by_label("Client secret").fill(INTERCOM_SECRET)
        page.get_by_role("button", name="Connect").click()
        if token != INTERCOM_TOKEN:
            expect(page.get_by_label("Access token")).to_have_attribute("aria-invalid", "true")
            expect(page.locator("#access_token-fault")).to_contain_text("Intercom")
            expect(page.get_by_label("Name")).to_have_value("Acme")
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme")


def connect_referral_factory(page: Page) -> None:
    menu(page, "Overview")
    expect(first_steps(page, "yes")).to_have_count(1)
    follow(page, "Connect Referral Factory", "Connect a program")
    page.get_by_label("Name").fill("Acme referrals")
    page.get_by_label("Access token").fill(REFERRAL_FACTORY_TOKEN)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme referrals")


def set_up_campaign(page: Page, system: System) -> None:
    menu(page, "Overview")
    follow(page, "Add a campaign", "Set up a campaign")
    page.get_by_label("Summer referral").check()
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Summer referral")
    header = page.get_by_label("Name of the header").input_value()
    secret = page.get_by_label("Webhook secret").input_value()
    for topic in ("joined", "qualified", "reward-issued"):
        address = page.get_by_label(f"Webhook address for {topic}").input_value()
        webhook = {"url": address, "topic": topic, "headers": {header: secret}}
        system.control("POST", "/referral-factory/1/webhooks", webhook)


def tell_intercom(page: Page, system: System) -> None:
    menu(page, "Connections")
    follow(page, "Acme")
    address = page.get_by_label("Webhook address for Intercom").input_value()
    system.control("POST", f"/intercom/{INTERCOM_APP}/webhook", {"url": address})


def set_up_leads(page: Page) -> None:
    """With the email mapped twice at first."""
    menu(page, "Overview")
    follow(page, "Say what goes where", "Summer referral", "Set up the leads")
    page.get_by_label("Create lead").check()
    rows = (("first_name", "name"), ("email", "email"), ("meta.Company", "email"))
    for place in range(len(rows)):
        page.get_by_role("button", name="Add a row").click()
        expect(page.get_by_role("group", name=f"Row {place + 1}")).to_be_visible()
    for place, (source, to) in enumerate(rows):
        row = page.get_by_role("group", name=f"Row {place + 1}")
        row.get_by_label("From Referral Factory").select_option(source)
        row.get_by_label("To Intercom").select_option(to)
    page.get_by_label("When an attribute in Intercom changes").check()
    page.get_by_label("Attribute that tells", exact=True).select_option("custom_attributes.plan")
    page.get_by_label("This value, which new leads are given").check()
    page.get_by_label("The initial value").fill("trial")
    page.get_by_label("Target value 1").fill("pro")
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    wrong = page.get_by_role("group", name="Row 3").get_by_label("To Intercom")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    wrong.select_option("custom_attributes.Company name")
    save(page)
    expect(page.get_by_role("status").first).to_contain_text("Saved as version 1")


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).first.click()


def sign_up_friend(page: Page, system: System) -> None:
    page.goto(system.sandbox)
    page.get_by_role("row").filter(has_text="rita@example.com").get_by_role("link").click()
    page.get_by_label("First name").fill("Frida")
    page.get_by_label("Company").fill("Acme & Sons")
    page.get_by_label("Email").fill(FRIEND)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_text("Thank you, Frida")).to_be_visible()


def convert(page: Page, system: System) -> None:
    """The contact is there with what was mapped, and a teammate in Intercom sets its plan."""
    page.goto(f"{system.sandbox}/#contacts")
    contact = page.locator("#contacts").get_by_role("row").filter(has_text=FRIEND)
    expect(contact).to_contain_text("Acme & Sons")
    contact.get_by_role("link").click()
    page.get_by_label("Attribute").select_option(label="plan (now trial)")
    page.get_by_label("New value").fill("pro")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status")).to_contain_text("Done.")


def row_of(page: Page, email: str) -> Locator:
    return page.get_by_role("row").filter(has_text=email)
