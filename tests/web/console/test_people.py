"""The pages of people: found by whatever name, listed by filters, and one with all that happened and can be done."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from app.core.causes import CATALOGUE, Cause
from app.core.errors import Unavailable, Vendor
from app.storage import inbox, people
from app.storage.database import Database
from app.storage.people import PersonRecord
from app.storage.tables import erasures
from app.storage.tables import people as people_rows
from tests.product import Product
from tests.web.api.conftest import World, world
from tests.web.console.marketer import Marketer, plain

__all__ = ["world"]

LONG = "<b>Zoë</b> \N{RIGHT-TO-LEFT OVERRIDE}\N{PARTY POPPER} " + "n" * 10_000


@pytest.fixture
def mara(world: World) -> Marketer:
    world.campaign()
    return Marketer(world)


def put(world: World, number: int = 1, campaign_id: int = 1, **changes: Any) -> int:
    """Somebody known; their id."""
    columns: dict[str, Any] = {
        **dict.fromkeys(PersonRecord.__slots__[:12]),
        "campaign_id": campaign_id,
        "audience": "leads",
        "workspace_id": 1,
        "person_key": f"key{number}",
        "referral_factory_id": str(number),
        "code": f"code{number}",
        "email": f"n{number}@example.com",
        "first_name": f"Nora {number}",
        "values": {},
    }
    record = PersonRecord(**{**columns, **changes})
    with world.database.writing() as connection:
        people.save(connection, [record], world.time)
        found = people.ids_of(connection, [record])[0]
    assert found is not None
    return found


def listed(page: str) -> list[str]:
    return re.findall(r'data-person="(\d+)"', page)


class TestFinding:
    @pytest.mark.parametrize(
        "typed", ["n7@example.com", "  N7@Example.COM ", "n7 @example.com", "7", "code7", " c7 "]
    )
    def test_somebody_is_found_by_any_of_their_names(self, mara: Marketer, typed: str) -> None:
        put(mara.world, 8, contact_id="c8")
        person_id = put(mara.world, 7, contact_id="c7", contact_role="lead")
        mara.get("/people", 302, q=typed)
        assert mara.answer.headers["Location"].endswith(f"/people/{person_id}")

    def test_a_plus_that_an_address_turned_into_a_space_is_understood(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7, email="n+7@example.com")
        mara.get("/people?q=n+7@example.com", 302)
        assert mara.answer.headers["Location"].endswith(f"/people/{person_id}")

    def test_who_is_there_several_times_is_listed(self, mara: Marketer) -> None:
        ids = [put(mara.world, 7), put(mara.world, 8, audience="referrers", email="n7@example.com")]
        assert listed(mara.get("/people", q="n7@example.com")) == [str(one) for one in reversed(ids)]

    def test_nobody_found_says_what_it_may_mean_and_where_to_ask(self, mara: Marketer) -> None:
        page = mara.get("/people", q="who@example.com")
        assert "Nobody here is known as who@example.com" in mara.words
        assert "troubleshooter?campaign_id=1&amp;email=who%40example.com&amp;question=some_do_not_arrive" in page

    @pytest.mark.parametrize(
        "typed", ["\0", "'; DROP TABLE people", "%", LONG[:400], "@", "<script>alert(1)</script>"]
    )
    def test_whatever_is_typed_finds_nobody_and_breaks_nothing(self, mara: Marketer, typed: str) -> None:
        put(mara.world)
        page = mara.get("/people", q=typed)
        assert "<script>alert" not in page


class TestList:
    def test_newest_first_page_by_page_without_gaps(self, mara: Marketer) -> None:
        ids = [str(put(mara.world, number)) for number in range(1, 61)]
        page = mara.get("/people")
        seen = listed(page)
        (older,) = re.findall(r'href="([^"]+)" rel="next"', page)
        put(mara.world, 99)
        seen += listed(mara.get(older.replace("&amp;", "&")))
        assert seen == list(reversed(ids))

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["4", "3", "2", "1"]),
            ({"campaign_id": "1"}, ["3", "2", "1"]),
            ({"audience": "referrers"}, ["3"]),
            ({"state": "qualified"}, ["4", "2"]),
            ({"state": "qualified", "campaign_id": "1"}, ["2"]),
            ({"state": "closed"}, []),
            ({"audience": "nonsense", "state": "x", "campaign_id": "-1"}, ["4", "3", "2", "1"]),
        ],
    )
    def test_it_is_filtered(self, mara: Marketer, query: dict[str, str], found: list[str]) -> None:
        mara.world.campaign(workspace_id="1", program_id="1", referral_factory_id=2)
        put(mara.world, 1)
        put(mara.world, 2, qualification_state="qualified")
        put(mara.world, 3, audience="referrers")
        put(mara.world, 4, campaign_id=2, qualification_state="qualified")
        assert listed(mara.get("/people", **query)) == found

    def test_empty(self, mara: Marketer) -> None:
        mara.get("/people")
        assert "Nobody yet" in mara.words

    def test_names_of_all_kinds_are_harmless(self, mara: Marketer) -> None:
        person_id = put(mara.world, email=None, first_name=LONG)
        for path in ("/people", f"/people/{person_id}"):
            page = mara.get(path)
            assert "<b>Zoë" not in page
            assert "n" * 300 not in page


@pytest.fixture
def lived(database: Database) -> tuple[Product, Marketer]:
    """Vendors in memory, a campaign in work, and somebody who looks at it."""
    product = Product(database)
    here = World(database)
    here.app.extensions["referloop"] = product.services
    return product, Marketer(here)


def only_lead(product: Product) -> Any:
    return next(row for row in product.people() if row.audience == "leads")


class TestPerson:
    def test_a_life_is_told_in_one_order(self, lived: tuple[Product, Marketer]) -> None:
        product, mara = lived
        contact = product.watched()
        product.turns(contact, plan="trial")
        product.tell(product.intercom.contacts[contact.id])
        product.turns(contact, plan="pro")
        product.tell(product.intercom.contacts[contact.id])
        person = only_lead(product)
        page = mara.get(f"/people/{person.id}")
        kinds = re.findall(r'data-kind="(\w+)"', page)
        assert {"activity", "event", "seen", "watched", "called", "known"} <= set(kinds)
        words = mara.words
        assert words.index("Qualified in Referral Factory") < words.index("Created in Intercom")
        assert 'data-qualification="qualified"' in page
        assert "Lead 1" not in words
        assert f"/users/{contact.id}/all-conversations" in page
        times = re.findall(r'data-kind="\w+">.*?<time datetime="([^"]+)"', page, re.S)
        assert times == sorted(times, reverse=True)

    def test_what_did_not_happen_has_its_cause_and_a_why(self, lived: tuple[Product, Marketer]) -> None:
        product, mara = lived
        product.refer(Seats="many")
        product.work_until_idle()
        person = only_lead(product)
        page = mara.get(f"/people/{person.id}")
        assert CATALOGUE[Cause.VALUE_WRONG_TYPE].title in mara.words
        assert "question=attribute_not_updated" in page
        assert "attribute=custom_attributes.Seats" in page
        assert "question=not_qualified" in page

    def test_what_waits_says_since_when_and_until_when(self, lived: tuple[Product, Marketer]) -> None:
        product, mara = lived
        product.watched()
        person = only_lead(product)
        product.advance(60)
        product.receive_lead(id=person.referral_factory_id, code=person.code, Company="Other")
        page = mara.get(f"/people/{person.id}")
        assert "data-waiting" in page
        assert "Next attempt" in mara.words

    def test_a_dead_event_is_replayed_from_here(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        event_id = mara.world.event("a", status="dead", person_key="key7", cause="internal_error", campaign_id=1)
        page = mara.get(f"/people/{person_id}")
        assert "data-given-up" in page
        assert CATALOGUE[Cause.INTERNAL_ERROR].remedy in mara.words
        mara.post(f"/events/{event_id}/replay", 303, next=f"/people/{person_id}")
        assert mara.path == f"/people/{person_id}"
        assert "It is worked on again" in mara.words
        assert "data-given-up" not in mara.text
        assert "Event replayed by mara@example.com" in mara.words

    def test_all_their_records_are_named(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7, contact_id="c7")
        as_referrer = put(mara.world, 8, audience="referrers", email="n7@example.com")
        as_contact = put(mara.world, 9, contact_id="c7")
        put(mara.world, 10)
        page = mara.get(f"/people/{person_id}")
        elsewhere = page[page.index('id="others"') : page.index('id="timeline"')]
        assert re.findall(r"/people/(\d+)", elsewhere) == [str(as_contact), str(as_referrer)]

    @pytest.mark.parametrize(
        ("cause", "words"),
        [
            ("contact_archived", "Archived"),
            ("contact_deleted", "Deleted"),
            ("contact_merged", "Merged into another contact"),
        ],
    )
    def test_what_became_of_the_contact_is_said(self, mara: Marketer, cause: str, words: str) -> None:
        person_id = put(mara.world, 7, contact_id="c7", contact_role="lead", qualification_cause=cause)
        page = mara.get(f"/people/{person_id}")
        assert words in plain(page[page.index("data-intercom") :])

    def test_a_contact_that_was_left_alone_is_named(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        mara.world.activity(
            email="n7@example.com", outcome="skipped", cause="duplicate_skipped", contact_id="c9", contact_role="user"
        )
        mara.get(f"/people/{person_id}")
        assert "A contact was there before, and was left as it is: User c9" in mara.words

    def test_a_long_timeline_is_paged_without_gaps(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        for number in range(120):
            at = mara.world.time + timedelta(minutes=number)
            mara.world.activity(email="n7@example.com", at=at, detail=f"deed-{number:03d}.")
        seen: list[str] = []
        path: str | None = f"/people/{person_id}"
        while path:
            page = mara.get(path)
            seen += re.findall(r"deed-\d+", page)
            following = re.search(r'href="([^"]+)" rel="next"', page)
            path = following[1].replace("&amp;", "&").partition("#")[0] if following else None
        assert seen == [f"deed-{number:03d}" for number in reversed(range(120))]
        assert "We heard of them first" in mara.words

    @pytest.mark.parametrize("cursor", ["x", "WzFd", "WyIxIiwgIngiXQ", "WyIwIiwgIjIwMjYtMDEtMDEiXQ"])
    def test_a_broken_cursor_is_refused(self, mara: Marketer, cursor: str) -> None:
        mara.get(f"/people/{put(mara.world)}", 422, cursor=cursor)

    def test_there_is_no_such_person(self, mara: Marketer) -> None:
        mara.get("/people/77", 404)

    def test_a_link_that_is_none_is_not_one(self, mara: Marketer) -> None:
        page = mara.get(f"/people/{put(mara.world, url='javascript:alert(1)')}")
        assert 'href="javascript' not in page


class TestByHand:
    def test_qualifying_is_asked_twice_and_done_at_once(self, lived: tuple[Product, Marketer]) -> None:
        product, mara = lived
        product.watched()
        person = only_lead(product)
        page = mara.get(f"/people/{person.id}")
        assert "It may then issue a reward" in plain(page[page.index('<details class="danger">') :])
        mara.post(f"/people/{person.id}/qualify", 303)
        assert product.standing() == [("qualified", None)]
        assert "they are qualified in Referral Factory too" in mara.words
        assert "By hand: mara@example.com" in mara.words
        mara.post(f"/people/{person.id}/disqualify", 303)
        assert product.standing() == [("disqualified", None)]

    def test_a_vendor_that_is_away_is_told_on_the_page(self, lived: tuple[Product, Marketer]) -> None:
        product, mara = lived
        product.watched()
        product.referral_factory.fail("user", Unavailable(Vendor.REFERRAL_FACTORY, "No answer.", sent=False))
        product.referral_factory.fail("qualify", Unavailable(Vendor.REFERRAL_FACTORY, "No answer.", sent=False))
        mara.post(f"/people/{only_lead(product).id}/qualify", 303)
        assert CATALOGUE[Cause.REFERRAL_FACTORY_UNAVAILABLE].title in mara.words
        assert [state for state, _ in product.standing()] == ["open"]

    def test_a_referrer_is_not_qualified(self, mara: Marketer) -> None:
        person_id = put(mara.world, audience="referrers")
        assert "Qualify by hand" not in plain(mara.get(f"/people/{person_id}"))
        mara.post(f"/people/{person_id}/qualify", 303)
        assert CATALOGUE[Cause.ONLY_LEADS_QUALIFY].title in mara.words

    def test_erasing_says_what_goes_and_what_stays(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        mara.world.activity(email="n7@example.com")
        mara.get(f"/people/{person_id}")
        assert "Intercom and Referral Factory are not touched" in mara.words
        mara.post(f"/people/{person_id}/erase", 303)
        assert mara.path == "/people"
        assert "Erased." in mara.words
        with mara.world.database.reading() as connection:
            assert connection.execute(people_rows.select()).all() == []
            assert connection.execute(erasures.select()).one().actor == "mara@example.com"
        mara.get(f"/people/{person_id}", 404)

    def test_one_who_is_being_worked_on_is_not_erased(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        with mara.world.database.writing() as connection:
            inbox.lease_people(connection, {"key7"}, "somebody", mara.world.time, timedelta(seconds=60))
        mara.post(f"/people/{person_id}/erase", 303)
        assert "Somebody is at work on this person" in mara.words

    @pytest.mark.parametrize("do", ["qualify", "disqualify", "erase"])
    def test_who_may_only_look_changes_nothing(self, world: World, do: str) -> None:
        world.campaign()
        person_id = put(world)
        tom = Marketer(world, "tom@example.com", may_manage=False)
        page = tom.get(f"/people/{person_id}")
        main = page[page.index("<main") :]
        assert all("disabled" in button for button in re.findall(r"<button[^>]*>", main))
        tom.post(f"/people/{person_id}/{do}", 403)
        with world.database.reading() as connection:
            assert len(connection.execute(people_rows.select()).all()) == 1
