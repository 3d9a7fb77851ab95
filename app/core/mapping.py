"""From a person to a contact: what a mapping may be, what it makes of a person, and what Intercom made of that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.core.attributes import (
    NEVER_FILLED,
    Conversion,
    Converted,
    LeftOut,
    as_text,
    attribute_at,
    convert,
    fillable,
    holds_link,
    mappable,
    same_value,
)
from app.core.audiences import (
    Action,
    Attribute,
    AttributeType,
    AudienceSettings,
    CampaignRules,
    Catalogue,
    Duplicates,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
    Source,
)
from app.core.causes import CATALOGUE, Cause
from app.core.errors import FieldError
from app.core.people import (
    CUSTOM,
    META,
    PERSON_FIELDS,
    Audience,
    Contact,
    ContactDraft,
    Person,
    Role,
    Scalar,
    is_blank,
    is_email,
    normalised_email,
)

NAME = "name"
EMAIL = "email"
ROLE = "role"
REQUIRED = (NAME, EMAIL)
"""What nobody is sent without."""
LINK = "url"

_ROLES = Attribute(ROLE, ROLE, "Role", AttributeType.LIST, options=tuple(Role), writable=False, custom=False)
"""The role as a qualification trigger: seen, compared, and never written."""

_NO_VALUES: Mapping[str, Scalar] = MappingProxyType({})


# Checking settings


@dataclass(frozen=True, slots=True)
class SettingsCheck:
    """Settings with ``errors`` are not saved; ``setup_required`` says what is missing before anything is sent."""

    errors: tuple[FieldError, ...] = ()
    setup_required: tuple[Cause, ...] = ()
    warnings: tuple[Cause, ...] = ()


def check_settings(
    settings: AudienceSettings,
    audience: Audience,
    catalogue: Catalogue,
    rules: CampaignRules,
    *,
    known_meta: Collection[str] | None = None,
) -> SettingsCheck:
    """Every fault of an audience's settings at once, each with a JSON pointer into the settings' wire form.

    ``known_meta`` are the labels of the campaign's own fields, ``None`` where they are not known: a row with another
    label is only warned of, for a label can be new.
    """
    errors = [*_mapping_errors(settings, catalogue, rules)]
    if settings.qualification is not None:
        errors += _qualification_errors(settings.qualification, settings.action, audience, catalogue, rules)
    warnings = dict.fromkeys(_warnings(settings, catalogue, rules, known_meta))
    return SettingsCheck(tuple(errors), setup_required(settings), tuple(warnings))


def setup_required(settings: AudienceSettings) -> tuple[Cause, ...]:
    """What is missing before anyone of this audience is sent; empty where the audience is complete."""
    if settings.action is Action.NOTHING:
        return (Cause.ACTION_IS_NOTHING,)
    targets = {row.to for row in settings.mapping}
    missing = {NAME: Cause.NAME_NOT_MAPPED, EMAIL: Cause.EMAIL_NOT_MAPPED}
    return tuple(cause for path, cause in missing.items() if path not in targets)


def link_attributes(settings: AudienceSettings) -> frozenset[str]:
    """The attributes that a person's own link goes to: two campaigns that share one are warned."""
    return frozenset(row.to for row in settings.mapping if LINK in _names(row.source))


def _fault(pointer: str, cause: Cause, detail: str | None = None) -> FieldError:
    return FieldError(pointer, cause, detail or CATALOGUE[cause].explanation)


def _mapping_errors(settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Iterator[FieldError]:
    trigger = _trigger_path(settings)
    taken: set[str] = set()
    for index, row in enumerate(settings.mapping):
        pointer = f"/mapping/{index}"
        yield from _source_errors(row, pointer)
        cause = target_cause(row.to, catalogue, rules, trigger=trigger)
        if row.to in taken:
            cause = Cause.ATTRIBUTE_ALREADY_MAPPED
        taken.add(row.to)
        if cause is not None:
            yield _fault(f"{pointer}/to", cause)
        elif isinstance(row.source, Fixed) and row.to != EMAIL:
            yield from _value_errors(
                row.source.value, attribute_at(row.to, catalogue), f"{pointer}/from/value", rules
            )


def target_cause(path: str, catalogue: Catalogue, rules: CampaignRules, *, trigger: str | None) -> Cause | None:
    """Why ``path`` can't be the target of a row made by hand, ``None`` where it can."""
    attribute = attribute_at(path, catalogue)
    if attribute is None:
        return Cause.ATTRIBUTE_NOT_WRITABLE if path in NEVER_FILLED else Cause.ATTRIBUTE_UNKNOWN
    return mappable(attribute, rules, trigger=trigger)


def _source_errors(row: MappingRow, pointer: str) -> Iterator[FieldError]:
    if row.to == EMAIL and row.source != Field(EMAIL):
        # Links and locks are kept by this address: it must be the person's own.
        yield _fault(f"{pointer}/from", Cause.INVALID_REQUEST, "Email takes the person's own email and nothing else.")
        return
    match row.source:
        case Field(name):
            named = [(f"{pointer}/from/field", name)]
        case Join(names):
            named = [(f"{pointer}/from/join/{index}", name) for index, name in enumerate(names)]
            if not names:
                yield _fault(f"{pointer}/from/join", Cause.INVALID_REQUEST, "Name at least one field to join.")
        case Fixed():
            named = []
    for where, name in named:
        if not is_person_field(name):
            yield _fault(where, Cause.INVALID_REQUEST, f"A person has no field “{name}”.")


def is_person_field(name: str) -> bool:
    """Whether a mapping may name this field: one of the listed ones, or ``meta.`` and a label."""
    return name in PERSON_FIELDS or (name.startswith(META) and not is_blank(name.removeprefix(META)))


def _value_errors(
    value: Scalar, attribute: Attribute | None, pointer: str, rules: CampaignRules, *, extended_types: bool = False
) -> Iterator[FieldError]:
    """A blank value is no fault: it is never written and never matches, which a warning says."""
    if attribute is None:
        return
    converted = convert(value, attribute, extended_types=extended_types or rules.extended_types)
    if isinstance(converted, LeftOut) and converted.cause is not Cause.NOT_IN_PAYLOAD:
        yield _fault(pointer, converted.cause)


def _qualification_errors(
    rule: QualificationRule, action: Action, audience: Audience, catalogue: Catalogue, rules: CampaignRules
) -> Iterator[FieldError]:
    if audience is not Audience.LEADS:
        yield _fault("/qualification", Cause.ONLY_LEADS_QUALIFY)
        return
    if fault := _trigger_fault(rule.attribute, action, catalogue, rules):
        yield fault
        return
    trigger = trigger_at(rule.attribute, catalogue)
    if trigger is None:
        return
    if rule.initial_value is not None and not is_blank(rule.initial_value):
        # The initial value is written on create, the role by creating; anything else must be fillable.
        if trigger.path != ROLE and (cause := fillable(trigger, extended_types=rules.extended_types)):
            yield _fault("/qualification/initial_value", cause)
        else:
            yield from _value_errors(rule.initial_value, trigger, "/qualification/initial_value", rules)
    for index, target in enumerate(rule.target_values):
        # Targets are only compared, never written: every type will do.
        yield from _value_errors(
            target, _comparable(trigger), f"/qualification/target_values/{index}", rules, extended_types=True
        )


def trigger_at(path: str, catalogue: Catalogue) -> Attribute | None:
    """The attribute of a qualification rule: a custom one, or the role as a list of two options."""
    return _ROLES if path == ROLE else catalogue.get(path)


def _trigger_path(settings: AudienceSettings) -> str | None:
    """The custom attribute that no row may fill; a rule on anything else has its own fault, or is the role."""
    path = settings.qualification.attribute if settings.qualification else ""
    return path if path.startswith(CUSTOM) else None


def _trigger_fault(path: str, action: Action, catalogue: Catalogue, rules: CampaignRules) -> FieldError | None:
    pointer = "/qualification/attribute"
    if path == ROLE:
        if action is not Action.CREATE_USER:
            return None
        return _fault(
            pointer, Cause.INVALID_REQUEST, "People created as users never turn from lead to user; choose another."
        )
    attribute = attribute_at(path, catalogue)
    if attribute is None:
        return _fault(pointer, Cause.ATTRIBUTE_UNKNOWN)
    if not path.startswith(CUSTOM):
        return _fault(pointer, Cause.INVALID_REQUEST, "Only your own attributes and the role can qualify a lead.")
    if attribute.archived:
        return _fault(pointer, Cause.ATTRIBUTE_ARCHIVED)
    if path.removeprefix(CUSTOM) in rules.crm_fields:
        return _fault(pointer, Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD)
    return None


def _comparable(trigger: Attribute) -> Attribute:
    if trigger.type is not AttributeType.REFERENCE:
        return trigger
    return Attribute(trigger.path, trigger.name, trigger.label, AttributeType.TEXT)


def _warnings(
    settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules, known_meta: Collection[str] | None
) -> Iterator[Cause]:
    for row in settings.mapping:
        if isinstance(row.source, Fixed) and is_blank(row.source.value):
            yield Cause.NOT_IN_PAYLOAD
        labels = {name.removeprefix(META) for name in _names(row.source) if name.startswith(META)}
        if known_meta is not None and not labels <= set(known_meta):
            yield Cause.NOT_IN_PAYLOAD
        attribute = attribute_at(row.to, catalogue)
        if LINK in _names(row.source) and attribute is not None and (cause := holds_link(attribute)):
            yield cause
    for row in _crm_rows(rules):
        if cause := _crm_cause(row.to, settings, catalogue, rules):
            yield cause
    if settings.qualification is not None:
        yield from _rule_warnings(settings.qualification)


def _rule_warnings(rule: QualificationRule) -> Iterator[Cause]:
    targets = {_compared(value) for value in rule.target_values}
    if not targets or "" in targets:
        yield Cause.VALUE_NOT_A_TARGET
    if rule.initial_value is not None and _compared(rule.initial_value) in targets - {""}:
        yield Cause.ALREADY_CONVERTED  # what we write ourselves would count as converted


def _compared(value: Scalar) -> str:
    return (as_text(value) or "").strip().casefold()


# What a mapping needs


def needed_fields(settings: AudienceSettings, rules: CampaignRules) -> frozenset[str]:
    """The fields of a person that rows and CRM fields read, by their names in ``Person.values``."""
    rows = [*settings.mapping, *_crm_rows(rules)]
    return frozenset(name for row in rows for name in _names(row.source))


def _names(source: Source) -> tuple[str, ...]:
    match source:
        case Field(name):
            return (name,)
        case Join(names):
            return names
        case Fixed():
            return ()


def _crm_rows(rules: CampaignRules) -> tuple[MappingRow, ...]:
    """A CRM field is mapped by itself to the custom attribute of the same name."""
    return tuple(MappingRow(Field(META + label), CUSTOM + label) for label in dict.fromkeys(rules.crm_fields))


def _crm_cause(path: str, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Cause | None:
    by_itself = CampaignRules(extended_types=rules.extended_types)
    trigger = _trigger_path(settings)
    return target_cause(path, catalogue, by_itself, trigger=trigger)


# Drafting


@dataclass(frozen=True, slots=True)
class FieldResult:
    """What became of one row: the value that is sent, or the cause why none is."""

    to: str
    value: Scalar | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """What a mapping made of a person: a value by path, a result for each row, and what stops the person, if so.

    ``initial`` is the qualification's initial value, apart because it is written only where the attribute is blank.
    A row whose field was left out is in ``fields`` with its cause; the person is sent all the same.
    """

    values: Mapping[str, Scalar]
    fields: tuple[FieldResult, ...]
    cause: Cause | None = None
    initial: Mapping[str, Scalar] = field(default_factory=lambda: _NO_VALUES)

    @property
    def left_out(self) -> tuple[FieldResult, ...]:
        return tuple(result for result in self.fields if result.cause is not None)


def draft(person: Person, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Drafted:
    """Map ``person`` against the current ``catalogue``, CRM fields included.

    ``cause`` is set where nobody is sent at all: the audience is not set up, the email is missing or invalid, or the
    name is missing. Anything else that can't be sent costs its own field only.
    """
    fields = tuple(_field_results(person, settings, catalogue, rules))
    values = {result.to: result.value for result in fields if result.value is not None}
    initial, initial_fault = _initial_value(settings.qualification, catalogue, rules)
    return Drafted(
        MappingProxyType(values),
        fields + initial_fault,
        next(iter(setup_required(settings)), None) or _stop(fields),
        initial,
    )


def _field_results(
    person: Person, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules
) -> Iterator[FieldResult]:
    trigger = _trigger_path(settings)
    taken: set[str] = set()
    for row in settings.mapping:
        cause = target_cause(row.to, catalogue, rules, trigger=trigger)
        if row.to in taken:
            cause = Cause.ATTRIBUTE_ALREADY_MAPPED
        taken.add(row.to)
        yield _field_result(row, cause, person, catalogue, rules)
    for row in _crm_rows(rules):
        yield _field_result(row, _crm_cause(row.to, settings, catalogue, rules), person, catalogue, rules)


def _field_result(
    row: MappingRow, cause: Cause | None, person: Person, catalogue: Catalogue, rules: CampaignRules
) -> FieldResult:
    if row.to == EMAIL and cause is not Cause.ATTRIBUTE_ALREADY_MAPPED:
        return _email_result(person)
    attribute = attribute_at(row.to, catalogue)
    if cause is not None or attribute is None:
        return FieldResult(row.to, cause=cause)
    result = _as_result(row.to, _mapped(row.source, person, attribute, rules))
    if row.to == NAME and result.cause is Cause.NOT_IN_PAYLOAD:
        return FieldResult(NAME, cause=Cause.MISSING_REQUIRED_VALUE)
    return result


def _email_result(person: Person) -> FieldResult:
    """Sent in the form in which people are searched for, lower-cased, so that a later search finds them."""
    email = normalised_email(person.values.get(EMAIL))
    if not email:
        return FieldResult(EMAIL, cause=Cause.MISSING_REQUIRED_VALUE)
    return FieldResult(EMAIL, email) if is_email(email) else FieldResult(EMAIL, cause=Cause.INVALID_EMAIL)


def _as_result(to: str, conversion: Conversion) -> FieldResult:
    match conversion:
        case Converted(value):
            return FieldResult(to, value)
        case LeftOut(cause):
            return FieldResult(to, cause=cause)


def _mapped(source: Source, person: Person, attribute: Attribute, rules: CampaignRules) -> Conversion:
    match source:
        case Field(name):
            value: object = person.values.get(name)
        case Fixed(fixed):
            value = fixed
        case Join(names):
            parts = [convert(person.values.get(name), _ANY_TEXT, extended_types=False) for name in names]
            present = [part for part in parts if part != LeftOut(Cause.NOT_IN_PAYLOAD)]
            if fault := next((part for part in present if isinstance(part, LeftOut)), None):
                return fault
            value = " ".join(str(part.value) for part in present if isinstance(part, Converted))
    return convert(value, attribute, extended_types=rules.extended_types)


_ANY_TEXT = Attribute("", "", "", AttributeType.TEXT)
"""What a part of a join is converted to before the whole is."""


def _initial_value(
    rule: QualificationRule | None, catalogue: Catalogue, rules: CampaignRules
) -> tuple[Mapping[str, Scalar], tuple[FieldResult, ...]]:
    """The initial value to write, or the result that says why it can't be. A role is given by creating."""
    if rule is None or rule.attribute == ROLE or rule.initial_value is None or is_blank(rule.initial_value):
        return _NO_VALUES, ()
    attribute = catalogue.get(rule.attribute)
    if attribute is None:
        return _NO_VALUES, (FieldResult(rule.attribute, cause=Cause.ATTRIBUTE_UNKNOWN),)
    if cause := fillable(attribute, extended_types=rules.extended_types):
        return _NO_VALUES, (FieldResult(rule.attribute, cause=cause),)
    match convert(rule.initial_value, attribute, extended_types=rules.extended_types):
        case Converted(value):
            return MappingProxyType({rule.attribute: value}), ()
        case LeftOut(cause):
            return _NO_VALUES, (FieldResult(rule.attribute, cause=cause),)


def _stop(fields: Sequence[FieldResult]) -> Cause | None:
    """Only a missing or invalid email, or a missing name, stops a person; the email is the more telling."""
    stops = {
        result.to: result.cause
        for result in fields
        if result.to in REQUIRED and result.cause in (Cause.MISSING_REQUIRED_VALUE, Cause.INVALID_EMAIL)
    }
    return stops.get(EMAIL) or stops.get(NAME)


# Writing


def creation(drafted: Drafted, settings: AudienceSettings) -> ContactDraft:
    """The contact to create: every mapped value, the qualification's initial value, and the role of the action.

    Only for a ``drafted`` without a cause. There is no ``external_id``: Intercom ignores one given to a lead.
    """
    return ContactDraft(MappingProxyType({**drafted.values, **drafted.initial}), settings.action.role)


def update(drafted: Drafted, contact: Contact, policy: Duplicates, catalogue: Catalogue) -> ContactDraft:
    """What to write to ``contact``, as read by id; an empty draft where nothing is.

    ``update`` writes what differs, ``fill_blanks`` what is blank there (``0`` and ``False`` are not), ``skip``
    nothing. The initial value is written only where the attribute is blank; role, email and external id never.
    """
    if policy is Duplicates.SKIP:
        return ContactDraft(_NO_VALUES)
    values = {
        path: value
        for path, value in drafted.values.items()
        if path != EMAIL and _to_be_written(path, value, contact, policy, catalogue)
    }
    initial = {path: value for path, value in drafted.initial.items() if is_blank(contact.value(path))}
    return ContactDraft(MappingProxyType({**values, **initial}))


def _to_be_written(path: str, value: Scalar, contact: Contact, policy: Duplicates, catalogue: Catalogue) -> bool:
    if policy is Duplicates.FILL_BLANKS:
        return is_blank(contact.value(path))
    return not same_value(value, contact.value(path), attribute_at(path, catalogue) or _ANY_TEXT)


def compare(sent: ContactDraft, reply: Contact, catalogue: Catalogue) -> tuple[FieldResult, ...]:
    """What Intercom did not keep of ``sent``: it answers 200 for fields that it ignores."""
    return tuple(
        FieldResult(path, value, Cause.VALUE_REFUSED_BY_INTERCOM)
        for path, value in sent.values.items()
        if not same_value(value, reply.value(path), attribute_at(path, catalogue) or _ANY_TEXT)
    )
