"""What the sweep finds: due events whose bell was lost, what dead workers left, and what is older than is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core.errors import RateLimited, Unauthorized, Unavailable, Vendor
from app.storage import event_list, inbox, reconciles, workspaces
from app.storage.tables import activity, events
from app.storage.tables import reconciles as reconcile_rows
from app.usecases import process_event
from app.usecases.sweep import REMOVED_AT_ONCE, Swept, refresh_catalogues, remove_old, remove_strangers, sweep
from tests.fakes import custom
from tests.product import Product


def test_rings_where_an_event_is_due(product: Product) -> None:
    product.receive_lead()
    product.bell.rings = 0
    assert sweep(product.services) == Swept(0, due=True)
    assert product.bell.rings == 1


@pytest.mark.parametrize("state", ["nothing", "done", "processing", "later", "held", "behind another"])
def test_rings_for_nothing_that_can_not_be_taken(product: Product, state: str) -> None:
    if state != "nothing":
        event_id = product.receive_lead()
    if state == "done":
        product.work()
    elif state == "processing":
        process_event.claim(product.services, "one", 1)
    elif state in ("later", "behind another", "held"):
        changes = {"held_by": "workspace:1"} if state == "held" else {"next_attempt_at": product.time + timedelta(9)}
        with product.database.writing() as connection:
            connection.execute(update(events).where(events.c.id == event_id).values(status="retrying", **changes))
    if state == "behind another":
        product.receive_lead(Company="Bcme")
    product.bell.rings = 0
    assert sweep(product.services) == Swept(0, due=False)
    assert product.bell.rings == 0


def test_gives_back_what_a_dead_worker_held_within_ninety_seconds(product: Product) -> None:
    event_id = product.receive_lead()
    process_event.claim(product.services, "dead", 1)
    product.bell.rings = 0
    product.advance(59)
    assert sweep(product.services) == Swept(0, due=False)
    product.advance(2)
    assert sweep(product.services) == Swept(1, due=True)
    assert product.bell.rings == 1
    assert (product.event(event_id).status, product.event(event_id).attempts) == ("retrying", 1)


def test_lets_go_of_people_whose_worker_died(product: Product) -> None:
    with product.database.writing() as connection:
        inbox.lease_people(connection, {"anna"}, "dead", product.time, timedelta(seconds=60))
    product.advance(61)
    sweep(product.services)
    with product.database.reading() as connection:
        assert not inbox.has_expired(connection, product.time)


def test_an_event_that_kills_each_worker_is_dead_after_its_attempts(product: Product) -> None:
    event_id = product.receive_lead()
    for _ in range(len(product.services.retry_schedule) + 2):
        process_event.claim(product.services, "dead", 1)
        product.advance(61)
        sweep(product.services)
    event = product.event(event_id)
    assert (event.status, event.cause) == ("dead", "internal_error")
    assert event.settled_at is not None


class TestRetention:
    def test_removes_what_is_settled_and_older_and_leaves_what_is_dead_open_or_young(self, product: Product) -> None:
        old = product.receive_lead(id=1, email="old@example.com")
        product.work()
        dead = product.receive(hello="world")
        product.work()
        product.advance(89 * 86_400)
        young = product.receive_lead(id=2, email="young@example.com")
        product.work()
        waiting = product.receive_lead(id=3, email="waiting@example.com")
        product.advance(86_401)
        assert remove_old(product.services) == 2
        with product.database.reading() as connection:
            there = [one for one in (old, dead, young, waiting) if event_list.get(connection, one)]
        assert there == [dead, young, waiting]
        assert [row.email for row in product.activity()] == ["young@example.com"]
        assert len(product.people()) == 2, "people and links stay"

    def test_goes_on_until_nothing_old_is_left(self, product: Product) -> None:
        row = {"campaign_id": 1, "verb": "send", "outcome": "created", "workspace_id": 1, "fields": []}
        with product.database.writing() as connection:
            connection.execute(
                activity.insert(), [{**row, "at": product.time} for _ in range(2 * REMOVED_AT_ONCE + 1)]
            )
        product.advance(91 * 86_400)
        assert remove_old(product.services) == 2 * REMOVED_AT_ONCE + 1
        assert product.activity() == []

    def test_removes_reconciles_but_never_one_that_is_going_on(self, product: Product) -> None:
        row = {"kind": "intercom", "connection_id": 1, "looked_at": 0, "found": 0, "calls": 0}
        with product.database.writing() as connection:
            for days in (92, 91, 1):
                started = product.time - timedelta(days=days)
                connection.execute(reconcile_rows.insert().values({**row, "started_at": started}))
            turn = reconciles.take(connection, "intercom", 1, product.time - timedelta(days=95), timedelta(seconds=9))
        assert turn is not None
        assert remove_old(product.services) == 2
        with product.database.reading() as connection:
            assert set(connection.execute(select(reconcile_rows.c.id)).scalars()) == {3, turn.reconcile_id}

    def test_removes_strangers_events_after_the_last_moment_they_could_be_delivered_again(
        self, product: Product
    ) -> None:
        event = {
            "source": "intercom",
            "topic": "contact.user.updated",
            "workspace_id": 1,
            "content_type": "application/json",
            "attempts": 0,
            "received_at": product.time,
            "settled_at": product.time,
        }
        kinds = [("done", "not_a_tracked_lead")] * (REMOVED_AT_ONCE + 1) + [
            ("done", None),
            ("dead", "internal_error"),
        ]
        with product.database.writing() as connection:
            connection.execute(
                events.insert(),
                [
                    {**event, "dedupe_key": str(n), "status": status, "cause": cause}
                    for n, (status, cause) in enumerate(kinds)
                ],
            )
        product.advance(3 * 3600)
        assert remove_strangers(product.services) == 0
        product.advance(1)
        assert remove_strangers(product.services) == REMOVED_AT_ONCE + 1
        with product.database.reading() as connection:
            assert connection.execute(select(events.c.status).order_by(events.c.id)).scalars().all() == [
                "done",
                "dead",
            ]


class TestTheCatalogue:
    def test_is_read_anew(self, product: Product) -> None:
        product.intercom.catalogue["custom_attributes.New one"] = custom("New one")
        assert refresh_catalogues(product.services) == 1
        with product.database.reading() as connection:
            assert "custom_attributes.New one" in workspaces.catalogue(connection, product.workspace_id)

    @pytest.mark.parametrize(
        "error",
        [
            Unavailable(Vendor.INTERCOM, "away", down=True),
            RateLimited(Vendor.INTERCOM, "later", after=5),
            Unauthorized(Vendor.INTERCOM, "no", status=401),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_stays_as_it_was_where_it_can_not_be_read(self, product: Product, error: Exception) -> None:
        for operation in ("me", "attributes"):
            product.intercom.fail(operation, error, times=5)  # type: ignore[arg-type]
        refresh_catalogues(product.services)
        with product.database.reading() as connection:
            assert "custom_attributes.Company name" in workspaces.catalogue(connection, product.workspace_id)

    def test_of_a_disconnected_workspace_is_not_asked_for(self, product: Product) -> None:
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, state="disconnected")
        assert refresh_catalogues(product.services) == 0
        assert product.intercom.calls == []
