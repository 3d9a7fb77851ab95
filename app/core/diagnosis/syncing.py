"""A segment can't be found, a sync added few or none, new contacts are not enrolled."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.causes import Cause
from app.core.diagnosis.arrival import sentence
from app.core.diagnosis.checks import Action, Check, Plain, Question, Telling, moment, ok, problem, unknown
from app.core.diagnosis.facts import Facts, Segment, Sync
from app.core.diagnosis.fields import refresh
from app.core.enrolment import Skip, carried
from app.core.people import Audience
from app.core.syncs import Contacts, wants

SEGMENT, FEW, NEW = Question.SEGMENT_NOT_FOUND, Question.SYNC_ADDED_FEW, Question.NEW_CONTACTS_NOT_ENROLLED

_NAMES_SHOWN = 10


# A segment


def checks_of_segments(facts: Facts) -> Iterator[Check]:
    if facts.asked.segment is not None:
        yield _asked(facts, facts.asked.segment)
        return
    gone = [one for one in facts.syncs if _is_live(one) and _segment_is_gone(one, facts)]
    for sync in gone:
        yield _gone(facts, sync)
    if not gone:
        yield ok("segments", SEGMENT, "Every segment of Intercom is in the list.", _list(facts))


def _is_live(sync: Sync) -> bool:
    return not sync.is_over or (sync.state == "failed" and sync.cause is Cause.SEGMENT_GONE)


def _segment_is_gone(sync: Sync, facts: Facts) -> bool:
    if sync.settings.contacts is not Contacts.SEGMENT:
        return False
    return sync.cause is Cause.SEGMENT_GONE or sync.settings.segment_id not in {one.id for one in facts.segments}


def _list(facts: Facts) -> dict[str, Plain]:
    return {"segments": len(facts.segments), "refreshed_at": moment(facts.workspace.refreshed_at)}


def _gone(facts: Facts, sync: Sync) -> Check:
    return problem(
        f"segment.{sync.settings.segment_id}",
        SEGMENT,
        Cause.SEGMENT_GONE,
        Telling.CAMPAIGN,
        evidence={"segment_id": sync.settings.segment_id, "sync_id": str(sync.id), **_list(facts)},
        action=refresh(facts),
    )


def _asked(facts: Facts, asked: str) -> Check:
    found = _found(facts, asked)
    if found is not None:
        return ok(
            f"segment.{found.id}",
            SEGMENT,
            f"The segment {found.name} is in the list.",
            {"segment_id": found.id, "name": found.name, "person_type": found.person_type, "count": found.count},
        )
    used = next((one for one in facts.syncs if one.settings.segment_id == asked), None)
    if used is not None:
        return _gone(facts, used)
    near = [one.name for one in facts.segments if _is_near(one, asked)][:_NAMES_SHOWN]
    said = f"These names are near: {', '.join(near)}." if near else None
    evidence: dict[str, Plain] = {
        "asked": asked,
        "near": tuple(near),
        "workspace": facts.workspace.name,
        **_list(facts),
    }
    cause = Cause.SEGMENT_UNKNOWN
    return problem("segment", SEGMENT, cause, Telling.CAMPAIGN, said=said, evidence=evidence, action=refresh(facts))


def _found(facts: Facts, asked: str) -> Segment | None:
    """By id, else by the whole name without case."""
    by_id = next((one for one in facts.segments if one.id == asked), None)
    wanted = asked.strip().casefold()
    return by_id or next((one for one in facts.segments if one.name.strip().casefold() == wanted), None)


def _is_near(segment: Segment, asked: str) -> bool:
    name, wanted = segment.name.casefold(), asked.strip().casefold()
    return wanted in name or (len(name) >= 3 and name in wanted) or bool(set(name.split()) & set(wanted.split()))


# Few or none were added


def checks_of_few(facts: Facts) -> Iterator[Check]:
    """Of the syncs that go on and the newest one; with a contact, what became of it in each."""
    looked_at = [one for one in facts.syncs if one is facts.syncs[0] or not one.is_over]
    if not looked_at:
        if facts.asked.outright(FEW):
            yield _no_sync(facts, FEW)
        return
    for sync in looked_at:
        yield _state(facts, sync)
        yield from _of_contact(facts, sync) if facts.person_asked else _left_out(facts, sync)
    if _limits(facts):
        yield _room(facts)


def _no_sync(facts: Facts, question: Question) -> Check:
    return unknown(
        "sync",
        question,
        "No sync of Intercom contacts was made for this campaign.",
        "Start a sync. Its preview shows first whom it would add.",
        {"campaign_id": str(facts.campaign_id)},
        action=Action("start_sync", {"campaign_id": str(facts.campaign_id)}),
    )


def _told(sync: Sync) -> dict[str, Plain]:
    return {
        "sync_id": str(sync.id),
        "state": sync.state,
        "contacts": sync.settings.contacts.value,
        "schedule": "ongoing" if sync.settings.ongoing else "once",
        "total": sync.total,
        "looked_at": sync.looked_at,
        "added": sync.added,
        "existing": sync.existing,
        "skipped": sync.skipped,
        "failed": sync.failed,
        "seconds_left": sync.seconds_left,
        "started_at": moment(sync.started_at),
        "finished_at": moment(sync.finished_at),
        "next_look_at": moment(sync.next_look_at),
    }


def _do(name: str, sync: Sync) -> Action:
    return Action(name, {"sync_id": str(sync.id)})


def _state(facts: Facts, sync: Sync) -> Check:
    id_, evidence = f"sync.{sync.id}", _told(sync)
    if sync.state == "failed" and sync.cause is not None:
        again = _do("resume_sync", sync) if sync.cause is Cause.CURSOR_REPEATED else None
        return problem(id_, FEW, sync.cause, Telling.CAMPAIGN, said="It has failed.", evidence=evidence, action=again)
    if sync.state == "cancelled" and sync.cause is not None:
        return problem(id_, FEW, sync.cause, Telling.CAMPAIGN, said="It was cancelled.", evidence=evidence)
    if sync.state == "paused":
        return _paused(id_, FEW, sync, evidence)
    if sync.state in ("queued", "running") and sync.cause is not None:
        said = "It goes on by itself as soon as that has passed."
        return problem(id_, FEW, sync.cause, Telling.WAITS, said=said, evidence=evidence)
    if sync.state in ("queued", "running") and facts.asked.outright(FEW):
        left = f", about {sync.seconds_left} seconds are left" if sync.seconds_left is not None else ""
        said = f"The sync is still running: {sync.looked_at} of {sync.total or 'all'} were looked at{left}."
        return problem(id_, FEW, Cause.WAITING_IN_QUEUE, Telling.WAITS, said=said, evidence=evidence)
    return ok(id_, FEW, f"The sync added {sync.added} of {sync.looked_at}.", evidence)


def _paused(id_: str, question: Question, sync: Sync, evidence: dict[str, Plain]) -> Check:
    said = "The sync is paused, so nobody is looked at until it is resumed."
    cause, telling = Cause.WAITING_IN_QUEUE, Telling.CAMPAIGN
    return problem(id_, question, cause, telling, said=said, evidence=evidence, action=_do("resume_sync", sync))


def _left_out(facts: Facts, sync: Sync) -> Iterator[Check]:
    """By cause: those who were skipped or failed; those who were there already, where they are most of all."""
    for outcome in sync.left_out:
        if outcome.cause is None:
            continue
        named = f" {outcome.detail}." if outcome.cause is Cause.BLANK_MAPPED_VALUE and outcome.detail else ""
        said = f"Of those looked at it was so for {outcome.count} at least.{named}"
        evidence: dict[str, Plain] = {
            "sync_id": str(sync.id),
            "outcome": outcome.outcome,
            "contacts": outcome.count,
            "detail": outcome.detail,
            "example_contact_id": outcome.contact_id,
            "skipped": sync.skipped,
            "failed": sync.failed,
        }
        limit = outcome.cause is Cause.USER_LIMIT_REACHED
        yield problem(
            f"sync.{sync.id}.{outcome.cause}" + (f".{outcome.detail}" if named else ""),
            FEW,
            outcome.cause,
            Telling.CAMPAIGN if limit else Telling.PERSON,
            said=said,
            evidence=evidence,
            action=_mends(facts, sync, outcome.cause),
        )
    if sync.existing > sync.added:
        said = f"{sync.existing} of {sync.looked_at} were in the campaign before."
        cause, telling = Cause.ALREADY_IN_CAMPAIGN, Telling.NOTE
        yield problem(f"sync.{sync.id}.{cause}", FEW, cause, telling, said=said, evidence=_told(sync))


def _mends(facts: Facts, sync: Sync, cause: Cause) -> Action | None:
    if cause is Cause.USER_LIMIT_REACHED:
        return _raise_limit(facts)
    if sync.settings.ongoing and not sync.is_over:
        return _do("run_sync", sync)
    return Action("start_sync", {"campaign_id": str(facts.campaign_id)})


def _raise_limit(facts: Facts) -> Action:
    return Action("change_user_limit", {"program_id": str(facts.program.id), "campaign_id": str(facts.campaign_id)})


def _limits(facts: Facts) -> bool:
    return facts.room.account_limit is not None or facts.room.campaign_limit is not None


def _room(facts: Facts) -> Check:
    room = facts.room
    evidence: dict[str, Plain] = {
        "account_limit": room.account_limit,
        "campaign_limit": room.campaign_limit,
        "left": room.left,
        "counted_at": moment(room.counted_at),
    }
    if room.left == 0:
        cause, telling = Cause.USER_LIMIT_REACHED, Telling.CAMPAIGN
        return problem("room", FEW, cause, telling, evidence=evidence, action=_raise_limit(facts))
    return ok("room", FEW, "There is room under the user limit, as far as was counted.", evidence)


def _of_contact(facts: Facts, sync: Sync) -> Iterator[Check]:
    found = sync.of_contact
    if found is None or found.outcome == "pending":
        return
    id_ = f"sync.{sync.id}.contact"
    evidence: dict[str, Plain] = {
        "sync_id": str(sync.id),
        "outcome": found.outcome,
        "contact_id": found.contact_id,
        "at": moment(found.at),
        "detail": found.detail,
    }
    in_campaign = found.outcome in ("added", "existing", "updated")
    if found.outcome == "existing" and facts.asked.outright(FEW):
        cause, telling = Cause.ALREADY_IN_CAMPAIGN, Telling.NOTE
        yield problem(id_, FEW, cause, telling, said=sentence(found.detail), evidence=evidence)
    elif in_campaign or found.cause is None:
        yield ok(id_, FEW, "The contact is in the campaign.", evidence)
    else:
        said = sentence(found.detail)
        action = _mends(facts, sync, found.cause)
        yield problem(id_, FEW, found.cause, Telling.PERSON, said=said, evidence=evidence, action=action)


# New contacts


def checks_of_new(facts: Facts) -> Iterator[Check]:
    if not facts.syncs:
        if facts.asked.outright(NEW):
            yield _no_sync(facts, NEW)
        return
    ongoing = [one for one in facts.syncs if one.settings.ongoing and not one.is_over]
    for sync in ongoing:
        yield _ongoing(sync)
        yield from _not_matched(facts, sync)
    if not ongoing:
        yield _one_time(facts)


def _one_time(facts: Facts) -> Check:
    """Whoever came later is not added: an answer where that is asked, or where somebody is not in."""
    newest = facts.syncs[0]
    evidence, again = _told(newest), Action("start_sync", {"campaign_id": str(facts.campaign_id)})
    if facts.asked.outright(NEW) or _is_outside(facts):
        return problem("ongoing", NEW, Cause.SYNC_IS_ONE_TIME, Telling.CAMPAIGN, evidence=evidence, action=again)
    said = "The sync runs one time only, as it was made: later contacts are not added."
    return ok("ongoing", NEW, said, evidence)


def _is_outside(facts: Facts) -> bool:
    """Whether the one who is asked about is a contact in Intercom, and nobody of the campaign."""
    looked_at = any(one.of_contact is not None for one in facts.syncs)
    return facts.person_asked and facts.contact_now is not None and not facts.people and not looked_at


def _ongoing(sync: Sync) -> Check:
    id_, evidence = f"ongoing.{sync.id}", _told(sync)
    if sync.state == "paused":
        return _paused(id_, NEW, sync, evidence)
    if sync.cause is not None and sync.state != "watching":
        return problem(id_, NEW, sync.cause, Telling.WAITS, evidence=evidence)
    return ok(id_, NEW, f"The sync looks again at {moment(sync.next_look_at)}.", evidence)


def _not_matched(facts: Facts, sync: Sync) -> Iterator[Check]:
    """Why this sync does not take the contact, as Intercom shows it now."""
    contact = facts.contact_now
    known = facts.of(Audience.REFERRERS)
    if contact is None or (known is not None and known.enrolled_by == sync.id) or sync.of_contact is not None:
        return
    id_, evidence = f"matched.{sync.id}", {**_told(sync), "contact_id": contact.id, "role": contact.role.value}
    by_segment = sync.settings.contacts is Contacts.SEGMENT
    outside = not wants(sync.settings, contact.role) if not by_segment else _is_no_member(sync)
    if outside:
        evidence |= {"segment_id": sync.settings.segment_id} if by_segment else {}
        said = _NOT_TAKEN[sync.settings.contacts].format(role=contact.role.value)
        yield problem(id_, NEW, Cause.CONTACT_NOT_MATCHED, Telling.PERSON, said=said, evidence=evidence)
        return
    values = carried(contact, sync.settings)
    if isinstance(values, Skip):
        yield problem(
            id_,
            NEW,
            values.cause,
            Telling.PERSON,
            said=sentence(values.detail),
            evidence={**evidence, "detail": values.detail},
            action=_do("run_sync", sync),
        )
    elif known is None:
        yield _on_the_way(id_, sync, evidence)


_NOT_TAKEN = {
    Contacts.LEADS: "The sync takes leads, and the contact is a {role}.",
    Contacts.USERS: "The sync takes users, and the contact is a {role}.",
    Contacts.SEGMENT: "The contact is not in the sync's segment now.",
    Contacts.ALL: "The sync does not take the contact.",
}


def _is_no_member(sync: Sync) -> bool:
    return sync.is_member is not None and sync.is_member.cause is None and sync.is_member.value is False


def _on_the_way(id_: str, sync: Sync, evidence: dict[str, Plain]) -> Check:
    said = f"The next look is at {moment(sync.next_look_at)}; the contact is enrolled then at the latest."
    cause, telling = Cause.WAITING_IN_QUEUE, Telling.WAITS
    return problem(id_, NEW, cause, telling, said=said, evidence=evidence, action=_do("run_sync", sync))
