"""What the verbs work with, as one frozen value. ``app.wiring`` makes the real one, tests make theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.integrations.intercom import Intercom
from app.integrations.referral_factory import ReferralFactory
from app.queue import Bell
from app.storage.creations import NewCreation
from app.storage.database import Database
from app.storage.inbox import NewEvent, Receipt
from app.storage.vault import Vault


class Keeps(Protocol):
    """The inbox's door: returns once the event is committed."""

    def keep(self, event: NewEvent) -> Receipt: ...


class Records(Protocol):
    """Attempts to create: returns once the attempt is committed; ``None`` where another worker was faster."""

    def record(self, new: NewCreation) -> int | None: ...


class Vendors(Protocol):
    """The ways out, by connection. A client is kept alive as long as its token is the same.

    ``budget_key`` names the connection whose budget of calls is spent; a token that is only tried has none yet.
    """

    regions_differ: bool
    """Whether a workspace's region decides where it is asked for; one address may stand for all of them."""

    def intercom(self, *, region: str, token: str, budget_key: str | None) -> Intercom: ...

    def referral_factory(self, *, token: str, budget_key: str | None, bulk: bool = False) -> ReferralFactory:
        """With ``bulk``, a way that yields to live work and takes at most a tenth of the budget."""


class Metrics(Protocol):
    """What is counted. Labels are of closed sets: never an id, a name or an address."""

    def received(self, source: str, duplicate: bool) -> None: ...

    def settled(self, source: str, status: str, cause: str | None, seconds: float) -> None: ...

    def activity(self, verb: str, outcome: str, cause: str | None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    database: Database
    vault: Vault
    intake: Keeps
    creations: Records
    vendors: Vendors
    bell: Bell
    metrics: Metrics
    now: Callable[[], datetime]
    random: Callable[[], float]
    public_url: str
    index_delay: timedelta
    retry_schedule: tuple[int, ...]
    retention: timedelta
