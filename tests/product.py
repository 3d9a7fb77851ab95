"""The product as use-case tests see it: real database, vendors in memory, a clock and a bell that the test holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import event as sql_event
from sqlalchemy import select

from app.core.audiences import AttributeType
from app.core.identity import content_key
from app.core.people import Audience, Contact, Person
from app.integrations.budget import Pace
from app.storage import campaigns, programs, workspaces
from app.storage.creations import NewCreation, record_creations
from app.storage.database import Database
from app.storage.doors import Doors, of_campaigns
from app.storage.inbox import NewEvent, Receipt
from app.storage.intake import keep_proven
from app.storage.tables import activity, events, people
from app.storage.tables import campaigns as campaign_rows
from app.storage.vault import Vault, digest
from app.usecases import process_event
from app.usecases.receive_event import receive_from_intercom, receive_from_referral_factory
from app.usecases.services import Services
from schemas.referral_factory import Campaign
from tests.fakes import FakeIntercom, FakeReferralFactory, custom
from tests.notifications import notification, signature

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

SETTINGS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [
        {"from": {"field": "first_name"}, "to": "name"},
        {"from": {"field": "email"}, "to": "email"},
        {"from": {"field": "referrer.email"}, "to": "custom_attributes.Referrer Email"},
        {"from": {"field": "meta.Company"}, "to": "custom_attributes.Company name"},
        {"from": {"field": "meta.Seats"}, "to": "custom_attributes.Seats"},
    ],
    "duplicates": "skip",
    "qualification": {"attribute": "custom_attributes.plan", "initial_value": "trial", "target_values": ["pro"]},
}

ATTRIBUTES = (
    custom("Referrer Email"),
    custom("Company name"),
    custom("Referral Link"),
    custom("Seats", AttributeType.NUMBER),
    custom("plan", AttributeType.LIST, options=("trial", "pro")),
)


class RecordingBell:
    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1


class NoMetrics:
    def received(self, source: str, duplicate: bool) -> None: ...

    def settled(self, source: str, status: str, cause: str | None, seconds: float) -> None: ...

    def activity(self, verb: str, outcome: str, cause: str | None) -> None: ...

    def reconciled(self, kind: str, found: int, calls: int) -> None: ...

    def synced(self, outcomes: Mapping[str, int], seconds: float) -> None: ...


class DirectIntake:
    """Keeps an event in the thread that asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, event: NewEvent) -> Receipt | None:
        with self._database.writing() as connection:
            return keep_proven(connection, [event])[0]


class DirectCreations:
    """Records an attempt in the thread that asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, new: NewCreation) -> int | None:
        with self._database.writing() as connection:
            return record_creations(connection, [new])[0]


class FakeVendors:
    regions_differ = True

    def __init__(self, intercom: FakeIntercom, referral_factory: FakeReferralFactory) -> None:
        self._intercom, self._referral_factory = intercom, referral_factory
        self.others: dict[str, FakeReferralFactory] = {}
        """Programs besides the first, by their tokens."""

    def intercom(self, *, region: str, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> FakeIntercom:
        return self._intercom

    def referral_factory(self, *, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> FakeReferralFactory:
        return self.others.get(token, self._referral_factory)


class Product:
    """One workspace, one program, one campaign with both audiences set up; ``events`` are what was received."""

    def __init__(self, database: Database, settings: Mapping[str, Any] = SETTINGS) -> None:
        self.time = START
        self._notifications = 0
        self.bell, self.bulk_bell = RecordingBell(), RecordingBell()
        self.intercom = FakeIntercom(attributes=ATTRIBUTES)
        self.intercom.now = int(START.timestamp())
        self.referral_factory = FakeReferralFactory(Campaign("1", "Summer referral", "summer"))
        self.vendors = FakeVendors(self.intercom, self.referral_factory)
        self.services = Services(
            database=database,
            vault=Vault([Fernet.generate_key().decode()]),
            doors=Doors(database),
            intake=DirectIntake(database),
            creations=DirectCreations(database),
            vendors=self.vendors,
            bell=self.bell,
            bulk_bell=self.bulk_bell,
            metrics=NoMetrics(),
            now=lambda: self.time,
            random=lambda: 0.0,
            public_url="http://127.0.0.1:8000",
            index_delay=timedelta(seconds=180),
            retry_schedule=(10, 60, 300),
            retention=timedelta(days=90),
            reconcile_interval=timedelta(seconds=300),
            sync_interval=timedelta(seconds=900),
        )
        self.database = database
        self.workspace_id, self.program_id, self.campaign_id = self._connect()
        self.set_up(Audience.LEADS, settings)
        self.intercom.calls.clear()

    def close(self) -> None:
        """Nothing to close: the database is the fixture's."""

    def _connect(self) -> tuple[int, int, int]:
        vault = self.services.vault
        with self.database.writing() as connection:
            workspace_id = workspaces.add(
                connection,
                app_id="app1",
                name="Workspace",
                region="us",
                timezone="America/New_York",
                token=vault.seal("token"),
                token_digest=digest("token"),
                client_secret=vault.seal("client-secret"),
                state="connected",
                missing_permissions=[],
                created_at=self.time,
            )
            workspaces.replace_attributes(connection, workspace_id, self.intercom.attributes())
            program_id = programs.add(
                connection,
                name="Program",
                token=vault.seal("rf"),
                token_digest=digest("rf"),
                state="connected",
                created_at=self.time,
            )
        return workspace_id, program_id, self.add_campaign(workspace_id, program_id, "1")

    def add_campaign(self, workspace_id: int, program_id: int, referral_factory_id: str) -> int:
        with self.database.writing() as connection:
            return campaigns.add(
                connection,
                program_id=program_id,
                workspace_id=workspace_id,
                referral_factory_id=referral_factory_id,
                name="Summer referral",
                fields={"leads": ["Company", "Seats"], "referrers": []},
                webhook_key=f"key-{referral_factory_id}",
                webhook_secret=self.services.vault.seal("webhook-secret"),
                extended_types=False,
                crm_fields=[],
                created_at=self.time,
            )

    def add_program(self, token: str) -> tuple[int, FakeReferralFactory]:
        """Another account of Referral Factory, with a campaign ``token``; people's ids are not those of the first."""
        api = FakeReferralFactory(Campaign(token, "Winter referral", token))
        api.sign_up("nobody@example.com", campaign_id=token)
        self.vendors.others[token] = api
        with self.database.writing() as connection:
            program_id = programs.add(
                connection,
                name=token,
                token=self.services.vault.seal(token),
                token_digest=digest(token),
                state="connected",
                created_at=self.time,
            )
        return program_id, api

    def set_up(self, audience: Audience, settings: Mapping[str, Any], campaign_id: int | None = None) -> None:
        with self.database.writing() as connection:
            campaigns.add_audience_version(
                connection,
                campaign_id or self.campaign_id,
                audience,
                dict(settings),
                complete=True,
                changed_at=self.time,
                changed_by="test",
            )

    def change(self, **settings: Any) -> None:
        """The leads' settings with some of them changed."""
        self.set_up(Audience.LEADS, {**SETTINGS, **settings})

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.intercom.now = int(self.time.timestamp())

    def receive(self, topic: str = "joined", to_campaign: int | None = None, **payload: Any) -> int:
        """A webhook of Referral Factory, proven and kept; its event's id."""
        body = json.dumps(payload).encode()
        with self.database.reading() as connection:
            (door,) = of_campaigns(connection, campaign_rows.c.id == (to_campaign or self.campaign_id))
        return receive_from_referral_factory(
            self.services,
            door,
            topic,
            body=body,
            content_type="application/json",
            payload=payload,
            secret="webhook-secret",
        ).event_id

    def receive_lead(self, **payload: Any) -> int:
        """Someone complete joins through a link."""
        return self.receive(**lead(**payload))

    def refer(
        self,
        email: str = "friend@example.com",
        *,
        to_campaign: int | None = None,
        named: str = "1",
        api: FakeReferralFactory | None = None,
        **payload: Any,
    ) -> Person:
        """Rita's friend joins in Referral Factory's campaign ``named``, and a webhook tells of it."""
        api = api or self.referral_factory
        rita = next((one for one in api.people.values() if one.email == "rita@example.com"), None)
        rita = rita or api.sign_up("rita@example.com", campaign_id=named)
        friend = api.sign_up(email, campaign_id=named, referrer=rita)
        told = {"id": friend.values["id"], "code": friend.code, "email": email, "referrer_id": rita.values["id"]}
        self.receive(to_campaign=to_campaign, **lead(**{**told, **payload}))
        return friend

    def watched(self, email: str = "friend@example.com", **payload: Any) -> Contact:
        """Rita's friend has joined and been sent; their contact."""
        self.refer(email, **payload)
        self.work_until_idle()
        return next(one for one in self.intercom.contacts.values() if one.email == email)

    def turns(self, contact: Contact, after: float = 60, **attributes: Any) -> Contact:
        """Some time later the customer's own code changes a contact's attributes."""
        self.advance(after)
        now = self.intercom.contacts[contact.id].custom_attributes
        return self.intercom.change(contact.id, custom_attributes={**now, **attributes})

    def tell(self, contact: Contact, topic: str = "contact.user.updated", /, **item: Any) -> Any:
        """A notification comes and is worked on until nothing is due; its event."""
        event_id = self.notified(contact, topic, **item)
        self.work_until_idle()
        return self.event(event_id)

    @property
    def qualified(self) -> list[str]:
        """Whom Referral Factory was told to qualify, call by call."""
        calls = (arguments for name, arguments in self.referral_factory.calls if name == "qualify")
        return [str(whom) for whom, qualified in calls if qualified]

    def standing(self, audience: str = "leads") -> list[tuple[str, str | None]]:
        """State and cause of the qualification of each, in the order they came."""
        rows = (row for row in self.people() if row.audience == audience)
        return [(row.qualification_state, row.qualification_cause) for row in rows]

    def notified(
        self,
        about: Contact,
        topic: str = "contact.user.updated",
        /,
        *,
        key: str | None = None,
        app: str = "app1",
        **item: Any,
    ) -> int:
        """A notification of Intercom in its real shape, proven and kept; its event's id.

        ``about`` is as it is shown there, and ``item`` changes what is said of it.
        """
        self._notifications += 1
        said = notification(about, topic, key or f"notif_{self._notifications}", app, self.intercom.now, item)
        body = json.dumps(said).encode()
        signed = signature(body, "client-secret")
        return receive_from_intercom(self.services, body=body, payload=said, signature=signed).event_id

    def work(self, owner: str = "worker") -> list[process_event.Outcome]:
        """One claim, worked on and settled."""
        batch = process_event.claim(self.services, owner, 50)
        outcomes = [process_event.process(self.services, event, batch) for event in batch.events]
        process_event.settle(self.services, owner, outcomes)
        return outcomes

    def work_until_idle(self) -> None:
        while self.work():
            pass

    def event(self, event_id: int) -> Any:
        with self.database.reading() as connection:
            return connection.execute(select(events).where(events.c.id == event_id)).one()

    def activity(self) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(select(activity).order_by(activity.c.id)))

    def told(self, verb: str = "qualify") -> list[tuple[str, str | None]]:
        """Outcome and cause of each row of activity with that verb."""
        return [(row.outcome, row.cause) for row in self.activity() if row.verb == verb]

    def people(self) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(select(people).order_by(people.c.id)))

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL that is executed meanwhile."""
        found: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            found.append(statement)

        sql_event.listen(self.database.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            sql_event.remove(self.database.engine, "before_cursor_execute", note)

    def key(self, **payload: Any) -> str:
        return content_key(self.campaign_id, "joined", payload)


def lead(**changes: Any) -> dict[str, Any]:
    """The payload of a lead who joined, with all that ``SETTINGS`` needs."""
    return {
        "id": 7,
        "code": "friend7",
        "email": "Friend@Example.com",
        "first_name": "Frida",
        "type": "person_invited",
        "referrer_id": 3,
        "referrer_email": "rita@example.com",
        "Company": "Acme",
        "Seats": "5",
        **changes,
    }
