"""A sync as it is set up: what is refused, whom it asks for, and how long it has to go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.audiences import CampaignRules, Field, Fixed, Join, MappingRow
from app.core.causes import Cause
from app.core.people import Role
from app.core.syncs import CarriedRow, Contacts, SyncSettings, check_sync, query_of, seconds_left, wants
from app.core.syncs import unknown_labels as labels_unknown
from tests.core.workspace import CATALOGUE, EXTENDED, PLAIN, row

NAME, EMAIL = CarriedRow("name", "first_name"), CarriedRow("email", "email")
LINK = row("url", "Link")


def sync(*more: CarriedRow, back: tuple[MappingRow, ...] = (), contacts=Contacts.USERS, **changes) -> SyncSettings:
    return SyncSettings(contacts, mapping=(NAME, EMAIL, *more), write_back=back, **changes)


def faults(settings: SyncSettings, rules=PLAIN, labels=("Company", "Last Name")) -> list[tuple[str, str]]:
    found = check_sync(settings, CATALOGUE, rules, segment_ids={"s1", "s2"}, known_meta=labels)
    assert all(fault.detail for fault in found)
    return [(fault.pointer, fault.cause) for fault in found]


# Saving: whom


@pytest.mark.parametrize(
    ("contacts", "segment_id", "expected"),
    [
        (Contacts.LEADS, None, []),
        (Contacts.USERS, None, []),
        (Contacts.ALL, None, []),
        (Contacts.SEGMENT, "s2", []),
        (Contacts.SEGMENT, None, [("/segment_id", Cause.INVALID_REQUEST)]),
        (Contacts.SEGMENT, "s9", [("/segment_id", Cause.SEGMENT_UNKNOWN)]),
        (Contacts.ALL, "s1", [("/segment_id", Cause.INVALID_REQUEST)]),
    ],
)
def test_a_segment_is_named_where_one_is_asked_for(contacts, segment_id, expected):
    assert faults(sync(contacts=contacts, segment_id=segment_id)) == expected


# Saving: what is carried over


@pytest.mark.parametrize(
    "source",
    ["name", "phone", "language_override", *(f"custom_attributes.{name}" for name in ("Company", "Seats", "Trial"))]
    # What can't be written can be read, and so can every type that is one value.
    + [f"custom_attributes.{name}" for name in ("Notes", "Plan", "Score", "Since", "Locked")],
)
def test_standard_and_custom_attributes_are_carried_to_a_campaign_field(source):
    assert faults(sync(CarriedRow(source, "meta.Company"))) == []


@pytest.mark.parametrize(
    ("carried", "pointer", "cause"),
    [
        (CarriedRow("custom_attributes.Nowhere", "meta.Company"), "/mapping/2/from", Cause.ATTRIBUTE_UNKNOWN),
        (CarriedRow("nickname", "meta.Company"), "/mapping/2/from", Cause.ATTRIBUTE_UNKNOWN),
        (CarriedRow("role", "meta.Company"), "/mapping/2/from", Cause.ATTRIBUTE_UNKNOWN),
        (CarriedRow("created_at", "meta.Company"), "/mapping/2/from", Cause.ATTRIBUTE_UNKNOWN),
        (CarriedRow("custom_attributes.Old", "meta.Company"), "/mapping/2/from", Cause.ATTRIBUTE_ARCHIVED),
        (CarriedRow("custom_attributes.Order", "meta.Company"), "/mapping/2/from", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (CarriedRow("phone", "first_name"), "/mapping/2/to", Cause.ATTRIBUTE_ALREADY_MAPPED),
        (CarriedRow("email", "email"), "/mapping/2/to", Cause.ATTRIBUTE_ALREADY_MAPPED),
        (CarriedRow("phone", "meta.Phone"), "/mapping/2/to", Cause.INVALID_REQUEST),
        (CarriedRow("phone", "meta."), "/mapping/2/to", Cause.INVALID_REQUEST),
        (CarriedRow("phone", "meta. "), "/mapping/2/to", Cause.INVALID_REQUEST),
        (CarriedRow("phone", "phone"), "/mapping/2/to", Cause.INVALID_REQUEST),
        (CarriedRow("phone", "code"), "/mapping/2/to", Cause.INVALID_REQUEST),
    ],
)
def test_what_can_not_be_carried(carried, pointer, cause):
    assert faults(sync(carried)) == [(pointer, cause)]


def test_the_email_is_the_contacts_own_and_nothing_else():
    for source in ("name", "custom_attributes.Company", "custom_attributes.Nowhere"):
        settings = SyncSettings(Contacts.ALL, mapping=(NAME, CarriedRow(source, "email")))
        assert faults(settings) == [("/mapping/1/from", Cause.INVALID_REQUEST)]


def test_name_and_email_are_both_needed():
    expected = [("/mapping", Cause.NAME_NOT_MAPPED), ("/mapping", Cause.EMAIL_NOT_MAPPED)]
    assert faults(SyncSettings(Contacts.ALL)) == expected
    assert faults(SyncSettings(Contacts.ALL, mapping=(NAME,))) == expected[1:]
    assert faults(SyncSettings(Contacts.ALL, mapping=(EMAIL,))) == expected[:1]


def test_any_label_will_do_where_the_campaigns_fields_are_not_known():
    anything = sync(CarriedRow("phone", "meta.Anything"), CarriedRow("phone", "meta.Company"))
    assert faults(anything, labels=None) == []
    assert labels_unknown(anything, ["Company"]) == {"Anything"}
    assert labels_unknown(sync(), []) == set()


# Saving: what is written back


@pytest.mark.parametrize(
    ("back", "rules", "expected"),
    [
        (LINK, PLAIN, None),
        (row("url", "Notes"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT)),
        (row("url", "Seats"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT)),
        (row("url", "Plan"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT)),
        (row("referrals", "Seats"), PLAIN, None),
        (row("qualified_referrals", "Company"), PLAIN, None),
        (row("referrals", "Score"), EXTENDED, None),
        (row("referrals", "Score"), PLAIN, ("to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE)),
        (row("referrals", "Order"), EXTENDED, ("to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE)),
        (row("referrals", "Nowhere"), PLAIN, ("to", Cause.ATTRIBUTE_UNKNOWN)),
        (row("referrals", "Old"), PLAIN, ("to", Cause.ATTRIBUTE_ARCHIVED)),
        (row("referrals", "Locked"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_WRITABLE)),
        (row("url", "Link"), CampaignRules(crm_fields=("Link",)), ("to", Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD)),
        (MappingRow(Field("url"), "name"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_WRITABLE)),
        (MappingRow(Field("url"), "email"), PLAIN, ("to", Cause.ATTRIBUTE_NOT_WRITABLE)),
        (row("code", "Link"), PLAIN, ("from", Cause.INVALID_REQUEST)),
        (row(Fixed("x"), "Link"), PLAIN, ("from", Cause.INVALID_REQUEST)),
        (row(Join(("url",)), "Link"), PLAIN, ("from", Cause.INVALID_REQUEST)),
    ],
)
def test_link_and_counts_are_written_back_to_attributes_that_hold_them(back, rules, expected):
    found = faults(sync(back=(back,)), rules)
    assert found == ([(f"/write_back/0/{expected[0]}", expected[1])] if expected else [])


def test_an_attribute_takes_one_value_only():
    twice = sync(back=(row("referrals", "Seats"), row("qualified_referrals", "Seats")))
    assert faults(twice) == [("/write_back/1/to", Cause.ATTRIBUTE_ALREADY_MAPPED)]


def test_all_faults_are_told_at_once():
    settings = SyncSettings(
        Contacts.SEGMENT,
        mapping=(NAME, CarriedRow("custom_attributes.Nowhere", "meta.Nothing")),
        write_back=(row("id", "Link"), row("url", "Nowhere")),
    )
    assert faults(settings) == [
        ("/segment_id", Cause.INVALID_REQUEST),
        ("/mapping/1/from", Cause.ATTRIBUTE_UNKNOWN),
        ("/mapping/1/to", Cause.INVALID_REQUEST),
        ("/mapping", Cause.EMAIL_NOT_MAPPED),
        ("/write_back/0/from", Cause.INVALID_REQUEST),
        ("/write_back/1/to", Cause.ATTRIBUTE_UNKNOWN),
    ]


# Whom it asks for


@pytest.mark.parametrize(
    ("contacts", "leads", "users"),
    [
        (Contacts.LEADS, True, False),
        (Contacts.USERS, False, True),
        (Contacts.ALL, True, True),
        (Contacts.SEGMENT, False, False),
    ],
)
def test_whom_a_webhook_may_bring(contacts, leads, users):
    assert (wants(sync(contacts=contacts), Role.LEAD), wants(sync(contacts=contacts), Role.USER)) == (leads, users)


def depth(query) -> int:
    return 1 + max(map(depth, query["value"])) if query["operator"] in ("AND", "OR") else 0


@pytest.mark.parametrize("after", [None, 1_700_000_000])
@pytest.mark.parametrize("contacts", Contacts)
def test_every_search_is_within_what_intercom_takes(contacts, after):
    query = query_of(sync(contacts=contacts, segment_id="s1"), after)
    assert depth(query) <= 2
    if contacts is Contacts.SEGMENT:
        assert query == {"field": "segment_id", "operator": "=", "value": "s1"}
    elif after is not None:
        assert query["value"][1] == {"field": "updated_at", "operator": ">", "value": after}
        assert query["value"][0] == query_of(sync(contacts=contacts))


# How long it has to go


@pytest.mark.parametrize(
    ("total", "looked_at", "busy", "a_second", "expected"),
    [
        (None, 0, 0.0, 9.5, None),
        (None, 150, 15.0, 9.5, None),
        (950, 0, 0.0, 9.5, 100),
        (1000, 150, 15.0, 9.5, 85),
        (151, 150, 1.0, 9.5, 1),
        (150, 150, 15.0, 9.5, 0),
        (100, 150, 15.0, 9.5, 0),
        (0, 0, 0.0, 9.5, 0),
    ],
)
def test_what_is_left_is_told_by_the_pace_it_has_had(total, looked_at, busy, a_second, expected):
    left = seconds_left(total=total, looked_at=looked_at, busy_seconds=busy, contacts_a_second=a_second)
    assert left == expected


@given(
    total=st.integers(0, 10**7),
    looked_at=st.integers(0, 10**7),
    busy=st.floats(0, 10**6),
    a_second=st.floats(0.01, 1000),
)
def test_what_is_left_is_never_less_than_nothing(total, looked_at, busy, a_second):
    left = seconds_left(total=total, looked_at=looked_at, busy_seconds=busy, contacts_a_second=a_second)
    assert left is None or left >= 0
