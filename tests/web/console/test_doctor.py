"""The page of the check of the whole: the same checks as on the terminal, grouped, with what mends them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis.system import Area
from app.core.errors import Unavailable, Vendor
from app.storage import campaigns, event_list, heard, schedules
from app.storage.database import Database
from app.usecases.check_everything import check_everything
from app.web.console.doctor import AREAS
from tests.product import Product
from tests.usecases.troubles import TROUBLES, hear, segment_gone
from tests.web.api.conftest import World
from tests.web.console.marketer import Marketer

NASTY = "<script>alert(1)</script> \"quoted\" & 'so' \u202eשלום 🎉"


@pytest.fixture
def mara(product: Product) -> Marketer:
    """A worker runs, Redis answers, and webhooks have come."""
    hear(product, "joined")
    with product.database.writing() as connection:
        heard.note(connection, [(heard.workspace_scope(product.workspace_id), "contact.user.updated", product.time)])
        schedules.take_turn(connection, "sweep", product.time, product.time)
    return signed_in(product)


def signed_in(product: Product, *, may_manage: bool = True) -> Marketer:
    world = World(product.database)
    world.app.extensions["referloop"] = product.services
    world.app.extensions["referloop.redis_answers"] = lambda: True
    return Marketer(world, may_manage=may_manage)


def causes(page: str) -> list[str]:
    """But the clock's: the test's is not the database's."""
    return [one for one in re.findall(r'data-check="[^"]*" data-cause="(\w+)"', page) if one != Cause.CLOCK_DIFFERS]


def test_every_area_has_its_words_in_order() -> None:
    assert list(AREAS) == list(Area)


def test_what_is_well_is_listed_by_what_was_looked_at(mara: Marketer) -> None:
    page = mara.get("/check")
    assert causes(page) == []
    titles = re.findall(r'id="area-(\w+)"', page)
    assert titles == [area for area in Area if area in titles]
    assert {"connections", "webhooks", "mappings", "rules", "queue"} <= set(titles)
    assert "A worker runs." in mara.words


def test_the_same_is_told_as_on_the_terminal(product: Product, mara: Marketer) -> None:
    TROUBLES["has no name"].happens(product)
    segment_gone(product)
    told = {one.id for one in check_everything(product.services, lambda: True)}
    assert set(re.findall(r'data-check="([^"]*)"', mara.get("/check"))) == told


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("token lost", "/workspaces/1#token-title"),
        ("program lost", "/programs/1#token-title"),
        ("permission missing", "/workspaces/1#token-title"),
        ("option renamed", None),
        ("segment gone", "/syncs/1"),
        ("not understood", None),
        ("no webhook comes", None),
    ],
)
def test_what_is_amiss_is_told_with_its_remedy(product: Product, mara: Marketer, name: str, link: str | None) -> None:
    TROUBLES[name].happens(product)
    page = mara.get("/check")
    assert TROUBLES[name].cause in causes(page)
    assert CATALOGUE[TROUBLES[name].cause].remedy in mara.words
    assert "a look." in mara.words
    assert link is None or f'href="{link}"' in page


def test_what_was_given_up_is_replayed_from_here(product: Product, mara: Marketer) -> None:
    TROUBLES["not understood"].happens(product)
    mara.get("/check")
    mara.send(303, form=0)
    assert mara.path == "/check"
    assert "worked on again" in mara.words
    with product.database.reading() as connection:
        counts = event_list.counts_by_status(connection)
    assert "dead" not in {status for status, number in counts.items() if number}


def test_attributes_are_refreshed_and_the_rule_is_well_again(product: Product, mara: Marketer) -> None:
    TROUBLES["option renamed"].happens(product)
    product.change(qualification={"attribute": "custom_attributes.plan", "target_values": ["professional"]})
    mara.get("/check")
    assert Cause.VALUE_NOT_AN_OPTION not in causes(mara.text)


def test_a_vendor_that_does_not_answer_is_a_finding(product: Product, mara: Marketer) -> None:
    product.intercom.fail("me", Unavailable(Vendor.INTERCOM, "Intercom did not answer in time."))
    page = mara.get("/check")
    assert Cause.INTERCOM_UNAVAILABLE in causes(page)
    assert "Intercom did not answer in time." in mara.words


def test_names_are_harmless(product: Product, mara: Marketer) -> None:
    with product.database.writing() as connection:
        campaigns.change(connection, 1, name=NASTY)
    TROUBLES["option renamed"].happens(product)
    assert "<script>alert" not in mara.get("/check")
    assert NASTY in mara.words


def test_nothing_connected_is_no_problem(database: Database) -> None:
    mara = Marketer(World(database))
    mara.get("/check")
    assert "Nothing is connected yet." in mara.words


def test_without_the_right_the_buttons_are_disabled_and_refused(product: Product) -> None:
    TROUBLES["not understood"].happens(product)
    tom = signed_in(product, may_manage=False)
    page = tom.get("/check")
    assert re.search(r'btn-outline-primary" disabled>Replay', page)
    tom.post("/check", 403, do="replay_events", cause=Cause.WEBHOOK_NOT_UNDERSTOOD.value)


def test_both_pages_are_in_the_navigation(mara: Marketer) -> None:
    page = mara.get("/check")
    for url in ("/troubleshooter", "/check"):
        assert re.search(rf'<a class="nav-link[^"]*" href="{url}"', page)
    assert re.search(r'active" href="/check"\s+aria-current="page"', page)


def test_a_worker_that_is_behind_is_told(product: Product, mara: Marketer) -> None:
    product.time += timedelta(minutes=5)
    assert Cause.NO_WORKER_RUNS in causes(mara.get("/check"))
