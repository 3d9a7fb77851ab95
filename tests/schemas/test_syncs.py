"""A sync's settings on the wire: what is written is read as it was, and whatever is sent is read without a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.audiences import Field, MappingRow
from app.core.causes import Cause
from app.core.errors import FieldError
from app.core.syncs import CarriedRow, Contacts, SyncSettings
from schemas.syncs import document_from_sync, read_sync, sync_settings_from

DOCUMENT: dict[str, Any] = {
    "contacts": "segment",
    "segment_id": "5f1a",
    "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
    "write_back": [{"from": "url", "to": "custom_attributes.Referral Link"}],
    "schedule": "ongoing",
    "notify": True,
}
SETTINGS = SyncSettings(
    Contacts.SEGMENT,
    "5f1a",
    (CarriedRow("name", "first_name"), CarriedRow("email", "email")),
    (MappingRow(Field("url"), "custom_attributes.Referral Link"),),
    ongoing=True,
    notify=True,
)


def test_both_ways() -> None:
    assert sync_settings_from(DOCUMENT) == SETTINGS
    assert document_from_sync(SETTINGS) == DOCUMENT
    reading = read_sync(DOCUMENT)
    assert (reading.settings, reading.errors) == (SETTINGS, ())


def test_what_is_not_said() -> None:
    settings = read_sync({"contacts": "leads"}).settings
    assert settings == SyncSettings(Contacts.LEADS)
    assert (settings.ongoing, settings.notify) == (False, False)


def test_a_fault_is_told_at_its_place_in_the_body() -> None:
    rows = [5, DOCUMENT["mapping"][0], {"to": "email"}, DOCUMENT["mapping"][1]]
    reading = read_sync({**DOCUMENT, "mapping": rows})
    assert [one.source for one in reading.settings.mapping] == ["name", "email"]
    found = FieldError("/mapping/1/from", Cause.ATTRIBUTE_UNKNOWN, "No such attribute.")
    pointers = [fault.pointer for fault in reading.all_faults((found,))]
    assert pointers == ["/mapping/0", "/mapping/2/from", "/mapping/3/from"]


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        ({**DOCUMENT, "mapping": [5]}, "/mapping"),
        ({**DOCUMENT, "segment_id": 5}, "/segment_id"),
        ({**DOCUMENT, "contacts": "everyone"}, "/segment_id"),
    ],
)
def test_what_may_follow_from_what_could_not_be_read_is_not_told_of(body: Any, hidden: str) -> None:
    reading = read_sync(body)
    assert reading.all_faults((FieldError(hidden, Cause.INVALID_REQUEST, "Missing."),)) == reading.errors


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["from", "to", "x"]), below),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from([*DOCUMENT, "more"]), JSON)
    | st.fixed_dictionaries({**{name: st.just(value) for name, value in DOCUMENT.items()}, "mapping": JSON})
    | JSON
)
def test_whatever_is_sent_is_read_without_a_crash(body: Any) -> None:
    reading = read_sync(body)
    assert reading.errors or sync_settings_from(document_from_sync(reading.settings)) == reading.settings
    places = {name: len(getattr(reading.settings, name)) for name in ("mapping", "write_back")}
    assert {name: len(places) for name, places in reading.places.items()} == places
