"""How gunicorn serves the web process. This file is a door: it reads the environment, as ``app.wsgi`` does.

Where ``PORT`` is set, a platform or an operator placed the process behind something: it listens on every address.
Without it, it listens on this machine only. ``--bind`` on the command line goes before both.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from config.logging import set_up_logging
from config.settings import Settings, SettingsError

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  the heartbeat's file has no name there
METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
PASSED_OVER = 60 * 1024  # bytes of an unread body; a little less than gunicorn bears


def _processes(settings: Settings) -> int:
    """SQLite has one writer, so one process; elsewhere two to four, as the machine has them."""
    if settings.web_concurrency is not None:
        return settings.web_concurrency
    if settings.on_sqlite:
        return 1
    return min(max(os.cpu_count() or 1, 2), 4)


class OneLog(Logger):  # type: ignore[misc]
    """Gunicorn's own lines leave through the log of the process, in its format."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


try:
    _settings = Settings.from_env(os.environ)
except SettingsError as error:
    sys.exit(str(error))
set_up_logging(_settings.log_level, _settings.log_format, "web")

bind = f"0.0.0.0:{_settings.port}" if os.environ.get("PORT", "").strip() else f"127.0.0.1:{_settings.port}"
worker_class = "gthread"
workers = _processes(_settings)
threads = 12  # they wait for the database, and more of them only fight for the interpreter
preload_app = False  # engines, clients and the writer's thread are made after the fork

timeout = 30
graceful_timeout = 20  # platforms kill after 30 s
keepalive = 75  # longer than the idle time of usual load balancers, which would else reuse a closed connection
worker_tmp_dir = str(SHARED_MEMORY) if os.access(SHARED_MEMORY, os.W_OK) else None
control_socket_disable = True
accesslog = None  # a request is logged by the application, with what it was about
loglevel = _settings.log_level
logger_class = OneLog


def on_starting(_: Any) -> None:
    """Give all processes one place for their counts, so that ``/metrics`` adds them up whichever answers."""
    if not os.environ.get(METRICS_DIR):
        os.environ[METRICS_DIR] = tempfile.mkdtemp(prefix="referloop-metrics-")
        _made.append(os.environ[METRICS_DIR])


def pre_request(_: Any, request: Any) -> None:
    """Say so in the answer where the connection may have to be closed after it.

    Who is refused at the door (no such address, too large) is answered with the body unread, and gunicorn passes over
    no more than some 64 KiB of it. Untold, a load balancer would send its next webhook into a closed connection.
    """
    declared = dict(request.headers)
    length = declared.get("CONTENT-LENGTH", "0")
    if "TRANSFER-ENCODING" in declared or not length.isdecimal() or int(length) >= PASSED_OVER:
        request.force_close()


def child_exit(_: Any, worker: Any) -> None:
    """Drop the gauges of a process that has ended; its counters stay in the sum."""
    from prometheus_client import multiprocess

    try:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
    except OSError:
        logging.getLogger("gunicorn.error").warning("The metrics of process %s could not be cleared", worker.pid)


def on_exit(_: Any) -> None:
    """Remove the place for counts, if it was made here."""
    for place in _made:
        shutil.rmtree(place, ignore_errors=True)


_made: list[str] = []
