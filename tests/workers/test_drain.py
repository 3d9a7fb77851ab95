"""The drain: many threads on a real database, each person in order, nothing held for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError

from app.core.people import Contact
from app.storage.database import Database
from app.storage.inbox import Settling
from app.storage.tables import events, person_leases
from app.usecases.services import Services
from app.usecases.sweep import sweep
from tests.fakes import FakeIntercom
from tests.product import DirectCreations, FakeVendors, Product
from workers.drain import Drain

PATIENCE = 15.0
OLGA = "olga@example.com"


class Gated(FakeIntercom):
    """Notes who is searched for, in what order; those named in ``slow`` wait until ``gate`` is opened."""

    def __init__(self, like: FakeIntercom) -> None:
        super().__init__(attributes=list(like.catalogue.values()))
        self.now = like.now
        self.slow: set[str] = set()
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.searched: list[str] = []
        self.at_once, self.most_at_once = 0, 0
        self.before: Callable[[str], None] = lambda _email: None
        self._counting = threading.Lock()

    def search_email(self, email: str) -> list[Contact]:
        with self._counting:
            self.searched.append(email)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        try:
            self.before(email)
            if email in self.slow:
                assert self.gate.wait(PATIENCE)
            return super().search_email(email)
        finally:
            with self._counting:
                self.at_once -= 1


@pytest.fixture
def intercom(product: Product) -> Gated:
    gated = Gated(product.intercom)
    product.intercom = gated
    product.services = replace(product.services, vendors=FakeVendors(gated, product.referral_factory))
    return gated


@contextmanager
def draining(
    services: Services, *, threads: int = 4, seconds: float = 60.0, owner: str = "worker"
) -> Iterator[tuple[Callable[[], int], threading.Event]]:
    """A drain in a thread of its own: ``finish`` waits for how many it settled; the event asks it to stop."""
    stopping = threading.Event()
    drain = Drain(services, owner=owner, threads=threads, seconds=seconds, stopping=stopping)
    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(drain.run)
        try:
            yield lambda: future.result(PATIENCE), stopping
        finally:
            stopping.set()


def drain(services: Services, **options: Any) -> int:
    with draining(services, **options) as (finish, _):
        return finish()


def statuses(product: Product) -> dict[str, int]:
    with product.database.reading() as connection:
        rows = connection.execute(select(events.c.status, func.count()).group_by(events.c.status))
        return {row[0]: row[1] for row in rows}


def leased_people(product: Product) -> int:
    with product.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(person_leases)).scalar_one()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.01)


def test_everything_due_is_settled_by_several_threads(product: Product, intercom: Gated) -> None:
    meeting = threading.Barrier(4)
    intercom.before = lambda email: meeting.wait(PATIENCE) if email.startswith("m") else None  # type: ignore[assignment]
    for n in range(4):
        product.receive_lead(id=n, email=f"m{n}@example.com")
    for n in range(30):
        product.receive_lead(id=100 + n, email=f"lead{n}@example.com")
    assert drain(product.services) == 34
    assert statuses(product) == {"done": 34}
    assert intercom.most_at_once == 4
    assert leased_people(product) == 0


def test_one_persons_events_are_worked_on_one_at_a_time_and_in_order(product: Product, intercom: Gated) -> None:
    product.change(duplicates="update")
    for n in range(6):
        product.receive_lead(id=7, email=OLGA, first_name=f"Olga {n}")
        product.receive_lead(id=50 + n, email=f"other{n}@example.com")
    drain(product.services)
    rows = [row for row in product.activity() if row.email == OLGA]
    assert len(rows) == 6
    assert [row.event_id for row in rows] == sorted(row.event_id for row in rows)
    (contact,) = [one for one in intercom.contacts.values() if one.email == OLGA]
    assert contact.name == "Olga 5"


def test_two_workers_share_the_work_and_make_nobody_twice(product: Product, intercom: Gated) -> None:
    for n in range(60):
        product.receive_lead(id=n % 20, email=f"lead{n % 20}@example.com", Company=f"Acme {n}")
    with (
        draining(product.services, owner="one") as (one, _),
        draining(product.services, owner="two") as (two, _),
    ):
        assert one() + two() <= 60
    drain(product.services)
    assert statuses(product) == {"done": 60}
    assert len(intercom.contacts) == 20


def test_a_slow_event_holds_back_neither_the_others_nor_who_comes_meanwhile(
    product: Product, intercom: Gated
) -> None:
    intercom.slow = {OLGA}
    product.receive_lead(id=1, email=OLGA)
    for n in range(5):
        product.receive_lead(id=10 + n, email=f"lead{n}@example.com")
    with draining(product.services, threads=2) as (finish, _):
        until(lambda: statuses(product).get("done") == 5)
        product.receive_lead(id=99, email="late@example.com")
        asked = time.monotonic()
        until(lambda: statuses(product).get("done") == 6)
        assert time.monotonic() - asked < 2
        intercom.gate.set()
        assert finish() == 7


def test_no_more_is_claimed_than_what_begins_soon(product: Product, intercom: Gated) -> None:
    intercom.slow = {f"lead{n}@example.com" for n in range(20)}
    for n in range(20):
        product.receive_lead(id=n, email=f"lead{n}@example.com")
    with draining(product.services, threads=2) as (finish, _):
        for _ in range(2):
            assert intercom.begun.acquire(timeout=PATIENCE)
        until(lambda: statuses(product) == {"processing": 4, "received": 16})
        intercom.gate.set()
        assert finish() == 20


def test_several_are_settled_in_one_transaction(product: Product, intercom: Gated) -> None:
    commits: list[int] = []

    class Counting(Database):
        @contextmanager
        def writing(self) -> Iterator[Connection]:
            with super().writing() as connection:
                yield connection
            commits.append(1)

    for n in range(50):
        product.receive_lead(id=n, email=f"lead{n}@example.com")
    database = Counting(product.database.engine.url.render_as_string(hide_password=False))
    assert drain(replace(product.services, database=database), threads=8) == 50
    database.close()
    # Some for claims; the rest settled more than one event each.
    assert len(commits) < 40


class TestAskedToStop:
    def test_gives_back_what_it_has_not_begun_and_finishes_the_rest(self, product: Product, intercom: Gated) -> None:
        intercom.slow = {f"lead{n}@example.com" for n in range(4)}
        ids = [product.receive_lead(id=n, email=f"lead{n}@example.com") for n in range(4)]
        with product.database.writing() as connection:
            connection.execute(events.update().where(events.c.id == ids[3]).values(attempts=2, status="retrying"))
        with draining(product.services, threads=2) as (finish, stopping):
            for _ in range(2):
                assert intercom.begun.acquire(timeout=PATIENCE)
            until(lambda: statuses(product) == {"processing": 4})
            stopping.set()
            until(lambda: "received" in statuses(product))
            assert [product.event(one).status for one in ids] == ["processing", "processing", "received", "retrying"]
            assert [product.event(one).attempts for one in ids] == [0, 0, 0, 2]
            assert [product.event(one).lease_owner for one in ids[2:]] == [None, None]
            assert leased_people(product) == 2
            assert drain_one_more(product, intercom) == 2, "another worker takes them at once"
            intercom.gate.set()
            assert finish() == 2
        assert statuses(product) == {"done": 4}
        assert len(intercom.contacts) == 4

    def test_takes_nothing_more(self, product: Product, intercom: Gated) -> None:
        stopping = threading.Event()
        stopping.set()
        product.receive_lead()
        assert Drain(product.services, owner="one", threads=2, seconds=60, stopping=stopping).run() == 0
        assert statuses(product) == {"received": 1}

    def test_is_seen_soon_although_a_vendor_is_slow(self, product: Product, intercom: Gated) -> None:
        intercom.slow = {OLGA}
        product.receive_lead(email=OLGA)
        with draining(product.services) as (finish, stopping):
            assert intercom.begun.acquire(timeout=PATIENCE)
            asked = time.monotonic()
            stopping.set()
            intercom.gate.set()
            assert finish() == 1
            assert time.monotonic() - asked < 2


def drain_one_more(product: Product, intercom: Gated) -> int:
    intercom.slow = set()
    return drain(product.services, owner="another")


def test_when_its_time_is_up_the_rest_is_left_to_the_next_job(product: Product, intercom: Gated) -> None:
    intercom.slow = {f"lead{n}@example.com" for n in range(6)}
    for n in range(6):
        product.receive_lead(id=n, email=f"lead{n}@example.com")
    with draining(product.services, threads=2, seconds=0.5) as (finish, _):
        until(lambda: statuses(product) == {"processing": 2, "received": 4})
        intercom.gate.set()
        assert finish() == 2


def test_a_thread_that_fails_in_the_strangest_way_costs_its_event_only(product: Product, intercom: Gated) -> None:
    def leave(email: str) -> None:
        if email == OLGA:
            raise SystemExit(3)

    intercom.before = leave
    strange = product.receive_lead(id=1, email=OLGA)
    product.receive_lead(id=2, email="other@example.com")
    assert drain(product.services) == 2
    assert (product.event(strange).status, product.event(strange).cause) == ("dead", "internal_error")
    assert product.event(strange).error == "SystemExit"
    assert statuses(product) == {"dead": 1, "done": 1}
    assert leased_people(product) == 0


def test_an_event_that_must_wait_its_turn_does_not_keep_the_drain_busy(product: Product, intercom: Gated) -> None:
    from app.storage import inbox

    first = product.receive_lead(id=1, email=OLGA)
    product.receive_lead(id=1, email=OLGA, Company="Bcme")
    with product.database.writing() as connection:
        later = product.time + timedelta(hours=6)
        inbox.settle(connection, "one", [Settling(first, None, "retrying", 3, next_attempt_at=later)], product.time)
    assert drain(product.services) == 0
    with product.database.reading() as connection:
        assert not inbox.is_any_due(connection, product.time), "nothing to ring for"
    product.advance(6 * 3600)
    with product.database.reading() as connection:
        assert inbox.is_any_due(connection, product.time)
    assert drain(product.services) == 2


class TestWhatIsDueSoon:
    """The product's clock stands still until the test moves it."""

    def put_off(self, product: Product, event_id: int, seconds: float) -> None:
        due = product.time + timedelta(seconds=seconds)
        with product.database.writing() as connection:
            connection.execute(events.update().where(events.c.id == event_id).values(next_attempt_at=due))

    def test_is_waited_for(self, product: Product, intercom: Gated) -> None:
        self.put_off(product, product.receive_lead(id=1, email=OLGA), 1)
        with draining(product.services) as (finish, _):
            for number in range(3):  # others come meanwhile, and are not made to wait
                product.receive_lead(id=10 + number, email=f"lead{number}@example.com")
                until(lambda seen=number: statuses(product).get("done") == seen + 1)  # type: ignore[misc]
            assert OLGA not in intercom.searched
            product.advance(1)
            assert finish() == 4
        assert OLGA in intercom.searched

    def test_later_than_that_is_not(self, product: Product, intercom: Gated) -> None:
        self.put_off(product, product.receive_lead(), 2)
        assert drain(product.services) == 0

    def test_is_left_to_another_when_asked_to_stop(self, product: Product, intercom: Gated) -> None:
        self.put_off(product, product.receive_lead(), 1)
        with draining(product.services) as (finish, stopping):
            stopping.set()
            assert finish() == 0
        assert statuses(product) == {"received": 1}

    def test_does_not_make_it_go_on_for_longer_than_its_time(self, product: Product, intercom: Gated) -> None:
        self.put_off(product, product.receive_lead(), 1)
        assert drain(product.services, seconds=0.3) == 0

    def test_is_not_looked_for_all_the_time(self, product: Product, intercom: Gated) -> None:
        looks: list[int] = []

        class Counting(Database):
            @contextmanager
            def reading(self) -> Iterator[Connection]:
                looks.append(1)
                with super().reading() as connection:
                    yield connection

        database = Counting(product.database.engine.url.render_as_string(hide_password=False))
        self.put_off(product, product.receive_lead(), 1)
        drain(replace(product.services, database=database), seconds=0.5)
        database.close()
        assert 2 <= len(looks) <= 11


class Flaky(Database):
    """A database that can be taken away; statements fail then as its driver has them fail."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.away = False
        self.failed = 0

    def _look(self) -> None:
        if self.away:
            self.failed += 1
            raise OperationalError("", {}, ConnectionError("the server closed the connection"))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self._look()
        with super().writing() as connection:
            yield connection
            self._look()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self._look()
        with super().reading() as connection:
            yield connection


@pytest.fixture
def flaky(product: Product) -> Iterator[Flaky]:
    database = Flaky(product.database.engine.url.render_as_string(hide_password=False))
    yield database
    database.close()


class TestWhenTheDatabaseIsAway:
    def test_for_a_moment_what_was_done_is_settled_afterwards_and_not_done_again(
        self, product: Product, intercom: Gated, flaky: Flaky
    ) -> None:
        intercom.put(OLGA)
        intercom.slow = {OLGA}
        event_id = product.receive_lead(email=OLGA)
        with draining(replace(product.services, database=flaky)) as (finish, _):
            assert intercom.begun.acquire(timeout=PATIENCE)
            flaky.away = True
            intercom.gate.set()
            until(lambda: flaky.failed > 2)
            flaky.away = False
            assert finish() == 1
        assert (product.event(event_id).status, product.event(event_id).attempts) == ("done", 0)
        assert intercom.searched == [OLGA]

    def test_where_an_attempt_is_to_be_recorded_the_event_is_tried_again(
        self, product: Product, intercom: Gated, flaky: Flaky
    ) -> None:
        intercom.slow = {OLGA}
        event_id = product.receive_lead(email=OLGA)
        services = replace(product.services, database=flaky, creations=DirectCreations(flaky))
        with draining(services) as (finish, _):
            assert intercom.begun.acquire(timeout=PATIENCE)
            flaky.away = True
            intercom.gate.set()
            until(lambda: flaky.failed > 2)
            flaky.away = False
            finish()
        event = product.event(event_id)
        assert (event.status, event.attempts, event.cause) == ("retrying", 1, "waiting_in_queue")
        product.advance(10)
        drain(product.services)
        assert product.event(event_id).status == "done"
        assert len(intercom.contacts) == 1

    def test_from_the_beginning_the_job_fails_and_nothing_is_lost(
        self, product: Product, intercom: Gated, flaky: Flaky
    ) -> None:
        product.receive_lead()
        flaky.away = True
        with pytest.raises(OperationalError):
            drain(replace(product.services, database=flaky))
        assert drain(product.services) == 1

    def test_for_longer_than_a_lease_the_drain_ends_and_the_event_is_taken_again(
        self, product: Product, intercom: Gated, flaky: Flaky
    ) -> None:
        intercom.slow = {OLGA}
        product.receive_lead(email=OLGA)
        passed = [0.0]
        stopping = threading.Event()
        services = replace(product.services, database=flaky)
        one = Drain(services, owner="one", threads=1, seconds=999, stopping=stopping, clock=lambda: passed[0])
        with ThreadPoolExecutor(1) as beside:
            future = beside.submit(one.run)
            assert intercom.begun.acquire(timeout=PATIENCE)
            flaky.away = True
            passed[0] = 61.0
            intercom.gate.set()
            with pytest.raises(OperationalError):
                future.result(PATIENCE)
        product.advance(61)
        assert sweep(product.services).given_back == 1
        assert drain(product.services) == 1
        assert len(intercom.contacts) == 1


def test_the_leases_of_what_takes_long_are_held_on_to(product: Product, intercom: Gated) -> None:
    intercom.slow = {OLGA}
    event_id = product.receive_lead(email=OLGA)
    passed = [0.0]
    stopping = threading.Event()
    one = Drain(product.services, owner="one", threads=1, seconds=999, stopping=stopping, clock=lambda: passed[0])
    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(one.run)
        assert intercom.begun.acquire(timeout=PATIENCE)
        before = product.event(event_id).lease_until
        product.advance(50)
        passed[0] = 50.0
        until(lambda: product.event(event_id).lease_until > before)
        product.advance(30)
        assert sweep(product.services).given_back == 0
        intercom.gate.set()
        assert future.result(PATIENCE) == 1
