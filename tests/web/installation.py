"""The settings of an installation for tests of the whole application. Nothing listens at its Redis' address."""

from __future__ import annotations

from cryptography.fernet import Fernet

from app.storage.database import Database
from config.settings import Settings

TOKEN = "a-token-of-the-admin-for-tests"


def settings_for(database: Database | str, **environ: str) -> Settings:
    url = database if isinstance(database, str) else database.engine.url.render_as_string(hide_password=False)
    return Settings.from_env(
        {
            "DATABASE_URL": url.replace("+psycopg", ""),
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEY": "of-an-installation-for-tests",
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ADMIN_API_TOKEN": TOKEN,
            **environ,
        }
    )
