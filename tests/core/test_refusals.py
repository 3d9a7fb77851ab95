import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.people import ContactDraft, Role
from app.core.refusals import Attempted, Refusal, attempts, halves, named_attribute

CUSTOM = [f"custom_attributes.{letter}" for letter in "ABCDEFGH"]


def written(
    draft: ContactDraft, refused: set[str], *, names: bool = False
) -> tuple[Attempted, list[ContactDraft], set]:
    """Play Intercom, which refuses a write that holds a refused path, and says which one if it ``names`` them."""
    plan, asked, kept = attempts(draft), [], set()
    trial = next(plan)
    try:
        while True:
            asked.append(trial)
            bad = sorted(refused & set(trial.values))
            if not bad:
                kept |= set(trial.values)
            trial = plan.send(Refusal(bad[0] if names else None) if bad else None)
    except StopIteration as end:
        return end.value, asked, kept


def creation(*paths: str) -> ContactDraft:
    return ContactDraft(dict.fromkeys(("name", "email", *paths), "x"), Role.LEAD)


def test_a_write_that_is_taken_is_made_once():
    result, asked, _ = written(creation(*CUSTOM), set())
    assert result == Attempted(written=True)
    assert asked == [creation(*CUSTOM)]


def test_a_named_attribute_is_left_out_and_the_write_repeated():
    result, asked, kept = written(creation(*CUSTOM), {CUSTOM[2], CUSTOM[5]}, names=True)
    assert result == Attempted(written=True, refused=(CUSTOM[2], CUSTOM[5]))
    assert len(asked) == 3
    assert kept == {"name", "email", *CUSTOM} - {CUSTOM[2], CUSTOM[5]}


def test_without_a_name_name_and_email_go_alone_and_the_others_by_halves():
    result, asked, kept = written(creation(*CUSTOM), {CUSTOM[0]})
    assert result == Attempted(written=True, refused=(CUSTOM[0],))
    assert [sorted(trial.values) for trial in asked] == [
        sorted(["name", "email", *CUSTOM]),
        ["email", "name"],
        CUSTOM[:4],
        CUSTOM[:2],
        CUSTOM[:1],
        CUSTOM[1:2],
        CUSTOM[2:4],
        CUSTOM[4:],
    ]
    assert [trial.role for trial in asked] == [Role.LEAD, Role.LEAD, *[None] * 6]
    assert kept == {"name", "email", *CUSTOM[1:]}


def test_a_refused_name_costs_the_name_and_not_the_person():
    result, _, kept = written(creation(*CUSTOM[:2]), {"name"})
    assert result == Attempted(written=True, refused=("name",))
    assert kept == {"email", *CUSTOM[:2]}


def test_where_not_even_the_email_passes_nothing_is_written():
    for names in (False, True):
        result, asked, kept = written(creation(*CUSTOM[:2]), {"email"}, names=names)
        assert result == Attempted(written=False, refused=("email",))
        assert not kept
        assert len(asked) == 3


def test_the_same_write_is_not_made_twice():
    _, asked, _ = written(creation(), {"name"})
    assert [sorted(trial.values) for trial in asked] == [["email", "name"], ["email"]]
    result, asked, _ = written(ContactDraft({CUSTOM[0]: "x"}), {CUSTOM[0]})
    assert result == Attempted(written=True, refused=(CUSTOM[0],))
    assert len(asked) == 1


def test_a_name_that_was_not_sent_counts_as_none():
    plan = attempts(creation(CUSTOM[0]))
    next(plan)
    assert sorted(plan.send(Refusal("custom_attributes.Other")).values) == ["email", "name"]


@settings(max_examples=40)
@given(
    paths=st.lists(st.sampled_from(["name", *(f"custom_attributes.{n}" for n in range(12))]), unique=True),
    data=st.data(),
    creating=st.booleans(),
    names=st.booleans(),
)
def test_exactly_the_refused_ones_are_missing_and_named(paths, data, creating, names):
    refused = set(data.draw(st.lists(st.sampled_from(paths), unique=True))) if paths else set()
    sent = [*paths, "email"] if creating else paths
    draft = ContactDraft(dict.fromkeys(sent, "x"), Role.USER if creating else None)
    result, asked, kept = written(draft, refused, names=names)
    assert result.written
    assert set(result.refused) == refused
    assert len(result.refused) == len(refused)
    assert kept == set(sent) - refused
    assert all(asked[i] != asked[i + 1] for i in range(len(asked) - 1))
    if creating:
        first_taken = next(trial for trial in asked if not refused & set(trial.values))
        assert first_taken.role is Role.USER
        assert "email" in first_taken.values


@settings(max_examples=40)
@given(st.lists(st.integers().map(str), unique=True))
def test_halves_are_the_whole_and_differ_by_one_at_most(paths):
    left, right = halves(paths)
    assert [*left, *right] == paths
    assert 0 <= len(left) - len(right) <= 1


PATHS = ["custom_attributes.Plan", "custom_attributes.Plan name", "custom_attributes.owner's team", "phone", "name"]


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Custom attribute 'Plan' does not exist", "custom_attributes.Plan"),
        ('Custom attribute "Plan name" does not exist', "custom_attributes.Plan name"),
        ("Custom attribute ‘Plan’ is invalid", "custom_attributes.Plan"),
        ("Custom attribute 'owner's team' does not exist", "custom_attributes.owner's team"),
        ("custom_attributes.Plan must be text", "custom_attributes.Plan"),
        ("custom_attributes.Plan name must be text", "custom_attributes.Plan name"),
        ("Plan name is too long", "custom_attributes.Plan name"),
        ("Plan: 'Plan name' is too long", "custom_attributes.Plan name"),
        ("phone is not valid", "phone"),
        ("Plan is not valid", "custom_attributes.Plan"),
        ("Explanation: Planet is not valid", None),
        ("plan is not valid", None),
        ("Custom attribute 'Other' does not exist", None),
        ("Something is wrong", None),
        ("", None),
    ],
)
def test_which_of_the_sent_attributes_an_error_names(message, named):
    assert named_attribute(message, "parameter_invalid", PATHS) == named
    assert named_attribute(message, "parameter_invalid", PATHS[::-1]) == named


def test_a_word_that_any_error_may_contain_names_nothing_unless_it_is_quoted():
    assert named_attribute("The value is invalid", "parameter_invalid", ["custom_attributes.value"]) is None
    quoted = named_attribute("Custom attribute 'value' is invalid", "parameter_invalid", ["custom_attributes.value"])
    assert quoted == "custom_attributes.value"


def test_an_error_about_the_contact_names_no_attribute():
    assert named_attribute("User Not Found", "not_found", ["custom_attributes.User"]) is None


@settings(max_examples=40)
@given(st.text(), st.text(), st.lists(st.text()))
def test_no_message_and_no_name_of_an_attribute_raises(message, code, names):
    assert named_attribute(message, code, [f"custom_attributes.{name}" for name in names]) in (
        None,
        *(f"custom_attributes.{name}" for name in names),
    )
