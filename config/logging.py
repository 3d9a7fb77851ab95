"""Structured logs: one line of JSON an event (words on a terminal), with what is bound to the work in hand.

``structlog.contextvars`` carries ``event_id`` and ``request_id`` through web and worker; nothing here or elsewhere
logs a payload, a token or a secret.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, TextIO

import structlog

_EMAIL = re.compile(r"[^\s@'\"<>(),;:=]+@[^\s@'\"<>(),;:]+\.[^\s@'\"<>(),;:.]+")
_REFUSED_VALUE = re.compile(r"(?m)^(DETAIL: .*?)\(.*$")


def _without_people(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What an exception says may name somebody: a database names the row that it refuses."""
    if isinstance(said := line.get("exception"), str):
        line["exception"] = _EMAIL.sub("[email]", _REFUSED_VALUE.sub(r"\1[…]", said))
    return line


def set_up_logging(level: str, form: str | None, process: str, *, together: bool = False) -> None:
    """``form`` is ``json`` or ``console``; without one, words on a terminal and JSON elsewhere. ``together``: lines
    of the ordinary course of things may be a tenth of a second late."""
    console = form == "console" or (form is None and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )

    def name_process(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line.setdefault("process", process)
        return line

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_process,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        shared += [structlog.processors.format_exc_info, _without_people]

    def leave(
        logger: _Log, method: str, line: structlog.typing.EventDict
    ) -> str | tuple[tuple[structlog.typing.EventDict], dict[str, Any]]:
        if method in _ORDINARY:
            return renderer(logger, method, line)  # type: ignore[return-value]  # text, both of them
        return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, line)  # type: ignore[arg-type]

    handler = logging.StreamHandler(sys.stderr)
    structlog.configure(
        processors=[*shared, leave],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=partial(_Log, _Together(handler).write if together else partial(_write, handler)),
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("urllib3", "rq", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


_ORDINARY = ("debug", "info")


class _Log:
    """Where our own lines go. What is said of the ordinary course of things, with every webhook, is written as it
    was rendered; a warning or worse goes the way of the libraries' lines, which Sentry looks at, too."""

    def __init__(self, write: Callable[[str], None], name: str) -> None:
        self.name = name
        self.info = self.debug = write
        log = logging.getLogger(name)
        self.warning, self.error, self.critical = log.warning, log.error, log.critical


def _write(handler: logging.StreamHandler[TextIO], line: str) -> None:
    with handler.lock or nullcontext(), suppress(OSError, ValueError):  # a full disk stops no work
        handler.stream.write(f"{line}\n")


class _Together:
    """Writes the lines of a tenth of a second at once, from a thread of its own. In a write the interpreter passes to
    another thread, of which a web process has many: a line for each webhook took a tenth of its time."""

    SECONDS = 0.1

    def __init__(self, handler: logging.StreamHandler[TextIO]) -> None:
        self._handler = handler
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._writer_of: int | None = None
        self._starting = threading.Lock()
        atexit.register(self._write)

    def write(self, line: str) -> None:
        self._lines.append(line)
        if not self._some.is_set():
            self._some.set()
        if self._writer_of != os.getpid():
            with self._starting:
                if self._writer_of != os.getpid():
                    threading.Thread(target=self._write_on, name="log", daemon=True).start()
                    self._writer_of = os.getpid()

    def _write_on(self) -> None:
        while True:
            self._some.wait()
            time.sleep(self.SECONDS)
            self._some.clear()
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            _write(self._handler, "\n".join(lines))


def set_up_sentry(dsn: str | None, process: str) -> None:
    """Errors only, and of these what ``scrub`` leaves."""
    if dsn is None:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        before_send=scrub,
        max_request_body_size="never",
        max_breadcrumbs=0,
        include_local_variables=False,
        traces_sample_rate=0.0,
        enable_logs=False,
        auto_session_tracking=False,
    )
    sentry_sdk.set_tag("process", process)


_KEPT = (
    "event_id",
    "timestamp",
    "platform",
    "level",
    "logger",
    "release",
    "environment",
    "server_name",
    "tags",
    "transaction",
    "sdk",
)
_OF_EXCEPTIONS = ("type", "module", "mechanism")
_OF_FRAMES = (
    "filename",
    "abs_path",
    "module",
    "function",
    "lineno",
    "in_app",
    "pre_context",
    "context_line",
    "post_context",
)


def scrub(event: Any, hint: Any = None) -> Any:
    """An error as it may leave for Sentry: which kind, where in the code, in which process.

    What an exception says is other people's data as often as not (a database names the value that it refuses), so it
    stays in our own log. So do requests, variables and whatever else later versions of the library find to send: only
    what is named here goes.
    """
    kept = {name: event[name] for name in _KEPT if name in event}
    raised = (event.get("exception") or {}).get("values") or ()
    kept["exception"] = {"values": [_raised(one) for one in raised]}
    said = _said(event, (hint or {}).get("log_record"))
    return kept if said is None else {**kept, "message": said}


def _raised(one: Any) -> dict[str, Any]:
    kept = {name: one[name] for name in _OF_EXCEPTIONS if name in one}
    if isinstance(kept.get("mechanism"), dict):
        kept["mechanism"] = {name: kept["mechanism"].get(name) for name in ("type", "handled")}
    frames = (one.get("stacktrace") or {}).get("frames") or ()
    shown = [{name: frame[name] for name in _OF_FRAMES if name in frame} for frame in frames]
    return {**kept, "stacktrace": {"frames": shown}}


def _said(event: Any, record: logging.LogRecord | None) -> str | None:
    """The name of a logged event, which is a word of the code and nobody's data; of another's log nothing."""
    entry = event.get("logentry") or {}
    words = entry.get("message") or event.get("message") or ""
    if record is not None and isinstance(record.msg, dict):  # our own: its name is one field among others
        words = str(record.msg.get("event", ""))
    return words if _NAME.fullmatch(words) else None


_NAME = re.compile(r"[a-z_]{1,60}")
