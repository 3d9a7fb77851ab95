"""What happens beside the processes: waiting until they are ready, seeding, telling the person what to open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import redis
import requests
from rq import Worker

from local import notes as kept
from local import seed
from local.errors import CannotStartError
from local.notes import Notes
from local.runner import Runner

PATIENCE = 60.0


class Guide:
    """Leads one start to the point where a person can begin; `trouble` says why it could not."""

    def __init__(
        self,
        places: seed.Places,
        notes: Notes,
        folder: Path,
        redis_url: str,
        children: Mapping[str, str],
        *,
        simulated: bool,
    ) -> None:
        self.trouble: str | None = None
        self._places = places
        self._notes = notes
        self._folder = folder
        self._redis_url = redis_url
        self._children = children
        self._simulated = simulated
        self._begun = datetime.now(UTC).replace(microsecond=0)
        self._session = requests.Session()
        self._session.trust_env = False

    def set_out(self, runner: Runner) -> None:
        """Begin, beside the runner's loop."""
        threading.Thread(target=self._lead, args=(runner,), daemon=True).start()

    def _lead(self, runner: Runner) -> None:
        try:
            self._wait(runner, "The sandbox", lambda: self._answers(self._places.sandbox + "/"))
            self._wait(runner, "The web process", lambda: self._answers(self._places.web + "/readyz"))
            if self._simulated:
                token = self._children["ADMIN_API_TOKEN"]
                self._notes.campaign_id = seed.seed(self._places, token, self._notes.campaign_id)
                kept.save(self._folder, self._notes)
            self._wait(runner, "The worker", self._has_worker)
            runner.log.say(box(self._places, self._secrets(), simulated=self._simulated))
            self._notes.password = None
            kept.save(self._folder, self._notes)
        except CannotStartError as error:
            if not runner.stopping:
                self.trouble = str(error)
                runner.stop()

    def _wait(self, runner: Runner, what: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            if runner.stopping:
                raise CannotStartError("The start was broken off.")
            if time.monotonic() > until:
                raise CannotStartError(
                    f"{what} isn't ready after {PATIENCE:.0f} seconds. Its lines above may say why."
                )
            time.sleep(0.1)

    def _secrets(self) -> dict[str, str]:
        """What a first run made up and the processes use; nothing that a person has set."""
        made = {}
        if self._notes.password is not None:
            if self._children.get("ADMIN_PASSWORD") == self._notes.password:
                made = {"Email": self._notes.email, "Password": self._notes.password}
            if self._children["ADMIN_API_TOKEN"] == self._notes.api_token:
                made["API token"] = self._notes.api_token
        return made

    def _answers(self, url: str) -> bool:
        try:
            return self._session.get(url, timeout=5).ok
        except requests.RequestException:
            return False

    def _has_worker(self) -> bool:
        try:
            with redis.Redis.from_url(self._redis_url, socket_timeout=5) as connection:
                born = [worker.birth_date for worker in Worker.all(connection=connection)]
                return any(when is not None and when >= self._begun for when in born)
        except redis.RedisError:
            return False


def box(places: seed.Places, secrets: Mapping[str, str], *, simulated: bool) -> str:
    """What to open and what to try, and what was made up for this installation."""
    lines = ["Referloop is running. Ctrl-C stops all of it.", "", f"  Console   {places.web}"]
    if simulated:
        lines.append(f"  Sandbox   {places.sandbox}   (Intercom and Referral Factory, simulated)")
    lines.append(f"  API       {places.web}/api/v1/docs")
    if secrets:
        lines += ["", "Yours, and shown only this once:"]
        lines += [f"  {name.ljust(9)} {value}" for name, value in secrets.items()]
    if simulated:
        lines += [
            "",
            "To try:",
            "  1. On the sandbox's page, join as a referrer, and sign a friend up through your referral link.",
            "  2. Find both among the contacts of its Intercom; sign in to the console, and find them under People.",
            "  3. Open the friend's contact and set the plan from trial to pro, as a sale would: a moment later the",
            "     referral is qualified in Referral Factory, and your own contact in Intercom counts it.",
            "  4. Sign the same friend up again, or switch a fault on: Why? in the console answers.",
        ]
    width = max(map(len, lines))
    rule = "─" * (width + 2)
    return "\n".join([f"╭{rule}╮", *(f"│ {line.ljust(width)} │" for line in lines), f"╰{rule}╯"])
