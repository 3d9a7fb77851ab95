"""What recurs is done by one of all workers, whoever's turn it is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.storage.tables import schedules
from app.usecases.services import Services
from tests.product import Product
from workers import schedule
from workers.schedule import RECURRING, Recurring, keep_time, run_if_due

HOURLY = timedelta(hours=1)


def test_one_of_many_workers_gets_the_turn(product: Product) -> None:
    done: list[str] = []
    together = threading.Barrier(8)
    recurring = Recurring("something", HOURLY, lambda _: done.append(threading.current_thread().name))

    def ask(_: int) -> bool:
        together.wait()
        return run_if_due(product.services, recurring)

    with ThreadPoolExecutor(8) as workers:
        for turn in range(1, 5):
            assert sum(workers.map(ask, range(8))) == 1
            assert len(done) == turn
            assert sum(workers.map(ask, range(8))) == 0, "it is not due again yet"
            product.advance(3600)


def test_kinds_have_turns_of_their_own(product: Product) -> None:
    done: list[str] = []
    kinds = [Recurring(name, HOURLY, lambda _, name=name: done.append(name)) for name in ("one", "two")]  # type: ignore[misc]
    for kind in [*kinds, *kinds]:
        run_if_due(product.services, kind)
    assert done == ["one", "two"]


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemError("worse")])
def test_one_that_fails_does_not_stop_the_clock_and_has_its_next_turn(product: Product, error: Exception) -> None:
    def fail(_: Services) -> None:
        raise error

    recurring = Recurring("fails", HOURLY, fail)
    assert run_if_due(product.services, recurring) is False
    with product.database.reading() as connection:
        due_at = connection.execute(select(schedules.c.due_at)).scalar_one()
    assert due_at == product.time + HOURLY


def test_the_clock_does_all_that_recurs_and_stops_at_once(product: Product) -> None:
    stopping = threading.Event()
    rung = threading.Event()

    class Bell:
        def ring(self) -> None:
            rung.set()

    product.receive_lead()
    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(keep_time, replace(product.services, bell=Bell()), stopping)
        assert rung.wait(5)
        time.sleep(0.05)
        asked = time.monotonic()
        stopping.set()
        future.result(5)
        assert time.monotonic() - asked < 1
    with product.database.reading() as connection:
        known = set(connection.execute(select(schedules.c.name)).scalars())
    assert "sweep" in known
    assert known <= {recurring.name for recurring in RECURRING}


def test_a_lost_event_is_found_within_ninety_seconds() -> None:
    (sweep,) = [one for one in RECURRING if one.name == "sweep"]
    assert sweep.every <= timedelta(seconds=30)


@pytest.mark.parametrize("apart", [False, True])
def test_what_goes_on_for_long_holds_up_nothing_else(
    product: Product, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    stopping, asked, rung = threading.Event(), threading.Event(), threading.Event()

    def slow(_: Services) -> None:
        asked.set()
        stopping.wait(10)

    kinds = (
        Recurring("slow", HOURLY, slow, apart=True),
        Recurring("quick", HOURLY, lambda _: rung.set() if asked.wait(5) else None, apart=apart),
    )
    monkeypatch.setattr(schedule, "RECURRING", kinds)
    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(keep_time, product.services, stopping)
        assert rung.wait(8)
        stopping.set()
        future.result(5)
