"""Webhooks that come together share a commit: each is told its own event, and one that can't be kept stands alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.storage import inbox
from app.storage.database import Database
from app.storage.inbox import NewEvent, Receipt
from app.storage.intake import Intake
from app.storage.tables import events
from app.usecases.receive_event import campaign_door, receive_from_referral_factory
from tests.product import START, Product, lead


class Watched(Database):
    """Counts commits; can be held back, and can be taken away."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits = 0
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        self.away = False

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.asked.set()
        assert self.open.wait(10)
        if self.away:
            time.sleep(0.05)
            raise OperationalError("", {}, ConnectionError("refused"))
        with super().writing() as connection:
            yield connection
        self.commits += 1


@pytest.fixture
def watched(database: Database) -> Iterator[Watched]:
    watched = Watched(database.engine.url.render_as_string(hide_password=False))
    yield watched
    watched.close()


def new(key: str, person: str | None = None, payload: bytes = b"{}") -> NewEvent:
    return NewEvent(key, "referral_factory", "joined", 1, 1, person, "application/json", payload, START)


def keys_of(database: Database) -> dict[int, str]:
    with database.reading() as connection:
        return {row.id: row.dedupe_key for row in connection.execute(select(events.c.id, events.c.dedupe_key))}


@contextmanager
def together(watched: Watched, intake: Intake, *asked: NewEvent) -> Iterator[list[object]]:
    """All of ``asked`` come while a commit is under way; what each was told, in order."""
    watched.open.clear()
    watched.asked.clear()
    with ThreadPoolExecutor(len(asked) + 1) as senders:
        first = senders.submit(intake.keep, new("the first"))
        assert watched.asked.wait(5)
        futures = []
        for number, event in enumerate(asked, 1):
            futures.append(senders.submit(intake.keep, event))
            while intake._asked.qsize() < number:
                time.sleep(0.001)
        watched.open.set()
        first.exception(10)
        yield [future.exception(10) or future.result() for future in futures]


def test_many_threads_at_once_are_each_told_their_own_event(watched: Watched) -> None:
    intake = Intake(watched)
    with ThreadPoolExecutor(16) as senders:
        receipts = dict(zip(range(400), senders.map(lambda n: intake.keep(new(f"key{n}")), range(400)), strict=True))
    known = keys_of(watched)
    assert {known[receipt.event_id] for receipt in receipts.values()} == {f"key{n}" for n in range(400)}
    assert all(known[receipt.event_id] == f"key{n}" for n, receipt in receipts.items())
    assert not any(receipt.duplicate for receipt in receipts.values())
    assert watched.commits <= 400


def test_what_waits_while_a_commit_runs_goes_into_the_next_in_the_order_it_came(watched: Watched) -> None:
    with together(watched, Intake(watched), *(new(f"key{n}") for n in range(30))) as told:
        ids = [receipt.event_id for receipt in told if isinstance(receipt, Receipt)]
    assert watched.commits == 2
    assert [keys_of(watched)[one] for one in ids] == [f"key{n}" for n in range(30)]
    assert ids == sorted(ids)


def test_the_same_event_twice_in_one_commit_is_kept_once(watched: Watched) -> None:
    with together(watched, Intake(watched), new("same"), new("other"), new("same")) as told:
        first, other, again = told
    assert isinstance(first, Receipt)
    assert again == Receipt(first.event_id, duplicate=True)
    assert (first.duplicate, other.duplicate) == (False, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "poison", [replace(new("poison"), campaign_id=2**80), replace(new("poison"), topic=None)], ids=["huge", "null"]
)
def test_one_that_can_not_be_kept_does_not_take_the_others_with_it(watched: Watched, poison: NewEvent) -> None:
    with together(watched, Intake(watched), new("one"), poison, new("two")) as told:
        one, error, two = told
    assert isinstance(error, Exception)
    assert [keys_of(watched)[receipt.event_id] for receipt in (one, two)] == ["one", "two"]  # type: ignore[attr-defined]
    assert "poison" not in keys_of(watched).values()


def test_while_the_database_is_away_all_are_told_at_once(watched: Watched) -> None:
    intake = Intake(watched)
    watched.away = True
    started = time.monotonic()
    with together(watched, intake, *(new(f"key{n}") for n in range(40))) as told:
        assert all(isinstance(error, OperationalError) for error in told)
    assert time.monotonic() - started < 1.5, "not one after the other"
    watched.away = False
    assert intake.keep(new("afterwards")).duplicate is False


def test_who_was_told_to_come_again_and_does_so_is_kept_once(watched: Watched) -> None:
    intake = Intake(watched, patience=0.2)
    watched.open.clear()
    with pytest.raises(TimeoutError):
        intake.keep(new("slow"))
    watched.open.set()
    patient = Intake(watched)
    deadline = time.monotonic() + 5
    while "slow" not in keys_of(watched).values() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert patient.keep(new("slow")).duplicate is True
    with watched.reading() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar() == 1


def test_a_database_that_was_restarted_costs_no_webhook(watched: Watched, database: Database) -> None:
    intake = Intake(watched)
    intake.keep(new("before"))
    if not watched.on_sqlite:
        with database.writing() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        database.engine.dispose()
    assert intake.keep(new("after")).duplicate is False
    assert sorted(keys_of(database).values()) == ["after", "before"]


class Failing:
    """An inbox whose database is away."""

    def keep(self, event: NewEvent) -> Receipt:
        raise OperationalError("", {}, ConnectionError("refused"))


class TestReceipt:
    def test_rings_after_the_commit(self, product: Product) -> None:
        committed: list[int] = []

        class Bell:
            def ring(self) -> None:
                with product.database.reading() as connection:
                    committed.append(connection.execute(select(func.count()).select_from(events)).scalar_one())

        product.services = replace(product.services, bell=Bell())
        product.receive_lead()
        assert committed == [1]

    def test_that_could_not_be_kept_is_neither_counted_nor_rung_for(self, product: Product) -> None:
        product.services = replace(product.services, intake=Failing())
        product.bell.rings = 0
        with pytest.raises(DBAPIError):
            product.receive_lead()
        assert product.bell.rings == 0

    def test_again_after_it_was_given_up_makes_it_due_again(self, product: Product) -> None:
        event_id = product.receive(hello="world")
        product.work()
        assert product.event(event_id).status == "dead"
        assert product.receive(hello="world") == event_id
        assert (product.event(event_id).status, product.event(event_id).attempts) == ("received", 0)

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (lead(), lead(email=" FRIEND@example.com "), True),
            (lead(), lead(email="other@example.com"), False),
            ({"id": 7}, {"id": "7"}, True),
            ({"id": 7}, {"code": "c7"}, False),
            ({"hello": "world"}, {"hello": "world", "more": 1}, False),
        ],
    )
    def test_takes_the_persons_key_from_the_body(
        self, product: Product, one: dict[str, object], other: dict[str, object], same: bool
    ) -> None:
        ids = [product.receive(topic, **body) for topic, body in (("joined", one), ("qualified", other))]
        keys = [product.event(event_id).person_key for event_id in ids]
        assert (keys[0] is not None and keys[0] == keys[1]) is same

    def test_of_a_secret_that_is_not_the_campaigns_keeps_nothing(self, product: Product) -> None:
        from app.core.errors import InvalidRequest

        door = campaign_door(product.services, "key-1", "joined")
        for secret in (None, "", "wrong", "webhook-secret ", "wébhook-secret"):
            with pytest.raises(InvalidRequest) as refused:
                receive_from_referral_factory(
                    product.services,
                    door,
                    "joined",
                    body=b"{}",
                    content_type="application/json",
                    payload={},
                    secret=secret,
                )
            assert refused.value.status == 401
        with product.database.reading() as connection:
            assert not inbox.is_any_due(connection, product.time)
