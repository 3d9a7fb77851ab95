import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.attributes import STANDARD, Converted, LeftOut, convert, holds_link, mappable, same_value
from app.core.audiences import Attribute, AttributeType, CampaignRules
from app.core.causes import Cause

WRONG = Cause.VALUE_WRONG_TYPE
BLANK = Cause.NOT_IN_PAYLOAD
LONG = Cause.VALUE_TOO_LONG
NO_OPTION = Cause.VALUE_NOT_AN_OPTION
GIANT = 10**10_000


def custom(type_: AttributeType, **more) -> Attribute:
    return Attribute("custom_attributes.Plan", "Plan", "Plan", type_, **more)


TEXT = custom(AttributeType.TEXT)
NUMBER = custom(AttributeType.NUMBER)
BOOLEAN = custom(AttributeType.BOOLEAN)
LIST = custom(AttributeType.LIST, options=("Free", "Pro Plan", "ÉLAN", "5", "true"))
DECIMAL = custom(AttributeType.DECIMAL)
DATE = custom(AttributeType.DATE)
REFERENCE = custom(AttributeType.REFERENCE)


def outcome(value, attribute, *, extended_types=True):
    match convert(value, attribute, extended_types=extended_types):
        case Converted(converted):
            return converted
        case LeftOut(cause):
            return cause


def identical(left, right) -> bool:
    return type(left) is type(right) and left == right


TABLE = {
    "text takes any scalar, as text": (
        TEXT,
        [
            ("pro", "pro"),
            ("  pro \n", "pro"),
            ("two\nlines", "two\nlines"),
            (5, "5"),
            (0, "0"),
            (-1.5, "-1.5"),
            (True, "true"),
            (False, "false"),
            ("x" * 255, "x" * 255),
            (" " + "x" * 255 + " ", "x" * 255),
            ("😀" * 255, "😀" * 255),
            ("x" * 256, LONG),
            ("😀" * 256, LONG),
            (GIANT, LONG),
            (-GIANT, LONG),
            ("a\0b", WRONG),
            ("a\ud83d", WRONG),
            ("\udc00a", WRONG),
            (math.nan, WRONG),
            (math.inf, WRONG),
        ],
    ),
    "number takes whole numbers": (
        NUMBER,
        [
            ("12", 12),
            ("-12", -12),
            ("+12", 12),
            (" 12 ", 12),
            ("\u00a012\u00a0", 12),
            ("5.0", 5),
            ("5.000", 5),
            ("007", 7),
            ("-0", 0),
            (5, 5),
            (5.0, 5),
            (0, 0),
            ("0", 0),
            (1e3, 1000),
            (2**63 - 1, 2**63 - 1),
            (-(2**63), -(2**63)),
            ("9223372036854775807", 2**63 - 1),
            (2**63, WRONG),
            ("9223372036854775808", WRONG),
            (-(2**63) - 1, WRONG),
            (1e300, WRONG),
            (GIANT, WRONG),
            ("9" * 10_000, WRONG),
            ("5.5", WRONG),
            (5.5, WRONG),
            ("5.", WRONG),
            (".0", WRONG),
            ("1e3", WRONG),
            ("1_000", WRONG),
            ("1,000", WRONG),
            ("1 000", WRONG),
            ("- 12", WRONG),
            ("--12", WRONG),
            ("0x10", WRONG),
            ("12 apples", WRONG),
            ("１２", WRONG),
            ("١٢", WRONG),
            ("²", WRONG),
            (True, WRONG),
            (False, WRONG),
            ("true", WRONG),
            (math.nan, WRONG),
            (-math.inf, WRONG),
            ("nan", WRONG),
            ("inf", WRONG),
        ],
    ),
    "boolean takes true and false, yes and no, 1 and 0, without case": (
        BOOLEAN,
        [
            *[(yes, True) for yes in (True, 1, 1.0, "true", "True", "TRUE", "yes", "Yes", "1", " yes ")],
            *[(no, False) for no in (False, 0, 0.0, "false", "False", "no", "NO", "0", "\tno\n")],
            *[(other, WRONG) for other in (2, -1, 0.5, "2", "y", "n", "t", "on", "off", "ja", "1.0", "truthy", "１")],
            (math.nan, WRONG),
            (GIANT, WRONG),
        ],
    ),
    "list takes an option, compared without case, in the option's spelling": (
        LIST,
        [
            ("Free", "Free"),
            ("free", "Free"),
            (" FREE ", "Free"),
            ("pro plan", "Pro Plan"),
            ("élan", "ÉLAN"),
            ("e\u0301lan", "ÉLAN"),
            (5, "5"),
            (True, "true"),
            ("pro  plan", NO_OPTION),
            ("proplan", NO_OPTION),
            ("pro", NO_OPTION),
            (6, NO_OPTION),
            ("x" * 10_000, NO_OPTION),
            (GIANT, NO_OPTION),
            ("a\0", WRONG),
        ],
    ),
    "decimal takes a decimal point and finite numbers": (
        DECIMAL,
        [
            ("1.5", 1.5),
            ("-1.5", -1.5),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("3", 3.0),
            (3, 3.0),
            (0, 0.0),
            ("-0", 0.0),
            (1.5, 1.5),
            (1e300, 1e300),
            ("1,5", WRONG),
            ("1.5.2", WRONG),
            ("5.", WRONG),
            ("1e3", WRONG),
            ("1_0.5", WRONG),
            ("١.٥", WRONG),
            ("nan", WRONG),
            ("inf", WRONG),
            (math.nan, WRONG),
            (math.inf, WRONG),
            (True, WRONG),
            (GIANT, WRONG),
            (10**400, WRONG),
            ("9" * 1000, WRONG),
        ],
    ),
    "date takes ISO 8601, Unix seconds and milliseconds, and sends whole Unix seconds": (
        DATE,
        [
            ("2026-03-31", 1774915200),
            (" 2026-03-31 ", 1774915200),
            ("2026-03-31T10:30:15Z", 1774953015),
            ("2026-03-31t10:30:15z", 1774953015),
            ("2026-03-31 10:30:15", 1774953015),
            ("2026-03-31T10:30", 1774953000),
            ("2026-03-31T10:30:15.999Z", 1774953015),
            ("2026-03-31T10:30:15.123456789+00:00", 1774953015),
            ("2026-03-31T12:30:15+02:00", 1774953015),
            ("2026-03-31T12:30:15+0200", 1774953015),
            ("2026-03-31T12:30:15+02", 1774953015),
            ("2026-03-31T01:30:15-09:00", 1774953015),
            ("2026-01-10T04:39:55.465+00:00", 1768019995),
            ("1969-12-31T23:59:59Z", -1),
            (1774953015, 1774953015),
            ("1774953015", 1774953015),
            (1774953015.9, 1774953015),
            (1774953015123, 1774953015),
            ("1774953015123", 1774953015),
            (-86400, -86400),
            (0, 0),
            ("0", 0),
            ("2026-02-30", WRONG),
            ("2026-13-01", WRONG),
            ("2026-3-1", WRONG),
            ("0000-01-01", WRONG),
            ("2026-03-31T25:00:00Z", WRONG),
            ("2026-03-31T10:30:15+48:00", WRONG),
            ("2026-W14-2", WRONG),
            ("2026-090", WRONG),
            ("20260331", WRONG),
            ("31.03.2026", WRONG),
            ("03/31/2026", WRONG),
            ("tomorrow", WRONG),
            ("２０２６-03-31", WRONG),
            (True, WRONG),
            (10**18, WRONG),
            (-(10**18), WRONG),
            (GIANT, WRONG),
            (math.nan, WRONG),
            (math.inf, WRONG),
        ],
    ),
}


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [(attribute, value, expected) for attribute, rows in TABLE.values() for value, expected in rows],
    ids=[f"{rule}-{number}" for rule, (_, rows) in TABLE.items() for number in range(len(rows))],
)
def test_the_type_table(attribute, value, expected):
    assert identical(outcome(value, attribute), expected)


ALL_TYPES = [TEXT, NUMBER, BOOLEAN, LIST, DECIMAL, DATE, REFERENCE, *STANDARD.values()]


@pytest.mark.parametrize("attribute", ALL_TYPES, ids=lambda a: f"{a.type}-{a.name}")
@pytest.mark.parametrize("value", [None, "", " ", "\n\t", "\u00a0\u2003"])
def test_null_empty_and_blank_are_no_value_for_any_type(attribute, value):
    assert outcome(value, attribute) is BLANK


@pytest.mark.parametrize("attribute", ALL_TYPES, ids=lambda a: f"{a.type}-{a.name}")
@pytest.mark.parametrize("value", [{}, [], {"a": 1}, ["pro"], b"pro"])
def test_objects_and_arrays_are_never_values(attribute, value):
    assert outcome(value, attribute) is WRONG


@pytest.mark.parametrize(
    ("attribute", "extended_types", "expected"),
    [
        (DECIMAL, False, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (DATE, False, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (REFERENCE, False, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (REFERENCE, True, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (DECIMAL, True, 5.0),
        (DATE, True, 5),
        (NUMBER, False, 5),
    ],
)
def test_dates_and_decimals_are_extended_types_and_references_are_never_sent(attribute, extended_types, expected):
    assert identical(outcome(5, attribute, extended_types=extended_types), expected)


def test_an_option_in_its_exact_spelling_wins_over_one_that_differs_in_case():
    attribute = custom(AttributeType.LIST, options=("pro", "Pro"))
    assert outcome("Pro", attribute) == "Pro"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40)
@given(JSON_VALUES, st.sampled_from(ALL_TYPES), st.booleans())
def test_converting_never_raises_and_what_it_gives_can_be_put_on_the_wire(value, attribute, extended_types):
    converted = convert(value, attribute, extended_types=extended_types)
    if isinstance(converted, Converted):
        wire = json.dumps(converted.value, allow_nan=False, ensure_ascii=False).encode()
        assert identical(json.loads(wire), converted.value)
        assert same_value(converted.value, converted.value, attribute)


@settings(max_examples=40)
@given(st.text(alphabet="0123456789-+:.,TZ e_ ", max_size=80), st.sampled_from(ALL_TYPES))
def test_nothing_that_looks_like_a_number_or_a_date_raises(text, attribute):
    convert(text, attribute, extended_types=True)


@settings(max_examples=40)
@given(st.datetimes())
def test_every_moment_of_the_calendar_is_sent_as_its_unix_second(moment):
    seconds = outcome(moment.isoformat(), DATE)
    assert isinstance(seconds, int)
    assert outcome(f"{moment.isoformat()}Z", DATE) == seconds


# Which attributes may be chosen


RULES = CampaignRules(crm_fields=("Company",))


@pytest.mark.parametrize(
    ("attribute", "rules", "expected"),
    [
        (STANDARD["name"], RULES, None),
        (STANDARD["email"], RULES, None),
        (STANDARD["phone"], RULES, None),
        (STANDARD["language_override"], RULES, None),
        (TEXT, RULES, None),
        (LIST, RULES, None),
        (custom(AttributeType.TEXT, archived=True), RULES, Cause.ATTRIBUTE_ARCHIVED),
        (custom(AttributeType.TEXT, writable=False), RULES, Cause.ATTRIBUTE_NOT_WRITABLE),
        (Attribute("role", "role", "Role", AttributeType.TEXT, custom=False), RULES, Cause.ATTRIBUTE_NOT_WRITABLE),
        (Attribute("external_id", "x", "X", AttributeType.TEXT, custom=False), RULES, Cause.ATTRIBUTE_NOT_WRITABLE),
        (Attribute("owner_id", "x", "X", AttributeType.NUMBER, custom=False), RULES, Cause.ATTRIBUTE_NOT_WRITABLE),
        (
            Attribute("unsubscribed_from_emails", "x", "X", AttributeType.BOOLEAN, custom=False),
            RULES,
            Cause.ATTRIBUTE_NOT_WRITABLE,
        ),
        (DATE, RULES, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (DECIMAL, RULES, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (REFERENCE, RULES, Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (DATE, CampaignRules(extended_types=True), None),
        (DECIMAL, CampaignRules(extended_types=True), None),
        (REFERENCE, CampaignRules(extended_types=True), Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (TEXT, CampaignRules(crm_fields=("Plan",)), Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD),
        (STANDARD["name"], CampaignRules(crm_fields=("name",)), None),
    ],
)
def test_which_attributes_may_be_the_target_of_a_row(attribute, rules, expected):
    assert mappable(attribute, rules) is expected


def test_the_qualification_trigger_is_no_target_for_visitors_could_then_type_its_value():
    assert mappable(TEXT, RULES, trigger=TEXT.path) is Cause.ATTRIBUTE_IS_THE_TRIGGER
    assert mappable(TEXT, RULES, trigger="custom_attributes.Other") is None


def test_only_single_line_text_holds_a_link():
    assert holds_link(TEXT) is None
    for attribute in (custom(AttributeType.TEXT, multiline=True), LIST, NUMBER, DATE):
        assert holds_link(attribute) is Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT


# Comparing a reply with what was sent


@pytest.mark.parametrize(
    ("sent", "got", "attribute"),
    [
        ("pro", "pro", TEXT),
        ("pro", " pro ", TEXT),
        ("5", 5, TEXT),
        ("true", True, TEXT),
        ("Phone & SMS", "Phone &amp; SMS", TEXT),
        ("&amp;", "&amp;", TEXT),
        (5, 5, NUMBER),
        (5, 5.0, NUMBER),
        (5, "5", NUMBER),
        (0, 0, NUMBER),
        (True, True, BOOLEAN),
        (False, False, BOOLEAN),
        (True, "true", BOOLEAN),
        ("Free", "free", LIST),
        (0.3, 0.1 + 0.2, DECIMAL),
        (1.5, "1.5", DECIMAL),
        (1774953015, 1774953015, DATE),
        (1774953015, "2026-03-31T10:30:15.000+00:00", DATE),
        (1774953015, "2026-03-31", DATE),
        ("ann@example.com", "Ann@Example.com", STANDARD["email"]),
        ("+49 (30) 12-34", "+49301234", STANDARD["phone"]),
        ("0049301234", "+49 30 1234", STANDARD["phone"]),
        ("EN", "en", STANDARD["language_override"]),
        ("Zoë", "Zoë", STANDARD["name"]),
    ],
)
def test_the_same_value_however_it_is_spelt(sent, got, attribute):
    assert same_value(sent, got, attribute)


@pytest.mark.parametrize(
    ("sent", "got", "attribute"),
    [
        ("pro", "Pro", TEXT),
        ("pro", "", TEXT),
        ("pro", None, TEXT),
        ("pro", ["pro"], TEXT),
        ("x" * 255, "x" * 254, TEXT),
        (5, 6, NUMBER),
        (1, True, NUMBER),
        (0, None, NUMBER),
        (5, "five", NUMBER),
        (False, None, BOOLEAN),
        (False, True, BOOLEAN),
        ("Free", "Pro", LIST),
        (1774953015, 1774953016, DATE),
        (1774953015, "2026-04-01", DATE),
        (1774953015, "soon", DATE),
        ("+49301234", "+49301235", STANDARD["phone"]),
        ("call me", "+49301235", STANDARD["phone"]),
        ("ann", "Ann", STANDARD["name"]),
    ],
)
def test_another_value(sent, got, attribute):
    assert not same_value(sent, got, attribute)
