"""What an audience's settings page shows: what is saved, what is typed, the menus, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import make_response, render_template
from sqlalchemy import Row
from werkzeug.wrappers import Response

from app.core.attributes import attribute_at, holds_link
from app.core.audiences import Action, Attribute, AttributeType, AudienceSettings, QualificationRule
from app.core.causes import CATALOGUE, Cause
from app.core.errors import FieldError
from app.core.mapping import ROLE, crm_cause, crm_rows
from app.core.people import CUSTOM, Audience, Person
from app.core.setup import link_attributes, trigger_at, trigger_fault
from app.storage import people, workspaces
from app.usecases.attribute_choices import Choice, choices
from app.usecases.set_up_audience import ShownAudience, Surroundings, faults, shown_audience, surroundings
from app.usecases.try_settings import Whom, example, someone
from app.web.console import audience_words
from app.web.console.access import services
from app.web.console.audience_form import Faults, Form, form_of, kept_in
from app.web.console.audience_trial import Outcome, outcome_of
from app.web.console.audience_words import ChangeWords
from schemas.audiences import document_from, read_audience

PEOPLE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Target:
    """An attribute in a menu; ``why_not`` is the title of the cause for which it can't be chosen."""

    path: str
    label: str
    type: str
    why_not: str | None


@dataclass(slots=True)
class Page:
    """The settings page: what is saved, what is typed, and what there is to say of both."""

    around: Surroundings
    audience: Audience
    saved: ShownAudience
    form: Form
    faults: Faults = field(default_factory=dict)
    outcome: Outcome | None = None
    overtaken: list[ChangeWords] | None = None
    attribute_faults: Faults = field(default_factory=dict)
    notice: str | None = None
    problem: tuple[Cause, str] | None = None
    focus: str | None = None

    @property
    def campaign(self) -> Row[Any]:
        return self.around.campaign

    @property
    def settings(self) -> AudienceSettings:
        """What was typed, as far as it can be read."""
        return read_audience(self.body()).settings

    def body(self) -> dict[str, Any]:
        return self.form.body(self.audience, kept_in(self.saved.settings))

    def try_out(self) -> None:
        """See what would become of whoever the form names."""
        self.outcome = outcome_of(self.campaign.id, self.audience, self.body(), self.form.person)


def page_of(campaign_id: int, audience: Audience, form: Form | None = None) -> Page:
    """Raises: InvalidRequest 404."""
    with services().database.reading() as connection:
        around = surroundings(connection, campaign_id)
    saved = shown_audience(around, audience, around.newest.get(audience))
    return Page(around, audience, saved, form or form_of(saved.settings, saved.version))


def rendered(page: Page, status: int = 200) -> Response:
    with services().database.reading() as connection:
        workspace = workspaces.get(connection, page.campaign.workspace_id)
        known = people.some_of(connection, page.campaign.id, page.audience.value, PEOPLE_SHOWN)
        person, whom = someone(connection, page.campaign.id, page.audience, page.form.person)
    labels = page.campaign.fields.get(page.audience.value) or []
    settings = page.settings
    if whom is Whom.EXAMPLE:
        person = example(page.audience, settings, page.around.rules, labels, page.form.person)
    return make_response(
        render_template(
            "console/audience.html",
            page=page,
            form=page.form,
            faults=page.faults,
            campaign=page.campaign,
            audience=page.audience,
            one=page.audience.value.removesuffix("s"),
            saved=page.saved,
            workspace=workspace,
            emails=[row.email for row in known],
            fields=_fields(page, labels, person),
            targets=_targets(page),
            taken=[row.to for row in page.form.rows],
            triggers=_triggers(page) if page.audience is Audience.LEADS else [],
            crm=_crm(page, settings),
            about=_about(page),
            types=[type_ for type_ in AttributeType if type_ is not AttributeType.REFERENCE],
            **rule_told(page.form, page.around, settings),
        ),
        status,
    )


def _fields(page: Page, labels: Sequence[str], person: Person) -> Any:
    used = [name for row in page.form.rows for name in row.fields]
    return list(audience_words.field_choices(labels, used, person))


def _targets(page: Page) -> list[Target]:
    """Every attribute, those that can be chosen first. What other rows fill is greyed row by row."""
    path = page.form.trigger if page.form.qualifies and page.form.trigger.startswith(CUSTOM) else ""
    rule = QualificationRule(path, None, ()) if path else None
    found = choices(page.around.catalogue, page.around.rules, [AudienceSettings(qualification=rule)])
    return _in_order([_target(choice) for choice in found])


def _target(choice: Choice) -> Target:
    attribute, cause = choice
    why_not = CATALOGUE[cause].title if cause is not None else None
    return Target(attribute.path, _menu_label(attribute), attribute.type.value, why_not)


def _menu_label(attribute: Attribute) -> str:
    """With the name where the label is another: people know attributes by either."""
    label, name = audience_words.menu_label(attribute), audience_words.cut(attribute.name)
    return label if label.casefold() == name.casefold() or not attribute.custom else f"{label} ({name})"


def _in_order(targets: Iterable[Target]) -> list[Target]:
    first = {"name": 0, "email": 1}
    return sorted(
        targets,
        key=lambda one: (
            one.why_not is not None,
            first.get(one.path, 2),
            one.path.startswith(CUSTOM),
            one.label.casefold(),
        ),
    )


def _triggers(page: Page) -> list[Target]:
    """The role and the workspace's own attributes, each with the reason why it can't qualify a lead."""
    around, action = page.around, _action(page.form)
    own = [attribute for attribute in around.catalogue.values() if attribute.path.startswith(CUSTOM)]
    filled = {row.to for row in page.form.rows}
    found = [Target(ROLE, "Role (lead or user)", "list", _no_trigger(ROLE, action, around, filled))]
    for attribute in own:
        why_not = _no_trigger(attribute.path, action, around, filled)
        found.append(Target(attribute.path, _menu_label(attribute), attribute.type.value, why_not))
    return sorted(found, key=lambda one: (one.why_not is not None, one.path != ROLE, one.label.casefold()))


def _action(form: Form) -> Action:
    return Action(form.action) if form.action in set(Action) else Action.NOTHING


def _no_trigger(path: str, action: Action, around: Surroundings, filled: set[str]) -> str | None:
    fault = trigger_fault(path, action, around.catalogue, around.rules)
    if fault is None:
        return "A row of the mapping fills it" if path in filled else None
    return CATALOGUE[Cause(fault.cause)].title if fault.cause != Cause.INVALID_REQUEST else fault.detail


def _crm(page: Page, settings: AudienceSettings) -> list[tuple[str, Cause | None]]:
    """The CRM fields' own rows: label, and why it can't be filled."""
    around = page.around
    rows = crm_rows(around.rules)
    return [
        (row.to.removeprefix(CUSTOM), crm_cause(row.to, settings, around.catalogue, around.rules)) for row in rows
    ]


def rule_told(form: Form, around: Surroundings, settings: AudienceSettings) -> dict[str, Any]:
    """What the qualification's sentence and suggestions are made of."""
    trigger = trigger_at(form.trigger, around.catalogue) if form.qualifies else None
    return {
        "words": audience_words,
        "trigger_label": audience_words.attribute_label(form.trigger, around.catalogue) if form.trigger else "",
        "suggestions": _suggestions(trigger),
        "rule": settings.qualification,
    }


def _suggestions(trigger: Attribute | None) -> Sequence[str]:
    if trigger is None:
        return ()
    return ("true", "false") if trigger.type is AttributeType.BOOLEAN else trigger.options


def _about(page: Page) -> dict[str, str]:
    """What of the saved settings each warning is about, by the cause."""
    around, settings = page.around, page.saved.settings
    wrong = faults(around, page.audience, read_audience(document_from(settings)))
    found = [(fault.cause, _path_of(fault, settings)) for fault in wrong]
    found += [(cause.value, CUSTOM + label) for label, cause in _crm(page, settings) if cause is not None]
    for path in sorted(link_attributes(settings)):
        attribute = attribute_at(path, around.catalogue)
        cause = holds_link(attribute) if attribute is not None else None
        found += [(cause.value, path)] if cause is not None else []
        shared = path in around.links_elsewhere
        found += [(Cause.ATTRIBUTE_SHARED_BY_CAMPAIGNS.value, path)] if shared else []
    about: dict[str, dict[str, None]] = {}
    for named, path in found:
        about.setdefault(named, {})[audience_words.attribute_label(path, around.catalogue)] = None
    return {named: f"It is about: {', '.join(labels)}." for named, labels in about.items()}


def _path_of(fault: FieldError, settings: AudienceSettings) -> str:
    """The attribute of the row, or of the rule, that a fault is in."""
    _, part, *rest = [*fault.pointer.split("/"), ""]
    if part == "mapping" and rest[0].isdigit():
        return settings.mapping[int(rest[0])].to
    return settings.qualification.attribute if settings.qualification is not None else ""
