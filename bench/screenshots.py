"""``python -m bench.screenshots``: pictures of the main pages, of a system that has been lived in for a month.

Everything runs on this machine for a minute, against the sandbox: people join, convert and are synced as always; only
for the overview, the times at which they did are spread over the month. The pictures go to ``docs/screenshots``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import delete, select, update

from app.storage.database import Database
from app.storage.tables import activity, activity_hours, count_marks, event_hours, events
from bench.browser import launched
from bench.system import ROOT, System
from local.seed import INTERCOM_APP

OWNER, PASSWORD = "olga@example.com", "a password for a picture"

REFERRERS = ("Rob Ito", "Maya Castro", "Elif Haddad", "Finn Eriksen", "Chloé Dubois")
FRIENDS = (
    *(("Ada Brown", "Brown & Co"), ("Ben Fischer", "Fischer Optik"), ("Dmitri Green", "Greenhouse")),
    *(("Grace Jensen", "Jensen Design"), ("Hana Ito", "Ito Ceramics"), ("Ines Castro", "Casa Castro")),
    *(("José Adams", "Adams Cycles"), ("Kai Eriksen", "Fjord Coffee"), ("Łucja Nowak", "Nowak Press")),
    *(("Noor Haddad", "Haddad Legal"), ("Otto Brandt", "Brandt Yoga"), ("Priya Shah", "Shah Analytics")),
    *(("Quentin Roy", "Roy Audio"), ("Rosa Lind", "Lind Florist"), ("Sami Virta", "Virta Energy")),
    *(("Tara Quinn", "Quinn Bakery"), ("Uma Patel", "Patel Travel"), ("Viktor Horn", "Horn Music")),
)
CUSTOMERS = 3
"""Of the friends, so many were in Intercom before."""

CONVERTED = 7
CONTACTS = 900


@dataclass(frozen=True, slots=True)
class Shot:
    """``shows`` is a selector of what has to be there, ``top`` one of what is to be on top, and ``tries`` an email to
    try settings on."""

    name: str
    path: str
    shows: str = "h1"
    top: str = ""
    tries: str = ""
    narrow: bool = False


CHARTS = "[data-chart=done-month] img"
OVERVIEW = (
    Shot("overview", "/", CHARTS),
    Shot("overview-charts", "/", CHARTS, top="#charts"),
    Shot("overview-phone", "/", CHARTS, top="#funnel", narrow=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "screenshots")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="referloop-screenshots-") as kept,
        _lived_in(Path(kept)) as system,
        sync_playwright() as playwright,
        closing(launched(playwright)) as browser,
    ):
        pages = {narrow: _signed_in(browser, system, narrow=narrow) for narrow in (False, True)}
        for shot in _shots(system):
            _take(pages[shot.narrow], system, shot, folder)
        _spread(system)
        # Browsers of their own again: charts are kept for some seconds.
        pages = {narrow: _signed_in(browser, system, narrow=narrow) for narrow in (False, True)}
        for shot in OVERVIEW:
            _take(pages[shot.narrow], system, shot, folder)
        _take(pages[False], system, Shot("sync", f"/syncs/{_sync(system)}", "#run-bar[value]"), folder)
    return 0


def _shots(system: System) -> list[Shot]:
    qualified, last = _email(FRIENDS[CUSTOMERS][0]), _email(FRIENDS[-1][0])
    person = system.items("/people", email=qualified)[0]["id"]
    return [
        Shot("connections", "/connections"),
        Shot("leads", "/campaigns/1/leads", "#preview table", top="#rows", tries=last),
        Shot("person", f"/people/{person}"),
        Shot("troubleshooter", f"/troubleshooter?question=not_qualified&email={_email('Ben Fischer')}"),
        Shot("person-phone", f"/people/{person}", narrow=True),
    ]


# A month of life


@contextmanager
def _lived_in(folder: Path) -> Iterator[System]:
    url = f"sqlite:///{folder / 'referloop.db'}"
    environ = {"ADMIN_EMAIL": OWNER, "ADMIN_PASSWORD": PASSWORD, "REFERRAL_FACTORY_CALLS_PER_MINUTE": "5700"}
    with System(folder, url, **environ) as system:
        system.environ["PUBLIC_URL"] = system.web
        system.start_all(index_delay=1)
        system.control("PUT", "/settings", {"referral_factory_calls_per_minute": 6000, "public_url": system.sandbox})
        _live(system)
        yield system


def _live(system: System) -> None:
    for name, _ in FRIENDS[:CUSTOMERS]:
        contact = {"role": "user", "external_id": name, "email": _email(name), "name": name}
        system.control("POST", f"/intercom/{INTERCOM_APP}/contacts", contact)
    system.control("POST", "/clock/advance", {"seconds": 5})  # to be found by a search
    for name in REFERRERS:
        system.control(
            "POST", "/referral-factory/sign-up", {"campaign_id": 1, "first_name": name, "email": _email(name)}
        )
    codes = [person["code"] for person in _people(system) if person["type"] == "person_referring"]
    for place, (name, company) in enumerate(FRIENDS):
        friend = {
            "code": codes[place % len(codes)],
            "first_name": name,
            "email": _email(name),
            "meta": {"Company": company},
        }
        system.control("POST", "/referral-factory/sign-up", friend)
    system.await_(lambda: len(_leads(system)) == len(FRIENDS) - CUSTOMERS and not system.waiting(), 90)
    converted = {name for name, _ in FRIENDS[CUSTOMERS : CUSTOMERS + CONVERTED]}
    for contact in [one for one in _leads(system) if one["name"] in converted]:
        change = {"custom_attributes": {"plan": "pro"}}
        system.control("PUT", f"/intercom/{INTERCOM_APP}/contacts/{contact['id']}", change)
    system.await_(lambda: sum(bool(one["qualified_at"]) for one in _people(system)) == CONVERTED, 90)
    system.await_(lambda: not system.waiting(), 60)


def _people(system: System) -> list[dict[str, object]]:
    (account,) = system.control("GET", "/state")["factory"]["accounts"]
    people: list[dict[str, object]] = account["people"]
    return people


def _leads(system: System) -> list[dict[str, object]]:
    contacts = system.control("GET", f"/intercom/{INTERCOM_APP}/contacts")["contacts"]
    return [contact for contact in contacts if contact["role"] == "lead"]


def _email(name: str) -> str:
    return f"{name.split()[0].lower().replace('é', 'e').replace('ł', 'l')}@example.com"


def _spread(system: System) -> None:
    """Over the last month, in the order in which all of it happened; it is counted anew."""
    chance, url = random.Random(7), system.environ["DATABASE_URL"]
    system.stop("worker")
    with closing(Database(url)) as database, database.writing() as connection:
        for table, times in ((activity, (activity.c.at,)), (events, (events.c.received_at, events.c.settled_at))):
            rows = connection.execute(select(table.c.id, *times).order_by(table.c.id)).all()
            for place, row in enumerate(rows):
                ago = timedelta(days=29) * (1 - (place + 1) / len(rows)) ** 2 + timedelta(
                    minutes=chance.randrange(50)
                )
                moved = {time.name: at - ago for time, at in zip(times, row[1:], strict=True) if at is not None}
                connection.execute(update(table).where(table.c.id == row.id).values(moved))
        for counted in (activity_hours, event_hours, count_marks):
            connection.execute(delete(counted))
    system.start("worker")
    system.await_(lambda: _is_counted(url), 60)


def _is_counted(url: str) -> bool:
    with closing(Database(url)) as database, database.reading() as connection:
        return connection.execute(select(activity_hours).limit(1)).first() is not None


def _sync(system: System) -> str:
    """One that is under way for as long as it takes to look at it."""
    system.control("POST", "/seed", {"app_id": INTERCOM_APP, "contacts": CONTACTS})
    system.control("PUT", "/settings", {"latency_ms": 80})
    settings = {
        "contacts": "all",
        "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
        "write_back": [{"from": "url", "to": "custom_attributes.Referral Link"}],
        "schedule": "once",
    }
    sync_id = str(system.api("POST", "/campaigns/1/syncs", settings)["id"])
    system.await_(lambda: system.api("GET", f"/syncs/{sync_id}")["progress"]["added"], 60)
    return sync_id


# Pictures


def _signed_in(browser: Browser, system: System, *, narrow: bool) -> Page:
    context = browser.new_context(
        viewport={"width": 390, "height": 844} if narrow else {"width": 1280, "height": 800},
        color_scheme="dark" if narrow else "light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(system.web)
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    return page


def _take(page: Page, system: System, shot: Shot, folder: Path) -> None:
    answer = page.goto(system.web + shot.path)
    assert answer is not None
    assert answer.ok, shot.path
    if shot.tries:
        page.locator("#person").fill(shot.tries)
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator("#preview", has_text=shot.tries).wait_for()
    page.locator(shot.shows).first.wait_for()
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    if shot.top:
        page.locator(shot.top).evaluate("one => scrollTo(0, one.getBoundingClientRect().top + scrollY - 16)")
    page.screenshot(path=folder / f"{shot.name}.png")
    print(folder / f"{shot.name}.png", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
