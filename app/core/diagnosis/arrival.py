"""No leads or referrers arrive in Intercom, or some do not."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.causes import Cause
from app.core.diagnosis.checks import (
    Action,
    Check,
    Evidence,
    Plain,
    Question,
    Telling,
    events,
    moment,
    ok,
    problem,
    unknown,
)
from app.core.diagnosis.facts import Deed, Event, Facts, Gone, Known, Tally, role_of
from app.core.mapping import setup_required, target_cause, trigger_path
from app.core.people import Audience, Contact

NONE, SOME = Question.NONE_ARRIVE, Question.SOME_DO_NOT_ARRIVE

JOINED = "joined"
SENT = ("created", "updated", "added")

_NOTES = frozenset({Cause.SUPERSEDED, Cause.SELF_REFERRAL, Cause.WEBHOOK_MISSED, Cause.ALREADY_IN_CAMPAIGN})
"""Of these the person is there all the same."""

_REPLAYED = frozenset(
    {
        Cause.MISSING_REQUIRED_VALUE,
        Cause.INVALID_EMAIL,
        Cause.SEVERAL_CONTACTS_MATCH,
        Cause.VALUE_REFUSED_BY_INTERCOM,
        Cause.UNKNOWN_IN_REFERRAL_FACTORY,
        Cause.CAMPAIGN_MISMATCH,
        Cause.ACTION_IS_NOTHING,
        Cause.NAME_NOT_MAPPED,
        Cause.EMAIL_NOT_MAPPED,
    }
)
"""Once what they name is mended, a replay sends the person."""


# Nobody arrives


def checks_of_all(facts: Facts) -> Iterator[Check]:
    yield _campaign(facts)
    for audience in _concerned(facts):
        yield from _set_up(facts, audience)
    yield _webhooks(facts)


def _campaign(facts: Facts) -> Check:
    evidence: Evidence = {"campaign_id": str(facts.campaign_id), "name": facts.campaign_name}
    if facts.archived:
        return problem("campaign", NONE, Cause.CAMPAIGN_ARCHIVED, Telling.CAMPAIGN, evidence=evidence)
    return ok("campaign", NONE, f"The campaign {facts.campaign_name} is live here.", evidence)


def _concerned(facts: Facts) -> list[Audience]:
    """Those that the person is of; both where nobody is asked about, or nobody is known."""
    return [one.audience for one in facts.people] or list(Audience)


def _set_up(facts: Facts, audience: Audience) -> Iterator[Check]:
    settings = facts.settings(audience)
    action = Action("set_up_audience", {"campaign_id": str(facts.campaign_id), "audience": audience.value})
    evidence: Evidence = {"audience": audience.value, "action": settings.action.value}
    lacking = setup_required(settings)
    if lacking == (Cause.ACTION_IS_NOTHING,) and _is_meant(facts, audience):
        said = f"The {audience.value} are set to “Do nothing”, so none of them is sent when they join."
        yield ok(f"action.{audience}", NONE, said, evidence)
        return
    for cause in lacking:
        yield problem(f"{_STEP[cause]}.{audience}", NONE, cause, Telling.CAMPAIGN, evidence=evidence, action=action)
    if not lacking:
        said = f"The {audience.value} are set up: action, name and email."
        yield ok(f"action.{audience}", NONE, said, evidence)
        yield from _types(facts, audience)
        yield _where(facts, audience)


_STEP = {
    Cause.ACTION_IS_NOTHING: "action",
    Cause.NAME_NOT_MAPPED: "name_mapped",
    Cause.EMAIL_NOT_MAPPED: "email_mapped",
}


def _is_meant(facts: Facts, audience: Audience) -> bool:
    """Nobody of an audience is sent, while those of the other are: of a campaign, that is a choice. Whom a sync has
    made a referrer was in Intercom before."""
    known = facts.of(audience)
    if facts.people:
        return known is not None and known.enrolled_by is not None
    return any(not setup_required(facts.settings(one)) for one in Audience)


def _types(facts: Facts, audience: Audience) -> Iterator[Check]:
    settings = facts.settings(audience)
    trigger = trigger_path(settings)
    unsupported = [
        row.to
        for row in settings.mapping
        if target_cause(row.to, facts.catalogue, facts.rules, trigger=trigger) is Cause.UNSUPPORTED_ATTRIBUTE_TYPE
    ]
    evidence: Evidence = {"audience": audience.value, "attributes": unsupported}
    if not unsupported:
        yield ok(f"types.{audience}", NONE, "Every mapped attribute is of a type that can be filled.", evidence)
        return
    yield problem(
        f"types.{audience}",
        NONE,
        Cause.UNSUPPORTED_ATTRIBUTE_TYPE,
        Telling.FIELD,
        said=f"Left out of everybody: {', '.join(unsupported)}.",
        evidence=evidence,
        action=Action("set_up_audience", {"campaign_id": str(facts.campaign_id), "audience": audience.value}),
    )


def _where(facts: Facts, audience: Audience) -> Check:
    role = facts.settings(audience).action.role
    said = f"New ones are made as {role.value}s: in Intercom, look under Contacts, {role.value.capitalize()}s."
    evidence: dict[str, Plain] = {"audience": audience.value, "role": role.value, "url": facts.list_url(role)}
    known = facts.of(audience)
    there = role_of(facts.contact_now, known)
    if known is not None and known.contact_id is not None and there is not None:
        evidence |= {"contact_id": known.contact_id, "contact_role": there.value}
        evidence["url"] = facts.contact_url(known.contact_id)
        said = f"The person is there as a {there.value}."
    return ok(f"where.{audience}", NONE, said, evidence)


def _webhooks(facts: Facts) -> Check:
    """Whether Referral Factory tells of those who join."""
    last = facts.webhooks.last_at
    evidence: dict[str, Plain] = {
        "last_joined_at": moment(last.get(JOINED)),
        "last_other_at": moment(max(last.values(), default=None)),
        "found_by_our_own_check": facts.webhooks.found,
        "found_at": moment(facts.webhooks.found_at),
    }
    action = Action("show_webhook", {"campaign_id": str(facts.campaign_id)})
    if JOINED in last or _was_told(facts):
        return ok("webhooks", NONE, "Webhooks of people who joined arrive.", evidence)
    if facts.webhooks.found:
        # People are there, and nobody has told of one.
        said = "No webhook of somebody who joined has come, though our own check has found people who did."
        cause, telling = Cause.WEBHOOK_MISSED, Telling.CAMPAIGN
        return problem("webhooks", NONE, cause, telling, said=said, evidence=evidence, action=action)
    if last:
        said = f"Only such webhooks have come: {', '.join(sorted(last))}. None told that somebody has joined."
        cause, telling = Cause.TOPIC_WITHOUT_MEANING, Telling.CAMPAIGN
        return problem("webhooks", NONE, cause, telling, said=said, evidence=evidence, action=action)
    return unknown(
        "webhooks",
        NONE,
        "No webhook of this campaign was received lately. Nobody may have joined, or none is set up.",
        "Send a test from the webhook's page in Referral Factory; it appears under Events at once.",
        evidence,
        action=action,
    )


def _was_told(facts: Facts) -> bool:
    """Whether somebody was worked on whom no search of ours has found."""
    sought = any(one.origin != "webhook" and one.topic == JOINED for one in facts.events)
    verbs = {*(one.verb for one in facts.deeds), *(one.verb for one in facts.tallies)}
    return "send" in verbs and not sought and not facts.webhooks.found


# Some do not


def checks_of_some(facts: Facts) -> Iterator[Check]:
    yield from _events(facts)
    if facts.person_asked:
        yield from _of_person(facts)
    else:
        yield from _of_campaign(facts)


def _events(facts: Facts) -> Iterator[Check]:
    """What waits, retries or is dead; the dead ones first, for they wait for a person."""
    concerned = [one for one in facts.events if one.is_open or one.status == "dead"]
    if not facts.person_asked:
        yield from _events_together(concerned, facts)
        return
    for event in concerned:
        yield _event(event)
    if not concerned:
        yield ok("events", SOME, "Nothing about this person waits, and nothing was given up.")


def _event(event: Event) -> Check:
    evidence: Evidence = {
        "event_id": str(event.id),
        "topic": event.topic,
        "status": event.status,
        "attempts": event.attempts,
        "received_at": moment(event.received_at),
        "next_attempt_at": moment(event.next_attempt_at) if event.is_open and not event.held_by else None,
        "waits_for": event.held_by,
        "error": event.error,
    }
    if event.status == "dead":
        said = f"The event {event.id} ({event.topic}) was given up after {event.attempts} attempts."
        cause, telling = event.cause or Cause.INTERNAL_ERROR, Telling.PERSON
        return problem(
            f"event.{event.id}", SOME, cause, telling, said=said, evidence=evidence, action=replay(event.id)
        )
    said = f"The event {event.id} ({event.topic}) is not done yet."
    cause, telling = event.cause or Cause.WAITING_IN_QUEUE, Telling.WAITS
    return problem(f"event.{event.id}", SOME, cause, telling, said=said, evidence=evidence)


def replay(event_id: int) -> Action:
    return Action("replay_events", {"event_id": str(event_id)})


def _events_together(concerned: list[Event], facts: Facts) -> Iterator[Check]:
    """Of a campaign, one check a kind: what it waits for, or was given up for."""
    kinds: dict[tuple[bool, Cause], list[Event]] = {}
    for event in concerned:
        is_dead = event.status == "dead"
        kinds.setdefault((is_dead, event.cause or _nameless(is_dead)), []).append(event)
    for (is_dead, cause), alike in kinds.items():
        yield _kind_of_events(facts, cause, alike, is_dead=is_dead)
    if not kinds:
        yield ok("events", SOME, "Nothing of this campaign waits, and nothing was given up lately.")


def _nameless(is_dead: bool) -> Cause:
    return Cause.INTERNAL_ERROR if is_dead else Cause.WAITING_IN_QUEUE


def _kind_of_events(facts: Facts, cause: Cause, alike: list[Event], *, is_dead: bool) -> Check:
    evidence: Evidence = {
        "events": len(alike),
        "event_ids": tuple(str(one.id) for one in alike[:10]),
        "oldest_received_at": moment(alike[-1].received_at),
        "next_attempt_at": moment(min((one.next_attempt_at for one in alike if one.next_attempt_at), default=None)),
    }
    if not is_dead:
        said = f"{events(len(alike), 'is', 'are')} not done yet."
        id_, telling = f"events_waiting.{cause}", Telling.WAITS
        return problem(id_, SOME, cause, telling, said=said, evidence=evidence)
    target = {"campaign_id": str(facts.campaign_id), "status": "dead", "cause": cause.value}
    return problem(
        f"events_dead.{cause}",
        SOME,
        cause,
        Telling.PERSON,
        said=f"{events(len(alike), 'was', 'were')} given up.",
        evidence=evidence,
        action=Action("replay_events", target),
    )


def _of_person(facts: Facts) -> Iterator[Check]:
    if not facts.people:
        yield from _stranger(facts)
        return
    for known in facts.people:
        yield _arrival(facts, known)
    yield from _marks(facts)
    yield from _contact(facts)


def _stranger(facts: Facts) -> Iterator[Check]:
    """Nobody is known under the address: erased, not told of, told of to another campaign, or not in it."""
    evidence: dict[str, Plain] = {"email": facts.asked.email, "campaign_id": str(facts.campaign_id)}
    if facts.erased_at is not None:
        evidence["erased_at"] = moment(facts.erased_at)
        # Whatever else is set up or not, nothing is done for them.
        yield problem("person", SOME, Cause.ERASED_ON_REQUEST, Telling.CAMPAIGN, evidence=evidence)
    elif facts.deeds and not _is_tried_again(facts, facts.deeds[0]):
        yield _deed("person", facts, facts.deeds[0], None)
    elif any(event.is_open or event.status == "dead" for event in facts.events):
        return  # the events tell why nobody is known yet
    elif facts.referral is None or facts.referral.cause is not None:
        yield unknown(
            "person",
            SOME,
            "Nobody of this campaign is known here under this email.",
            "Look the person up in Referral Factory, or ask again once it can be reached.",
            {**evidence, **_asked(facts)},
            cause=facts.referral.cause if facts.referral is not None else None,
        )
    elif facts.referral.value:
        said = (
            "Referral Factory has this person, and no webhook has told us. They are sent once our check finds them."
        )
        yield problem(
            "person",
            SOME,
            Cause.WEBHOOK_MISSED,
            Telling.PERSON,
            said=said,
            evidence={**evidence, **_asked(facts)},
            action=Action("start_backfill", {"campaign_id": str(facts.campaign_id)}),
        )
    else:
        cause, telling = Cause.UNKNOWN_IN_REFERRAL_FACTORY, Telling.PERSON
        yield problem("person", SOME, cause, telling, evidence={**evidence, **_asked(facts)})


def _asked(facts: Facts) -> dict[str, Plain]:
    """What Referral Factory said, and when."""
    read = facts.referral
    if read is None:
        return {}
    found = read.value or ()
    return {
        "asked_at": moment(read.at),
        "referral_factory_ids": tuple(one.referral_factory_id or "" for one in found),
        "answer": read.said,
    }


def _arrival(facts: Facts, known: Known) -> Check:
    """What became of one record of the person."""
    id_ = f"arrival.{known.audience}"
    deed = known.last("send")
    if deed is not None and deed.outcome in SENT:
        return _there(id_, known, deed)
    if known.enrolled_by is not None and known.contact_id is not None:
        said = f"The sync {known.enrolled_by} made them a referrer; their contact was there before."
        return ok(id_, SOME, said, {"contact_id": known.contact_id, "sync_id": str(known.enrolled_by)})
    if deed is not None and deed.cause is Cause.SUPERSEDED and known.sent_at is not None:
        return _there(id_, known, deed)
    if deed is None and known.sent_at is not None:
        return _there(id_, known, None)
    if known.joined_before_setup and known.sent_at is None and deed is None:
        return problem(
            id_,
            SOME,
            Cause.JOINED_BEFORE_SETUP,
            Telling.PERSON,
            evidence={"person_id": str(known.id), "joined_at": moment(known.joined_at)},
            action=backfill(facts, known.audience),
        )
    if deed is not None and deed.cause is not None and not _is_tried_again(facts, deed):
        return _deed(id_, facts, deed, known)
    return _not_sent(id_, facts, known)


def _is_tried_again(facts: Facts, deed: Deed) -> bool:
    """Whether its event is being worked on anew, so that what was decided then need not hold any more."""
    return any(one.is_open and one.id == deed.event_id for one in facts.events)


def backfill(facts: Facts, audience: Audience) -> Action:
    return Action("start_backfill", {"campaign_id": str(facts.campaign_id), "audience": audience.value})


def _there(id_: str, known: Known, deed: Deed | None) -> Check:
    evidence: Evidence = {
        "person_id": str(known.id),
        "contact_id": known.contact_id,
        "role": known.contact_role,
        "outcome": deed.outcome if deed is not None else None,
        "at": moment(deed.at if deed is not None else known.sent_at),
    }
    return ok(id_, SOME, f"The person was sent, as a {known.contact_role or 'contact'}.", evidence)


def _not_sent(id_: str, facts: Facts, known: Known) -> Check:
    """Known, and nothing was done: the setup lacked something, or it is on its way."""
    evidence: Evidence = {"person_id": str(known.id), "joined_at": moment(known.joined_at)}
    if any(one.is_open for one in facts.events):
        cause, telling = Cause.WAITING_IN_QUEUE, Telling.WAITS
        return problem(id_, SOME, cause, telling, evidence=evidence)
    if known.state_cause is not None:
        return problem(id_, SOME, known.state_cause, Telling.PERSON, evidence=evidence)
    return unknown(
        id_,
        SOME,
        "The person is known, and what became of them is older than what is kept.",
        "Replay their event, or run a backfill for the audience.",
        evidence,
        action=backfill(facts, known.audience),
    )


def _deed(id_: str, facts: Facts, deed: Deed, known: Known | None) -> Check:
    """What was decided, as it was told then: skipped, failed or ignored."""
    cause = deed.cause or Cause.WAITING_IN_QUEUE
    contact = facts.contact_now
    contact_id = deed.contact_id or (known.contact_id if known is not None else None)
    evidence: dict[str, Plain] = {
        "at": moment(deed.at),
        "outcome": deed.outcome,
        "detail": deed.detail,
        "contact_id": contact_id,
        "contact_url": facts.contact_url(contact_id),
        "contact_role": contact.role.value if contact is not None else deed.contact_role,
        "event_id": str(deed.event_id) if deed.event_id is not None else None,
    }
    telling = Telling.NOTE if cause in _NOTES else Telling.PERSON
    action = _mends(facts, cause, deed)
    return problem(id_, SOME, cause, telling, said=sentence(deed.detail), evidence=evidence, action=action)


def sentence(text: str | None) -> str | None:
    """A detail as a sentence of its own."""
    if not text:
        return None
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _mends(facts: Facts, cause: Cause, deed: Deed) -> Action | None:
    if cause in (Cause.DUPLICATE_SKIPPED, Cause.ARCHIVED_CONTACT):
        audience = deed.audience or Audience.LEADS
        return Action("change_duplicates", {"campaign_id": str(facts.campaign_id), "audience": audience.value})
    if cause in (Cause.ACTION_IS_NOTHING, Cause.NAME_NOT_MAPPED, Cause.EMAIL_NOT_MAPPED) and deed.audience:
        ready = not setup_required(facts.settings(deed.audience))
        target = {"campaign_id": str(facts.campaign_id), "audience": deed.audience.value}
        return replay(deed.event_id) if ready and deed.event_id else Action("set_up_audience", target)
    failed = deed.outcome == "failed"
    return replay(deed.event_id) if deed.event_id is not None and (failed or cause in _REPLAYED) else None


def _marks(facts: Facts) -> Iterator[Check]:
    """What is to be known of somebody who was sent."""
    marked = next((one for one in facts.deeds if one.verb == "send" and one.cause is Cause.SELF_REFERRAL), None)
    if marked is not None and marked.outcome in SENT:
        evidence: Evidence = {"at": moment(marked.at), "email": marked.email}
        yield problem("self_referral", SOME, Cause.SELF_REFERRAL, Telling.NOTE, evidence=evidence)
    if found := next((one for one in facts.events if one.origin == "reconcile" and one.topic == JOINED), None):
        evidence = {"event_id": str(found.id), "found_at": moment(found.received_at)}
        yield problem("webhook_came", SOME, Cause.WEBHOOK_MISSED, Telling.NOTE, evidence=evidence)


def _contact(facts: Facts) -> Iterator[Check]:
    """Whether the contact that we know is there still."""
    known = next((one for one in facts.people if one.contact_id is not None), None)
    if known is None or facts.contact is None:
        return
    read = facts.contact
    evidence: dict[str, Plain] = {"contact_id": known.contact_id, "asked_at": moment(read.at)}
    if read.cause is not None:
        yield unknown(
            "contact",
            SOME,
            "Intercom could not be asked for the contact just now.",
            "Ask again in a moment; the connection's own checks say what is amiss.",
            {**evidence, "answer": read.said},
            cause=read.cause,
        )
    elif isinstance(read.value, Contact):
        merged = read.value.id != known.contact_id
        evidence |= {"contact_id": read.value.id, "role": read.value.role.value}
        if merged:
            evidence["merged_from"] = known.contact_id
            yield problem("contact", SOME, Cause.CONTACT_MERGED, Telling.NOTE, evidence=evidence)
        else:
            yield ok("contact", SOME, f"The contact is there, as a {read.value.role.value}.", evidence)
    elif isinstance(read.value, Gone):
        yield _gone(read.value, known, evidence)


def _gone(gone: Gone, known: Known, evidence: dict[str, Plain]) -> Check:
    """Intercom does not tell archived from deleted; what a webhook has told does."""
    cause = Cause.CONTACT_ARCHIVED
    if known.state_cause in (Cause.CONTACT_DELETED, Cause.CONTACT_ARCHIVED):
        cause = known.state_cause
    if gone.merged:
        cause, evidence = Cause.CONTACT_MERGED, {**evidence, "merged_into": gone.merged_into}
    return problem("contact", SOME, cause, Telling.PERSON, evidence=evidence)


# Of a campaign


def _of_campaign(facts: Facts) -> Iterator[Check]:
    for audience, count in facts.before_setup.items():
        if count:
            yield problem(
                f"before_setup.{audience}",
                SOME,
                Cause.JOINED_BEFORE_SETUP,
                Telling.PERSON,
                said=f"{count} {audience.value} joined before that.",
                evidence={"audience": audience.value, "people": count},
                action=backfill(facts, audience),
            )
    left_out = [one for one in facts.tallies if one.verb == "send" and one.outcome not in SENT and one.cause]
    for tally in left_out:
        yield _tallied(facts, tally)
    if not left_out:
        sent = sum(one.count for one in facts.tallies if one.verb == "send")
        yield ok("skipped", SOME, f"Of the last {sent} that were worked on, all were sent.", {"people": sent})


def _tallied(facts: Facts, tally: Tally) -> Check:
    cause = tally.cause or Cause.WAITING_IN_QUEUE
    latest = tally.latest
    harmless = cause in _NOTES
    evidence: Evidence = {
        "people": tally.count,
        "audience": tally.audience.value if tally.audience is not None else None,
        "latest_at": moment(latest.at),
        "latest_email": latest.email,
        "latest_detail": latest.detail,
        "latest_contact_id": latest.contact_id,
        "latest_event_id": str(latest.event_id) if latest.event_id is not None else None,
    }
    id_ = f"left_out.{tally.audience or 'people'}.{tally.outcome}.{cause}"
    said = f"Of those who were worked on lately, it was so for {tally.count}."
    if harmless:
        return ok(id_, SOME, f"{said} They are in Intercom all the same.", {**evidence, "note": cause.value})
    action = _mends(facts, cause, latest)
    return problem(id_, SOME, cause, Telling.PERSON, said=said, evidence=evidence, action=action)
