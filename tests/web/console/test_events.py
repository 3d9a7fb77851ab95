"""The pages of events: what waits, what was given up, what one of them said, and working on them again."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from app.core.causes import CATALOGUE, Cause
from app.storage.tables import audit_log, events
from tests.web.api.conftest import World, world
from tests.web.console.marketer import Marketer, plain
from tests.web.console.test_people import put

__all__ = ["world"]


@pytest.fixture
def mara(world: World) -> Marketer:
    world.campaign()
    return Marketer(world)


def listed(page: str) -> list[str]:
    return re.findall(r'data-event="(\d+)"', page)


def statuses(world: World) -> list[str]:
    with world.database.reading() as connection:
        return list(connection.execute(select(events.c.status).order_by(events.c.id)).scalars())


def audited(world: World) -> list[tuple[str, str, Any]]:
    with world.database.reading() as connection:
        rows = connection.execute(audit_log.select().where(audit_log.c.kind.like("event%")).order_by(audit_log.c.id))
        return [(row.kind, row.person, row.after) for row in rows]


class TestList:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["4", "3", "2", "1"]),
            ({"status": "dead"}, ["3", "2"]),
            ({"source": "intercom"}, ["4"]),
            ({"topic": "qualified"}, ["3"]),
            ({"cause": "internal_error"}, ["2"]),
            ({"cause": "internal_error", "status": "done"}, ["2"]),
            ({"status": "dead", "topic": "qualified", "source": "referral_factory"}, ["3"]),
            ({"status": "nonsense", "source": "x", "cause": "y"}, ["4", "3", "2", "1"]),
        ],
    )
    def test_it_is_filtered_newest_first(self, mara: Marketer, query: dict[str, str], found: list[str]) -> None:
        mara.world.event("a")
        mara.world.event("b", status="dead", cause="internal_error")
        mara.world.event("c", status="dead", cause="webhook_not_understood", topic="qualified")
        mara.world.event("d", status="done", source="intercom", topic="contact.user.updated")
        assert listed(mara.get(f"/events?{urlencode(query)}")) == found

    def test_numbers_by_status_lead_to_their_lists(self, mara: Marketer) -> None:
        for key, status in (("a", "dead"), ("b", "dead"), ("c", "received"), ("d", "done")):
            mara.world.event(key, status=status)
        page = mara.get("/events")
        cards = re.findall(r'data-status="(\w+)">.*?fw-semibold[^>]*>(\d+)<', page, re.S)
        assert cards == [("received", "1"), ("processing", "0"), ("retrying", "0"), ("dead", "2")]

    def test_each_says_whom_it_is_about_why_and_until_when(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7)
        due = mara.world.time + timedelta(minutes=5)
        columns: dict[str, Any] = {"status": "retrying", "cause": "intercom_unavailable", "attempts": 2}
        mara.world.event("a", person_key="key7", next_attempt_at=due, **columns)
        mara.world.event("c", status="received")
        mara.world.event("b", held_by="workspace:1", cause="workspace_disconnected")
        page = mara.get("/events")
        assert f'href="/people/{person_id}"' in page
        assert "Next attempt 22 Nov 2026, 12:05:00 UTC , after 2 attempts." in mara.words
        assert "Next attempt as soon as its turn comes." in mara.words
        assert "Waits for the Intercom workspace to be connected again" in mara.words
        assert CATALOGUE[Cause.INTERCOM_UNAVAILABLE].remedy in mara.words

    def test_page_by_page(self, mara: Marketer) -> None:
        for number in range(60):
            mara.world.event(f"k{number}", status="dead")
        page = mara.get("/events?status=dead")
        (older,) = re.findall(r'href="([^"]+)" rel="next"', page)
        assert listed(page) + listed(mara.get(older.replace("&amp;", "&"))) == [str(n) for n in range(60, 0, -1)]

    def test_empty(self, mara: Marketer) -> None:
        mara.get("/events")
        assert "Every webhook of Referral Factory and Intercom is listed here" in mara.words


class TestOne:
    def test_it_is_shown_with_what_was_sent_masked_and_escaped(self, mara: Marketer) -> None:
        sent = {"email": "lea@example.com", "name": "<script>alert(1)</script>", "access_token": "very-secret"}
        event_id = mara.world.event(
            "a",
            status="dead",
            cause="webhook_not_understood",
            error="No email.",
            payload=json.dumps(sent).encode(),
            campaign_id=1,
        )
        page = mara.get(f"/events/{event_id}")
        assert "very-secret" not in page
        assert "<script>alert" not in page
        assert '"email": "lea@example.com"' in mara.words
        assert CATALOGUE[Cause.WEBHOOK_NOT_UNDERSTOOD].remedy in mara.words
        assert "No email." in mara.words

    def test_what_came_of_it_and_for_whom(self, mara: Marketer) -> None:
        person_id = put(mara.world, 7, email="lea@example.com")
        event_id = mara.world.event("a", status="done", campaign_id=1)
        mara.world.activity(event_id=event_id)
        page = mara.get(f"/events/{event_id}")
        assert "Created in Intercom" in mara.words
        assert f'href="/people/{person_id}"' in page

    @pytest.mark.parametrize(
        "payload",
        [
            b"\xff\xfe not text",
            b'{"name": "\\ud800 half"}',
            b"[" * 5000,
            b"",
            '{"name": "\N{RIGHT-TO-LEFT OVERRIDE}\N{PARTY POPPER}"}'.encode(),
        ],
    )
    def test_whatever_was_sent_can_be_shown(self, mara: Marketer, payload: bytes) -> None:
        mara.get(f"/events/{mara.world.event('a', status='dead', payload=payload)}")
        assert "What was sent" in mara.words

    def test_what_is_huge_is_cut_and_shown_whole_on_demand(self, mara: Marketer) -> None:
        event_id = mara.world.event("a", payload=json.dumps({"x": "y" * 50_000}).encode())
        page = mara.get(f"/events/{event_id}")
        assert len(page) < 30_000
        assert "The first 10,000 of 50," in mara.words
        assert "y" * 50_000 in mara.get(f"/events/{event_id}?all=1")

    def test_a_content_that_was_not_kept(self, mara: Marketer) -> None:
        event_id = mara.world.event("a", status="done", cause="not_a_tracked_lead")
        with mara.world.database.writing() as connection:
            connection.execute(events.update().values(payload=None))
        mara.get(f"/events/{event_id}")
        assert "can’t be replayed" in mara.words
        mara.post(f"/events/{event_id}/replay", 303)
        assert "was not kept" in mara.words

    def test_there_is_no_such_event(self, mara: Marketer) -> None:
        mara.get("/events/77", 404)
        mara.post("/events/77/replay", 404)


class TestWorkingAgain:
    def test_one(self, mara: Marketer) -> None:
        event_id = mara.world.event("a", status="dead")
        mara.post(f"/events/{event_id}/replay", 303)
        assert mara.path == f"/events/{event_id}"
        assert statuses(mara.world) == ["received"]
        mara.post(f"/events/{event_id}/replay", 303)
        assert "without a replay" in mara.words

    def test_those_that_are_ticked(self, mara: Marketer) -> None:
        for key, status in (("a", "dead"), ("b", "dead"), ("c", "done"), ("d", "retrying")):
            mara.world.event(key, status=status)
        mara.post("/events/replay-chosen", 303, event=["1", "3", "4", "99", "x"], next="/events?status=dead")
        assert mara.path == "/events?status=dead"
        assert statuses(mara.world) == ["received", "dead", "received", "retrying"]
        assert "2 events are worked on again" in mara.words
        assert audited(mara.world) == [("events_replayed", "mara@example.com", {"events": [1, 3]})]

    def test_none_is_ticked(self, mara: Marketer) -> None:
        mara.post("/events/replay-chosen", 303)
        assert "Tick the events" in mara.words

    def test_too_many_at_once_are_refused(self, mara: Marketer) -> None:
        mara.post("/events/replay-chosen", 422, event=[str(number) for number in range(1, 300)])

    def test_all_of_a_filter_after_their_number_was_shown(self, mara: Marketer) -> None:
        for number in range(3):
            mara.world.event(f"a{number}", status="dead", cause="internal_error")
        mara.world.event("b", status="dead", cause="webhook_not_understood")
        page = mara.get("/events", cause="internal_error")
        assert "3 events are worked on again" in plain(page)
        (form,) = re.findall(r'<form method="post" action="/events/replay".*?</form>', page, re.S)
        filled = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
        mara.post(
            "/events/replay", 303, **{f"{name}_": value for name, value in filled.items() if name != "csrf_token"}
        )
        assert statuses(mara.world) == ["received"] * 3 + ["dead"]
        assert "3 events are worked on again" in mara.words

    def test_what_is_open_is_not_offered(self, mara: Marketer) -> None:
        mara.world.event("a")
        assert "Replay all" not in plain(mara.get("/events?status=received"))
        mara.post("/events/replay", 303, status_="received")
        assert "worked on without a replay" in mara.words

    def test_a_dead_one_is_dismissed(self, mara: Marketer) -> None:
        event_id = mara.world.event("a", status="dead", cause="internal_error")
        mara.post(f"/events/{event_id}/dismiss", 303)
        assert statuses(mara.world) == ["done"]
        mara.post(f"/events/{event_id}/dismiss", 303)
        assert "Only a dead one can be dismissed" in mara.words

    def test_it_leads_back_to_own_pages_only(self, mara: Marketer) -> None:
        event_id = mara.world.event("a", status="dead")
        mara.post(f"/events/{event_id}/replay", 303, next="//evil.example.com/")
        assert mara.path == "/"

    @pytest.mark.parametrize(
        "path", ["/events/1/replay", "/events/1/dismiss", "/events/replay", "/events/replay-chosen"]
    )
    def test_who_may_only_look_changes_nothing(self, world: World, path: str) -> None:
        world.campaign()
        world.event("a", status="dead")
        tom = Marketer(world, "tom@example.com", may_manage=False)
        page = tom.get("/events")
        main = page[page.index("<main") :]
        posted = re.findall(r'<form method="post".*?</form>', main, re.S)
        assert posted
        assert all("disabled" in form for form in posted)
        tom.post(path, 403, event="1")
        assert statuses(world) == ["dead"]
