"""Seeing what was received and what was done: activity, events, people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from app.core.causes import Cause
from app.storage.people import STATES
from app.storage.tables import events, reconciles
from schemas.api_records import QUALIFICATIONS
from tests.fakes import FakeIntercom
from tests.web.api.conftest import World, faults, json_of


def ids(answer: Any) -> list[str]:
    return [item["id"] for item in json_of(answer)["items"]]


class TestReconciles:
    def add(self, world: World, **columns: Any) -> None:
        row = {
            "kind": "intercom",
            "connection_id": 1,
            "started_at": world.time,
            "looked_at": 7,
            "found": 2,
            "calls": 3,
        }
        with world.database.writing() as connection:
            connection.execute(reconciles.insert().values({**row, **columns}))

    def test_one_is_shown_whole(self, world: World) -> None:
        self.add(world, finished_at=world.time + timedelta(seconds=5))
        assert json_of(world.get("/reconciles")) == {
            "items": [
                {
                    "id": "1",
                    "kind": "intercom",
                    "scope": "workspace:1",
                    "started_at": "2026-11-22T12:00:00.000Z",
                    "finished_at": "2026-11-22T12:00:05.000Z",
                    "looked_at": 7,
                    "found": 2,
                    "calls": 3,
                    "cause": None,
                }
            ],
            "next_cursor": None,
        }

    def test_a_programs_that_can_not_go_on(self, world: World) -> None:
        self.add(world, kind="referral_factory", connection_id=4, cause="rate_limited")
        (item,) = json_of(world.get("/reconciles"))["items"]
        assert (item["scope"], item["finished_at"], item["cause"]) == ("program:4", None, "rate_limited")

    def test_they_are_listed_newest_first_page_by_page(self, world: World) -> None:
        for _ in range(5):
            self.add(world)
        first = world.get("/reconciles", limit=3)
        assert ids(first) == ["5", "4", "3"]
        assert ids(world.get("/reconciles", limit=3, cursor=json_of(first)["next_cursor"])) == ["2", "1"]

    def test_a_broken_cursor_is_refused(self, world: World) -> None:
        assert world.get("/reconciles", cursor="x").status_code == 422


class TestActivity:
    def test_an_activity_is_shown_whole(self, world: World) -> None:
        world.campaign()
        world.activity(
            cause="value_too_long", detail="cut", fields=[{"to": "name", "cause": "value_too_long"}], event_id=5
        )
        (item,) = json_of(world.get("/activity"))["items"]
        assert item == {
            "id": "1",
            "at": "2026-11-22T12:00:00.000Z",
            "campaign_id": "1",
            "audience": "leads",
            "verb": "send",
            "outcome": "created",
            "cause": "value_too_long",
            "detail": "cut",
            "person": {"referral_factory_id": 7, "code": "friend7", "email": "lea@example.com"},
            "contact": {
                "id": "c7",
                "role": "lead",
                "url": "https://app.intercom.com/a/apps/app1/users/c7/all-conversations",
            },
            "fields": [{"to": "name", "cause": "value_too_long"}],
            "event_id": "5",
            "sync_id": None,
        }

    @pytest.mark.parametrize(
        ("region", "host"), [("us", "app.intercom.com"), ("eu", "app.eu.intercom.com"), ("au", "app.au.intercom.com")]
    )
    def test_a_contacts_address_is_that_of_its_workspaces_region(self, world: World, region: str, host: str) -> None:
        world.vendors.intercoms[region, "token"] = FakeIntercom("app9")
        world.connected_workspace(region=region, access_token="token")
        world.activity()
        (item,) = json_of(world.get("/activity"))["items"]
        assert item["contact"]["url"].startswith(f"https://{host}/a/apps/app9/")

    def test_without_a_contact_there_is_none(self, world: World) -> None:
        world.connected_workspace()
        world.activity(contact_id=None, contact_role=None, referral_factory_id=None, outcome="skipped")
        (item,) = json_of(world.get("/activity"))["items"]
        assert (item["contact"], item["person"]["referral_factory_id"]) == (None, None)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["3", "2", "1"]),
            ({"campaign_id": "2"}, ["2"]),
            ({"campaign_id": "77"}, []),
            ({"sync_id": "4"}, ["3"]),
            ({"email": " LEA@Example.com "}, ["3", "1"]),
            ({"verb": "qualify"}, ["2"]),
            ({"outcome": "skipped"}, ["3"]),
            ({"cause": "duplicate_skipped"}, ["3"]),
            ({"since": "2026-11-22T13:00:00Z"}, ["3", "2"]),
            ({"since": "2026-11-22T14:00:00.000Z"}, ["3"]),
            ({"since": "2026-11-22T15:00:00+01:00"}, ["3"]),
            ({"email": "lea@example.com", "outcome": "created"}, ["1"]),
            ({"campaign_id": "", "email": "", "since": ""}, ["3", "2", "1"]),
        ],
    )
    def test_it_is_filtered_newest_first(self, world: World, query: dict[str, str], found: list[str]) -> None:
        world.activity()
        world.time += timedelta(hours=1)
        world.activity(campaign_id=2, email="rita@example.com", verb="qualify", outcome="qualified")
        world.time += timedelta(hours=1)
        world.activity(sync_id=4, outcome="skipped", cause="duplicate_skipped")
        assert ids(world.get("/activity", **query)) == found

    def test_a_plus_that_an_address_turned_into_a_space_is_understood(self, world: World) -> None:
        world.activity()
        assert ids(world.ask("GET", "/activity", query_string="since=2026-11-22T13:00:00+01:00")) == ["1"]

    def test_it_is_paged_without_gaps_while_more_comes_in(self, world: World) -> None:
        for _ in range(5):
            world.activity()
        first = json_of(world.get("/activity", limit=2))
        world.activity()
        second = json_of(world.get("/activity", limit=2, cursor=first["next_cursor"]))
        third = json_of(world.get("/activity", limit=2, cursor=second["next_cursor"]))
        assert [item["id"] for page in (first, second, third) for item in page["items"]] == ["5", "4", "3", "2", "1"]
        assert third["next_cursor"] is None

    @pytest.mark.parametrize("name", ["campaign_id", "sync_id", "verb", "outcome", "cause", "since"])
    def test_a_filter_that_cannot_be_is_refused(self, world: World, name: str) -> None:
        answer = world.get("/activity", **{name: "nonsense"})
        assert (answer.status_code, faults(answer)) == (422, {f"/{name}": "invalid_request"})


class TestEvents:
    def test_an_event_is_shown_without_what_is_in_it(self, world: World) -> None:
        world.event("a", status="dead", cause="webhook_not_understood", error="no id", attempts=3)
        (item,) = json_of(world.get("/events"))["items"]
        assert item == {
            "id": "1",
            "source": "referral_factory",
            "topic": "joined",
            "status": "dead",
            "cause": "webhook_not_understood",
            "attempts": 3,
            "received_at": "2026-11-22T12:00:00.000Z",
            "settled_at": "2026-11-22T12:00:00.000Z",
            "next_attempt_at": None,
            "error": "no id",
        }

    def test_one_that_waits_says_until_when_unless_it_waits_for_a_vendor(self, world: World) -> None:
        world.event("a", status="retrying", next_attempt_at=world.time)
        world.event("b", held_by="workspace:1")
        held, retrying = json_of(world.get("/events"))["items"]
        assert (held["next_attempt_at"], retrying["next_attempt_at"]) == (None, "2026-11-22T12:00:00.000Z")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["4", "3", "2", "1"]),
            ({"status": "dead"}, ["4", "3"]),
            ({"source": "intercom"}, ["3", "2"]),
            ({"topic": "joined"}, ["4", "1"]),
            ({"status": "dead", "source": "intercom", "topic": "ping"}, ["3"]),
            ({"status": "", "source": "", "topic": ""}, ["4", "3", "2", "1"]),
        ],
    )
    def test_they_are_filtered_newest_first(self, world: World, query: dict[str, str], found: list[str]) -> None:
        world.event("a", status="done")
        world.event("b", status="done", source="intercom", topic="contact.user.updated")
        world.event("c", status="dead", source="intercom", topic="ping")
        world.event("d", status="dead")
        assert ids(world.get("/events", **query)) == found

    @pytest.mark.parametrize("query", [{"status": "open"}, {"source": "somebody"}, {"topic": "x" * 101}])
    def test_a_filter_that_cannot_be_is_refused(self, world: World, query: dict[str, str]) -> None:
        assert list(faults(world.get("/events", **query))) == [f"/{next(iter(query))}"]

    @pytest.mark.parametrize(
        ("content_type", "payload", "shown"),
        [
            (
                "application/json",
                b'{"email": "a@b.co", "nested": [1, 2.5, null]}',
                {"email": "a@b.co", "nested": [1, 2.5, None]},
            ),
            ("application/json", b'{"n": 1e999}', '{"n": 1e999}'),
            ("application/json", b"[1", "[1"),
            (
                "application/json",
                b'{"app": {"access_token": "x", "Client-Secret": {"a": 1}}}',
                {"app": {"access_token": "***", "Client-Secret": "***"}},
            ),
            (
                "application/json",
                b'{"PASSWORD": 5, "authorization": null, "note": "us-secret!"}',
                {"PASSWORD": "***", "authorization": "***", "note": "***!"},
            ),
            (
                "application/x-www-form-urlencoded",
                b"email=a%40b.co&token=x&empty=",
                {"email": "a@b.co", "token": "***", "empty": ""},
            ),
            ("application/json", b"\xff\xfe", "\ufffd\ufffd"),
            ("application/json", None, None),
        ],
    )
    def test_one_event_shows_what_was_sent_with_secrets_masked(
        self, world: World, content_type: str, payload: bytes | None, shown: object
    ) -> None:
        world.connected_workspace()
        world.event("a", status="dead", content_type=content_type)
        with world.database.writing() as connection:
            connection.execute(events.update().values(payload=payload))
        assert json_of(world.get("/events/1"))["payload"] == shown

    def test_a_campaigns_own_secret_is_masked_wherever_it_stands(self, world: World) -> None:
        secret = world.campaign()["webhook"]["secret"]
        world.event("a", status="dead", campaign_id=1, payload=f'{{"url": "https://x/?s={secret}"}}'.encode())
        assert json_of(world.get("/events/1"))["payload"] == {"url": "https://x/?s=***"}


class TestReplaying:
    @pytest.mark.parametrize("status", ["dead", "done"])
    def test_a_settled_event_is_due_again(self, world: World, status: str) -> None:
        world.event("a", status=status, cause="webhook_not_understood", attempts=3, error="no id")
        answer = world.post("/events/1/replay")
        assert answer.status_code == 200
        shown = json_of(answer)
        assert (shown["status"], shown["cause"], shown["attempts"], shown["error"]) == ("received", None, 0, None)
        assert world.bell.rings == 1

    @pytest.mark.parametrize("status", ["received", "processing", "retrying"])
    def test_an_open_event_is_not_replayed(self, world: World, status: str) -> None:
        world.event("a", status=status)
        assert world.post("/events/1/replay").status_code == 409
        assert world.bell.rings == 0

    def test_one_whose_content_was_not_kept_is_not_replayed(self, world: World) -> None:
        world.event("a", status="done")
        with world.database.writing() as connection:
            connection.execute(events.update().values(payload=None))
        assert world.post("/events/1/replay").status_code == 409
        assert json_of(world.post("/events/replay", {"status": "done"})) == {"replayed": 0}

    @pytest.mark.parametrize(
        ("body", "replayed"),
        [
            (None, ["b", "c"]),
            ({}, ["b", "c"]),
            ({"status": "dead"}, ["b", "c"]),
            ({"status": "done"}, ["a"]),
            ({"source": "intercom"}, ["c"]),
            ({"topic": "joined"}, ["b"]),
            ({"status": "dead", "source": "intercom", "topic": "other"}, []),
        ],
    )
    def test_all_events_of_a_filter_are_due_again(self, world: World, body: object, replayed: list[str]) -> None:
        world.event("a", status="done")
        world.event("b", status="dead")
        world.event("c", status="dead", source="intercom", topic="ping")
        world.event("d", status="processing")
        world.event("e", status="retrying")
        assert json_of(world.post("/events/replay", body)) == {"replayed": len(replayed)}
        with world.database.reading() as connection:
            due = connection.execute(select(events.c.dedupe_key).where(events.c.status == "received")).scalars()
            assert sorted(due) == replayed

    @pytest.mark.parametrize("status", ["received", "processing", "retrying"])
    def test_a_filter_for_open_events_is_a_conflict(self, world: World, status: str) -> None:
        assert world.post("/events/replay", {"status": status}).status_code == 409

    @pytest.mark.parametrize("body", [{"statuses": "dead"}, {"status": "open"}, {"topic": ""}])
    def test_a_filter_that_cannot_be_replays_nothing(self, world: World, body: dict[str, str]) -> None:
        world.event("a", status="dead")
        assert world.post("/events/replay", body).status_code == 422
        assert ids(world.get("/events", status="dead")) == ["1"]

    def test_every_dead_event_of_an_outage_is_replayed_in_one_call(self, world: World) -> None:
        world.event("a", status="dead")
        with world.database.writing() as connection:
            (row,) = connection.execute(select(events)).mappings()
            copies = [{**row, "id": n, "dedupe_key": f"copy {n}"} for n in range(2, 1203)]
            connection.execute(events.insert(), copies)
        assert json_of(world.post("/events/replay")) == {"replayed": 1202}
        assert ids(world.get("/events", status="dead")) == []

    def test_a_dead_event_can_be_dismissed_and_keeps_its_cause(self, world: World) -> None:
        world.event("a", status="dead", cause="webhook_not_understood")
        shown = json_of(world.post("/events/1/dismiss"))
        assert (shown["status"], shown["cause"]) == ("done", "webhook_not_understood")

    @pytest.mark.parametrize("status", ["received", "processing", "retrying", "done"])
    def test_another_cannot(self, world: World, status: str) -> None:
        world.event("a", status=status)
        assert world.post("/events/1/dismiss").status_code == 409


class TestPeople:
    def test_a_person_is_shown_with_both_their_selves(self, world: World) -> None:
        world.campaign()
        world.person("1")
        (item,) = json_of(world.get("/people"))["items"]
        assert item == {
            "id": "1",
            "campaign_id": "1",
            "audience": "leads",
            "referral_factory": {
                "id": 7,
                "code": "friend7",
                "email": "lea@example.com",
                "first_name": "Lea",
                "url": "https://example.com/friend7",
            },
            "contact": {
                "id": "c7",
                "role": "lead",
                "url": "https://app.intercom.com/a/apps/app1/users/c7/all-conversations",
            },
            "qualification": {"state": "open", "since": None, "cause": None},
        }

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["3", "2", "1"]),
            ({"email": "LEA@example.com"}, ["2", "1"]),
            ({"campaign_id": "2"}, ["3"]),
            ({"email": "lea@example.com", "campaign_id": "2"}, []),
        ],
    )
    def test_they_are_found_by_email_and_campaign(
        self, world: World, query: dict[str, str], found: list[str]
    ) -> None:
        world.campaign()
        world.campaign(program_id="1", workspace_id="1", referral_factory_id=2)
        world.person("1")
        world.person("1", audience="referrers", contact_id=None, contact_role=None)
        world.person("2", email="max@example.com")
        assert ids(world.get("/people", **query)) == found

    def test_a_persons_timeline_is_what_was_received_and_done_newest_first(self, world: World) -> None:
        world.campaign()
        world.person("1")
        received = world.event("a", status="done", person_key="key-of-lea")
        world.event("b", status="done", person_key="key-of-somebody-else")
        world.time += timedelta(seconds=1)
        world.activity(event_id=received)
        world.activity(email="somebody@example.com", referral_factory_id="8")
        world.time += timedelta(seconds=1)
        waiting = world.event("c", status="retrying", person_key="key-of-lea", error="timed out")
        timeline = json_of(world.get("/people/1"))["timeline"]
        assert [(one["kind"], one["at"], one["event_id"]) for one in timeline] == [
            ("event", "2026-11-22T12:00:02.000Z", str(waiting)),
            ("activity", "2026-11-22T12:00:01.000Z", str(received)),
            ("event", "2026-11-22T12:00:00.000Z", str(received)),
        ]
        assert timeline[0] == {
            "kind": "event",
            "at": "2026-11-22T12:00:02.000Z",
            "event_id": str(waiting),
            "topic": "joined",
            "status": "retrying",
            "verb": None,
            "outcome": None,
            "cause": None,
            "detail": "timed out",
            "fields": [],
        }

    def test_a_timeline_ends_after_two_hundred(self, world: World) -> None:
        world.campaign()
        world.person("1")
        for _ in range(201):
            world.activity()
        timeline = json_of(world.get("/people/1"))["timeline"]
        assert len(timeline) == 200


class TestCauses:
    def test_the_catalogue_is_answered_whole(self, world: World) -> None:
        answer = json_of(world.get("/causes"))
        assert [item["id"] for item in answer["items"]] == [cause.value for cause in Cause]
        assert answer["next_cursor"] is None
        assert all(item["title"] and item["explanation"] and item["remedy"] for item in answer["items"])

    def test_it_is_paged_where_that_is_asked_for(self, world: World) -> None:
        first = json_of(world.get("/causes", limit=30))
        second = json_of(world.get("/causes", limit=200, cursor=first["next_cursor"]))
        assert len(first["items"]) + len(second["items"]) == len(Cause)


class TestLists:
    LISTS = ("/workspaces", "/programs", "/campaigns", "/activity", "/events", "/people", "/causes")

    @pytest.mark.parametrize("path", LISTS)
    @pytest.mark.parametrize("limit", ["0", "-1", "201", "ten", "1.5", "1e2", "９"])
    def test_a_limit_that_cannot_be_is_refused(self, world: World, path: str, limit: str) -> None:
        assert faults(world.get(path, limit=limit)) == {"/limit": "invalid_request"}

    @pytest.mark.parametrize("path", LISTS)
    @pytest.mark.parametrize(
        "cursor", ["x", "????", "MQ==", "bnVsbA", "IjEi", "LTE", "W10", "dHJ1ZQ", "é", "a" * 2001]
    )
    def test_a_broken_cursor_is_refused(self, world: World, path: str, cursor: str) -> None:
        if cursor == "MQ==":  # the number 1: a cursor, if not one that was ever answered
            assert world.get(path, cursor=cursor).status_code == 200
        else:
            assert faults(world.get(path, cursor=cursor)) == {"/cursor": "invalid_request"}

    @pytest.mark.parametrize("path", ["/workspaces/1/attributes", "/workspaces/1/segments"])
    @pytest.mark.parametrize("cursor", ["MQ", "W10", "WzFd", "WyJhIiwiYiIsImMiXQ", "WyJcdTAwMDAiXQ"])
    def test_a_cursor_of_another_list_is_refused(self, world: World, path: str, cursor: str) -> None:
        world.connected_workspace()
        assert faults(world.get(path, cursor=cursor)) == {"/cursor": "invalid_request"}

    @pytest.mark.parametrize("path", LISTS)
    def test_a_filter_that_there_is_not_is_refused(self, world: World, path: str) -> None:
        assert faults(world.get(path, colour="red")) == {"/colour": "invalid_request"}

    def test_all_wrong_filters_are_named_at_once(self, world: World) -> None:
        query = urlencode({"limit": 0, "since": "yesterday", "verb": "sing"})
        assert set(faults(world.ask("GET", "/activity", query_string=query))) == {"/limit", "/since", "/verb"}


def test_the_description_knows_every_state_that_a_referral_can_be_in() -> None:
    assert set(QUALIFICATIONS) == set(STATES)
