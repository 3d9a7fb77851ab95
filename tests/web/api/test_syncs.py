"""Syncs and backfills as people and programs touch them: begun, previewed, paused, ended, and told of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.core.errors import RateLimited, Unavailable, Vendor
from app.core.people import Contact, Role
from app.integrations.intercom import ContactPage, Order
from app.storage import people, readings, sync_outcomes, syncs
from app.storage.people import PersonRecord
from app.storage.sync_outcomes import SyncOutcome
from app.storage.tables import audience_readings
from app.web.api.syncs import ROWS_A_PAGE
from tests.fakes import FakeIntercom
from tests.web.api.conftest import ADMIN_TOKEN, ATTRIBUTES, World, faults, json_of, segments

NAME, EMAIL = {"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}
SYNC: dict[str, Any] = {
    "contacts": "segment",
    "segment_id": "s001",
    "mapping": [NAME, EMAIL],
    "write_back": [
        {"from": "url", "to": "custom_attributes.Referral Link"},
        {"from": "referrals", "to": "custom_attributes.Seats"},
    ],
    "schedule": "ongoing",
    "notify": False,
}
USERS: dict[str, Any] = {"contacts": "users", "mapping": [NAME, EMAIL]}

REFERRERS = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
}


@pytest.fixture
def ready(world: World) -> World:
    """A campaign in a workspace of a few segments."""
    world.intercom.segment_list = segments(3)
    world.campaign()
    return world


def start(world: World, body: Mapping[str, Any] = SYNC, **changes: Any) -> dict[str, Any]:
    answer = world.post("/campaigns/1/syncs", {**body, **changes})
    assert answer.status_code == 202, answer.json
    return json_of(answer)


def row_of(world: World, sync_id: str) -> Any:
    with world.database.reading() as connection:
        return syncs.get(connection, int(sync_id))


def put(world: World, sync_id: str, **columns: Any) -> None:
    """Leave a run as a worker would."""
    state = row_of(world, sync_id).state
    with world.database.writing() as connection:
        assert syncs.change(connection, int(sync_id), [state], **columns)


class TestStart:
    def test_it_is_queued_and_the_workers_are_told(self, ready: World) -> None:
        assert start(ready) == {
            "id": "1",
            "kind": "sync",
            "campaign_id": "1",
            "dry_run": False,
            "state": "queued",
            "cause": None,
            "progress": {
                "total": None,
                "seen": 0,
                "added": 0,
                "existing": 0,
                "updated": 0,
                "skipped": 0,
                "failed": 0,
                "written_back": 0,
            },
            "seconds_left": None,
            "started_at": None,
            "finished_at": None,
            "next_run_at": None,
        }
        assert ready.bulk_bell.rings == 1
        kept = row_of(ready, "1")
        assert (kept.settings, kept.created_by) == (SYNC, "owner@example.com")
        assert (kept.audience, kept.workspace_id, kept.program_id) == ("referrers", 1, 1)

    def test_it_runs_once_and_notifies_nobody_unless_asked_to(self, ready: World) -> None:
        start(ready, USERS)
        kept = row_of(ready, "1").settings
        assert (kept["schedule"], kept["notify"], kept["segment_id"], kept["write_back"]) == ("once", False, None, [])

    def test_all_faults_are_told_at_once_and_nothing_is_kept(self, ready: World) -> None:
        body = {
            "contacts": "segment",
            "segment_id": "s999",
            "mapping": [
                {"from": "name"},
                {"from": "custom_attributes.Nowhere", "to": "meta.Last Name"},
                {"from": "phone", "to": "meta.Nothing"},
                {"from": 5, "to": "email"},
            ],
            "write_back": [{"from": "url"}, {"from": "code", "to": "custom_attributes.Company"}],
            "schedule": "daily",
            "notify": "no",
            "surprise": 1,
        }
        answer = ready.post("/campaigns/1/syncs", body)
        assert answer.status_code == 422
        assert faults(answer) == {
            "/segment_id": "segment_unknown",
            "/mapping/0/to": "invalid_request",
            "/mapping/1/from": "attribute_unknown",
            "/mapping/2/to": "invalid_request",
            "/mapping/3/from": "invalid_request",
            "/write_back/0/to": "invalid_request",
            "/write_back/1/from": "invalid_request",
            "/schedule": "invalid_request",
            "/notify": "invalid_request",
            "/surprise": "invalid_request",
        }
        assert json_of(ready.get("/syncs"))["items"] == []
        assert ready.bulk_bell.rings == 0

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"contacts": "everyone"}, {"/contacts": "invalid_request"}),
            ({"contacts": "leads"}, {"/segment_id": "invalid_request"}),
            ({"segment_id": None}, {"/segment_id": "invalid_request"}),
            ({"segment_id": 5}, {"/segment_id": "invalid_request"}),
            ({"segment_id": " "}, {"/segment_id": "invalid_request"}),
            ({"mapping": [EMAIL]}, {"/mapping": "name_not_mapped"}),
            ({"mapping": [NAME]}, {"/mapping": "email_not_mapped"}),
            ({"mapping": "name"}, {"/mapping": "invalid_request"}),
            ({"mapping": [NAME, {**EMAIL, "more": 1}]}, {"/mapping/1/more": "invalid_request"}),
            ({"mapping": [NAME, EMAIL, "email"]}, {"/mapping/2": "invalid_request"}),
            ({"mapping": [NAME, EMAIL] * 151}, {"/mapping": "invalid_request"}),
            ({"write_back": {}}, {"/write_back": "invalid_request"}),
        ],
    )
    def test_a_fault_is_told_once(self, ready: World, changes: Any, expected: dict[str, str]) -> None:
        answer = ready.post("/campaigns/1/syncs", {**SYNC, **changes})
        assert (answer.status_code, faults(answer)) == (422, expected)

    @pytest.mark.parametrize("body", ["[]", '"users"', "null", "5"])
    def test_what_is_no_object_is_refused(self, ready: World, body: str) -> None:
        answer = ready.ask("POST", "/campaigns/1/syncs", data=body, content_type="application/json")
        assert answer.status_code == 422
        assert "" in faults(answer)

    def test_a_campaign_field_that_was_added_since_is_looked_for(self, ready: World) -> None:
        summer = ready.referral_factory.campaign_list[0]
        body = {**USERS, "mapping": [NAME, EMAIL, {"from": "phone", "to": "meta.Phone"}]}
        assert ready.post("/campaigns/1/syncs", body).status_code == 422
        ready.referral_factory.campaign_list[0] = type(summer)(**_fields(summer, referrers=("Last Name", "Phone")))
        assert ready.post("/campaigns/1/syncs", body).status_code == 202
        ready.referral_factory.fail("campaign", Unavailable(Vendor.REFERRAL_FACTORY, "No answer."))
        assert ready.post("/campaigns/1/syncs", {**body, "contacts": "leads"}).status_code == 202

    def test_where_nobody_answers_what_was_known_of_the_fields_holds(self, ready: World) -> None:
        ready.referral_factory.fail("campaign", Unavailable(Vendor.REFERRAL_FACTORY, "No answer."))
        body = {**USERS, "mapping": [NAME, EMAIL, {"from": "phone", "to": "meta.Phone"}]}
        assert faults(ready.post("/campaigns/1/syncs", body)) == {"/mapping/2/to": "invalid_request"}


def _fields(one: Any, **changes: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__} | changes


CALLS = [("syncs", SYNC), ("syncs/preview", SYNC), ("backfill", {"audience": "referrers"})]


@pytest.mark.parametrize(("call", "body"), CALLS)
class TestRefused:
    def test_an_unknown_campaign(self, ready: World, call: str, body: Any) -> None:
        answer = ready.post(f"/campaigns/9/{call}", body)
        assert (answer.status_code, json_of(answer)["cause"]) == (404, "not_found")

    def test_an_archived_campaign(self, ready: World, call: str, body: Any) -> None:
        ready.delete("/campaigns/1")
        answer = ready.post(f"/campaigns/1/{call}", body)
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "campaign_archived")

    def test_a_lost_workspace(self, ready: World, call: str, body: Any) -> None:
        ready.delete("/workspaces/1")
        answer = ready.post(f"/campaigns/1/{call}", body)
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "workspace_disconnected")

    def test_a_lost_program(self, ready: World, call: str, body: Any) -> None:
        ready.delete("/programs/1")
        answer = ready.post(f"/campaigns/1/{call}", body)
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "referral_factory_unauthorized")


class TestOverlapping:
    @pytest.mark.parametrize("state", ["queued", "running", "watching", "paused"])
    def test_the_same_contacts_are_not_gone_through_twice(self, ready: World, state: str) -> None:
        put(ready, start(ready)["id"], state=state)
        answer = ready.post("/campaigns/1/syncs", {**SYNC, "schedule": "once", "write_back": []})
        assert (answer.status_code, json_of(answer)["cause"]) == (409, "already_exists")

    def test_nor_where_several_ask_at_the_same_moment(self, ready: World) -> None:
        def ask(_: int) -> int:
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            return ready.app.test_client().post("/api/v1/campaigns/1/syncs", json=SYNC, headers=headers).status_code

        with ThreadPoolExecutor(6) as threads:
            assert sorted(threads.map(ask, range(6))) == [202, 409, 409, 409, 409, 409]

    @pytest.mark.parametrize("state", ["completed", "cancelled", "failed"])
    def test_what_is_over_may_be_begun_anew(self, ready: World, state: str) -> None:
        put(ready, start(ready)["id"], state=state)
        assert start(ready)["id"] == "2"

    def test_other_contacts_are_another_sync(self, ready: World) -> None:
        bodies = [SYNC, {**SYNC, "segment_id": "s002"}, USERS, {**USERS, "contacts": "leads"}]
        assert [start(ready, body)["id"] for body in bodies] == ["1", "2", "3", "4"]

    def test_so_are_those_of_another_campaign(self, ready: World) -> None:
        ready.campaign(workspace_id="1", program_id="1", referral_factory_id=2)
        start(ready)
        assert ready.post("/campaigns/2/syncs", SYNC).status_code == 202


class TestBackfill:
    def test_it_takes_a_complete_audience(self, ready: World) -> None:
        answer = ready.post("/campaigns/1/backfill", {"audience": "leads"})
        assert answer.status_code == 422
        assert faults(answer).keys() == {"/audience"}
        causes = [fault["cause"] for fault in json_of(answer)["errors"]]
        assert causes[0] == "action_is_nothing"

    def test_it_is_queued_like_a_sync(self, ready: World) -> None:
        ready.put("/campaigns/1/audiences/referrers", REFERRERS)
        answer = ready.post("/campaigns/1/backfill", {"audience": "referrers", "dry_run": True})
        assert answer.status_code == 202
        said = json_of(answer)
        assert (said["kind"], said["dry_run"], said["state"]) == ("backfill", True, "queued")
        assert ready.bulk_bell.rings == 1
        assert (row_of(ready, "1").audience, row_of(ready, "1").settings) == ("referrers", {})

    def test_one_at_a_time_for_an_audience(self, ready: World) -> None:
        for audience in ("leads", "referrers"):
            ready.put(f"/campaigns/1/audiences/{audience}", REFERRERS)
        start(ready)
        assert ready.post("/campaigns/1/backfill", {"audience": "leads"}).status_code == 202
        assert ready.post("/campaigns/1/backfill", {"audience": "referrers"}).status_code == 202
        again = ready.post("/campaigns/1/backfill", {"audience": "leads", "dry_run": True})
        assert (again.status_code, json_of(again)["cause"]) == (409, "already_exists")
        ready.post("/syncs/2/cancel")
        assert ready.post("/campaigns/1/backfill", {"audience": "leads"}).status_code == 202

    def test_the_body_is_read_strictly(self, ready: World) -> None:
        answer = ready.post("/campaigns/1/backfill", {"audience": "both", "dry_run": "yes"})
        assert faults(answer) == {"/audience": "invalid_request", "/dry_run": "invalid_request"}


def control(world: World, what: str, sync_id: str = "1", *, status: int = 200) -> dict[str, Any]:
    answer = world.post(f"/syncs/{sync_id}/{what}")
    assert answer.status_code == status, answer.json
    return json_of(answer)


class TestControl:
    def test_nothing_is_not_found(self, ready: World) -> None:
        for what in ("pause", "resume", "cancel", "run"):
            assert control(ready, what, "9", status=404)["cause"] == "not_found"
        assert ready.get("/syncs/9").status_code == 404

    @pytest.mark.parametrize(
        ("what", "states"),
        [
            ("pause", ["paused", "completed", "cancelled", "failed"]),
            ("resume", ["queued", "running", "watching", "completed", "cancelled", "failed"]),
            ("cancel", ["completed", "cancelled", "failed"]),
            ("run", ["queued", "running", "paused", "completed", "cancelled", "failed"]),
        ],
    )
    def test_what_does_not_fit_is_refused_in_words(self, ready: World, what: str, states: list[str]) -> None:
        start(ready)
        for state in states:
            put(ready, "1", state=state)
            refused = control(ready, what, status=409)
            assert refused["detail"].startswith("This sync ")
            assert row_of(ready, "1").state == state

    def test_a_run_that_was_not_begun_is_queued_again(self, ready: World) -> None:
        start(ready)
        assert control(ready, "pause")["state"] == "paused"
        assert control(ready, "resume")["state"] == "queued"

    def test_a_run_goes_on_where_it_stopped(self, ready: World) -> None:
        start(ready)
        begun = {"started_at": ready.time, "begun_at": ready.time, "look": 1, "cursor": "3", "seen_cursors": ["a"]}
        put(ready, "1", state="running", due_at=ready.time, looked_at=300, **begun)
        control(ready, "pause")
        with ready.database.writing() as connection:
            assert syncs.take(connection, 1, ready.time, timedelta(seconds=90)) is None
        ready.time += timedelta(hours=1)
        assert control(ready, "resume")["state"] == "running"
        with ready.database.writing() as connection:
            turn = syncs.take(connection, 1, ready.time, timedelta(seconds=90))
        assert turn is not None
        assert (turn.row.cursor, turn.row.look, turn.row.looked_at) == ("3", 1, 300)
        assert ready.bulk_bell.rings == 3

    def test_a_page_that_somebody_is_at_is_nobody_elses_after_a_short_pause(self, ready: World) -> None:
        start(ready)
        lease = timedelta(seconds=90)
        with ready.database.writing() as connection:
            assert syncs.take(connection, 1, ready.time, lease)
        control(ready, "pause")
        control(ready, "resume")
        with ready.database.writing() as connection:
            assert syncs.take(connection, 1, ready.time, lease) is None
            assert syncs.take(connection, 1, ready.time + lease, lease)

    def test_what_was_put_off_is_tried_at_once(self, ready: World) -> None:
        start(ready)
        later = ready.time + timedelta(minutes=5)
        put(
            ready,
            "1",
            state="running",
            started_at=ready.time,
            begun_at=ready.time,
            due_at=later,
            cause="rate_limited",
        )
        assert control(ready, "pause")["cause"] == "rate_limited"
        control(ready, "resume")
        assert row_of(ready, "1").due_at == ready.time

    def test_one_that_watches_looks_at_once_when_it_is_resumed(self, ready: World) -> None:
        start(ready)
        look = {"started_at": ready.time, "begun_at": ready.time, "known_until": ready.time, "look": 2}
        put(ready, "1", state="watching", due_at=ready.time + timedelta(minutes=15), **look)
        assert control(ready, "pause")["next_run_at"] is None
        resumed = control(ready, "resume")
        assert (resumed["state"], resumed["next_run_at"]) == ("watching", "2026-11-22T12:00:00.000Z")

    def test_one_whose_look_ended_while_it_was_paused_watches_again(self, ready: World) -> None:
        start(ready)
        look = {"started_at": ready.time, "begun_at": ready.time, "known_until": ready.time, "look": 1}
        put(ready, "1", state="paused", **look)
        assert control(ready, "resume")["state"] == "watching"

    def test_run_lets_one_that_watches_look_at_once(self, ready: World) -> None:
        start(ready)
        put(ready, "1", state="watching", started_at=ready.time, due_at=ready.time + timedelta(minutes=15))
        assert json_of(ready.get("/syncs/1"))["next_run_at"] == "2026-11-22T12:15:00.000Z"
        assert control(ready, "run")["next_run_at"] == "2026-11-22T12:00:00.000Z"

    def test_a_sync_that_ran_once_says_so(self, ready: World) -> None:
        start(ready, USERS)
        put(ready, "1", state="completed")
        assert control(ready, "run", status=409)["cause"] == "sync_is_one_time"

    @pytest.mark.parametrize("state", ["queued", "running", "paused", "watching"])
    def test_cancelling_is_for_good(self, ready: World, state: str) -> None:
        start(ready)
        put(ready, "1", state=state)
        cancelled = control(ready, "cancel")
        assert (cancelled["state"], cancelled["finished_at"]) == ("cancelled", "2026-11-22T12:00:00.000Z")
        control(ready, "resume", status=409)

    def test_a_list_that_repeated_may_be_gone_on_with(self, ready: World) -> None:
        start(ready)
        stopped = {"cursor": "3", "seen_cursors": ["a", "b"], "started_at": ready.time, "begun_at": ready.time}
        put(ready, "1", state="failed", cause="cursor_repeated", finished_at=ready.time, look=1, **stopped)
        resumed = control(ready, "resume")
        assert (resumed["state"], resumed["cause"], resumed["finished_at"]) == ("running", None, None)
        kept = row_of(ready, "1")
        assert (kept.cursor, kept.seen_cursors, kept.look) == ("3", [], 1)

    def test_but_not_beside_one_that_was_begun_meanwhile(self, ready: World) -> None:
        start(ready)
        put(ready, "1", state="failed", cause="cursor_repeated", started_at=ready.time)
        start(ready)
        assert control(ready, "resume", status=409)["cause"] == "already_exists"

    def test_nothing_goes_on_in_an_archived_campaign(self, ready: World) -> None:
        start(ready)
        control(ready, "pause")
        ready.delete("/campaigns/1")
        assert control(ready, "resume", status=409)["cause"] == "campaign_archived"
        assert control(ready, "cancel")["state"] == "cancelled"


class TestShow:
    def test_newest_first_and_by_campaign_page_by_page(self, ready: World) -> None:
        ready.campaign(workspace_id="1", program_id="1", referral_factory_id=2)
        for contacts in ("leads", "users", "all"):
            for campaign in (1, 2):
                ready.post(f"/campaigns/{campaign}/syncs", {**USERS, "contacts": contacts})
        first = json_of(ready.get("/syncs", limit=4))
        rest = json_of(ready.get("/syncs", limit=4, cursor=first["next_cursor"]))
        assert [one["id"] for one in first["items"] + rest["items"]] == ["6", "5", "4", "3", "2", "1"]
        assert rest["next_cursor"] is None
        of_second = json_of(ready.get("/syncs", campaign_id=2))["items"]
        assert [one["id"] for one in of_second] == ["6", "4", "2"]
        assert ready.get("/syncs", state="running").status_code == 422

    def test_how_far_it_is_and_how_long_it_takes(self, ready: World) -> None:
        start(ready)
        counts = {"looked_at": 150, "added": 100, "existing": 20, "skipped": 25, "failed": 5, "written_back": 120}
        put(ready, "1", state="running", look=1, started_at=ready.time, total=1000, busy_seconds=15.0, **counts)
        said = json_of(ready.get("/syncs/1"))
        expected = {**counts, "updated": 0, "total": 1000, "seen": 150}
        assert said["progress"] == {name: value for name, value in expected.items() if name != "looked_at"}
        assert (said["seconds_left"], said["started_at"]) == (85, "2026-11-22T12:00:00.000Z")
        for state in ("paused", "watching", "completed", "cancelled", "failed"):
            put(ready, "1", state=state)
            assert json_of(ready.get("/syncs/1"))["seconds_left"] is None

    def test_of_a_later_look_nobody_knows_how_long_it_takes(self, ready: World) -> None:
        start(ready)
        put(ready, "1", state="running", look=2, total=1000, looked_at=1200, busy_seconds=15.0)
        assert json_of(ready.get("/syncs/1"))["seconds_left"] is None


# Preview


def preview(world: World, body: Mapping[str, Any] = USERS, *, status: int = 200, **changes: Any) -> dict[str, Any]:
    answer = world.post("/campaigns/1/syncs/preview", {**body, **changes})
    assert answer.status_code == status, answer.json
    return json_of(answer)


def refer(world: World, email: str, **changes: Any) -> None:
    """A referrer of the campaign, as we know them."""
    columns: dict[str, Any] = dict.fromkeys(PersonRecord.__slots__[:12])
    known = {"campaign_id": 1, "audience": "referrers", "workspace_id": 1, "email": email, "values": {}}
    with world.database.writing() as connection:
        people.save(connection, [PersonRecord(**{**columns, **known, **changes})], world.time)


def read_whole(world: World) -> None:
    with world.database.writing() as connection:
        readings.ask(connection, 1, "referrers", world.time)
        connection.execute(audience_readings.update().values(ended_at=world.time))


def outcomes_of(said: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {one["email"] or one["contact_id"]: (one["outcome"], one["cause"]) for one in said["sample"]}


class TestPreview:
    def test_it_counts_and_shows_what_would_become_of_whom_and_writes_nothing(self, ready: World) -> None:
        for name in ("ann", "bob"):
            ready.intercom.put(f"{name}@example.com", name=name)
        ready.intercom.put("Ann@Example.com", name="Ann again")
        ready.intercom.put("known@example.com", name="Known")
        ready.intercom.put("blank@example.com")
        ready.intercom.put("nonsense", name="N")
        nobody = ready.intercom.put(None, name="Nobody")
        ready.intercom.put("lead@example.com", Role.LEAD, name="Lead")
        refer(ready, "known@example.com")
        refer(ready, "bob@example.com", audience="leads")
        said = preview(ready)
        assert (said["total"], said["would_add"], said["would_exceed_limit_by"]) == (7, 2, 0)
        shown = [(one["email"], one["outcome"], one["cause"]) for one in said["sample"]]
        assert sorted(shown, key=str) == sorted(
            [
                ("ann@example.com", "added", None),
                ("bob@example.com", "added", None),
                ("ann@example.com", "existing", "already_in_campaign"),
                ("known@example.com", "existing", "already_in_campaign"),
                ("blank@example.com", "skipped", "blank_mapped_value"),
                ("nonsense", "skipped", "invalid_email"),
                (None, "skipped", "blank_mapped_value"),
            ],
            key=str,
        )
        assert nobody.id in [one["contact_id"] for one in said["sample"]]
        assert json_of(ready.get("/syncs"))["items"] == []
        written = {"create", "update", "create_user", "update_user"}
        assert not written & {name for name, _ in ready.intercom.calls + ready.referral_factory.calls}

    def test_its_sample_has_some_of_each_kind(self, ready: World) -> None:
        for number in range(30):
            ready.intercom.put(f"n{number}@example.com", name="New")
        ready.intercom.put("blank@example.com")
        said = preview(ready)
        assert (said["total"], said["would_add"], len(said["sample"])) == (31, 30, 20)
        assert "blank@example.com" in outcomes_of(said)

    def test_a_segments_members_are_counted_alone(self, ready: World) -> None:
        ann = ready.intercom.put("ann@example.com", name="Ann")
        ready.intercom.put("bob@example.com", name="Bob")
        ready.intercom.members["s001"].add(ann.id)
        said = preview(ready, SYNC)
        assert (said["total"], list(outcomes_of(said))) == (1, ["ann@example.com"])

    def test_page_by_page(self, ready: World) -> None:
        ready.intercom.page_size = 2
        for number in range(5):
            ready.intercom.put(f"n{number}@example.com", name="New")
        ready.intercom.put("n0@example.com", name="Again")
        said = preview(ready)
        assert (said["total"], said["would_add"]) == (6, 5)
        assert ready.intercom.called("search") == 3

    def test_nobody_is_a_count_too(self, ready: World) -> None:
        assert preview(ready) == {"total": 0, "would_add": 0, "would_exceed_limit_by": 0, "sample": []}

    def test_a_sync_of_the_same_contacts_stands_in_nobodys_way(self, ready: World) -> None:
        start(ready, USERS)
        preview(ready)

    def test_faults_are_refused_as_when_it_starts(self, ready: World) -> None:
        answer = ready.post("/campaigns/1/syncs/preview", {"contacts": "segment", "mapping": [NAME]})
        assert faults(answer) == {"/segment_id": "invalid_request", "/mapping": "email_not_mapped"}

    def test_a_vendor_that_is_away_is_told_of(self, ready: World) -> None:
        ready.intercom.fail("search", Unavailable(Vendor.INTERCOM, "No answer."))
        assert preview(ready, status=503)["cause"] == "intercom_unavailable"


class TestPreviewOfTheLimit:
    @pytest.mark.parametrize(
        ("account", "own", "beyond"),
        [(None, None, 0), (9, None, 0), (8, None, 1), (5, None, 4), (3, None, 4), (None, 4, 2), (8, 4, 2), (6, 4, 3)],
    )
    def test_the_tighter_of_both_limits_counts(self, ready: World, account: Any, own: Any, beyond: int) -> None:
        ready.patch("/programs/1", {"user_limit": account})
        ready.patch("/campaigns/1", {"user_limit": own})
        for campaign, number in (("1", 2), ("2", 3)):
            for one in range(number):
                ready.referral_factory.sign_up(f"p{one}@example.com", campaign_id=campaign)
        for number in range(4):
            ready.intercom.put(f"n{number}@example.com", name="New")
        said = preview(ready)
        assert (said["would_add"], said["would_exceed_limit_by"]) == (4, beyond)
        skipped = [one for one in said["sample"] if one["cause"] == "user_limit_reached"]
        assert len(skipped) == beyond
        assert all(one["outcome"] == "skipped" for one in skipped)


class TestPreviewOfWhoIsThere:
    def test_referrers_that_were_never_read_are_looked_up(self, ready: World) -> None:
        ready.referral_factory.page_size = 1
        anna = ready.referral_factory.sign_up("ANN@example.com")
        ready.referral_factory.sign_up("bob@example.com", referrer=anna)
        ready.referral_factory.sign_up("eve@example.com", campaign_id="2")
        for name in ("ann", "bob", "eve"):
            ready.intercom.put(f"{name}@example.com", name=name)
        said = outcomes_of(preview(ready))
        assert said["ann@example.com"] == ("existing", "already_in_campaign")
        assert said["bob@example.com"] == said["eve@example.com"] == ("added", None)

    def test_a_list_is_not_read_for_nobody(self, ready: World) -> None:
        ready.referral_factory.sign_up("ann@example.com", campaign_id="2")
        preview(ready)
        assert ready.referral_factory.called("users") == 0

    def test_nor_where_everybody_is_known_here(self, ready: World) -> None:
        ready.referral_factory.sign_up("ann@example.com")
        read_whole(ready)
        ready.referral_factory.calls.clear()
        preview(ready)
        assert ready.referral_factory.calls == []


class Slow(FakeIntercom):
    """Takes its seconds for a search."""

    def __init__(self, world: World, seconds: float) -> None:
        super().__init__("app1", ATTRIBUTES)
        self._world, self._seconds = world, seconds
        self.page_size = 1

    def search(
        self, query: Mapping[str, object], cursor: str | None = None, order: Order = Order.CHANGED
    ) -> ContactPage:
        self._world.time += timedelta(seconds=self._seconds)
        return super().search(query, cursor, order)


def slow(world: World, contacts: int, seconds: float) -> None:
    intercom = Slow(world, seconds)
    world.vendors.intercoms["us", "us-token"] = intercom
    for number in range(contacts):
        intercom.put(f"n{number}@example.com", name="New")


class TestPreviewThatTakesLonger:
    def test_it_goes_on_as_a_dry_run(self, ready: World) -> None:
        slow(ready, contacts=4, seconds=4)
        said = preview(ready, status=202)
        assert (said["sync_id"], said["id"], said["kind"], said["dry_run"]) == ("1", "1", "sync", True)
        assert said["state"] == "queued"
        assert ready.intercom.called("search") == 3
        assert ready.bulk_bell.rings == 1
        assert row_of(ready, "1").settings["contacts"] == "users"

    def test_who_is_done_in_time_is_answered(self, ready: World) -> None:
        slow(ready, contacts=3, seconds=4.9)
        assert preview(ready)["total"] == 3

    def test_asking_again_follows_the_same_dry_run(self, ready: World) -> None:
        slow(ready, contacts=4, seconds=4)
        assert [preview(ready, status=202)["sync_id"] for _ in range(2)] == ["1", "1"]
        assert preview(ready, {**USERS, "notify": True}, status=202)["sync_id"] == "2"

    def test_it_keeps_nobody_from_starting(self, ready: World) -> None:
        slow(ready, contacts=4, seconds=4)
        preview(ready, status=202)
        assert start(ready, USERS)["id"] == "2"

    def test_so_does_one_for_which_no_calls_are_left(self, ready: World) -> None:
        ready.intercom.fail("search", RateLimited(Vendor.INTERCOM, "Spent.", after=5))
        assert preview(ready, status=202)["dry_run"] is True

    def test_and_one_whose_list_leads_in_a_circle(self, ready: World) -> None:
        class Circle(FakeIntercom):
            def search(self, *_: Any, **__: Any) -> ContactPage:
                return ContactPage((Contact("c1", Role.USER, "ann@example.com", "Ann"),), "again", 2)

        ready.vendors.intercoms["us", "us-token"] = Circle("app1", ATTRIBUTES)
        assert preview(ready, status=202)["dry_run"] is True


# Outcomes


def keep(world: World, *outcomes: SyncOutcome) -> None:
    with world.database.writing() as connection:
        sync_outcomes.save(connection, outcomes, world.time)


def outcome(number: int, outcome_: str = "added", **more: Any) -> SyncOutcome:
    subject = f"c{number:05d}"
    return SyncOutcome(1, subject, outcome_, f"n{number}@example.com", contact_id=subject, **more)


BLANK = {"cause": "blank_mapped_value", "detail": "name"}


class TestOutcomes:
    @pytest.fixture(autouse=True)
    def _run(self, ready: World) -> None:
        start(ready)

    def test_one_line_a_contact_page_by_page(self, ready: World) -> None:
        keep(ready, outcome(1), outcome(2, "skipped", **BLANK), outcome(3, "pending"), outcome(4, "failed"))
        first = json_of(ready.get("/syncs/1/outcomes", limit=2))
        assert first["items"][1] == {
            "contact_id": "c00002",
            "email": "n2@example.com",
            "outcome": "skipped",
            "cause": "blank_mapped_value",
            "detail": "name",
            "at": "2026-11-22T12:00:00.000Z",
        }
        rest = json_of(ready.get("/syncs/1/outcomes", limit=2, cursor=first["next_cursor"]))
        assert [one["contact_id"] for one in rest["items"]] == ["c00004"]
        assert rest["next_cursor"] is None

    def test_by_outcome_and_by_cause(self, ready: World) -> None:
        keep(ready, outcome(1), outcome(2, "skipped", **BLANK), outcome(3, "skipped", cause="invalid_email"))
        for query, expected in (
            ({"outcome": "skipped"}, ["c00002", "c00003"]),
            ({"cause": "invalid_email"}, ["c00003"]),
            ({"outcome": "added", "cause": "invalid_email"}, []),
        ):
            items = json_of(ready.get("/syncs/1/outcomes", **query))["items"]
            assert [one["contact_id"] for one in items] == expected
            assert [line["contact_id"] for line in table(ready, **query)] == expected

    def test_filters_are_of_closed_sets(self, ready: World) -> None:
        for path in ("/syncs/1/outcomes", "/syncs/1/outcomes.csv"):
            assert ready.get(path, outcome="pending").status_code == 422
            assert ready.get(path, cause="bad_luck").status_code == 422
            assert ready.get(path.replace("1", "9")).status_code == 404

    def test_as_a_table(self, ready: World) -> None:
        keep(ready, outcome(1), outcome(2, "skipped", cause="blank_mapped_value", detail='a "b", c\nd'))
        answer = download(ready)
        assert answer.content_type == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="sync-1-outcomes.csv"'
        assert answer.text.splitlines()[:2] == [
            "contact_id,email,outcome,cause,detail,at",
            "c00001,n1@example.com,added,,,2026-11-22T12:00:00.000Z",
        ]
        assert table(ready)[1]["detail"] == 'a "b", c\nd'

    @pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
    def test_no_cell_is_a_formula(self, ready: World, sign: str) -> None:
        cell = f"{sign}cmd|' /C calc'!A0"
        keep(ready, SyncOutcome(1, cell, "failed", cell, contact_id=cell, detail=cell))
        (line,) = table(ready)
        assert {line[name] for name in ("contact_id", "email", "detail")} == {f"'{cell}"}

    def test_a_long_table_is_read_and_sent_page_by_page(self, ready: World) -> None:
        number = 2 * ROWS_A_PAGE + 500
        keep(ready, *(outcome(one) for one in range(number)))
        answer = download(ready, buffered=False)
        parts = list(answer.iter_encoded())
        assert len(parts) == 4
        lines = csv.DictReader(io.StringIO(b"".join(parts).decode()))
        assert [line["contact_id"] for line in lines] == [f"c{one:05d}" for one in range(number)]

    def test_a_page_that_is_just_full_ends_it_too(self, ready: World) -> None:
        keep(ready, *(outcome(one) for one in range(ROWS_A_PAGE)))
        assert len(table(ready)) == ROWS_A_PAGE

    def test_the_table_is_described(self, ready: World) -> None:
        described = ready.description.operation("GET", "/syncs/1/outcomes.csv")["responses"]["200"]["content"]
        assert described == {"text/csv": {"schema": {"type": "string"}}}


def download(world: World, *, buffered: bool = True, **query: str) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    path = "/api/v1/syncs/1/outcomes.csv"
    answer = world.client.get(path, headers=headers, query_string=query, buffered=buffered)
    assert answer.status_code == 200
    return answer


def table(world: World, **query: str) -> list[dict[str, str]]:
    lines: Iterator[dict[str, str]] = csv.DictReader(io.StringIO(download(world, **query).text, newline=""))
    return list(lines)
