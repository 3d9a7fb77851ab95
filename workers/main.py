"""The worker: a supervisor and its processes.

``live`` and ``bulk`` answer their bells (RQ workers on one queue each, whose dequeue a crash can't cut short),
``clock`` does what recurs and serves the metrics of them all. A process that ends is started again; one SIGTERM or
SIGINT to the supervisor ends all of them in order. Everything is imported before the fork, so that memory is shared;
engines, clients and threads are made after: a lock that a thread holds in the moment of a fork is held in the child
for ever, by nobody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import structlog

from config.logging import set_up_logging, set_up_sentry
from config.settings import Settings
from workers.stop import Stop

GRACE_SECONDS = 9.0
"""What a process gets to finish in, once asked: platforms kill after ten."""

RESTART_SECONDS = 1.0

log = structlog.get_logger(__name__)


def supervise(settings: Settings) -> int:
    """Runs until asked to stop; the exit status of the worker."""
    set_up_logging(settings.log_level, settings.log_format, "worker")
    set_up_sentry(settings.sentry_dsn, "worker")
    with _metrics_folder():
        from workers import children

        children.check()
        supervisor = Supervisor({"live": children.live, "bulk": children.bulk, "clock": children.clock}, settings)
        signal.signal(signal.SIGTERM, supervisor.stop)
        signal.signal(signal.SIGINT, supervisor.stop)
        return supervisor.run()


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """Where the processes' counts add up. Named before the metrics are imported: the library decides once."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="referloop-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


class Supervisor:
    """Keeps one process of each kind alive."""

    def __init__(self, kinds: dict[str, Callable[[Settings], None]], settings: Settings) -> None:
        self._kinds = kinds
        self._settings = settings
        self._running: dict[int, str] = {}
        self._stopping = Stop()

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def run(self) -> int:
        started: dict[str, float] = {}
        while not self._stopping.is_set():
            for name in self._kinds.keys() - self._running.values():
                if time.monotonic() - started.get(name, -RESTART_SECONDS) >= RESTART_SECONDS:
                    started[name] = time.monotonic()
                    self._start(name)
            self._reap()
            self._stopping.wait(0.2)
        return self._end()

    def _start(self, name: str) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._become(name, parent)
                status = 0
            except SystemExit as ending:
                status = ending.code if isinstance(ending.code, int) else 1
            except BaseException:
                log.exception("worker_process_failed", kind=name)
            finally:
                sys.stderr.flush()
                os._exit(status)
        self._running[pid] = name
        log.info("worker_process_started", kind=name, pid=pid)

    def _become(self, name: str, parent: int) -> None:
        """In the child. A group of its own: Ctrl-C at a terminal reaches the supervisor, which asks once."""
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _end_with_parent(parent)
        structlog.contextvars.bind_contextvars(process=name)
        self._kinds[name](self._settings)

    def _reap(self) -> None:
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                name = self._running.pop(pid)
                if not self._stopping.is_set():
                    log.warning("worker_process_ended", kind=name, status=os.waitstatus_to_exitcode(status))

    def _end(self) -> int:
        """Ask all to finish; whoever does not in time is killed, and its leases run out."""
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while self._running and time.monotonic() < until:
            self._reap()
            time.sleep(0.05)
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return 0


def _end_with_parent(parent: int) -> None:
    """A supervisor that was killed can't ask; its children see that they have another parent, and finish."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
