"""Conversions whose webhook never came, and contacts that were archived or merged without a word, are looked for.

By workspace, again and again, on the cheaper of two ways: the contacts that changed lately, or the watched leads one
by one. Nothing is decided here. What was found goes into the inbox as an event of our own, and the way of an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from app.core.audiences import Catalogue, QualificationRule
from app.core.causes import Cause
from app.core.errors import ApiError, Rejected, Vendor
from app.core.identity import contact_key, reconcile_contact_key
from app.core.people import Audience, Contact
from app.core.qualification import OPEN, Referral
from app.core.reconcile import (
    PageSeen,
    Way,
    finding_of,
    finding_of_gone,
    first_way,
    is_found,
    is_gone_unknown,
    is_ripe,
    looks_back_to,
    mark_of,
    way_on,
)
from app.core.setup import trigger_at
from app.integrations.budget import Pace
from app.integrations.intercom import ContactPage, Gone, Intercom, Order
from app.storage import campaigns, inbox, observations, people, reconciles, watched, workspaces
from app.storage.inbox import NewEvent
from app.storage.observations import Seen
from app.storage.reconciles import Turn
from app.usecases.check_connections import check_workspace
from app.usecases.reconcile_steps import ENOUGH, LEASE, Step, keep_step, reconcile_due, taken_up_again
from app.usecases.services import Services
from app.usecases.ways_out import CONTACTS_READ
from schemas.audiences import audience_settings_from
from schemas.intercom import LOOK, look_payload

LEADS_A_STEP = 20
"""Read by id, before they are kept together."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is watched in a workspace: the rules by campaign, and the attributes that they look at."""

    workspace: Row[Any]
    rules: Mapping[int, QualificationRule]
    catalogue: Catalogue


Looked = dict[str, Contact | Gone]
"""Contacts by the id they were looked for."""


def reconcile_workspaces(services: Services) -> int:
    """Go on with every workspace whose turn it is, a few steps each; how many steps were kept.

    One that is disconnected, or away, has none.
    """
    return reconcile_due(services, reconciles.due_workspaces, _step, Vendor.INTERCOM, CONTACTS_READ)


def _step(services: Services, workspace_id: int) -> bool:
    """Whether a step was kept and another may follow."""
    with services.database.writing() as connection:
        workspace = workspaces.get(connection, workspace_id)
        if workspace is None or workspace.state != workspaces.CONNECTED:
            return False
        turn = reconciles.take(connection, reconciles.INTERCOM, workspace_id, services.now(), LEASE)
    if turn is None:
        return False
    with taken_up_again(services, turn):
        return _do(services, workspace, turn)


def _do(services: Services, workspace: Row[Any], turn: Turn) -> bool:
    with services.database.reading() as connection:
        scope = _scope(connection, workspace)
        leads = watched.count(connection, workspace.id, scope.rules.keys()) if turn.way in (None, Way.CHANGED) else 0
    step, looked = _look(services, scope, turn, leads)
    return keep_step(
        services,
        turn,
        step,
        lambda connection: _found(services, connection, scope, looked),
        lambda: not check_workspace(services, workspace),
    )


def _scope(connection: Connection, workspace: Row[Any]) -> Scope:
    live = [row.id for row in watched.live_campaigns(connection, workspace_id=workspace.id)]
    rules = {
        row.campaign_id: audience_settings_from(row.settings).qualification
        for row in campaigns.newest_audiences(connection, live)
        if row.audience == Audience.LEADS.value
    }
    ours = {campaign_id: rule for campaign_id, rule in rules.items() if rule is not None}
    return Scope(workspace, ours, workspaces.catalogue(connection, workspace.id))


# Looking


def _look(services: Services, scope: Scope, turn: Turn, leads: int) -> tuple[Step, Looked]:
    way = Way(turn.way) if turn.way is not None else _begin(services, turn, leads)
    if turn.way is None and not leads:
        return Step(None, whole=True), {}
    # Bulk: who waits for a live answer goes first.
    api = services.vendors.intercom(
        region=scope.workspace.region,
        token=services.vault.open(scope.workspace.token),
        budget_key=str(scope.workspace.id),
        pace=Pace.SWEEP,
    )
    if way is Way.OPEN:
        return _look_at_leads(services, api, scope, turn)
    return _look_at_changes(services, api, turn, leads)


def _begin(services: Services, turn: Turn, leads: int) -> Way:
    return first_way(leads, known_until=turn.known_until, all_due_at=turn.all_due_at, now=services.now())


def _look_at_changes(services: Services, api: Intercom, turn: Turn, leads: int) -> tuple[Step, Looked]:
    """The next page of what changed lately, from the newest on: what changes meanwhile comes to the front, and is the
    next reconcile's."""
    back_to = looks_back_to(turn.known_until or turn.begun_at, services.index_delay)
    query = {"field": "updated_at", "operator": ">", "value": mark_of(back_to)}
    step = Step(turn.at(Way.CHANGED, cursor=turn.cursor))
    try:
        page = api.search(query, turn.cursor, Order.CHANGED_LAST_FIRST)
    except Rejected as error:
        step.called(error)
        step.following = turn.at(Way.OPEN)  # what can't be searched can be read
        return step, {}
    except ApiError as error:
        step.called(error)
        step.failure = error
        return step, {}
    step.called()
    recent = [one for one in page.contacts if one.updated_at is None or one.updated_at >= back_to]
    step.looked_at = len(recent)
    over = len(recent) < len(page.contacts) or page.cursor is None
    _turn_the_page(step, turn, page, leads, back_to, over=over)
    return step, {one.id: one for one in recent}


def _turn_the_page(step: Step, turn: Turn, page: ContactPage, leads: int, back_to: int, *, over: bool) -> None:
    if over or page.cursor is None:
        step.following = None
    elif turn.repeats(page.cursor):
        step.following, step.cause = None, Cause.CURSOR_REPEATED
    else:
        read = len(turn.seen) + int(turn.cursor is not None) + 1
        way = way_on(leads, read, _seen(page), back_to)
        step.following = turn.at(way, cursor=page.cursor) if way is Way.CHANGED else turn.at(way)


def _seen(page: ContactPage) -> PageSeen:
    times = [one.updated_at for one in page.contacts if one.updated_at is not None] or [0]
    return PageSeen(len(page.contacts), max(times), min(times), page.total)


def _look_at_leads(services: Services, api: Intercom, scope: Scope, turn: Turn) -> tuple[Step, Looked]:
    """The next few watched leads, by id."""
    with services.database.reading() as connection:
        few = watched.page(connection, scope.workspace.id, scope.rules.keys(), turn.position, LEADS_A_STEP)
    step, looked, until = Step(None), Looked(), services.now() + ENOUGH
    position = turn.position
    for person in few:
        try:
            if person.contact_id not in looked:
                looked[person.contact_id] = api.contact(person.contact_id)
                step.called()
        except Rejected as error:
            step.called(error)  # one that can't be asked for does not keep the others from it
        except ApiError as error:
            step.called(error)
            step.failure = error
            break
        position = person.id
        step.looked_at += 1
        if services.now() >= until:
            break
    if step.failure is not None or len(few) == LEADS_A_STEP or (few and position < few[-1].id):
        step.following = turn.at(Way.OPEN, position=position)
    step.whole = step.following is None
    return step, looked


# Finding


def _found(services: Services, connection: Connection, scope: Scope, looked: Looked) -> list[NewEvent]:
    """An event for each contact of which there is something to be decided, as things stand now."""
    rows = [row for row in people.by_contacts(connection, [scope.workspace.id], list(looked)) if _ours(scope, row)]
    seen = observations.of_people(connection, [row.id for row in rows])
    by_contact: dict[str, list[tuple[Row[Any], Referral]]] = {}
    for row in rows:
        by_contact.setdefault(row.contact_id, []).append((row, _referral(scope, row, seen)))
    found = []
    for contact_id, leads in by_contact.items():
        contact = looked[contact_id]
        is_early = isinstance(contact, Contact) and not is_ripe(contact, services.now())
        finding = None if is_early else _finding(scope, contact, leads)
        if finding is not None:
            found.append(_event(services, scope, contact_id, leads[0][0].person_key, finding))
    return found


def _ours(scope: Scope, row: Row[Any]) -> bool:
    is_lead = row.audience == Audience.LEADS.value and row.qualification_state == OPEN
    return is_lead and row.campaign_id in scope.rules and row.qualification_cause != Cause.CONTACT_DELETED


def _referral(scope: Scope, row: Row[Any], seen: Mapping[tuple[int, str], Seen]) -> Referral:
    known = seen.get((row.id, scope.rules[row.campaign_id].attribute), Seen())
    cause = Cause(row.qualification_cause) if row.qualification_cause else None
    return Referral(Audience.LEADS, row.qualification_state, cause, known.first, known.spans)


def _finding(scope: Scope, looked: Contact | Gone, leads: Sequence[tuple[Row[Any], Referral]]) -> str | None:
    """What makes it the same finding as another; ``None`` where there is none."""
    if isinstance(looked, Gone):
        news = [referral for _, referral in leads if is_gone_unknown(referral)]
        return finding_of_gone(looked.canonical_id, news[0]) if news else None
    rules = [
        rule
        for row, referral in leads
        for rule in [scope.rules[row.campaign_id]]
        if is_found(looked, referral, rule, trigger_at(rule.attribute, scope.catalogue))
    ]
    return finding_of(looked, rules) if rules else None


def _event(services: Services, scope: Scope, contact_id: str, person_key: str | None, finding: str) -> NewEvent:
    workspace = scope.workspace
    return NewEvent(
        dedupe_key=reconcile_contact_key(workspace.id, contact_id, finding),
        source="intercom",
        topic=LOOK,
        workspace_id=workspace.id,
        campaign_id=None,
        person_key=person_key or contact_key(workspace.id, contact_id),
        content_type="application/json",
        payload=look_payload(workspace.app_id, contact_id),
        received_at=services.now(),
        origin=inbox.RECONCILE,
    )
