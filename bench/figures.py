"""Figures and how they are told: medians of several runs, beside their reference of the same run and their target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must come to: at least ``bound``, or less than that."""

    bound: float
    at_least: bool = True

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value < self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '<'} {shown(self.bound)}"


@dataclass(frozen=True, slots=True)
class Reference:
    """The same figure of something simpler, run by run beside ours."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of several runs."""

    measure: str
    database: str
    what: str
    values: tuple[float, ...]
    reference: Reference | None = None
    target: Target | None = None
    # What the ratio must come to.
    ratio_target: Target | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the runs' ratios: what slows one run slows its reference too."""
        if self.reference is None or not all(self.reference.values):
            return None
        return median(ours / theirs for ours, theirs in zip(self.values, self.reference.values, strict=True))

    @property
    def verdict(self) -> str:
        asked = [(self.target, self.median), (self.ratio_target, self.ratio)]
        met = [target.is_met(value) for target, value in asked if target is not None and value is not None]
        return ("ok" if all(met) else "short") if met else ""

    @property
    def targets(self) -> str:
        """As shown: what the figure itself and what its ratio must come to."""
        ratio = f"ratio {self.ratio_target}" if self.ratio_target else ""
        return ", ".join(filter(None, (str(self.target) if self.target else "", ratio)))

    def as_dict(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "database": self.database,
            "what": self.what,
            **_spread(self.values),
            "reference": {"name": self.reference.name, **_spread(self.reference.values)} if self.reference else None,
            "ratio": self.ratio,
            "target": self.targets or None,
            "verdict": self.verdict or None,
        }


@dataclass(slots=True)
class Report:
    """All that was found out. ``faults`` are things that are wrong however fast they went."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.faults and all(row.verdict != "short" for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "rows": [row.as_dict() for row in self.rows],
            "faults": self.faults,
            "ok": self.is_good,
        }

    def as_text(self) -> str:
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        lines = [machine, "", *_table(self.rows), ""]
        lines += [f"wrong: {fault}" for fault in self.faults]
        short = sum(row.verdict == "short" for row in self.rows)
        lines.append("All targets are met." if self.is_good else f"{short} short, {len(self.faults)} wrong.")
        return "\n".join(lines)


HEADINGS = ("measure", "database", "", "median [min–max]", "reference", "median [min–max]", "ratio", "target", "")
LEFT = (0, 1, 2, 4, 8)


def _table(rows: Iterable[Row]) -> list[str]:
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    return [_line(line, widths) for line in cells]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if column in LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    reference = row.reference
    return (
        row.measure,
        row.database,
        row.what,
        _shown_spread(row.values),
        reference.name if reference else "",
        _shown_spread(reference.values) if reference else "",
        f"{row.ratio:.2f}" if row.ratio is not None else "",
        row.targets,
        row.verdict,
    )


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"median": median(values), "min": min(values), "max": max(values), "runs": list(values)}


def _shown_spread(values: Sequence[float]) -> str:
    if min(values) == max(values):
        return shown(values[0])
    return f"{shown(median(values))} [{shown(min(values))}–{shown(max(values))}]"


def shown(value: float) -> str:
    """Three digits are as much as a run can promise."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
