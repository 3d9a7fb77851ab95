"""Syncs as use-case tests see them: begun, done page by page, and what came of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from app.core.identity import person_key
from app.core.people import Audience, Contact, Role
from app.integrations.intercom import ContactPage
from app.integrations.referral_factory import Enrolment
from app.storage import campaigns, inbox, people, programs, reservations, sync_outcomes, syncs
from app.storage.tables import reservations as reserved
from app.usecases.records import person_record
from app.usecases.run_pages import do_due_pages, do_page
from tests.product import Product

SETTINGS: dict[str, Any] = {
    "contacts": "all",
    "segment_id": None,
    "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
    "write_back": [
        {"from": "url", "to": "custom_attributes.Referral Link"},
        {"from": "referrals", "to": "custom_attributes.Seats"},
    ],
    "schedule": "once",
    "notify": False,
}


class Killed(BaseException):
    """The worker is no more."""


class Syncing:
    def __init__(self, product: Product) -> None:
        self.product, self.intercom, self.rf = product, product.intercom, product.referral_factory

    def contact(self, email: str | None, role: Role = Role.USER, **more: Any) -> Contact:
        custom = {name: more.pop(name) for name in list(more) if name[0].isupper()}
        name = more.pop("name", "Somebody")
        return self.intercom.put(email, role, name=name, custom_attributes=custom, **more)

    def start(self, *, dry_run: bool = False, **settings: Any) -> int:
        mapping = SETTINGS["mapping"]
        if any("Company" in one.custom_attributes for one in self.intercom.contacts.values()):
            mapping = [*mapping, {"from": "custom_attributes.Company", "to": "meta.Company"}]
        with self.product.database.writing() as connection:
            return syncs.add(
                connection,
                self.product.time,
                kind=syncs.SYNC,
                campaign_id=self.product.campaign_id,
                workspace_id=self.product.workspace_id,
                program_id=self.product.program_id,
                audience=Audience.REFERRERS.value,
                dry_run=dry_run,
                settings={**SETTINGS, "mapping": mapping, **settings},
                created_by="test",
            )

    def run(self, threads: int = 4, *, stopped: bool = False) -> int:
        stopping = threading.Event()
        if stopped:
            stopping.set()
        return do_due_pages(self.product.services, stopping=stopping, seconds=30, threads=threads)

    def page(self, threads: int = 4) -> bool:
        with self.product.database.reading() as connection:
            due = syncs.due(connection, self.product.time)
        with ThreadPoolExecutor(threads) as crew:
            try:
                return any(do_page(self.product.services, one, crew, threading.Event()) for one in due)
            except Killed:
                return False

    # What is known

    def row(self, sync_id: int) -> Any:
        with self.product.database.reading() as connection:
            return syncs.get(connection, sync_id)

    def outcomes(self, sync_id: int) -> list[Any]:
        with self.product.database.reading() as connection:
            return list(sync_outcomes.page(connection, sync_id, limit=1000))

    def said(self, sync_id: int) -> dict[str, tuple[str, str | None, str | None]]:
        return {one.subject: (one.outcome, one.cause, one.detail) for one in self.outcomes(sync_id)}

    def link_of(self, contact: Contact) -> Any:
        return self.intercom.contacts[contact.id].custom_attributes.get("Referral Link")

    def held(self) -> int:
        with self.product.database.reading() as connection:
            return int(connection.execute(select(func.coalesce(func.sum(reserved.c.slots), 0))).scalar_one())

    # What the test does

    def know(self, email: str) -> None:
        """A referrer of the campaign is known here."""
        person = next(one for one in self.rf.people.values() if (one.email or "").lower() == email)
        record = person_record(self.product.campaign_id, self.product.workspace_id, person)
        with self.product.database.writing() as connection:
            people.save(connection, [replace(record, joined_before_setup=True)], self.product.time)

    def limit(self, *, account: int | None = None, campaign: int | None = None) -> None:
        with self.product.database.writing() as connection:
            programs.change(connection, self.product.program_id, user_limit=account)
            campaigns.change(connection, self.product.campaign_id, user_limit=campaign)

    def hold_room(self, slots: int) -> None:
        other = self.start()
        self.set_state(other, syncs.CANCELLED)
        with self.product.database.writing() as connection:
            reservations.hold(
                connection,
                other,
                program_id=self.product.program_id,
                campaign_id=self.product.campaign_id,
                slots=slots,
                until=self.product.time + timedelta(hours=1),
            )

    def set_state(self, sync_id: int, state: str) -> None:
        with self.product.database.writing() as connection:
            syncs.change(connection, sync_id, [self.row(sync_id).state], state=state)

    def archive_campaign(self) -> None:
        with self.product.database.writing() as connection:
            campaigns.change(connection, self.product.campaign_id, archived_at=self.product.time)

    def lease(self, email: str, owner: str) -> None:
        key = person_key(self.product.workspace_id, email)
        with self.product.database.writing() as connection:
            inbox.lease_people(connection, {key}, owner, self.product.time, inbox.LEASE)

    # What happens in the middle of a page; calls are wrapped, and behave as before from the second time on

    def before(self, operation: str, happens: Callable[[], object]) -> None:
        self._once(self.rf, operation, before=happens)

    def after(self, operation: str, happens: Callable[[], object]) -> None:
        self._once(self.rf, operation, after=happens)

    def dies_at(self, api: Any, operation: str) -> None:
        """The process is killed after one call more has had its effect."""

        def killed() -> None:
            raise Killed

        self._once(api, operation, after=killed)

    def _once(self, api: Any, operation: str, before: Any = None, after: Any = None) -> None:
        real = getattr(api, operation)

        def call(*arguments: Any, **named: Any) -> Any:
            setattr(api, operation, real)
            if before:
                before()
            answer = real(*arguments, **named)
            if after:
                after()
            return answer

        setattr(api, operation, call)

    def breaks_for(self, email: str, error: Exception, times: int = 1000) -> None:
        real, left = self.rf.create_user, [times]

        def call(enrolment: Enrolment) -> Any:
            if enrolment.email == email and left[0] > 0:
                left[0] -= 1
                self.rf.calls.append(("create_user", (enrolment,)))
                raise error
            return real(enrolment)

        self.rf.create_user = call  # type: ignore[method-assign]

    def at(self, email: str, happens: Callable[[], object]) -> None:
        """``happens`` before the call that enrols ``email``, each time."""
        real = self.rf.create_user

        def call(enrolment: Enrolment) -> Any:
            if enrolment.email == email:
                happens()
            return real(enrolment)

        self.rf.create_user = call  # type: ignore[method-assign]

    def repeats_cursors(self) -> None:
        real, first = self.intercom.search, list[str]()

        def call(query: Any, cursor: str | None = None, *more: Any) -> ContactPage:
            page = real(query, cursor, *more)
            first.append(page.cursor or "")
            return replace(page, cursor=first[0])

        self.intercom.search = call  # type: ignore[method-assign]
