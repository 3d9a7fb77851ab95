"""Calls about what happened: activity, events and people."""

from __future__ import annotations

from typing import Any

from app.storage import activity, inbox, people
from app.usecases.replay_events import dismiss_event, known_event, replay_event, replay_events
from app.usecases.show_event import payload_of
from app.usecases.show_person import known_person, timeline_of
from app.web.api import shown
from app.web.api.operations import call, group, services
from app.web.api.paging import id_in, page_of
from schemas.api_records import (
    ActivityPage,
    ActivityQuery,
    EventAnswer,
    EventFilter,
    EventPage,
    EventQuery,
    PeoplePage,
    PeopleQuery,
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
        rows = inbox.page(
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
    replay_event(services(), event_id)
    return shown.event(known_event(services(), event_id))


@call(calls, "POST", "/events/replay", body=EventFilter, optional_body=True, answers=ReplayAnswer)
def replay_all_events(body: dict[str, Any]) -> Any:
    """Work again on all events of a filter

    Without a status, on the dead ones.
    """
    replayed = replay_events(
        services(), status=body.get("status"), source=body.get("source"), topic=body.get("topic")
    )
    return {"replayed": replayed}


@call(calls, "POST", "/events/<id:event_id>/dismiss", answers=EventAnswer)
def dismiss_an_event(event_id: int) -> Any:
    """Let a dead event be; its cause stays"""
    dismiss_event(services(), event_id)
    return shown.event(known_event(services(), event_id))


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
    with services().database.reading() as connection:
        row = known_person(connection, person_id)
        moments = timeline_of(connection, row)
        spaces = shown.workspaces_of(connection, [row])
    return {**shown.person(row, spaces), "timeline": [shown.moment(one) for one in moments]}
