import pytest

from app.core.audiences import Duplicates
from app.core.causes import Cause
from app.core.duplicates import (
    Create,
    CreationAttempt,
    Match,
    Outcome,
    Provenance,
    Several,
    Skip,
    Unarchive,
    Update,
    choose,
    decide,
    decide_archived,
    index_wait,
    not_restorable,
    provenance,
)
from app.core.people import Contact, Role

SKIP, UPDATE, FILL = Duplicates.SKIP, Duplicates.UPDATE, Duplicates.FILL_BLANKS
HERE, ELSEWHERE, FOREIGN = Provenance.MADE_HERE, Provenance.MADE_ELSEWHERE, Provenance.FOREIGN


def lead(id_: str, created_at: int | None = 100) -> Contact:
    return Contact(id_, Role.LEAD, created_at=created_at)


def user(id_: str, created_at: int | None = 100) -> Contact:
    return Contact(id_, Role.USER, created_at=created_at)


@pytest.mark.parametrize(
    ("candidates", "chosen", "others"),
    [
        ([lead("a")], "a", ()),
        ([user("a")], "a", ()),
        ([lead("old", 1), user("u", 9)], "u", ("old",)),
        ([lead("b", 1), lead("a", 2), user("u", 9)], "u", ("a", "b")),
        ([lead("young", 2), lead("old", 1)], "old", ("young",)),
        ([lead("unknown", None), lead("old", 1)], "old", ("unknown",)),
        ([lead("b", 1), lead("a", 1)], "a", ("b",)),
        ([lead("b", None), lead("a", None)], "a", ("b",)),
        ([user("u"), user("u")], "u", ()),
    ],
)
def test_exactly_one_user_is_the_one_else_the_oldest_lead(candidates, chosen, others):
    for order in (candidates, candidates[::-1]):
        match = choose(order)
        assert isinstance(match, Match)
        assert (match.contact.id, match.others) == (chosen, others)


def test_several_users_are_not_told_apart_whatever_leads_there_are():
    assert choose([user("b"), lead("x"), user("a")]) == Several(("a", "b"))


def test_nobody_matches():
    assert choose([]) is None


@pytest.mark.parametrize(
    ("created_at", "recorded", "attempt", "expected"),
    [
        (100, None, None, FOREIGN),
        (100, HERE, None, HERE),
        (100, ELSEWHERE, None, ELSEWHERE),
        (100, FOREIGN, None, FOREIGN),
        (100, None, CreationAttempt(99), HERE),
        (100, None, CreationAttempt(100), HERE),
        (100, None, CreationAttempt(100.9), HERE),
        (100, None, CreationAttempt(101), FOREIGN),
        (None, None, CreationAttempt(99), FOREIGN),
        (100, None, CreationAttempt(99, here=False), ELSEWHERE),
        (100, FOREIGN, CreationAttempt(99), HERE),
        (100, FOREIGN, CreationAttempt(101), FOREIGN),
        (100, ELSEWHERE, CreationAttempt(99), ELSEWHERE),
    ],
)
def test_a_contact_is_ours_by_record_or_if_it_is_no_older_than_our_attempt(created_at, recorded, attempt, expected):
    assert provenance(lead("a", created_at), recorded, attempt) is expected


@pytest.mark.parametrize("contact", [lead("a"), user("a")], ids=["lead", "user"])
@pytest.mark.parametrize(
    ("made", "policy", "expected"),
    [
        (HERE, SKIP, Update("a", FILL, Outcome.CREATED)),
        (HERE, UPDATE, Update("a", FILL, Outcome.CREATED)),
        (HERE, FILL, Update("a", FILL, Outcome.CREATED)),
        (ELSEWHERE, SKIP, Update("a", FILL, Outcome.UPDATED)),
        (ELSEWHERE, UPDATE, Update("a", FILL, Outcome.UPDATED)),
        (ELSEWHERE, FILL, Update("a", FILL, Outcome.UPDATED)),
        (FOREIGN, UPDATE, Update("a", UPDATE, Outcome.UPDATED)),
        (FOREIGN, FILL, Update("a", FILL, Outcome.UPDATED)),
    ],
)
def test_the_policy_is_for_contacts_that_we_did_not_make(contact, made, policy, expected):
    assert decide(Match(contact), policy, made) == expected


def test_skip_leaves_a_foreign_contact_untouched_and_names_it():
    decision = decide(Match(lead("a"), ("b",)), SKIP)
    assert isinstance(decision, Skip)
    assert (decision.cause, decision.contact_ids) == (Cause.DUPLICATE_SKIPPED, ("a", "b"))
    assert "lead" in decision.detail
    assert "a" in decision.detail


@pytest.mark.parametrize("policy", Duplicates)
def test_several_users_are_skipped_with_their_ids_whatever_the_policy(policy):
    decision = decide(Several(("a", "b")), policy)
    assert isinstance(decision, Skip)
    assert (decision.cause, decision.contact_ids) == (Cause.SEVERAL_CONTACTS_MATCH, ("a", "b"))


@pytest.mark.parametrize("policy", Duplicates)
def test_without_a_match_the_contact_is_created(policy):
    assert decide(None, policy) == Create()


def test_the_other_leads_ids_go_into_the_activity():
    assert decide(Match(user("u"), ("a", "b")), UPDATE) == Update("u", UPDATE, Outcome.UPDATED, ("a", "b"))


def test_an_archived_match_is_skipped_or_brought_back():
    skipped = decide_archived("a", SKIP)
    assert isinstance(skipped, Skip)
    assert (skipped.cause, skipped.contact_ids) == (Cause.ARCHIVED_CONTACT, ("a",))
    assert decide_archived("a", UPDATE) == Unarchive("a")
    assert decide_archived("a", FILL) == Unarchive("a")


def test_one_that_cannot_be_restored_is_skipped():
    assert not_restorable("a").cause is Cause.ARCHIVED_CONTACT


@pytest.mark.parametrize(
    ("attempt", "now", "seconds"),
    [
        (None, 1000, 0),
        (CreationAttempt(1000), 1000, 180),
        (CreationAttempt(1000), 1100, 80),
        (CreationAttempt(1000), 1180, 0),
        (CreationAttempt(1000), 9999, 0),
        (CreationAttempt(1000), 900, 180),
    ],
)
def test_after_an_unknown_outcome_nothing_is_created_until_search_must_show_it(attempt, now, seconds):
    assert index_wait(attempt, now, 180) == seconds
