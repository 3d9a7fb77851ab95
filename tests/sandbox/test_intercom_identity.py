"""Who conflicts with whom, and what stays of a contact that is gone."""

from __future__ import annotations

import re

import pytest

from sandbox.world import World
from tests.sandbox.conftest import Caller, error, find

LIVE = "A contact matching those details already exists with id={id}"
ARCHIVED = "An archived contact matching those details already exists with id={id}"
SEVERAL = "Multiple existing users match this email address - must be more specific using user_id"


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ({"role": "user", "email": "a@b.co"}, {"role": "user", "email": "a@b.co"}, 409),
        ({"role": "user", "email": "a@b.co"}, {"role": "user", "email": " A@B.co"}, 409),
        ({"role": "user", "email": "a@b.co"}, {"email": "a@b.co"}, 409),
        ({"role": "user", "external_id": "1"}, {"role": "user", "external_id": "1"}, 409),
        (
            {"role": "user", "external_id": "1", "email": "a@b.co"},
            {"role": "user", "external_id": "2", "email": "a@b.co"},
            200,
        ),
        ({"role": "user", "email": "a@b.co"}, {"role": "user", "email": "a+1@b.co"}, 200),
        ({"role": "user", "email": "a@b.co"}, {"role": "lead", "email": "a@b.co"}, 200),
        ({"role": "lead", "email": "a@b.co"}, {"role": "lead", "email": "a@b.co"}, 200),
        ({"role": "lead", "email": "a@b.co"}, {"role": "user", "email": "a@b.co"}, 200),
    ],
)
def test_users_conflict_and_leads_never_do(
    intercom: Caller, first: dict[str, str], second: dict[str, str], status: int
) -> None:
    made = intercom("POST", "/contacts", first).json
    answer = intercom("POST", "/contacts", second)
    assert answer.status_code == status
    if status == 409:
        assert error(answer) == (409, "conflict", LIVE.format(id=made["id"]))


@pytest.mark.parametrize(("way", "path"), [("POST", "/archive"), ("DELETE", "")])
def test_an_archived_or_deleted_user_keeps_its_identity(intercom: Caller, way: str, path: str) -> None:
    made = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"}).json
    intercom(way, f"/contacts/{made['id']}{path}")
    answer = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"})
    assert error(answer) == (409, "conflict", ARCHIVED.format(id=made["id"]))


@pytest.mark.parametrize(("way", "path"), [("POST", "/archive"), ("DELETE", "")])
def test_an_archived_or_deleted_lead_blocks_nobody(intercom: Caller, way: str, path: str) -> None:
    made = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).json
    intercom(way, f"/contacts/{made['id']}{path}")
    assert intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).status_code == 200


def test_archived_contacts_come_back_and_deleted_ones_do_not(intercom: Caller) -> None:
    made = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"}).json
    path = f"/contacts/{made['id']}"
    reference = {"type": "contact", "id": made["id"], "external_id": None}
    assert intercom("POST", f"{path}/archive").json == {**reference, "archived": True}
    assert error(intercom("GET", path)) == (404, "not_found", "User Not Found")
    assert error(intercom("PUT", path, {"name": "x"})) == (404, "not_found", "User Not Found")
    assert find(intercom, "email", "a@b.co") == []
    assert intercom("POST", f"{path}/unarchive").json == {**reference, "archived": False}
    assert intercom("GET", path).json["id"] == made["id"]
    assert intercom("DELETE", path).json == {**reference, "deleted": True}
    message = "User has been marked for permanent deletion and is not restorable."
    assert error(intercom("POST", f"{path}/unarchive")) == (400, "bad_request", message)


def test_several_users_of_one_email_are_not_named(intercom: Caller, world: World) -> None:
    for number in "12":
        intercom("POST", "/contacts", {"role": "user", "email": "a@b.co", "external_id": number})
    answer = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"})
    assert error(answer) == (409, "conflict", SEVERAL)
    world.settings.change({"several_users_conflict": "named"})
    assert "with id=" in error(intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"}))[2]


def test_a_new_external_id_with_a_used_email_is_a_switch(intercom: Caller, world: World) -> None:
    intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"})
    world.settings.change({"new_external_id_with_used_email": "conflict", "conflict_names_id": False})
    answer = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co", "external_id": "9"})
    assert error(answer) == (409, "conflict", "A contact matching those details already exists")


def test_a_lead_gets_an_identity_of_intercoms_own(intercom: Caller) -> None:
    made = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co", "external_id": "mine"}).json
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["external_id"])
    after = intercom("PUT", f"/contacts/{made['id']}", {"external_id": "mine"}).json
    assert after["external_id"] == made["external_id"]


def test_a_lead_becomes_a_user_in_place_and_never_a_lead_again(intercom: Caller) -> None:
    lead = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).json
    path = f"/contacts/{lead['id']}"
    user = intercom("PUT", path, {"role": "user", "external_id": "7"}).json
    assert (user["id"], user["role"], user["external_id"]) == (lead["id"], "user", "7")
    message = "Contact with user role can't be converted to a lead"
    assert error(intercom("PUT", path, {"role": "lead"})) == (400, "client_error", message)
    found = intercom("GET", "/contacts/find_by_external_id/7").json
    assert found["id"] == lead["id"]


def test_find_by_external_id_knows_users_only(intercom: Caller) -> None:
    lead = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).json
    answer = intercom("GET", f"/contacts/find_by_external_id/{lead['external_id']}")
    assert answer.status_code == 404


def test_a_put_that_takes_anothers_identity_conflicts(intercom: Caller) -> None:
    holder = intercom("POST", "/contacts", {"role": "user", "external_id": "1"}).json
    other = intercom("POST", "/contacts", {"role": "user", "external_id": "2"}).json
    answer = intercom("PUT", f"/contacts/{other['id']}", {"external_id": "1"})
    assert error(answer) == (409, "conflict", LIVE.format(id=holder["id"]))


def test_promoting_a_lead_beside_a_user_of_its_email_conflicts(intercom: Caller) -> None:
    user = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co"}).json
    lead = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).json
    answer = intercom("PUT", f"/contacts/{lead['id']}", {"role": "user"})
    assert error(answer) == (409, "conflict", LIVE.format(id=user["id"]))


def _lead_and_user(intercom: Caller, lead_email: str = "a@b.co") -> tuple[str, str]:
    lead = {"role": "lead", "email": lead_email, "name": "Lead", "custom_attributes": {"plan": "trial"}}
    user = {"role": "user", "email": "a@b.co", "custom_attributes": {"plan": "pro"}}
    made = (intercom("POST", "/contacts", body).json["id"] for body in (lead, user))
    first, second = made
    return first, second


def test_a_merge_fills_only_what_the_user_lacks(intercom: Caller) -> None:
    lead, user = _lead_and_user(intercom)
    merged = intercom("POST", "/contacts/merge", {"from": lead, "into": user}).json
    assert (merged["id"], merged["name"], merged["custom_attributes"]["plan"]) == (user, "Lead", "pro")
    assert find(intercom, "email", "a@b.co") == [user]
    gone = intercom("GET", f"/contacts/{lead}")
    assert error(gone)[:2] == (410, "contact_merged")
    assert gone.headers["Link"] == f'</contacts/{user}>; rel="canonical"'
    assert intercom("GET", f"/contacts/{lead}", Intercom_Version="2.15").status_code == 404
    history = intercom("GET", f"/contacts/{user}/merge_history").json["data"]
    assert [row["source_contact_id"] for row in history] == [lead]


def test_only_a_lead_merges_and_only_into_its_double(intercom: Caller) -> None:
    lead, user = _lead_and_user(intercom, "other@b.co")
    backwards = intercom("POST", "/contacts/merge", {"from": user, "into": lead})
    assert error(backwards)[:2] == (400, "invalid_merge")
    assert "request_id" not in backwards.json
    body = {"from": lead, "into": user}
    assert error(intercom("POST", "/contacts/merge", body))[:2] == (400, "invalid_merge")
    body["skip_duplicate_validation"] = True
    assert intercom("POST", "/contacts/merge", body).status_code == 200


def test_intercom_merges_by_itself(intercom: Caller, control: Caller) -> None:
    lead, user = _lead_and_user(intercom)
    merged = control("POST", "/intercom/sandbox1/auto-merge", {"email": "A@b.co"}).json
    assert merged == {"from": lead, "into": user}
    again = control("POST", "/intercom/sandbox1/auto-merge", {"email": "a@b.co"})
    assert again.status_code == 404
