"""How alembic finds the database: the same strict settings as every other process."""

from __future__ import annotations

import os
import sys

from alembic import context
from sqlalchemy import text

from app.storage.database import Database
from app.storage.tables import metadata
from config.settings import Settings, SettingsError

LOCK = 7_305_214  # any number of release processes may start at once; one migrates, the rest wait


def migrate() -> None:
    try:
        settings = Settings.from_env(os.environ, needs_redis=False)
    except SettingsError as error:
        sys.exit(str(error))
    database = Database(settings.database_url)
    with database.writing() as connection:
        if not database.on_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=database.on_sqlite)
        with context.begin_transaction():
            context.run_migrations()
    database.close()


migrate()
