"""Settings become services: the only place that makes real clients, engines and connections."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import redis

from app.core.errors import Vendor
from app.integrations.alerting import MailWay, Way, WebhookWay
from app.integrations.budget import Budget, Pace, RedisBudget, Timed, Unlimited, impatient_redis
from app.integrations.http import Http
from app.integrations.intercom import HOSTS, IntercomClient
from app.integrations.intercom import WINDOW_SECONDS as INTERCOM_WINDOW
from app.integrations.referral_factory import WINDOW_SECONDS as REFERRAL_FACTORY_WINDOW
from app.integrations.referral_factory import ReferralFactoryClient
from app.metrics import ConnectionsCollector, InboxCollector, PrometheusMetrics
from app.queue import BULK, RedisBell
from app.storage.creations import Creations
from app.storage.database import CACHE_KIB, Database
from app.storage.doors import Doors
from app.storage.intake import Intake
from app.storage.vault import Vault, digest
from app.usecases.services import Services
from config.settings import Settings

SWEEP_SHARE = 10
"""Reading whole programs takes at most a tenth of what they may be asked."""

BULK_SHARE_OF_INTERCOM = 0.85
"""Other apps of the workspace eat from its budget, too: were all of it used up here, live calls would be held."""


class Share:
    """A part of a budget: a call is taken from the part and from the whole, where it yields to live work."""

    def __init__(self, part: Budget, whole: Budget) -> None:
        self._part, self._whole = part, whole

    def take(self, *, bulk: bool = False) -> None:
        self._part.take()
        self._whole.take(bulk=bulk)

    def learn(self, headers: Mapping[str, str]) -> None:
        self._whole.learn(headers)

    def hold(self, seconds: float) -> None:
        self._whole.hold(seconds)


class VendorClients:
    """The real ways out. A client, with its kept-alive connections, is made once for a token."""

    def __init__(self, settings: Settings, store: redis.Redis, metrics: PrometheusMetrics, threads: int) -> None:
        self.regions_differ = settings.intercom_api_url is None
        self._settings, self._store, self._metrics = settings, store, metrics
        self._http = Http(connections=threads + 4)
        self._making = threading.Lock()
        self._intercoms: dict[tuple[str, str, str | None, Pace], IntercomClient] = {}
        self._referral_factories: dict[tuple[str, str | None, Pace], ReferralFactoryClient] = {}

    def intercom(self, *, region: str, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> IntercomClient:
        key = (region, digest(token), budget_key, pace)
        with self._making:
            client = self._intercoms.get(key)
            if client is None:
                base = self._settings.intercom_api_url or HOSTS[region]
                budget = self._timed(Vendor.INTERCOM, self._intercom_budget(budget_key))
                client = IntercomClient(
                    base, token, self._http, budget, self._metrics.called, bulk=pace is not Pace.LIVE
                )
                if budget_key is not None:
                    self._intercoms[key] = client
        return client

    def referral_factory(
        self, *, token: str, budget_key: str | None, pace: Pace = Pace.LIVE
    ) -> ReferralFactoryClient:
        key = (digest(token), budget_key, pace)
        with self._making:
            client = self._referral_factories.get(key)
            if client is None:
                client = ReferralFactoryClient(
                    self._settings.referral_factory_api_url,
                    token,
                    self._http,
                    self._timed(Vendor.REFERRAL_FACTORY, self._referral_factory_budget(budget_key, pace)),
                    self._metrics.called,
                    bulk=pace is not Pace.LIVE,
                )
                if budget_key is not None:
                    self._referral_factories[key] = client
        return client

    def _timed(self, vendor: Vendor, budget: Budget) -> Budget:
        return Timed(budget, lambda seconds: self._metrics.waited(vendor, seconds))

    def _intercom_budget(self, budget_key: str | None) -> Budget:
        if budget_key is None:
            return Unlimited()
        return RedisBudget(
            self._store,
            f"referloop:budget:intercom:{budget_key}",
            self._settings.intercom_calls_per_10s,
            INTERCOM_WINDOW,
            vendor=Vendor.INTERCOM,
            led_by_headers=True,
            bulk_share=BULK_SHARE_OF_INTERCOM,
        )

    def _referral_factory_budget(self, budget_key: str | None, pace: Pace) -> Budget:
        if budget_key is None:
            return Unlimited()
        name = f"referloop:budget:referral-factory:{budget_key}"
        limit = self._settings.referral_factory_calls_per_minute
        whole = self._of_referral_factory(name, limit)
        if pace is not Pace.SWEEP:
            return whole
        return Share(self._of_referral_factory(f"{name}:sweep", max(1, limit // SWEEP_SHARE)), whole)

    def _of_referral_factory(self, name: str, limit: int) -> RedisBudget:
        return RedisBudget(self._store, name, limit, REFERRAL_FACTORY_WINDOW, vendor=Vendor.REFERRAL_FACTORY)

    def close(self) -> None:
        self._http.close()


class Wired:
    """The services of one process, made after its fork, with what only its doors ask for."""

    def __init__(self, settings: Settings, *, threads: int = 16, cache_kib: int = CACHE_KIB) -> None:
        self.settings = settings
        self.store = impatient_redis(settings.redis_url)
        self.metrics = PrometheusMetrics()
        self.database = Database(settings.database_url, cache_kib=cache_kib)
        self._vendors = VendorClients(settings, self.store, self.metrics, threads)
        self.services = Services(
            database=self.database,
            vault=Vault(settings.encryption_keys),
            doors=Doors(self.database),
            intake=Intake(self.database),
            creations=Creations(self.database),
            vendors=self._vendors,
            bell=RedisBell(self.store),
            bulk_bell=RedisBell(self.store, BULK),
            metrics=self.metrics,
            now=_now,
            random=random.random,
            public_url=settings.public_url,
            index_delay=timedelta(seconds=settings.intercom_index_delay_seconds),
            retry_schedule=settings.retry_schedule_seconds,
            retention=timedelta(days=settings.event_retention_days),
            reconcile_interval=timedelta(seconds=settings.reconcile_interval_seconds),
            sync_interval=timedelta(seconds=settings.sync_interval_seconds),
            alert_ways=_alert_ways(settings),
        )

    def redis_answers(self) -> bool:
        try:
            return bool(self.store.ping())
        except redis.RedisError:
            return False

    def exposition(self) -> Callable[[], bytes]:
        asked = InboxCollector(self.database, time.time), ConnectionsCollector(self.database)
        return lambda: self.metrics.exposition(*asked)

    def close(self) -> None:
        self._vendors.close()
        self.store.close()
        self.database.close()


def _alert_ways(settings: Settings) -> tuple[Way, ...]:
    ways: list[Way] = []
    if settings.alert_webhook_url:
        ways.append(WebhookWay(settings.alert_webhook_url))
    if settings.smtp_url and settings.alert_email:
        ways.append(MailWay(settings.smtp_url, settings.alert_email))
    return tuple(ways)


def _now() -> datetime:
    return datetime.now(UTC)
