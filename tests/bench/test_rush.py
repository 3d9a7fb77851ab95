"""Conversions come at a set pace, and each is timed from its own change to the first look that shows it."""

from __future__ import annotations

import time
from typing import Any, cast

from bench import rush
from bench.system import System


class Shop:
    """Stands for the sandbox: who converts is qualified a tenth of a second later."""

    def __init__(self) -> None:
        self.changed: list[tuple[float, str]] = []

    def control(self, method: str, path: str, body: Any = None) -> Any:
        now = time.monotonic()
        if method == "PUT":
            assert body == {"custom_attributes": {"plan": "pro"}}
            self.changed.append((now, path.rpartition("/")[2]))
            return None
        return {
            "people": [{"id": int(one), "qualified_at": at if now - at > 0.1 else None} for at, one in self.changed]
        }

    def await_(self, what: Any, _seconds: float, every: float) -> None:
        while not what():
            time.sleep(every)


def test_conversions_come_at_their_pace_and_each_is_seen_when_it_is_qualified() -> None:
    shop, asked = Shop(), dict[int, float]()
    system, friends = cast("System", shop), [(str(place), place) for place in range(6)]
    rush._convert(system, friends, 20, asked)
    times = [at for at, _ in shop.changed]
    assert [one for _, one in shop.changed] == ["0", "1", "2", "3", "4", "5"]
    assert times[-1] - times[0] >= 0.24
    assert [at <= changed for at, changed in zip(asked.values(), times, strict=True)] == [True] * 6
    seen = rush._watched(system, 6)
    assert seen.keys() == asked.keys()
    assert all(seen[one] - asked[one] >= 0.1 for one in asked)
