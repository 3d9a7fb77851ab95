"""The check of the whole installation, on real databases."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.causes import Cause
from app.core.diagnosis import Check, Verdict
from app.core.errors import Unauthorized, Vendor
from app.storage import heard, schedules
from app.usecases.check_everything import check_everything
from tests.product import Product
from tests.usecases.diagnosing import amiss
from tests.usecases.troubles import TROUBLES, found_by_us, hear, lose_token, of_a_segment, segment_gone


def examined(product: Product, **more: Any) -> list[Check]:
    return list(check_everything(product.services, **more))


@pytest.fixture
def well(product: Product) -> Product:
    """A worker runs, and webhooks have come."""
    hear(product, "joined")
    with product.database.writing() as connection:
        heard.note(connection, [(heard.workspace_scope(product.workspace_id), "contact.user.updated", product.time)])
        schedules.take_turn(connection, "sweep", product.time, product.time)
    return product


def test_an_installation_that_is_well_says_so(well: Product) -> None:
    well.watched()
    of_a_segment(well, schedule="ongoing")
    assert [one for one in amiss(examined(well, redis_answers=lambda: True)) if one[0] not in ("clock", "disk")] == []


@pytest.mark.parametrize(
    ("happens", "cause"),
    [
        (lose_token, Cause.INTERCOM_UNAUTHORIZED),
        (found_by_us, Cause.WEBHOOK_MISSED),
        (segment_gone, Cause.SEGMENT_GONE),
        (TROUBLES["option renamed"].happens, Cause.VALUE_NOT_AN_OPTION),
        (TROUBLES["archived"].happens, Cause.ATTRIBUTE_ARCHIVED),
        (TROUBLES["not understood"].happens, Cause.WEBHOOK_NOT_UNDERSTOOD),
        (TROUBLES["permission missing"].happens, Cause.INTERCOM_PERMISSION_MISSING),
        (TROUBLES["Referral Factory away"].happens, Cause.REFERRAL_FACTORY_UNAVAILABLE),
    ],
)
def test_what_is_amiss_is_found(well: Product, happens: Any, cause: Cause) -> None:
    happens(well)
    assert cause in {one.cause for one in examined(well) if one.verdict is Verdict.PROBLEM}


def test_each_connection_is_asked_for_one_cheap_thing_and_nothing_is_written(well: Product) -> None:
    well.watched()
    well.intercom.calls.clear()
    well.referral_factory.calls.clear()
    with well.statements() as statements:
        examined(well)
    assert [name for name, _ in (*well.intercom.calls, *well.referral_factory.calls)] == ["me", "campaigns"]
    assert not [one for one in statements if one.split()[0] in ("INSERT", "UPDATE", "DELETE")]


def test_without_redis_no_vendor_is_asked(well: Product) -> None:
    well.intercom.calls.clear()
    found = examined(well, redis_answers=lambda: False)
    assert found[0].cause is Cause.REDIS_UNREACHABLE
    assert well.intercom.calls == []


def test_a_token_that_is_refused_now_is_found_before_any_work_is_lost(well: Product) -> None:
    well.intercom.fail("me", Unauthorized(Vendor.INTERCOM, "no", status=401), times=5)
    assert examined(well)[0].cause is Cause.INTERCOM_UNAUTHORIZED
