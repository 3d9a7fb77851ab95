"""People whose ``joined`` webhook never came, and leads that were deleted in Referral Factory, are looked for.

By program: its list names everybody of the account, page by page. Nobody is sent or qualified here: what was missed
goes into the inbox in the form of the webhook that never came. Whom a list does not name is asked for by id before
anything is concluded, for a list that moves while it is read may leave somebody out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.erasure import who
from app.core.errors import ApiError, Rejected, Vendor
from app.core.identity import person_key, reconcile_person_key, referral_factory_key
from app.core.people import Audience, Person, normalised_email
from app.core.qualification import OPEN
from app.core.reconcile import Way
from app.core.text import storable
from app.integrations.budget import Pace
from app.integrations.referral_factory import PeoplePage, ReferralFactory
from app.storage import activity, campaigns, inbox, programs, reconciles, watched
from app.storage.inbox import NewEvent
from app.storage.reconciles import Turn
from app.usecases.check_connections import check_program
from app.usecases.pass_by import are_erased
from app.usecases.reconcile_steps import ENOUGH, LEASE, Step, keep_step, reconcile_due, taken_up_again
from app.usecases.services import Services
from app.usecases.ways_out import ACCESS
from schemas.referral_factory import CAMPAIGN_ID, webhook_payload_from

ASKED_A_STEP = 10
"""Leads that the list did not name, asked for by id before they are kept together."""

SECOND_LOOK = timedelta(seconds=60)
"""After whom something was seen that no webhook has told, the list is read again: the webhook may be on its way."""

MOST_UNHEARD = 5000
"""So many webhooks are not on their way at once: whoever is more was missed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A program's live campaigns by Referral Factory's id. ``sent`` are the audiences, by campaign, of whom nobody
    may be missing: complete, and their people known from before."""

    program: Row[Any]
    campaigns: Mapping[str, Row[Any]]
    sent: frozenset[tuple[int, str]]

    @property
    def campaign_ids(self) -> list[int]:
        return [one.id for one in self.campaigns.values()]


@dataclass(frozen=True, slots=True)
class Listed:
    """Someone of a live campaign, as the list has them."""

    campaign: Row[Any]
    person: Person
    audience: Audience
    id: str
    email: str

    @property
    def person_key(self) -> str:
        """As their webhook would have had it."""
        if self.email:
            return person_key(self.campaign.workspace_id, self.email)
        return referral_factory_key(self.campaign.id, self.id)


def reconcile_programs(services: Services) -> int:
    """Go on with every program whose turn it is, a few steps each; how many steps were kept.

    One that is disconnected, away, or being read for the first time has none.
    """
    return reconcile_due(services, reconciles.due_programs, _step, Vendor.REFERRAL_FACTORY, ACCESS)


def _step(services: Services, program_id: int) -> bool:
    """Whether a step was kept and another may follow."""
    with services.database.writing() as connection:
        program = programs.get(connection, program_id)
        if program is None or program.state != programs.CONNECTED:
            return False
        turn = reconciles.take(connection, reconciles.REFERRAL_FACTORY, program_id, services.now(), LEASE)
    if turn is None:
        return False
    with taken_up_again(services, turn):
        return _do(services, program, turn)


def _do(services: Services, program: Row[Any], turn: Turn) -> bool:
    with services.database.reading() as connection:
        scope = _scope(connection, program)
    api = services.vendors.referral_factory(
        token=services.vault.open(program.token), budget_key=str(program.id), pace=Pace.SWEEP
    )
    work = _Missing(services, scope, turn) if turn.way == Way.MISSING else _List(services, scope, turn)
    step = work.look(api)
    return keep_step(services, turn, step, work.found, lambda: not check_program(services, program))


def _scope(connection: Connection, program: Row[Any]) -> Scope:
    live = {row.referral_factory_id: row for row in watched.live_campaigns(connection, program_id=program.id)}
    ids = [row.id for row in live.values()]
    whole = watched.whole_audiences(connection, ids)
    newest = campaigns.newest_audiences(connection, ids)
    complete = {(row.campaign_id, row.audience) for row in newest if row.complete}
    return Scope(program, live, whole & complete)


# Everybody of the list


class _List:
    """The next page of everybody."""

    def __init__(self, services: Services, scope: Scope, turn: Turn) -> None:
        self._services, self._scope, self._turn = services, scope, turn
        self._page = PeoplePage(())

    def look(self, api: ReferralFactory) -> Step:
        turn = self._turn
        step = Step(turn.at(Way.LIST, cursor=turn.cursor))
        try:
            self._page = api.users(turn.cursor)
        except ApiError as error:
            step.called(error)
            step.failure = error
            if isinstance(error, Rejected):
                step.following = turn.at(Way.LIST)  # this page is refused for good: from the first one
            return step
        step.called()
        step.looked_at = len(self._page.people)
        cursor = self._page.cursor
        if cursor is None:
            step.following = turn.at(Way.MISSING)
        elif turn.repeats(cursor):
            step.following, step.cause = None, Cause.CURSOR_REPEATED
        else:
            step.following = turn.at(Way.LIST, cursor=cursor)
        return step

    def found(self, connection: Connection) -> list[NewEvent]:
        """What no webhook has told of the page's people. Notes, too, which watched leads the page names."""
        listed = _left_alone(
            self._services, connection, [one for person in self._page.people for one in _listed(self._scope, person)]
        )
        known = watched.known(
            connection,
            {one.campaign.id for one in listed},
            {one.id for one in listed},
            {one.email for one in listed if one.email},
        )
        by_name = {
            (row.campaign_id, row.audience, name): row
            for row in known
            for name in (row.referral_factory_id, row.email)
            if name is not None
        }
        rows = [(one, _row_of(one, by_name)) for one in listed]
        missed = [(one, topic) for one, row in rows if (topic := _missed(self._scope, one, row)) is not None]
        here = {row.id for _, row in rows if row is not None and _is_watched(row)}
        watched.note_swept(connection, here, self._turn.reconcile_id)
        at_work = inbox.open_people(connection, {one.person_key for one, _ in missed})
        found = [_event(self._services, one, topic) for one, topic in missed if one.person_key not in at_work]
        return self._seen_twice(connection, found)

    def _seen_twice(self, connection: Connection, found: Sequence[NewEvent]) -> list[NewEvent]:
        """What an earlier reconcile has seen too. The rest is noted for the next, unless that is too much."""
        mine, unheard, missed = self._turn.reconcile_id, dict(self._turn.unheard), []
        added = inbox.known_keys(connection, [event.dedupe_key for event in found])
        for event in found:
            if event.dedupe_key in added:
                continue
            if unheard.get(event.dedupe_key, mine) != mine or len(unheard) >= MOST_UNHEARD:
                missed.append(event)
            else:
                unheard[event.dedupe_key] = mine
        if self._page.cursor is None:  # the list was read whole: who was seen before is sent, or was heard of
            unheard = {key: seen_in for key, seen_in in unheard.items() if seen_in == mine}
        reconciles.note_unheard(connection, self._turn, unheard)
        return missed


def _listed(scope: Scope, person: Person) -> Iterator[Listed]:
    """Who is of a live campaign, and of a known audience."""
    campaign = scope.campaigns.get(person.text(CAMPAIGN_ID) or "")
    rf_id = storable(person.referral_factory_id)
    if campaign is not None and person.audience is not None and rf_id is not None:
        yield Listed(campaign, person, person.audience, rf_id, storable(normalised_email(person.email)) or "")


def _left_alone(services: Services, connection: Connection, listed: Sequence[Listed]) -> Sequence[Listed]:
    """Without those who were erased on request: nothing of them is looked up, sent or kept."""
    named = [who(one.campaign.workspace_id, one.campaign.id, one.person) for one in listed]
    gone = are_erased(connection, services.vault, named)
    return [one for one, erased in zip(listed, gone, strict=True) if not erased]


def _row_of(one: Listed, by_name: Mapping[tuple[int, str, str], Row[Any]]) -> Row[Any] | None:
    place = one.campaign.id, one.audience.value
    return by_name.get((*place, one.id)) or by_name.get((*place, one.email))


def _is_watched(row: Row[Any]) -> bool:
    return row.audience == Audience.LEADS.value and row.qualification_state == OPEN and row.contact_id is not None


def _missed(scope: Scope, one: Listed, row: Row[Any] | None) -> str | None:
    """The topic of the webhook that never came; ``None`` where nothing is missing."""
    if (one.campaign.id, one.audience.value) in scope.sent and (row is None or _never_joined(row)):
        return "joined"
    if row is None or not _is_watched(row) or one.person.text("qualified_at") is None:
        return None
    return "qualified"


def _never_joined(row: Row[Any]) -> bool:
    """Known from elsewhere only; neither did they join before the setup, nor was a webhook of theirs worked on."""
    return row.joined_received_at is None and row.sent_received_at is None and row.joined_before_setup is None


def _event(services: Services, one: Listed, topic: str) -> NewEvent:
    return NewEvent(
        dedupe_key=reconcile_person_key(topic, one.campaign.id, one.id),
        source="referral_factory",
        topic=topic,
        workspace_id=one.campaign.workspace_id,
        campaign_id=one.campaign.id,
        person_key=one.person_key,
        content_type="application/json",
        payload=json.dumps(webhook_payload_from(one.person)).encode(),
        received_at=services.now(),
        origin=inbox.RECONCILE,
    )


# Whom the list did not name


class _Missing:
    """The next few watched leads that were there before, and that the list did not name."""

    def __init__(self, services: Services, scope: Scope, turn: Turn) -> None:
        self._services, self._scope, self._turn = services, scope, turn
        self._deleted: list[Row[Any]] = []

    def look(self, api: ReferralFactory) -> Step:
        turn = self._turn
        with self._services.database.reading() as connection:
            few = watched.not_swept(
                connection, self._scope.campaign_ids, turn.reconcile_id, turn.begun_at, turn.position, ASKED_A_STEP
            )
        step, position, until = Step(None), turn.position, self._services.now() + ENOUGH
        for lead in few:
            try:
                if api.user(lead.referral_factory_id) is None:
                    self._deleted.append(lead)
                step.called()
            except Rejected as error:
                step.called(error)  # one that can't be asked for does not keep the others from it
            except ApiError as error:
                step.called(error)
                step.failure = error
                break
            position = lead.id
            step.looked_at += 1
            if self._services.now() >= until:
                break
        if step.failure is not None or len(few) == ASKED_A_STEP or (few and position < few[-1].id):
            step.following = turn.at(Way.MISSING, position=position)
        step.whole = step.following is None
        step.again_after = SECOND_LOOK if turn.unheard else None
        return step

    def found(self, connection: Connection) -> list[NewEvent]:
        """No event: who was deleted there is watched no more, and it is told."""
        cause = Cause.UNKNOWN_IN_REFERRAL_FACTORY
        closed = watched.close(connection, [row.id for row in self._deleted], cause, self._services.now())
        activity.record(connection, [_told(self._services, row) for row in self._deleted if row.id in closed])
        return []


def _told(services: Services, row: Row[Any]) -> dict[str, Any]:
    same = ("campaign_id", "audience", "referral_factory_id", "code", "email", "workspace_id", "contact_id")
    return {
        **{name: row._mapping[name] for name in (*same, "contact_role")},
        "at": services.now(),
        "verb": "qualify",
        "outcome": "ignored",
        "cause": Cause.UNKNOWN_IN_REFERRAL_FACTORY.value,
        "detail": None,
        "fields": [],
        "event_id": None,
        "sync_id": None,
    }
