"""The environment: what each variable takes, what is said of a fault, and what an installation makes for itself."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from redis.connection import parse_url

from config import settings as module
from config.settings import Settings, SettingsError

# The same in every process that collects these tests.
KEY, OLDER = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"n", b"o"))

LEAST = {
    "DATABASE_URL": "sqlite:///somewhere.db",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SECRET_KEY": "s" * 16,
    "ENCRYPTION_KEYS": KEY,
}

GOOD: list[tuple[str, str, Any]] = [
    ("DATABASE_URL", "sqlite:////data/referloop.db", "sqlite:////data/referloop.db"),
    ("DATABASE_URL", "postgres://u:p@host:5432/name", "postgresql+psycopg://u:p@host:5432/name"),
    (
        "DATABASE_URL",
        "postgresql://u:p@host/name?sslmode=require",
        "postgresql+psycopg://u:p@host/name?sslmode=require",
    ),
    ("REDIS_URL", "redis://localhost", "redis://localhost"),
    ("REDIS_URL", "rediss://:secret@host:6380/1", "rediss://:secret@host:6380/1"),
    ("REDIS_TLS_VERIFY", "false", False),
    ("REDIS_TLS_VERIFY", "True", True),
    ("SECRET_KEY", "0123456789abcdef", "0123456789abcdef"),
    ("ENCRYPTION_KEYS", f"{KEY},{OLDER}", (KEY, OLDER)),
    ("ENCRYPTION_KEYS", f" {KEY} , {OLDER} ,", (KEY, OLDER)),
    ("ADMIN_API_TOKEN", "x" * 24, "x" * 24),
    ("PUBLIC_URL", "https://referloop.example.com/", "https://referloop.example.com"),
    ("PORT", "5000", 5000),
    ("PORT", " 5000 ", 5000),
    ("INTERCOM_API_URL", "http://127.0.0.1:9100/intercom", "http://127.0.0.1:9100/intercom"),
    ("REFERRAL_FACTORY_API_URL", "https://proxy.example.com/v2", "https://proxy.example.com/v2"),
    ("INTERCOM_CALLS_PER_10S", "1", 1),
    ("REFERRAL_FACTORY_CALLS_PER_MINUTE", "60", 60),
    ("INTERCOM_INDEX_DELAY_SECONDS", "0", 0),
    ("RECONCILE_INTERVAL_SECONDS", "1", 1),
    ("SYNC_INTERVAL_SECONDS", "1", 1),
    ("RETRY_SCHEDULE_SECONDS", "1", (1,)),
    ("RETRY_SCHEDULE_SECONDS", "1, 2,3", (1, 2, 3)),
    ("EVENT_RETENTION_DAYS", "1", 1),
    ("WEB_CONCURRENCY", "3", 3),
    ("WORKER_CONCURRENCY", "256", 256),
    ("SENTRY_DSN", "https://key@o1.ingest.sentry.io/7", "https://key@o1.ingest.sentry.io/7"),
    ("LOG_LEVEL", "DEBUG", "debug"),
    ("LOG_FORMAT", "Console", "console"),
    ("METRICS_PORT", "9091", 9091),
    ("ALERT_WEBHOOK_URL", "https://hooks.example.com/T1/B2?x=y", "https://hooks.example.com/T1/B2?x=y"),
]

DEFAULTS = {
    "admin_email": None,
    "admin_password": None,
    "admin_api_token": None,
    "public_url": "http://127.0.0.1:8000",
    "port": 8000,
    "intercom_api_url": None,
    "referral_factory_api_url": "https://api.referral-factory.com/api/v2",
    "intercom_calls_per_10s": 1666,
    "referral_factory_calls_per_minute": 570,
    "intercom_index_delay_seconds": 180,
    "reconcile_interval_seconds": 300,
    "sync_interval_seconds": 900,
    "retry_schedule_seconds": (10, 60, 300, 1800, 7200, 21600),
    "event_retention_days": 90,
    "web_concurrency": None,
    "sentry_dsn": None,
    "log_level": "info",
    "log_format": None,
    "metrics_port": None,
    "redis_tls_verify": True,
    "alert_webhook_url": None,
    "alert_email": None,
    "smtp_url": None,
}

BAD = {
    "DATABASE_URL": [
        "mysql://host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "postgres://",
        "host",
        "postgres://h:x/n",
    ],
    "REDIS_URL": ["localhost:6379", "http://host", "redis://", "redis://host:port", "redis://host:0"],
    "SECRET_KEY": ["short"],
    "ENCRYPTION_KEYS": ["short", f"{KEY},short", ","],
    "ADMIN_EMAIL": ["owner", "owner@", "@example.com"],
    "ADMIN_PASSWORD": ["1234567"],
    "ADMIN_API_TOKEN": ["x" * 23],
    "PUBLIC_URL": ["referloop.example.com", "ftp://host", "https://"],
    "PORT": ["eighty", "0", "65536", "-1", "80.0", "８０", "8_0", "1e3", "9" * 5000],
    "INTERCOM_API_URL": ["api.intercom.io"],
    "REFERRAL_FACTORY_API_URL": ["//host"],
    "INTERCOM_CALLS_PER_10S": ["0", "many", "-5"],
    "REFERRAL_FACTORY_CALLS_PER_MINUTE": ["0", "1.5"],
    "INTERCOM_INDEX_DELAY_SECONDS": ["-1", "99999999999999"],
    "RECONCILE_INTERVAL_SECONDS": ["0"],
    "SYNC_INTERVAL_SECONDS": ["0"],
    "RETRY_SCHEDULE_SECONDS": ["soon", "10,,60", "10;60", "-1", "1.5", "9" * 5000, "99999999999999"],
    "EVENT_RETENTION_DAYS": ["0", "99999999999"],
    "WEB_CONCURRENCY": ["0", "auto"],
    "WORKER_CONCURRENCY": ["0", "257"],
    "SENTRY_DSN": ["key"],
    "LOG_LEVEL": ["loud"],
    "LOG_FORMAT": ["xml"],
    "METRICS_PORT": ["0", "http"],
    "REDIS_TLS_VERIFY": ["maybe", "2"],
    "ALERT_WEBHOOK_URL": ["hooks.example.com", "ftp://host"],
    "ALERT_EMAIL": ["ops", "ops@"],
    "SMTP_URL": ["mail.example.com", "http://mail.example.com", "smtp://"],
}

# Those that need another, which is given with them.
PARTNERS = {
    "ADMIN_EMAIL": {"ADMIN_PASSWORD": "long enough"},
    "ADMIN_PASSWORD": {"ADMIN_EMAIL": "a@example.com"},
    "ALERT_EMAIL": {"SMTP_URL": "smtp://mail.example.com"},
    "SMTP_URL": {"ALERT_EMAIL": "ops@example.com"},
}


def read(**changes: str) -> Settings:
    return Settings.from_env({**LEAST, **changes})


def faults(**changes: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as raised:
        read(**changes)
    return raised.value.faults


@pytest.mark.parametrize(("name", "given", "expected"), GOOD)
def test_takes(name: str, given: str, expected: object) -> None:
    assert getattr(read(**{name: given}), name.lower()) == expected


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, all_ in BAD.items() for given in all_])
def test_refuses_and_says_which_and_what_to_set(name: str, given: str) -> None:
    found = faults(**{**PARTNERS.get(name, {}), name: given})
    assert list(found) == [name]
    assert found[name].startswith(("must ", "is not set"))


def test_what_is_not_set_has_its_default() -> None:
    settings = read()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert 1 <= settings.worker_concurrency <= 256


@pytest.mark.parametrize("name", [name for name in BAD if name not in LEAST])
def test_an_empty_variable_counts_as_unset(name: str) -> None:
    assert getattr(read(**{name: "  "}), name.lower()) == getattr(read(), name.lower())


def test_every_variable_is_in_both_tables() -> None:
    known = set(module._Environment().fields)
    assert known == set(BAD)
    assert known - {name for name, _, _ in GOOD} == PARTNERS.keys()
    assert known == {name.upper() for name in Settings.__dataclass_fields__}


def test_all_faults_are_told_at_once_each_with_its_name() -> None:
    wrong = {name: given[0] for name, given in BAD.items()}
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(wrong)
    assert raised.value.faults.keys() == wrong.keys()
    for name in wrong:
        assert f"\n  {name}: " in str(raised.value)


def test_a_refused_secret_is_not_repeated_in_the_message() -> None:
    secrets = {"SECRET_KEY": "hush", "ADMIN_PASSWORD": "hush", "ADMIN_API_TOKEN": "hush", "ENCRYPTION_KEYS": "hush"}
    with pytest.raises(SettingsError) as raised:
        read(**secrets, ADMIN_EMAIL="a@example.com", DATABASE_URL="mysql://u:hush@h/n", REDIS_URL="redis://:hush@")
    assert "hush" not in str(raised.value)


def test_what_the_environment_has_besides_is_no_matter() -> None:
    assert read(PATH="/bin", DATABASE="x").port == 8000


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_postgresql_asks_for_the_secrets_and_says_how_to_make_them(missing: str) -> None:
    found = faults(DATABASE_URL="postgres://u@h/n", **{missing: ""})
    assert list(found) == [missing]
    assert "python -c" in found[missing]


@pytest.mark.parametrize(("given", "missing"), [("ADMIN_EMAIL", "ADMIN_PASSWORD"), ("ADMIN_PASSWORD", "ADMIN_EMAIL")])
def test_the_first_owner_has_an_email_and_a_password(given: str, missing: str) -> None:
    assert list(faults(**{given: "owner@example.com"})) == [missing]
    both = read(ADMIN_EMAIL="owner@example.com", ADMIN_PASSWORD="long enough")
    assert (both.admin_email, both.admin_password) == ("owner@example.com", "long enough")


def test_alerts_by_mail_need_a_server_and_whom_to_write_to() -> None:
    assert list(faults(ALERT_EMAIL="ops@example.com")) == ["SMTP_URL"]
    assert list(faults(SMTP_URL="smtps://u:p@mail.example.com")) == ["ALERT_EMAIL"]
    both = read(ALERT_EMAIL="ops@example.com", SMTP_URL="smtps://u:p@mail.example.com:465")
    assert (both.alert_email, both.smtp_url) == ("ops@example.com", "smtps://u:p@mail.example.com:465")


@pytest.mark.parametrize(
    ("given", "environ", "checked"),
    [
        ("rediss://:p@host:6380", {}, True),
        ("rediss://:p@host:6380", {"REDIS_TLS_VERIFY": "true"}, True),
        ("rediss://:p@host:6380", {"REDIS_TLS_VERIFY": "false"}, False),
        ("rediss://:p@host:6380?ssl_cert_reqs=none", {}, False),
        ("rediss://:p@host:6380?ssl_cert_reqs=required", {}, True),
        ("rediss://:p@host:6380/3?ssl_cert_reqs=required", {"REDIS_TLS_VERIFY": "false"}, False),
        ("redis://:p@host:6380", {"REDIS_TLS_VERIFY": "false"}, None),
    ],
)
def test_a_certificate_is_checked_unless_it_is_said_that_it_is_not_to_be(
    given: str, environ: dict[str, str], checked: bool | None
) -> None:
    options = parse_url(read(REDIS_URL=given, **environ).redis_url)
    assert (options["host"], options["password"]) == ("host", "p")
    if checked is None:
        assert "ssl_cert_reqs" not in options
    else:
        assert (options.get("ssl_cert_reqs", "required") == "required") is checked


def test_redis_is_asked_for_except_by_a_migration() -> None:
    without = {name: value for name, value in LEAST.items() if name != "REDIS_URL"}
    with pytest.raises(SettingsError, match=r"REDIS_URL: is not set.*make run"):
        Settings.from_env(without)
    assert Settings.from_env(without, needs_redis=False).redis_url == ""


def test_the_public_address_is_this_machines_unless_it_is_given() -> None:
    assert read(PORT="5000").public_url == "http://127.0.0.1:5000"


def test_no_secret_is_in_its_text() -> None:
    secret = {
        "DATABASE_URL": "postgres://u:hush@h/n",
        "REDIS_URL": "redis://:hush@h",
        "SECRET_KEY": "hush" * 9,
        "ADMIN_API_TOKEN": "hush" * 9,
        "ADMIN_EMAIL": "hush@example.com",
        "ADMIN_PASSWORD": "hush" * 9,
        "SENTRY_DSN": "https://hush@sentry.example.com/1",
        "ALERT_WEBHOOK_URL": "https://hooks.example.com/hush",
        "ALERT_EMAIL": "hush@example.com",
        "SMTP_URL": "smtp://u:hush@mail.example.com",
    }
    settings = read(**secret)
    for text in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "hush" not in text
        assert KEY not in text


class TestWhatAnInstallationMakesForItself:
    @pytest.fixture(autouse=True)
    def var(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.setattr(module, "VAR", tmp_path / "var")
        return tmp_path / "var"

    def _read(self, **changes: str) -> Settings:
        return Settings.from_env({"REDIS_URL": LEAST["REDIS_URL"], "DATABASE_URL": LEAST["DATABASE_URL"], **changes})

    def test_is_made_once_and_is_for_its_owner_only(self, var: Path) -> None:
        first, again = self._read(), self._read()
        assert (first.secret_key, first.encryption_keys) == (again.secret_key, again.encryption_keys)
        assert len(first.secret_key) >= 32
        Fernet(first.encryption_keys[0])
        assert sorted(path.name for path in var.iterdir()) == ["encryption-keys", "secret-key"]
        for path in var.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(var.stat().st_mode) == 0o700

    def test_is_not_made_where_it_is_given_or_something_else_is_amiss(self, var: Path) -> None:
        self._read(SECRET_KEY=LEAST["SECRET_KEY"], ENCRYPTION_KEYS=KEY)
        with pytest.raises(SettingsError):
            self._read(PORT="eighty")
        assert not var.exists()

    def test_is_one_for_processes_that_start_together(self, var: Path) -> None:
        script = """
import sys
from pathlib import Path
from config import settings
settings.VAR = Path(sys.argv[1])
made = settings.Settings.from_env(dict(one.split("=", 1) for one in sys.argv[2:]))
print(made.secret_key, *made.encryption_keys)
"""
        given = [f"{name}={LEAST[name]}" for name in ("DATABASE_URL", "REDIS_URL")]
        processes = [
            subprocess.Popen([sys.executable, "-c", script, var, *given], cwd=module.ROOT, stdout=subprocess.PIPE)
            for _ in range(4)
        ]
        assert len({process.communicate(timeout=30)[0] for process in processes}) == 1
        assert [process.returncode for process in processes] == [0] * 4
        assert len(list(var.iterdir())) == 2

    def test_that_can_not_be_kept_is_said_in_words(self, var: Path) -> None:
        var.write_text("a file where a folder should be")
        with pytest.raises(SettingsError, match=r"SECRET_KEY: is not set, and .* can't be made or read"):
            self._read()
