"""Intercom's payloads as core values, whatever their age and form."""

from __future__ import annotations

import timeit
from typing import Any

import pytest

from app.core.audiences import AttributeType
from app.core.errors import NotUnderstood
from app.core.events import Change
from app.core.people import ContactDraft, Role
from schemas.intercom import (
    Segment,
    Workspace,
    attribute_from,
    body_from,
    contact_from,
    identity_from,
    notification_from,
    seconds_of,
    segment_from,
)

CONTACT: dict[str, Any] = {
    "type": "contact",
    "id": "5ba682d23d7cf92bef87bfd4",
    "workspace_id": "app1",
    "external_id": None,
    "role": "lead",
    "email": "Ann@Example.com",
    "phone": None,
    "name": "Ann Smith",
    "created_at": 1795348800,
    "updated_at": "2026-11-22T13:00:00.465+01:00",
    "language_override": None,
    "custom_attributes": {"Plan": "pro", "Referrals": 0, "Order": {"type": "Order.list", "instances": []}},
    "tags": {"type": "list", "data": [], "has_more": False},
    "something_new": [1, 2],
}


def notification(topic: str, item: object, **envelope: object) -> dict[str, object]:
    return {
        "type": "notification_event",
        "app_id": "app1",
        "id": "notif_1",
        "topic": topic,
        "created_at": 1795348801,
        "first_sent_at": 1795348802,
        "data": {"type": "notification_event_data", "item": item},
        **envelope,
    }


def test_a_contact_is_read() -> None:
    contact = contact_from(CONTACT)
    assert (contact.id, contact.role, contact.email) == ("5ba682d23d7cf92bef87bfd4", Role.LEAD, "Ann@Example.com")
    assert (contact.name, contact.phone) == ("Ann Smith", None)
    assert (contact.created_at, contact.updated_at) == (1795348800, 1795348800)
    assert contact.value("custom_attributes.Referrals") == 0


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"id": 42}, ("id", "42")),
        ({"email": ""}, ("email", None)),
        ({"email": ["a"]}, ("email", None)),
        ({"custom_attributes": None}, ("custom_attributes", {})),
        ({"custom_attributes": []}, ("custom_attributes", {})),
        ({"role": "user"}, ("role", Role.USER)),
        ({"role": None}, ("role", Role.USER)),
        ({"role": None, "type": "lead"}, ("role", Role.LEAD)),
        ({"role": "visitor"}, ("role", Role.USER)),
        ({"phone": 4912345}, ("phone", "4912345")),
        ({"created_at": "soon"}, ("created_at", None)),
    ],
)
def test_a_contact_is_read_leniently(change: dict[str, object], shown: tuple[str, object]) -> None:
    assert getattr(contact_from({**CONTACT, **change}), shown[0]) == shown[1]


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"id": None}, {"id": ""}, {"id": {}}])
def test_a_contact_needs_an_id(payload: object) -> None:
    with pytest.raises(NotUnderstood, match="a contact"):
        contact_from(payload)


def test_a_bare_contact_will_do() -> None:
    assert contact_from({"id": "1"}).custom_attributes == {}


def test_reading_a_contact_is_quick() -> None:
    assert min(timeit.repeat(lambda: contact_from(CONTACT), number=200, repeat=5)) / 200 < 0.001


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1795348800, 1795348800),
        (1795348800.9, 1795348800),
        ("1795348800", 1795348800),
        ("2026-11-22T12:00:00Z", 1795348800),
        ("2026-11-22T12:00:00", 1795348800),
        ("2026-11-22", 1795305600),
        (True, None),
        (None, None),
        ("", None),
        ({}, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_times_in_every_form(value: object, seconds: int | None) -> None:
    assert seconds_of(value) == seconds


@pytest.mark.parametrize(
    ("data_type", "options", "type_"),
    [
        ("string", None, AttributeType.TEXT),
        ("string", [], AttributeType.TEXT),
        ("string", ["a", "b"], AttributeType.LIST),
        ("string", [{"value": "a"}, {"value": "b"}], AttributeType.LIST),
        ("integer", None, AttributeType.NUMBER),
        ("float", None, AttributeType.DECIMAL),
        ("boolean", None, AttributeType.BOOLEAN),
        ("date", None, AttributeType.DATE),
        ("datetime", None, AttributeType.DATE),
        ("relationship", None, AttributeType.REFERENCE),
        (None, None, AttributeType.REFERENCE),
    ],
)
def test_types_of_attributes(data_type: object, options: object, type_: AttributeType) -> None:
    row = {"name": "Plan", "data_type": data_type, "options": options, "custom": True, "full_name": None}
    attribute = attribute_from(row)
    assert attribute.type is type_
    assert attribute.path == "custom_attributes.Plan"
    assert attribute.options == (("a", "b") if type_ is AttributeType.LIST else ())


def test_a_custom_attribute() -> None:
    attribute = attribute_from(
        {
            "name": "job title",
            "full_name": "custom_attributes.job title",
            "label": "Job title",
            "data_type": "string",
            "api_writable": False,
            "archived": True,
            "custom": True,
            "admin_id": "1",
        }
    )
    assert (attribute.path, attribute.name, attribute.label) == (
        "custom_attributes.job title",
        "job title",
        "Job title",
    )
    assert (attribute.writable, attribute.archived, attribute.custom) == (False, True, True)


def test_a_standard_attribute() -> None:
    attribute = attribute_from({"name": "email", "full_name": "email", "data_type": "string", "api_writable": True})
    assert (attribute.path, attribute.custom, attribute.writable, attribute.label) == ("email", False, True, "email")


def test_an_attribute_needs_a_name() -> None:
    with pytest.raises(NotUnderstood, match="a data attribute"):
        attribute_from({"full_name": "x"})


def test_a_segment_of_contacts_is_of_leads() -> None:
    row = {"id": "s1", "name": "Fresh", "person_type": "contact", "count": 3}
    assert segment_from(row) == Segment("s1", "Fresh", Role.LEAD, 3)
    assert segment_from({"id": 7, "person_type": "user"}) == Segment("7", "7", Role.USER)
    with pytest.raises(NotUnderstood, match="a segment"):
        segment_from({"name": "x"})


def test_me_names_the_workspace() -> None:
    app = {"id_code": "app1", "name": "Acme", "timezone": "Europe/Paris", "region": "EU"}
    assert identity_from({"type": "admin", "app": app}) == Workspace("app1", "Acme", "Europe/Paris", "eu")
    assert identity_from({"app": {"id_code": "app1", "region": "moon"}}) == Workspace("app1", "app1")
    with pytest.raises(NotUnderstood, match="workspace"):
        identity_from({"app": None})


def test_a_draft_becomes_a_body() -> None:
    values = {"name": "Ann", "email": "a@b.c", "custom_attributes.Plan": "pro", "custom_attributes.n": 0}
    assert body_from(ContactDraft(values, Role.LEAD)) == {
        "name": "Ann",
        "email": "a@b.c",
        "role": "lead",
        "custom_attributes": {"Plan": "pro", "n": 0},
    }


def test_a_body_has_only_what_the_draft_has() -> None:
    assert body_from(ContactDraft({"name": "Ann", "external_id": "7"})) == {"name": "Ann"}


def test_a_notification_shows_the_contact() -> None:
    told = notification_from(notification("contact.user.updated", {**CONTACT, "role": "user"}))
    assert (told.app_id, told.id, told.topic) == ("app1", "notif_1", "contact.user.updated")
    assert (told.change, told.contact_id, told.email) == (Change.UPDATED, CONTACT["id"], "Ann@Example.com")
    assert (told.created_at, told.first_sent_at, told.role) == (1795348801, 1795348802, Role.USER)


@pytest.mark.parametrize(
    ("topic", "change"),
    [
        ("contact.user.created", Change.CREATED),
        ("contact.lead.created", Change.CREATED),
        ("contact.lead.updated", Change.UPDATED),
        ("contact.email.updated", Change.UPDATED),
        ("contact.lead.added_email", Change.UPDATED),
        ("contact.lead.signed_up", Change.SIGNED_UP),
        ("contact.unarchive", Change.UNARCHIVED),
        ("contact.archive", Change.ARCHIVED),
        ("contact.archived", Change.ARCHIVED),
        ("contact.deleted", Change.DELETED),
        ("contact.merged", Change.MERGED),
        ("user.created", Change.CREATED),
        ("user.email.updated", Change.UPDATED),
        ("user.deleted", Change.DELETED),
        ("contact.created", Change.CREATED),
        ("contact.signed_up", Change.SIGNED_UP),
        ("contact.added_email", Change.UPDATED),
        ("contact.lead.tag.created", None),
        ("contact.unsubscribed", None),
        ("company.created", None),
        ("ping", None),
        ("something.new", None),
    ],
)
def test_old_and_new_topics(topic: str, change: Change | None) -> None:
    assert notification_from(notification(topic, CONTACT)).change is change


@pytest.mark.parametrize("gone", ["archived", "deleted"])
def test_a_contact_that_is_gone_comes_with_its_id_only(gone: str) -> None:
    item = {"id": "c1", "external_id": "22", "type": "contact", gone: True}
    told = notification_from(notification(f"contact.{gone}", item))
    assert (told.contact_id, told.contact, told.email) == ("c1", None, None)
    assert (told.archived, told.deleted) == (gone == "archived", gone == "deleted")


def test_a_merge_may_say_what_was_merged() -> None:
    item = {**CONTACT, "merged_from": {"type": "contact", "id": "lead1"}}
    assert notification_from(notification("contact.merged", item)).merged_from == "lead1"
    assert notification_from(notification("contact.merged", CONTACT)).merged_from is None


@pytest.mark.parametrize("kind", ["user", "lead", "contact"])
def test_old_versions_nest_the_contact(kind: str) -> None:
    item = {"type": "x", kind: {"type": kind, "id": 7, "user_id": "22", "email": "a@b.c"}}
    told = notification_from(notification("contact.created", item))
    assert (told.contact_id, told.email) == ("7", "a@b.c")
    assert told.role is (Role.USER if kind == "user" else Role.LEAD)


def test_the_topic_gives_the_role_that_a_contact_does_not_say() -> None:
    bare = {"id": "c1", "email": "a@b.c"}
    assert notification_from(notification("contact.lead.updated", bare)).role is Role.LEAD
    assert notification_from(notification("contact.user.updated", bare)).role is Role.USER


def test_a_lead_that_signed_up_says_user_itself() -> None:
    told = notification_from(notification("contact.lead.signed_up", {**CONTACT, "role": "user"}))
    assert (told.change, told.role) == (Change.SIGNED_UP, Role.USER)


def test_a_ping_is_no_contact() -> None:
    told = notification_from(notification("ping", {"type": "ping", "message": "hi"}, id=None))
    assert (told.id, told.change, told.contact_id, told.contact) == (None, None, None, None)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"app_id": "app1"},
        {"topic": "ping"},
        notification("contact.user.updated", None),
        notification("contact.user.updated", {"email": "a@b.c"}),
        {"app_id": "app1", "topic": "contact.deleted", "data": []},
    ],
)
def test_what_is_not_understood_says_what_was_expected(payload: object) -> None:
    with pytest.raises(NotUnderstood, match="Expected a"):
        notification_from(payload)
