import pytest

from app.core.audiences import (
    Action,
    AudienceSettings,
    CampaignRules,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
)
from app.core.causes import Cause
from app.core.mapping import draft
from app.core.people import Person
from app.core.setup import check_settings, link_attributes
from tests.core.workspace import (
    ANN,
    CATALOGUE,
    EXTENDED,
    LEADS,
    PLAIN,
    REFERRERS,
    TO_EMAIL,
    TO_NAME,
    audience,
    row,
    rule,
)


def faults(settings: AudienceSettings, who=LEADS, rules=PLAIN, catalogue=CATALOGUE) -> list[tuple[str, str]]:
    errors = check_settings(settings, who, catalogue, rules, known_meta=None).errors
    assert all(error.detail for error in errors)
    return [(error.pointer, error.cause) for error in errors]


# Saving: rows


@pytest.mark.parametrize(
    "mapped",
    [
        row("meta.Company", "Company"),
        row("referrer.email", "Referrer Email"),
        row("qualified_referrals", "Seats"),
        row(Join(("first_name", "meta.Last Name")), "Campaign"),
        row(Fixed("Summer"), "Campaign"),
        row(Fixed(5), "Seats"),
        row(Fixed("5.0"), "Seats"),
        row(Fixed(False), "Trial"),
        row(Fixed("pro"), "Plan"),
        MappingRow(Field("meta.Phone"), "phone"),
        MappingRow(Fixed("en"), "language_override"),
    ],
)
def test_a_row_maps_a_field_several_joined_or_a_fixed_value(mapped):
    for who in (LEADS, REFERRERS):
        assert faults(audience(mapped), who) == []


@pytest.mark.parametrize(
    ("mapped", "rules", "pointer", "cause"),
    [
        (row("code", "Nowhere"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_UNKNOWN),
        (MappingRow(Field("code"), "nickname"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_UNKNOWN),
        (MappingRow(Field("code"), ""), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_UNKNOWN),
        (row("code", "Old"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_ARCHIVED),
        (row("code", "Locked"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (MappingRow(Field("code"), "role"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (MappingRow(Field("code"), "external_id"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (MappingRow(Field("code"), "owner_id"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (MappingRow(Field("code"), "unsubscribed_from_emails"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (MappingRow(Field("code"), "created_at"), PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_NOT_WRITABLE),
        (row("signed_up_at", "Since"), PLAIN, "/mapping/2/to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (row("referrals", "Score"), PLAIN, "/mapping/2/to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (row("code", "Order"), PLAIN, "/mapping/2/to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (row("code", "Order"), EXTENDED, "/mapping/2/to", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (TO_NAME, PLAIN, "/mapping/2/to", Cause.ATTRIBUTE_ALREADY_MAPPED),
        (
            row("code", "Company"),
            CampaignRules(crm_fields=("Company",)),
            "/mapping/2/to",
            Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD,
        ),
        (row("nickname", "Company"), PLAIN, "/mapping/2/from/field", Cause.INVALID_REQUEST),
        (row("meta.", "Company"), PLAIN, "/mapping/2/from/field", Cause.INVALID_REQUEST),
        (row("", "Company"), PLAIN, "/mapping/2/from/field", Cause.INVALID_REQUEST),
        (row(Join(()), "Company"), PLAIN, "/mapping/2/from/join", Cause.INVALID_REQUEST),
        (row(Join(("code", "x")), "Company"), PLAIN, "/mapping/2/from/join/1", Cause.INVALID_REQUEST),
        (row(Fixed("five"), "Seats"), PLAIN, "/mapping/2/from/value", Cause.VALUE_WRONG_TYPE),
        (row(Fixed("maybe"), "Trial"), PLAIN, "/mapping/2/from/value", Cause.VALUE_WRONG_TYPE),
        (row(Fixed("Team"), "Plan"), PLAIN, "/mapping/2/from/value", Cause.VALUE_NOT_AN_OPTION),
        (row(Fixed("x" * 256), "Company"), PLAIN, "/mapping/2/from/value", Cause.VALUE_TOO_LONG),
        (row(Fixed("soon"), "Since"), EXTENDED, "/mapping/2/from/value", Cause.VALUE_WRONG_TYPE),
    ],
)
def test_what_is_refused_when_saved(mapped, rules, pointer, cause):
    assert faults(audience(mapped), rules=rules) == [(pointer, cause)]


def test_with_extended_types_dates_and_decimals_are_mapped_too():
    assert faults(audience(row("signed_up_at", "Since"), row(Fixed(1.5), "Score")), rules=EXTENDED) == []


@pytest.mark.parametrize(
    "source", [Field("referrer.email"), Fixed("ann@example.com"), Join(("email",)), Field("code")]
)
def test_email_is_mapped_only_from_the_persons_own_email(source):
    settings = AudienceSettings(Action.CREATE_USER, (TO_NAME, MappingRow(source, "email")))
    assert faults(settings) == [("/mapping/1/from", Cause.INVALID_REQUEST)]


def test_all_faults_are_told_at_once():
    settings = audience(row("x", "Nowhere"), row(Fixed("five"), "Seats"), rule=rule("Gone", targets=[""]))
    assert faults(settings) == [
        ("/mapping/2/from/field", Cause.INVALID_REQUEST),
        ("/mapping/2/to", Cause.ATTRIBUTE_UNKNOWN),
        ("/mapping/3/from/value", Cause.VALUE_WRONG_TYPE),
        ("/qualification/attribute", Cause.ATTRIBUTE_UNKNOWN),
    ]


# Saving: qualification


@pytest.mark.parametrize(
    ("trigger", "rules"),
    [
        (rule("stage", "trial", ["pro", "team"]), PLAIN),
        (rule("Plan", "free", ["PRO"]), PLAIN),
        (rule("Seats", 0, ["5", 10]), PLAIN),
        (rule("Trial", True, [False]), PLAIN),
        (rule("Trial", "yes", ["no"]), PLAIN),
        (rule("Since", None, ["2026-03-31"]), PLAIN),
        (rule("Score", None, [1.5]), PLAIN),
        (rule("Score", 0, [1.5]), EXTENDED),
        (rule("Order", None, ["A-1"]), PLAIN),
        (rule("Locked", None, ["pro"]), PLAIN),
        (rule("role", None, ["user"]), PLAIN),
        (rule("role", "lead", ["user"]), PLAIN),
    ],
)
def test_custom_attributes_of_every_type_and_the_role_are_triggers(trigger, rules):
    assert faults(audience(rule=trigger), rules=rules) == []


@pytest.mark.parametrize(
    ("trigger", "pointer", "cause"),
    [
        (rule("Gone"), "/qualification/attribute", Cause.ATTRIBUTE_UNKNOWN),
        (rule("Old"), "/qualification/attribute", Cause.ATTRIBUTE_ARCHIVED),
        (QualificationRule("name", None, ("Ann",)), "/qualification/attribute", Cause.INVALID_REQUEST),
        (QualificationRule("created_at", None, (1,)), "/qualification/attribute", Cause.INVALID_REQUEST),
        (
            rule("Since", "2026-03-31", ["2026-04-01"]),
            "/qualification/initial_value",
            Cause.UNSUPPORTED_ATTRIBUTE_TYPE,
        ),
        (rule("Order", "A", ["B"]), "/qualification/initial_value", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
        (rule("Locked", "trial", ["pro"]), "/qualification/initial_value", Cause.ATTRIBUTE_NOT_WRITABLE),
        (rule("Seats", "few", [5]), "/qualification/initial_value", Cause.VALUE_WRONG_TYPE),
        (rule("Plan", "Trial", ["Pro"]), "/qualification/initial_value", Cause.VALUE_NOT_AN_OPTION),
        (rule("Seats", 0, [5, "many"]), "/qualification/target_values/1", Cause.VALUE_WRONG_TYPE),
        (rule("Plan", "Free", ["Team"]), "/qualification/target_values/0", Cause.VALUE_NOT_AN_OPTION),
        (rule("Since", None, ["soon"]), "/qualification/target_values/0", Cause.VALUE_WRONG_TYPE),
        (rule("stage", None, ["x" * 256]), "/qualification/target_values/0", Cause.VALUE_TOO_LONG),
        (rule("role", None, ["customer"]), "/qualification/target_values/0", Cause.VALUE_NOT_AN_OPTION),
    ],
)
def test_a_rule_that_could_not_work_is_refused(trigger, pointer, cause):
    assert faults(audience(rule=trigger)) == [(pointer, cause)]


def test_only_leads_qualify():
    assert faults(audience(rule=rule("stage")), REFERRERS) == [("/qualification", Cause.ONLY_LEADS_QUALIFY)]


def test_the_role_is_no_trigger_for_people_who_are_created_as_users():
    settings = audience(action=Action.CREATE_USER, rule=rule("role", None, ["user"]))
    assert faults(settings) == [("/qualification/attribute", Cause.INVALID_REQUEST)]


def test_the_trigger_is_no_target_of_a_row_and_no_crm_field():
    assert faults(audience(row("meta.x", "stage"), rule=rule("stage"))) == [
        ("/mapping/2/to", Cause.ATTRIBUTE_IS_THE_TRIGGER)
    ]
    assert faults(audience(rule=rule("stage")), rules=CampaignRules(crm_fields=("stage",))) == [
        ("/qualification/attribute", Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD)
    ]


# Saving: what is missing, and warnings


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (AudienceSettings(), (Cause.ACTION_IS_NOTHING,)),
        (AudienceSettings(Action.CREATE_LEAD), (Cause.NAME_NOT_MAPPED, Cause.EMAIL_NOT_MAPPED)),
        (AudienceSettings(Action.CREATE_USER, (TO_NAME,)), (Cause.EMAIL_NOT_MAPPED,)),
        (AudienceSettings(Action.CREATE_LEAD, (TO_EMAIL,)), (Cause.NAME_NOT_MAPPED,)),
        (audience(), ()),
        (audience(action=Action.NOTHING), (Cause.ACTION_IS_NOTHING,)),
    ],
)
def test_nothing_is_sent_until_there_is_an_action_with_name_and_email_mapped(settings, missing):
    check = check_settings(settings, LEADS, CATALOGUE, PLAIN, known_meta=None)
    assert check.errors == ()
    assert check.setup_required == missing
    assert draft(Person(LEADS, ANN), settings, CATALOGUE, PLAIN).cause == next(iter(missing), None)


@pytest.mark.parametrize(
    ("settings", "rules", "warnings"),
    [
        (audience(row("meta.Company", "Company")), PLAIN, ()),
        (audience(row("meta.Budget", "Company")), PLAIN, (Cause.NOT_IN_PAYLOAD,)),
        (audience(row(Fixed(" "), "Company")), PLAIN, (Cause.NOT_IN_PAYLOAD,)),
        (audience(row("url", "Link")), PLAIN, ()),
        (audience(row("url", "Notes")), PLAIN, (Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT,)),
        (audience(), CampaignRules(crm_fields=("Nowhere",)), (Cause.ATTRIBUTE_UNKNOWN,)),
        (audience(rule=rule("stage", "trial", [])), PLAIN, (Cause.VALUE_NOT_A_TARGET,)),
        (audience(rule=rule("stage", "trial", ["", "pro"])), PLAIN, (Cause.VALUE_NOT_A_TARGET,)),
        (audience(rule=rule("stage", "Pro", ["pro"])), PLAIN, (Cause.ALREADY_CONVERTED,)),
    ],
)
def test_what_is_saved_with_a_warning(settings, rules, warnings):
    check = check_settings(settings, LEADS, CATALOGUE, rules, known_meta=["Company"])
    assert check.errors == ()
    assert check.warnings == warnings


def test_a_workspace_whose_list_was_not_read_yet_has_the_standard_attributes():
    assert faults(audience(MappingRow(Field("meta.Phone"), "phone")), catalogue={}) == []


def test_the_attributes_that_a_link_goes_to():
    settings = audience(row("url", "Link"), row("referrer.url", "Notes"), row("code", "Company"))
    assert link_attributes(settings) == {"custom_attributes.Link"}
