"""Referral Factory's users, campaigns and webhooks as core values."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from app.core.errors import NotUnderstood
from app.core.events import Joined, Qualified, RewardIssued
from app.core.people import Audience, Person
from schemas.bodies import object_from
from schemas.referral_factory import (
    Campaign,
    campaign_from,
    event_from,
    person_from,
    person_from_webhook,
    webhook_payload_from,
)

USER: dict[str, Any] = {
    "id": 123,
    "campaign_id": 1,
    "referrer_id": 7,
    "first_name": "John",
    "email": "john@example.com",
    "code": "ueONFmUp",
    "reach": 3,
    "source": "Api",
    "type": "person_invited",
    "url": "https://example.referral-factory.com/ueONFmUp",
    "promotion": {"code": "SAVE50"},
    "signed_up_at": "2024-12-27",
    "qualified_at": None,
    "meta": [{"field": "Last Name", "value": "Smith"}, {"field": "Age", "value": 0}, {"field": "Odd", "value": []}],
    "analytics": {"reach": 12, "referrals": 8, "qualified_referrals": 3},
}

DOCUMENTED: dict[str, Any] = {
    "id": 123,
    "code": "ueONFmUp",
    "email": "john@example.com",
    "first_name": "John",
    "type": "person_invited",
    "source": "Referred",
    "url": "https://x.example/ueONFmUp",
    "campaign_id": 1,
    "campaign_name": "Summer",
    "signed_up_at": "2026-11-22",
    "qualified_at": None,
    "referrals": 0,
    "qualified_referrals": 0,
    "referrer_id": 7,
    "referrer_code": "rita",
    "referrer_email": "rita@example.com",
    "referrer_first_name": "Rita",
    "referrer_url": "https://x.example/rita",
    "Company": "Acme",
}


def test_a_user_becomes_a_person() -> None:
    person = person_from(USER)
    assert person.audience is Audience.LEADS
    assert person.text("id") == "123"
    assert person.values["meta.Last Name"] == "Smith"
    assert person.values["meta.Age"] == 0
    assert "meta.Odd" not in person.values
    assert (person.values["referrals"], person.values["qualified_referrals"]) == (8, 3)
    assert person.values["referrer.id"] == 7
    assert person.unknown(["referrer.email", "qualified_at", "campaign.name"]) == {"referrer.email", "campaign.name"}


def test_nobodys_referrer_is_known_to_be_blank() -> None:
    person = person_from({**USER, "referrer_id": None, "type": "person_referring", "analytics": None})
    assert person.audience is Audience.REFERRERS
    assert not person.unknown(["referrer.id", "referrer.email", "referrer.url"])
    assert person.unknown(["referrals"]) == {"referrals"}


@pytest.mark.parametrize(
    ("kind", "referrer", "audience"),
    [
        ("person_invited", None, Audience.LEADS),
        ("person_referring", 7, Audience.REFERRERS),
        ("Person Invited", None, Audience.LEADS),
        ("", 7, Audience.LEADS),
        (None, 7, Audience.LEADS),
        (None, None, None),
        ("something", None, None),
    ],
)
def test_the_type_decides_else_the_referrer_and_never_the_source(
    kind: object, referrer: object, audience: Audience | None
) -> None:
    assert person_from({**USER, "type": kind, "referrer_id": referrer}).audience is audience
    webhook = {"id": 1, "type": kind, "referrer_id": referrer, "source": "Referred"}
    assert person_from_webhook(webhook).audience is audience


@pytest.mark.parametrize("payload", [None, [], {}, {"id": None}, {"id": ""}])
def test_a_user_needs_an_id(payload: object) -> None:
    with pytest.raises(NotUnderstood):
        person_from(payload)


def test_a_campaign_says_its_fields() -> None:
    row = {
        "id": 1,
        "name": "Summer",
        "code": "summer",
        "status": "launched",
        "fields": {
            "person_invited": [{"id": 1, "type": "input", "label": "Company"}, {"label": None}],
            "person_referring": None,
        },
        "analytics": {"users": 12},
    }
    campaign = campaign_from(row)
    assert campaign == Campaign("1", "Summer", "summer", "launched", ("Company",), ())
    assert campaign.users == 12
    assert campaign_from({"id": "2", "fields": []}) == Campaign("2", "2")
    with pytest.raises(NotUnderstood):
        campaign_from({"name": "x"})


def test_the_documented_names() -> None:
    person = person_from_webhook(DOCUMENTED)
    assert person.audience is Audience.LEADS
    assert dict(person.values) == {
        "id": 123,
        "code": "ueONFmUp",
        "email": "john@example.com",
        "first_name": "John",
        "source": "Referred",
        "url": "https://x.example/ueONFmUp",
        "campaign_id": 1,
        "campaign.name": "Summer",
        "signed_up_at": "2026-11-22",
        "qualified_at": None,
        "referrals": 0,
        "qualified_referrals": 0,
        "referrer.id": 7,
        "referrer.code": "rita",
        "referrer.email": "rita@example.com",
        "referrer.first_name": "Rita",
        "referrer.url": "https://x.example/rita",
        "meta.Company": "Acme",
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("First Name", "first_name"),
        ("firstName", "first_name"),
        ("FIRST_NAME", "first_name"),
        ("name", "first_name"),
        ("email_address", "email"),
        ("Email", "email"),
        ("E-mail", "email"),
        ("referral_code", "code"),
        ("Referral Code", "code"),
        ("Referral Link", "url"),
        ("userId", "id"),
        ("campaignId", "campaign_id"),
        ("Campaign Name", "campaign.name"),
        ("referrerEmail", "referrer.email"),
        ("Referrer First Name", "referrer.first_name"),
        ("Referrer Referral Code", "referrer.code"),
        ("Referrals Count", "referrals"),
        ("Company name", "meta.Company name"),
        ("referrer", "meta.referrer"),
    ],
)
def test_other_spellings(key: str, name: str) -> None:
    person = person_from_webhook({"x_code": "c", key: "value", "id": 5} if name != "id" else {key: "value"})
    assert person.values[name] == "value"


def test_a_documented_name_wins_over_another_spelling() -> None:
    person = person_from_webhook({"name": "Johnny", "first_name": "John", "email": "a@b.c"})
    assert (person.values["first_name"], person.values["meta.name"]) == ("John", "Johnny")


@pytest.mark.parametrize(
    "payload",
    [
        {"user": {"email": "a@b.c", "first_name": "Ann"}, "campaign_id": 3},
        {"data": {"user": {"email": "a@b.c", "first_name": "Ann"}}, "campaign_id": 3},
        {"data": {"email": "a@b.c", "first_name": "Ann", "campaign": {"id": 3, "name": "Summer"}}},
    ],
)
def test_envelopes_are_opened(payload: dict[str, object]) -> None:
    person = person_from_webhook(payload)
    assert (person.email, person.values["first_name"]) == ("a@b.c", "Ann")
    assert person.text("campaign_id") == "3"


def test_nested_parts() -> None:
    person = person_from_webhook(
        {
            "email": "a@b.c",
            "referrer": {"id": 7, "email": "r@b.c", "deep": {}},
            "analytics": {"referrals": 2},
            "meta": [{"field": "Company", "value": "Acme"}],
            "list": [1],
        }
    )
    assert person.audience is Audience.LEADS
    assert (person.values["referrer.id"], person.values["referrer.email"]) == (7, "r@b.c")
    assert (person.values["referrals"], person.values["meta.Company"]) == (2, "Acme")
    assert "meta.list" not in person.values


def test_a_blank_referrer_makes_no_lead() -> None:
    person = person_from_webhook({"email": "a@b.c", "referrer_id": "", "referrer_email": " "})
    assert person.audience is None
    assert person.values["referrer.id"] is None


@pytest.mark.parametrize("payload", [{}, {"first_name": "Ann"}, {"email": " ", "id": None}, {"user": {}}])
def test_a_person_needs_email_id_or_code(payload: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood, match="Expected an email, id or code"):
        person_from_webhook(payload)


@pytest.mark.parametrize("field", ["email", "id", "code"])
def test_one_of_them_will_do(field: str) -> None:
    assert person_from_webhook({field: "x"}).text(field) == "x"


@pytest.mark.parametrize(
    ("topic", "kind"), [("joined", Joined), ("qualified", Qualified), ("reward-issued", RewardIssued)]
)
def test_topics(topic: str, kind: type) -> None:
    assert isinstance(event_from(topic, DOCUMENTED), kind)


def test_an_unknown_topic_is_not_understood() -> None:
    with pytest.raises(NotUnderstood, match="left"):
        event_from("left", DOCUMENTED)


def test_a_form() -> None:
    body = urlencode({"email": "a+b@b.c", "Company": "Zoë & co", "referrer[email]": "r@b.c", "qualified_at": ""})
    payload = object_from(body.encode(), "application/x-www-form-urlencoded")
    person = person_from_webhook(payload)
    assert (person.email, person.values["meta.Company"]) == ("a+b@b.c", "Zoë & co")
    assert (person.values["referrer.email"], person.values["qualified_at"]) == ("r@b.c", None)


class TestAWebhookThatNeverCame:
    @pytest.mark.parametrize("topic", ["joined", "qualified"])
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"type": "person_referring", "referrer_id": None},
            {"email": None, "code": None},
            {"qualified_at": "2026-11-22", "analytics": None},
            {
                "meta": [
                    {"field": label, "value": "x"} for label in ("Email", "name", "data", "user", "id", "meta", "a.b")
                ]
            },
            {
                "meta": [
                    {"field": "Seats", "value": 5},
                    {"field": "Trial", "value": False},
                    {"field": "No", "value": None},
                ]
            },
            {"type": None, "referrer_id": None},
        ],
        ids=str,
    )
    def test_is_written_as_it_would_have_been_read(self, topic: str, changes: dict[str, Any]) -> None:
        person = person_from({**USER, **changes})
        assert event_from(topic, webhook_payload_from(person)).person == person

    def test_uses_the_documented_names(self) -> None:
        person = Person(Audience.LEADS, {"id": 7, "campaign.name": "Summer", "referrer.email": "r@example.com"})
        assert webhook_payload_from(person) == {
            "id": 7,
            "campaign_name": "Summer",
            "referrer_email": "r@example.com",
            "type": "person_invited",
        }
