"""The front page: the vendor's own test steps, by hand."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from sandbox.faults import KINDS
from sandbox.page_forms import KIND_WORDS
from sandbox.world import World
from tests.sandbox.conftest import Caller


def _text(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.text


def test_an_empty_sandbox_says_what_to_do(client: FlaskClient) -> None:
    page = _text(client, "/")
    for words in (
        "Intercom has no contacts yet",
        "No friend has signed up yet",
        "Nothing has been sent yet",
        "No fault is on",
        "intercom-sandbox-token",
    ):
        assert words in page


def test_the_whole_way_by_hand(client: FlaskClient, intercom: Caller, world: World) -> None:
    assert "Join as a referrer" in _text(client, "/join/summer")
    joined = client.post("/join/summer", data={"first_name": "Otto", "email": "otto@example.com"}).text
    found = re.search(r'href="(/r/\w+)"', joined)
    assert found is not None
    link = found[1]
    assert "Otto has invited you" in _text(client, link)
    friend = {"first_name": "Fay", "email": "fay@example.com", "meta-1": "Friend", "meta-2": "Acme"}
    assert "You have signed up" in client.post(link, data=friend).text
    twice = client.post(link, data={**friend, "email": "FAY@example.com"})
    assert twice.status_code == 422
    assert "already been taken" in twice.text

    made = intercom("POST", "/contacts", {"role": "lead", "email": "fay@example.com"}).json
    path = f"/contacts/sandbox1/{made['id']}"
    assert path in _text(client, "/")
    plan, trial_ends, newsletter = (
        world.workspaces["sandbox1"].attributes[name]["id"] for name in ("plan", "Trial ends", "Newsletter")
    )
    changes = {
        f"attribute-{plan}": "pro",
        f"attribute-{trial_ends}": "2026-12-24",
        f"attribute-{newsletter}": "false",
    }
    assert client.post(path, data={"name": "Fay", **changes}).status_code == 303
    kept = intercom("GET", f"/contacts/{made['id']}").json
    assert kept["custom_attributes"] == {"plan": "pro", "Trial ends": 1798070400, "Newsletter": False}
    assert kept["name"] == "Fay"
    assert client.post(path, data={f"attribute-{plan}": ""}).status_code == 303
    assert intercom("GET", f"/contacts/{made['id']}").json["custom_attributes"]["plan"] is None
    for action, state in (("promote", "live"), ("archive", "archived"), ("unarchive", "live"), ("delete", "deleted")):
        assert client.post(path, data={"action": action}).status_code == 303
        contact = world.workspaces["sandbox1"].contacts[made["id"]]
        assert (contact["role"], contact["state"]) == ("user", state)
    refused = client.post(path, data={"action": "unarchive"})
    assert refused.status_code == 400
    assert "not restorable" in refused.text


@pytest.mark.parametrize("path", ["/join/none", "/r/none", "/contacts/none/none", "/contacts/sandbox1/none"])
def test_what_is_not_there_is_said_in_words(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "does not exist" in answer.text


def test_every_value_is_escaped(client: FlaskClient, intercom: Caller) -> None:
    nasty = "<script>alert(1)</script>"
    body = {"role": "lead", "name": nasty, "email": "a@b.co", "custom_attributes": {"Company name": nasty}}
    made = intercom("POST", "/contacts", body).json
    client.post("/join/summer", data={"first_name": nasty, "email": "x@example.com"})
    pages = [_text(client, path) for path in ("/", f"/contacts/sandbox1/{made['id']}", f"/?said={nasty}")]
    assert all("<script" not in page and "&lt;script&gt;" in page for page in pages)


def test_faults_and_the_clock_have_buttons(client: FlaskClient, intercom: Caller, world: World) -> None:
    client.post("/faults", data={"choice": "intercom-down", "count": "1"})
    page = _text(client, "/")
    assert "Intercom: <b>Is unavailable (503)</b>" in page
    assert "The fault is on." not in page
    assert [intercom("GET", "/me").status_code for _ in range(2)] == [503, 200]
    client.post("/faults", data={})
    assert world.faults.rules == []
    client.post("/clock", data={"seconds": "180"})
    assert world.clock.ahead == 180


def test_a_contact_not_yet_in_search_is_marked(client: FlaskClient, intercom: Caller, world: World) -> None:
    world.settings.change({"index_delay_seconds": 120})
    intercom("POST", "/contacts", {"email": "a@b.co"})
    assert "not yet in search" in _text(client, "/")
    world.clock.advance(121)
    assert "not yet in search" not in _text(client, "/")


def test_every_kind_of_fault_has_words(client: FlaskClient, control: Caller) -> None:
    for kind in KINDS:
        control("POST", "/faults", {"kind": kind})
    page = _text(client, "/")
    assert all(f"<b>{words}</b>" in page for words in KIND_WORDS.values())
