"""From a person to a contact: what a mapping makes of a person, and what Intercom made of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.core.attributes import (
    NEVER_FILLED,
    Conversion,
    Converted,
    LeftOut,
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
from app.core.causes import Cause
from app.core.people import (
    CUSTOM,
    META,
    Contact,
    ContactDraft,
    Person,
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
WRITTEN_BACK = frozenset({LINK, "referrals", "qualified_referrals"})
"""What changes of a referrer after they have joined."""

_NO_VALUES: Mapping[str, Scalar] = MappingProxyType({})


# What a mapping is made of


def setup_required(settings: AudienceSettings) -> tuple[Cause, ...]:
    """What is missing before anyone of this audience is sent; empty where the audience is complete."""
    if settings.action is Action.NOTHING:
        return (Cause.ACTION_IS_NOTHING,)
    targets = {row.to for row in settings.mapping}
    missing = {NAME: Cause.NAME_NOT_MAPPED, EMAIL: Cause.EMAIL_NOT_MAPPED}
    return tuple(cause for path, cause in missing.items() if path not in targets)


def target_cause(path: str, catalogue: Catalogue, rules: CampaignRules, *, trigger: str | None) -> Cause | None:
    """Why ``path`` can't be the target of a row made by hand, ``None`` where it can."""
    attribute = attribute_at(path, catalogue)
    if attribute is None:
        return Cause.ATTRIBUTE_NOT_WRITABLE if path in NEVER_FILLED else Cause.ATTRIBUTE_UNKNOWN
    return mappable(attribute, rules, trigger=trigger)


def trigger_path(settings: AudienceSettings) -> str | None:
    """The custom attribute that no row may fill; a rule on anything else has its own fault, or is the role."""
    path = settings.qualification.attribute if settings.qualification else ""
    return path if path.startswith(CUSTOM) else None


def needed_fields(settings: AudienceSettings, rules: CampaignRules) -> frozenset[str]:
    """The fields of a person that rows and CRM fields read, by their names in ``Person.values``."""
    rows = [*settings.mapping, *crm_rows(rules)]
    return frozenset(name for row in rows for name in source_fields(row.source))


def source_fields(source: Source) -> tuple[str, ...]:
    """The fields of the person that a row's value is made of."""
    match source:
        case Field(name):
            return (name,)
        case Join(names):
            return names
        case Fixed():
            return ()


def crm_rows(rules: CampaignRules) -> tuple[MappingRow, ...]:
    """A CRM field is mapped by itself to the custom attribute of the same name."""
    return tuple(MappingRow(Field(META + label), CUSTOM + label) for label in dict.fromkeys(rules.crm_fields))


def crm_cause(path: str, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Cause | None:
    """Why a CRM field can't fill ``path``: as for a row made by hand, but for its being taken."""
    by_itself = CampaignRules(extended_types=rules.extended_types)
    return target_cause(path, catalogue, by_itself, trigger=trigger_path(settings))


def rows_written_back(settings: AudienceSettings) -> tuple[MappingRow, ...]:
    """The rows made of what changes after a referrer has joined; none where nobody of the audience is sent."""
    if setup_required(settings):
        return ()
    return tuple(row for row in settings.mapping if not WRITTEN_BACK.isdisjoint(source_fields(row.source)))


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


def draft_back(person: Person, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Drafted:
    """What is written back of a referrer: the rows of ``rows_written_back``, converted as at sending, and the link to
    single-line text only. Nothing stops it."""
    back = rows_written_back(settings)
    results = _field_results(person, settings, catalogue, rules)
    by_row = zip(settings.mapping, results, strict=False)  # those of CRM fields come after
    fields = tuple(_unless_no_link(row, result, catalogue) for row, result in by_row if row in back)
    values = {result.to: result.value for result in fields if result.value is not None}
    return Drafted(MappingProxyType(values), fields)


def draft_rows(person: Person, rows: Sequence[MappingRow], catalogue: Catalogue, rules: CampaignRules) -> Drafted:
    """What is written back by rows of a sync, converted alike. Nothing stops it."""
    settings = AudienceSettings(mapping=tuple(rows))
    results = _field_results(person, settings, catalogue, rules)
    by_row = zip(settings.mapping, results, strict=False)
    fields = tuple(_unless_no_link(row, result, catalogue) for row, result in by_row)
    values = {result.to: result.value for result in fields if result.value is not None}
    return Drafted(MappingProxyType(values), fields)


def _unless_no_link(row: MappingRow, result: FieldResult, catalogue: Catalogue) -> FieldResult:
    attribute = attribute_at(row.to, catalogue)
    cause = holds_link(attribute) if attribute and LINK in source_fields(row.source) else None
    # An attribute of another type is at fault, not the link for being no number.
    at_fault = cause and result.cause in (None, Cause.VALUE_WRONG_TYPE, Cause.VALUE_NOT_AN_OPTION)
    return FieldResult(row.to, cause=cause) if at_fault else result


def _field_results(
    person: Person, settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules
) -> Iterator[FieldResult]:
    trigger = trigger_path(settings)
    taken: set[str] = set()
    for row in settings.mapping:
        cause = target_cause(row.to, catalogue, rules, trigger=trigger)
        if row.to in taken:
            cause = Cause.ATTRIBUTE_ALREADY_MAPPED
        taken.add(row.to)
        yield _field_result(row, cause, person, catalogue, rules)
    for row in crm_rows(rules):
        yield _field_result(row, crm_cause(row.to, settings, catalogue, rules), person, catalogue, rules)


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
