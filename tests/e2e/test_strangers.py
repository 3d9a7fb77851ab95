"""What a workspace tells of contacts who are nobody's lead: twenty thousand webhooks, and nothing comes of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.door import notifications
from bench.load import send
from bench.servers import free_port, postgres
from bench.store import Store
from bench.system import System
from local.seed import REFERRAL_FACTORY_TOKEN
from tests.conftest import KINDS

pytestmark = pytest.mark.enable_socket

STRANGERS = {"postgresql": 20_000, "sqlite": 2_000}
SENDERS = 32
RECONCILED = {"intercom", "referral_factory"}


@pytest.fixture(params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    if request.param == "sqlite":
        yield from started(tmp_path, f"sqlite:///{tmp_path / 'referloop.db'}")
        return
    with postgres("strangers") as url:
        yield from started(tmp_path, url.replace("+psycopg", ""))


def started(folder: Path, database_url: str) -> Iterator[System]:
    """No reconcile is due while the test runs: what is called is called for what was told."""
    environ = {"RECONCILE_INTERVAL_SECONDS": "3600", "METRICS_PORT": str(free_port())}
    with System(folder, database_url, **environ) as system:
        system.start_all()
        yield system


def calls(system: System) -> int:
    total: int = system.control("GET", "/counts")["total"]
    return total


def settled(system: System) -> float:
    """How many strangers the worker counts as settled."""
    name = 'referloop_events_settled_total{cause="not_a_tracked_lead",source="intercom",status="done"}'
    told = requests.get(f"http://127.0.0.1:{system.environ['METRICS_PORT']}/metrics", timeout=10).text
    return sum(float(line.rpartition(" ")[2]) for line in told.splitlines() if line.startswith(name))


def code_of_rita(system: System) -> str:
    token = {"Authorization": f"Bearer {REFERRAL_FACTORY_TOKEN}", "Accept": "application/json"}
    answer = requests.get(f"{system.sandbox}/referral-factory/users/1", headers=token, timeout=10)
    code: str = answer.json()["data"]["code"]
    return code


def watched(system: System) -> list[dict[str, Any]]:
    return system.items("/people", email="friend@example.com")


def test_strangers_cost_no_call_and_no_activity_and_nothing_is_kept_of_them(system: System) -> None:
    number = STRANGERS[system.environ["DATABASE_URL"].partition(":")[0]]
    # Somebody is watched, so that there is something to tell strangers from.
    friend = {"campaign_id": 1, "first_name": "Friend", "email": "friend@example.com"}
    system.control("POST", "/referral-factory/sign-up", {"code": code_of_rita(system), **friend})
    system.await_(lambda: watched(system) and system.waiting() == 0, 30)
    system.await_(
        lambda: {one["kind"] for one in system.items("/reconciles") if one["finished_at"]} == RECONCILED, 60
    )
    called, told = calls(system), len(system.items("/activity"))

    bodies = itertools.islice(notifications(), number)
    taken = send(f"{system.web}/webhooks/intercom", bodies, SENDERS, go_on=lambda: True)
    assert taken.statuses == {200: number}
    system.await_(lambda: system.waiting() == 0, 120, every=0.2)

    assert calls(system) == called
    assert len(system.items("/activity")) == told
    assert settled(system) == number
    with closing(Store(system.environ["DATABASE_URL"])) as store:
        assert store.settled(store.last_event() - number).number == number
        assert store.payloads(store.last_event() - number) == 0
