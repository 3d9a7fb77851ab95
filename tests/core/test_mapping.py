import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.audiences import (
    Action,
    Attribute,
    AttributeType,
    AudienceSettings,
    CampaignRules,
    Duplicates,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
)
from app.core.causes import Cause
from app.core.mapping import (
    FieldResult,
    check_settings,
    compare,
    creation,
    draft,
    link_attributes,
    needed_fields,
    update,
)
from app.core.people import Audience, Contact, ContactDraft, Person, Role

LEADS, REFERRERS = Audience.LEADS, Audience.REFERRERS
PLAIN = CampaignRules()
EXTENDED = CampaignRules(extended_types=True)


def custom(name: str, type_: AttributeType = AttributeType.TEXT, **more) -> Attribute:
    return Attribute(f"custom_attributes.{name}", name, name, type_, **more)


ATTRIBUTES = (
    custom("Campaign"),
    custom("Company"),
    custom("Referrer Email"),
    custom("Link"),
    custom("Notes", multiline=True),
    custom("Seats", AttributeType.NUMBER),
    custom("Trial", AttributeType.BOOLEAN),
    custom("Plan", AttributeType.LIST, options=("Free", "Pro")),
    custom("Score", AttributeType.DECIMAL),
    custom("Since", AttributeType.DATE),
    custom("Order", AttributeType.REFERENCE),
    custom("Old", archived=True),
    custom("Locked", writable=False),
    custom("stage"),
    Attribute("role", "role", "Role", AttributeType.TEXT, custom=False),
    Attribute("created_at", "created_at", "Created", AttributeType.DATE, writable=False, custom=False),
)
CATALOGUE = {attribute.path: attribute for attribute in ATTRIBUTES}

TO_NAME = MappingRow(Field("first_name"), "name")
TO_EMAIL = MappingRow(Field("email"), "email")
ANN = {"first_name": "Ann", "email": "Ann@Example.com", "meta.Company": "Acme"}


def row(source, name: str) -> MappingRow:
    return MappingRow(Field(source) if isinstance(source, str) else source, f"custom_attributes.{name}")


def audience(*rows: MappingRow, action=Action.CREATE_LEAD, rule: QualificationRule | None = None) -> AudienceSettings:
    return AudienceSettings(action, (TO_NAME, TO_EMAIL, *rows), qualification=rule)


def rule(name: str, initial_value=None, targets=("pro",)) -> QualificationRule:
    return QualificationRule(name if name == "role" else f"custom_attributes.{name}", initial_value, tuple(targets))


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


def test_what_a_mapping_needs_of_a_person():
    settings = audience(row(Join(("code", "meta.Last Name")), "Campaign"), row(Fixed("x"), "Company"))
    needed = needed_fields(settings, CampaignRules(crm_fields=("Budget",)))
    assert needed == {"first_name", "email", "code", "meta.Last Name", "meta.Budget"}


# Drafting


def drafted(values: dict, *rows: MappingRow, rules=PLAIN, catalogue=CATALOGUE, qualification=None):
    settings = audience(*rows, rule=qualification)
    return draft(Person(LEADS, values), settings, catalogue, rules)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("Company", "  Acme ", "Acme"),
        ("Company", 5, "5"),
        ("Company", True, "true"),
        ("Company", "x" * 255, "x" * 255),
        ("Company", "x" * 256, Cause.VALUE_TOO_LONG),
        ("Seats", "-12", -12),
        ("Seats", "+12", 12),
        ("Seats", "5.0", 5),
        ("Seats", 0, 0),
        ("Seats", "five", Cause.VALUE_WRONG_TYPE),
        ("Trial", "Yes", True),
        ("Trial", "0", False),
        ("Trial", False, False),
        ("Trial", "ja", Cause.VALUE_WRONG_TYPE),
        ("Plan", "pro", "Pro"),
        ("Plan", "Team", Cause.VALUE_NOT_AN_OPTION),
        ("Score", "1.5", 1.5),
        ("Score", "1,5", Cause.VALUE_WRONG_TYPE),
        ("Since", "2026-03-31", 1774915200),
        ("Since", "soon", Cause.VALUE_WRONG_TYPE),
        ("Company", None, Cause.NOT_IN_PAYLOAD),
        ("Seats", "", Cause.NOT_IN_PAYLOAD),
        ("Plan", "  ", Cause.NOT_IN_PAYLOAD),
        ("Nowhere", "x", Cause.ATTRIBUTE_UNKNOWN),
        ("Old", "x", Cause.ATTRIBUTE_ARCHIVED),
        ("Locked", "x", Cause.ATTRIBUTE_NOT_WRITABLE),
        ("Order", "x", Cause.UNSUPPORTED_ATTRIBUTE_TYPE),
    ],
)
def test_the_person_always_arrives_for_a_lead_and_for_a_user(role, name, value, sent):
    action = {Role.LEAD: Action.CREATE_LEAD, Role.USER: Action.CREATE_USER}[role]
    settings = audience(row("meta.Field", name), action=action)
    result = draft(Person(LEADS, {**ANN, "meta.Field": value}), settings, CATALOGUE, EXTENDED)
    path = f"custom_attributes.{name}"
    arrived = {} if isinstance(sent, Cause) else {path: sent}
    contact = creation(result, settings)
    assert result.cause is None
    assert contact.role is role
    assert contact.values == {"name": "Ann", "email": "ann@example.com", **arrived}
    assert all(type(contact.values[path]) is type(value) for path, value in arrived.items())
    expected = FieldResult(path, cause=sent) if isinstance(sent, Cause) else FieldResult(path, sent)
    assert result.fields[-1] == expected
    assert result.left_out == ((expected,) if isinstance(sent, Cause) else ())


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({**ANN, "email": None}, Cause.MISSING_REQUIRED_VALUE),
        ({**ANN, "email": " "}, Cause.MISSING_REQUIRED_VALUE),
        ({"first_name": "Ann"}, Cause.MISSING_REQUIRED_VALUE),
        ({**ANN, "email": "ann"}, Cause.INVALID_EMAIL),
        ({**ANN, "email": "ann@"}, Cause.INVALID_EMAIL),
        ({**ANN, "email": 5}, Cause.INVALID_EMAIL),
        ({**ANN, "email": "a" * 250 + "@example.com"}, Cause.INVALID_EMAIL),
        ({**ANN, "first_name": None}, Cause.MISSING_REQUIRED_VALUE),
        ({**ANN, "first_name": "\t"}, Cause.MISSING_REQUIRED_VALUE),
        ({"email": "ann", "first_name": None}, Cause.INVALID_EMAIL),
        ({**ANN, "first_name": "0"}, None),
        ({**ANN, "first_name": "x" * 256}, None),
        ({**ANN, "email": " ANN+Spring@Example.com "}, None),
    ],
)
def test_only_a_missing_or_invalid_email_or_a_missing_name_stops_a_person(values, cause):
    assert drafted(values).cause is cause


def test_the_email_is_sent_in_the_form_it_is_searched_by():
    assert drafted({**ANN, "email": " ANN+Spring@Example.com "}).values["email"] == "ann+spring@example.com"


@pytest.mark.parametrize(
    ("first", "last", "sent"),
    [
        ("Ann", "Lee", "Ann Lee"),
        (" Ann ", " Lee ", "Ann Lee"),
        ("Ann", None, "Ann"),
        ("", "Lee", "Lee"),
        (None, " ", None),
    ],
)
def test_joined_fields_are_the_present_parts_with_a_space_between(first, last, sent):
    settings = AudienceSettings(
        Action.CREATE_LEAD, (MappingRow(Join(("first_name", "meta.Last Name")), "name"), TO_EMAIL)
    )
    result = draft(Person(LEADS, {**ANN, "first_name": first, "meta.Last Name": last}), settings, CATALOGUE, PLAIN)
    assert result.values.get("name") == sent
    assert result.cause == (None if sent else Cause.MISSING_REQUIRED_VALUE)


def test_a_crm_field_maps_itself_to_the_attribute_of_its_name():
    rules = CampaignRules(crm_fields=("Company", "Nowhere"))
    result = drafted(ANN, rules=rules)
    assert result.values["custom_attributes.Company"] == "Acme"
    assert result.fields[2:] == (
        FieldResult("custom_attributes.Company", "Acme"),
        FieldResult("custom_attributes.Nowhere", cause=Cause.ATTRIBUTE_UNKNOWN),
    )


def test_a_row_saved_before_its_attribute_became_a_crm_field_gives_way():
    rules = CampaignRules(crm_fields=("Company",))
    result = drafted(ANN, row(Fixed("By hand"), "Company"), rules=rules)
    assert result.values["custom_attributes.Company"] == "Acme"
    assert result.left_out == (FieldResult("custom_attributes.Company", cause=Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD),)


def test_no_field_of_the_form_reaches_the_trigger_not_even_a_crm_field():
    result = drafted(
        {**ANN, "meta.stage": "pro"},
        row("meta.stage", "stage"),
        rules=CampaignRules(crm_fields=("stage",)),
        qualification=rule("stage", "trial"),
    )
    assert "custom_attributes.stage" not in result.values
    assert result.initial == {"custom_attributes.stage": "trial"}


# Writing


def test_the_initial_value_is_written_on_create():
    settings = audience(rule=rule("Plan", "free"))
    contact = creation(draft(Person(LEADS, ANN), settings, CATALOGUE, PLAIN), settings)
    assert contact.values["custom_attributes.Plan"] == "Free"


@pytest.mark.parametrize("trigger", [rule("role", "lead", ["user"]), rule("stage", None), rule("stage", " ")])
def test_no_initial_value_is_written_for_a_role_or_where_any_will_do(trigger):
    result = drafted(ANN, qualification=trigger)
    assert result.initial == {}
    assert result.left_out == ()


@pytest.mark.parametrize(
    ("trigger", "cause"),
    [
        (rule("Gone", "trial"), Cause.ATTRIBUTE_UNKNOWN),
        (rule("Old", "trial"), Cause.ATTRIBUTE_ARCHIVED),
        (rule("Plan", "Trial"), Cause.VALUE_NOT_AN_OPTION),
    ],
)
def test_an_initial_value_that_can_no_longer_be_written_is_named_and_the_person_arrives(trigger, cause):
    result = drafted(ANN, qualification=trigger)
    assert result.cause is None
    assert result.initial == {}
    assert result.left_out == (FieldResult(trigger.attribute, cause=cause),)


def contact(name="Ann", email="ann@example.com", **attributes) -> Contact:
    return Contact("1", Role.LEAD, email, name, custom_attributes=attributes)


@pytest.mark.parametrize(
    ("existing", "policy", "written"),
    [
        (contact(name="Bob", Company="Old", Seats=0), Duplicates.SKIP, {}),
        (
            contact(name="Bob", Company="Old", Seats=0),
            Duplicates.UPDATE,
            {"name": "Ann", "custom_attributes.Company": "Acme", "custom_attributes.Seats": 5},
        ),
        (contact(Company="Acme", Seats=5.0), Duplicates.UPDATE, {}),
        (contact(email="other@example.com", Company="Acme", Seats="5"), Duplicates.UPDATE, {}),
        (contact(name="Bob", Company="Old", Seats=0), Duplicates.FILL_BLANKS, {}),
        (
            contact(name=" ", Company=None),
            Duplicates.FILL_BLANKS,
            {"name": "Ann", "custom_attributes.Company": "Acme", "custom_attributes.Seats": 5},
        ),
        (
            contact(name="", email=None, Company="", Seats=False),
            Duplicates.FILL_BLANKS,
            {
                "name": "Ann",
                "custom_attributes.Company": "Acme",
            },
        ),
    ],
)
def test_what_is_written_to_a_contact_that_is_there(existing, policy, written):
    result = drafted({**ANN, "meta.Seats": "5"}, row("meta.Company", "Company"), row("meta.Seats", "Seats"))
    assert update(result, existing, policy, CATALOGUE) == ContactDraft(written)


@pytest.mark.parametrize("policy", [Duplicates.UPDATE, Duplicates.FILL_BLANKS])
@pytest.mark.parametrize(
    ("current", "written"),
    [
        ({}, {"custom_attributes.Seats": 0}),
        ({"Seats": None}, {"custom_attributes.Seats": 0}),
        ({"Seats": 0}, {}),
        ({"Seats": 3}, {}),
    ],
)
def test_on_update_the_initial_value_is_written_only_where_the_attribute_is_blank(policy, current, written):
    result = drafted(ANN, qualification=rule("Seats", 0, [5]))
    assert update(result, contact(**current), policy, CATALOGUE).values == written


def test_what_intercom_ignored_is_found_in_its_reply():
    sent = ContactDraft(
        {
            "name": "Ann & Bo",
            "email": "ann@example.com",
            "phone": "+49 30 12",
            "custom_attributes.Company": "Acme",
            "custom_attributes.Seats": 5,
            "custom_attributes.Plan": "Pro",
            "custom_attributes.Unlisted": "x",
        },
        Role.LEAD,
    )
    reply = Contact(
        "1",
        Role.LEAD,
        "ANN@example.com",
        "Ann &amp; Bo",
        "+493012",
        custom_attributes={"Seats": 5.0, "Company": None, "Plan": "Free", "Unlisted": "x"},
    )
    assert compare(sent, reply, CATALOGUE) == (
        FieldResult("custom_attributes.Company", "Acme", Cause.VALUE_REFUSED_BY_INTERCOM),
        FieldResult("custom_attributes.Plan", "Pro", Cause.VALUE_REFUSED_BY_INTERCOM),
    )


# Whatever the settings and the person


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from([*(a.name for a in ATTRIBUTES if a.custom), "Nowhere"])
SOURCES = st.one_of(
    st.sampled_from(["code", "meta.Company", "meta.x"]).map(Field),
    VALUES.filter(lambda value: value is not None).map(Fixed),
    st.lists(st.sampled_from(["code", "meta.x"]), max_size=3).map(tuple).map(Join),
)
ROWS = st.lists(st.builds(row, SOURCES, NAMES), max_size=5)


@given(
    rows=ROWS,
    person=st.dictionaries(st.sampled_from(["first_name", "email", "code", "meta.Company", "meta.x"]), VALUES),
    extended_types=st.booleans(),
    crm_fields=st.lists(NAMES, max_size=2).map(tuple),
    trigger=NAMES,
)
def test_a_draft_holds_mapped_writable_paths_alone_and_every_row_has_a_result(
    rows, person, extended_types, crm_fields, trigger
):
    settings = audience(*rows, rule=rule(trigger, "trial"))
    rules = CampaignRules(extended_types, crm_fields)
    check_settings(settings, LEADS, CATALOGUE, rules, known_meta=None)
    result = draft(Person(LEADS, person), settings, CATALOGUE, rules)
    mapped = {"name", "email", *(r.to for r in rows), *(f"custom_attributes.{name}" for name in crm_fields)}
    assert set(result.values) <= mapped - {f"custom_attributes.{trigger}"}
    assert {r.to for r in result.fields} >= mapped
    assert all((r.value is None) != (r.cause is None) for r in result.fields)
    for path in result.values:
        attribute = CATALOGUE.get(path)
        assert attribute is None or (attribute.writable and not attribute.archived)
