"""What was received, and what became of it: all events, and one with what was sent and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection, Row

from app.core.causes import CATALOGUE
from app.core.errors import InvalidRequest
from app.core.text import storable
from app.storage import activity, campaigns, event_list, overview, people, workspaces
from app.usecases.replay_events import dismiss_event, known_event, replay_chosen, replay_event, replay_events
from app.usecases.show_event import payload_of
from app.web.api import shown as api_shown
from app.web.api.paging import cursor_from, id_in
from app.web.console.access import actor, own_path, services
from app.web.console.activity import people_behind
from app.web.console.deed_words import SOURCES, STATUSES, TOPICS, WORDS, say_refusal
from app.web.console.overview import many
from schemas.api_fields import id_from

pages = Blueprint("events", __name__)

EVENTS_A_PAGE = 50
MOST_DEEDS = 50
MOST_OF_TOPIC = 100

SHOWN_AT_FIRST = 10_000
"""Characters of what was sent."""

MOST_COUNTED: Mapping[str, int] = {"dead": 10_000, "done": 1_000}
"""Beyond that it is "more than" so many."""


# All of them


@pages.get("/events")
def listed() -> Any:
    chosen: dict[str, Any] = _chosen(request.args)
    with services().database.reading() as connection:
        rows = event_list.page(
            connection, before=id_in(request.args.get("cursor") or None), limit=EVENTS_A_PAGE + 1, **chosen
        )
        shown_rows = rows[:EVENTS_A_PAGE]
        page = {
            "people": _people_of(connection, shown_rows),
            "names": campaigns.names(connection, {row.campaign_id for row in shown_rows if row.campaign_id}),
            "waiting": overview.waiting(connection),
            "replayable": _replayable(connection, chosen),
        }
    older = None
    if len(rows) > EVENTS_A_PAGE:
        older = url_for(".listed", **chosen, cursor=cursor_from(shown_rows[-1].id))
    return render_template(
        "console/events.html",
        rows=shown_rows,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not request.args.get("cursor"),
        cause_choices=sorted(CATALOGUE.values(), key=lambda one: one.title),
        topics=TOPICS,
        many=many,
        older=older,
        **page,
        now=services().now(),
        **WORDS,
    )


def _chosen(given: Mapping[str, str]) -> dict[str, str | None]:
    """A cause is one of events that were given up: with it, no other status is looked for."""
    status = given.get("status") if given.get("status") in STATUSES else None
    cause = given.get("cause") if given.get("cause") in set(CATALOGUE) else None
    return {
        "status": "dead" if cause else status,
        "source": given.get("source") if given.get("source") in SOURCES else None,
        "topic": (storable(given.get("topic", ""), MOST_OF_TOPIC) or "").strip() or None,
        "cause": cause,
    }


def _people_of(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, Row[Any]]:
    """Whom each event is about, by its id, as far as it names somebody by email."""
    found = people.by_person_keys(connection, {row.person_key for row in rows if row.person_key})
    by_key: dict[tuple[str, int | None], Row[Any]] = {}
    for person in found:
        by_key |= {(person.person_key, person.campaign_id): person, (person.person_key, None): person}
    each = {row.id: by_key.get((row.person_key, row.campaign_id)) for row in rows if row.person_key}
    return {event_id: person for event_id, person in each.items() if person is not None}


@dataclass(frozen=True, slots=True)
class Replayable:
    """All of a filter that can be replayed; ``number`` is counted up to a bound, and ``words`` say so."""

    status: str
    number: int
    words: str


def _replayable(connection: Connection, chosen: Mapping[str, str | None]) -> Replayable | None:
    """Without a status, those that were given up; ``None`` for what is worked on anyway."""
    status = chosen["status"] or "dead"
    if status not in MOST_COUNTED:
        return None
    asked = {name: chosen[name] for name in ("source", "topic", "cause")}
    most = MOST_COUNTED[status]
    number = event_list.count_settled(connection, status=status, most=most + 1, **asked)
    if not number:
        return None
    return Replayable(status, number, f"more than {most:,}" if number > most else f"{number:,}")


# One


@pages.get("/events/<id:event_id>")
def shown(event_id: int) -> Any:
    event = known_event(services(), event_id)
    payload = _text_of(payload_of(services(), event))
    with services().database.reading() as connection:
        deeds = activity.of_event(connection, event_id, MOST_DEEDS)
        person = _people_of(connection, [event]).get(event_id)
        behind = people_behind(connection, deeds)
        names = campaigns.names(connection, {row.campaign_id for row in (event, *deeds) if row.campaign_id})
        spaces = workspaces.by_ids(connection, {event.workspace_id})
    whole = request.args.get("all") == "1"
    return render_template(
        "console/events_one.html",
        event=event,
        payload=payload if payload is None or whole else payload[:SHOWN_AT_FIRST],
        length=len(payload or ""),
        is_cut=payload is not None and not whole and len(payload) > SHOWN_AT_FIRST,
        next_attempt_at=api_shown.event(event)["next_attempt_at"],
        deeds=deeds,
        people=behind,
        person=person,
        names=names,
        workspace=spaces.get(event.workspace_id),
        contact_url=api_shown.contact_url,
        spaces=spaces,
        now=services().now(),
        **WORDS,
    )


def _text_of(payload: Any) -> str | None:
    """Half a surrogate pair, which JSON can hold, has no place on a page."""
    if payload is None:
        return None
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, indent=2)
    return text.encode("utf-8", "replace").decode()


# What is done with them


@pages.post("/events/<id:event_id>/replay")
def replayed(event_id: int) -> Any:
    try:
        replay_event(services(), event_id, actor())
    except InvalidRequest as error:
        say_refusal(error)
    else:
        flash("It is worked on again. What comes of it is shown within moments.", "success")
    return redirect(_back_to(url_for(".shown", event_id=event_id)), 303)


@pages.post("/events/<id:event_id>/dismiss")
def dismissed(event_id: int) -> Any:
    try:
        dismiss_event(services(), event_id, actor())
    except InvalidRequest as error:
        say_refusal(error)
    else:
        flash("Dismissed: it is let be, and its cause stays to be read.", "success")
    return redirect(_back_to(url_for(".shown", event_id=event_id)), 303)


@pages.post("/events/replay-chosen")
def replayed_chosen() -> Any:
    ids = [number for text in request.form.getlist("event") if (number := id_from(text)) is not None]
    if not ids:
        flash("Tick the events that are to be replayed.", "warning")
    else:
        _say_how_many(replay_chosen(services(), ids, actor()))
    return redirect(_back_to(url_for(".listed")), 303)


@pages.post("/events/replay")
def replayed_all() -> Any:
    chosen = _chosen(request.form)
    try:
        _say_how_many(replay_events(services(), actor(), **chosen))
    except InvalidRequest as error:
        say_refusal(error)
    return redirect(_back_to(url_for(".listed")), 303)


def _say_how_many(number: int) -> None:
    if number == 0:
        flash("Nothing was replayed: nothing of this is settled with its content kept.", "warning")
    else:
        flash(f"{number:,} {'event is' if number == 1 else 'events are'} worked on again.", "success")


def _back_to(otherwise: str) -> str:
    wanted = request.form.get("next")
    return own_path(wanted) if wanted else otherwise
