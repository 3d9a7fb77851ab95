"""Webhooks that are kept by one statement are kept as by a transaction, by doors that stand, and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import select

from app.storage import campaigns, erasures, workspaces
from app.storage.doors import Door
from app.storage.inbox import NewEvent
from app.storage.intake import Intake
from app.storage.tables import events
from tests.product import Product


@pytest.fixture
def intake(product: Product) -> Intake:
    """One that has noted lately when the webhooks of both doors came."""
    intake = Intake(product.database)
    for campaign_id in (product.campaign_id, None):
        intake.keep(webhook(product, f"first-{campaign_id}", campaign_id))
    return intake


def door(product: Product, campaign_id: int | None) -> Door:
    found = (
        product.services.doors.of_campaign("key-1", anew=True)
        if campaign_id
        else product.services.doors.of_workspace("app1", anew=True)
    )
    assert found is not None
    return found


def webhook(product: Product, key: str, campaign_id: int | None, **changes: Any) -> NewEvent:
    kept = NewEvent(
        key,
        "referral_factory" if campaign_id else "intercom",
        "joined",
        product.workspace_id,
        campaign_id,
        "whose",
        "application/json",
        b'{"\\u0000": "\xc3\xa9\x00"}',
        product.time + timedelta(microseconds=7),
        came_by=door(product, campaign_id),
    )
    return replace(kept, **changes)


@pytest.fixture(params=["campaign", "workspace"])
def of(request: pytest.FixtureRequest, product: Product) -> int | None:
    return product.campaign_id if request.param == "campaign" else None


def rows(product: Product, *ids: int) -> list[dict[str, Any]]:
    with product.database.reading() as connection:
        found = connection.execute(select(events).where(events.c.id.in_(ids)).order_by(events.c.id)).mappings()
        return [{name: row[name] for name in row if name not in ("id", "dedupe_key")} for row in found]


def test_the_row_is_the_one_that_a_transaction_keeps(product: Product, intake: Intake, of: int | None) -> None:
    by_one = intake.keep(webhook(product, "a", of))
    by_many = intake.keep(webhook(product, "b", of, came_by=None))
    assert by_one is not None
    assert by_many is not None
    one, other = rows(product, by_one.event_id, by_many.event_id)
    assert one == other


def test_on_postgresql_it_is_one_statement(product: Product, intake: Intake, of: int | None) -> None:
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    came = webhook(product, "a", of)
    sql_event.listen(product.database.engine, "before_cursor_execute", note)
    try:
        receipt = intake.keep(came)
    finally:
        sql_event.remove(product.database.engine, "before_cursor_execute", note)
    assert receipt is not None
    if not product.database.on_sqlite:
        assert len(said) == 1


def test_what_came_before_is_known(product: Product, intake: Intake, of: int | None) -> None:
    first, again = (intake.keep(webhook(product, "a", of)) for _ in range(2))
    assert first is not None
    assert again == replace(first, duplicate=True)


def test_the_same_twice_in_one_statement_is_kept_once(product: Product, intake: Intake, of: int | None) -> None:
    same, other = webhook(product, "a", of), webhook(product, "b", of)
    first, apart, again = intake._commit([same, other, same])
    assert first is not None
    assert apart is not None
    assert again == replace(first, duplicate=True)
    assert apart.event_id > first.event_id


def test_a_dead_one_that_comes_again_is_due_again(product: Product, intake: Intake, of: int | None) -> None:
    first = intake.keep(webhook(product, "a", of))
    assert first is not None
    with product.database.writing() as connection:
        connection.execute(events.update().where(events.c.id == first.event_id).values(status="dead"))
    intake.keep(webhook(product, "a", of))
    assert rows(product, first.event_id)[0]["status"] == "received"


@pytest.mark.parametrize("change", ["secret", "former_secret", "former_until", "address"])
def test_a_door_that_is_another_one_now_lets_nothing_in_and_the_others_do(
    product: Product, intake: Intake, change: str
) -> None:
    came = [webhook(product, f"late {of}", of) for of in (product.campaign_id, None)]
    sealed, tomorrow = product.services.vault.seal("new"), product.time + timedelta(days=1)
    new: dict[str, Any] = {"secret": sealed, "former_secret": sealed, "former_until": tomorrow, "address": "new"}
    names = {"secret": "webhook_secret", "address": "webhook_key"}
    with product.database.writing() as connection:
        campaigns.change(connection, product.campaign_id, **{names.get(change, change): new[change]})
    assert [receipt is None for receipt in intake._commit(came)] == [True, False]
    names = {"secret": "client_secret", "former_secret": "former_client_secret", "address": "app_id"}
    came = [webhook(product, f"later {of}", of) for of in (None,)]
    with product.database.writing() as connection:
        workspaces.change(connection, product.workspace_id, **{names.get(change, change): new[change]})
    assert intake._commit(came) == [None]


def test_once_somebody_was_erased_a_door_from_before_lets_nothing_in(product: Product, intake: Intake) -> None:
    came = webhook(product, "late", product.campaign_id)
    with product.database.writing() as connection:
        mark = erasures.make_mark(connection, product.services.vault)
        erasures.note_events(connection, {mark.event("late"): 77}, product.time)
    assert intake.keep(came) is None
    known = webhook(product, "late", product.campaign_id, erased_as=mark.event("late"))
    assert known.came_by is not None
    assert known.came_by.erasure_key is not None
    receipt = intake.keep(known)
    assert receipt is not None
    assert (receipt.event_id, receipt.duplicate, rows(product, 77)) == (77, True, [])
