"""Setting up an audience: what is refused when saved, what is missing before anyone is sent, what is warned of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from app.core.attributes import LeftOut, as_text, attribute_at, convert, fillable, holds_link
from app.core.audiences import (
    Action,
    Attribute,
    AttributeType,
    AudienceSettings,
    CampaignRules,
    Catalogue,
    Field,
    Fixed,
    Join,
    MappingRow,
    QualificationRule,
)
from app.core.causes import CATALOGUE, Cause
from app.core.errors import FieldError
from app.core.mapping import (
    EMAIL,
    LINK,
    ROLE,
    crm_cause,
    crm_rows,
    setup_required,
    source_fields,
    target_cause,
    trigger_path,
)
from app.core.people import CUSTOM, META, PERSON_FIELDS, Audience, Role, Scalar, is_blank

_ROLES = Attribute(ROLE, ROLE, "Role", AttributeType.LIST, options=tuple(Role), writable=False, custom=False)
"""The role as a qualification trigger: seen, compared, and never written."""


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


def link_attributes(settings: AudienceSettings) -> frozenset[str]:
    """The attributes that a person's own link goes to: two campaigns that share one are warned."""
    return frozenset(row.to for row in settings.mapping if LINK in source_fields(row.source))


def _fault(pointer: str, cause: Cause, detail: str | None = None) -> FieldError:
    return FieldError(pointer, cause, detail or CATALOGUE[cause].explanation)


def _mapping_errors(settings: AudienceSettings, catalogue: Catalogue, rules: CampaignRules) -> Iterator[FieldError]:
    trigger = trigger_path(settings)
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
    if fault := trigger_fault(rule.attribute, action, catalogue, rules):
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


def trigger_fault(path: str, action: Action, catalogue: Catalogue, rules: CampaignRules) -> FieldError | None:
    """Why ``path`` can't qualify leads, ``None`` where it can."""
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
        labels = {name.removeprefix(META) for name in source_fields(row.source) if name.startswith(META)}
        if known_meta is not None and not labels <= set(known_meta):
            yield Cause.NOT_IN_PAYLOAD
        attribute = attribute_at(row.to, catalogue)
        if LINK in source_fields(row.source) and attribute is not None and (cause := holds_link(attribute)):
            yield cause
    for row in crm_rows(rules):
        if cause := crm_cause(row.to, settings, catalogue, rules):
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
