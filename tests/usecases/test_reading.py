"""The first reading: who joined before an audience was set up is known and left alone, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from app.core.errors import ApiError, InvalidRequest, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Person
from app.integrations.budget import Pace
from app.integrations.referral_factory import PeoplePage
from app.storage import campaigns, inbox, people, programs, readings
from app.storage.tables import audience_readings, audience_versions, program_readings
from app.storage.tables import people as people_table
from app.storage.vault import digest
from app.usecases import process_event
from app.usecases.check_connections import probe_connections
from app.usecases.connect_program import change_program
from app.usecases.keep_settings import keep_settings, settings_of
from app.usecases.read_campaign import PAGES_A_TURN, read_campaigns
from app.usecases.set_up_audience import keep_audience
from app.web.api import shown
from app.wiring import Share
from tests.product import Product

MAPPING = [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}]
COMPLETE: dict[str, Any] = {"action": "create_lead", "mapping": MAPPING}
INCOMPLETE: dict[str, Any] = {"action": "create_lead", "mapping": MAPPING[1:]}
NOTHING: dict[str, Any] = {"action": "nothing", "mapping": MAPPING}

VENDOR = Vendor.REFERRAL_FACTORY
COPIED = [column.name for column in people_table.c if column.name != "id"]

DOWN = Unavailable(VENDOR, "down", status=503, down=True)
REFUSED = Unauthorized(VENDOR, "no", status=401)


@pytest.fixture
def new(product: Product) -> Product:
    """The product with a campaign whose audiences nobody has set up yet."""
    with product.database.writing() as connection:
        connection.execute(audience_versions.delete())
    return product


def set_up(product: Product, audience: Audience = Audience.LEADS, **changes: Any) -> None:
    keep_audience(product.services, product.campaign_id, audience, {**COMPLETE, **changes}, "somebody")


def referrer(product: Product, email: str = "rita@example.com", **more: Any) -> Person:
    return product.referral_factory.sign_up(email, **more)


def lead(product: Product, email: str = "anna@example.com", **more: Any) -> Person:
    invited_by = more.pop("referrer", None) or next(
        (one for one in product.referral_factory.people.values() if one.audience is Audience.REFERRERS), None
    )
    return product.referral_factory.sign_up(email, referrer=invited_by or referrer(product), **more)


def read(product: Product, most: int = 50) -> int:
    """Turn after turn, until nothing is due."""
    pages = 0
    for _ in range(most):
        turn = read_campaigns(product.services)
        pages += turn
        if not turn:
            break
    return pages


def marked(product: Product) -> list[str]:
    return sorted(row.email for row in product.people() if row.joined_before_setup)


def audiences(product: Product) -> dict[str, Any]:
    with product.database.reading() as connection:
        return {row.audience: row for row in connection.execute(select(audience_readings))}


def reading(product: Product) -> Any:
    with product.database.reading() as connection:
        return connection.execute(select(program_readings)).first()


class TestStarts:
    def test_when_the_audience_is_first_complete(self, new: Product) -> None:
        lead(new)
        set_up(new)
        assert new.people() == []
        assert read(new) == 1
        assert marked(new) == ["anna@example.com"]
        assert audiences(new)["leads"].ended_at == new.time
        assert reading(new) is None

    def test_once_whatever_is_saved_later(self, new: Product) -> None:
        lead(new)
        set_up(new)
        read(new)
        asked_at = audiences(new)["leads"].asked_at
        new.advance(3600)
        lead(new, "late@example.com")
        set_up(new, duplicates="update")
        set_up(new, action="nothing")
        set_up(new)
        assert read(new) == 0
        assert marked(new) == ["anna@example.com"]
        assert audiences(new)["leads"].asked_at == asked_at

    @pytest.mark.parametrize("settings", [INCOMPLETE, NOTHING])
    def test_not_while_something_is_missing(self, new: Product, settings: dict[str, Any]) -> None:
        lead(new)
        set_up(new, **settings)
        assert read(new) == 0
        assert audiences(new) == {}
        set_up(new)
        assert read(new) == 1

    def test_not_for_settings_that_are_refused(self, new: Product) -> None:
        with pytest.raises(InvalidRequest):
            set_up(new, mapping=[*MAPPING, {"from": {"field": "code"}, "to": "custom_attributes.Unknown"}])
        assert audiences(new) == {}

    def test_with_settings_that_are_restored_as_a_whole(self, new: Product) -> None:
        lead(new)
        document = settings_of(new.services, new.campaign_id)
        document["audiences"]["leads"] |= COMPLETE
        document["audiences"]["referrers"] |= {**INCOMPLETE, "action": "create_user"}
        keep_settings(new.services, new.campaign_id, document, "somebody")
        assert set(audiences(new)) == {"leads"}
        read(new)
        assert marked(new) == ["anna@example.com"]

    def test_in_the_transaction_that_saves_the_settings(self, new: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        def die(*_: Any) -> None:
            raise SystemError("killed")

        monkeypatch.setattr(readings, "ask", die)
        with pytest.raises(SystemError):
            set_up(new)
        with new.database.reading() as connection:
            assert campaigns.audience(connection, new.campaign_id, Audience.LEADS) is None

    def test_no_call_where_nothing_waits(self, new: Product) -> None:
        assert read(new) == 0
        assert new.referral_factory.calls == []


class TestWhomItKnows:
    def test_each_audience_by_itself(self, new: Product) -> None:
        lead(new)
        set_up(new, Audience.REFERRERS, action="create_user")
        read(new)
        assert marked(new) == ["rita@example.com"]
        lead(new, "later@example.com")
        set_up(new)
        read(new)
        assert marked(new) == ["anna@example.com", "later@example.com", "rita@example.com"]

    def test_one_reading_serves_all_that_wait(self, new: Product) -> None:
        other = new.add_campaign(new.workspace_id, new.program_id, "2")
        lead(new)
        referrer(new, "other@example.com", campaign_id="2")
        set_up(new)
        set_up(new, Audience.REFERRERS, action="create_user")
        settings = {**COMPLETE, "action": "create_user"}
        keep_audience(new.services, other, Audience.REFERRERS, settings, "somebody")
        assert read(new) == 1
        found = {(row.campaign_id, row.audience, row.email) for row in new.people() if row.joined_before_setup}
        assert found == {
            (new.campaign_id, "leads", "anna@example.com"),
            (new.campaign_id, "referrers", "rita@example.com"),
            (other, "referrers", "other@example.com"),
        }

    def test_who_waits_too_late_has_the_next_reading(self, new: Product) -> None:
        new.referral_factory.page_size = 1
        lead(new)
        for number in range(PAGES_A_TURN):
            lead(new, f"lead{number}@example.com")
        set_up(new)
        read_campaigns(new.services)
        set_up(new, Audience.REFERRERS, action="create_user")
        new.advance(1)
        read(new)
        assert "rita@example.com" in marked(new)
        assert len(marked(new)) == PAGES_A_TURN + 2
        assert all(row.ended_at and not row.cause for row in audiences(new).values())

    def test_not_another_campaigns_people(self, new: Product) -> None:
        new.add_campaign(new.workspace_id, new.program_id, "2")
        lead(new, campaign_id="2", referrer=referrer(new, campaign_id="2"))
        referrer(new, "unknown@example.com", campaign_id="3")
        set_up(new)
        read(new)
        assert new.people() == []

    def test_not_another_programs(self, new: Product) -> None:
        with new.database.writing() as connection:
            second = programs.add(
                connection,
                name="Second",
                token=new.services.vault.seal("second"),
                token_digest=digest("second"),
                state="connected",
                created_at=new.time,
            )
        namesake = new.add_campaign(new.workspace_id, second, "2")
        with new.database.writing() as connection:
            campaigns.change(connection, namesake, referral_factory_id="1")
        lead(new)
        set_up(new)
        read(new)
        assert [row.campaign_id for row in new.people()] == [new.campaign_id]

    def test_not_an_archived_campaign(self, new: Product) -> None:
        set_up(new)
        with new.database.writing() as connection:
            campaigns.change(connection, new.campaign_id, archived_at=new.time)
        assert read(new) == 0

    def test_with_all_that_the_list_says(self, new: Product) -> None:
        rita = referrer(new)
        anna = lead(new, "Anna@Example.com ", referrer=rita, Company="Acme")
        set_up(new)
        read(new)
        (row,) = new.people()
        assert (row.referral_factory_id, row.code, row.email) == (anna.text("id"), anna.code, "anna@example.com")
        values = row._mapping["values"]
        assert (values["meta.Company"], values["referrer.id"]) == ("Acme", rita.values["id"])
        assert (row.contact_id, row.sent_received_at, row.qualification_state) == (None, None, "open")
        assert row.person_key is not None
        assert row.workspace_id == new.workspace_id

    def test_who_is_qualified_there_already_is_not_open_here(self, new: Product) -> None:
        new.referral_factory.qualify(user_id=lead(new).text("id"))
        set_up(new)
        read(new)
        assert [row.qualification_state for row in new.people()] == ["qualified"]

    def test_someone_without_an_email(self, new: Product) -> None:
        anna = lead(new)
        new.referral_factory.people[str(anna.values["id"])] = Person(anna.audience, {**anna.values, "email": None})
        set_up(new)
        read(new)
        assert [(row.email, row.joined_before_setup) for row in new.people()] == [(None, True)]

    @pytest.mark.parametrize(
        ("signed_up_at", "known"),
        [("2026-11-21", 1), ("2026-11-22", 1), ("2026-11-23", 1), ("2026-11-24", 0), (None, 1), ("?", 1)],
    )
    def test_not_who_joined_after_the_setup_on_a_later_day(
        self, new: Product, signed_up_at: str | None, known: int
    ) -> None:
        set_up(new)
        new.advance(3 * 86_400)
        rita = referrer(new)
        new.referral_factory.today = signed_up_at  # type: ignore[assignment]
        lead(new, referrer=rita)
        read(new)
        assert len(new.people()) == known

    def test_nobody_is_sent_and_nothing_is_told(self, new: Product) -> None:
        lead(new)
        set_up(new)
        read(new)
        new.work_until_idle()
        assert new.intercom.contacts == {}
        assert new.activity() == []

    def test_the_api_says_why(self, new: Product) -> None:
        lead(new)
        set_up(new)
        read(new)
        (row,) = new.people()
        answer = shown.person(row, {})
        assert answer["contact"] is None
        assert answer["qualification"]["cause"] == "joined_before_setup"


class TestWebhooks:
    def joined(self, product: Product, person: Person, **changes: Any) -> None:
        names = ("id", "code", "email", "first_name")
        payload = {name: person.values[name] for name in names} | {"type": "person_invited", **changes}
        product.receive(**payload)

    def test_one_that_came_afterwards_sends_and_clears_the_mark(self, new: Product) -> None:
        anna = lead(new)
        set_up(new)
        read(new)
        self.joined(new, anna)
        new.work_until_idle()
        assert len(new.intercom.contacts) == 1
        (row,) = new.people()
        assert (row.joined_before_setup, row.sent_received_at) == (False, new.time)
        assert shown.person(row, {})["qualification"]["cause"] is None

    @pytest.mark.parametrize("by", ["id", "email"])
    def test_who_was_sent_before_is_not_marked_and_stays_as_they_are(self, new: Product, by: str) -> None:
        anna = lead(new)
        set_up(new)
        self.joined(new, anna, Company="As the webhook said", **({"id": None} if by == "email" else {}))
        new.work_until_idle()
        before = new.people()
        read(new)
        assert marked(new) == []
        assert new.people() == before

    def test_who_was_skipped_by_a_webhook_is_not_marked(self, new: Product) -> None:
        new.intercom.put("anna@example.com")
        set_up(new)
        self.joined(new, lead(new))
        new.work_until_idle()
        read(new)
        (row,) = new.people()
        assert (row.joined_before_setup, row.qualification_cause) == (False, "existed_before_and_not_updated")

    def test_one_between_two_pages(self, new: Product) -> None:
        new.referral_factory.page_size = 1
        rita = referrer(new)
        found = [lead(new, f"lead{number}@example.com", referrer=rita) for number in range(2 * PAGES_A_TURN)]
        set_up(new)
        read_campaigns(new.services)
        self.joined(new, found[0])
        self.joined(new, found[-1])
        new.work_until_idle()
        read(new)
        assert len(marked(new)) == len(found) - 2
        assert len(new.people()) == len(found)

    def test_one_that_waits_is_sent_after_the_reading(self, new: Product) -> None:
        anna = lead(new)
        set_up(new)
        self.joined(new, anna)
        read(new)
        assert marked(new) == ["anna@example.com"]
        new.work_until_idle()
        assert marked(new) == []
        assert len(new.people()) == len(new.intercom.contacts) == 1

    def test_one_that_came_before_the_setup_leaves_them_unsent(self, new: Product) -> None:
        anna = lead(new)
        self.joined(new, anna, referrer_email="rita@example.com")
        new.work_until_idle()
        set_up(new)
        read(new)
        (row,) = new.people()
        assert row.joined_before_setup
        values = row._mapping["values"]
        assert values["signed_up_at"] == "2026-11-22", "what the list says is there"
        assert "referrer.email" in values, "and what only the webhook said"

    def test_one_of_a_qualification_changes_no_mark(self, new: Product) -> None:
        anna = lead(new)
        set_up(new)
        self.joined(new, anna, topic="qualified")
        new.work_until_idle()
        read(new)
        self.joined(new, anna, topic="qualified", note="again")
        new.work_until_idle()
        (row,) = new.people()
        assert (row.joined_before_setup, row.qualification_state) == (True, "qualified")

    def test_whom_a_worker_has_in_hand_is_waited_for(self, new: Product) -> None:
        anna = lead(new)
        set_up(new)
        read(new)
        (row,) = new.people()
        with new.database.writing() as connection:
            connection.execute(audience_readings.update().values(begun_at=None, ended_at=None))
            inbox.lease_people(connection, {row.person_key}, "worker", new.time, timedelta(seconds=60))
        assert read(new) == 0
        new.advance(2)
        with new.database.writing() as connection:
            inbox.release_people(connection, {row.person_key}, "worker")
        assert read(new) == 1
        self.joined(new, anna)
        new.work_until_idle()
        assert len(new.intercom.contacts) == 1, "the reading let go of them"

    def test_someone_whom_another_makes_at_the_same_moment_is_looked_at_again(
        self, new: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lead(new)
        set_up(new)

        def make_twice(connection: Connection, records: Any, now: Any) -> None:
            people.save(connection, records, now)
            connection.execute(
                people_table.insert().from_select(COPIED, select(*(people_table.c[n] for n in COPIED)))
            )

        with monkeypatch.context() as patched:
            patched.setattr(people, "save_read", make_twice)
            assert read(new) == 0
        assert new.people() == []
        new.advance(2)
        assert read(new) == 1
        assert marked(new) == ["anna@example.com"]

    def test_many_while_the_list_is_read(self, new: Product) -> None:
        rita = referrer(new)
        found = [lead(new, f"lead{number}@example.com", referrer=rita) for number in range(60)]
        new.referral_factory.page_size = 10
        set_up(new)
        for person in found[::2]:
            self.joined(new, person)

        def go_through_the_list() -> None:
            while not audiences(new)["leads"].ended_at:
                read_campaigns(new.services)
                new.time += timedelta(seconds=1)

        def work() -> None:
            for _ in range(200):
                batch = process_event.claim(new.services, "worker", 3)
                if not batch.events:
                    return
                outcomes = [process_event.process(new.services, one, batch) for one in batch.events]
                process_event.settle(new.services, "worker", outcomes)

        with ThreadPoolExecutor(2) as both:
            for done in [both.submit(go_through_the_list), both.submit(work)]:
                done.result(60)
        assert len(new.people()) == 60
        assert marked(new) == sorted(str(person.email) for person in found[1::2])
        assert len(new.intercom.contacts) == 30


class TestPages:
    def many(self, product: Product, count: int = 7) -> None:
        product.referral_factory.page_size = 2
        rita = referrer(product)
        for number in range(count):
            lead(product, f"lead{number}@example.com", referrer=rita)

    def test_are_read_to_the_end(self, new: Product) -> None:
        self.many(new)
        set_up(new)
        assert read(new) == 4
        assert len(marked(new)) == 7
        assert [arguments for name, arguments in new.referral_factory.calls if name == "users"] == [
            (None,),
            ("2",),
            ("4",),
            ("6",),
        ]

    def test_a_turn_reads_a_few(self, new: Product) -> None:
        self.many(new, 2 * PAGES_A_TURN + 1)
        set_up(new)
        assert read_campaigns(new.services) == PAGES_A_TURN
        assert read_campaigns(new.services) == 1

    def test_a_crash_while_a_page_is_read_costs_its_repetition(self, new: Product) -> None:
        self.many(new)
        set_up(new)
        with new.database.writing() as connection:
            readings.take(connection, new.program_id, new.time, timedelta(seconds=90))
        assert read(new) == 0, "it is another's"
        new.advance(91)
        assert read(new) == 4
        assert len(marked(new)) == 7

    @pytest.mark.parametrize("function", ["save_read", "_write"])
    def test_a_crash_in_the_middle_of_keeping_a_page_keeps_nothing_of_it(
        self, new: Product, monkeypatch: pytest.MonkeyPatch, function: str
    ) -> None:
        self.many(new)
        set_up(new)
        real, calls = getattr(people, function), []

        def dies(*arguments: Any) -> Any:
            calls.append(arguments)
            result = real(*arguments)
            if len(calls) == 2:
                raise SystemError("killed")
            return result

        with monkeypatch.context() as patched:
            patched.setattr(people, function, dies)
            with pytest.raises(SystemError):
                read(new)
        assert len(new.people()) == 1
        assert reading(new).cursor == "2"
        new.advance(91)
        assert read(new) == 3
        assert len(marked(new)) == 7

    def test_a_late_page_of_a_worker_that_lost_its_lease_is_dropped(self, new: Product) -> None:
        self.many(new)
        set_up(new)
        real, late = new.referral_factory.users, []

        def slow(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
            page = real(cursor, counts=counts)
            if not late:
                late.append(True)
                new.advance(91)
                assert read(new) == 4
            return page

        new.referral_factory.users = slow  # type: ignore[method-assign]
        assert read_campaigns(new.services) == 0
        assert len(new.people()) == 7
        assert audiences(new)["leads"].cause is None

    def test_two_workers_at_once_read_each_page_once(self, new: Product) -> None:
        self.many(new, 9)
        set_up(new)
        with ThreadPoolExecutor(4) as workers:
            turns = list(workers.map(lambda _: read(new), range(4)))
        assert sum(turns) == 5
        assert new.referral_factory.called("users") == 5
        assert len(marked(new)) == len(new.people()) == 9

    @pytest.mark.parametrize("back_to", ["0", "2", "4"])
    def test_a_repeated_cursor_ends_it(self, new: Product, back_to: str) -> None:
        self.many(new)
        real = new.referral_factory.users

        def circle(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
            page = real(cursor, counts=counts)
            return PeoplePage(page.people, back_to if page.cursor == "6" else page.cursor)

        new.referral_factory.users = circle  # type: ignore[method-assign]
        set_up(new)
        assert 3 <= read(new) <= 6
        assert audiences(new)["leads"].cause == "cursor_repeated"
        assert reading(new) is None
        assert len(marked(new)) == 5, "what was read is kept"

    def test_one_that_failed_is_read_again_once_the_settings_are_saved(self, new: Product) -> None:
        self.many(new)
        real = new.referral_factory.users
        new.referral_factory.users = lambda cursor=None, **_: PeoplePage(real(cursor).people, "2")  # type: ignore[method-assign]
        set_up(new)
        read(new)
        asked_at = audiences(new)["leads"].asked_at
        new.referral_factory.users = real  # type: ignore[method-assign]
        new.advance(60)
        set_up(new, duplicates="update")
        read(new)
        assert len(marked(new)) == 7
        assert (audiences(new)["leads"].cause, audiences(new)["leads"].asked_at) == (None, asked_at)

    def test_someone_seen_twice_is_kept_once(self, new: Product) -> None:
        self.many(new, 2)
        real = new.referral_factory.users

        def doubled(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
            page = real(cursor, counts=counts)
            return PeoplePage(page.people * 2, page.cursor)

        new.referral_factory.users = doubled  # type: ignore[method-assign]
        set_up(new)
        read(new)
        assert len(new.people()) == 2


class TestTheVendor:
    @pytest.mark.parametrize(
        ("error", "seconds"),
        [
            (DOWN, 30),
            (Unavailable(VENDOR, "broken", status=500), 30),
            (RateLimited(VENDOR, "slow down", after=7), 7),
            (Rejected(VENDOR, "no such page", status=422), 300),
        ],
    )
    def test_is_asked_again_later(self, new: Product, error: ApiError, seconds: int) -> None:
        lead(new)
        set_up(new)
        new.referral_factory.fail("users", error)
        assert read(new) == 0
        assert reading(new).cause
        new.advance(seconds - 1)
        assert read(new) == 0
        assert new.referral_factory.called("users") == 1
        new.advance(1)
        assert read(new) == 1
        assert marked(new) == ["anna@example.com"]

    def test_goes_on_at_the_page_that_failed(self, new: Product) -> None:
        TestPages().many(new)
        set_up(new)
        assert new.referral_factory.users().cursor == "2"
        new.referral_factory.calls.clear()
        real, failing = new.referral_factory.users, [DOWN]

        def once(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
            if cursor == "4" and failing:
                raise failing.pop()
            return real(cursor, counts=counts)

        new.referral_factory.users = once  # type: ignore[method-assign]
        assert read(new) == 2
        new.advance(30)
        assert read(new) == 2
        assert len(marked(new)) == 7

    def test_a_page_that_is_refused_has_the_list_read_anew(self, new: Product) -> None:
        TestPages().many(new)
        set_up(new)
        new.referral_factory.users()
        real, failing = new.referral_factory.users, [Rejected(VENDOR, "stale", status=404)]

        def once(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
            if cursor == "4" and failing:
                raise failing.pop()
            return real(cursor, counts=counts)

        new.referral_factory.users = once  # type: ignore[method-assign]
        assert read(new) == 2
        new.advance(300)
        assert read(new) == 4
        assert (len(marked(new)), len(new.people())) == (7, 7)
        assert audiences(new)["leads"].cause is None

    @pytest.mark.parametrize("mended", ["by the vendor", "by a new token"])
    def test_a_refused_token_waits_until_the_program_is_connected(self, new: Product, mended: str) -> None:
        lead(new)
        set_up(new)
        new.referral_factory.fail("users", REFUSED)
        new.referral_factory.fail("campaigns", REFUSED)
        assert read(new) == 0
        new.advance(86_400)
        assert read(new) == 0
        assert new.referral_factory.called("users") == 1
        if mended == "by the vendor":
            assert probe_connections(new.services) == 1
        else:
            change_program(new.services, new.program_id, {"access_token": "new"}, "anna@example.com")
        assert read(new) == 1

    @pytest.mark.parametrize(("then", "seconds"), [(None, 300), (DOWN, 30)])
    def test_one_that_refuses_only_this_is_asked_again(
        self, new: Product, then: ApiError | None, seconds: int
    ) -> None:
        set_up(new)
        new.referral_factory.fail("users", REFUSED)
        if then is not None:
            new.referral_factory.fail("campaigns", then)
        assert read(new) == 0
        new.advance(seconds - 1)
        assert read(new) == 0
        new.advance(1)
        assert read(new) == 1

    def test_a_program_that_was_disconnected_has_no_turn(self, new: Product) -> None:
        set_up(new)
        with new.database.writing() as connection:
            programs.change(connection, new.program_id, state="disconnected", token=None)
        assert read(new) == 0
        assert new.referral_factory.calls == []

    def test_is_asked_as_a_sweep(self, new: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[str | None, Pace]] = []

        def way(*, token: str, budget_key: str | None, pace: Pace = Pace.LIVE) -> Any:
            asked.append((budget_key, pace))
            return new.referral_factory

        monkeypatch.setattr(new.services.vendors, "referral_factory", way)
        set_up(new)
        read(new)
        assert asked == [(str(new.program_id), Pace.SWEEP)]


class TestCampaignsThatMove:
    def test_to_another_program_are_read_there(self, new: Product) -> None:
        with new.database.writing() as connection:
            second = programs.add(
                connection,
                name="Second",
                token=new.services.vault.seal("second"),
                token_digest=digest("second"),
                state="connected",
                created_at=new.time,
            )
        TestPages().many(new, 3 * PAGES_A_TURN)
        set_up(new)
        read_campaigns(new.services)
        with new.database.writing() as connection:
            campaigns.change(connection, new.campaign_id, program_id=second)
        new.advance(1)
        read(new)
        assert len(marked(new)) == 3 * PAGES_A_TURN
        assert audiences(new)["leads"].ended_at is not None


@contextmanager
def _counted(product: Product) -> Any:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(product.database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(product.database.engine, "before_cursor_execute", note)


def _of_strangers(product: Product, count: int) -> Callable[..., PeoplePage]:
    """A list of ``count`` leads on four pages."""
    size = count // 4

    def users(cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
        start = int(cursor or 0)
        found = tuple(
            Person(Audience.LEADS, {"id": number, "email": f"lead{number}@example.com", "campaign_id": "1"})
            for number in range(start, start + size)
        )
        return PeoplePage(found, str(start + size) if start + size < count else None)

    return users


def test_a_page_costs_the_same_few_statements_however_many_are_on_it(new: Product) -> None:
    costs = []
    for count in (8, 1000):
        new.referral_factory.users = _of_strangers(new, count)  # type: ignore[method-assign]
        with new.database.writing() as connection:
            for table in (audience_readings, audience_versions, people_table):
                connection.execute(table.delete())
        set_up(new)
        with _counted(new) as statements:
            assert read(new) == 4
        assert len(new.people()) == len(marked(new)) == count
        costs.append(len(statements))
    few, many = costs
    assert many <= few + 4 * 2, "long lists of values are sent in several parts"
    assert many / 4 < 25


def test_a_share_takes_from_both_and_yields_in_the_whole() -> None:
    said: list[tuple[str, Any]] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def take(self, *, bulk: bool = False) -> None:
            said.append((self.name, bulk))

        def learn(self, headers: Any) -> None:
            said.append((self.name, headers))

        def hold(self, seconds: float) -> None:
            said.append((self.name, seconds))

    share = Share(Noted("tenth"), Noted("whole"))
    share.take(bulk=True)
    share.learn({"a": "b"})
    share.hold(3)
    assert said == [("tenth", False), ("whole", True), ("whole", {"a": "b"}), ("whole", 3)]
