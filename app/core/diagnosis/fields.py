"""Someone arrives, but an attribute is not updated, or nothing of an existing contact is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.core.attributes import attribute_at, same_value
from app.core.audiences import AudienceSettings, Duplicates
from app.core.causes import Cause
from app.core.diagnosis.arrival import SENT, replay, sentence
from app.core.diagnosis.checks import Action, Check, Evidence, Plain, Question, Telling, moment, ok, problem, shown
from app.core.diagnosis.facts import Deed, Facts, Known
from app.core.identity import value_digest
from app.core.mapping import (
    REQUIRED,
    FieldResult,
    crm_cause,
    crm_rows,
    draft,
    setup_required,
    source_fields,
    target_cause,
    trigger_path,
)
from app.core.people import CUSTOM, Audience, Contact, normalised_email

FIELDS, UPDATES = Question.ATTRIBUTE_NOT_UPDATED, Question.DOES_NOT_UPDATE

_OF_THE_CATALOGUE = frozenset(
    {Cause.ATTRIBUTE_UNKNOWN, Cause.ATTRIBUTE_ARCHIVED, Cause.VALUE_NOT_AN_OPTION, Cause.ATTRIBUTE_NOT_WRITABLE}
)
"""What a fresh list of attributes may change."""


def path_of(asked: str, facts: Facts) -> str:
    """The attribute that is meant by a path, a name or a label; what nothing fits is taken for a path."""
    wanted = asked.strip()
    if attribute_at(wanted, facts.catalogue) is not None:
        return wanted
    if CUSTOM + wanted in facts.catalogue:
        return CUSTOM + wanted
    named = (
        one.path
        for one in facts.catalogue.values()
        if wanted.casefold() in (one.path.casefold(), one.name.casefold(), one.label.casefold())
    )
    return next(named, wanted)


# An attribute


def checks_of_fields(facts: Facts) -> Iterator[Check]:
    asked = path_of(facts.asked.attribute, facts) if facts.asked.attribute else None
    found = [
        check
        for audience in Audience
        for check in (_of_person(facts, audience) if facts.person_asked else _of_audience(facts, audience))
        if asked is None or check.evidence.get("attribute") == asked
    ]
    yield from found
    if asked is not None and not found and _is_set_up(facts):
        yield from _of_one(facts, asked)
    elif not found:
        said = "No field of this person was left out." if facts.people else "No mapped field is left out."
        yield ok("fields", FIELDS, said)


def _is_set_up(facts: Facts) -> bool:
    return any(not setup_required(facts.settings(audience)) for audience in Audience)


def _of_one(facts: Facts, path: str) -> Iterator[Check]:
    """Of an attribute that nothing is amiss with: it is filled, or no row goes there."""
    rows = {row.to for audience in Audience for row in facts.settings(audience).mapping}
    rows |= {row.to for row in crm_rows(facts.rules)}
    evidence: Evidence = {"attribute": path, "mapped": path in rows}
    if path in rows:
        yield ok(f"field.{path}", FIELDS, f"Nothing keeps {path} from being filled.", evidence)
        return
    known = attribute_at(path, facts.catalogue) is not None
    yield problem(
        f"field.{path}",
        FIELDS,
        Cause.NOT_IN_PAYLOAD if known else Cause.ATTRIBUTE_UNKNOWN,
        Telling.FIELD,
        said=f"No row of the mapping goes to {path}.",
        evidence=evidence,
        action=None if known else refresh(facts),
    )


def refresh(facts: Facts) -> Action:
    return Action("refresh_catalogue", {"workspace_id": str(facts.workspace.id)})


def _of_audience(facts: Facts, audience: Audience) -> Iterator[Check]:
    """What keeps a row from being filled for anybody, and of whom it was left out lately."""
    settings = facts.settings(audience)
    if setup_required(settings):
        return
    everybody = dict(_faults_of_rows(settings, facts))
    for path, cause in everybody.items():
        yield _row(facts, audience, path, cause, everybody=True)
    if audience is not _first_set_up(facts):
        return
    for (path, cause), count in facts.fields_left_out.items():
        if path not in everybody and path not in REQUIRED and cause is not Cause.NOT_IN_PAYLOAD:
            yield _row(facts, audience, path, cause, count=count)


def _first_set_up(facts: Facts) -> Audience | None:
    return next((one for one in Audience if not setup_required(facts.settings(one))), None)


def _faults_of_rows(settings: AudienceSettings, facts: Facts) -> Iterator[tuple[str, Cause]]:
    trigger, taken = trigger_path(settings), set[str]()
    for row in settings.mapping:
        cause = target_cause(row.to, facts.catalogue, facts.rules, trigger=trigger)
        if row.to in taken:
            cause = Cause.ATTRIBUTE_ALREADY_MAPPED
        taken.add(row.to)
        if cause is not None:
            yield row.to, cause
    for row in crm_rows(facts.rules):
        if cause := crm_cause(row.to, settings, facts.catalogue, facts.rules):
            yield row.to, cause


def _row(
    facts: Facts, audience: Audience, path: str, cause: Cause, *, count: int | None = None, everybody: bool = False
) -> Check:
    evidence: dict[str, Plain] = {"attribute": path, "audience": audience.value, "everybody": everybody}
    evidence |= _described(path, facts)
    if count is not None:
        evidence["people"] = count
    said = f"{path} is left out of everybody." if everybody else f"{path} was left out of {count} people lately."
    action = _mends(facts, audience, cause)
    id_ = f"field.{audience}.{path}.{cause}"
    return problem(id_, FIELDS, cause, Telling.FIELD, said=said, evidence=evidence, action=action)


def _described(path: str, facts: Facts) -> dict[str, Plain]:
    """The attribute as Intercom described it last."""
    attribute = attribute_at(path, facts.catalogue)
    refreshed: dict[str, Plain] = {"refreshed_at": moment(facts.workspace.refreshed_at)}
    if attribute is None:
        return refreshed
    described: dict[str, Plain] = {"type": attribute.type.value, "archived": attribute.archived}
    if attribute.options:
        described["options"] = attribute.options[:50]
    return described | refreshed


def _mends(facts: Facts, audience: Audience, cause: Cause) -> Action:
    if cause in _OF_THE_CATALOGUE:
        return refresh(facts)
    return Action("set_up_audience", {"campaign_id": str(facts.campaign_id), "audience": audience.value})


def _of_person(facts: Facts, audience: Audience) -> Iterator[Check]:
    """What was left out when they were written to last, or would be today."""
    known, settings = facts.of(audience), facts.settings(audience)
    if known is None or setup_required(settings):
        return
    written = next((one for one in known.deeds if one.verb in ("send", "write_back") and one.outcome in SENT), None)
    then = {path: cause for path, cause in written.fields if cause is not None} if written is not None else {}
    today = _today(known, settings, facts)
    for path in dict.fromkeys([*then, *today]):
        cause = _cause_of(path, then, today.get(path), facts)
        if cause is not None and path not in REQUIRED:
            yield _field(facts, known, settings, path, cause, then.get(path), today.get(path), written)


def _today(known: Known, settings: AudienceSettings, facts: Facts) -> dict[str, FieldResult]:
    """What the mapping makes of them by now, by path. Of two rows that go to the same attribute the one with a cause,
    unless a CRM field fills it."""
    results = draft(known.person, settings, facts.catalogue, facts.rules).fields
    found: dict[str, FieldResult] = {}
    for one in results[: len(settings.mapping)]:
        if one.to not in found or one.cause is not None:
            found[one.to] = one
    for one in results[len(settings.mapping) :]:
        if one.to not in found or one.value is not None:
            found[one.to] = one
    return found


def _cause_of(path: str, then: Mapping[str, Cause], today: FieldResult | None, facts: Facts) -> Cause | None:
    """What stands in the way by now comes first; else what did then, unless it is there meanwhile."""
    if today is not None and today.cause not in (None, Cause.NOT_IN_PAYLOAD):
        return today.cause
    if today is not None and today.value is not None and (path, value_digest(today.value)) in facts.refused:
        return Cause.VALUE_REFUSED_BY_INTERCOM
    if path not in then or _is_there(path, today, facts):
        return today.cause if today is not None and path in then else None
    return then[path]


def _is_there(path: str, today: FieldResult | None, facts: Facts) -> bool:
    contact, attribute = facts.contact_now, attribute_at(path, facts.catalogue)
    if contact is None or attribute is None or today is None or today.value is None:
        return False
    return same_value(today.value, contact.value(path), attribute)


def _field(
    facts: Facts,
    known: Known,
    settings: AudienceSettings,
    path: str,
    cause: Cause,
    then: Cause | None,
    today: FieldResult | None,
    written: Deed | None,
) -> Check:
    contact = facts.contact_now
    evidence: dict[str, Plain] = {
        "attribute": path,
        "audience": known.audience.value,
        "given": shown(_given(path, settings, known)),
        "in_intercom": shown(contact.value(path)) if contact is not None else None,
        "written_at": moment(written.at if written is not None else None),
        "cause_then": then.value if then is not None else None,
        "cause_today": today.cause.value if today is not None and today.cause is not None else None,
        **_described(path, facts),
    }
    mended = today is not None and today.cause is None and cause is then
    event_id = written.event_id if written is not None else None
    action = replay(event_id) if mended and event_id is not None else _mends(facts, known.audience, cause)
    telling = Telling.NOTE if cause is Cause.NOT_IN_PAYLOAD else Telling.FIELD
    said = f"{path} was left out."
    if mended:
        said += " By today's attributes it would be filled: replay the event."
    id_ = f"field.{known.audience}.{path}"
    return problem(id_, FIELDS, cause, telling, said=said, evidence=evidence, action=action)


def _given(path: str, settings: AudienceSettings, known: Known) -> object:
    """What the person has in the fields that the row names."""
    row = next((one for one in settings.mapping if one.to == path), None)
    if row is None:
        return None
    values = [known.person.values.get(name) for name in source_fields(row.source)]
    return values[0] if len(values) == 1 else " ".join(str(one) for one in values if one is not None) or None


# An existing contact


def checks_of_updates(facts: Facts) -> Iterator[Check]:
    if not facts.people:
        for audience in Audience:
            if not setup_required(facts.settings(audience)):
                yield _policy(facts, audience)
        return
    for known in facts.people:
        yield _updated(facts, known)


def _policy(facts: Facts, audience: Audience) -> Check:
    policy = facts.settings(audience).duplicates
    skipped = [
        one for one in facts.tallies if one.cause is Cause.DUPLICATE_SKIPPED and one.audience in (audience, None)
    ]
    evidence: dict[str, Plain] = {"audience": audience.value, "duplicates": policy.value}
    if skipped and policy is Duplicates.SKIP:
        count = sum(one.count for one in skipped)
        evidence |= {"people": count, "latest_at": moment(skipped[0].latest.at)}
        return _skips(facts, f"duplicates.{audience}", audience, f"{count} people were left untouched.", evidence)
    return ok(f"duplicates.{audience}", UPDATES, _POLICIES[policy], evidence)


_POLICIES = {
    Duplicates.SKIP: "Duplicates are set to “Skip”: a contact that others made is left as it is.",
    Duplicates.UPDATE: "Duplicates are set to “Update”: the mapped fields are overwritten.",
    Duplicates.FILL_BLANKS: "Duplicates are set to “Fill blanks”: what stands in Intercom stays.",
}


def _skips(facts: Facts, id_: str, audience: Audience, said: str | None, evidence: Evidence) -> Check:
    return problem(
        id_,
        UPDATES,
        Cause.DUPLICATE_SKIPPED,
        Telling.PERSON,
        said=said,
        evidence=evidence,
        action=_change_policy(facts, audience),
    )


def _change_policy(facts: Facts, audience: Audience) -> Action:
    return Action("change_duplicates", {"campaign_id": str(facts.campaign_id), "audience": audience.value})


def _updated(facts: Facts, known: Known) -> Check:
    """Whether the policy, or a newer change, has kept what came last from being written."""
    id_, deed = f"duplicates.{known.audience}", known.last("send")
    settings = facts.settings(known.audience)
    evidence: dict[str, Plain] = {
        "audience": known.audience.value,
        "duplicates": settings.duplicates.value,
        "contact_id": known.contact_id,
        "contact_role": known.contact_role,
        "made_by_us": known.made_by_us,
        "at": moment(deed.at if deed is not None else None),
    }
    if deed is not None and deed.cause is Cause.DUPLICATE_SKIPPED:
        if settings.duplicates is Duplicates.SKIP:
            return _skips(facts, id_, known.audience, sentence(deed.detail), evidence)
        said = "The policy was “Skip” when the person came, and is another by now: replay the event."
        action = replay(deed.event_id) if deed.event_id is not None else None
        cause, telling = Cause.DUPLICATE_SKIPPED, Telling.PERSON
        return problem(id_, UPDATES, cause, telling, said=said, evidence=evidence, action=action)
    if deed is not None and deed.cause is Cause.SUPERSEDED:
        return problem(id_, UPDATES, Cause.SUPERSEDED, Telling.NOTE, evidence=evidence)
    kept = _kept(facts, known, settings)
    if kept and settings.duplicates is Duplicates.FILL_BLANKS and not known.made_by_us:
        return problem(
            id_,
            UPDATES,
            Cause.EXISTING_VALUE_KEPT,
            Telling.FIELD,
            said=f"Different in Intercom: {', '.join(kept)}.",
            evidence={**evidence, "attributes": tuple(kept), **_differences(facts, known, settings, kept)},
            action=_change_policy(facts, known.audience),
        )
    return ok(id_, UPDATES, "Nothing that came was held back by the policy.", evidence)


def _kept(facts: Facts, known: Known, settings: AudienceSettings) -> list[str]:
    """The attributes whose value in Intercom is another than the mapping makes."""
    contact = facts.contact_now
    if contact is None or known.sent_at is None or setup_required(settings):
        return []
    values = draft(known.person, settings, facts.catalogue, facts.rules).values
    return [path for path, value in values.items() if path != "email" and _differs(path, value, contact, facts)]


def _differs(path: str, value: object, contact: Contact, facts: Facts) -> bool:
    attribute, there = attribute_at(path, facts.catalogue), contact.value(path)
    if attribute is None or not isinstance(value, str | int | float) or there in (None, ""):
        return False
    return not same_value(value, there, attribute)


def _differences(facts: Facts, known: Known, settings: AudienceSettings, paths: list[str]) -> dict[str, Plain]:
    contact = facts.contact_now
    values = draft(known.person, settings, facts.catalogue, facts.rules).values
    return {
        "given": {path: str(shown(values[path])) for path in paths},
        "in_intercom": {path: str(shown(contact.value(path))) for path in paths} if contact is not None else {},
        "email": normalised_email(known.person.email),
    }
