"""Everything the sandbox knows, in one place: clock, switches, both vendors' state, faults and the log of calls."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

from sandbox import seed
from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.intercom.state import Workspace
from sandbox.ratelimit import Abuse, Buckets
from sandbox.referral_factory.state import Factory
from sandbox.settings import Settings
from sandbox.webhooks import Sender

LOG_LENGTH = 5000


class World:
    """The state behind all doors. `lock` is held while state is read or changed, never while waiting."""

    def __init__(self, settings: Settings | None = None, seed_number: int = 1) -> None:
        self.settings = settings or Settings()
        self.seed_number = seed_number
        self.clock = Clock()
        self.lock = threading.RLock()
        self.faults = Faults(seed_number, self.clock)
        self.sender = Sender(self.clock, seed_number)
        self.changes = 0
        self.workspaces: dict[str, Workspace] = {}
        self.factory = Factory(seed_number)
        self.begin()

    def begin(self) -> None:
        """The seeded beginning: nothing that happened before stays, but the switches do."""
        with self.lock:
            self.workspaces.clear()
            self.factory = Factory(self.seed_number)
            self.faults.remove()
            self.faults.reseed(self.seed_number)
            self.sender.clear()
            self.forget_calls()
            seed.defaults(self)
            self.changes += 1

    def forget_calls(self) -> None:
        """Empty the log, the counts and the limits."""
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self.calls: Counter[tuple[str, str, str, int]] = Counter()
        self.buckets = Buckets(10)
        self.abuse = Abuse()
        # By a person's id at Referral Factory (0: nobody): calls to qualify them, and what became of these.
        self.qualifications: dict[int, Counter[str]] = {}

    def workspace_by_token(self, token: str) -> Workspace | None:
        """The workspace that a token opens."""
        for workspace in self.workspaces.values():
            if token in workspace.tokens:
                return workspace
        return None
