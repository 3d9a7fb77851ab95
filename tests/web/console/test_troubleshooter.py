"""The troubleshooter's page: every question, with a trouble and without; evidence, buttons and bounds."""

from __future__ import annotations

import re
import time
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import event as sql_event

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import TITLES, Action, Check, Question, Verdict
from app.core.diagnosis.checks import ACTIONS
from app.core.errors import Rejected, Unavailable, Vendor
from app.core.people import Audience, Role
from app.storage import audit_log, campaigns, event_list, reconciles
from app.storage.tables import reconcile_turns, syncs
from app.web.console.mending import _BUTTONS, _DEEDS, mend_of
from app.web.console.troubleshooter import LOOKED_AT, NEEDS
from schemas.intercom import Segment
from tests.fakes import custom
from tests.product import Product, lead
from tests.usecases.diagnosing import FRIEND
from tests.usecases.test_diagnose import TWINS
from tests.usecases.troubles import TROUBLES, hear, join_before_setup, paused, synced
from tests.web.api.conftest import World
from tests.web.console.marketer import Marketer, plain

Q = Question
PAGE = "/troubleshooter"
NASTY = "<script>alert(1)</script> \"quoted\" & 'so' \u202eשלום 🎉"


@pytest.fixture
def mara(product: Product) -> Marketer:
    return signed_in(product)


def signed_in(product: Product, **rights: Any) -> Marketer:
    """Somebody at the console, with the product's vendors in memory behind it."""
    world = World(product.database)
    world.app.extensions["referloop"] = product.services
    return Marketer(world, **rights)


def ask(mara: Marketer, question: Question | None = None, email: str | None = FRIEND, **more: Any) -> str:
    asked = {"campaign_id": 1, "question": question.value if question else None, "email": email, **more}
    return mara.get(address(**asked))


def address(**asked: Any) -> str:
    return f"{PAGE}?{urlencode({name: value for name, value in asked.items() if value is not None})}"


def causes(page: str) -> list[str]:
    return re.findall(r'data-check="[^"]*" data-cause="(\w+)"', page)


def links(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'href="(/troubleshooter[^"]*)"', page)]


def asked(link: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link).query))


def headline(page: str) -> str:
    found = re.search(r'<h2[^>]* id="headline">(.*?)</h2>', page, re.S)
    return plain(found[1]) if found else ""


def press(mara: Marketer, do: str, status: int = 303) -> str:
    """The button that does this, among those of the page."""
    return mara.send(status, form=buttons(mara.text).index(do))


def buttons(page: str) -> list[str]:
    """What each of the forms in the content does."""
    return re.findall(r'name="do" value="(\w+)"', page[page.index("<main") :])


class TestQuestions:
    def test_they_are_the_guides_in_its_order_to_choose_from(self, mara: Marketer) -> None:
        page = mara.get(PAGE)
        places = [unescape(page).index(f">{title}</a>") for title in TITLES.values()]
        assert places == sorted(places)
        assert NEEDS.keys() == LOOKED_AT.keys() == {None, *Question}

    @pytest.mark.parametrize("question", Question)
    def test_each_asks_for_what_it_needs_alone_and_keeps_what_is_known(self, mara: Marketer, question: Q) -> None:
        page = mara.get(address(question=question.value, attribute="Seats", segment="Big", email="lea@example.com"))
        for name in ("email", "attribute", "segment"):
            assert (f'<input class="form-control" dir="auto" id="{name}"' in page) is (name in NEEDS[question])
            assert len(re.findall(rf'<input [^>]*name="{name}"', page)) == 1
        assert 'value="lea@example.com"' in page
        known = {"question": Q.CANNOT_CONNECT, "email": "lea@example.com", "attribute": "Seats", "segment": "Big"}
        assert known in [asked(link) for link in links(page)]

    def test_every_button_of_a_check_leads_somewhere_or_does_something(self) -> None:
        targets = dict.fromkeys(("campaign_id", "workspace_id", "program_id", "sync_id", "person_id"), "7")
        for name in ACTIONS:
            action = Action(name, {**targets, "audience": "leads"})
            made = mend_of(Check("x", "none_arrive", Verdict.PROBLEM, None, "", "", action=action), 7)
            assert made is not None
            assert made.url is None or made.url.startswith("/")
            assert (made.url is None) is (name in _DEEDS)
        assert _DEEDS.keys() == _BUTTONS.keys()


class TestAnswers:
    @pytest.mark.parametrize("name", [name for name, one in TROUBLES.items() if one.more.get("asker") is None])
    def test_a_trouble_is_told_with_its_cause_first(self, product: Product, mara: Marketer, name: str) -> None:
        trouble = TROUBLES[name]
        trouble.happens(product)
        page = ask(mara, trouble.question, trouble.email, **trouble.more)
        assert causes(page)[0] == trouble.cause
        text = CATALOGUE[trouble.cause]
        assert text.title in headline(page)
        assert text.explanation in mara.words
        assert text.remedy in mara.words
        assert "Nothing stands in the way" not in mara.words

    @pytest.mark.parametrize("question", Question)
    def test_of_its_healthy_twin_it_says_so_and_what_was_looked_at(
        self, product: Product, mara: Marketer, question: Question
    ) -> None:
        happens, more = TWINS[question]
        happens(product)
        page = ask(mara, question, **more)
        assert headline(page) == "Nothing stands in the way."
        assert causes(page) == []
        assert "What was looked at" in mara.words
        assert len(re.findall("data-check=", page)) >= 1

    def test_who_may_not_manage_is_told_so_and_by_whom_it_is_allowed(self, product: Product) -> None:
        tom = signed_in(product, email="tom@example.com", may_manage=False)
        page = ask(tom, Q.CANNOT_CONNECT, None)
        assert causes(page) == [Cause.TEAMMATE_NOT_PERMITTED]
        assert "tom@example.com" in tom.words

    def test_what_is_in_order_is_folded_away_where_something_is_not(self, product: Product, mara: Marketer) -> None:
        TROUBLES["is there"].happens(product)
        page = ask(mara, Q.SOME_DO_NOT_ARRIVE)
        assert re.search(r"<details[^>]*><summary[^>]*>\d+ checks? (is|are) in order", page)

    def test_evidence_has_times_and_links(self, product: Product, mara: Marketer) -> None:
        TROUBLES["is there"].happens(product)
        page = ask(mara, Q.SOME_DO_NOT_ARRIVE)
        (contact,) = product.intercom.contacts.values()
        assert f"/users/{contact.id}/all-conversations" in page
        assert f'href="/events/{product.activity()[-1].event_id}"' in page
        person = next(one for one in product.people() if one.audience == "leads")
        assert f'href="/people/{person.id}"' in page
        assert f'<time datetime="{product.time:%Y-%m-%dT%H:%M:%SZ}" data-local>' in page
        assert "/campaigns/1/leads#duplicates" in page
        assert not re.search(r">[^<]*\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", page)

    def test_values_seen_have_their_times_in_the_readers_zone(self, product: Product, mara: Marketer) -> None:
        TROUBLES["another value first"].happens(product)
        page = ask(mara, Q.NOT_QUALIFIED)
        seen = page[page.index("Values seen") :]
        assert "basic: " in plain(seen)
        assert "data-local" in seen[: seen.index("</dd>")]

    def test_a_vendor_that_can_not_be_asked_is_told_in_words(self, product: Product, mara: Marketer) -> None:
        product.watched()
        hear(product, "joined")
        product.intercom.fail("contact", Unavailable(Vendor.INTERCOM, "Intercom did not answer in time."))
        page = ask(mara)
        assert "not everything could be" in headline(page)
        assert "Intercom could not be asked for the contact just now" in mara.words
        assert "Intercom did not answer in time." in mara.words
        assert causes(page) == [Cause.INTERCOM_UNAVAILABLE]

    def test_a_note_is_no_obstacle(self, product: Product, mara: Marketer) -> None:
        hear(product, "joined")
        product.watched(Seats=None)
        assert headline(ask(mara)).startswith("Nothing stands in the way. Worth knowing: ")


class TestFindingThePerson:
    def test_an_email_alone_finds_the_campaign(self, product: Product, mara: Marketer) -> None:
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        with product.database.writing() as connection:
            campaigns.change(connection, other, name="Winter referral")
        TROUBLES["is there"].happens(product)
        page = mara.get(address(email=FRIEND.upper()))
        assert causes(page)[0] == Cause.DUPLICATE_SKIPPED
        assert f"{FRIEND} in Summer referral" in mara.words
        assert {"email": FRIEND.upper(), "question": Q.NOT_QUALIFIED} in [asked(link) for link in links(page)]

    def test_of_whom_nothing_was_kept_but_an_event_is_found(self, product: Product, mara: Marketer) -> None:
        product.add_campaign(product.workspace_id, product.program_id, "2")
        product.receive_lead()
        page = mara.get(address(email=FRIEND))
        assert Cause.WAITING_IN_QUEUE in causes(page)

    def test_who_came_up_in_several_campaigns_has_them_named(self, product: Product, mara: Marketer) -> None:
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        with product.database.writing() as connection:
            campaigns.change(connection, other, name="Winter referral")
        product.set_up(Audience.LEADS, {**TWO_ROWS}, other)
        product.receive_lead()
        product.receive("joined", other, **lead(id=77, campaign_id=2))
        product.work_until_idle()
        page = mara.get(address(email=FRIEND))
        assert "They came up in other campaigns, too" in mara.words
        assert 'id="answer"' in page

    def test_of_whom_nobody_knows_the_campaign_is_asked(self, product: Product, mara: Marketer) -> None:
        product.add_campaign(product.workspace_id, product.program_id, "2")
        page = mara.get(address(email="nobody@example.com"))
        assert headline(page) == "Nobody is known here under this email"
        assert {"campaign_id": "1", "email": "nobody@example.com"} in [asked(link) for link in links(page)]
        assert product.intercom.calls == []

    def test_in_the_only_campaign_the_vendors_are_asked(self, mara: Marketer) -> None:
        page = mara.get(address(email="nobody@example.com"))
        assert causes(page) == [Cause.UNKNOWN_IN_REFERRAL_FACTORY]

    @pytest.mark.parametrize("typed", ["friend+1@example.com", "friend 1@example.com", " Friend+1@Example.com "])
    def test_a_plus_that_an_address_turned_into_a_space_is_understood(
        self, product: Product, mara: Marketer, typed: str
    ) -> None:
        product.receive_lead(email="friend+1@example.com")
        product.work_until_idle()
        mara.get(address(email=typed))
        assert "friend+1@example.com in" in mara.words

    @pytest.mark.parametrize(
        "typed", ["nobody", NASTY, "x" * 20_000, "\0@\ud800.com", "a@b@c", "'; DROP TABLE people; --@x.org", "@", " "]
    )
    def test_whatever_is_typed_breaks_nothing(self, mara: Marketer, typed: str) -> None:
        clean = typed.encode("utf-8", "replace").decode()
        for question in (None, Q.SOME_DO_NOT_ARRIVE, Q.ATTRIBUTE_NOT_SELECTABLE, Q.SEGMENT_NOT_FOUND):
            page = ask(mara, question, clean, attribute=clean, segment=clean)
            assert "<script>alert" not in page

    def test_without_any_campaign_it_leads_to_the_check(self, database: Any) -> None:
        mara = Marketer(World(database))
        page = mara.get(PAGE)
        assert "There is no campaign yet" in mara.words
        assert 'href="/check"' in page
        assert 'href="/check"' in mara.get(address(campaign_id=7, email=FRIEND, question=Q.NOT_QUALIFIED.value))

    @pytest.mark.parametrize("campaign_id", ["99", "x", "-1", "9" * 40, ""])
    def test_an_unknown_campaign_is_asked_for_anew(self, product: Product, mara: Marketer, campaign_id: str) -> None:
        product.add_campaign(product.workspace_id, product.program_id, "2")
        mara.get(address(campaign_id=campaign_id, question=Q.NONE_ARRIVE.value))
        assert "campaign" in headline(mara.text)

    def test_an_archived_campaign_can_be_asked_about(self, product: Product, mara: Marketer) -> None:
        TROUBLES["campaign archived"].happens(product)
        page = ask(mara, Q.NONE_ARRIVE, None)
        assert causes(page)[0] == Cause.CAMPAIGN_ARCHIVED
        assert '<option value="1" selected>' in page

    def test_an_unknown_question_is_none(self, mara: Marketer) -> None:
        page = mara.get(address(campaign_id=1, question="why_me"))
        assert 'id="answer"' in page

    def test_the_link_is_whole_and_without_what_is_empty(self, product: Product, mara: Marketer) -> None:
        page = ask(mara, Q.NOT_QUALIFIED, FRIEND, attribute="", segment="")
        link = re.search(r'id="answer-link" value="([^"]+)"', page)
        assert link
        assert link[1].startswith(f"{product.services.public_url}{PAGE}?")
        assert "attribute" not in link[1]
        assert "segment" not in link[1]


TWO_ROWS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [{"from": {"field": "first_name"}, "to": "name"}, {"from": {"field": "email"}, "to": "email"}],
    "duplicates": "skip",
    "qualification": None,
}


class TestNames:
    def test_markup_in_names_is_harmless(self, product: Product, mara: Marketer) -> None:
        with product.database.writing() as connection:
            campaigns.change(connection, 1, name=NASTY)
        product.intercom.catalogue |= {one.path: one for one in (custom(NASTY),)}
        refusal = Rejected(Vendor.REFERRAL_FACTORY, NASTY, status=422, code="422")
        product.referral_factory.fail("qualify", refusal, times=5)
        contact = product.watched(Company=NASTY, Seats=NASTY)
        product.tell(product.turns(contact, plan="pro"))
        for question in (None, *Question):
            page = ask(mara, question, FRIEND, attribute=NASTY, segment=NASTY)
            assert "<script>alert" not in page
        assert NASTY in re.sub(r"\s+", " ", mara.words)

    def test_what_others_have_written_is_never_a_link(self, product: Product, mara: Marketer) -> None:
        product.watched(url="javascript:alert(1)", Company="https://evil.example.com")
        for question in (None, *Question):
            page = ask(mara, question)
            assert not re.search(r'href="(javascript|https://evil)', page)


class TestButtons:
    """Each does what it says, through the same use cases as other pages, and the same is asked again."""

    def test_a_dead_event_is_replayed_and_the_answer_is_better(self, product: Product, mara: Marketer) -> None:
        TROUBLES["has no name"].happens(product)
        product.referral_factory.people.clear()
        ask(mara, Q.SOME_DO_NOT_ARRIVE)
        here = mara.path
        press(mara, "replay_events")
        assert urlsplit(mara.path).path == PAGE
        assert asked(mara.path) == asked(here)
        assert "The event is worked on again" in mara.words
        assert causes(mara.text)[0] == Cause.WAITING_IN_QUEUE

    def test_all_that_a_check_has_counted_are_replayed_and_no_others(self, product: Product, mara: Marketer) -> None:
        TROUBLES["not understood"].happens(product)
        with product.database.reading() as connection:
            dead = event_list.page(connection, status="dead", source=None, topic=None, before=None, limit=9)
        ask(mara, Q.SOME_DO_NOT_ARRIVE, None)
        press(mara, "replay_events")
        assert f"{len(dead)} event" in mara.words
        assert Cause.WEBHOOK_NOT_UNDERSTOOD not in causes(mara.text)

    def test_attributes_and_segments_are_refreshed(self, product: Product, mara: Marketer) -> None:
        page = ask(mara, Q.SEGMENT_NOT_FOUND, None, segment="Big spenders")
        assert causes(page) == [Cause.SEGMENT_UNKNOWN]
        product.intercom.segment_list.append(Segment("s1", "Big spenders", Role.USER))
        page = press(mara, "refresh_catalogue")
        assert "Read anew from Intercom" in mara.words
        assert headline(page) == "Nothing stands in the way."

    def test_a_refusal_of_the_vendor_is_told(self, product: Product, mara: Marketer) -> None:
        ask(mara, Q.SEGMENT_NOT_FOUND, None, segment="Big spenders")
        product.intercom.fail("attributes", Unavailable(Vendor.INTERCOM, "Intercom timed out."))
        press(mara, "refresh_catalogue")
        assert f"{CATALOGUE[Cause.INTERCOM_UNAVAILABLE].title}. Intercom timed out." in mara.words

    def test_a_conversion_that_was_missed_is_looked_for(self, product: Product, mara: Marketer) -> None:
        TROUBLES["conversion not told of"].happens(product)
        product.advance(60)
        ask(mara, Q.NOT_QUALIFIED)
        press(mara, "start_reconcile")
        assert "The search begins within seconds" in mara.words
        with product.database.reading() as connection:
            due = connection.execute(reconcile_turns.select().where(reconcile_turns.c.kind == reconciles.INTERCOM))
            assert due.one().all_due_at == product.time
            logged = audit_log.page(connection, person="mara@example.com", kind=None, before=None, limit=5)
        assert [row.kind for row in logged] == ["reconcile_asked"]

    def test_a_lead_is_qualified_by_hand_after_being_asked_twice(self, product: Product, mara: Marketer) -> None:
        TROUBLES["a customer before"].happens(product)
        page = ask(mara, Q.NOT_QUALIFIED)
        assert '<details class="danger">' in page
        press(mara, "qualify_person")
        assert product.standing() == [("qualified", None)]
        assert headline(mara.text) == "Nothing stands in the way."
        with product.database.reading() as connection:
            logged = audit_log.page(connection, person="mara@example.com", kind=None, before=None, limit=5)
        assert [row.kind for row in logged] == ["person_qualified"]

    def test_a_sync_is_resumed_and_told_to_look(self, product: Product, mara: Marketer) -> None:
        paused(product)
        ask(mara, Q.NEW_CONTACTS_NOT_ENROLLED, None)
        press(mara, "resume_sync")
        assert "goes on where it stopped" in mara.words
        with product.database.reading() as connection:
            assert connection.execute(syncs.select()).one().state == "queued"

    def test_a_watching_sync_looks_at_once(self, product: Product, mara: Marketer) -> None:
        synced(schedule="ongoing", contact={"name": " "})(product)
        product.advance(60)
        ask(mara, Q.SYNC_ADDED_FEW, None)
        press(mara, "run_sync")
        with product.database.reading() as connection:
            assert connection.execute(syncs.select()).one().due_at == product.time

    def test_a_second_click_is_told_in_words(self, product: Product, mara: Marketer) -> None:
        paused(product)
        ask(mara, Q.NEW_CONTACTS_NOT_ENROLLED, None)
        here = mara.path
        press(mara, "resume_sync")
        mara.post(here, 303, do="resume_sync", sync_id="1")
        assert "can't be resumed" in mara.words

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"do": "erase"},
            {"do": "replay_events"},
            {"do": "replay_events", "event_id": "x"},
            {"do": "replay_events", "event_id": "99"},
            {"do": "replay_events", "campaign_id": "99", "cause": "internal_error"},
            {"do": "qualify_person", "person_id": "99"},
            {"do": "refresh_catalogue", "workspace_id": "99"},
            {"do": "start_reconcile", "workspace_id": "99"},
            {"do": "run_sync", "sync_id": "9" * 30},
        ],
    )
    def test_a_button_that_is_none_does_nothing_and_says_so(self, mara: Marketer, sent: dict[str, str]) -> None:
        mara.post(address(campaign_id=1), 303, **sent)
        assert 'class="alert alert-' in mara.text
        assert "event is worked on" not in mara.words

    @pytest.mark.parametrize("name", ["has no name", "conversion not told of", "a customer before", "ongoing paused"])
    def test_without_the_right_they_are_disabled_and_refused(self, product: Product, name: str) -> None:
        trouble = TROUBLES[name]
        trouble.happens(product)
        tom = signed_in(product, email="tom@example.com", may_manage=False)
        page = ask(tom, trouble.question, trouble.email)
        content = page[page.index('id="answer"') :]
        assert re.findall(r"<button (?![^>]*disabled)[^>]*btn-(?:(?:outline-)?primary|danger)[^>]*>", content) == []
        before = len(product.referral_factory.calls), product.bell.rings, product.bulk_bell.rings
        tom.post(address(campaign_id=1), 403, **press_fields(content))
        assert (len(product.referral_factory.calls), product.bell.rings, product.bulk_bell.rings) == before

    def test_where_it_leads_is_ours_whatever_the_address_says(self, mara: Marketer) -> None:
        mara.post(f"{PAGE}?campaign_id=1&next=https://evil.example.com&question=//evil", 303, do="x")
        assert mara.path == f"{PAGE}?campaign_id=1"

    def test_a_backfill_and_the_settings_are_pages(self, product: Product, mara: Marketer) -> None:
        join_before_setup(product)
        assert 'href="/campaigns/1/backfill"' in ask(mara, Q.SOME_DO_NOT_ARRIVE)


def press_fields(content: str) -> dict[str, str]:
    form = content[content.index('name="do"') - 20 :]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))


class TestBounds:
    def test_it_takes_a_bounded_number_of_queries_and_calls(self, product: Product, mara: Marketer) -> None:
        def cost() -> tuple[int, int]:
            statements: list[str] = []
            engine = product.database.engine

            def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
                statements.append(statement)

            product.intercom.calls.clear()
            product.referral_factory.calls.clear()
            sql_event.listen(engine, "before_cursor_execute", note)
            try:
                mara.get(address(email=FRIEND))
            finally:
                sql_event.remove(engine, "before_cursor_execute", note)
            assert not [one for one in statements if one.split()[0] in ("INSERT", "DELETE")]
            return len(statements), len(product.intercom.calls) + len(product.referral_factory.calls)

        product.watched()
        few = cost()
        for number in range(20):
            product.receive_lead(id=100 + number, email=f"other{number}@example.com", Seats="many")
        product.work_until_idle()
        for number in range(3):
            product.add_campaign(product.workspace_id, product.program_id, str(number + 2))
        more = cost()
        assert more[0] <= few[0] + 2
        assert more[1] <= few[1] <= 4

    @pytest.mark.parametrize("question", [None, *Question])
    def test_it_is_there_without_much_ado(self, product: Product, mara: Marketer, question: Question | None) -> None:
        synced(schedule="ongoing")(product)
        for number in range(20):
            product.receive_lead(id=100 + number, email=f"other{number}@example.com", Seats="many")
        product.work_until_idle()
        began = time.process_time()
        ask(mara, question)
        ask(mara, question, None)
        assert time.process_time() - began < 2.0
