import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.audiences import (
    Action,
    AudienceSettings,
    CampaignRules,
    Duplicates,
    Field,
    Fixed,
    Join,
    MappingRow,
)
from app.core.causes import Cause
from app.core.mapping import (
    FieldResult,
    compare,
    creation,
    draft,
    draft_back,
    needed_fields,
    rows_written_back,
    update,
)
from app.core.people import Audience, Contact, ContactDraft, Person, Role
from app.core.setup import check_settings
from tests.core.workspace import (
    ANN,
    ATTRIBUTES,
    CATALOGUE,
    EXTENDED,
    LEADS,
    PLAIN,
    TO_EMAIL,
    audience,
    row,
    rule,
)


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


@settings(max_examples=40)
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


# Written back


COUNTED = {"first_name": "Ann", "email": "ann@example.com", "url": "https://x.test/a", "referrals": 0}


@pytest.mark.parametrize(
    ("rows", "targets"),
    [
        ((row("url", "Link"), row("referrals", "Seats"), row("qualified_referrals", "Score")), "Link Seats Score"),
        ((row(Join(("first_name", "referrals")), "Company"), row("url", "Link")), "Company Link"),
        ((row("code", "Company"), row(Fixed("url"), "Link"), row(Join(("first_name", "code")), "Notes")), ""),
        ((row("referrer.url", "Link"), row("meta.url", "Company")), ""),
    ],
)
def test_what_is_written_back_are_the_rows_made_of_the_persons_own_link_or_counts(rows, targets):
    back = rows_written_back(audience(*rows))
    assert [one.to.removeprefix("custom_attributes.") for one in back] == targets.split()
    drafted = draft_back(Person(Audience.REFERRERS, COUNTED), audience(*rows), CATALOGUE, PLAIN)
    assert [one.to for one in drafted.fields] == [one.to for one in back]


@pytest.mark.parametrize(
    "settings",
    [
        audience(row("url", "Link"), action=Action.NOTHING),
        AudienceSettings(Action.CREATE_USER, (TO_EMAIL, row("url", "Link"))),
    ],
)
def test_nothing_is_written_back_where_nobody_is_sent(settings):
    assert rows_written_back(settings) == ()


@pytest.mark.parametrize(
    ("one", "values", "value", "cause"),
    [
        (row("referrals", "Seats"), {}, 0, None),
        (row("referrals", "Company"), {}, "0", None),
        (row("referrals", "Notes"), {}, "0", None),
        (row("url", "Link"), {"url": " https://x.test/b "}, "https://x.test/b", None),
        (row("url", "Notes"), {}, None, Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT),
        (row("url", "Plan"), {"url": "Pro"}, None, Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT),
        (row(Join(("first_name", "url")), "Notes"), {}, None, Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT),
        (row("url", "Notes"), {"url": None}, None, Cause.NOT_IN_PAYLOAD),
        (row("url", "Seats"), {}, None, Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT),
        (row("url", "Plan"), {}, None, Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT),
        (row("url", "Link"), {"url": "nul\0"}, None, Cause.VALUE_WRONG_TYPE),
        (row("url", "Link"), {"url": "x" * 256}, None, Cause.VALUE_TOO_LONG),
        (row("url", "Old"), {}, None, Cause.ATTRIBUTE_ARCHIVED),
        (row("referrals", "Missing"), {}, None, Cause.ATTRIBUTE_UNKNOWN),
        (row("qualified_referrals", "Seats"), {}, None, Cause.NOT_IN_PAYLOAD),
    ],
)
def test_what_is_written_back_is_converted_as_at_sending_and_a_link_needs_single_line_text(one, values, value, cause):
    person = Person(Audience.REFERRERS, {**COUNTED, **values})
    drafted = draft_back(person, audience(one), CATALOGUE, PLAIN)
    assert drafted.fields == (FieldResult(one.to, value, cause),)
    assert drafted.values == ({one.to: value} if value is not None else {})


def test_a_person_who_could_not_be_sent_today_is_written_back_all_the_same():
    drafted = draft_back(
        Person(Audience.REFERRERS, {"referrals": 3}), audience(row("referrals", "Seats")), CATALOGUE, PLAIN
    )
    assert (drafted.cause, drafted.values) == (None, {"custom_attributes.Seats": 3})


def test_of_two_rows_for_one_attribute_the_first_is_written_back_and_crm_fields_are_not():
    rules = CampaignRules(crm_fields=("Company",))
    settings = audience(row("referrals", "Seats"), row("qualified_referrals", "Seats"))
    values = {"referrals": 1, "qualified_referrals": 2, "meta.Company": "Acme"}
    drafted = draft_back(Person(Audience.REFERRERS, values), settings, CATALOGUE, rules)
    assert drafted.values == {"custom_attributes.Seats": 1}
    assert [one.cause for one in drafted.fields] == [None, Cause.ATTRIBUTE_ALREADY_MAPPED]
