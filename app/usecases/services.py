"""What the verbs work with, as one frozen value. ``app.wiring`` makes the real one, tests make theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.integrations.alerting import Way
from app.integrations.budget import Pace
from app.integrations.intercom import Intercom
from app.integrations.referral_factory import ReferralFactory
from app.queue import Bell
from app.storage.creations import NewCreation
from app.storage.database import Database
from app.storage.doors import Doors
from app.storage.inbox import NewEvent, Receipt
from app.storage.vault import Vault


class Keeps(Protocol):
    """The inbox's door: returns once the event is committed; ``None`` where what it came by is another door now."""

    def keep(self, event: NewEvent) -> Receipt | None: ...


class Records(Protocol):
    """Attempts to create: returns once the attempt is committed; ``None`` where another worker was faster."""

    def record(self, new: NewCreation) -> int | None: ...


class Vendors(Protocol):
    """The ways out, by connection. A client is kept alive as long as its token is the same.

    ``budget_key`` names the connection whose budget of calls is spent; a token that is only tried has none yet.
    """

    regions_differ: bool
    """Whether a workspace's region decides where it is asked for; one address may stand for all of them."""

    def intercom(self, *, region: str, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> Intercom:
        """Any other pace yields to live work."""

    def referral_factory(self, *, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> ReferralFactory:
        """Any other pace yields to live work; a sweep takes at most a tenth of the budget besides."""


class Metrics(Protocol):
    """What is counted. Labels are of closed sets: never an id, a name or an address."""

    def received(self, source: str, duplicate: bool) -> None: ...

    def settled(self, source: str, status: str, cause: str | None, seconds: float) -> None: ...

    def activity(self, verb: str, outcome: str, cause: str | None) -> None: ...

    def reconciled(self, kind: str, found: int, calls: int) -> None: ...

    def synced(self, outcomes: Mapping[str, int], seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    database: Database
    vault: Vault
    doors: Doors
    intake: Keeps
    creations: Records
    vendors: Vendors
    bell: Bell
    bulk_bell: Bell
    metrics: Metrics
    now: Callable[[], datetime]
    random: Callable[[], float]
    public_url: str
    index_delay: timedelta
    retry_schedule: tuple[int, ...]
    retention: timedelta
    reconcile_interval: timedelta
    sync_interval: timedelta
    alert_ways: tuple[Way, ...] = ()
