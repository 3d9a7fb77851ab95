"""The environment that the processes get: what the README documents, what any program needs, and nothing else.

A PYTHONPATH, a FLASK_APP or a GUNICORN_CMD_ARGS left over in someone's shell changes nothing here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from local.notes import Notes
from local.ports import HOST

INDEX_DELAY_SECONDS = 5

BASICS = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "COLORTERM", "NO_COLOR")
LIBRARIES = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OURS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "ENCRYPTION_KEYS",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "ADMIN_API_TOKEN",
    "PUBLIC_URL",
    "INTERCOM_API_URL",
    "REFERRAL_FACTORY_API_URL",
    "INTERCOM_CALLS_PER_10S",
    "REFERRAL_FACTORY_CALLS_PER_MINUTE",
    "INTERCOM_INDEX_DELAY_SECONDS",
    "RECONCILE_INTERVAL_SECONDS",
    "SYNC_INTERVAL_SECONDS",
    "RETRY_SCHEDULE_SECONDS",
    "EVENT_RETENTION_DAYS",
    "WEB_CONCURRENCY",
    "WORKER_CONCURRENCY",
    "SENTRY_DSN",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "METRICS_PORT",
)


def for_children(
    environ: Mapping[str, str], notes: Notes, *, port: int, sandbox_port: int, terminal: bool = False
) -> dict[str, str]:
    """The whole environment of the processes but for the address of Redis. What a person has set goes first."""
    given = {name: value for name, value in environ.items() if value.strip()}
    kept = {name: given[name] for name in (*BASICS, *LIBRARIES, *OURS) if name in given}
    kept |= {name: value for name, value in given.items() if name.startswith("LC_") or name.upper() in PROXIES}
    kept |= _reached_without_proxy(given)
    sandbox = f"http://{HOST}:{sandbox_port}"
    kept.setdefault("INTERCOM_API_URL", f"{sandbox}/intercom")
    kept.setdefault("REFERRAL_FACTORY_API_URL", f"{sandbox}/referral-factory")
    kept.setdefault("INTERCOM_INDEX_DELAY_SECONDS", str(INDEX_DELAY_SECONDS))
    kept.setdefault("ADMIN_API_TOKEN", notes.api_token)
    if notes.password and not {"ADMIN_EMAIL", "ADMIN_PASSWORD"} & kept.keys():
        kept |= {"ADMIN_EMAIL": notes.email, "ADMIN_PASSWORD": notes.password}
    if terminal:
        kept.setdefault("LOG_FORMAT", "console")
    if sys.platform == "darwin":  # its libraries abort in a forked worker otherwise
        kept["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PORT": str(port),
        "PATH": f"{programs}:{given.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",
    }


def _reached_without_proxy(given: Mapping[str, str]) -> dict[str, str]:
    """A proxy must not be asked for this machine's own addresses."""
    present = ",".join(filter(None, {given.get("NO_PROXY", ""), given.get("no_proxy", "")}))
    exempt = f"{present},{HOST},localhost".lstrip(",")
    return {"NO_PROXY": exempt, "no_proxy": exempt}
