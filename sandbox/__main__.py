"""`python -m sandbox`: both vendors on one port."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sandbox.server import serve


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Intercom under /intercom, Referral Factory under /referral-factory, controls under /control.",
    )
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, help="a file to keep the state in; without it, memory only")
    parser.add_argument("--seed", type=int, default=1, help="for everything that is thrown with dice")
    parser.add_argument("--latency-ms", type=int, help="how long each call takes at least")
    parser.add_argument(
        "--index-delay-seconds", type=int, help="how long a written contact is missing from search (120)"
    )
    given = parser.parse_args()
    settings: dict[str, Any] = {}
    if given.latency_ms is not None:
        settings["latency_ms"] = given.latency_ms
    if given.index_delay_seconds is not None:
        settings["index_delay_seconds"] = given.index_delay_seconds
    serve(given.host, given.port, given.seed, settings, given.state)


if __name__ == "__main__":
    main()
