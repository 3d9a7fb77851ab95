"""What the machine is and what processes cost it, where ``/proc`` tells."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROC = Path("/proc")
TELLS = (PROC / "self" / "stat").exists()

MEGABYTE = 1024  # of the kilobytes that /proc counts in


def description() -> dict[str, Any]:
    return {
        "cores": cores(),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load at the start": round(os.getloadavg()[0], 1),
    }


def cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time of processes and all that they have started, ended ones included. 0 where nothing tells."""
    ticks = sum(sum(int(number) for number in _stat(pid)[11:15]) for pid in tree(roots))
    return ticks / os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """Those processes that run, and their descendants."""
    below: dict[int, list[int]] = {}
    for pid in _running():
        stat = _stat(pid)
        if stat:
            below.setdefault(int(stat[1]), []).append(pid)
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += below.get(pid, [])
    return found


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` of a process and of all that it started."""
    for pid in tree([process.pid]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had resident, pages it shares with others included."""
    return _kilobytes(PROC / str(pid) / "status", "VmHWM:") / MEGABYTE


def shared_megabytes(pids: Iterable[int]) -> float:
    """What processes have resident together, a page that several share counted once."""
    return sum(_kilobytes(PROC / str(pid) / "smaps_rollup", "Pss:") for pid in pids) / MEGABYTE


def _running() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()] if TELLS else []


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold blanks: state, parent, … Empty for a process that is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
