"""How Python looks for garbage in a process that runs for long."""

from __future__ import annotations

import gc


def settle_collector() -> None:
    """Called once all is loaded: what is there now stays, and isn't looked through again and again; cycles, of which
    the work makes few, are looked for less often. It is a twentieth of what a signup costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
