"""Every question of the vendor's guide is answered rightly, with the right cause first; a healthy twin is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import TITLES, Question, Verdict
from app.core.diagnosis.checks import ACTIONS
from app.core.errors import RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Audience
from app.usecases.gather_facts import asked_for, facts_kept
from tests.product import Product
from tests.usecases.diagnosing import FRIEND, Q, amiss, ask, causes, first, is_healthy, problems
from tests.usecases.syncing import Syncing
from tests.usecases.troubles import (
    LINK,
    REFERRERS,
    TROUBLES,
    hear,
    of_a_segment,
    only_a_referrer,
    silently_converted,
    synced,
)

GUIDE = {
    "Can't connect, settings greyed out, permission error": Q.CANNOT_CONNECT,
    "No leads (referrers) arrive in Intercom": Q.NONE_ARRIVE,
    "Some do not arrive": Q.SOME_DO_NOT_ARRIVE,
    "Arrives, but an attribute is not updated": Q.ATTRIBUTE_NOT_UPDATED,
    "Does not update": Q.DOES_NOT_UPDATE,
    "An attribute can't be chosen": Q.ATTRIBUTE_NOT_SELECTABLE,
    "The link's attribute can't be chosen": Q.LINK_ATTRIBUTE_NOT_SELECTABLE,
    "Converted but not qualified": Q.NOT_QUALIFIED,
    "A segment can't be found": Q.SEGMENT_NOT_FOUND,
    "Sync added few or none": Q.SYNC_ADDED_FEW,
    "Added, but no link in Intercom": Q.NO_LINK_IN_INTERCOM,
    "New contacts are not enrolled": Q.NEW_CONTACTS_NOT_ENROLLED,
}
"""The vendor's guide, question by question, in its order."""


def test_every_question_of_the_guide_is_one_of_ours_in_its_order() -> None:
    assert list(GUIDE.values()) == list(Question) == list(TITLES)
    assert {one.question for one in TROUBLES.values()} == set(Question)


ELSEWHERE = {
    Cause.CLOCK_DIFFERS: "of the installation: tests/core/test_diagnosis_system.py",
    Cause.DISK_NEARLY_FULL: "of the installation: tests/core/test_diagnosis_system.py",
    Cause.NO_WORKER_RUNS: "of the installation: tests/core/test_diagnosis_system.py",
    Cause.REDIS_UNREACHABLE: "of the installation: tests/core/test_diagnosis_system.py",
    Cause.ALREADY_EXISTS: "answers a request to make something, and nothing is kept of it",
    Cause.NOT_FOUND: "answers a request for what is not there",
    Cause.INVALID_REQUEST: "answers a request, and nothing is kept of it",
    Cause.UNAUTHENTICATED: "answers a request, and nothing is kept of it",
}
"""What no trouble of a person, a campaign, an attribute, a segment or a sync ends in, and why."""


def test_every_cause_comes_out_of_some_check() -> None:
    assert {one.cause for one in TROUBLES.values()} | ELSEWHERE.keys() == set(Cause)
    assert not {one.cause for one in TROUBLES.values()} & ELSEWHERE.keys()


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_is_found_with_its_cause_first(product: Product, name: str) -> None:
    trouble = TROUBLES[name]
    trouble.happens(product)
    found = first(ask(product, trouble.question, trouble.email, **trouble.more))
    assert (found.verdict, found.question, found.cause) == (Verdict.PROBLEM, trouble.question, trouble.cause)
    assert CATALOGUE[trouble.cause].explanation in found.explanation
    assert found.remedy == CATALOGUE[trouble.cause].remedy


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_is_found_without_naming_the_question(product: Product, name: str) -> None:
    trouble = TROUBLES[name]
    trouble.happens(product)
    found = ask(product, None, trouble.email, **trouble.more)
    assert ((trouble.question.value, trouble.cause.value) in problems(found)) is not trouble.outright
    buttons = [one.action for one in found if one.action is not None]
    assert all(one.target and one.target.keys() <= ACTIONS[one.name] for one in buttons)


# The healthy twins


def at_rest(product: Product) -> None:
    product.watched()
    hear(product, "joined")


def of_a_referrer(product: Product) -> None:
    hear(product, "joined")
    only_a_referrer(product)
    product.referral_factory.people.clear()


def synced_well(product: Product) -> None:
    hear(product, "joined")
    synced(schedule="ongoing")(product)


def synced_of_a_segment(product: Product) -> None:
    hear(product, "joined")
    contact = Syncing(product).contact(FRIEND)
    of_a_segment(product, schedule="ongoing")
    product.intercom.members["s1"].add(contact.id)
    Syncing(product).run()
    product.work_until_idle()


HEALTHY: dict[str, Callable[[Product], None]] = {
    "a lead": at_rest,
    "a referrer": of_a_referrer,
    "synced": synced_well,
    "of a segment": synced_of_a_segment,
}


@pytest.mark.parametrize("email", [FRIEND, None])
@pytest.mark.parametrize("name", HEALTHY)
def test_of_whom_nothing_is_amiss_it_says_so(product: Product, name: str, email: str | None) -> None:
    HEALTHY[name](product)
    assert amiss(ask(product, email=email)) == []


TWINS: dict[Question, tuple[Callable[[Product], object], dict[str, str]]] = {
    Q.CANNOT_CONNECT: (at_rest, {}),
    Q.NONE_ARRIVE: (at_rest, {}),
    Q.SOME_DO_NOT_ARRIVE: (at_rest, {}),
    Q.ATTRIBUTE_NOT_UPDATED: (at_rest, {"attribute": "Seats"}),
    Q.DOES_NOT_UPDATE: (at_rest, {}),
    Q.ATTRIBUTE_NOT_SELECTABLE: (at_rest, {"attribute": LINK}),
    Q.LINK_ATTRIBUTE_NOT_SELECTABLE: (at_rest, {"attribute": LINK}),
    Q.NOT_QUALIFIED: (lambda p: (silently_converted(p), p.tell(next(iter(p.intercom.contacts.values())))), {}),
    Q.SEGMENT_NOT_FOUND: (synced_of_a_segment, {"segment": "big SPENDERS"}),
    Q.SYNC_ADDED_FEW: (synced_well, {}),
    Q.NO_LINK_IN_INTERCOM: (synced_well, {}),
    Q.NEW_CONTACTS_NOT_ENROLLED: (synced_well, {}),
}


@pytest.mark.parametrize("question", Question)
def test_asked_outright_of_whom_nothing_is_amiss_it_says_so(product: Product, question: Question) -> None:
    happens, more = TWINS[question]
    happens(product)
    assert is_healthy(ask(product, question, **more))


# In which order


def test_what_stops_everybody_comes_before_what_stops_one_and_that_before_what_costs_a_field(
    product: Product,
) -> None:
    TROUBLES["no number"].happens(product)
    product.intercom.archive(next(iter(product.intercom.contacts)))
    product.receive_lead(Company="Later")
    TROUBLES["permission missing"].happens(product)
    assert list(dict.fromkeys(causes(ask(product)))) == [
        "intercom_permission_missing",
        "contact_archived",
        "waiting_in_queue",
        "value_wrong_type",
    ]


def test_a_question_is_told_what_lies_above_it(product: Product) -> None:
    """Without a connection nothing else matters, whatever was asked."""
    product.watched()
    TROUBLES["token lost"].happens(product)
    assert first(ask(product, Q.NOT_QUALIFIED)).cause is Cause.INTERCOM_UNAUTHORIZED


# Vendors


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Unavailable(Vendor.INTERCOM, "no answer"), Cause.INTERCOM_UNAVAILABLE),
        (Unavailable(Vendor.INTERCOM, "refused", down=True), Cause.INTERCOM_UNAVAILABLE),
        (RateLimited(Vendor.INTERCOM, "slow", after=5), Cause.RATE_LIMITED),
        (Unauthorized(Vendor.INTERCOM, "no", status=401), Cause.INTERCOM_UNAUTHORIZED),
    ],
)
def test_a_vendor_that_does_not_answer_makes_checks_unknown(
    product: Product, error: Unavailable, cause: Cause
) -> None:
    at_rest(product)
    product.intercom.fail("contact", error)
    (unknown,) = [one for one in ask(product) if one.verdict is not Verdict.OK]
    assert (unknown.id, unknown.verdict, unknown.cause) == ("contact", Verdict.UNKNOWN, cause)
    assert unknown.evidence["answer"] == str(error)


def test_a_vendor_that_is_known_to_be_away_is_not_asked(product: Product) -> None:
    at_rest(product)
    TROUBLES["Intercom away"].happens(product)
    product.intercom.calls.clear()
    ask(product)
    assert product.intercom.calls == []


@pytest.mark.parametrize("name", HEALTHY)
def test_few_things_are_asked_of_vendors_and_nothing_is_written(product: Product, name: str) -> None:
    HEALTHY[name](product)
    product.intercom.calls.clear()
    product.referral_factory.calls.clear()
    with product.statements() as statements:
        ask(product)
        ask(product, email=None)
    calls = [*product.intercom.calls, *product.referral_factory.calls]
    assert len(calls) <= 5
    assert {call for call, _ in calls} <= {
        "contact",
        "search_email",
        "user",
        "find_by_email",
        "me",
        "campaigns",
        "search",
    }
    assert not [one for one in statements if one.split()[0] in ("INSERT", "UPDATE", "DELETE")]


def test_the_number_of_queries_does_not_grow_with_what_there_is(product: Product) -> None:
    def queries() -> int:
        with product.statements() as statements, product.database.reading():
            facts_kept(product.services, product.campaign_id, asked_for(email=FRIEND), None)
            facts_kept(product.services, product.campaign_id, asked_for(), None)
        return len(statements)

    synced_well(product)
    few = queries()
    for number in range(5):
        product.receive_lead(id=100 + number, email=f"other{number}@example.com", Seats="many")
    product.work_until_idle()
    product.set_up(Audience.REFERRERS, REFERRERS)
    other = product.add_campaign(product.workspace_id, product.program_id, "2")
    product.set_up(Audience.REFERRERS, REFERRERS, other)
    assert queries() <= few + 2


def test_evidence_is_plain_and_names_no_secret(product: Product) -> None:
    for name in ("is there", "token lost", "value refused", "retrying"):
        TROUBLES[name].happens(product)
    for check in (*ask(product), *ask(product, email=None)):
        for value in check.evidence.values():
            assert isinstance(value, str | int | float | bool | list | tuple | dict | None)
        assert "client-secret" not in repr(check)
        assert "webhook-secret" not in repr(check)


def test_what_mends_it_is_named_with_its_target(product: Product) -> None:
    TROUBLES["is there"].happens(product)
    action = first(ask(product, Q.SOME_DO_NOT_ARRIVE)).action
    assert action is not None
    assert (action.name, dict(action.target)) == ("change_duplicates", {"campaign_id": "1", "audience": "leads"})


def test_another_region_that_takes_the_token_is_named(product: Product) -> None:
    TROUBLES["another region"].happens(product)
    found = {one.id: one for one in ask(product, Q.CANNOT_CONNECT, None)}
    assert found["intercom_region"].evidence["answering_region"] == "eu"


def test_a_target_that_is_spelt_otherwise_is_named(product: Product) -> None:
    TROUBLES["not a target"].happens(product)
    found = first(ask(product, Q.NOT_QUALIFIED))
    assert (found.evidence["similar_target"], found.evidence["value_now"]) == ("pro", "pro plan")
