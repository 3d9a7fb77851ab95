"""What gunicorn serves: ``app.wsgi:application``."""

from __future__ import annotations

import os
import sys

from app.factory import make_app
from app.wiring import Wired
from config.collector import settle_collector
from config.logging import set_up_logging, set_up_sentry
from config.settings import Settings, SettingsError

try:
    _settings = Settings.from_env(os.environ)
except SettingsError as _error:
    print(_error, file=sys.stderr)  # noqa: T201 - there are no logs yet
    sys.exit(4)  # gunicorn takes 3 and 4 for "do not start this again"

set_up_logging(_settings.log_level, _settings.log_format, "web", together=True)
set_up_sentry(_settings.sentry_dsn, "web")
application = make_app(_settings, Wired(_settings))
settle_collector()
