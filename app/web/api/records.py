"""Calls about what happened: activity, events, reconciles and people."""

from __future__ import annotations

from typing import Any

from app.storage import activity, erasures, event_list, people, reconciles
from app.usecases.erase_person import erase_person
from app.usecases.qualify_by_hand import qualify_by_hand
from app.usecases.replay_events import dismiss_event, known_event, replay_event, replay_events
from app.usecases.show_event import payload_of
from app.usecases.show_person import known_person, timeline_of
from app.web.api import shown
from app.web.api.operations import actor, call, group, services
from app.web.api.paging import id_in, page_of
from schemas.api_fields import PageQuery
from schemas.api_records import (
    ActivityPage,
    ActivityQuery,
    ErasurePage,
    EventAnswer,
    EventFilter,
    EventPage,
    EventQuery,
    PeoplePage,
    PeopleQuery,
    ReconcilePage,
    ReplayAnswer,
    WholeEventAnswer,
    WholePersonAnswer,
)

calls = group("records", "What was received, what was done for whom, and why not.")


@call(calls, "GET", "/activity", query=ActivityQuery, answers=ActivityPage)
def list_activity(query: dict[str, Any]) -> Any:
    """List what was done for whom, newest first"""
    filters = {name: query[name] for name in activity.FILTERS if name in query}
    with services().database.reading() as connection:
        rows = activity.page(
            connection,
            filters,
            since=query.get("since"),
            before=id_in(query.get("cursor")),
            limit=query["limit"] + 1,
        )
        spaces = shown.workspaces_of(connection, rows)
    return page_of(rows, query["limit"], lambda row: shown.activity(row, spaces))


@call(calls, "GET", "/events", query=EventQuery, answers=EventPage)
def list_events(query: dict[str, Any]) -> Any:
    """List what was received, newest first"""
    with services().database.reading() as connection:
        rows = event_list.page(
            connection,
            before=id_in(query.get("cursor")),
            limit=query["limit"] + 1,
            **{name: query.get(name) for name in ("status", "source", "topic")},
        )
    return page_of(rows, query["limit"], shown.event)


@call(calls, "GET", "/events/<id:event_id>", answers=WholeEventAnswer)
def show_event(event_id: int) -> Any:
    """Show an event with what was sent, secrets masked"""
    event = known_event(services(), event_id)
    return {**shown.event(event), "payload": payload_of(services(), event)}


@call(calls, "POST", "/events/<id:event_id>/replay", answers=EventAnswer)
def replay_an_event(event_id: int) -> Any:
    """Work on a dead or done event again"""
    replay_event(services(), event_id, actor())
    return shown.event(known_event(services(), event_id))


@call(calls, "POST", "/events/replay", body=EventFilter, optional_body=True, answers=ReplayAnswer)
def replay_all_events(body: dict[str, Any]) -> Any:
    """Work again on all events of a filter

    Without a status, on the dead ones.
    """
    replayed = replay_events(
        services(), actor(), status=body.get("status"), source=body.get("source"), topic=body.get("topic")
    )
    return {"replayed": replayed}


@call(calls, "POST", "/events/<id:event_id>/dismiss", answers=EventAnswer)
def dismiss_an_event(event_id: int) -> Any:
    """Let a dead event be; its cause stays"""
    dismiss_event(services(), event_id, actor())
    return shown.event(known_event(services(), event_id))


@call(calls, "GET", "/reconciles", query=PageQuery, answers=ReconcilePage)
def list_reconciles(query: dict[str, Any]) -> Any:
    """List the searches for what webhooks have not told, newest first"""
    with services().database.reading() as connection:
        rows = reconciles.page(connection, before=id_in(query.get("cursor")), limit=query["limit"] + 1)
    return page_of(rows, query["limit"], shown.reconcile)


@call(calls, "GET", "/people", query=PeopleQuery, answers=PeoplePage)
def list_people(query: dict[str, Any]) -> Any:
    """List people of campaigns, newest first"""
    with services().database.reading() as connection:
        rows = people.page(
            connection,
            email=query.get("email"),
            campaign_id=query.get("campaign_id"),
            before=id_in(query.get("cursor")),
            limit=query["limit"] + 1,
        )
        spaces = shown.workspaces_of(connection, rows)
    return page_of(rows, query["limit"], lambda row: shown.person(row, spaces))


@call(calls, "GET", "/people/<id:person_id>", answers=WholePersonAnswer)
def show_person(person_id: int) -> Any:
    """Show a person with all that was received about them and done for them"""
    return _whole(person_id)


@call(calls, "POST", "/people/<id:person_id>/qualify", answers=WholePersonAnswer)
def qualify_a_person(person_id: int) -> Any:
    """Qualify a lead by hand

    At once, in Referral Factory too. One that is qualified there already stays so, and no call is made.
    """
    qualify_by_hand(services(), person_id, qualified=True, asked_by=actor())
    return _whole(person_id)


@call(calls, "POST", "/people/<id:person_id>/disqualify", answers=WholePersonAnswer)
def disqualify_a_person(person_id: int) -> Any:
    """Take a lead's qualification back by hand

    No rule qualifies them after that. A reward that was issued is not taken back.
    """
    qualify_by_hand(services(), person_id, qualified=False, asked_by=actor())
    return _whole(person_id)


@call(calls, "DELETE", "/people/<id:person_id>", status=204)
def erase_a_person(person_id: int) -> None:
    """Erase a person, with a record that it was done

    Everything kept here of whoever has this person's email, or is the same contact, in all campaigns of their
    workspace and of their program, as lead and as referrer, and what names them beside others. Intercom and Referral
    Factory are not touched. Sweeps, syncs and backfills pass them by from now on; if they sign up again, they are
    treated as new.
    """
    erase_person(services(), person_id, actor())


@call(calls, "GET", "/erasures", query=PageQuery, answers=ErasurePage)
def list_erasures(query: dict[str, Any]) -> Any:
    """List the records that somebody was erased on request, newest first; they name nobody"""
    with services().database.reading() as connection:
        rows = erasures.page(connection, before=id_in(query.get("cursor")), limit=query["limit"] + 1)
    return page_of(rows, query["limit"], lambda row: row._mapping)


def _whole(person_id: int) -> Any:
    with services().database.reading() as connection:
        row = known_person(connection, person_id)
        moments = timeline_of(connection, row)
        spaces = shown.workspaces_of(connection, [row])
    return {**shown.person(row, spaces), "timeline": [shown.moment(one) for one in moments]}
