"""The pages of runs: all of them, and one with how far it is, what can be asked of it and what became of each."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest

from app.core.causes import CATALOGUE
from app.storage import campaigns, people, sync_outcomes, syncs
from app.storage.people import PersonRecord
from app.storage.sync_outcomes import SyncOutcome
from app.web.console.run_words import time_left
from tests.web.api.conftest import World, segments, world
from tests.web.console.marketer import Marketer, plain
from tests.web.console.test_sync_wizard import MAPPED, NASTY

__all__ = ["world"]


@pytest.fixture
def mara(world: World) -> Marketer:
    world.intercom.segment_list = segments(3)
    world.campaign()
    return Marketer(world)


def run(world: World, campaign_id: int = 1, **columns: Any) -> int:
    """A run as a worker has left it."""
    settings = {**MAPPED, "segment_id": None, "notify": False, **columns.pop("settings", {})}
    made: dict[str, Any] = {
        "kind": "sync",
        "audience": "referrers",
        "dry_run": False,
        "created_by": "mara@example.com",
    }
    at_first = {name: columns.pop(name) for name in list(made) if name in columns}
    with world.database.writing() as connection:
        sync_id = syncs.add(
            connection,
            world.time,
            **{**made, **at_first},
            campaign_id=campaign_id,
            workspace_id=1,
            program_id=1,
            settings={} if at_first.get("kind") == "backfill" else settings,
        )
        if columns:
            syncs.change(connection, sync_id, ["queued"], **columns)
    return sync_id


def put(world: World, sync_id: int, *outcomes: SyncOutcome) -> None:
    with world.database.writing() as connection:
        sync_outcomes.save(connection, outcomes, world.time)


def became(sync_id: int, number: int, outcome: str = "added", **more: Any) -> SyncOutcome:
    return SyncOutcome(sync_id, f"c{number}", outcome, **{"email": f"n{number}@example.com", **more})


def shown(page: str) -> list[str]:
    """The emails of the table, in order."""
    table = page[page.index('aria-label="Outcomes"') :] if 'aria-label="Outcomes"' in page else ""
    return re.findall(r"n\d+@example\.com", plain(table.partition("</table>")[0]))


class TestAll:
    def test_what_runs_what_watches_and_what_ended(self, mara: Marketer) -> None:
        later = mara.world.time + timedelta(minutes=10)
        run(mara.world, state="completed", finished_at=mara.world.time, looked_at=1_200, total=1_200, added=1_000)
        run(mara.world, state="watching", due_at=later, settings={"schedule": "ongoing"})
        run(
            mara.world,
            state="running",
            look=1,
            total=5_000,
            looked_at=50,
            settings={"contacts": "segment", "segment_id": "s001"},
        )
        run(mara.world, kind="backfill", audience="leads", dry_run=True)
        mara.get("/syncs")
        assert "Backfill 4 Dry run Waits for its turn Leads who joined before the setup Summer referral" in mara.words
        assert "Sync 3 Running Segment Segment 001 Summer referral 50 of 5,000 0" in mara.words
        assert "Sync 2 Watching Only Users Ongoing Summer referral" in mara.words
        assert "Looks again 22 Nov 2026, 12:10:00 UTC" in mara.words
        assert "Sync 1 Completed Only Users Summer referral 1,200 of 1,200 1,000" in mara.words
        assert "Ended 22 Nov 2026, 12:00:00 UTC" in mara.words

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, [5, 4, 3, 2, 1]),
            ({"campaign_id": "2"}, [5]),
            ({"state": "paused"}, [4]),
            ({"kind": "backfill"}, [3]),
            ({"campaign_id": "1", "kind": "sync", "state": "queued"}, [1]),
            ({"campaign_id": "nonsense", "state": "nonsense", "kind": "nonsense"}, [5, 4, 3, 2, 1]),
            ({"state": "failed"}, []),
        ],
    )
    def test_filters(self, mara: Marketer, query: dict[str, str], found: list[int]) -> None:
        mara.world.campaign(workspace_id="1", program_id="1", referral_factory_id=2)
        run(mara.world)
        run(mara.world, state="watching")
        run(mara.world, kind="backfill")
        run(mara.world, state="paused")
        run(mara.world, campaign_id=2)
        page = mara.get("/syncs", **query)
        assert [int(one) for one in re.findall(r'<th scope="row"[^>]*><a href="/syncs/(\d+)"', page)] == found
        if not found:
            assert "No sync or backfill fits the filter." in mara.words

    def test_page_by_page(self, mara: Marketer) -> None:
        for _ in range(53):
            run(mara.world, state="completed")
        page = mara.get("/syncs", state="completed")
        older = re.search(r'href="([^"]+)" rel="next"', page)
        assert older
        rest = mara.get(older[1].replace("&amp;", "&"))
        assert re.findall(r'<th scope="row"[^>]*><a href="/syncs/(\d+)"', rest) == ["3", "2", "1"]
        assert 'rel="next"' not in rest

    def test_a_cursor_that_is_none_is_refused_in_words(self, mara: Marketer) -> None:
        mara.get("/syncs", 422, cursor="nonsense")

    def test_nothing_yet(self, mara: Marketer) -> None:
        page = mara.get("/syncs")
        assert "No sync yet" in mara.words
        assert 'href="/campaigns/1/sync"' in page

    def test_a_new_one_is_for_one_campaign(self, mara: Marketer) -> None:
        mara.world.campaign(workspace_id="1", program_id="1", referral_factory_id=2)
        page = mara.get("/syncs")
        assert re.findall(r'href="(/campaigns/\d/sync)"', page) == ["/campaigns/1/sync", "/campaigns/2/sync"]
        page = mara.get("/syncs", campaign_id=2)
        assert re.findall(r'href="(/campaigns/\d/sync)"', page) == ["/campaigns/2/sync"]


class TestOne:
    def test_how_far_it_is(self, mara: Marketer) -> None:
        counts = {"looked_at": 150, "added": 100, "existing": 20, "skipped": 25, "failed": 5, "written_back": 120}
        run(mara.world, state="running", look=1, started_at=mara.world.time, total=1000, busy_seconds=15.0, **counts)
        page = mara.get("/syncs/1")
        assert '<progress id="run-bar" max="1000" value="150">' in page
        assert "150 of 1,000 contacts looked at (15 %)" in mara.words
        assert "About 2 minutes left." in mara.words or "About 1 minute left." in mara.words
        assert "Added 100 Already in the campaign 20 Updated 0 Skipped 25 Failed 5 Written back 120" in mara.words

    @pytest.mark.parametrize(
        ("state", "asks"),
        [
            ("queued", {"pause", "cancel"}),
            ("running", {"pause", "cancel"}),
            ("watching", {"pause", "cancel", "run"}),
            ("paused", {"resume", "cancel"}),
            ("completed", set()),
            ("cancelled", set()),
            ("failed", set()),
        ],
    )
    def test_what_can_be_asked_of_it(self, mara: Marketer, state: str, asks: set[str]) -> None:
        run(mara.world, state=state)
        page = mara.get("/syncs/1")
        assert set(re.findall(r'action="/syncs/1/(\w+)"', page)) == asks

    def test_a_list_that_repeated_can_be_resumed(self, mara: Marketer) -> None:
        run(
            mara.world,
            state="failed",
            cause="cursor_repeated",
            started_at=mara.world.time,
            finished_at=mara.world.time,
        )
        mara.get("/syncs/1")
        assert CATALOGUE["cursor_repeated"].remedy in mara.words
        mara.post("/syncs/1/resume")
        assert "It goes on where it stopped." in mara.words

    @pytest.mark.parametrize(
        ("do", "before", "after", "said"),
        [
            ("pause", "running", "paused", "Paused. It goes on where it stopped"),
            ("resume", "paused", "queued", "It goes on where it stopped."),
            ("cancel", "running", "cancelled", "Cancelled. Who was added stays."),
            ("run", "watching", "watching", "It looks now."),
        ],
    )
    def test_it_is_done_and_said(self, mara: Marketer, do: str, before: str, after: str, said: str) -> None:
        run(mara.world, state=before)
        mara.post(f"/syncs/1/{do}")
        with mara.world.database.reading() as connection:
            row = syncs.get(connection, 1)
        assert row is not None
        assert (row.state, said in mara.words) == (after, True)

    def test_what_came_too_late_is_said_and_changes_nothing(self, mara: Marketer) -> None:
        run(mara.world, state="completed")
        mara.post("/syncs/1/pause")
        assert "This sync is completed, so it can't be paused." in mara.words
        mara.post("/syncs/1/dance", 404)
        mara.post("/syncs/9/pause", 404)
        mara.get("/syncs/9", 404)

    def test_to_cancel_is_asked_twice_and_says_what_stays(self, mara: Marketer) -> None:
        run(mara.world, settings={"schedule": "ongoing"})
        page = mara.get("/syncs/1")
        inside = re.search(r'(?s)<details class="danger">(.*?)</details>', page)
        assert inside
        assert 'action="/syncs/1/cancel"' in inside[1]
        assert "looks no more for new contacts" in plain(inside[1])
        assert "Who was added stays in the campaign" in plain(inside[1])

    @pytest.mark.parametrize("state", ["queued", "running", "watching", "paused", "completed"])
    def test_it_looks_again_while_something_goes_on(self, mara: Marketer, state: str) -> None:
        run(mara.world, state=state)
        page = mara.get("/syncs/1")
        every = {"queued": "2000", "running": "2000", "watching": "15000"}.get(state)
        assert re.findall(r'data-refresh="/syncs/1/progress" data-every="(\d+)"', page) == ([every] if every else [])
        assert ('http-equiv="refresh"' in page) is (state in ("queued", "running"))

    def test_the_part_that_is_asked_for_again_stands_by_itself(self, mara: Marketer) -> None:
        run(mara.world, state="running", look=1, total=10, looked_at=5)
        part = mara.get("/syncs/1/progress")
        assert 'id="progress-part"' in part
        assert 'id="run-controls" data-is="running"' in part
        assert "<table" not in part
        assert "5 of 10 contacts looked at (50 %)" in mara.words

    def test_a_screen_reader_is_told_of_states_not_of_numbers(self, mara: Marketer) -> None:
        run(mara.world, state="paused", cause="intercom_unavailable")
        page = mara.get("/syncs/1")
        assert 'role="status" id="run-said"' in page
        said = re.search(r'(?s)data-said-by="run-said" hidden>(.*?)</p>', page)
        assert said
        assert plain(said[1]) == f"The sync is paused. {CATALOGUE['intercom_unavailable'].title}."

    def test_why_it_waits_and_what_to_do(self, mara: Marketer) -> None:
        run(mara.world, state="running", cause="intercom_unauthorized", due_at=mara.world.time + timedelta(minutes=1))
        mara.get("/syncs/1")
        assert CATALOGUE["intercom_unauthorized"].title in mara.words
        assert CATALOGUE["intercom_unauthorized"].remedy in mara.words

    @pytest.mark.parametrize(
        ("where", "cause"),
        [("/workspaces/1", "workspace_disconnected"), ("/programs/1", "referral_factory_unauthorized")],
    )
    def test_it_says_so_where_a_lost_connection_keeps_it(self, mara: Marketer, where: str, cause: str) -> None:
        run(mara.world, state="running", look=1, total=100, looked_at=1, busy_seconds=1.0)
        mara.get("/syncs/1")
        assert "left." in mara.words.partition("contacts looked at")[0]
        mara.world.delete(where)
        mara.get("/syncs/1")
        assert CATALOGUE[cause].remedy in mara.words
        assert "left." not in mara.words.partition("contacts looked at")[0]

    def test_without_a_total_the_bar_says_that_it_is_not_known(self, mara: Marketer) -> None:
        run(mara.world, state="running", look=1)
        page = mara.get("/syncs/1")
        assert '<progress id="run-bar"></progress>' in page
        assert "How many there are is not known yet." in mara.words

    def test_of_later_looks_no_end_is_foretold(self, mara: Marketer) -> None:
        run(mara.world, state="running", look=3, total=100, looked_at=130, busy_seconds=9.0)
        assert "<progress" not in mara.get("/syncs/1")
        assert "130 contacts looked at, in 3 looks." in mara.words
        assert "left" not in mara.words.partition("What became")[0]

    def test_when_it_looks_next(self, mara: Marketer) -> None:
        run(
            mara.world, state="watching", due_at=mara.world.time + timedelta(minutes=15), look=1, total=3, looked_at=3
        )
        mara.get("/syncs/1")
        assert "Looks again: 22 Nov 2026, 12:15:00 UTC" in mara.words

    def test_a_dry_run_that_is_done_leads_to_the_real_one(self, mara: Marketer) -> None:
        run(mara.world, state="completed", dry_run=True, total=3, looked_at=3, added=2, skipped=1)
        mara.get("/syncs/1")
        assert "Would be added 2" in mara.words
        assert "Start the sync" in mara.words
        mara.send()
        assert mara.path == "/syncs/2"

    def test_a_teammate_without_the_right_can_press_nothing(self, mara: Marketer) -> None:
        run(mara.world, state="watching")
        timo = Marketer(mara.world, "timo@example.com", may_manage=False)
        page = timo.get("/syncs/1")
        for form in re.findall(r'(?s)<form method="post" action="/syncs.*?</form>', page):
            assert re.search(r"<button[^>]* disabled", form)
        timo.post("/syncs/1/pause", 403)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0, "less than a minute left"),
            (59, "less than a minute left"),
            (60, "about 1 minute left"),
            (150, "about 2 minutes left"),
            (3_599, "about 60 minutes left"),
            (3_600, "about 1 hour left"),
            (40_000, "about 11 hours left"),
            (400_000, "about 5 days left"),
        ],
    )
    def test_an_estimate_as_somebody_would_say_it(self, seconds: int, words: str) -> None:
        assert time_left(seconds) == words


class TestOutcomes:
    @pytest.fixture
    def ended(self, mara: Marketer) -> Marketer:
        run(mara.world, state="completed")
        put(
            mara.world,
            1,
            became(1, 1, contact_id="c1"),
            became(1, 2, "existing", cause="already_in_campaign"),
            became(1, 3, "skipped", cause="blank_mapped_value", detail="custom_attributes.Company"),
            became(1, 4, "skipped", cause="user_limit_reached"),
            became(1, 5, "pending"),
            became(1, 6, "failed", cause="referral_factory_refused", detail="The email is taken."),
        )
        return mara

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, [1, 2, 3, 4, 6]),
            ({"outcome": "skipped"}, [3, 4]),
            ({"cause": "user_limit_reached"}, [4]),
            ({"outcome": "added", "cause": "user_limit_reached"}, []),
            ({"email": "  N2@Example.com "}, [2]),
            ({"email": "nobody@example.com"}, []),
            ({"outcome": "nonsense", "cause": "nonsense"}, [1, 2, 3, 4, 6]),
        ],
    )
    def test_filters(self, ended: Marketer, query: dict[str, str], found: list[int]) -> None:
        page = ended.get("/syncs/1", **query)
        assert list(dict.fromkeys(shown(page))) == [f"n{number}@example.com" for number in found]

    def test_the_causes_to_choose_are_those_that_there_are(self, ended: Marketer) -> None:
        page = ended.get("/syncs/1")
        select = re.search(r'(?s)<select[^>]*name="cause">(.*?)</select>', page)
        assert select
        assert re.findall(r'value="(\w+)"', select[1]) == [
            "already_in_campaign",
            "blank_mapped_value",
            "referral_factory_refused",
            "user_limit_reached",
        ]

    def test_each_has_its_cause_in_words_with_the_attribute(self, ended: Marketer) -> None:
        ended.get("/syncs/1", outcome="skipped")
        assert CATALOGUE["blank_mapped_value"].explanation in ended.words
        assert "custom_attributes.Company" in ended.words

    def test_page_by_page_under_a_filter(self, mara: Marketer) -> None:
        run(mara.world, state="completed")
        put(mara.world, 1, *(became(1, n, "added" if n % 2 else "skipped") for n in range(120)))
        page = mara.get("/syncs/1", outcome="added")
        following = re.search(r'href="([^"]+)" rel="next"', page)
        assert following
        rest = mara.get(following[1].replace("&amp;", "&").partition("#")[0])
        first, second = set(shown(page)), set(shown(rest))
        assert (len(first), len(second)) == (50, 10)
        assert first | second == {f"n{n}@example.com" for n in range(1, 120, 2)}

    def test_each_leads_to_the_contact_in_intercom(self, ended: Marketer) -> None:
        page = ended.get("/syncs/1", outcome="added")
        assert 'href="https://app.intercom.com/a/apps/app1/users/c1/all-conversations"' in page

    def test_and_to_the_person_where_there_is_such_a_page(self, ended: Marketer) -> None:
        columns: dict[str, Any] = dict.fromkeys(PersonRecord.__slots__[:12])
        known = {
            "campaign_id": 1,
            "audience": "referrers",
            "workspace_id": 1,
            "email": "n1@example.com",
            "values": {},
        }
        with ended.world.database.writing() as connection:
            people.save(connection, [PersonRecord(**{**columns, **known})], ended.world.time)
        put(ended.world, 1, became(1, 1, person_id=1))
        page = ended.get("/syncs/1", outcome="added")
        there = "console.people.shown" in ended.world.app.view_functions
        assert ('href="/people/1"' in page) is there

    def test_the_file_has_what_the_filter_left_and_runs_nothing(self, ended: Marketer) -> None:
        for number, sign in enumerate("=+-@\t\r", 10):
            put(ended.world, 1, became(1, number, "failed", email=f"{sign}cmd|' /C calc'!A0"))
        ended.get("/syncs/1", outcome="failed")
        link = re.search(r'href="([^"]+outcomes\.csv[^"]*)"', ended.text)
        assert link
        text = ended.get(link[1].replace("&amp;", "&"))
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["email"] for row in rows[:1]] == ["n6@example.com"]
        assert len(rows) == 7
        assert all(row["email"].startswith("'") for row in rows[1:])
        assert ended.answer.headers["Content-Disposition"] == 'attachment; filename="sync-1-outcomes.csv"'
        assert ended.answer.content_type == "text/csv; charset=utf-8"

    @pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
    def test_names_and_details_do_nothing(self, mara: Marketer, name: str) -> None:
        run(mara.world, state="failed", created_by=name)
        put(mara.world, 1, became(1, 1, "failed", email=name[:300], detail=name, cause="referral_factory_refused"))
        with mara.world.database.writing() as connection:
            campaigns.change(connection, 1, name=name)
        for path in ("/syncs", "/syncs/1", "/syncs/1/progress"):
            page = mara.get(path)
            assert "<script>alert" not in page
            assert "<img" not in page
            assert " 49 " not in mara.words
            assert len(page) < 60_000
