"""A referrer's link and counts in Intercom: as Referral Factory has them, written once and only where they differ."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.core.audiences import AttributeType
from app.core.errors import Shut, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Contact, Person
from app.storage import circuits, inbox, links, workspaces
from app.storage.circuits import Broken, permission_circuit
from app.storage.inbox import Event
from app.storage.people import ReferrerName
from app.storage.tables import events
from app.storage.tables import people as people_table
from app.usecases import write_back
from app.usecases.receive_event import receive_from_intercom
from app.usecases.setups import Setup, load_setups
from app.usecases.ways_out import WaysOut
from app.usecases.write_back import WrittenBack
from app.usecases.write_contact import Notes
from tests.fakes import custom
from tests.product import ATTRIBUTES, Product

LINK, REFERRALS, QUALIFIED = "Referral Link", "Referrals", "Qualified"
WORDS = "custom_attributes."


def row(source: Any, name: str) -> dict[str, Any]:
    return {"from": {"field": source} if isinstance(source, str) else source, "to": WORDS + name}


BASE = [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}]
COUNTS = [row("url", LINK), row("referrals", REFERRALS), row("qualified_referrals", QUALIFIED)]
REFERRERS: dict[str, Any] = {"action": "create_user", "mapping": [*BASE, *COUNTS], "duplicates": "skip"}


class Program:
    """A product whose referrer Rita has been sent, with her link and counts mapped."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.intercom, self.referral_factory = product.intercom, product.referral_factory
        self.know(
            *ATTRIBUTES,
            custom(REFERRALS, AttributeType.NUMBER),
            custom(QUALIFIED, AttributeType.NUMBER),
            custom("Notes", multiline=True),
        )
        self.map(*COUNTS)
        self.rita = self.referral_factory.sign_up("rita@example.com")
        product.receive(**self.told(self.rita))
        product.work()
        (self.contact_id,) = self.intercom.contacts
        self.forget_calls()

    def told(self, person: Person) -> dict[str, Any]:
        """Their webhook's payload."""
        names = ("id", "code", "email", "first_name", "url")
        return {**{name: person.values[name] for name in names}, "type": "person_referring"}

    def know(self, *attributes: Any) -> None:
        self.intercom.catalogue |= {one.path: one for one in attributes}
        with self.product.database.writing() as connection:
            workspaces.replace_attributes(connection, self.product.workspace_id, self.intercom.attributes())

    def map(self, *rows: dict[str, Any], **changes: Any) -> None:
        self.product.set_up(Audience.REFERRERS, {**REFERRERS, "mapping": [*BASE, *rows], **changes})

    def forget_calls(self) -> None:
        self.intercom.calls.clear()
        self.referral_factory.calls.clear()

    def refer(self, *names: str, qualified: bool = False) -> None:
        """Rita's friends join, and may convert at once."""
        for name in names:
            friend = self.referral_factory.sign_up(f"{name}@example.com", referrer=self.rita)
            if qualified:
                self.referral_factory.qualify(user_id=friend.referral_factory_id)
        self.referral_factory.calls.clear()

    @property
    def contact(self) -> Contact:
        return self.intercom.contacts[self.contact_id]

    @property
    def shown(self) -> dict[str, Any]:
        """What stands in Rita's contact."""
        return dict(self.contact.custom_attributes)

    @property
    def person(self) -> Any:
        (found,) = [one for one in self.product.people() if one.audience == "referrers"]
        return found

    def named(self, **names: str) -> ReferrerName:
        return ReferrerName(self.product.campaign_id, **names)

    def ask(self, *named: ReferrerName) -> int:
        whom = named or (self.named(referral_factory_id=self.rita.referral_factory_id or ""),)
        with self.product.database.writing() as connection:
            return write_back.ask(connection, whom, self.product.time)

    def waiting(self) -> list[Any]:
        with self.product.database.reading() as connection:
            ours = events.c.origin == inbox.WRITE_BACK
            return list(connection.execute(select(events).where(ours).order_by(events.c.id)))

    def claim(self) -> list[Event]:
        with self.product.database.writing() as connection:
            return inbox.claim(connection, "one", self.product.time, 50, timedelta(seconds=60))

    @property
    def setup(self) -> Setup:
        with self.product.database.reading() as connection:
            return load_setups(connection, [self.product.campaign_id], self.product.time)[self.product.campaign_id]

    def write(self, notes: Notes | None = None) -> WrittenBack:
        setup, services = self.setup, self.product.services
        return write_back.write_back(
            services, WaysOut(services, setup), setup, self.person, notes if notes is not None else Notes()
        )

    def writes(self) -> list[dict[str, Any]]:
        """What was written, in the words of the catalogue."""
        return [
            {path.removeprefix(WORDS): value for path, value in arguments[1].values.items()}
            for name, arguments in self.intercom.calls
            if name == "update"
        ]


@pytest.fixture
def program(product: Product) -> Program:
    return Program(product)


def left_out(written: WrittenBack) -> dict[str, str]:
    return {one.to.removeprefix(WORDS): one.cause.value for one in written.sent.fields if one.cause}


class TestAsking:
    def test_is_an_event_of_ours_that_is_due_in_a_second(self, program: Program) -> None:
        assert program.ask() == 1
        (event,) = program.waiting()
        assert (event.source, event.topic, event.status) == ("referral_factory", "write_back", "received")
        assert (event.campaign_id, event.workspace_id) == (program.product.campaign_id, program.product.workspace_id)
        assert event.person_key == program.person.person_key
        assert event.next_attempt_at - program.product.time == timedelta(seconds=1)
        assert program.claim() == []
        program.product.advance(1)
        (claimed,) = program.claim()
        assert claimed.origin == inbox.WRITE_BACK
        assert claimed.payload == f'{{"person_id": {program.person.id}}}'.encode()

    def test_many_changes_in_a_short_time_are_one_work_not_put_off_by_the_later_ones(self, program: Program) -> None:
        assert program.ask() == 1
        for _ in range(5):
            program.product.advance(0.15)
            assert program.ask() == 0
        (event,) = program.waiting()
        assert event.next_attempt_at - event.received_at == timedelta(seconds=1)

    def test_a_change_that_comes_while_one_is_at_work_asks_anew_and_waits_its_turn(self, program: Program) -> None:
        program.ask()
        program.product.advance(1)
        program.claim()
        assert program.ask() == 1
        program.product.advance(1)
        assert program.claim() == [], "one at a time for one person"
        assert [event.status for event in program.waiting()] == ["processing", "received"]

    @pytest.mark.parametrize("name", ["referral_factory_id", "code", "email"])
    def test_finds_the_referrer_by_any_of_their_names(self, program: Program, name: str) -> None:
        assert program.ask(program.named(**{name: getattr(program.person, name)})) == 1

    def test_a_referrer_with_several_names_is_asked_for_once(self, program: Program) -> None:
        by_id = program.named(referral_factory_id=program.rita.referral_factory_id or "")
        both = program.named(referral_factory_id=program.rita.referral_factory_id or "", email="rita@example.com")
        assert program.ask(by_id, both, program.named(email="rita@example.com")) == 1

    def test_nobody_is_asked_for_whom_we_have_not_sent(self, program: Program) -> None:
        assert program.ask(program.named(email="somebody@example.com")) == 0
        with program.product.database.writing() as connection:
            connection.execute(update(people_table).values(sent_received_at=None))
        assert program.ask() == 0, "a duplicate that was skipped is left untouched"

    def test_nobody_at_all_costs_nothing(self, program: Program) -> None:
        with program.product.database.writing() as connection:
            assert write_back.ask(connection, [], program.product.time) == 0

    def test_two_at_the_same_moment_ask_once(self, program: Program) -> None:
        for number in range(4):
            other = program.referral_factory.sign_up(f"other{number}@example.com")
            program.product.receive(**program.told(other))
        program.product.work_until_idle()
        everybody = [
            program.named(email=one.email) for one in program.product.people() if one.audience == "referrers"
        ]
        together = threading.Barrier(4)

        def ask_for(whom: list[ReferrerName]) -> int:
            together.wait(10)
            return program.ask(*whom)

        with ThreadPoolExecutor(4) as pool:
            asked = list(pool.map(ask_for, [everybody, everybody[::-1], everybody, everybody[::-1]]))
        assert sum(asked) == len(everybody) == len(program.waiting()) == 5

    @pytest.mark.parametrize(
        ("changes", "asks"),
        [
            ({"mapping": [*BASE, row("url", LINK)]}, True),
            ({"mapping": [*BASE, row({"join": ["first_name", "qualified_referrals"]}, LINK)]}, True),
            ({"mapping": [*BASE, row("code", LINK), row({"value": "referrals"}, "Company name")]}, False),
            ({"mapping": BASE}, False),
            ({"mapping": [BASE[0], *COUNTS]}, False),
            ({"action": "nothing"}, False),
        ],
    )
    def test_is_in_vain_unless_a_row_of_a_complete_audience_is_made_of_link_or_counts(
        self, program: Program, changes: dict[str, Any], asks: bool
    ) -> None:
        program.product.set_up(Audience.REFERRERS, {**REFERRERS, **changes})
        assert write_back.asks_for(program.setup) is asks
        program.refer("frida")
        if not asks:
            assert (program.write().sent.outcome, program.intercom.calls) == ("ignored", [])
            assert program.referral_factory.calls == []


class TestWriting:
    def test_writes_what_differs_and_nothing_else_in_three_calls(self, program: Program) -> None:
        program.refer("frida", "fritz")
        program.refer("franz", qualified=True)
        written = program.write()
        assert (written.sent.outcome, written.sent.cause) == ("updated", None)
        assert written.sent.contact == program.contact
        assert [one.to for one in written.sent.fields] == [WORDS + one for one in (LINK, REFERRALS, QUALIFIED)]
        assert (program.shown[REFERRALS], program.shown[QUALIFIED]) == (3, 1)
        assert program.writes() == [{REFERRALS: 3, QUALIFIED: 1}]
        assert [name for name, _ in program.intercom.calls] == ["contact", "update"]
        assert [name for name, _ in program.referral_factory.calls] == ["user"]

    def test_twice_without_a_change_is_one_write(self, program: Program) -> None:
        program.refer("frida")
        assert program.write().sent.outcome == "updated"
        again = program.write()
        assert (again.sent.outcome, again.sent.cause) == ("ignored", None)
        assert program.writes() == [{REFERRALS: 1}]

    def test_says_what_is_known_of_the_referrer_now(self, program: Program) -> None:
        program.refer("frida")
        values = program.write().values
        assert (values["referrals"], values["qualified_referrals"]) == (1, 0)
        assert (values["email"], values["url"]) == ("rita@example.com", program.rita.values["url"])

    def test_leaves_it_at_who_the_referrer_was(self, program: Program) -> None:
        """Another address in Referral Factory would make them another person here, with a contact of theirs."""
        program.referral_factory.update_user(program.rita.referral_factory_id or "", email="rita@example.org")
        assert program.write().values["email"] == "rita@example.com"

    def test_a_zero_is_a_value(self, program: Program) -> None:
        program.intercom.change(program.contact_id, custom_attributes={})
        program.write()
        assert program.shown == {LINK: program.rita.values["url"], REFERRALS: 0, QUALIFIED: 0}

    def test_only_rows_of_link_and_counts_are_written(self, program: Program) -> None:
        """A teammate has corrected the name; who a referrer is has not changed."""
        program.intercom.change(program.contact_id, name="Rita Real")
        program.refer("frida")
        program.write()
        assert program.contact.name == "Rita Real"

    def test_a_count_that_referral_factory_does_not_say_is_not_guessed_from_an_older_one(
        self, program: Program
    ) -> None:
        program.intercom.change(program.contact_id, custom_attributes={})
        with program.product.database.writing() as connection:
            kept = {"email": "rita@example.com", "referrals": 7}
            connection.execute(update(people_table).values({"values": kept}))
        program.referral_factory._shown = lambda person, counts: person  # type: ignore[method-assign]
        written = program.write()
        assert left_out(written) == {REFERRALS: "not_in_payload", QUALIFIED: "not_in_payload"}
        assert program.shown == {LINK: program.rita.values["url"]}

    def test_a_join_takes_its_other_parts_from_what_is_known(self, program: Program) -> None:
        program.map(row({"join": ["campaign.name", "first_name", "meta.Rank", "referrals"]}, LINK))
        with program.product.database.writing() as connection:
            connection.execute(update(people_table).values({"values": {"meta.Rank": "Gold", "referrals": 9}}))
        program.refer("frida")
        program.write()
        assert program.shown[LINK] == "Summer referral Rita Gold 1"

    def test_values_are_of_the_attributes_type(self, program: Program) -> None:
        program.map(row("referrals", LINK), row("url", REFERRALS))
        program.refer("frida")
        written = program.write()
        assert program.shown[LINK] == "1"
        assert left_out(written) == {REFERRALS: "attribute_not_single_line_text"}

    @pytest.mark.parametrize(
        ("source", "name", "cause"),
        [
            ("url", "Notes", "attribute_not_single_line_text"),
            ({"join": ["first_name", "url"]}, "Notes", "attribute_not_single_line_text"),
            ("url", "Gone", "attribute_unknown"),
        ],
    )
    def test_a_link_that_its_attribute_can_not_hold_is_named_and_the_rest_is_written(
        self, program: Program, source: Any, name: str, cause: str
    ) -> None:
        program.map(row(source, name), row("referrals", REFERRALS))
        program.refer("frida")
        written = program.write()
        assert (written.sent.outcome, left_out(written)) == ("updated", {name: cause})
        assert name not in program.shown
        assert program.shown[REFERRALS] == 1

    def test_where_every_field_is_left_out_intercom_is_not_asked(self, program: Program) -> None:
        program.map(row("url", "Notes"))
        written = program.write()
        assert (written.sent.outcome, left_out(written)) == ("ignored", {"Notes": "attribute_not_single_line_text"})
        assert program.intercom.calls == []

    def test_counts_may_go_into_text_of_several_lines(self, program: Program) -> None:
        program.map(row("referrals", "Notes"))
        program.write()
        assert program.shown["Notes"] == "0"


class TestWhatIntercomDoesNotTake:
    @pytest.mark.parametrize("named", [True, False])
    def test_is_named_and_the_rest_is_written(self, program: Program, named: bool) -> None:
        program.refer("frida", qualified=True)
        program.intercom.refuse(WORDS + REFERRALS, named=named)
        notes = Notes()
        written = program.write(notes)
        assert (written.sent.outcome, left_out(written)) == ("updated", {REFERRALS: "value_refused_by_intercom"})
        assert program.shown[QUALIFIED] == 1
        assert [one["path"] for one in notes.refused] == [WORDS + REFERRALS]

    def test_lately_is_left_out_from_the_start(self, program: Program) -> None:
        program.refer("frida", qualified=True)
        program.intercom.refuse(WORDS + REFERRALS)
        notes = Notes()
        program.write(notes)
        with program.product.database.writing() as connection:
            links.remember_refused(connection, notes.refused, program.product.time)
        program.forget_calls()
        written = program.write()
        assert (written.sent.outcome, left_out(written)) == ("ignored", {REFERRALS: "value_refused_by_intercom"})
        assert program.writes() == []

    def test_at_all_is_no_update(self, program: Program) -> None:
        program.refer("frida")
        program.intercom.refuse(WORDS + REFERRALS)
        sent = program.write().sent
        assert (sent.outcome, sent.cause and sent.cause.value) == ("skipped", "value_refused_by_intercom")

    def test_is_seen_in_its_reply_where_it_answers_200_and_keeps_nothing(self, program: Program) -> None:
        program.refer("frida", qualified=True)
        program.intercom.ignore(WORDS + REFERRALS)
        written = program.write()
        assert (written.sent.outcome, left_out(written)) == ("updated", {REFERRALS: "value_refused_by_intercom"})

    def test_because_the_attribute_is_gone_is_said_so(self, program: Program) -> None:
        program.refer("frida", qualified=True)
        del program.intercom.catalogue[WORDS + REFERRALS]
        assert left_out(program.write()) == {REFERRALS: "attribute_unknown"}


class TestAReferrerWhoIsNotThere:
    def test_in_referral_factory_is_skipped_after_one_call(self, program: Program) -> None:
        program.referral_factory.remove(program.rita.referral_factory_id or "")
        written = program.write()
        assert (written.sent.outcome, written.sent.cause) == ("skipped", "unknown_in_referral_factory")
        assert (len(program.referral_factory.calls), program.intercom.calls) == (1, [])
        assert written.values == program.person._mapping["values"]

    @pytest.mark.parametrize("how", ["archive", "delete"])
    def test_in_intercom_is_skipped_and_stays_archived(self, program: Program, how: str) -> None:
        program.refer("frida")
        getattr(program.intercom, how)(program.contact_id)
        sent = program.write().sent
        assert (sent.outcome, sent.cause) == ("skipped", "contact_archived")
        assert [name for name, _ in program.intercom.calls] == ["contact"]

    def test_in_intercom_any_more_since_we_looked_is_skipped_too(self, program: Program) -> None:
        program.refer("frida")
        update_ = program.intercom.update

        def archived_before(contact_id: str, draft: Any) -> Any:
            program.intercom.archive(contact_id)
            return update_(contact_id, draft)

        program.intercom.update = archived_before  # type: ignore[method-assign]
        sent = program.write().sent
        assert (sent.outcome, sent.cause) == ("skipped", "contact_archived")
        assert program.intercom.called("unarchive") == 0

    @pytest.mark.parametrize("when", ["before", "meanwhile"])
    def test_under_their_own_id_is_followed_to_the_contact_they_were_merged_into(
        self, program: Program, when: str
    ) -> None:
        program.refer("frida")
        survivor = program.intercom.put("rita@example.org")
        if when == "before":
            program.intercom.merge(program.contact_id, survivor.id)
        else:
            update_ = program.intercom.update

            def merged_before(contact_id: str, draft: Any) -> Any:
                if contact_id in program.intercom.contacts and contact_id != survivor.id:
                    program.intercom.merge(contact_id, survivor.id)
                return update_(contact_id, draft)

            program.intercom.update = merged_before  # type: ignore[method-assign]
        sent = program.write().sent
        assert (sent.outcome, sent.contact and sent.contact.id) == ("updated", survivor.id)
        assert program.intercom.contacts[survivor.id].value(WORDS + REFERRALS) == 1
        assert program.intercom.contacts[survivor.id].email == "rita@example.org"


class TestAVendorInTheWay:
    def test_is_the_callers_to_deal_with(self, program: Program) -> None:
        program.refer("frida")
        program.referral_factory.fail("user", Unavailable(Vendor.REFERRAL_FACTORY, "away"))
        with pytest.raises(Unavailable):
            program.write()
        program.intercom.fail("contact", Unauthorized(Vendor.INTERCOM, "no", status=403))
        with pytest.raises(Unauthorized):
            program.write()
        program.intercom.fail("update", Unavailable(Vendor.INTERCOM, "lost"), after_effect=True)
        with pytest.raises(Unavailable):
            program.write()
        assert program.write().sent.outcome == "ignored", "the write whose answer was lost is not repeated"
        assert program.shown[REFERRALS] == 1

    def test_is_not_asked_where_contacts_can_not_be_written_now(self, program: Program) -> None:
        program.refer("frida")
        name = permission_circuit("intercom", program.product.workspace_id, "contacts_write")
        with program.product.database.writing() as connection:
            broken = Broken(name, "intercom_permission_missing", timedelta(minutes=5))
            circuits.open_(connection, broken, program.product.time)
        with pytest.raises(Shut):
            program.write()
        assert program.writes() == []


def test_people_in_two_campaigns_are_found_by_the_campaigns_own_names(program: Program) -> None:
    elsewhere = program.product.campaign_id + 1
    assert program.ask(ReferrerName(elsewhere, email="rita@example.com")) == 0


# From a webhook to the contact


def joins(program: Program, name: str) -> int:
    """A friend of Rita's; their webhook is in the inbox."""
    program.refer(name)
    friend = list(program.referral_factory.people.values())[-1]
    told = {one: friend.values[one] for one in ("id", "code", "email", "first_name")}
    return program.product.receive_lead(**told, referrer_id=program.rita.values["id"])


def is_qualified(program: Program, number: int) -> int:
    """Referral Factory qualifies Rita's friend of that number, and tells of it."""
    friend = [one for one in program.referral_factory.people.values() if one.audience is Audience.LEADS][number]
    program.referral_factory.qualify(user_id=friend.referral_factory_id)
    told = {one: friend.values[one] for one in ("id", "code", "email")}
    return program.product.receive("qualified", **told, referrer_id=program.rita.values["id"])


def hear_of_our_own_write(program: Program) -> int:
    """Intercom notifies of what we wrote, as of any other change."""
    contact = program.contact
    item = {"type": "contact", "id": contact.id, "email": contact.email, "updated_at": contact.updated_at}
    payload: dict[str, Any] = {"app_id": "app1", "topic": "contact.user.updated", "id": f"n{contact.updated_at}"}
    payload["data"] = {"item": {**item, "custom_attributes": program.shown}}
    body = json.dumps(payload).encode()
    signature = "sha1=" + hmac.new(b"client-secret", body, hashlib.sha1).hexdigest()
    return receive_from_intercom(program.product.services, body=body, payload=payload, signature=signature).event_id


def work_for(program: Program, seconds: int) -> None:
    """That time goes by, a second at a time."""
    program.product.work_until_idle()
    for _ in range(seconds):
        program.product.advance(1)
        program.product.work_until_idle()


def rows_of(program: Program) -> list[Any]:
    return [one for one in program.product.activity() if one.verb == "write_back"]


def test_a_lead_who_joins_is_counted_in_the_referrers_contact_a_second_later(program: Program) -> None:
    joins(program, "frida")
    program.product.work_until_idle()
    assert program.shown[REFERRALS] == 0
    work_for(program, 1)
    assert program.shown[REFERRALS] == 1
    (told,) = rows_of(program)
    assert (told.outcome, told.cause, told.email, told.audience) == ("updated", None, "rita@example.com", "referrers")
    assert (told.contact_id, told.fields[0]["to"]) == (
        program.contact_id,
        "custom_attributes." + LINK,
    )
    assert [event.status for event in program.waiting()] == ["done"]
    assert program.person._mapping["values"]["referrals"] == 1


def test_a_lead_who_is_qualified_is_too(program: Program) -> None:
    joins(program, "frida")
    work_for(program, 1)
    is_qualified(program, 0)
    work_for(program, 1)
    assert program.shown == {LINK: program.rita.values["url"], REFERRALS: 1, QUALIFIED: 1}


def test_many_leads_in_a_short_time_are_one_write(program: Program) -> None:
    for number in range(20):
        joins(program, f"friend{number}")
    work_for(program, 3)
    assert program.shown[REFERRALS] == 20
    assert program.writes() == [{REFERRALS: 20}]


def test_what_changes_while_one_is_at_work_is_written_by_the_next(program: Program) -> None:
    joins(program, "frida")
    work_for(program, 1)
    joins(program, "fritz")
    work_for(program, 1)
    assert program.writes() == [{REFERRALS: 1}, {REFERRALS: 2}]


def test_our_own_write_which_intercom_tells_us_of_asks_for_nothing(program: Program) -> None:
    joins(program, "frida")
    work_for(program, 1)
    program.forget_calls()
    event_id = hear_of_our_own_write(program)
    work_for(program, 5)
    assert (program.product.event(event_id).status, len(program.waiting())) == ("done", 1)
    assert (program.intercom.calls, program.referral_factory.calls) == ([], [])


def test_nobody_is_asked_for_where_no_row_is_made_of_link_or_counts(program: Program) -> None:
    program.map(row("code", "Company name"))
    joins(program, "frida")
    work_for(program, 2)
    assert program.waiting() == []


def test_it_is_tried_again_and_what_changed_meanwhile_is_in_it(program: Program) -> None:
    joins(program, "frida")
    program.product.work_until_idle()
    program.referral_factory.fail("user", Unavailable(Vendor.REFERRAL_FACTORY, "no answer"))
    work_for(program, 1)
    (event,) = program.waiting()
    assert (event.status, event.cause) == ("retrying", "referral_factory_unavailable")
    joins(program, "fritz")
    program.product.advance(10)
    work_for(program, 1)
    assert program.shown[REFERRALS] == 2
    assert [event.status for event in program.waiting()] == ["done", "done"]
    assert program.writes() == [{REFERRALS: 2}]


@pytest.mark.parametrize("written", [False, True])
def test_a_crash_costs_no_count_and_writes_none_twice(program: Program, written: bool) -> None:
    """The worker dies before its write, or after it and before it could say so."""
    joins(program, "frida")
    program.product.work_until_idle()
    program.product.advance(1)
    program.claim()
    if written:
        program.write()
    program.product.advance(61)
    with program.product.database.writing() as connection:
        inbox.give_back_expired(connection, program.product.time, 5)
    work_for(program, 1)
    assert program.writes() == [{REFERRALS: 1}]
    assert [event.status for event in program.waiting()] == ["done"]


def test_a_contact_that_is_gone_is_told_once_for_each_change(program: Program) -> None:
    program.intercom.archive(program.contact_id)
    joins(program, "frida")
    work_for(program, 3)
    (told,) = rows_of(program)
    assert (told.outcome, told.cause) == ("skipped", "contact_archived")
    assert timedelta(0) <= program.waiting()[0].settled_at - program.waiting()[0].received_at <= timedelta(seconds=1)
