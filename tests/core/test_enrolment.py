"""Whether a contact becomes a referrer: by tables, and for whatever Intercom may hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.attributes import as_text
from app.core.causes import Cause
from app.core.enrolment import Enrol, Existing, Skip, Values, carried, decide
from app.core.people import Contact, Role, is_email
from app.core.syncs import CarriedRow, Contacts, SyncSettings

SETTINGS = SyncSettings(
    Contacts.ALL,
    mapping=(
        CarriedRow("name", "first_name"),
        CarriedRow("email", "email"),
        CarriedRow("custom_attributes.Company", "meta.Company"),
        CarriedRow("custom_attributes.Seats", "meta.Seats"),
    ),
)


def contact(**changes: Any) -> Contact:
    attributes = {"Company": " Acme ", "Seats": 0, **changes.pop("attributes", {})}
    values = {"id": "c1", "role": Role.USER, "name": " Ann ", "email": " Ann@Example.com ", **changes}
    return Contact(custom_attributes=attributes, **values)


ANN = Values("Ann", "ann@example.com", {"Company": "Acme", "Seats": 0})


def test_someone_new_is_enrolled_with_the_mapped_values():
    assert decide(contact(), SETTINGS) == Enrol(ANN)


def test_who_is_in_the_campaign_or_came_before_is_not_enrolled_again():
    assert decide(contact(), SETTINGS, in_campaign=True) == Existing(ANN)
    again = decide(contact(), SETTINGS, same_email="c0")
    assert isinstance(again, Existing)
    assert "c0" in str(again.detail)


def test_a_page_that_is_done_again_does_not_meet_itself():
    assert decide(contact(), SETTINGS, same_email="c1") == Enrol(ANN)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"email": None}, "email"),
        ({"email": ""}, "email"),
        ({"attributes": {"Company": None}}, "custom_attributes.Company"),
        ({"attributes": {"Company": "\t"}}, "custom_attributes.Company"),
        ({"attributes": {"Seats": None}}, "custom_attributes.Seats"),
        ({"attributes": {"Seats": float("nan")}}, "custom_attributes.Seats"),
        ({"attributes": {"Company": ["Acme"]}}, "custom_attributes.Company"),
        ({"attributes": {"Company": {"name": "Acme"}}}, "custom_attributes.Company"),
        ({"attributes": {"Company": "A\0"}}, "custom_attributes.Company"),
    ],
)
def test_a_blank_in_a_mapped_attribute_skips_and_names_it(changes, detail):
    for known in (False, True):
        assert decide(contact(**changes), SETTINGS, in_campaign=known) == Skip(Cause.BLANK_MAPPED_VALUE, detail)


def test_what_is_not_mapped_may_be_blank():
    lean = SyncSettings(Contacts.ALL, mapping=SETTINGS.mapping[:2])
    nobody = contact(attributes={"Company": None, "Seats": None})
    assert decide(nobody, lean) == Enrol(Values("Ann", "ann@example.com", {}))


@pytest.mark.parametrize("email", ["ann", "ann@", "@example.com", "ann@example", "ann and bob@example.com"])
def test_an_address_that_is_none_skips(email):
    assert decide(contact(email=email), SETTINGS) == Skip(Cause.INVALID_EMAIL, "email")


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "no"])
def test_zero_and_false_are_values(value):
    decision = decide(contact(attributes={"Seats": value}), SETTINGS)
    assert isinstance(decision, Enrol)
    assert decision.values.meta["Seats"] is value


def test_a_first_name_is_text_whatever_it_is_made_of():
    settings = SyncSettings(
        Contacts.ALL, mapping=(CarriedRow("custom_attributes.Seats", "first_name"), SETTINGS.mapping[1])
    )
    for value, text in ((7, "7"), (True, "true"), (1.5, "1.5")):
        decision = decide(contact(attributes={"Seats": value}), settings)
        assert isinstance(decision, Enrol)
        assert decision.values.first_name == text


def test_a_digest_tells_values_apart_and_not_their_order():
    turned = SyncSettings(Contacts.ALL, mapping=SETTINGS.mapping[::-1])
    one, other = carried(contact(), SETTINGS), carried(contact(), turned)
    assert isinstance(one, Values)
    assert isinstance(other, Values)
    assert one.digest == other.digest
    changes: list[dict[str, Any]] = [
        {"name": "Anna"},
        {"email": "anna@example.com"},
        {"attributes": {"Seats": 1}},
        {"attributes": {"Seats": "0"}},
        {"attributes": {"Company": "acme"}},
    ]
    for change in changes:
        changed = carried(contact(**change), SETTINGS)
        assert isinstance(changed, Values)
        assert changed.digest != one.digest


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(
    name=st.none() | st.text(),
    email=st.none() | st.text() | st.sampled_from(["ann@example.com", " ANN@example.com"]),
    company=ANYTHING,
    seats=ANYTHING,
    known=st.booleans(),
    same=st.none() | st.sampled_from(["c0", "c1"]),
)
def test_whatever_a_contact_holds_it_ends_in_one_decision(name, email, company, seats, known, same):
    one = contact(name=name, email=email, attributes={"Company": company, "Seats": seats})
    decision = decide(one, SETTINGS, in_campaign=known, same_email=same)
    if isinstance(decision, Skip):
        assert decision.detail in {row.source for row in SETTINGS.mapping}
        return
    assert isinstance(decision, Existing if known or same == "c0" else Enrol)
    values = decision.values
    assert is_email(values.email)
    assert values.email == values.email.strip().lower()
    for value in (values.first_name, *values.meta.values()):
        assert (as_text(value) or "").strip()
