"""What this installation needs to work, each ``ok`` or ``down``."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.storage import schema_version
from app.storage.database import Database

log = structlog.get_logger(__name__)


def check_readiness(database: Database, redis_answers: Callable[[], bool]) -> dict[str, str]:
    """``database``, ``redis`` and ``migrations``; webhooks are taken without Redis."""
    state = {"database": "down", "redis": "ok" if redis_answers() else "down", "migrations": "down"}
    try:
        with database.reading() as connection:
            state["migrations"] = "ok" if schema_version.is_current(connection) else "down"
            state["database"] = "ok"
    except (DBAPIError, PoolTimeoutError) as error:
        log.warning("database_down", error=type(error).__name__)
    return state
