"""Sends a message by every way that ``ALERT_WEBHOOK_URL``, ``ALERT_EMAIL`` and ``SMTP_URL`` name, to see that it
arrives: ``python -m app.try_alerts``. It reads the environment of the installation, as the web process does."""

from __future__ import annotations

import sys

from app.core.alerts import Message
from app.integrations.alerting import NotSentError, Way
from app.terminal import with_installation
from app.wiring import Wired

TRIAL = Message("Referloop: alerts arrive", "This is a trial. Nothing is amiss.", ())


def main() -> int:
    """The exit status: 0 where all were taken, 1 where one was not, 2 where there is no way to try."""
    return with_installation(_try)


def _try(wired: Wired) -> int:
    ways = wired.services.alert_ways
    if not ways:
        sys.stderr.write("No way is set: set ALERT_WEBHOOK_URL, or ALERT_EMAIL and SMTP_URL.\n")
        return 2
    sent = [_was_sent(way) for way in ways]
    return 0 if all(sent) else 1


def _was_sent(way: Way) -> bool:
    try:
        way.send(TRIAL)
    except NotSentError as error:
        sys.stderr.write(f"{way.name}: not sent, {error}.\n")
        return False
    sys.stdout.write(f"{way.name}: sent.\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
