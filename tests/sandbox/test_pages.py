"""The front page: the vendor's own test steps, by hand."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from sandbox.faults import AFTER, BEFORE
from sandbox.page_forms import FAULTS, KIND_WORDS, PLIGHTS
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
    assert set(KIND_WORDS) == {*BEFORE, *AFTER}
    for kind in KIND_WORDS:
        control("POST", "/faults", {"kind": kind})
    page = _text(client, "/")
    assert all(f"<b>{words}</b>" in page for words in KIND_WORDS.values())


def test_every_fault_to_choose_can_be_switched_on(client: FlaskClient, world: World) -> None:
    for choice in FAULTS:
        assert client.post("/faults", data={"choice": choice}).status_code == 303
    assert len(world.faults.rules) == len(FAULTS)


@pytest.fixture
def contact(control: Caller) -> Callable[..., str]:
    """Makes a contact; its page's address."""
    control("POST", "/intercom/sandbox1/webhook", {"url": "http://127.0.0.1:9/"})

    def make(role: str = "lead", email: str = "fay@example.com", **more: str) -> str:
        body = {"role": role, "email": email, "notification": "silent", **more}
        return "/contacts/sandbox1/" + str(control("POST", "/intercom/sandbox1/contacts", body).json["id"])

    return make


def _attribute(world: World, name: str) -> str:
    return str(world.workspaces["sandbox1"].attributes[name]["id"])


def _after(client: FlaskClient, path: str, **form: str) -> str:
    answer = client.post(path, data=form, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_contact_is_converted_by_one_plain_form(
    client: FlaskClient, control: Caller, world: World, contact: Callable[..., str]
) -> None:
    path = contact()
    assert "Nobody there has this email" in _text(client, path)
    lead = {"campaign_id": 1, "first_name": "Fay", "email": "Fay@example.com"}
    control("POST", "/referral-factory/users", {**lead, "referrer": {"field": "id", "value": 1}})
    page = _text(client, path)
    assert "invited by rita@example.com, <b>Pending</b>" in page
    assert "Referloop marks the referral as qualified" in page
    page = _after(client, path, action="convert", attribute=_attribute(world, "plan"), value="pro")
    assert "Done. Referloop hears of it by webhook." in page
    assert "plan (now pro)" in page
    page = _after(client, path, action="convert", attribute=_attribute(world, "Newsletter"), value="Yes")
    kept = world.workspaces["sandbox1"].contacts[path.rpartition("/")[2]]["custom_attributes"]
    assert kept == {"plan": "pro", "Newsletter": True}
    world.factory.accounts["sandbox"].people[2]["qualified_at"] = "2026-11-22"
    assert "<b>Qualified</b> on" in _text(client, path)
    assert "a referrer with 1 referral, <b>0 qualified</b>" in _text(client, contact("user", "rita@example.com"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("plan", "gold", "plan takes trial or pro or team."),
        ("Referrals", "many", "Referrals takes a whole number."),
        ("Newsletter", "maybe", "Newsletter takes yes or no."),
        ("Trial ends", "soon", "Trial ends takes a day, such as 2026-12-24."),
        ("Lifetime value", "<b>", "Lifetime value takes a number."),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_words(
    client: FlaskClient, world: World, contact: Callable[..., str], name: str, value: str, words: str
) -> None:
    path = contact()
    form = {"action": "convert", "attribute": _attribute(world, name), "value": value}
    answer = client.post(path, data=form)
    assert answer.status_code == 400
    assert words in answer.text
    assert f"<b>{value}" not in answer.text.replace("<b>What", "")
    assert world.workspaces["sandbox1"].contacts[path.rpartition("/")[2]]["custom_attributes"] == {}
    assert client.post(path, data={**form, "attribute": "0"}).status_code == 400
    assert client.post(path, data={"action": "fly"}).status_code == 400


def test_a_lead_merges_into_the_user_of_its_email(
    client: FlaskClient, world: World, contact: Callable[..., str]
) -> None:
    lead = contact(name="Fay")
    assert "Merge into the user" not in _text(client, lead)
    user = contact("user", name="<Fay>")
    assert "Merge into the user &lt;Fay&gt;" in _text(client, lead)
    assert "Merge into the user" not in _text(client, user)
    refused = client.post(lead, data={"action": "promote"})
    assert (refused.status_code, "Merge this lead into that user instead" in refused.text) == (400, True)
    page = _after(client, lead, action="merge")
    assert f'Merged into <a href="{user}">' in page
    assert [delivery.topic for delivery in world.sender.recent] == ["contact.merged"]
    assert client.post(lead, data={"action": "merge"}).status_code == 400


@pytest.mark.parametrize("choice", [choice for choice in PLIGHTS if choice != "normal"])
def test_notifications_go_astray_by_choice(
    client: FlaskClient, world: World, contact: Callable[..., str], choice: str
) -> None:
    path = contact()
    before = world.settings.as_dict()
    words = PLIGHTS[choice][1]

    def choose(choice: str, count: str = "") -> str:
        return _after(client, "/notifications", vendor="intercom", choice=choice, count=count)

    assert f'Intercom: <b class="off">all are {words}</b>' in choose(choice)
    assert f"as they should: all are {words}" in _text(client, path)
    assert f'Intercom: <b class="off">the next 2 are {words}</b>' in choose(choice, "2")
    fates = []
    for number in range(3):
        page = _after(client, path, name=f"Fay {number}")
        fates.append(max((*world.sender.recent, *world.sender.lost), key=lambda each: each.created_at).fate)
        assert ("lost on purpose" in page) is (choice == "lose" and number < 2)
    assert fates == [choice, choice, "send"]
    assert "Intercom: sent once and in order, as normal" in _text(client, "/")
    choose(choice)
    assert "Intercom: sent once and in order, as normal" in choose("normal")
    assert world.settings.as_dict() == before
    assert client.post("/notifications", data={"vendor": "intercom", "choice": "eaten"}).status_code == 404


def test_a_contact_nobody_hears_of_says_so(client: FlaskClient, control: Caller, contact: Callable[..., str]) -> None:
    path = contact()
    control("POST", "/intercom/sandbox1/webhook", {"url": None})
    assert "no address is set" in _text(client, path)
    assert "No notification goes out" in _after(client, path, name="Fay")


def test_who_has_qualified_is_shown(client: FlaskClient, control: Caller, factory: Caller) -> None:
    lead = {"campaign_id": 1, "first_name": "Fay", "email": "f@example.com", "referrer": {"field": "id", "value": 1}}
    made = control("POST", "/referral-factory/users", lead).json
    assert re.search(r'data-label="Status">\s*Pending', _text(client, "/"))
    factory("PUT", "/users/qualification", {"id": made["id"], "qualified": True})
    page = _text(client, "/")
    assert '<td data-label="Status"><b>Qualified</b>' in page
    assert re.search(r'data-label="Referrals">1</td>\s*<td class="number" data-label="Qualified">1<', page)
