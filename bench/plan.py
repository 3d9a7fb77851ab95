"""How much is measured, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Row


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of each measure."""

    runs: int = 3
    connections: int = 32
    warm_seconds: float = 1.5
    door_seconds: float = 8.0
    door_reference_seconds: float = 3.0
    leads: int = 2000
    reference_leads: int = 800
    naive_leads: int = 60
    strangers: int = 5000
    conversions: int = 100
    limit_seconds: float = 300.0
    sale_seconds: float = 30.0
    synced: int = 10_000
    grown: int = 20_000
    history: int = 1_000_000


QUICK = Plan(
    runs=1,
    warm_seconds=0.5,
    door_seconds=2.0,
    door_reference_seconds=1.5,
    leads=600,
    reference_leads=400,
    naive_leads=15,
    strangers=2000,
    conversions=20,
    limit_seconds=20.0,
    sale_seconds=5.0,
    synced=1500,
    grown=3000,
    history=100_000,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a measure runs: an empty database of a kind, and a folder for state and logs."""

    kind: str
    url: str
    folder: Path
    say: Callable[[str], None]


@dataclass(slots=True)
class Found:
    """What a measure comes to."""

    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
