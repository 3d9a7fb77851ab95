"""An operator is told of each trouble once, and of its end once, whatever happens to the messages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.core.alerts import CIRCUIT_STAYS_OPEN, Message
from app.integrations.alerting import NotSentError, Way
from app.storage import circuits, workspaces
from app.storage.circuits import Broken, permission_circuit, vendor_circuit
from app.storage.tables import alerts, events
from app.storage.vault import digest
from app.usecases.tell_alerts import tell_alerts
from app.wiring import Wired
from tests.product import Product
from tests.web.installation import settings_for
from workers.schedule import RECURRING


class Recording:
    def __init__(self, name: str = "webhook") -> None:
        self.name = name
        self.refuses = False
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        if self.refuses:
            raise NotSentError("it is away")
        self.messages.append(message)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one["key"], one["state"]) for message in self.messages for one in message.alerts]


@pytest.fixture
def way() -> Recording:
    return Recording()


@pytest.fixture
def telling(product: Product, way: Recording) -> Product:
    product.services = replace(product.services, alert_ways=(way,))
    return product


def lose(product: Product) -> None:
    with product.database.writing() as connection:
        workspaces.lose(
            connection, product.workspace_id, digest("token"), "intercom_unauthorized", product.services.now()
        )


def regain(product: Product) -> None:
    with product.database.writing() as connection:
        workspaces.regain(connection, product.workspace_id, digest("token"), product.services.now())


def test_nothing_is_told_while_all_is_well(telling: Product, way: Recording) -> None:
    telling.receive_lead()
    telling.work_until_idle()
    assert tell_alerts(telling.services) == 0
    assert way.messages == []


def test_a_lost_connection_is_told_once_and_its_return_once(telling: Product, way: Recording) -> None:
    lose(telling)
    for _ in range(3):
        tell_alerts(telling.services)
        telling.advance(60)
    assert way.told == [("connection_lost:intercom:1", "begun")]
    assert "“Workspace”" in way.messages[0].text
    assert "http://127.0.0.1:8000/workspaces/1" in way.messages[0].text
    regain(telling)
    for _ in range(3):
        tell_alerts(telling.services)
        telling.advance(60)
    assert way.told[1:] == [("connection_lost:intercom:1", "over")]
    with telling.database.reading() as connection:
        assert connection.execute(select(alerts)).all() == []
    lose(telling)
    tell_alerts(telling.services)
    assert way.told[2:] == [("connection_lost:intercom:1", "begun")], "the next time is another trouble"


def test_one_that_a_person_disconnected_is_no_trouble(telling: Product, way: Recording) -> None:
    with telling.database.writing() as connection:
        workspaces.change(connection, telling.workspace_id, state="disconnected", token=None, token_digest=None)
    tell_alerts(telling.services)
    assert way.messages == []


def test_a_circuit_is_told_when_it_stays_open(telling: Product, way: Recording) -> None:
    names = vendor_circuit("intercom", telling.workspace_id), permission_circuit("referral_factory", 1, "access")
    with telling.database.writing() as connection:
        for name in names:
            circuits.open_(connection, Broken(name, "intercom_unavailable", timedelta(seconds=10)), telling.time)
    telling.advance(CIRCUIT_STAYS_OPEN.total_seconds() - 1)
    tell_alerts(telling.services)
    assert way.messages == []
    telling.advance(2)
    tell_alerts(telling.services)
    assert len(way.messages) == 1, "two that come together are one message"
    assert sorted(way.told) == sorted((f"circuit_open:{name}", "begun") for name in names)
    with telling.database.writing() as connection:
        circuits.close(connection, names, telling.time)
    tell_alerts(telling.services)
    assert {state for _, state in way.told[2:]} == {"over"}


def test_events_that_died_are_told_by_cause_until_none_is_left(telling: Product, way: Recording) -> None:
    telling.receive(email="broken", id=1, code="x")
    with telling.database.writing() as connection:
        connection.execute(update(events).values(status="dead", cause="webhook_not_understood"))
    tell_alerts(telling.services)
    telling.advance(60)
    tell_alerts(telling.services)
    assert way.told == [("events_dead:webhook_not_understood", "begun")]
    with telling.database.writing() as connection:
        connection.execute(update(events).values(status="done"))
    tell_alerts(telling.services)
    assert way.told[1:] == [("events_dead:webhook_not_understood", "over")]


def test_a_message_names_no_lead_and_no_referrer(telling: Product, way: Recording) -> None:
    telling.receive_lead(email="friend@example.com", first_name="Friedrich")
    with telling.database.writing() as connection:
        connection.execute(
            update(events).values(status="dead", cause="internal_error", error="of friend@example.com")
        )
    lose(telling)
    tell_alerts(telling.services)
    for word in ("friend@example.com", "Friedrich", "rita@example.com"):
        assert word not in str(way.messages)


def test_what_could_not_be_sent_is_sent_later_and_once(telling: Product, way: Recording) -> None:
    way.refuses = True
    lose(telling)
    assert tell_alerts(telling.services) == 0
    way.refuses = False
    tell_alerts(telling.services)
    assert way.messages == [], "not at once again"
    telling.advance(121)
    tell_alerts(telling.services)
    tell_alerts(telling.services)
    assert way.told == [("connection_lost:intercom:1", "begun")]


def test_what_was_over_before_it_could_be_told_is_not_told(telling: Product, way: Recording) -> None:
    way.refuses = True
    lose(telling)
    tell_alerts(telling.services)
    regain(telling)
    telling.advance(121)
    way.refuses = False
    tell_alerts(telling.services)
    assert way.messages == []


def test_what_comes_back_before_its_end_could_be_told_goes_on_untold(telling: Product, way: Recording) -> None:
    lose(telling)
    tell_alerts(telling.services)
    regain(telling)
    way.refuses = True
    tell_alerts(telling.services)
    lose(telling)
    way.refuses = False
    telling.advance(121)
    tell_alerts(telling.services)
    assert way.told == [("connection_lost:intercom:1", "begun")]


def test_one_way_that_is_away_does_not_keep_the_other(telling: Product, way: Recording) -> None:
    mail: Way = Recording("mail")
    telling.services = replace(telling.services, alert_ways=(way, mail))
    way.refuses = True
    lose(telling)
    assert tell_alerts(telling.services) == 1
    assert mail.told == [("connection_lost:intercom:1", "begun")]  # type: ignore[attr-defined]


def test_of_many_workers_one_tells(telling: Product, way: Recording) -> None:
    lose(telling)
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda _: tell_alerts(telling.services), range(8)))
    assert way.told == [("connection_lost:intercom:1", "begun")]


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"ALERT_WEBHOOK_URL": "https://hooks.example.com/x"}, ["webhook"]),
        (
            {
                "ALERT_WEBHOOK_URL": "https://hooks.example.com/x",
                "ALERT_EMAIL": "ops@example.com",
                "SMTP_URL": "smtps://mail.example.com",
            },
            ["webhook", "mail"],
        ),
    ],
)
def test_the_ways_are_those_of_the_environment(tmp_path: Path, environ: dict[str, str], names: list[str]) -> None:
    wired = Wired(settings_for(f"sqlite:///{tmp_path / 'test.db'}", **environ), threads=1)
    assert [way.name for way in wired.services.alert_ways] == names
    wired.close()


def test_the_clock_of_every_worker_tells() -> None:
    assert tell_alerts in [recurring.work for recurring in RECURRING]
