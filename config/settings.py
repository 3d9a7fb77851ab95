"""The environment as one frozen value, read once at the door, strictly, all faults in one message."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.fernet import Fernet
from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load, validate
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
DEFAULT_DATABASE = f"sqlite:///{VAR / 'referloop.db'}"

YEAR = 31_536_000
"""Seconds. What may be as long as one likes ends here, before the calendar does."""

INTERCOM_HOSTS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}


class SettingsError(Exception):
    """The environment can't be used. The message names every variable at fault, and what to set it to."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        lines = "\n".join(f"  {name}: {fault}" for name, fault in sorted(faults.items()))
        super().__init__(f"Referloop can't start, its environment has faults:\n{lines}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the process; secrets are kept out of its text."""

    database_url: str
    redis_url: str
    redis_tls_verify: bool
    secret_key: str
    encryption_keys: tuple[str, ...]
    admin_email: str | None
    admin_password: str | None
    admin_api_token: str | None
    public_url: str
    port: int
    intercom_api_url: str | None
    referral_factory_api_url: str
    intercom_calls_per_10s: int
    referral_factory_calls_per_minute: int
    intercom_index_delay_seconds: int
    reconcile_interval_seconds: int
    sync_interval_seconds: int
    retry_schedule_seconds: tuple[int, ...]
    event_retention_days: int
    web_concurrency: int | None
    worker_concurrency: int
    sentry_dsn: str | None
    log_level: str
    log_format: str | None
    metrics_port: int | None
    alert_webhook_url: str | None
    alert_email: str | None
    smtp_url: str | None

    def __repr__(self) -> str:
        return f"Settings(public_url={self.public_url!r})"

    @property
    def on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, needs_redis: bool = True) -> Settings:
        """Read and check the environment.

        An empty variable counts as unset. Without ``SECRET_KEY`` and ``ENCRYPTION_KEYS`` an installation on
        SQLite makes its own under ``var/``, once.

        Raises:
            SettingsError: naming every fault.
        """
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        faults: dict[str, str] = {}
        values: dict[str, Any] = {}
        try:
            values = _Environment().load(given)
        except ValidationError as error:
            values = dict(error.valid_data) if isinstance(error.valid_data, dict) else {}
            faults = {name: " ".join(map(str, _flat(found))) for name, found in error.messages_dict.items()}
        faults |= _absent(values, faults, needs_redis)
        if faults:
            raise SettingsError(faults)
        values = {name.lower(): value for name, value in values.items()}
        if values["secret_key"] is None:
            values["secret_key"] = _kept("secret-key", lambda: secrets.token_urlsafe(48))
        if values["encryption_keys"] is None:
            values["encryption_keys"] = (_kept("encryption-keys", lambda: Fernet.generate_key().decode()),)
        values["redis_url"] = _redis_address(values["redis_url"], values["redis_tls_verify"])
        values["public_url"] = (values["public_url"] or f"http://127.0.0.1:{values['port']}").rstrip("/")
        return cls(**values)


def _flat(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return [message for part in found.values() for message in _flat(part)]
    return list(found) if isinstance(found, list) else [found]


def _absent(values: Mapping[str, Any], faults: Mapping[str, str], needs_redis: bool) -> dict[str, str]:
    """What one variable demands of another."""
    absent = {}
    if needs_redis and not values.get("REDIS_URL") and "REDIS_URL" not in faults:
        absent["REDIS_URL"] = "is not set. Give a redis:// or rediss:// address, or use `make run`, which starts one."
    database = values.get("DATABASE_URL")
    if isinstance(database, str) and not database.startswith("sqlite"):
        for name, how in (
            ("SECRET_KEY", 'python -c "import secrets; print(secrets.token_urlsafe(48))"'),
            (
                "ENCRYPTION_KEYS",
                'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
            ),
        ):
            if not values.get(name) and name not in faults:
                absent[name] = f"is not set, and is needed with PostgreSQL. Make one: {how}"
    for one, other in (
        ("ADMIN_EMAIL", "ADMIN_PASSWORD"),
        ("ADMIN_PASSWORD", "ADMIN_EMAIL"),
        ("ALERT_EMAIL", "SMTP_URL"),
        ("SMTP_URL", "ALERT_EMAIL"),
    ):
        if values.get(one) and not values.get(other) and other not in faults:
            absent[other] = f"is not set, but {one} is. Set both, or neither."
    return absent


def _redis_address(url: str, verify: bool) -> str:
    """The address as the client reads it. Without ``verify`` a ``rediss://`` server's certificate is not checked: the
    connection is encrypted, but whoever stands in between could be anybody."""
    parts = urlsplit(url)
    if verify or parts.scheme != "rediss":
        return url
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), "ssl_cert_reqs": "none"})).geturl()


def _kept(name: str, make: Callable[[], str]) -> str:
    """A secret of this installation in ``var/``, made at the first start. Several processes may start at once.

    Raises: SettingsError where it can't be kept.
    """
    path = VAR / name
    try:
        if not path.exists():
            VAR.mkdir(mode=0o700, exist_ok=True)
            draft = VAR / f".{name}.{os.getpid()}"
            draft.touch(mode=0o600)
            draft.write_text(make())
            with contextlib.suppress(FileExistsError):  # another process was first; its secret is the one
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        fault = f"is not set, and {path} can't be made or read ({error.strerror}). Set it, or mend that."
        raise SettingsError({name.replace("-", "_").upper(): fault}) from error


class _Whole(fields.Integer):
    """A whole number in plain digits within bounds, with a complaint that says which."""

    def __init__(self, least: int, most: int | None = None, **more: Any) -> None:
        bounds = f"from {least}" if most is None else f"from {least} to {most}"
        complaint = f"must be a whole number {bounds}."
        super().__init__(
            validate=validate.Range(min=least, max=most, error=complaint),
            error_messages={"invalid": complaint},
            **more,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _Address(fields.String):
    """An address with a scheme of ``schemes`` and, unless it names a file, a host."""

    def __init__(self, *schemes: str, **more: Any) -> None:
        self.schemes = schemes
        super().__init__(**more)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        try:
            parts = urlsplit(text)
            usable = parts.scheme in self.schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValidationError(
                f"must be an address that starts with {' or '.join(s + '://' for s in self.schemes)}."
            )
        return text.rstrip("/")


class _Database(fields.String):
    """SQLite in a file, or PostgreSQL, whose two spellings become the driver's."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        scheme, _, rest = text.partition("://")
        if scheme in ("postgres", "postgresql") and rest and _is_readable(text):
            return f"postgresql+psycopg://{rest}"
        if scheme == "sqlite" and rest.strip("/") and ":memory:" not in rest:
            return text
        raise ValidationError("must be sqlite:///path/to/file.db or postgresql://user:password@host/name.")


def _is_readable(url: str) -> bool:
    try:
        make_url(url)
    except (ArgumentError, ValueError):
        return False
    return True


class _Keys(fields.String):
    """Fernet keys, newest first."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        keys = tuple(
            key.strip() for key in str(super()._deserialize(value, attr, data, **kwargs)).split(",") if key.strip()
        )
        try:
            for key in keys:
                Fernet(key)
        except ValueError:
            keys = ()
        if not keys:
            raise ValidationError("must be one or more Fernet keys (44 characters each), separated by commas.")
        return keys


class _Waits(fields.String):
    """Seconds, separated by commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        parts = [part.strip() for part in str(super()._deserialize(value, attr, data, **kwargs)).split(",")]
        if not all(part.isascii() and part.isdigit() and len(part) < 10 and int(part) <= YEAR for part in parts):
            raise ValidationError(
                "must be whole numbers of seconds, a year at the most, separated by commas, such as 10,60,300."
            )
        return tuple(int(part) for part in parts)


def _at_least(characters: int) -> validate.Length:
    return validate.Length(min=characters, error=f"must have at least {characters} characters.")


class _Environment(Schema):
    class Meta:
        unknown = EXCLUDE

    DATABASE_URL = _Database(load_default=DEFAULT_DATABASE)
    REDIS_URL = _Address("redis", "rediss", load_default="")
    REDIS_TLS_VERIFY = fields.Boolean(load_default=True, error_messages={"invalid": "must be true or false."})
    SECRET_KEY = fields.String(load_default=None, validate=_at_least(16))
    ENCRYPTION_KEYS = _Keys(load_default=None)
    ADMIN_EMAIL = fields.Email(load_default=None, error_messages={"invalid": "must be an email address."})
    ADMIN_PASSWORD = fields.String(load_default=None, validate=_at_least(8))
    ADMIN_API_TOKEN = fields.String(load_default=None, validate=_at_least(24))
    PUBLIC_URL = _Address("http", "https", load_default=None)
    PORT = _Whole(1, 65535, load_default=8000)
    INTERCOM_API_URL = _Address("http", "https", load_default=None)
    REFERRAL_FACTORY_API_URL = _Address("http", "https", load_default="https://api.referral-factory.com/api/v2")
    INTERCOM_CALLS_PER_10S = _Whole(1, load_default=1666)
    REFERRAL_FACTORY_CALLS_PER_MINUTE = _Whole(1, load_default=570)
    INTERCOM_INDEX_DELAY_SECONDS = _Whole(0, YEAR, load_default=180)
    RECONCILE_INTERVAL_SECONDS = _Whole(1, load_default=300)
    SYNC_INTERVAL_SECONDS = _Whole(1, load_default=900)
    RETRY_SCHEDULE_SECONDS = _Waits(load_default=(10, 60, 300, 1800, 7200, 21600))
    EVENT_RETENTION_DAYS = _Whole(1, 36_500, load_default=90)
    WEB_CONCURRENCY = _Whole(1, load_default=None)
    # Threads wait for the vendors nearly all the time: this many keep one core busy at 80 ms a call.
    WORKER_CONCURRENCY = _Whole(1, 256, load_default=48)
    SENTRY_DSN = _Address("http", "https", load_default=None)
    LOG_LEVEL = fields.String(
        load_default="info",
        validate=validate.OneOf(
            ("debug", "info", "warning", "error"), error="must be one of debug, info, warning, error."
        ),
    )
    LOG_FORMAT = fields.String(
        load_default=None, validate=validate.OneOf(("json", "console"), error="must be json or console.")
    )
    METRICS_PORT = _Whole(1, 65535, load_default=None)
    ALERT_WEBHOOK_URL = _Address("http", "https", load_default=None)
    ALERT_EMAIL = fields.Email(load_default=None, error_messages={"invalid": "must be an email address."})
    SMTP_URL = _Address("smtp", "smtps", load_default=None)

    @pre_load
    def _lower_case_words(self, data: Mapping[str, str], **_: Any) -> dict[str, str]:
        return {k: v.lower() if k in ("LOG_LEVEL", "LOG_FORMAT") else v for k, v in data.items()}
