"""What tests and demos can make happen: many changes at once, notifications gone astray, qualifications counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sandbox.world import World
from tests.sandbox.conftest import Caller, find

CONTACTS = "/intercom/sandbox1/contacts"
RITA = {"field": "email", "value": "rita@example.com"}


@pytest.fixture(autouse=True)
def subscribed(control: Caller) -> None:
    # Nothing is sent, for nobody has started the sender: what is queued and what is lost can be told all the same.
    control("POST", "/intercom/sandbox1/webhook", {"url": "http://127.0.0.1:9/"})


def _leads(control: Caller, number: int) -> list[str]:
    people = [{"role": "lead", "email": f"p{each}@b.co"} for each in range(number)]
    made = control("POST", f"{CONTACTS}/changes", {"changes": people, "notification": "silent"}).json
    assert made["refused"] == 0
    return [result["id"] for result in made["results"]]


def _told(control: Caller) -> list[tuple[str, str, str]]:
    """Topic, id and fate of each notification, also of those lost."""
    seen = control("GET", "/webhooks").json
    return [(row["topic"], row["about"], row["fate"]) for row in seen["sent"] + seen["lost"]]


def _convert(ids: list[str], **more: Any) -> dict[str, Any]:
    return {"changes": [{"id": each, "custom_attributes": {"plan": "pro"}} for each in ids], **more}


def test_many_contacts_change_in_one_call_each_with_a_fate_of_its_own(control: Caller, world: World) -> None:
    ids = _leads(control, 7)
    fates = ["send", "lose", "double", "triple", "late", "overtaken", "silent"]
    changes = [
        {"id": each, "custom_attributes": {"plan": "pro"}, "notification": fate}
        for each, fate in zip(ids, fates, strict=True)
    ]
    answer = control("POST", f"{CONTACTS}/changes", {"changes": changes}).json
    assert [result["notifications"] for result in answer["results"]] == [*([fate] for fate in fates[:6]), []]
    topic = "contact.lead.updated"
    assert sorted(_told(control)) == sorted(
        (topic, each, fate) for each, fate in zip(ids[:6], fates[:6], strict=True)
    )
    assert world.sender.waiting() == 1 + 2 + 3 + 1 + 1
    plans = {row["custom_attributes"].get("plan") for row in control("GET", CONTACTS).json["contacts"]}
    assert plans == {"pro"}


def test_fates_by_chance_are_the_same_for_the_same_seed(control: Caller) -> None:
    ids = _leads(control, 200)
    chances = {"lose": 0.2, "double": 0.2, "late": 0.1}

    def run(seed: int) -> list[list[str]]:
        answer = control("POST", f"{CONTACTS}/changes", _convert(ids, chances=chances, seed=seed)).json
        return [result["notifications"] for result in answer["results"]]

    first = run(7)
    assert run(7) == first
    assert run(8) != first
    counted = Counter(fate for (fate,) in first)
    assert set(counted) == {"lose", "double", "late", "send"}
    assert 20 < counted["lose"] < 60


def test_a_refused_change_stops_none_of_the_others(control: Caller) -> None:
    (made,) = _leads(control, 1)
    changes = [
        {"id": "nobody", "name": "x"},
        {"id": made, "action": "fly"},
        {"id": made, "custom_attributes": {"Referrals": "many"}},
        {"id": made, "name": "Ann"},
    ]
    answer = control("POST", f"{CONTACTS}/changes", {"changes": changes}).json
    assert answer["refused"] == 3
    assert ["error" in result for result in answer["results"]] == [True, True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"changes": "all"},
        {"changes": [], "notification": "shout"},
        {"changes": [{"id": "1", "notification": "shout"}]},
        {"changes": [], "chances": {"send": 0.1, "shout": 0.1}},
    ],
)
def test_changes_that_make_no_sense_change_nothing(control: Caller, body: dict[str, Any]) -> None:
    assert control("POST", f"{CONTACTS}/changes", body).status_code == 400


@pytest.mark.parametrize(
    ("action", "topic", "state", "role"),
    [
        ("archive", "contact.archived", "archived", "lead"),
        ("delete", "contact.deleted", "deleted", "lead"),
        ("block", "contact.archived", "blocked", "lead"),
        ("promote", "contact.lead.signed_up", "live", "user"),
        ("save", "contact.lead.updated", "live", "lead"),
    ],
)
@pytest.mark.parametrize("silent", [True, False])
def test_a_teammate_acts_with_and_without_a_word(
    control: Caller, world: World, action: str, topic: str, state: str, role: str, silent: bool
) -> None:
    (made,) = _leads(control, 1)
    body = {"notification": "silent"} if silent else {}
    assert control("POST", f"{CONTACTS}/{made}/{action}", body).status_code == 200
    contact = world.workspaces["sandbox1"].contacts[made]
    assert (contact["state"], contact["role"]) == (state, role)
    assert _told(control) == ([] if silent else [(topic, made, "send")])
    if action == "archive":
        control("POST", f"{CONTACTS}/{made}/unarchive", body)
        assert world.workspaces["sandbox1"].contacts[made]["state"] == "live"
        assert len(_told(control)) == (0 if silent else 2)


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_lead_is_merged_with_and_without_a_word(
    control: Caller, intercom: Caller, silent: bool, named: bool
) -> None:
    people = [{"role": "lead", "email": "a@b.co"}, {"role": "user", "email": "other@b.co" if named else "a@b.co"}]
    lead, user = (control("POST", CONTACTS, {**person, "notification": "silent"}).json["id"] for person in people)
    body = {**({"into": user} if named else {}), **({"notification": "silent"} if silent else {})}
    assert control("POST", f"{CONTACTS}/{lead}/merge", body).json["id"] == user
    assert intercom("GET", f"/contacts/{lead}").status_code == 410
    assert _told(control) == ([] if silent else [("contact.merged", user, "send")])
    assert control("POST", f"{CONTACTS}/{user}/merge").status_code == 400


def test_a_merge_in_the_background_can_be_silent(control: Caller) -> None:
    for role in ("lead", "user"):
        control("POST", CONTACTS, {"role": role, "email": "a@b.co", "notification": "silent"})
    merge = {"email": "a@b.co", "notification": "silent"}
    assert control("POST", "/intercom/sandbox1/auto-merge", merge).status_code == 200
    assert _told(control) == []


def test_rules_choose_notifications_by_topic_text_and_count(control: Caller, intercom: Caller) -> None:
    first, second = _leads(control, 2)
    rules = [
        {"kind": "webhook_lose", "vendor": "intercom", "body": first, "count": 1},
        {"kind": "webhook_triple", "path": "contact.lead.updated", "body": "p1@b.co"},
    ]
    for rule in rules:
        assert control("POST", "/faults", rule).status_code == 200
    for each in (first, second, first):
        control("PUT", f"{CONTACTS}/{each}", {"name": f"x{each}"})
    assert [fate for _, about, fate in _told(control) if about == first] == ["send", "lose"]
    assert [fate for _, about, fate in _told(control) if about == second] == ["triple"]
    # They are about notifications and never strike calls.
    assert intercom("GET", "/me").status_code == 200
    assert [rule["struck"] for rule in control("GET", "/faults").json["faults"]] == [1, 1]


def test_a_doubled_one_may_be_sent_more_often(control: Caller, world: World) -> None:
    (made,) = _leads(control, 1)
    control("PUT", "/settings", {"intercom_webhook_duplicate": 1, "intercom_webhook_copies": 3})
    control("PUT", f"{CONTACTS}/{made}", {"name": "Ann"})
    assert _told(control) == [("contact.lead.updated", made, "triple")]
    assert world.sender.waiting() == 3


@pytest.mark.parametrize("status", [404, 422, 500, 503])
@pytest.mark.parametrize("kind", ["error_before", "error_after"])
def test_a_qualification_can_be_answered_with_anything_before_or_after_its_effect(
    control: Caller, factory: Caller, kind: str, status: int
) -> None:
    lead = _lead(control)
    rule = {"kind": kind, "vendor": "referral_factory", "method": "PUT", "path": "/users/qualification"}
    control("POST", "/faults", {**rule, "status": status, "count": 1})
    body = {"id": lead["id"], "qualified": True}
    answer = factory("PUT", "/users/qualification", body)
    assert answer.status_code == status
    assert ("errors" in answer.json) is (status == 422)
    qualified = factory("GET", f"/users/{lead['id']}").json["data"]["qualified_at"]
    assert (qualified is not None) is (kind == "error_after")
    assert factory("PUT", "/users/qualification", body).status_code == 200
    (row,) = control("GET", "/referral-factory/qualifications").json["people"]
    assert (row["id"], row["changed"], row["received"]) == (lead["id"], 1, 2 if kind == "error_after" else 1)


def test_a_fault_can_last_a_while(control: Caller, factory: Caller, world: World) -> None:
    control("POST", "/faults", {"kind": "unavailable", "vendor": "referral_factory", "for_seconds": 60})
    assert [factory("GET", "/users").status_code for _ in range(3)] == [503] * 3
    world.clock.advance(61)
    assert factory("GET", "/users").status_code == 200


def _lead(control: Caller, email: str = "l@example.com", **more: Any) -> dict[str, Any]:
    body = {"campaign_id": 1, "first_name": "L", "email": email, "referrer": RITA, **more}
    made = control("POST", "/referral-factory/users", body)
    assert made.status_code == 200, made.json
    person: dict[str, Any] = made.json
    return person


def test_people_come_and_go_without_any_webhook(control: Caller, factory: Caller, world: World) -> None:
    hook = {"url": "http://127.0.0.1:9/", "topic": "joined"}
    control("POST", "/referral-factory/1/webhooks", hook)
    lead = _lead(control)
    assert (lead["type"], lead["source"]) == ("person_invited", "Added")
    many = [
        {"campaign_id": 2, "first_name": "M", "email": f"m{each}@example.com", "source": "Widget"}
        for each in range(3)
    ]
    made = control("POST", "/referral-factory/users", {"users": many}).json["users"]
    assert [person["source"] for person in made] == ["Widget"] * 3
    assert world.sender.waiting() == 0
    factory("POST", "/users", {"campaign_id": 1, "first_name": "N", "email": "n@example.com"})
    assert world.sender.waiting() == 1
    assert control("DELETE", f"/referral-factory/users/{lead['id']}").json["email"] == "l@example.com"
    assert factory("GET", f"/users/{lead['id']}").status_code == 404
    assert control("DELETE", f"/referral-factory/users/{lead['id']}").status_code == 404
    assert control("POST", "/referral-factory/users", {"campaign_id": 9}).status_code == 404
    assert world.sender.waiting() == 1


def test_qualifications_are_counted_for_each_person(control: Caller, factory: Caller) -> None:
    ann, bob = _lead(control, "ann@example.com"), _lead(control, "bob@example.com")
    calls = [
        {"id": ann["id"], "qualified": True},
        {"code": ann["code"], "qualified": True},
        {"email": "ANN@example.com", "campaign_id": 1, "qualified": False},
        {"id": ann["id"], "qualified": False},
        {"id": ann["id"], "qualified": True},
        {"id": bob["id"], "qualified": False},
        {"id": 1, "qualified": True},
        {"id": 99, "qualified": True},
        {"email": "ann@example.com", "qualified": True},
    ]
    answers = [factory("PUT", "/users/qualification", body).status_code for body in calls]
    assert answers == [200] * 6 + [422, 404, 422]
    told = control("GET", "/referral-factory/qualifications").json
    counted = {
        row["id"]: tuple(row[key] for key in ("received", "changed", "qualified", "reverted"))
        for row in told["people"]
    }
    assert counted == {ann["id"]: (5, 3, 2, 1), bob["id"]: (1, 0, 0, 0), 1: (1, 0, 0, 0)}
    assert told["nobody"] == 2
    control("POST", "/counts/reset")
    assert control("GET", "/referral-factory/qualifications").json == {"people": [], "nobody": 0}


def test_the_owner_of_the_account_may_qualify_too(control: Caller, factory: Caller, world: World) -> None:
    control("POST", "/referral-factory/1/webhooks", {"url": "http://127.0.0.1:9/", "topic": "qualified"})
    ann, bob = _lead(control, "ann@example.com"), _lead(control, "bob@example.com")
    path = "/referral-factory/users/{}/qualify"
    assert control("POST", path.format(ann["id"])).json["qualified_at"]
    assert control("POST", path.format(bob["id"]), {"silent": True}).json["qualified_at"]
    assert world.sender.waiting() == 1
    assert control("POST", path.format(ann["id"]), {"qualified": False}).json["qualified_at"] is None
    assert control("POST", path.format(1)).status_code == 422
    assert control("POST", path.format(99)).status_code == 404
    assert control("GET", "/referral-factory/qualifications").json["people"] == []


def test_a_merged_or_archived_contact_is_gone_from_search_at_once(
    control: Caller, intercom: Caller, world: World
) -> None:
    world.settings.change({"index_delay_seconds": 0})
    lead, other = _leads(control, 2)
    user = control("POST", CONTACTS, {"role": "user", "email": "p0@b.co"}).json["id"]
    world.settings.change({"index_delay_seconds": 120})
    control("POST", f"{CONTACTS}/{lead}/merge")
    control("POST", f"{CONTACTS}/{other}/archive")
    for _ in range(2):
        assert find(intercom, "email", ["p0@b.co", "p1@b.co"], "IN") == [user]
        world.clock.advance(121)
