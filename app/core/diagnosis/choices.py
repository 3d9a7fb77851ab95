"""An attribute can't be chosen: in a mapping, or for the link."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from app.core.attributes import NEVER_FILLED, STANDARD, attribute_at, holds_link, mappable
from app.core.audiences import Attribute
from app.core.causes import Cause
from app.core.diagnosis.checks import Action, Check, Plain, Question, Telling, moment, ok, problem, unknown
from app.core.diagnosis.facts import Elsewhere, Facts
from app.core.diagnosis.fields import path_of, refresh
from app.core.mapping import LINK, setup_required, source_fields
from app.core.people import CUSTOM, Audience

CHOICE, LINK_CHOICE = Question.ATTRIBUTE_NOT_SELECTABLE, Question.LINK_ATTRIBUTE_NOT_SELECTABLE

FRESH_FOR = timedelta(hours=1)
"""The list of attributes is read every 15 minutes: one that is much older was kept from being read."""

_REFRESHED = frozenset({Cause.ATTRIBUTE_UNKNOWN, Cause.ATTRIBUTE_ARCHIVED})


def checks_of_choice(facts: Facts) -> Iterator[Check]:
    yield _list(facts)
    if facts.asked.attribute is None:
        return
    path = path_of(facts.asked.attribute, facts)
    cause = _why_not(path, facts)
    yield _answer(f"attribute.{path}", CHOICE, path, cause, facts)


def _list(facts: Facts) -> Check:
    """Whether what there is to choose from is as Intercom has it now."""
    read_at = facts.workspace.refreshed_at
    evidence: dict[str, Plain] = {"attributes": len(facts.catalogue), "refreshed_at": moment(read_at)}
    if not facts.catalogue:
        said, cause = "No attribute has been read from Intercom yet.", Cause.ATTRIBUTE_UNKNOWN
        action = refresh(facts)
        return problem("catalogue", CHOICE, cause, Telling.FIELD, said=said, evidence=evidence, action=action)
    if read_at is not None and facts.now - read_at > FRESH_FOR:
        return unknown(
            "catalogue",
            CHOICE,
            "The attributes were read some time ago, so one that was made since is not in the list.",
            "Click “Refresh attributes”.",
            evidence,
            cause=Cause.ATTRIBUTE_UNKNOWN,
            action=refresh(facts),
        )
    return ok("catalogue", CHOICE, "The list of attributes is fresh.", evidence)


def _why_not(path: str, facts: Facts) -> Cause | None:
    """As the mapping's own list has it. That a row goes there already is an answer to this question alone: else
    every mapped attribute would be a problem."""
    attribute = attribute_at(path, facts.catalogue)
    if attribute is None:
        return Cause.ATTRIBUTE_NOT_WRITABLE if path in NEVER_FILLED else Cause.ATTRIBUTE_UNKNOWN
    rules = [one.qualification for one in facts.audiences.values() if one.qualification is not None]
    trigger = path if path in {rule.attribute for rule in rules} else None
    cause = mappable(attribute, facts.rules, trigger=trigger)
    own = trigger is None or not _is_of_the_rule_alone(cause, facts)
    if cause is not None and own:
        return cause
    mapped = any(row.to == path for one in facts.audiences.values() for row in one.mapping)
    return Cause.ATTRIBUTE_ALREADY_MAPPED if mapped and facts.asked.outright(CHOICE) else None


def _is_of_the_rule_alone(cause: Cause | None, facts: Facts) -> bool:
    """That the trigger can't be mapped is as it should be, unless somebody asks to choose it."""
    return cause is Cause.ATTRIBUTE_IS_THE_TRIGGER and not facts.asked.outright(CHOICE)


def _answer(id_: str, question: Question, path: str, cause: Cause | None, facts: Facts) -> Check:
    attribute = attribute_at(path, facts.catalogue)
    evidence = {**_described(path, attribute), "refreshed_at": moment(facts.workspace.refreshed_at)}
    if cause is None:
        return ok(id_, question, f"{path} can be chosen.", evidence)
    if cause is Cause.ATTRIBUTE_ALREADY_MAPPED:
        evidence["mapped_in"] = tuple(
            audience.value for audience, one in facts.audiences.items() if any(row.to == path for row in one.mapping)
        )
    # Where nothing but the attribute is asked about, it comes before whatever else is amiss.
    telling = Telling.FIELD if facts.person_asked or question is LINK_CHOICE else Telling.CAMPAIGN
    return problem(id_, question, cause, telling, evidence=evidence, action=_mends(facts, cause))


def _described(path: str, attribute: Attribute | None) -> dict[str, Plain]:
    if attribute is None:
        return {"attribute": path}
    return {
        "attribute": path,
        "label": attribute.label,
        "type": attribute.type.value,
        "multiline": attribute.multiline,
        "writable": attribute.writable,
        "archived": attribute.archived,
        "options": attribute.options[:50],
    }


def _mends(facts: Facts, cause: Cause) -> Action | None:
    target = {"campaign_id": str(facts.campaign_id)}
    if cause in _REFRESHED:
        return refresh(facts)
    if cause in (Cause.UNSUPPORTED_ATTRIBUTE_TYPE, Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD):
        return Action("change_campaign", target)
    return None


# The link's


def checks_of_link(facts: Facts) -> Iterator[Check]:
    """The attribute that is asked about, else those that the link goes to, else whether there is one at all."""
    paths = [path_of(facts.asked.attribute, facts)] if facts.asked.attribute else sorted(link_paths(facts))
    if facts.asked.attribute and not facts.asked.outright(LINK_CHOICE) and not set(paths) & link_paths(facts):
        return  # it is about another one
    for path in paths:
        yield _link(path, facts)
    if not paths:
        yield _any(facts)


def link_paths(facts: Facts) -> frozenset[str]:
    """Where links go to by what is set up: an audience's rows, and what syncs write back."""
    rows = [
        row
        for audience in Audience
        if not setup_required(facts.settings(audience))
        for row in facts.settings(audience).mapping
    ]
    rows += [row for sync in facts.syncs if sync.state != "cancelled" for row in sync.settings.write_back]
    return frozenset(row.to for row in rows if LINK in source_fields(row.source))


def _link(path: str, facts: Facts) -> Check:
    id_, attribute = f"link_attribute.{path}", attribute_at(path, facts.catalogue)
    cause = _why_no_link(path, attribute, facts)
    sharing = [one for one in facts.others if path in one.links]
    if cause is None and sharing:
        return _shared(id_, path, sharing, facts)
    return _answer(id_, LINK_CHOICE, path, cause, facts)


def _why_no_link(path: str, attribute: Attribute | None, facts: Facts) -> Cause | None:
    if attribute is None:
        return Cause.ATTRIBUTE_NOT_WRITABLE if path in NEVER_FILLED else Cause.ATTRIBUTE_UNKNOWN
    cause = mappable(attribute, facts.rules)
    # Of another type it is no place for a link either, and that is the plainer word.
    if cause in (None, Cause.UNSUPPORTED_ATTRIBUTE_TYPE):
        cause = holds_link(attribute) or cause
    if cause is not None:
        return cause
    if attribute.path in STANDARD:
        return Cause.ATTRIBUTE_NOT_WRITABLE
    taken = any(
        row.to == path and LINK not in source_fields(row.source)
        for one in facts.audiences.values()
        for row in one.mapping
    )
    return Cause.ATTRIBUTE_ALREADY_MAPPED if taken else None


def _shared(id_: str, path: str, sharing: list[Elsewhere], facts: Facts) -> Check:
    names = ", ".join(one.name for one in sharing)
    return problem(
        id_,
        LINK_CHOICE,
        Cause.ATTRIBUTE_SHARED_BY_CAMPAIGNS,
        Telling.FIELD,
        said=f"Also used by: {names}.",
        evidence={
            "attribute": path,
            "campaign_ids": tuple(str(one.campaign_id) for one in sharing),
            "campaigns": names,
        },
        action=Action("create_attribute", {"workspace_id": str(facts.workspace.id)}),
    )


def _any(facts: Facts) -> Check:
    fit = [
        one.path
        for one in facts.catalogue.values()
        if one.path.startswith(CUSTOM) and _why_no_link(one.path, one, facts) is None
    ]
    evidence: dict[str, Plain] = {"fit": tuple(fit[:20]), "refreshed_at": moment(facts.workspace.refreshed_at)}
    if fit:
        return ok("link_attribute", LINK_CHOICE, "There are attributes that can hold the link.", evidence)
    return problem(
        "link_attribute",
        LINK_CHOICE,
        Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT,
        Telling.NOTE,
        said="No attribute of the workspace can hold the link.",
        evidence=evidence,
        action=Action("create_attribute", {"workspace_id": str(facts.workspace.id)}),
    )
