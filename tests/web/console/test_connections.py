"""The connections' pages: connecting, trying, mending and disconnecting, and what each says of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import update

from app.core.errors import Unauthorized, Unavailable, Vendor
from app.core.people import Role
from app.storage import circuits, heard, programs, workspaces
from app.storage.circuits import Broken
from app.storage.database import Database
from app.storage.tables import events
from schemas.intercom import Segment
from tests.fakes import FakeIntercom, custom
from tests.web.api.conftest import PROGRAM, WORKSPACE, World
from tests.web.console.marketer import Marketer

NEW_WORKSPACE: dict[str, Any] = dict(WORKSPACE)
NEW_PROGRAM: dict[str, Any] = dict(PROGRAM)

NASTY = "<script>alert(1)</script> \"quoted\" & 'so' \u202eשלום 🎉"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def mara(world: World) -> Marketer:
    return Marketer(world)


def workspace(world: World, workspace_id: int = 1) -> Any:
    with world.database.reading() as connection:
        return workspaces.get(connection, workspace_id)


def program(world: World, program_id: int = 1) -> Any:
    with world.database.reading() as connection:
        return programs.get(connection, program_id)


def revoke(world: World) -> None:
    """The token is refused from now on, and we have noticed."""
    with world.database.writing() as connection:
        row = workspaces.get(connection, 1)
        assert row is not None
        workspaces.lose(connection, 1, row.token_digest, "intercom_unauthorized", world.time)


def hold(world: World, name: str, number: int) -> None:
    ids = [world.event(f"{name}{n}") for n in range(number)]
    with world.database.writing() as connection:
        connection.execute(update(events).where(events.c.id.in_(ids)).values(held_by=name))


class TestConnectingAWorkspace:
    def test_begins_on_the_empty_page(self, mara: Marketer) -> None:
        mara.get("/connections")
        assert "No workspace yet" in mara.words
        assert "No program yet" in mara.words

    def test_says_where_token_and_secret_are_and_what_to_tick(self, mara: Marketer) -> None:
        mara.get("/workspaces/new")
        for words in ("Developer Hub", "Access token", "Client secret", "Write users and companies", "Edit"):
            assert words in mara.words

    def test_keeps_it_and_goes_on_to_the_webhooks(self, mara: Marketer, world: World) -> None:
        mara.get("/workspaces/new")
        mara.send(303, **NEW_WORKSPACE)
        assert mara.path == "/workspaces/1"
        assert "The workspace is connected" in mara.words
        assert "https://referloop.example.com/webhooks/intercom" in mara.text
        assert "contact.user.updated" in mara.words
        assert workspace(world).name == WORKSPACE["name"]

    @pytest.mark.parametrize(
        ("changes", "status", "words"),
        [
            ({"name": " "}, 422, "This must not be blank."),
            ({"access_token": "someone-elses"}, 422, "Intercom refuses this token."),
            ({"region": "eu"}, 422, "and takes it in us"),
            ({"region": "mars"}, 422, "This must be one of: us, eu, au."),
            ({"client_secret": "two words"}, 422, "without spaces"),
        ],
        ids=["no name", "refused token", "another region", "no region", "no secret"],
    )
    def test_says_at_the_field_what_is_wrong(
        self, mara: Marketer, changes: dict[str, Any], status: int, words: str
    ) -> None:
        mara.get("/workspaces/new")
        mara.send(status, **{**NEW_WORKSPACE, "name": "Acme of ours", **changes})
        assert words in mara.words
        assert "is-invalid" in mara.text
        if "name" not in changes:
            assert 'value="Acme of ours"' in mara.text, "nothing typed is lost"
        for secret in (WORKSPACE["access_token"], WORKSPACE["client_secret"]):
            assert secret not in mara.text

    def test_twice_says_that_it_is_there(self, mara: Marketer, world: World) -> None:
        world.connected_workspace()
        mara.get("/workspaces/new")
        mara.send(409, **NEW_WORKSPACE)
        assert "That is already here" in mara.words

    def test_says_so_while_intercom_is_away(self, mara: Marketer, world: World) -> None:
        world.intercom.fail("me", Unavailable(Vendor.INTERCOM, "Intercom timed out."))
        mara.get("/workspaces/new")
        mara.send(503, **NEW_WORKSPACE)
        assert "Intercom can't be reached" in mara.words


class TestAWorkspace:
    @pytest.fixture(autouse=True)
    def _connected(self, world: World) -> None:
        world.intercom.segment_list = [Segment("s1", "Paying " + NASTY, Role.USER, 12_345)]
        world.connected_workspace()

    def test_shows_every_attribute_with_why_it_can_not_be_filled(self, mara: Marketer) -> None:
        mara.get("/workspaces/1")
        assert "The attribute is archived" in mara.words
        assert "This type of attribute can't be filled" in mara.words
        assert "Referral Link" in mara.words

    def test_shows_its_segments_harmlessly(self, mara: Marketer) -> None:
        mara.get("/workspaces/1")
        assert NASTY in mara.words
        assert "<script>alert" not in mara.text
        assert "Segments (1)" in mara.words

    def test_tells_when_each_topic_came_last(self, mara: Marketer, world: World) -> None:
        with world.database.writing() as connection:
            heard.note(
                connection, [("workspace:1", "contact.merged", world.time), ("workspace:1", "ping", world.time)]
            )
        mara.get("/workspaces/1")
        assert mara.words.count("22 Nov 2026, 12:00:00 UTC") >= 3
        assert "ping Not needed here" in mara.words
        mara.get("/connections")
        assert "Webhook last received: 22 Nov 2026, 12:00:00 UTC" in mara.words

    def test_is_tried_at_once(self, mara: Marketer) -> None:
        mara.post("/workspaces/1/test", 303)
        assert "Intercom accepts the token, and lets us read contacts, attributes and segments." in mara.words

    def test_that_misses_a_permission_names_it_with_the_remedy(self, mara: Marketer, world: World) -> None:
        world.intercom.fail("segments", Unauthorized(Vendor.INTERCOM, "no", status=403))
        mara.post("/workspaces/1/test", 303)
        assert "does not allow: Read the list of segments" in mara.words
        assert "A permission is missing in Intercom" in mara.words
        assert "segments_read" in mara.words
        assert "“Read and list users and companies”" in mara.words

    def test_whose_token_ended_is_red_and_says_since_when_and_what_waits(self, mara: Marketer, world: World) -> None:
        refused = Unauthorized(Vendor.INTERCOM, "no", status=401)
        world.intercom.fail("me", refused)
        mara.post("/workspaces/1/test", 303)
        hold(world, "workspace:1", 3)
        mara.get("/connections")
        assert "border-danger" in mara.text
        assert "Intercom does not accept the access token" in mara.words
        assert "Since 22 Nov 2026, 12:00:00 UTC" in mara.words
        assert "3 events wait for it" in mara.words

    def test_that_works_again_is_given_back_by_a_test(self, mara: Marketer, world: World) -> None:
        revoke(world)
        hold(world, "workspace:1", 1)
        world.time += timedelta(hours=1)
        mara.post("/workspaces/1/test", 303)
        row = workspace(world)
        assert (row.state, row.state_since) == ("connected", world.time)
        assert "event waits" not in mara.words

    def test_behind_an_open_circuit_says_so(self, mara: Marketer, world: World) -> None:
        broken = Broken("intercom:1", "intercom_unavailable", timedelta(seconds=10))
        with world.database.writing() as connection:
            circuits.open_(connection, broken, world.time)
        hold(world, "intercom:1", 2)
        mara.get("/workspaces/1")
        assert "needs attention" in mara.words
        assert "Intercom can't be reached" in mara.words
        assert "2 events wait" in mara.words

    def test_is_refreshed(self, mara: Marketer, world: World) -> None:
        world.intercom.catalogue["custom_attributes.New"] = custom("New")
        mara.post("/workspaces/1/refresh", 303)
        assert "Read anew from Intercom" in mara.words
        assert "custom_attributes.New" in mara.words

    def test_that_can_not_be_asked_says_so(self, mara: Marketer, world: World) -> None:
        for path in ("test", "refresh"):
            for operation in ("me", "probe_contacts"):
                world.intercom.fail(operation, Unavailable(Vendor.INTERCOM, "Intercom timed out."))
            mara.post(f"/workspaces/1/{path}", 303)
            assert "Intercom can't be reached" in mara.words

    def test_is_renamed(self, mara: Marketer, world: World) -> None:
        mara.post("/workspaces/1/name", 303, name=NASTY)
        assert NASTY in mara.words
        mara.post("/workspaces/1/name", 422, name="")
        assert "This must not be blank." in mara.words

    def test_takes_a_new_token_of_the_same_workspace_alone(self, mara: Marketer, world: World) -> None:
        world.vendors.intercoms["us", "another"] = FakeIntercom("app2")
        mara.post("/workspaces/1/token", 422, region="us", access_token="another")
        assert "This token is of another workspace (app2)" in mara.words
        world.vendors.intercoms["us", "newer"] = world.intercom
        mara.post("/workspaces/1/token", 303, region="us", access_token="newer")
        assert "Intercom accepts the new token" in mara.words
        assert world.services.vault.open(workspace(world).token) == "newer"

    def test_takes_a_new_client_secret_and_says_how_long_the_former_one_is_valid(self, mara: Marketer) -> None:
        mara.post("/workspaces/1/secret", 303, client_secret="newer-secret")
        assert "accepted until 23 Nov 2026, 12:00:00 UTC" in mara.words
        assert "newer-secret" not in mara.text

    def test_is_disconnected_with_everything_kept_and_connected_again(self, mara: Marketer, world: World) -> None:
        mara.post("/workspaces/1/disconnect", 303)
        assert "Disconnected by a teammate" in mara.words
        assert "Referral Link" in mara.words, "what was read stays"
        for path in ("test", "refresh"):
            mara.post(f"/workspaces/1/{path}", 303)
            assert "Give it a new access token first" in mara.words
        mara.post("/workspaces/1/token", 303, region="us", access_token="us-token")
        assert workspace(world).state == "connected"

    def test_that_is_not_there_is_no_page(self, mara: Marketer) -> None:
        mara.get("/workspaces/99", 404)
        mara.post("/workspaces/99/name", 404, name="x")


class TestAProgram:
    def test_is_connected(self, mara: Marketer, world: World) -> None:
        mara.get("/programs/new")
        assert "Copy API Key" in mara.words
        mara.send(303, **NEW_PROGRAM, user_limit="20,000")
        assert mara.path == "/programs/1"
        assert program(world).user_limit == 20_000
        assert 'value="20000"' in mara.text

    @pytest.mark.parametrize(
        ("changes", "status", "words"),
        [
            ({"access_token": "wrong"}, 422, "Referral Factory refuses this token."),
            ({"user_limit": "many"}, 422, "This must be a whole number"),
            ({"user_limit": "99999999999999999999999"}, 422, "This must be a whole number"),
        ],
        ids=["token", "no number", "too large"],
    )
    def test_says_at_the_field_what_is_wrong(
        self, mara: Marketer, changes: dict[str, Any], status: int, words: str
    ) -> None:
        mara.get("/programs/new")
        mara.send(status, **{**NEW_PROGRAM, **changes})
        assert words in mara.words
        assert "rf-token" not in mara.text

    def test_is_tried_changed_and_disconnected(self, mara: Marketer, world: World) -> None:
        world.connected_program()
        mara.post("/programs/1/test", 303)
        assert "accepts the token, and lists 2 campaigns" in mara.words
        mara.post("/programs/1/settings", 303, name="Ours", user_limit="")
        assert (program(world).name, program(world).user_limit) == ("Ours", None)
        mara.post("/programs/1/disconnect", 303)
        assert "Disconnected by a teammate" in mara.words
        mara.post("/programs/1/test", 303)
        assert "Give it a new access token first" in mara.words
        mara.post("/programs/1/token", 422, access_token="wrong")
        assert "Referral Factory refuses this token." in mara.words
        mara.post("/programs/1/token", 303, access_token="rf-token")
        assert program(world).state == "connected"

    def test_whose_token_ended_says_so(self, mara: Marketer, world: World) -> None:
        world.connected_program()
        world.referral_factory.fail("campaigns", Unauthorized(Vendor.REFERRAL_FACTORY, "no", status=401))
        mara.post("/programs/1/test", 303)
        assert "Referral Factory does not accept the access token" in mara.words
        assert program(world).state == "disconnected"


class TestATeammateWithoutTheRight:
    def test_sees_everything_and_can_change_nothing(self, world: World) -> None:
        world.connected_workspace()
        world.connected_program()
        guest = Marketer(world, "guest@example.com", may_manage=False)
        for path in ("/connections", "/workspaces/1", "/workspaces/new", "/programs/1", "/programs/new"):
            guest.get(path)
            assert "You may look, but not change this" in guest.words
        guest.post("/workspaces/1/name", 403, name="Mine")
        assert workspace(world).name == WORKSPACE["name"]


@pytest.fixture
def counted(world: World) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    sql_event.listen(world.database.engine, "before_cursor_execute", note)
    yield found
    sql_event.remove(world.database.engine, "before_cursor_execute", note)


def test_many_connections_cost_as_many_queries_as_one(mara: Marketer, world: World, counted: list[str]) -> None:
    world.connected_workspace()
    mara.get("/connections")
    counted.clear()
    mara.get("/connections")
    one = len(counted)
    for number in range(30):
        with world.database.writing() as connection:
            workspaces.add(
                connection,
                app_id=f"other{number}",
                name=f"Other {number}",
                region="us",
                timezone="UTC",
                state="connected",
                missing_permissions=[],
                created_at=world.time,
            )
    counted.clear()
    mara.get("/connections")
    assert len(counted) == one
    assert "More workspaces" in mara.words
