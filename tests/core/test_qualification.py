import math

import pytest

from app.core.audiences import Attribute, AttributeType, QualificationRule
from app.core.causes import Cause
from app.core.people import Audience, Contact, Role
from app.core.qualification import (
    FirstSight,
    Never,
    NotYet,
    Qualify,
    Referral,
    SeenIn,
    Sight,
    Span,
    begin,
    decide,
    elsewhere,
    is_initial,
    is_target,
    merged,
    sight_of,
    value_key,
)
from app.core.setup import trigger_at

PLAN = "custom_attributes.Plan"
OPTIONS = ("Free", "Trial", "Paid", "Élan")


def custom(type_: AttributeType, **more) -> Attribute:
    return Attribute(PLAN, "Plan", "Plan", type_, **more)


TEXT = custom(AttributeType.TEXT)
NUMBER = custom(AttributeType.NUMBER)
DECIMAL = custom(AttributeType.DECIMAL)
BOOLEAN = custom(AttributeType.BOOLEAN)
DATE = custom(AttributeType.DATE)
LIST = custom(AttributeType.LIST, options=OPTIONS)
REFERENCE = custom(AttributeType.REFERENCE)
ROLE = trigger_at("role", {})
ALL_TYPES = [TEXT, NUMBER, DECIMAL, BOOLEAN, DATE, LIST, REFERENCE]

WAITING = NotYet(Cause.VALUE_NOT_A_TARGET)
MISMATCH = NotYet(Cause.INITIAL_VALUE_MISMATCH)
CUSTOMER = Never(Cause.ALREADY_CONVERTED)


def rule(initial, *targets, attribute=PLAN) -> QualificationRule:
    return QualificationRule(attribute, initial, targets)


TRIAL_TO_PAID = rule("trial", "paid")
ANY_TO_PAID = rule(None, "paid")


def lead(first, *sights, new=False, **more) -> Referral:
    """Someone first seen with ``first``, a value or a (value, time), and later with each of ``sights``."""
    value, at = first if isinstance(first, tuple) else (first, 100)
    begun = FirstSight(value, at, new)
    more.setdefault("state", "open")
    return Referral(Audience.LEADS, first=begun, spans=merged((), [Sight(*sight) for sight in sights], begun), **more)


# The way from the initial value to a target


@pytest.mark.parametrize(
    ("watched", "by", "verdict"),
    [
        # Every way through one rule
        (lead("trial"), TRIAL_TO_PAID, WAITING),
        (lead("trial", ("paid", 200)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("trial", ("enterprise", 200)), TRIAL_TO_PAID, WAITING),
        (lead("trial", ("enterprise", 200), ("paid", 300)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("trial", ("paid", 200), ("trial", 300)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("trial", ("paid", 200), (None, 300)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("trial", (None, 200)), TRIAL_TO_PAID, WAITING),
        # Another value than the initial one, until that is seen
        (lead(None), TRIAL_TO_PAID, MISMATCH),
        (lead("  "), TRIAL_TO_PAID, MISMATCH),
        (lead("free", ("paid", 200)), TRIAL_TO_PAID, MISMATCH),
        (lead("free", ("trial", 200)), TRIAL_TO_PAID, WAITING),
        (lead("free", ("trial", 200), ("paid", 300)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("free", ("paid", 200), ("trial", 300)), TRIAL_TO_PAID, WAITING),
        (lead("free", ("paid", 200), ("trial", 300), ("paid", 400)), TRIAL_TO_PAID, Qualify("paid")),
        # Whole seconds: in one of them the initial value comes first
        (lead("trial", ("paid", 100)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("free", ("paid", 200), ("trial", 200)), TRIAL_TO_PAID, Qualify("paid")),
        (lead("free", ("paid", 199), ("trial", 200)), TRIAL_TO_PAID, WAITING),
        # No initial value: whatever is no target may come first
        (lead(None), ANY_TO_PAID, WAITING),
        (lead(None, ("paid", 200)), ANY_TO_PAID, Qualify("paid")),
        (lead("free", ("paid", 200)), ANY_TO_PAID, Qualify("paid")),
        (lead({"id": 1}, ("paid", 200)), ANY_TO_PAID, Qualify("paid")),
        (lead("free", ("paid", 200)), rule("", "paid"), Qualify("paid")),
        (lead("free", ("paid", 200)), rule("  ", "paid"), Qualify("paid")),
        # Several targets: the one that stood last is named
        (lead("trial", ("paid", 200)), rule("trial", "enterprise", "paid"), Qualify("paid")),
        (
            lead("trial", ("paid", 200), ("enterprise", 300)),
            rule("trial", "enterprise", "paid"),
            Qualify("enterprise"),
        ),
        (lead("trial", ("free", 200)), rule("trial", "enterprise", "paid"), WAITING),
        # Empty targets never match
        (lead("trial", ("", 200), (None, 300), (" ", 400)), rule("trial", "", " "), WAITING),
        (lead(None, ("", 200)), rule(None, ""), WAITING),
        (lead(None, ("paid", 200)), rule(None), WAITING),
        (lead("trial", ("", 200), ("paid", 300)), rule("trial", "", "paid"), Qualify("paid")),
        # A target that is the initial value as well is the initial value
        (lead("trial", new=True), rule("trial", "trial"), WAITING),
        (lead("trial", ("Trial", 200)), rule("trial", "TRIAL"), WAITING),
        (lead("trial", ("paid", 200), new=True), rule("trial", "trial", "paid"), Qualify("paid")),
    ],
)
def test_a_target_after_the_initial_value_qualifies(watched, by, verdict):
    assert decide(watched, by, TEXT) == verdict


def test_of_two_targets_in_one_second_every_worker_names_the_same():
    spans = (Span("paid", 200, 300), Span("enterprise", 200, 300))
    first = FirstSight("trial", 100, False)
    one, other = (Referral(Audience.LEADS, "open", first=first, spans=order) for order in (spans, spans[::-1]))
    by = rule("trial", "paid", "enterprise")
    assert decide(one, by, TEXT) == decide(other, by, TEXT)


@pytest.mark.parametrize("by", [TRIAL_TO_PAID, ANY_TO_PAID])
@pytest.mark.parametrize(
    "later", [(), [("trial", 200)], [("trial", 200), ("paid", 300)], [("trial", 100), ("paid", 100)], [("trial", 50)]]
)
def test_a_customer_from_before_is_none_for_good_whatever_comes_later(by, later):
    assert decide(lead("Paid ", *later), by, TEXT) == CUSTOMER


@pytest.mark.parametrize("by", [TRIAL_TO_PAID, ANY_TO_PAID])
def test_a_friend_who_pays_while_our_event_waits_has_converted(by):
    assert decide(lead("paid", new=True), by, TEXT) == Qualify("paid")
    assert decide(lead("paid", ("trial", 200), new=True), by, TEXT) == Qualify("paid")


def test_a_new_contact_is_held_to_the_initial_value_like_any_other():
    assert decide(lead("free", ("paid", 200), new=True), TRIAL_TO_PAID, TEXT) == MISMATCH


# Who can't qualify whatever was seen


@pytest.mark.parametrize(
    ("state", "cause", "named"),
    [
        ("qualified", None, Cause.ALREADY_QUALIFIED),
        ("qualified", Cause.WEBHOOK_MISSED, Cause.ALREADY_QUALIFIED),
        ("disqualified", None, Cause.ALREADY_QUALIFIED),
        ("disqualified", Cause.ALREADY_CONVERTED, Cause.ALREADY_CONVERTED),
        ("closed", Cause.EXISTED_BEFORE_AND_NOT_UPDATED, Cause.EXISTED_BEFORE_AND_NOT_UPDATED),
        ("closed", Cause.ERASED_ON_REQUEST, Cause.ERASED_ON_REQUEST),
        ("closed", None, Cause.NOT_A_TRACKED_LEAD),
    ],
)
@pytest.mark.parametrize("attribute", [TEXT, None])
def test_a_referral_that_is_not_open_never_qualifies(state, cause, named, attribute):
    watched = lead("trial", ("paid", 200), state=state, cause=cause)
    assert decide(watched, TRIAL_TO_PAID, attribute) == Never(named)


@pytest.mark.parametrize("state", ["open", "qualified", "closed"])
def test_referrers_never_qualify(state):
    begun = FirstSight("trial", 100, True)
    referrer = Referral(Audience.REFERRERS, state, first=begun, spans=(Span("paid", 200, 200),))
    assert decide(referrer, TRIAL_TO_PAID, TEXT) == Never(Cause.ONLY_LEADS_QUALIFY)


@pytest.mark.parametrize(
    ("attribute", "cause"),
    [
        (None, Cause.ATTRIBUTE_UNKNOWN),
        (custom(AttributeType.TEXT, archived=True), Cause.ATTRIBUTE_ARCHIVED),
    ],
)
@pytest.mark.parametrize("first", ["trial", "paid"])
def test_an_attribute_that_is_gone_keeps_everyone_waiting_even_customers(attribute, cause, first):
    assert decide(lead(first, ("paid", 200)), TRIAL_TO_PAID, attribute) == NotYet(cause)


@pytest.mark.parametrize("by", [TRIAL_TO_PAID, ANY_TO_PAID])
def test_where_nothing_was_seen_nothing_is_known(by):
    assert decide(Referral(Audience.LEADS, "open"), by, TEXT) == MISMATCH


# Each type of attribute


@pytest.mark.parametrize(
    ("attribute", "target", "matching", "others"),
    [
        (TEXT, "Paid", ["Paid", "paid", " PAID ", "Paid\n"], ["Paid!", "Pa id", "", None, ["Paid"], {"Paid": 1}]),
        (TEXT, "R&D <Pro>", ["r&d <pro>", "R&amp;D &lt;Pro&gt;"], ["R&amp;amp;D <Pro>"]),
        (TEXT, "Élan", ["élan", "E\u0301lan"], ["elan"]),
        (TEXT, "STRASSE", ["Straße"], ["Strase"]),
        (TEXT, "5", [5, "5", " 5 "], [5.5, 50, True]),
        (TEXT, 5, [5, "5"], ["05", "5.0"]),
        (TEXT, "true", [True, "TRUE"], [1, "yes", False]),
        (TEXT, "x" * 300, ["X" * 300], ["x" * 299]),
        (LIST, "Paid", ["paid", " PAID"], ["Trial", "Pai", "", None]),
        (LIST, "Renamed", ["renamed"], ["Paid"]),
        (custom(AttributeType.LIST, options=("paid", "Paid")), "Paid", ["paid", "Paid"], ["free"]),
        (NUMBER, 5, [5, "5", 5.0, " 5 ", "5.0", "+5"], [50, "5.5", True, "", None, "five"]),
        (NUMBER, "5", [5, "05"], [-5]),
        (NUMBER, 0, [0, "0", 0.0], ["", None, False]),
        (NUMBER, "five", ["Five ", "FIVE"], [5, "5"]),
        (DECIMAL, 0.3, [0.1 + 0.2, "0.3", " .3"], [0.31, 3, "", None, math.nan, math.inf]),
        (DECIMAL, "1000", [1000, 1000.0, "1000.00"], [1000.01]),
        (DECIMAL, 0, [0.0, "0", -0.0], [1e-9, False]),
        (BOOLEAN, True, [True, "true", "TRUE", 1, "yes", "1"], [False, "false", 0, "", None, 2]),
        (BOOLEAN, "true", [True, " True "], [False]),
        (BOOLEAN, False, [False, "false", 0, "no"], [True, None, ""]),
        (DATE, "2026-03-31", [1774915200, "2026-03-31T00:00:00Z", "2026-03-31"], [1774915201, "2026-03-30", None]),
        (DATE, 1774915200, ["2026-03-31T02:00:00.9+02:00", 1774915200000, 1774915200.7], [1774915199]),
        (DATE, "soon", ["SOON"], ["2026-03-31", ""]),
        (REFERENCE, "Order 7", ["order 7 "], ["Order 8", {"id": "Order 7"}, ["Order 7"], None]),
        (REFERENCE, 7, ["7", 7], [[7]]),
        (ROLE, "user", ["user", "User", Role.USER], ["lead", Role.LEAD, None]),
    ],
)
def test_values_are_compared_by_the_type_of_the_attribute(attribute, target, matching, others):
    to_target, from_initial = rule(None, target), rule(target, "anything else")
    for value in matching:
        assert is_target(value, to_target, attribute)
        assert not is_initial(value, to_target, attribute)
        assert is_initial(value, from_initial, attribute)
    for value in others:
        assert not is_target(value, to_target, attribute)
        assert is_initial(value, to_target, attribute)
        assert not is_initial(value, from_initial, attribute)


@pytest.mark.parametrize("attribute", ALL_TYPES)
@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
@pytest.mark.parametrize("seen", [None, "", " ", 0, False, "paid", [], {}])
def test_empty_targets_never_match(attribute, empty, seen):
    assert not is_target(seen, rule(None, empty), attribute)
    assert not is_target(seen, rule(None), attribute)


@pytest.mark.parametrize("attribute", ALL_TYPES)
@pytest.mark.parametrize("value", ["half \ud800 of a pair", "\0", math.nan, math.inf, 10**2000])
def test_what_no_text_can_carry_is_no_target_and_no_fault(attribute, value):
    assert not is_target(value, rule(None, "paid", 5, True, 0.5), attribute)


@pytest.mark.parametrize(
    ("attribute", "by", "first", "later"),
    [
        (TEXT, rule("trial", "paid"), " TRIAL", " PAID"),
        (LIST, rule("Trial", "Paid"), "trial", "paid"),
        (NUMBER, rule("0", "5"), 0, 5),
        (DECIMAL, rule("0.5", 1.5), 0.5, "1.50"),
        (BOOLEAN, rule("false", "true"), False, True),
        (BOOLEAN, rule(None, True), None, "true"),
        (DATE, rule(None, "2026-03-31"), None, 1774915200),
        (REFERENCE, rule(None, "Order 7"), None, "order 7"),
        (ROLE, rule("Lead", "User", attribute="role"), "lead", "user"),
        (ROLE, rule(None, "user", attribute="role"), "lead", "user"),
    ],
)
def test_every_type_of_attribute_can_qualify(attribute, by, first, later):
    assert decide(lead(first), by, attribute) == WAITING
    assert decide(lead(first, (later, 200)), by, attribute) == Qualify(later)
    assert decide(lead(later), by, attribute) == CUSTOMER


# The first sight


def contact(
    value=None, role=Role.LEAD, created_at: int | None = 500, updated_at: int | None = 600, **more
) -> Contact:
    attributes = {name: held for name, held in {"Plan": value, **more}.items() if held is not None}
    return Contact("c1", role, custom_attributes=attributes, created_at=created_at, updated_at=updated_at)


def begun(seen: Contact, by: QualificationRule, *, made_here: bool, signed_up_at: float = 500.0) -> FirstSight:
    attribute = trigger_at(by.attribute, {PLAN: TEXT})
    return begin(seen, by, attribute, made_here=made_here, signed_up_at=signed_up_at, fallback_at=900)


@pytest.mark.parametrize(
    ("found", "by", "expected"),
    [
        (contact("trial"), TRIAL_TO_PAID, FirstSight("trial", 500, True)),
        (contact(), TRIAL_TO_PAID, FirstSight("trial", 500, True)),  # Intercom dropped it
        (contact("paid"), TRIAL_TO_PAID, FirstSight("trial", 500, True)),  # found again only after the payment
        (contact(), ANY_TO_PAID, FirstSight(None, 500, True)),
        (contact("paid"), rule(" ", "paid"), FirstSight(None, 500, True)),
        (contact(role=Role.USER), rule("lead", "user", attribute="role"), FirstSight("lead", 500, True)),
        (contact(role=Role.USER), rule(None, "user", attribute="role"), FirstSight("lead", 500, True)),
        (contact("trial", created_at=None), TRIAL_TO_PAID, FirstSight("trial", 600, True)),
        (contact("trial", created_at=None, updated_at=None), TRIAL_TO_PAID, FirstSight("trial", 900, True)),
    ],
)
def test_our_creation_counts_as_having_seen_the_initial_value(found, by, expected):
    assert begun(found, by, made_here=True) == expected


@pytest.mark.parametrize(
    ("found", "signed_up_at", "expected"),
    [
        (contact("paid"), 501, FirstSight("paid", 600, False)),
        (contact("paid"), 500, FirstSight("paid", 600, True)),
        (contact("paid"), 500.9, FirstSight("paid", 600, True)),
        (contact("paid"), 499.9, FirstSight("paid", 600, True)),
        (contact(), 501, FirstSight(None, 600, False)),
        (contact("paid", created_at=None), 0, FirstSight("paid", 600, False)),
        (contact("paid", updated_at=None), 501, FirstSight("paid", 500, False)),
        (contact("paid", created_at=None, updated_at=None), 0, FirstSight("paid", 900, False)),
    ],
)
def test_a_contact_that_we_found_is_taken_as_it_stands(found, signed_up_at, expected):
    assert begun(found, TRIAL_TO_PAID, made_here=False, signed_up_at=signed_up_at) == expected


@pytest.mark.parametrize(
    ("found", "made_here", "verdict"),
    [
        (contact("trial"), True, WAITING),
        (contact("paid", updated_at=600), True, Qualify("paid")),
        (contact("paid", updated_at=500), True, Qualify("paid")),
        (contact("paid", created_at=400), False, CUSTOMER),
        (contact("paid", created_at=500), False, Qualify("paid")),
        (contact(), False, MISMATCH),
    ],
)
def test_from_a_contact_to_a_verdict(found, made_here, verdict):
    first = begun(found, TRIAL_TO_PAID, made_here=made_here)
    spans = merged((), [sight_of(found, PLAN, SeenIn.READ, 900)], first)
    assert decide(Referral(Audience.LEADS, "open", first=first, spans=spans), TRIAL_TO_PAID, TEXT) == verdict


# Sights and spans


@pytest.mark.parametrize(
    ("seen", "path", "sight"),
    [
        (contact("paid"), PLAN, Sight("paid", 600, SeenIn.NOTIFIED)),
        (contact(), PLAN, Sight(None, 600, SeenIn.NOTIFIED)),
        (contact("paid", updated_at=None), PLAN, Sight("paid", 500, SeenIn.NOTIFIED)),
        (contact("paid", created_at=None, updated_at=None), PLAN, Sight("paid", 900, SeenIn.NOTIFIED)),
        (contact("paid", created_at=500, updated_at=0), PLAN, Sight("paid", 0, SeenIn.NOTIFIED)),
        (contact(role=Role.USER), "role", Sight("user", 600, SeenIn.NOTIFIED)),
    ],
)
def test_a_contact_shows_one_value_at_its_own_update_time(seen, path, sight):
    assert sight_of(seen, path, SeenIn.NOTIFIED, 900) == sight


def test_a_role_is_kept_as_plain_text():
    assert type(sight_of(contact(), "role", SeenIn.READ, 900).value) is str


def test_of_one_value_the_earliest_and_the_latest_sight_are_kept():
    first = FirstSight("trial", 100, False)
    sights = [Sight("paid", 300), Sight("trial", 150), Sight("paid", 200), Sight("paid", 250)]
    spans = merged((), sights, first)
    assert spans == (Span("trial", 150, 150), Span("paid", 200, 300))
    assert merged(spans, [Sight("trial", 400), Sight("paid", 199)], first) == (
        Span("trial", 150, 400),
        Span("paid", 199, 300),
    )


def test_what_was_so_before_the_lead_was_watched_is_dropped():
    first = FirstSight("free", 100, False)
    assert merged((), [Sight("trial", 99), Sight("trial", 100)], first) == (Span("trial", 100, 100),)
    assert merged((), [Sight("trial", 99)], first) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1, "b": [2]}, {"b": [2], "a": 1}), ("lead", Role.LEAD), ("\ud800", "\ud800"), (None, None)],
)
def test_values_of_one_json_spelling_are_the_same_row(one, other):
    assert value_key(one) == value_key(other)


def test_values_that_json_tells_apart_are_rows_of_their_own():
    values = [None, "", " ", "null", 0, False, "0", "false", 5, 5.0, "5", True, 1, "true", "True", [], {}, ["5"], [5]]
    assert len({value_key(value) for value in values}) == len(values)


# A target value in the wrong place


@pytest.mark.parametrize(
    ("seen", "by", "path"),
    [
        (contact("trial", Tier="Paid "), TRIAL_TO_PAID, "custom_attributes.Tier"),
        (contact(Tier="paid"), TRIAL_TO_PAID, "custom_attributes.Tier"),
        (contact(Zone="paid", Tier="paid"), TRIAL_TO_PAID, "custom_attributes.Tier"),
        (contact(Seats="5"), rule(None, 5), "custom_attributes.Seats"),
        (contact(role=Role.LEAD, Kind="User"), rule(None, "user", attribute="role"), "custom_attributes.Kind"),
        (contact("paid", Tier="paid"), TRIAL_TO_PAID, None),
        (contact(role=Role.USER, Kind="User"), rule(None, "user", attribute="role"), None),
        (contact("trial", Tier="free"), TRIAL_TO_PAID, None),
        (contact("trial", Tier=" ", Flags=["paid"], Deal={"paid": 1}), rule("trial", "", "paid"), None),
        (contact("trial"), TRIAL_TO_PAID, None),
        (contact("trial"), rule("trial", "trial"), None),
    ],
)
def test_another_attribute_with_a_target_value_is_pointed_out(seen, by, path):
    assert elsewhere(seen, by, trigger_at(by.attribute, {PLAN: TEXT})) == path


def test_of_an_unknown_trigger_there_is_nothing_to_point_out():
    assert elsewhere(contact(Tier="paid"), TRIAL_TO_PAID, None) is None
