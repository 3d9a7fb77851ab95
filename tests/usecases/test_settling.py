"""What came of events is kept: together, else one by one, and only by whoever still holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.core.errors import Unauthorized, Unavailable, Vendor
from app.core.identity import person_key
from app.storage import inbox, links, people
from app.storage.database import Database
from app.storage.people import PersonRecord
from app.storage.tables import activity as activities
from app.usecases import process_event
from app.usecases.check_connections import probe_circuits
from app.usecases.process_event import Batch, Outcome
from app.usecases.sweep import sweep
from tests.product import START, Product


def worked_on(product: Product, owner: str = "worker") -> tuple[Batch, list[Outcome]]:
    batch = process_event.claim(product.services, owner, 50)
    return batch, [process_event.process(product.services, event, batch) for event in batch.events]


def settle(product: Product, outcomes: list[Outcome], owner: str = "worker") -> None:
    process_event.settle(product.services, owner, outcomes)


def test_one_outcome_that_can_not_be_kept_costs_its_event_alone(product: Product) -> None:
    ids = [product.receive_lead(id=n, email=f"lead{n}@example.com") for n in range(5)]
    _, outcomes = worked_on(product)
    outcomes[2].activity[0]["campaign_id"] = 2**80  # no driver takes it, each in its own way
    settle(product, outcomes)
    kept = [product.event(one) for one in ids]
    assert [event.status for event in kept] == ["done", "done", "dead", "done", "done"]
    assert kept[2].cause == "internal_error"
    assert kept[2].error
    assert [row.event_id for row in product.activity()] == [ids[0], ids[1], ids[3], ids[4]]
    key = person_key(product.workspace_id, "lead2@example.com")
    with product.database.reading() as connection:
        assert key in links.links_of(connection, [key]), "whom we made is remembered in any case"


class Raced(Database):
    """Somebody else keeps the same person just after we looked: the first write fails on the unique key."""

    rival: PersonRecord | None = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with super().writing() as connection:
            yield connection
            if self.rival is not None:
                connection.rollback()
        if self.rival is not None:
            rival, self.rival = self.rival, None
            with super().writing() as connection:
                people.save(connection, [rival], START)
            raise IntegrityError("", {}, ValueError("duplicate key"))


def test_whom_another_worker_kept_meanwhile_is_changed_and_the_event_is_not_lost(product: Product) -> None:
    event_id = product.receive_lead(id=7, email="new@example.com")
    _, outcomes = worked_on(product)
    database = Raced(product.database.engine.url.render_as_string(hide_password=False))
    database.rival = replace(outcomes[0].people[0], email="old@example.com")
    process_event.settle(replace(product.services, database=database), "worker", outcomes)
    database.close()
    assert product.event(event_id).status == "done"
    assert [person.email for person in product.people()] == ["new@example.com"]


class TestALeaseThatRanOut:
    def test_what_the_second_worker_settled_the_first_does_not_settle_again(self, product: Product) -> None:
        event_id = product.receive_lead()
        _, late = worked_on(product, "first")
        product.advance(61)
        assert sweep(product.services).given_back == 1
        _, in_time = worked_on(product, "second")
        product.advance(200)
        settle(product, in_time, "second")
        while product.event(event_id).status != "done":
            product.advance(200)
            product.work("second")
        before = product.event(event_id), product.activity(), product.people()

        settle(product, late, "first")
        assert (product.event(event_id), product.activity(), product.people()) == before
        assert len(product.intercom.contacts) == 1

    def test_its_link_is_kept_for_it_is_true(self, product: Product) -> None:
        product.receive_lead()
        _, late = worked_on(product, "first")
        product.advance(61)
        sweep(product.services)
        process_event.claim(product.services, "second", 10)
        settle(product, late, "first")
        key = person_key(product.workspace_id, "friend@example.com")
        with product.database.reading() as connection:
            assert links.links_of(connection, [key])[key].contact_id == late[0].links[0].contact_id
            assert links.open_creations(connection, [key]) == {}
        assert product.activity() == []

    def test_the_persons_lease_of_the_second_is_not_let_go_by_the_first(self, product: Product) -> None:
        product.receive_lead()
        _, late = worked_on(product, "first")
        product.advance(61)
        sweep(product.services)
        process_event.claim(product.services, "second", 10)
        settle(product, late, "first")
        product.receive_lead(Company="Bcme")
        assert process_event.claim(product.services, "third", 10).events == []


def test_what_is_given_back_is_due_again_without_an_attempt(product: Product) -> None:
    event_id = product.receive_lead()
    batch = process_event.claim(product.services, "first", 10)
    with product.database.writing() as connection:
        inbox.give_back(connection, "somebody else", batch.events)
    assert product.event(event_id).status == "processing"
    with product.database.writing() as connection:
        inbox.give_back(connection, "first", batch.events)
    event = product.event(event_id)
    assert (event.status, event.attempts, event.lease_owner, event.lease_until) == ("received", 0, None, None)
    assert [one.id for one in process_event.claim(product.services, "second", 10).events] == [event_id]


@pytest.mark.parametrize(
    ("answer", "status", "attempts", "held_by"),
    [
        (Unavailable(Vendor.INTERCOM, "no answer", sent=True), "retrying", 1, None),
        (Unavailable(Vendor.INTERCOM, "away", sent=False, down=True), "received", 0, "intercom:1"),
    ],
    ids=["no answer", "away"],
)
def test_a_refused_token_about_which_intercom_can_not_be_asked_is_asked_about_later(
    product: Product, answer: Unavailable, status: str, attempts: int, held_by: str | None
) -> None:
    product.intercom.fail("search_email", Unauthorized(Vendor.INTERCOM, "no", status=401))
    product.intercom.fail("me", answer)
    event_id = product.receive_lead()
    product.work()
    event = product.event(event_id)
    assert (event.status, event.cause, event.attempts) == (status, "intercom_unavailable", attempts)
    assert event.held_by == held_by
    product.advance(60)
    probe_circuits(product.services)
    product.work()
    assert product.event(event_id).status == "done"


def test_times_of_activity_are_those_of_the_settling(product: Product) -> None:
    product.receive_lead()
    _, outcomes = worked_on(product)
    product.advance(5)
    settle(product, outcomes)
    with product.database.reading() as connection:
        assert connection.execute(activities.select()).one().at == product.time
