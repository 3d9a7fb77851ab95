"""Every page of the console, empty, full, and full of what should not be there, as a browser shows it: for everybody,
at every width, and harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from sqlalchemy import Table, update
from werkzeug.serving import make_server

from app.core.access import Change
from app.core.audiences import AttributeType
from app.core.people import Role
from app.storage.audit_log import record
from app.storage.database import Database
from app.storage.tables import campaigns, metadata, programs, users, workspaces
from app.usecases.count_hours import count_hours
from app.usecases.refresh_catalogue import refresh_workspace
from app.web.console.sync_draft import text_of
from bench import history
from bench.history import Size
from bench.pages import addresses
from schemas.intercom import Segment
from schemas.referral_factory import Campaign
from tests.e2e.conftest import PATIENCE_MS
from tests.e2e.console import OWNER, opened
from tests.fakes import custom
from tests.web.api.conftest import World
from tests.web.console.marketer import HERE, Marketer

pytestmark = pytest.mark.enable_socket

WIDE, NARROW = 1280, 390
SERIOUS = ("serious", "critical")

FEW = Size(people=20, activity=40, events=20, outcomes=9, days=20)
DRAFT: dict[str, Any] = {
    "contacts": "segment",
    "segment_id": "s1",
    "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
    "write_back": [{"from": "url", "to": "custom_attributes.Referral Link"}],
    "schedule": "ongoing",
    "notify": True,
}
OWN = ("/account",)
"""What everybody may change: their own."""

STEPS = ("segment", "mapping", "schedule", "confirm")

HOSTILE = (
    '<script>window.__pwned = 1</script><img src=x onerror="window.__pwned = 1"><svg/onload=window.__pwned=1>'
    "\"'><a href=\"javascript:window.__pwned=1\" onfocus='window.__pwned=1' autofocus>x</a></title></textarea>"
    "</select>{{ 7919 * 7 }}{% raw %}${7919*7} \u202eשלום עולם مرحبا\u202c \U0001f469\u200d\U0001f467\U0001f389 "
)
HOSTILE += "x" * (10_000 - len(HOSTILE))
"""Ten thousand characters, most of them one word."""

SHORT = HOSTILE[:230]
"""Where no more is taken."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@contextmanager
def world_in(folder: Path, name: str, *, full: bool) -> Iterator[World]:
    """One kind of database is enough: the storage is tried elsewhere. ``full``: with workspaces, programs and
    campaigns and all that becomes of people there; no vendor is out of reach."""
    with closing(Database(f"sqlite:///{folder / name}.db")) as database:
        world = World(database)
        if full:
            fill(world)
        else:
            metadata.create_all(database.engine)
        yield world


def fill(world: World) -> None:
    history.fill(world.database, FEW, world.time)
    seal = world.services.vault.seal
    with world.database.writing() as connection:
        connection.execute(
            update(workspaces)
            .where(workspaces.c.id == 1)
            .values(app_id="app1", token=seal("us-token"), client_secret=seal("us-secret"))
        )
        connection.execute(update(programs).where(programs.c.id == 1).values(token=seal("rf-token")))
        connection.execute(update(campaigns).values(webhook_secret=seal("secret"), workspace_id=1, program_id=1))
        record(
            connection, world.time, OWNER, Change.CAMPAIGN_CHANGED, "campaign:1", name="Campaign 1", after={"a": 1}
        )
    world.intercom.segment_list = [Segment(f"s{n}", f"Segment {n}", Role.USER) for n in range(30)]
    refresh_workspace(world.services, 1)
    while count_hours(world.services):
        pass


@contextmanager
def served(world: World, *, may_manage: bool = True) -> Iterator[Marketer]:
    """An owner's, unless they may not manage."""
    mara = Marketer(world, may_manage=may_manage)
    if may_manage:
        with world.database.writing() as connection:
            connection.execute(update(users).values(owner=True))
    world.app.config["SESSION_COOKIE_SECURE"] = False
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    mara.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield mara
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def seen_by(mara: Marketer, browser: Browser) -> Iterator[Page]:
    cookie = mara.client.get_cookie("session", "referloop.example.com")
    assert cookie is not None
    # Without motion: a colour on its way to another is neither.
    context = browser.new_context(
        viewport={"width": WIDE, "height": 900}, locale="en-GB", reduced_motion="reduce", color_scheme="light"
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": "session", "value": cookie.value, "url": mara.address}])
    yield opened(context)
    context.close()


def pages(mara: Marketer) -> list[str]:
    """Every address that shows a page to somebody who is signed in: no picture, no download, no part of a page."""
    draft = text_of(DRAFT)
    steps = [f"/campaigns/1/sync/{step}?draft={draft}" for step in STEPS]
    # A page that can be asked in several ways is looked at once.
    found = [one for one in addresses(mara.world.app) if "?" not in one]
    return [one for one in found + steps if _is_page(mara, one)]


def _is_page(mara: Marketer, address: str) -> bool:
    if address.endswith("/progress"):
        return False
    answer = mara.client.get(address, base_url=HERE)
    assert answer.status_code < 500, address
    return answer.status_code == 200 and answer.mimetype == "text/html"


def unfold(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


def fits(page: Page) -> bool:
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    return fits


# For everybody


@pytest.mark.parametrize("state", ["empty", "full"])
def test_everybody_can_use_it_light_and_dark_wide_and_narrow(browser: Browser, folder: Path, state: str) -> None:
    """Wide and light with all rules; narrow and dark with those that hang on it."""
    found = []
    with (
        world_in(folder, state, full=state != "empty") as world,
        served(world) as mara,
        seen_by(mara, browser) as page,
    ):
        for address in pages(mara):
            page.emulate_media(color_scheme="light")
            page.goto(mara.address + address)
            unfold(page)
            for width, scheme, rules in ((WIDE, "light", None), (NARROW, "dark", OF_LOOKS)):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                found += [(address, scheme, *one) for one in violations(page, rules)]
                found += [] if fits(page) else [(address, scheme, "scrolls sideways", "")]
    assert not found, "\n".join(map(str, found))


OF_LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]


def violations(page: Page, rules: list[str] | None) -> list[tuple[str, str]]:
    options: dict[str, Any] = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    answer = Axe().run(page, options=options).response
    return [(one["id"], one["nodes"][0]["html"]) for one in answer["violations"] if one["impact"] in SERIOUS]


def test_a_teammate_who_may_not_manage_can_press_nothing_that_changes_anything(
    browser: Browser, folder: Path
) -> None:
    with (
        world_in(folder, "theirs", full=True) as world,
        served(world, may_manage=False) as mara,
        seen_by(mara, browser) as page,
    ):
        for address in pages(mara):
            page.goto(mara.address + address)
            assert page.locator("[data-cause=teammate_not_permitted]").count() == 1, address
            if address not in OWN:
                unfold(page)
                enabled = page.locator(
                    "main form[method=post] :is(button, select, textarea, input:not([type=hidden]))"
                )
                assert [one.evaluate("one => one.outerHTML") for one in enabled.all() if one.is_enabled()] == [], (
                    address
                )


# Harmless


def spoil(world: World) -> None:
    """What others can name is named so, wherever it is kept and wherever it comes from."""
    world.intercom.segment_list = [Segment(f"s{n}", f"{HOSTILE}{n}", Role.USER) for n in range(3)]
    spoilt = custom(SHORT, AttributeType.LIST, options=(HOSTILE, "b"))
    world.intercom.catalogue[spoilt.path] = spoilt
    world.referral_factory.campaign_list = [Campaign("77", HOSTILE, "code", HOSTILE, leads=(HOSTILE,))]
    refresh_workspace(world.services, 1)
    with world.database.writing() as connection:
        for table in metadata.sorted_tables:
            spoilt_columns = {column.name: _spoilt(table, column.name) for column in table.columns}
            spoilt_columns = {name: value for name, value in spoilt_columns.items() if value is not None}
            if spoilt_columns:
                connection.execute(update(table).values(spoilt_columns))


_NAMED = {
    *("email", "name", "label", "first_name", "url", "code", "detail", "error", "browser"),
    *("changed_by", "created_by", "asked_by", "person", "through"),
}
_OURS = {"circuits", "count_marks", "schedules", "user_counts"}
_SPOILT: dict[tuple[str, str], Any] = {
    ("campaigns", "status"): HOSTILE,
    ("campaigns", "fields"): {"leads": [HOSTILE, "Company"], "referrers": [HOSTILE]},
    ("campaigns", "crm_fields"): [HOSTILE],
    ("workspaces", "missing_permissions"): [HOSTILE],
    ("attributes", "options"): [HOSTILE, "b"],
    ("people", "values"): {"id": 7, "email": HOSTILE, f"meta.{HOSTILE}": HOSTILE, HOSTILE: HOSTILE},
    ("activity", "fields"): [{"to": HOSTILE, "cause": "value_too_long", "detail": HOSTILE}],
    ("events", "payload"): json.dumps({"email": HOSTILE, HOSTILE: HOSTILE}).encode(),
    ("audit_log", "before"): {HOSTILE: HOSTILE},
    ("audit_log", "after"): {"name": HOSTILE},
    ("audience_versions", "settings"): {
        "action": "create_lead",
        "mapping": [
            {"from": {"field": "first_name"}, "to": "name"},
            {"from": {"field": "email"}, "to": "email"},
            {"from": {"value": SHORT}, "to": f"custom_attributes.{SHORT}"},
            {"from": {"field": f"meta.{SHORT}"}, "to": f"custom_attributes.{SHORT}2"},
        ],
        "duplicates": "skip",
        "qualification": {
            "attribute": f"custom_attributes.{SHORT}",
            "initial_value": SHORT,
            "target_values": [SHORT],
        },
    },
    ("syncs", "settings"): {
        "contacts": "segment",
        "segment_id": "s1",
        "mapping": [{"from": f"custom_attributes.{SHORT}", "to": f"meta.{SHORT}"}],
        "write_back": [],
        "schedule": "once",
    },
    ("observations", "value"): HOSTILE,
    ("qualifications", "value"): HOSTILE,
}


def _spoilt(table: Table, name: str) -> Any:
    if name in _NAMED and table.name not in _OURS and not table.c[name].primary_key:
        return HOSTILE
    return _SPOILT.get((table.name, name))


def test_whatever_others_are_called_nothing_runs_and_nothing_breaks(browser: Browser, folder: Path) -> None:
    found = []
    with world_in(folder, "spoilt", full=True) as world, served(world) as mara, seen_by(mara, browser) as page:
        spoil(world)
        page.set_viewport_size({"width": NARROW, "height": 900})
        page.on("dialog", lambda dialog: pytest.fail(f"{page.url}: {dialog.message}"))
        for address in pages(mara):
            page.goto(mara.address + address)
            unfold(page)
            assert page.evaluate("window.__pwned") is None, address
            assert page.locator("[onerror], [onload], [onfocus], a[href^='javascript:']").count() == 0, address
            assert "55433" not in page.content(), address
            found += [] if fits(page) else [address]
    assert not found, "these scroll sideways: " + ", ".join(found)
