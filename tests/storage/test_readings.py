"""Readings as the database keeps them: one a program, one owner at a time, and nothing kept by who comes late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.storage import people, readings
from app.storage.people import PersonRecord
from app.storage.readings import Reading
from app.storage.tables import audience_readings
from app.storage.tables import people as people_rows
from tests.product import START, Product

LEASE = timedelta(seconds=90)
LATER = START + LEASE


def ask(product: Product, audience: str = "leads", seconds: int = 0) -> None:
    with product.database.writing() as connection:
        readings.ask(connection, product.campaign_id, audience, START + timedelta(seconds=seconds))


def take(product: Product, seconds: int = 0) -> Reading | None:
    with product.database.writing() as connection:
        return readings.take(connection, product.program_id, START + timedelta(seconds=seconds), LEASE)


def taken(product: Product, seconds: int = 0) -> Reading:
    found = take(product, seconds)
    assert found is not None
    return found


def due(product: Product, seconds: int = 0) -> list[int]:
    with product.database.reading() as connection:
        return readings.due(connection, START + timedelta(seconds=seconds))


def row(product: Product, audience: str = "leads") -> Any:
    with product.database.reading() as connection:
        return connection.execute(select(audience_readings).where(audience_readings.c.audience == audience)).one()


class TestTaking:
    def test_is_for_one_until_its_lease_is_over(self, product: Product) -> None:
        ask(product)
        assert due(product) == [product.program_id]
        first = taken(product)
        assert take(product) is None
        assert due(product, 89) == []
        assert due(product, 90) == [product.program_id]
        assert taken(product, 90) == first, "where it was"

    def test_is_for_one_of_many_at_once(self, product: Product) -> None:
        ask(product)
        with ThreadPoolExecutor(8) as workers:
            found = list(workers.map(lambda _: take(product), range(8)))
        assert sum(one is not None for one in found) == 1

    def test_names_the_audiences_that_waited(self, product: Product) -> None:
        ask(product)
        ask(product, "referrers", 5)
        (leads, referrers) = taken(product, 6).audiences
        assert (leads.campaign_id, leads.audience, leads.asked_at) == (product.campaign_id, "leads", START)
        assert (referrers.workspace_id, referrers.referral_factory_id) == (product.workspace_id, "1")

    def test_begins_nothing_for_nobody(self, product: Product) -> None:
        assert take(product) is None
        ask(product)
        assert take(product) is not None, "what was not begun stands in nobody's way"


class TestAsking:
    def test_twice_is_once(self, product: Product) -> None:
        ask(product)
        with product.database.writing() as connection:
            assert readings.end(connection, taken_in(product, connection), START)
        ask(product, seconds=60)
        assert (row(product).asked_at, row(product).ended_at) == (START, START)
        assert due(product, 60) == []

    def test_again_after_a_failure_is_of_the_same_moment(self, product: Product) -> None:
        ask(product)
        with product.database.writing() as connection:
            readings.end(connection, taken_in(product, connection), START, "cursor_repeated")
        assert row(product).cause == "cursor_repeated"
        ask(product, seconds=60)
        assert (row(product).asked_at, row(product).ended_at, row(product).cause) == (START, None, None)
        assert due(product, 60) == [product.program_id]


def taken_in(product: Product, connection: Any) -> Reading:
    found = readings.take(connection, product.program_id, START, LEASE)
    assert found is not None
    return found


class TestGoingOn:
    @pytest.mark.parametrize("late", ["go_on", "end"])
    def test_is_refused_to_who_comes_late(self, product: Product, late: str) -> None:
        ask(product)
        slow = taken(product)
        quick = taken(product, 90)
        with product.database.writing() as connection:
            assert readings.go_on(connection, quick, "2", LATER)
        with product.database.writing() as connection:
            if late == "go_on":
                assert not readings.go_on(connection, slow, "other", LATER)
            else:
                assert not readings.end(connection, slow, LATER)
            readings.put_off(connection, slow, LATER + LEASE, "rate_limited")
        now = taken(product, 90)
        assert (now.cursor, now.steps) == ("2", 1)
        assert row(product).ended_at is None

    def test_remembers_the_cursors(self, product: Product) -> None:
        ask(product)
        for cursor in ("a", "b", "c"):
            here = taken(product)
            assert not here.repeats(cursor)
            with product.database.writing() as connection:
                readings.go_on(connection, here, cursor, START)
        here = taken(product)
        assert [here.repeats(cursor) for cursor in ("a", "b", "c", "d")] == [True, True, True, False]

    def test_from_the_first_page_forgets_them(self, product: Product) -> None:
        ask(product)
        with product.database.writing() as connection:
            readings.go_on(connection, taken_in(product, connection), "a", START)
        slow = taken(product)
        with product.database.writing() as connection:
            readings.start_over(connection, slow, START, "referral_factory_refused")
        anew = taken(product)
        assert (anew.cursor, anew.seen, anew.repeats("a")) == (None, (), False)
        with product.database.writing() as connection:
            assert not readings.go_on(connection, slow, "b", START)

    def test_ends_only_what_it_served(self, product: Product) -> None:
        ask(product)
        here = taken(product)
        ask(product, "referrers")
        with product.database.writing() as connection:
            assert readings.end(connection, here, LATER)
        assert (row(product).ended_at, row(product, "referrers").ended_at) == (LATER, None)
        assert [one.audience for one in taken(product, 1).audiences] == ["referrers"]


class TestPeople:
    def record(self, product: Product, **changes: Any) -> PersonRecord:
        columns: dict[str, Any] = {
            "campaign_id": product.campaign_id,
            "audience": "leads",
            "workspace_id": product.workspace_id,
            "person_key": "anna",
            "referral_factory_id": "7",
            "code": None,
            "email": "anna@example.com",
            "first_name": None,
            "url": None,
            "values": {"source": "Direct"},
            "contact_id": None,
            "contact_role": None,
        }
        return PersonRecord(**{**columns, **changes})

    def saved(self, product: Product, kept: PersonRecord, seen: PersonRecord) -> Any:
        with product.database.writing() as connection:
            people.save(connection, [kept], START)
            people.save_read(connection, [seen], LATER)
            return connection.execute(select(people_rows)).one()

    @pytest.mark.parametrize("known_by", [{}, {"referral_factory_id": None}, {"email": None}])
    def test_are_marked_where_no_webhook_told_of_them(self, product: Product, known_by: dict[str, Any]) -> None:
        kept = self.record(product, values={"source": "?", "referrer.email": "rita@example.com"}, **known_by)
        row = self.saved(product, kept, self.record(product))
        assert (row.joined_before_setup, row.referral_factory_id) == (True, "7")
        assert row._mapping["values"] == {"source": "Direct", "referrer.email": "rita@example.com"}

    @pytest.mark.parametrize("told", [{"joined_before_setup": False}, {"sent_received_at": START}])
    def test_stay_as_they_are_where_one_did(self, product: Product, told: dict[str, Any]) -> None:
        row = self.saved(product, self.record(product, **told), self.record(product, values={}))
        assert not row.joined_before_setup
        assert (row._mapping["values"], row.updated_at) == ({"source": "Direct"}, START)

    def test_keep_their_mark_where_others_say_nothing_of_it(self, product: Product) -> None:
        with product.database.writing() as connection:
            people.save_read(connection, [self.record(product)], START)
            people.save(connection, [self.record(product, qualification_state="qualified")], LATER)
            row = connection.execute(select(people_rows)).one()
            assert (row.joined_before_setup, row.qualification_state) == (True, "qualified")
            people.save(connection, [self.record(product, joined_before_setup=False)], LATER)
            assert connection.execute(select(people_rows)).one().joined_before_setup is False

    def test_of_another_audience_or_campaign_are_others(self, product: Product) -> None:
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        with product.database.writing() as connection:
            people.save(connection, [self.record(product, sent_received_at=START)], START)
            found = [self.record(product, audience="referrers"), self.record(product, campaign_id=other)]
            assert people.save_read(connection, found, LATER) == 2
            assert people.save_read(connection, [], LATER) == 0
