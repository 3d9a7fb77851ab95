"""Sights come late, doubled, in any order, or not at all: none of that may cost a reward, or pay one too many."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.audiences import Attribute, AttributeType, QualificationRule
from app.core.causes import Cause
from app.core.people import Audience
from app.core.qualification import (
    FirstSight,
    Never,
    Qualify,
    Referral,
    SeenIn,
    Sight,
    Span,
    decide,
    is_initial,
    is_target,
    merged,
)

EXAMPLES = 150

# Few values and few seconds, so that they meet: spellings of the same, blanks, and what is neither.
VALUES = st.sampled_from(
    [None, "", " ", "trial", "Trial ", "paid", "PAID", "5", 5, 5.0, 0, "0", True, "true", False, "free", [], {"a": 1}]
)
SCALARS = st.sampled_from(["", "trial", "paid", "5", 5, 0, True, "false", "free"])
TIMES = st.integers(90, 110)
SIGHTS = st.lists(st.builds(Sight, VALUES, TIMES, st.sampled_from(SeenIn)), max_size=12)
FIRSTS = st.builds(FirstSight, VALUES, st.integers(95, 105), st.booleans())
RULES = st.builds(
    QualificationRule,
    st.just("custom_attributes.Plan"),
    st.one_of(st.none(), SCALARS),
    st.lists(SCALARS, max_size=3).map(tuple),
)
PAID = st.sampled_from(["paid", "PAID", " Paid"])
TO_PAID = st.builds(
    QualificationRule,
    st.just("custom_attributes.Plan"),
    st.sampled_from([None, "", "trial"]),
    st.sampled_from([("paid",), ("5", "Paid ")]),
)
"""By every type: what can't be converted is compared as text."""
ATTRIBUTES = st.sampled_from(
    [
        Attribute("custom_attributes.Plan", "Plan", "Plan", type_, options=("Free", "Trial", "Paid"))
        for type_ in AttributeType
    ]
)


def watched(first: FirstSight, spans: tuple[Span, ...], state: str = "open") -> Referral:
    return Referral(Audience.LEADS, state, first=first, spans=spans)


def verdict(first, sights, rule, attribute):
    return decide(watched(first, merged((), sights, first)), rule, attribute)


def qualifies(first, sights, rule, attribute) -> bool:
    return isinstance(verdict(first, sights, rule, attribute), Qualify)


@settings(max_examples=EXAMPLES)
@given(FIRSTS, SIGHTS, RULES, ATTRIBUTES, st.data())
def test_order_and_doubles_change_nothing(first, sights, rule, attribute, data):
    again = data.draw(st.lists(st.sampled_from(sights), max_size=6)) if sights else []
    shuffled = data.draw(st.permutations(sights + again))
    assert merged((), shuffled, first) == merged((), sights, first)
    assert verdict(first, shuffled, rule, attribute) == verdict(first, sights, rule, attribute)


@settings(max_examples=EXAMPLES)
@given(FIRSTS, SIGHTS, RULES, ATTRIBUTES, st.data())
def test_a_sight_that_is_missing_qualifies_nobody(first, sights, rule, attribute, data):
    some = [sight for sight in sights if data.draw(st.booleans())]
    if qualifies(first, some, rule, attribute):
        assert qualifies(first, sights, rule, attribute)


@settings(max_examples=EXAMPLES)
@given(TIMES, st.booleans(), SIGHTS, st.builds(Sight, PAID, TIMES), TO_PAID, ATTRIBUTES, st.data())
def test_of_a_lead_that_began_at_the_initial_value_the_last_target_sight_is_enough(
    began_at, is_new, sights, paid, rule, attribute, data
):
    first = FirstSight("Trial", began_at, is_new)
    everything = [*sights, paid]
    last = max((s for s in everything if is_target(s.value, rule, attribute)), key=lambda sight: sight.at)
    some = [sight for sight in everything if sight is last or data.draw(st.booleans())]
    assert qualifies(first, some, rule, attribute) == qualifies(first, everything, rule, attribute)
    assert qualifies(first, some, rule, attribute) == (last.at >= began_at)


@settings(max_examples=EXAMPLES)
@given(FIRSTS, st.lists(SIGHTS, max_size=4), RULES, ATTRIBUTES, st.data())
def test_step_by_step_in_any_order_gives_the_same_as_all_at_once(first, batches, rule, attribute, data):
    at_once = merged((), [sight for batch in batches for sight in batch], first)
    spans: tuple[Span, ...] = ()
    for batch in data.draw(st.permutations(batches)):
        spans = merged(data.draw(st.permutations(spans)), batch, first)
    assert spans == at_once
    assert merged(merged(spans, (), first) + at_once, (), first) == at_once
    assert decide(watched(first, spans), rule, attribute) == decide(watched(first, at_once), rule, attribute)


@settings(max_examples=EXAMPLES)
@given(FIRSTS, SIGHTS, SIGHTS, RULES, ATTRIBUTES)
def test_further_sights_never_take_a_conversion_back(first, sights, more, rule, attribute):
    if qualifies(first, sights, rule, attribute):
        assert qualifies(first, sights + more, rule, attribute)


@settings(max_examples=EXAMPLES)
@given(FIRSTS, SIGHTS, RULES, ATTRIBUTES)
def test_spans_decide_as_the_sights_themselves_would(first, sights, rule, attribute):
    """The rule once more, said of single sights: the oracle."""
    seen = [Sight(first.value, first.at), *(sight for sight in sights if sight.at >= first.at)]
    if is_target(first.value, rule, attribute):
        expected = first.contact_is_new
    else:
        expected = any(
            is_initial(earlier.value, rule, attribute) and is_target(later.value, rule, attribute)
            for earlier in seen
            for later in seen
            if earlier.at <= later.at
        )
    assert qualifies(first, sights, rule, attribute) == expected


@settings(max_examples=EXAMPLES)
@given(PAID, TIMES, SIGHTS, TO_PAID, ATTRIBUTES)
def test_a_customer_from_before_stays_one(paid, at, sights, rule, attribute):
    assert verdict(FirstSight(paid, at, False), sights, rule, attribute) == Never(Cause.ALREADY_CONVERTED)


@settings(max_examples=EXAMPLES)
@given(VALUES, RULES, ATTRIBUTES)
def test_no_value_is_both_initial_and_a_target(value, rule, attribute):
    assert not (is_initial(value, rule, attribute) and is_target(value, rule, attribute))


@settings(max_examples=EXAMPLES)
@given(FIRSTS, SIGHTS, RULES, ATTRIBUTES, st.text(max_size=12).filter(lambda state: state != "open"))
def test_nobody_qualifies_in_another_state_than_open(first, sights, rule, attribute, state):
    spans = merged((), sights, first)
    for closed in (state, "qualified", "disqualified", "closed"):
        assert not isinstance(decide(watched(first, spans, closed), rule, attribute), Qualify)
