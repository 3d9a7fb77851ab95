"""Processes are killed, Redis and the database die, a vendor refuses, one after the other under load: nobody is lost,
doubled or qualified twice, and the system recovers by itself."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import chaos
from bench.servers import may_start_postgres

pytestmark = pytest.mark.enable_socket


@pytest.mark.skipif(not may_start_postgres(), reason="There is no PostgreSQL here that could be started.")
def test_the_system_survives_a_short_chaos() -> None:
    said: list[str] = []
    tally = chaos.run(chaos.SHORT, said.append)
    report = chaos.report(tally, chaos.SHORT)
    assert report.is_good, report.as_text()
    assert tally.acknowledged >= 50
    assert tally.applied == tally.acknowledged
    assert set(tally.recoveries) == set(chaos.SHORT.faults or ())
    assert tally.converted >= len(said)
    assert tally.dead == 0
    assert len(said) == sum(len(each) for each in tally.recoveries.values())


def settled(there: dict[str, int], changed: dict[str, int]) -> chaos.Tally:
    tally = chaos.Tally(recoveries={"web killed": [1.0, 2.0]})
    chaos.settle(tally, {"ann", "bob"}, Counter(there), ["cyd"], changed)
    return tally


def test_a_report_is_good_where_everybody_is_there_once() -> None:
    report = chaos.report(settled({"ann": 1, "bob": 1}, {"cyd": 1}), chaos.SHORT)
    assert report.is_good
    assert "web killed" in report.as_text()


@pytest.mark.parametrize(
    ("there", "changed", "fault"),
    [
        ({"ann": 1}, {"cyd": 1}, "lost: bob"),
        ({"ann": 1, "bob": 2}, {"cyd": 1}, "doubled: bob"),
        ({"ann": 1, "bob": 1}, {}, "unqualified: cyd"),
        ({"ann": 1, "bob": 1}, {"cyd": 2}, "qualified twice: cyd"),
    ],
)
def test_a_report_is_bad_where_somebody_is_lost_or_there_twice(
    there: dict[str, int], changed: dict[str, int], fault: str
) -> None:
    report = chaos.report(settled(there, changed), chaos.SHORT)
    assert not report.is_good
    assert report.faults == [fault]


def test_a_single_slow_recovery_is_bad_whatever_the_others_took() -> None:
    tally = settled({"ann": 1, "bob": 1}, {"cyd": 1})
    tally.recoveries = {"web killed": [1.0, 1.0, 91.0]}
    report = chaos.report(tally, chaos.SHORT)
    assert not report.is_good
    assert report.faults == ["web killed: took 91 s to recover"]
