"""What the vendors never told is made good by the whole system: a conversion, and somebody who joined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bench.servers import postgres
from bench.system import System
from tests.conftest import KINDS
from tests.e2e.test_system import contacts, referral_link

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    if request.param == "sqlite":
        yield from _running(folder, f"sqlite:///{folder / 'referloop.db'}")
        return
    with postgres("e2e_reconcile") as url:
        yield from _running(folder, url.replace("+psycopg", ""))


def _running(folder: Any, database_url: str) -> Iterator[System]:
    with System(folder, database_url, RECONCILE_INTERVAL_SECONDS="1") as system:
        system.start_all(workers=2)
        yield system


def contact_of(system: System, email: str) -> dict[str, Any] | None:
    return next((one for one in contacts(system) if one["email"] == email), None)


def activity(system: System, email: str, verb: str) -> list[tuple[str, str | None]]:
    return [(row["outcome"], row["cause"]) for row in system.items("/activity", email=email, verb=verb)]


def test_a_conversion_and_a_signup_whose_webhooks_were_lost(system: System) -> None:
    # Who joins before the audience was read for the first time counts as there before it.
    system.await_(lambda: "referral_factory" in {row["kind"] for row in system.items("/reconciles")}, 90)
    answer = requests.post(
        referral_link(system), data={"first_name": "Frida", "email": "frida@example.com", "Company": "A"}, timeout=10
    )
    assert answer.ok
    system.await_(lambda: activity(system, "frida@example.com", "send"), 10)
    contact = contact_of(system, "frida@example.com")
    assert contact is not None
    # The look that the notification of their creation asks for would else find the conversion too.
    system.await_(lambda: system.items("/events", topic="contact.lead.created", status="done"), 10)
    change = {"custom_attributes": {**contact["custom_attributes"], "plan": "pro"}, "notification": "lose"}
    system.control("PUT", f"/intercom/sandbox1/contacts/{contact['id']}", change)
    code = referral_link(system).rsplit("/", 1)[1]
    lost = {
        "campaign_id": 1,
        "first_name": "Olga",
        "email": "olga@example.com",
        "referrer": {"field": "code", "value": code},
    }
    system.control("POST", "/referral-factory/users", lost)

    missed = ("qualified", "webhook_missed")
    system.await_(lambda: missed in activity(system, "frida@example.com", "qualify"), 90)
    assert system.await_(lambda: activity(system, "olga@example.com", "send"), 90) == [("created", "webhook_missed")]
    assert contact_of(system, "olga@example.com") is not None
    found = [(row["kind"], row["scope"]) for row in system.items("/reconciles") for _ in range(row["found"])]
    assert sorted(found) == [("intercom", "workspace:1"), ("referral_factory", "program:1")]
    assert activity(system, "frida@example.com", "send") == [("created", None)], "and who was told of is not missed"
