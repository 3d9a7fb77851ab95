"""Someone converted, but did not qualify: the rule, what was seen, who they are, and what Referral Factory said."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.audiences import Attribute, QualificationRule
from app.core.causes import Cause
from app.core.diagnosis.arrival import replay, sentence
from app.core.diagnosis.checks import (
    Action,
    Check,
    Plain,
    Question,
    Telling,
    moment,
    ok,
    problem,
    shown,
    unix_moment,
    unknown,
)
from app.core.diagnosis.facts import Deed, Facts, Gone, Known
from app.core.diagnosis.fields import refresh
from app.core.people import Audience, Contact
from app.core.qualification import (
    DISQUALIFIED,
    OPEN,
    QUALIFIED,
    Qualify,
    Referral,
    SeenIn,
    Sight,
    decide,
    elsewhere,
    is_initial,
    is_target,
    merged,
    sight_of,
)
from app.core.setup import check_settings, trigger_at

Q = Question.NOT_QUALIFIED

_OF_THE_CATALOGUE = frozenset({Cause.ATTRIBUTE_UNKNOWN, Cause.ATTRIBUTE_ARCHIVED, Cause.VALUE_NOT_AN_OPTION})

_GONE = frozenset({Cause.CONTACT_ARCHIVED, Cause.CONTACT_DELETED})


def checks_of(facts: Facts) -> Iterator[Check]:
    yield from _rule(facts)
    if not facts.person_asked:
        return
    lead = facts.of(Audience.LEADS)
    if lead is not None:
        yield _lead(facts, lead)
    elif facts.of(Audience.REFERRERS) is not None:
        yield _referrer(facts)
    elif facts.asked.outright(Q):
        evidence: dict[str, Plain] = {"email": facts.asked.email, "campaign_id": str(facts.campaign_id)}
        yield problem("lead", Q, Cause.NOT_A_TRACKED_LEAD, Telling.PERSON, evidence=evidence)


# The rule


def _rule(facts: Facts) -> Iterator[Check]:
    """Whether the rule can come true by today's attributes."""
    settings = facts.settings(Audience.LEADS)
    rule = settings.qualification
    if rule is None:
        if facts.asked.outright(Q):
            yield problem(
                "rule",
                Q,
                Cause.ATTRIBUTE_NOT_THE_TRIGGER,
                Telling.CAMPAIGN,
                said="No qualification rule is set up, so no attribute qualifies anybody.",
                action=_set_up(facts),
            )
        return
    checked = check_settings(settings, Audience.LEADS, facts.catalogue, facts.rules)
    faults = [(Cause(one.cause), one.pointer) for one in checked.errors if one.pointer.startswith("/qualification")]
    doubts = [one for one in checked.warnings if one in (Cause.VALUE_NOT_A_TARGET, Cause.ALREADY_CONVERTED)]
    told = _of_rule(rule, facts)
    for cause, pointer in faults:
        action = refresh(facts) if cause in _OF_THE_CATALOGUE else _set_up(facts)
        yield problem(
            f"rule.{cause}",
            Q,
            cause,
            Telling.CAMPAIGN,
            said=_at_fault(rule, pointer),
            evidence={**told, "pointer": pointer},
            action=action,
        )
    for cause in doubts:
        said = _DOUBTS[cause]
        yield problem(f"rule.{cause}", Q, cause, Telling.CAMPAIGN, said=said, evidence=told, action=_set_up(facts))
    if not faults and not doubts:
        yield ok("rule", Q, f"The rule looks at {rule.attribute}.", told)


_DOUBTS = {
    Cause.VALUE_NOT_A_TARGET: "The rule has no target value, or a blank one, which nobody can reach.",
    Cause.ALREADY_CONVERTED: "The initial value is a target value as well, and so counts as the initial one only.",
}


def _at_fault(rule: QualificationRule, pointer: str) -> str:
    steps = pointer.split("/")
    if steps[-1] == "initial_value":
        return f"The rule's initial value “{rule.initial_value}” does not fit {rule.attribute} any more."
    if "target_values" in steps and steps[-1].isdecimal():
        return (
            f"The rule's target value “{rule.target_values[int(steps[-1])]}” does not fit {rule.attribute} any more."
        )
    return f"The rule looks at {rule.attribute}."


def _set_up(facts: Facts) -> Action:
    return Action("set_up_audience", {"campaign_id": str(facts.campaign_id), "audience": Audience.LEADS.value})


def _of_rule(rule: QualificationRule, facts: Facts) -> dict[str, Plain]:
    attribute = trigger_at(rule.attribute, facts.catalogue)
    told: dict[str, Plain] = {
        "trigger": rule.attribute,
        "initial_value": shown(rule.initial_value),
        "target_values": tuple(str(shown(one)) for one in rule.target_values),
    }
    if attribute is not None and attribute.options:
        told["options"] = attribute.options[:50]
    return told


# The person


def _referrer(facts: Facts) -> Check:
    evidence: dict[str, Plain] = {"email": facts.asked.email, "audience": Audience.REFERRERS.value}
    if facts.asked.outright(Q):
        return problem("lead", Q, Cause.ONLY_LEADS_QUALIFY, Telling.PERSON, evidence=evidence)
    return ok("lead", Q, "The person is a referrer, and only leads qualify.", evidence)


def _lead(facts: Facts, lead: Known) -> Check:
    evidence = _standing(facts, lead)
    if lead.state == QUALIFIED:
        return ok("lead", Q, "The lead is qualified.", evidence)
    if lead.state == DISQUALIFIED:
        said = "The qualification was taken back by hand, and no rule qualifies them after that."
        return _no(Cause.ALREADY_QUALIFIED, evidence, said)
    if lead.state != OPEN:
        cause = lead.state_cause or Cause.NOT_A_TRACKED_LEAD
        return _no(cause, evidence, action=_by_hand(lead))
    failed = lead.last("qualify")
    if failed is not None and failed.outcome == "failed" and failed.cause is not None:
        return _refused(failed, evidence, lead)
    if lead.contact_id is None:
        return _unsent(facts, lead, evidence)
    rule = facts.settings(Audience.LEADS).qualification
    if rule is None:
        return ok("lead", Q, "No qualification rule is set up, so nothing is awaited.", evidence)
    return _watched(facts, lead, rule, evidence)


def _no(cause: Cause, evidence: dict[str, Plain], said: str | None = None, action: Action | None = None) -> Check:
    return problem("lead", Q, cause, Telling.PERSON, said=said, evidence=evidence, action=action)


def _by_hand(lead: Known) -> Action:
    return Action("qualify_person", {"person_id": str(lead.id)})


def _standing(facts: Facts, lead: Known) -> dict[str, Plain]:
    """How the referral stands here, and what Referral Factory says of it."""
    told: dict[str, Plain] = {
        "person_id": str(lead.id),
        "contact_id": lead.contact_id,
        "state": lead.state,
        "since": moment(lead.state_since),
    }
    read = facts.referral
    if read is not None:
        told["referral_factory_asked_at"] = moment(read.at)
        ours = next(
            (one for one in read.value or () if one.referral_factory_id == lead.person.referral_factory_id), None
        )
        told["qualified_at_in_referral_factory"] = ours.text("qualified_at") if ours is not None else None
    return told


def _refused(failed: Deed, evidence: dict[str, Plain], lead: Known) -> Check:
    cause = failed.cause or Cause.REFERRAL_FACTORY_REFUSED
    evidence = {**evidence, "at": moment(failed.at), "detail": failed.detail}
    by_hand = failed.event_id is None or cause is Cause.SEVERAL_PEOPLE_MATCH
    action = _by_hand(lead) if by_hand else replay(failed.event_id or 0)
    return _no(cause, evidence, sentence(failed.detail), action)


def _unsent(facts: Facts, lead: Known, evidence: dict[str, Plain]) -> Check:
    """Without a contact there is nothing to watch; why they were not sent is another question's answer."""
    if not facts.asked.outright(Q):
        said = "The lead was not sent to Intercom, so nothing can be watched there."
        return unknown("lead", Q, said, "See why the person did not arrive.", evidence)
    deed = lead.last("send")
    cause = lead.state_cause or (deed.cause if deed is not None else None)
    if cause is None and lead.joined_before_setup:
        cause = Cause.JOINED_BEFORE_SETUP
    said = "The lead was not sent to Intercom, so nothing is watched there."
    return _no(cause or Cause.NOT_A_TRACKED_LEAD, evidence, said)


def _watched(facts: Facts, lead: Known, rule: QualificationRule, evidence: dict[str, Plain]) -> Check:
    attribute = trigger_at(rule.attribute, facts.catalogue)
    contact = facts.contact_now
    evidence = {**evidence, **_of_rule(rule, facts), **_seen(lead), **_live(facts, rule)}
    if contact is None and (_gone(facts) is not None or lead.state_cause in _GONE):
        return _no(_how_gone(facts, lead), evidence, action=_by_hand(lead))
    stored = decide(Referral(Audience.LEADS, OPEN, None, lead.first, lead.spans), rule, attribute)
    if isinstance(stored, Qualify):
        return _under_way(facts, evidence)
    if contact is not None and isinstance(_by_now(lead, contact, rule, attribute), Qualify):
        return _missed(facts, evidence)
    cause = stored.cause
    undecided = cause is Cause.VALUE_NOT_A_TARGET
    if undecided and contact is not None and (path := elsewhere(contact, rule, attribute)):
        said = f"A target value stands in {path}; the rule looks at {rule.attribute}."
        return _no(Cause.ATTRIBUTE_NOT_THE_TRIGGER, {**evidence, "stands_in": path}, said, _set_up(facts))
    if lead.state_cause is Cause.ATTRIBUTE_NOT_THE_TRIGGER and contact is None:
        return _no(Cause.ATTRIBUTE_NOT_THE_TRIGGER, evidence, action=_set_up(facts))
    return _not_yet(facts, lead, rule, attribute, cause, evidence)


def _gone(facts: Facts) -> Gone | None:
    value = facts.contact.value if facts.contact is not None else None
    return value if isinstance(value, Gone) else None


def _how_gone(facts: Facts, lead: Known) -> Cause:
    gone = _gone(facts)
    if gone is not None and gone.merged:
        return Cause.CONTACT_MERGED
    return lead.state_cause if lead.state_cause in _GONE and lead.state_cause else Cause.CONTACT_ARCHIVED


def _seen(lead: Known) -> dict[str, Plain]:
    """What was seen of the trigger, each value with its first and last time."""
    told: dict[str, Plain] = {
        "seen": {
            str(shown(one.value)): f"{unix_moment(one.first_at)} to {unix_moment(one.last_at)}"
            for one in lead.spans[:20]
        }
    }
    if lead.first is not None:
        told |= {
            "first_seen": shown(lead.first.value),
            "first_seen_at": unix_moment(lead.first.at),
            "contact_is_new": lead.first.contact_is_new,
        }
    return told


def _live(facts: Facts, rule: QualificationRule) -> dict[str, Plain]:
    contact, read = facts.contact_now, facts.contact
    if read is None:
        return {}
    value = contact.value(rule.attribute) if contact is not None else None
    return {"asked_at": moment(read.at), "value_now": shown(value), "answer": read.said}


def _by_now(lead: Known, contact: Contact, rule: QualificationRule, attribute: Attribute | None) -> object:
    """The verdict with what Intercom shows now counted in."""
    if lead.first is None:
        return None
    now = _sight(contact, rule)
    spans = merged(lead.spans, [now], lead.first)
    return decide(Referral(Audience.LEADS, OPEN, None, lead.first, spans), rule, attribute)


def _sight(contact: Contact, rule: QualificationRule) -> Sight:
    return sight_of(contact, rule.attribute, SeenIn.READ, 0)


def _under_way(facts: Facts, evidence: dict[str, Plain]) -> Check:
    """What was seen suffices; the call to Referral Factory is to come, or waits."""
    waits = next((one for one in facts.events if one.is_open and one.source == "intercom"), None)
    dead = next((one for one in facts.events if one.status == "dead" and one.source == "intercom"), None)
    said = "The conversion was seen, and is not in Referral Factory yet."
    if waits is None and dead is not None:
        cause = dead.cause or Cause.INTERNAL_ERROR
        return _no(cause, {**evidence, "event_id": str(dead.id)}, said, replay(dead.id))
    told = (
        {**evidence, "event_id": str(waits.id), "next_attempt_at": moment(waits.next_attempt_at)}
        if waits
        else evidence
    )
    cause = (waits.cause if waits is not None else None) or Cause.WAITING_IN_QUEUE
    return problem("lead", Q, cause, Telling.WAITS, said=said, evidence=told)


def _missed(facts: Facts, evidence: dict[str, Plain]) -> Check:
    """Intercom shows a target that nobody has told of: an event is on its way, or a webhook was missed."""
    waits = next((one for one in facts.events if one.is_open), None)
    dead = next((one for one in facts.events if one.status == "dead" and one.source == "intercom"), None)
    if waits is not None:
        said = "Intercom shows the conversion, and its event is not done yet."
        told = {**evidence, "event_id": str(waits.id), "next_attempt_at": moment(waits.next_attempt_at)}
        cause = waits.cause or Cause.WAITING_IN_QUEUE
        return problem("lead", Q, cause, Telling.WAITS, said=said, evidence=told)
    if dead is not None:
        said = "Intercom shows the conversion, and its event was given up."
        cause = dead.cause or Cause.INTERNAL_ERROR
        return _no(cause, {**evidence, "event_id": str(dead.id)}, said, replay(dead.id))
    minutes = max(1, round(facts.reconcile_seconds / 60))
    said = (
        "Intercom shows a target value, and no notification has told us. Our own check, which runs every "
        f"{minutes} minutes, makes it good."
    )
    target = {"workspace_id": str(facts.workspace.id)}
    told = {**evidence, "last_from_intercom": moment(facts.webhooks.last_from_intercom)}
    return _no(Cause.WEBHOOK_MISSED, told, said, Action("start_reconcile", target))


def _not_yet(
    facts: Facts,
    lead: Known,
    rule: QualificationRule,
    attribute: Attribute | None,
    cause: Cause,
    evidence: dict[str, Plain],
) -> Check:
    """Nothing that was seen, and nothing that stands there now, qualifies them."""
    value = _value_now(facts, lead, rule)
    waits = attribute is not None and is_initial(value, rule, attribute)
    if cause is Cause.VALUE_NOT_A_TARGET and waits and not facts.asked.outright(Q):
        return ok("lead", Q, "The lead is watched, and has not converted yet.", evidence)
    said = f"{rule.attribute} is “{shown(value)}”." if value not in (None, "") else f"{rule.attribute} is empty."
    near = _near(value, rule, attribute) if attribute is not None and not waits else None
    if near is not None and cause is Cause.VALUE_NOT_A_TARGET:
        said += f" The target value “{near}” is spelt otherwise."
        evidence = {**evidence, "similar_target": near}
    action = refresh(facts) if cause in _OF_THE_CATALOGUE else _set_up(facts)
    return _no(cause, evidence, said, action)


def _value_now(facts: Facts, lead: Known, rule: QualificationRule) -> object:
    """As Intercom shows it, else as it was seen last."""
    if facts.contact_now is not None:
        return _sight(facts.contact_now, rule).value
    last = max(lead.spans, key=lambda span: span.last_at, default=None)
    if last is not None:
        return last.value
    return lead.first.value if lead.first is not None else None


def _near(value: object, rule: QualificationRule, attribute: Attribute) -> str | None:
    """A target that differs from the value in spaces, signs or a part of it alone."""
    wanted = _letters(value)
    if not wanted or is_target(value, rule, attribute):
        return None
    return next((str(one) for one in rule.target_values if _alike(wanted, _letters(one))), None)


def _letters(value: object) -> str:
    return "".join(letter for letter in str(value).casefold() if letter.isalnum())


def _alike(one: str, other: str) -> bool:
    return bool(other) and (one == other or (min(len(one), len(other)) >= 3 and (one in other or other in one)))
