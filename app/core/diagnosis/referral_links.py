"""Someone was added, but has no link in Intercom."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.attributes import attribute_at, holds_link, same_value
from app.core.causes import Cause
from app.core.diagnosis.arrival import sentence
from app.core.diagnosis.checks import Action, Check, Plain, Question, Telling, moment, ok, problem, shown, unknown
from app.core.diagnosis.choices import link_paths
from app.core.diagnosis.facts import Facts, Known
from app.core.diagnosis.fields import refresh
from app.core.mapping import LINK, setup_required, source_fields
from app.core.people import Audience

Q = Question.NO_LINK_IN_INTERCOM


def checks_of(facts: Facts) -> Iterator[Check]:
    paths = sorted(link_paths(facts))
    if not paths:
        if _makes_referrers(facts) or facts.asked.outright(Q):
            yield _not_mapped(facts)
        return
    yield ok("link_mapped", Q, f"The link goes to {', '.join(paths)}.", {"attributes": tuple(paths)})
    for path in paths:
        yield from _attribute(facts, path)
    for known in facts.people:
        yield from (_link(facts, known, path) for path in paths if _is_theirs(facts, known, path))


def _makes_referrers(facts: Facts) -> bool:
    """Whether anybody is a referrer by our doing; of leads nobody expects a link."""
    return bool(facts.syncs) or not setup_required(facts.settings(Audience.REFERRERS))


def _not_mapped(facts: Facts) -> Check:
    target = {"campaign_id": str(facts.campaign_id), "audience": Audience.REFERRERS.value}
    action = Action("set_up_audience", target)
    evidence: dict[str, Plain] = {"syncs": tuple(str(one.id) for one in facts.syncs)}
    return problem("link_mapped", Q, Cause.LINK_NOT_MAPPED, Telling.CAMPAIGN, evidence=evidence, action=action)


def _attribute(facts: Facts, path: str) -> Iterator[Check]:
    attribute = attribute_at(path, facts.catalogue)
    cause = Cause.ATTRIBUTE_UNKNOWN if attribute is None else None
    if attribute is not None:
        cause = Cause.ATTRIBUTE_ARCHIVED if attribute.archived else holds_link(attribute)
        if cause is None and not attribute.writable:
            cause = Cause.ATTRIBUTE_NOT_WRITABLE
    if cause is not None:
        evidence: dict[str, Plain] = {"attribute": path, "refreshed_at": moment(facts.workspace.refreshed_at)}
        id_ = f"link_attribute.{path}"
        yield problem(id_, Q, cause, Telling.CAMPAIGN, evidence=evidence, action=refresh(facts))


def _is_theirs(facts: Facts, known: Known, path: str) -> bool:
    """Whether this record's link goes there: by its audience's mapping, or by the syncs that came upon them."""
    settings = facts.settings(known.audience)
    own = not setup_required(settings) and any(
        row.to == path and LINK in source_fields(row.source) for row in settings.mapping
    )
    if known.audience is Audience.LEADS:
        return own
    synced = [one for one in facts.syncs if one.id == known.enrolled_by or one.of_contact is not None]
    return own or any(
        row.to == path and LINK in source_fields(row.source) for one in synced for row in one.settings.write_back
    )


def _link(facts: Facts, known: Known, path: str) -> Check:
    id_ = f"link.{known.audience}.{path}"
    url = known.person.text(LINK)
    told = next((one for one in known.deeds if any(to == path for to, _ in one.fields)), None)
    evidence: dict[str, Plain] = {
        "person_id": str(known.id),
        "attribute": path,
        "link": shown(url),
        "written_at": moment(told.at if told is not None else None),
    }
    if _stands_there(facts, path, url, evidence):
        return ok(id_, Q, "The link stands in Intercom.", evidence)
    waits = next((one for one in facts.events if one.is_open and one.source == "referral_factory"), None)
    if waits is not None:
        evidence |= {"event_id": str(waits.id), "next_attempt_at": moment(waits.next_attempt_at)}
        cause = waits.cause or Cause.WAITING_IN_QUEUE
        return problem(id_, Q, cause, Telling.WAITS, evidence=evidence)
    skipped = known.last("write_back", "send")
    if told is not None and (cause_then := dict(told.fields).get(path)) is not None:
        return problem(id_, Q, cause_then, Telling.FIELD, evidence=evidence, action=_again(known))
    if skipped is not None and skipped.outcome in ("skipped", "failed") and skipped.cause is not None:
        said = sentence(skipped.detail)
        return problem(id_, Q, skipped.cause, Telling.FIELD, said=said, evidence=evidence)
    if url is None and facts.contact_now is not None:
        said = "Referral Factory has told us no link of this person."
        return problem(id_, Q, Cause.NOT_IN_PAYLOAD, Telling.FIELD, said=said, evidence=evidence)
    if facts.contact_now is None:
        return _not_seen(id_, evidence, written=told is not None)
    said = "It was not there when Intercom was asked just now."
    cause = Cause.VALUE_REFUSED_BY_INTERCOM if told is not None else Cause.NOT_IN_PAYLOAD
    return problem(id_, Q, cause, Telling.FIELD, said=said, evidence=evidence, action=_again(known))


def _again(known: Known) -> Action | None:
    deed = next((one for one in known.deeds if one.event_id is not None), None)
    return Action("replay_events", {"event_id": str(deed.event_id)}) if deed is not None else None


def _stands_there(facts: Facts, path: str, url: str | None, evidence: dict[str, Plain]) -> bool:
    contact, attribute = facts.contact_now, attribute_at(path, facts.catalogue)
    if contact is None or attribute is None or facts.contact is None:
        return False
    value = contact.value(path)
    evidence |= {"in_intercom": shown(value), "asked_at": moment(facts.contact.at)}
    return value not in (None, "") and (url is None or same_value(url, value, attribute))


def _not_seen(id_: str, evidence: dict[str, Plain], *, written: bool) -> Check:
    """By what we wrote; Intercom could not be asked."""
    if written:
        return ok(id_, Q, "The link was written to Intercom.", evidence)
    return unknown(
        id_,
        Q,
        "Whether the link stands in Intercom could not be looked up.",
        "Ask again once Intercom can be reached, or open the contact there.",
        evidence,
    )
