"""The list of what was done for whom, by the filters of the API."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from app.core.causes import CATALOGUE, Cause
from tests.web.api.conftest import World, world
from tests.web.console.marketer import Marketer
from tests.web.console.test_people import LONG, put

__all__ = ["world"]


@pytest.fixture
def mara(world: World) -> Marketer:
    world.campaign()
    return Marketer(world)


def listed(page: str) -> list[str]:
    return re.findall(r'data-activity="(\d+)"', page)


class TestActivity:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["4", "3", "2", "1"]),
            ({"campaign_id": "2"}, ["4"]),
            ({"email": " Other@Example.com "}, ["2"]),
            ({"verb": "qualify"}, ["3"]),
            ({"outcome": "skipped"}, ["2"]),
            ({"cause": "duplicate_skipped"}, ["2"]),
            ({"since": "2026-11-23"}, ["4"]),
            ({"sync_id": "5"}, ["3"]),
            ({"outcome": "skipped", "verb": "qualify"}, []),
            ({"verb": "nonsense", "cause": "x", "outcome": "y", "campaign_id": "0"}, ["4", "3", "2", "1"]),
        ],
    )
    def test_it_is_filtered_newest_first(self, mara: Marketer, query: dict[str, str], found: list[str]) -> None:
        mara.world.activity()
        mara.world.activity(email="other@example.com", outcome="skipped", cause="duplicate_skipped")
        mara.world.activity(verb="qualify", outcome="qualified", sync_id=5)
        mara.world.activity(campaign_id=2, at=mara.world.time + timedelta(days=1))
        assert listed(mara.get("/activity", **query)) == found

    def test_a_row_leads_to_everything_it_is_about(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7, email="lea@example.com")
        mara.world.activity(
            outcome="skipped",
            cause="duplicate_skipped",
            event_id=3,
            fields=[{"to": "custom_attributes.Seats", "cause": "value_wrong_type"}],
        )
        page = mara.get("/activity")
        assert f'href="/people/{person_id}"' in page
        assert 'href="/events/3"' in page
        assert "app.intercom.com/a/apps/app1/users/c7/" in page
        assert "campaign_id=1&amp;email=lea%40example.com&amp;question=some_do_not_arrive" in page
        assert CATALOGUE[Cause.DUPLICATE_SKIPPED].remedy in mara.words
        assert CATALOGUE[Cause.VALUE_WRONG_TYPE].title in mara.words

    def test_what_was_done_has_no_why(self, mara: Marketer) -> None:
        mara.world.activity()
        assert "question=" not in mara.get("/activity")

    def test_a_day_that_is_none_is_told_at_its_field(self, mara: Marketer) -> None:
        mara.world.activity()
        page = mara.get("/activity", since="soon")
        assert 'aria-describedby="since-fault"' in page
        assert 'value="soon"' in page
        assert listed(page) == ["1"]

    def test_page_by_page_with_its_filter(self, mara: Marketer) -> None:
        for number in range(60):
            mara.world.activity(outcome="failed" if number % 2 else "created", detail=str(number))
        for _ in range(30):
            mara.world.activity(outcome="failed")
        page = mara.get("/activity", outcome="failed")
        (older,) = re.findall(r'href="([^"]+)" rel="next"', page)
        seen = listed(page) + listed(mara.get(older.replace("&amp;", "&")))
        assert seen == [str(number) for number in (*range(90, 60, -1), *range(60, 0, -2))]

    def test_a_broken_cursor_is_refused(self, mara: Marketer) -> None:
        mara.get("/activity", 422, cursor="nonsense")

    def test_empty_and_filtered_to_nothing(self, mara: Marketer) -> None:
        mara.get("/activity")
        assert "Nothing yet" in mara.words
        mara.get("/activity", verb="send")
        assert "Nothing fits the filter" in mara.words

    def test_names_of_all_kinds_are_harmless(self, mara: Marketer) -> None:
        mara.world.activity(email=None, code=LONG, detail=LONG, cause="internal_error", outcome="failed")
        page = mara.get("/activity")
        assert "<b>Zoë" not in page
        assert "n" * 700 not in page
