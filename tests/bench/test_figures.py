"""How figures are made and told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.figures import Reference, Report, Row, Target, shown
from bench.load import Result


def row(*values: float, target: Target | None = None, reference: Reference | None = None) -> Row:
    return Row("door", "sqlite", "webhooks a second", values, reference, target)


@pytest.mark.parametrize(
    ("share", "latency"),
    [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)],
)
def test_a_percentile_is_a_latency_that_was_met_with(share: float, latency: float) -> None:
    result = Result(10.0, tuple(map(float, range(1, 101))), {200: 100})
    assert result.percentile(share) == latency
    assert result.rate == 10.0


def test_the_median_of_the_runs_counts() -> None:
    assert row(430.0, 90.0, 410.0).median == 410.0
    assert row(400.0, 500.0).median == 450.0


@pytest.mark.parametrize(
    ("values", "target", "verdict"),
    [
        ((390.0, 400.0, 800.0), Target(400), "ok"),
        ((399.0, 399.9, 800.0), Target(400), "short"),
        ((149.9,), Target(150, at_least=False), "ok"),
        ((150.0,), Target(150, at_least=False), "short"),
        ((1.0,), None, ""),
    ],
)
def test_a_target_is_held_against_the_median(values: tuple[float, ...], target: Target | None, verdict: str) -> None:
    assert row(*values, target=target).verdict == verdict


def test_a_ratio_is_made_run_by_run() -> None:
    """Half the speed in a slow run is still half."""
    slowed = row(100.0, 50.0, 100.0, reference=Reference("no storage", (200.0, 100.0, 100.0)))
    assert slowed.ratio == 0.5
    assert row(1.0, reference=Reference("nothing to tell", (0.0,))).ratio is None
    assert row(1.0).ratio is None


def test_a_ratio_may_be_asked_for_besides_the_figure() -> None:
    reference = Reference("naive service", (10.0,))
    asked = replace(row(190.0, target=Target(180), reference=reference), ratio_target=Target(20))
    assert (asked.verdict, asked.targets) == ("short", "≥ 180, ratio ≥ 20")
    assert replace(asked, ratio_target=Target(19)).verdict == "ok"
    assert replace(asked, target=Target(200), ratio_target=Target(19)).verdict == "short"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (12.34, "12.3"), (400.0, "400"), (1234.5, "1,234"), (120.0, "120"), (2.0, "2")],
)
def test_a_figure_has_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


def test_the_table_tells_median_spread_reference_ratio_and_verdict() -> None:
    reference = Reference("no storage", (1000.0, 1100.0, 1200.0))
    report = Report({"cores": 2}, [row(440.0, 450.0, 480.0, reference=reference, target=Target(400))])
    text = report.as_text()
    assert text.startswith("cores 2\n")
    line = next(line for line in text.splitlines() if line.startswith("door"))
    assert [part.strip() for part in line.split("  ") if part.strip()] == [
        "door",
        "sqlite",
        "webhooks a second",
        "450 [440–480]",
        "no storage",
        "1,100 [1,000–1,200]",
        "0.41",
        "≥ 400",
        "ok",
    ]
    assert text.endswith("All targets are met.")


def test_columns_stand_below_one_another() -> None:
    rows = [row(1.0, target=Target(5)), row(1000.0, reference=Reference("a longer name", (1.0,)), target=Target(5))]
    lines = [line for line in Report({}, rows).as_text().splitlines() if "≥ 5" in line]
    assert len({line.index("≥ 5") for line in lines}) == 1


def test_what_is_short_or_wrong_is_no_good() -> None:
    good = row(500.0, target=Target(400))
    short = row(300.0, target=Target(400))
    assert Report({}, [good]).is_good
    assert not Report({}, [good, short]).is_good
    assert "1 short, 0 wrong." in Report({}, [good, short]).as_text()
    wrong = Report({}, [good], faults=["2000 leads became 1999 contacts"])
    assert not wrong.is_good
    assert "wrong: 2000 leads became 1999 contacts" in wrong.as_text()


def test_the_same_as_json() -> None:
    reference = Reference("no storage", (1000.0, 2000.0))
    report = Report({"cores": 2}, [row(500.0, 500.0, reference=reference, target=Target(400)), row(1.5)])
    told = json.loads(json.dumps(report.as_dict()))
    assert told["ok"] is True
    assert (told["machine"], told["faults"]) == ({"cores": 2}, [])
    assert told["rows"][0] == {
        "measure": "door",
        "database": "sqlite",
        "what": "webhooks a second",
        "median": 500.0,
        "min": 500.0,
        "max": 500.0,
        "runs": [500.0, 500.0],
        "reference": {
            "name": "no storage",
            "median": 1500.0,
            "min": 1000.0,
            "max": 2000.0,
            "runs": [1000.0, 2000.0],
        },
        "ratio": 0.375,
        "target": "≥ 400",
        "verdict": "ok",
    }
    assert (told["rows"][1]["reference"], told["rows"][1]["ratio"], told["rows"][1]["verdict"]) == (None, None, None)
