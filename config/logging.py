"""Structured logs: one line of JSON an event (words on a terminal), with what is bound to the work in hand.

``structlog.contextvars`` carries ``event_id`` and ``request_id`` through web and worker; nothing here or elsewhere
logs a payload, a token or a secret.
"""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logging(level: str, form: str | None, process: str) -> None:
    """``form`` is ``json`` or ``console``; without one, words on a terminal and JSON elsewhere."""
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
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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


def set_up_sentry(dsn: str | None, process: str) -> None:
    """Errors only, without bodies, headers, local variables or people's data: those are other people's."""
    if dsn is None:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        traces_sample_rate=0.0,
    )
    sentry_sdk.set_tag("process", process)
