"""From facts to checks: order, wording, evidence, and what is not worth a problem."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.attributes import AttributeType
from app.core.audiences import Duplicates
from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import ANSWERS, Asked, Asker, Question, Telling, Verdict, diagnose
from app.core.diagnosis.checks import LONGEST, Check, in_order, moment, ok, problem, shown, unix_moment, unknown
from app.core.diagnosis.facts import (
    Away,
    Connection,
    Deed,
    Event,
    Facts,
    Gone,
    Known,
    Outcome,
    Read,
    Room,
    Segment,
    Sync,
    Webhooks,
)
from app.core.people import Audience, Contact, Person, Role
from app.core.qualification import FirstSight, Span
from app.core.syncs import CarriedRow, Contacts, SyncSettings
from tests.core.workspace import CATALOGUE as ATTRIBUTES
from tests.core.workspace import PLAIN, audience, custom, row, rule

Q = Question
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LEADS, REFERRERS = Audience.LEADS, Audience.REFERRERS
ANN = "ann@example.com"
MAPPING = (CarriedRow("name", "first_name"), CarriedRow("email", "email"))

CREATED = Deed(1, NOW, LEADS, "send", "created", email=ANN, contact_id="c1", contact_role="lead", event_id=7)
LEAD = Known(
    1,
    LEADS,
    Person(LEADS, {"id": 9, "email": ANN, "first_name": "Ann", "meta.Company": "Acme"}),
    contact_id="c1",
    contact_role="lead",
    made_by_us=True,
    sent_at=NOW,
    first=FirstSight("free", 1, contact_is_new=True),
    spans=(Span("free", 1, 1),),
    deeds=(CREATED,),
)
CONTACT = Contact("c1", Role.LEAD, ANN, "Ann", custom_attributes={"Plan": "Free", "Company": "Acme"}, updated_at=2)

WELL = Facts(
    now=NOW,
    asked=Asked(email=ANN),
    campaign_id=1,
    campaign_name="Summer",
    rules=PLAIN,
    audiences={LEADS: audience(row("meta.Company", "Company"), rule=rule("Plan", "Free", ["Pro"]))},
    workspace=Connection(1, "Acme", connected=True, region="us", refreshed_at=NOW),
    program=Connection(1, "Acme referrals", connected=True),
    catalogue=ATTRIBUTES,
    webhooks=Webhooks({"joined": NOW}),
    people=[LEAD],
    deeds=[CREATED],
    contact=Read(NOW, CONTACT),
    referral=Read(NOW, (LEAD.person,)),
)


def told(facts: Facts, question: Question | None = None, **asked) -> list[tuple[str, str]]:
    """Id and cause of each problem, in the order told."""
    found = diagnose(replace(facts, asked=replace(facts.asked, question=question, **asked)))
    return [(one.id, str(one.cause)) for one in found if one.verdict is Verdict.PROBLEM]


def test_of_a_healthy_person_all_is_well():
    checks = diagnose(WELL)
    assert {one.verdict for one in checks} == {Verdict.OK}
    assert all(one.cause is None and one.explanation and one.remedy for one in checks)
    assert len({(one.question, one.id) for one in checks}) == len(checks)


def test_every_question_has_who_answers_it():
    assert list(ANSWERS) == list(Question)


# The order


def test_checks_are_ordered_by_verdict_then_by_how_much_they_tell_then_by_the_guide():
    def at(id_: str, question: Question, telling: Telling) -> Check:
        return problem(id_, question, Cause.RATE_LIMITED, telling)

    given = [
        ok("fine", Q.CANNOT_CONNECT, "Fine."),
        unknown("open", Q.CANNOT_CONNECT, "Who knows.", "Look."),
        at("note", Q.CANNOT_CONNECT, Telling.NOTE),
        at("late", Q.SYNC_ADDED_FEW, Telling.PERSON),
        at("early", Q.SOME_DO_NOT_ARRIVE, Telling.PERSON),
        at("all", Q.NOT_QUALIFIED, Telling.CAMPAIGN),
    ]
    ordered = [one.id for one in in_order(given, tuple(Question))]
    assert ordered == ["all", "early", "late", "note", "open", "fine"]


def test_a_question_is_answered_alone_but_for_what_explains_it():
    lost = replace(WELL.workspace, connected=False, cause=Cause.INTERCOM_UNAUTHORIZED)
    missing = replace(lost, missing=("segments_read",))
    assert {one.question for one in diagnose(replace(WELL, asked=Asked(Q.DOES_NOT_UPDATE, ANN)))} == {
        Q.DOES_NOT_UPDATE
    }
    assert told(replace(WELL, workspace=missing), Q.SEGMENT_NOT_FOUND) == [
        ("intercom_token", "intercom_unauthorized")
    ]


# Wording and evidence


def test_a_problem_says_what_is_so_here_before_the_catalogues_words():
    said = problem("x", Q.NOT_QUALIFIED, Cause.RATE_LIMITED, Telling.WAITS, said="Three wait.")
    assert said.explanation == f"Three wait. {CATALOGUE[Cause.RATE_LIMITED].explanation}"
    assert said.remedy == CATALOGUE[Cause.RATE_LIMITED].remedy


@pytest.mark.parametrize(
    ("value", "as_evidence"),
    [(None, None), (True, True), (5, 5), ("pro", "pro"), (["a"], "['a']"), ("x" * 900, "x" * (LONGEST - 1) + "…")],
)
def test_values_are_plain_and_short(value, as_evidence):
    assert shown(value) == as_evidence


def test_times_are_rfc_3339_in_utc():
    assert moment(NOW) == "2026-11-22T12:00:00Z"
    assert moment(None) is None
    assert unix_moment(0) == "1970-01-01T00:00:00Z"
    assert unix_moment(10**20) is None


# Connections


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (Away(Cause.INTERCOM_UNAVAILABLE), [("intercom_answers", "intercom_unavailable")]),
        (
            Away(Cause.INTERCOM_PERMISSION_MISSING, "contacts_read"),
            [("intercom_permission.contacts_read", "intercom_permission_missing")],
        ),
    ],
)
def test_what_a_circuit_holds_is_told(away, expected):
    assert told(replace(WELL, workspace=replace(WELL.workspace, away=(away,)))) == expected


@pytest.mark.parametrize(("may", "expected"), [(True, []), (False, [("teammate_rights", "teammate_not_permitted")])])
def test_a_teammates_rights_are_told(may, expected):
    assert told(replace(WELL, asker=Asker("lea@example.com", may, ("owner@example.com",)))) == expected


# People


def of(known: Known, **changes) -> Facts:
    return replace(WELL, people=[replace(known, **changes)], deeds=changes.get("deeds", known.deeds))


def test_an_audience_that_does_nothing_is_told_of_its_own_people_only():
    referrer = replace(LEAD, audience=REFERRERS)
    assert ("action.referrers", "action_is_nothing") in told(replace(WELL, people=[referrer]))
    assert told(replace(WELL, people=[replace(referrer, enrolled_by=4, deeds=())]), Q.NONE_ARRIVE) == []
    assert told(replace(WELL, people=[], asked=Asked()), Q.NONE_ARRIVE, email=None) == []


@pytest.mark.parametrize(
    ("gone", "state_cause", "cause"),
    [
        (Gone(), None, "contact_archived"),
        (Gone(), Cause.CONTACT_DELETED, "contact_deleted"),
        (Gone(merged=True, merged_into="c2"), None, "contact_merged"),
    ],
)
def test_a_contact_that_is_gone_is_told_as_it_went(gone, state_cause, cause):
    facts = replace(of(LEAD, state_cause=state_cause), contact=Read(NOW, gone))
    assert told(facts) == [("contact", cause), ("lead", cause)]


def test_an_event_is_told_with_its_next_attempt_or_what_it_waits_for():
    retrying = Event(3, "referral_factory", "joined", "webhook", "retrying", NOW, next_attempt_at=NOW, attempts=2)
    held = replace(retrying, id=4, status="received", held_by="workspace:1", cause=Cause.INTERCOM_UNAUTHORIZED)
    checks = {one.id: one for one in diagnose(replace(WELL, events=[held, retrying]))}
    assert checks["event.3"].cause is Cause.WAITING_IN_QUEUE
    assert checks["event.3"].evidence["next_attempt_at"] == "2026-11-22T12:00:00Z"
    assert checks["event.4"].cause is Cause.INTERCOM_UNAUTHORIZED
    assert checks["event.4"].evidence["waits_for"] == "workspace:1"
    assert checks["event.4"].evidence["next_attempt_at"] is None


def test_a_dead_event_can_be_replayed():
    dead = Event(5, "referral_factory", "joined", "webhook", "dead", NOW, cause=Cause.WEBHOOK_NOT_UNDERSTOOD)
    first = diagnose(replace(WELL, events=[dead]))[0]
    assert (first.id, first.action.name, dict(first.action.target)) == ("event.5", "replay_events", {"event_id": "5"})


def test_where_they_are_is_told_with_a_link_of_the_region():
    facts = replace(WELL, workspace=replace(WELL.workspace, region="eu", app_id="abc"))
    here = {one.id: one for one in diagnose(facts)}["where.leads"]
    assert here.evidence["url"] == "https://app.eu.intercom.com/a/apps/abc/users/c1/all-conversations"
    everybody = {one.id: one for one in diagnose(replace(facts, people=[], asked=Asked()))}["where.leads"]
    assert everybody.evidence["url"] == "https://app.eu.intercom.com/a/apps/abc/users/segments/all"


# Fields


def left_out(cause: Cause) -> tuple[Deed, ...]:
    return (replace(CREATED, fields=(("custom_attributes.Company", cause),)),)


def test_a_field_that_would_be_filled_by_now_asks_for_a_replay():
    facts = replace(of(LEAD, deeds=left_out(Cause.ATTRIBUTE_UNKNOWN)), contact=None)
    (check,) = [one for one in diagnose(facts) if one.verdict is Verdict.PROBLEM]
    assert (check.cause, check.action.name) == (Cause.ATTRIBUTE_UNKNOWN, "replay_events")
    assert check.evidence["given"] == "Acme"


def test_a_field_that_stands_there_meanwhile_is_no_problem():
    assert told(of(LEAD, deeds=left_out(Cause.ATTRIBUTE_UNKNOWN))) == []


def test_what_keeps_a_field_from_being_filled_today_counts_more_than_what_did_then():
    archived = {**ATTRIBUTES, "custom_attributes.Company": custom("Company", archived=True)}
    facts = replace(of(LEAD, deeds=left_out(Cause.VALUE_TOO_LONG)), catalogue=archived)
    assert told(facts, Q.ATTRIBUTE_NOT_UPDATED) == [("field.leads.custom_attributes.Company", "attribute_archived")]


@pytest.mark.parametrize("asked", ["custom_attributes.Company", "Company", "company"])
def test_an_attribute_is_named_by_its_path_its_name_or_its_label(asked):
    (check,) = diagnose(replace(WELL, asked=Asked(Q.ATTRIBUTE_NOT_UPDATED, ANN, asked)))
    assert (check.verdict, check.evidence["attribute"]) == (Verdict.OK, "custom_attributes.Company")


def test_an_attribute_that_no_row_goes_to_is_told_so():
    assert told(WELL, Q.ATTRIBUTE_NOT_UPDATED, attribute="Seats") == [
        ("field.custom_attributes.Seats", "not_in_payload")
    ]
    assert told(WELL, Q.ATTRIBUTE_NOT_UPDATED, attribute="Nowhere") == [("field.Nowhere", "attribute_unknown")]


def test_a_list_of_attributes_that_is_old_may_lack_one():
    old = replace(WELL, workspace=replace(WELL.workspace, refreshed_at=NOW - timedelta(hours=2)))
    (check,) = [one for one in diagnose(old) if one.verdict is not Verdict.OK]
    assert (check.id, check.verdict, check.action.name) == ("catalogue", Verdict.UNKNOWN, "refresh_catalogue")


def test_only_a_contact_that_others_made_is_kept_by_the_policy():
    blanks = replace(WELL.audiences[LEADS], duplicates=Duplicates.FILL_BLANKS)
    other = replace(CONTACT, custom_attributes={"Plan": "Free", "Company": "Bcme"})
    facts = replace(WELL, audiences={LEADS: blanks}, contact=Read(NOW, other))
    assert told(facts) == []
    foreign = replace(facts, people=[replace(LEAD, made_by_us=False)])
    assert told(foreign) == [("duplicates.leads", "existing_value_kept")]


# Qualifying


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Free", []),
        ("Pro", [("lead", "webhook_missed")]),
        ("Pro Plus", [("lead", "value_not_a_target")]),
        ("Gold", [("lead", "value_not_a_target")]),
    ],
)
def test_what_stands_in_the_trigger_now_decides_what_is_told(value, expected):
    seen = replace(CONTACT, custom_attributes={"Plan": value, "Company": "Acme"})
    assert told(replace(WELL, contact=Read(NOW, seen))) == expected


def test_what_is_seen_and_not_carried_out_waits():
    reached = replace(LEAD, spans=(Span("Free", 1, 1), Span("Pro", 2, 2)))
    assert told(of(reached)) == [("lead", "waiting_in_queue")]


@pytest.mark.parametrize(
    ("state", "cause", "expected"),
    [
        ("qualified", None, []),
        ("disqualified", None, [("lead", "already_qualified")]),
        ("closed", Cause.ALREADY_CONVERTED, [("lead", "already_converted")]),
    ],
)
def test_how_a_referral_ended_is_told(state, cause, expected):
    assert told(of(LEAD, state=state, state_cause=cause)) == expected


# Syncs


def sync(**changes) -> Sync:
    settings = changes.pop("settings", SyncSettings(Contacts.ALL, mapping=MAPPING))
    return replace(Sync(4, "completed", settings), **changes)


def of_campaign(*syncs: Sync, **changes) -> Facts:
    return replace(WELL, asked=Asked(), people=[], deeds=[], contact=None, referral=None, syncs=syncs, **changes)


BLANKS = (Outcome("skipped", Cause.BLANK_MAPPED_VALUE, "name", count=40),)


def test_an_attribute_that_is_asked_about_alone_goes_before_what_else_is_amiss():
    facts = of_campaign(sync(looked_at=50, skipped=40, added=10, left_out=BLANKS))
    problems = told(facts, email=None, attribute="Nowhere")
    assert problems[0] == ("attribute.Nowhere", "attribute_unknown")
    assert "blank_mapped_value" in [cause for _, cause in problems]


def test_of_who_was_erased_that_is_told_before_what_is_so_for_all_others():
    outside = Read(NOW, CONTACT)
    facts = replace(of_campaign(sync(state="completed")), asked=Asked(email=ANN), contact=outside, erased_at=NOW)
    assert told(facts)[0][1] == "erased_on_request"


def test_blank_values_are_told_with_their_attribute():
    (check,) = [
        one
        for one in diagnose(of_campaign(sync(looked_at=50, skipped=40, added=10, left_out=BLANKS)))
        if one.cause is Cause.BLANK_MAPPED_VALUE
    ]
    assert "name." in check.explanation
    assert (check.evidence["contacts"], check.evidence["detail"]) == (40, "name")


@pytest.mark.parametrize(("left", "expected"), [(0, [("room", "user_limit_reached")]), (5, []), (None, [])])
def test_the_room_is_told(left, expected):
    facts = of_campaign(sync(settings=SyncSettings(Contacts.ALL)), room=Room(100, None, left, NOW))
    assert [one for one in told(facts) if one[0] == "room"] == expected


@pytest.mark.parametrize(
    ("contacts", "is_member", "expected"),
    [
        (Contacts.USERS, None, "contact_not_matched"),
        (Contacts.SEGMENT, False, "contact_not_matched"),
        (Contacts.SEGMENT, True, "waiting_in_queue"),
        (Contacts.LEADS, None, "waiting_in_queue"),
    ],
)
def test_why_an_ongoing_sync_has_not_taken_a_contact(contacts, is_member, expected):
    settings = SyncSettings(contacts, "s1" if contacts is Contacts.SEGMENT else None, MAPPING, ongoing=True)
    member = Read(NOW, is_member) if is_member is not None else None
    one = sync(state="watching", settings=settings, next_look_at=NOW, is_member=member)
    facts = replace(WELL, people=[], deeds=[], syncs=[one], segments=[Segment("s1", "Big", "lead")])
    assert told(facts, Q.NEW_CONTACTS_NOT_ENROLLED) == [("matched.4", expected)]


def test_a_blank_that_is_mapped_keeps_a_new_contact_out():
    settings = SyncSettings(Contacts.ALL, None, MAPPING, ongoing=True)
    one = sync(state="watching", settings=settings, next_look_at=NOW)
    nameless = Read(NOW, replace(CONTACT, name=" "))
    facts = replace(WELL, people=[], deeds=[], syncs=[one], contact=nameless)
    assert told(facts, Q.NEW_CONTACTS_NOT_ENROLLED) == [("matched.4", "blank_mapped_value")]


def test_a_segment_is_found_by_name_and_near_names_are_offered():
    facts = of_campaign(segments=[Segment("s1", "Big spenders", "user", 7)])
    (found,) = diagnose(replace(facts, asked=Asked(Q.SEGMENT_NOT_FOUND, segment="big Spenders ")))
    assert (found.verdict, found.evidence["count"]) == (Verdict.OK, 7)
    (near,) = diagnose(replace(facts, asked=Asked(Q.SEGMENT_NOT_FOUND, segment="Spenders of May")))
    assert (near.cause, near.evidence["near"]) == (Cause.SEGMENT_UNKNOWN, ("Big spenders",))


def test_a_link_needs_single_line_text_whatever_else_is_amiss():
    number = {**ATTRIBUTES, "custom_attributes.Link": custom("Link", AttributeType.DATE)}
    facts = of_campaign(catalogue=number)
    assert told(facts, Q.LINK_ATTRIBUTE_NOT_SELECTABLE, attribute="Link") == [
        ("link_attribute.custom_attributes.Link", "attribute_not_single_line_text")
    ]
