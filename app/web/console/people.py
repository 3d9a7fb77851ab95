"""People: found by email or id, listed, and each with all that is known of them and can be done for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest
from app.core.people import Audience
from app.core.text import storable
from app.storage import campaigns, people, workspaces
from app.usecases.erase_person import erase_person
from app.usecases.qualify_by_hand import qualify_by_hand
from app.usecases.show_person import Place, known_person, open_events, timeline_page
from app.web.api import shown as api_shown
from app.web.api.paging import cursor_from, id_in, texts_in
from app.web.console.access import actor, services
from app.web.console.deed_words import AUDIENCES, STATES, WORDS, say_refusal
from schemas.api_fields import id_from

pages = Blueprint("people", __name__)

PEOPLE_A_PAGE = 50
MOST_FOUND = 50
MOST_OTHERS = 50
MOST_CAMPAIGNS = 500


# Found, and listed


@pages.get("/people")
def listed() -> Any:
    sought = (storable(request.args.get("q") or request.args.get("email") or "") or "").strip()
    return _found(sought) if sought else _listed()


def _found(sought: str) -> Any:
    with services().database.reading() as connection:
        rows = _sought(connection, sought)
        if len(rows) == 1:
            return redirect(url_for(".shown", person_id=rows[0].id))
        return _page(connection, rows, sought=sought)


def _sought(connection: Connection, sought: str) -> Sequence[Row[Any]]:
    if "@" not in sought:
        live = campaigns.all_ids(connection)
        return people.named(connection, sought, live, workspaces.all_ids(connection), MOST_FOUND)
    for email in _spellings(sought):
        rows = people.page(connection, email=email, campaign_id=None, before=None, limit=MOST_FOUND)
        if rows:
            return rows
    return ()


def _spellings(sought: str) -> list[str]:
    """An address as people are kept. A space within is a slip, or was a plus before it came out of an address."""
    plain = sought.lower()
    return list(dict.fromkeys(("".join(plain.split()), "+".join(plain.split()))))


def _listed() -> Any:
    campaign_id = id_from(request.args.get("campaign_id", ""))
    audience = _one_of(AUDIENCES, "audience")
    state = _one_of(STATES, "state")
    before = id_in(request.args.get("cursor") or None)
    with services().database.reading() as connection:
        if audience or state:
            rows = people.listed(
                connection,
                [campaign_id] if campaign_id else campaigns.all_ids(connection),
                audiences=[audience] if audience else list(AUDIENCES),
                states=[state] if state else list(STATES),
                before=before,
                limit=PEOPLE_A_PAGE + 1,
            )
        else:
            rows = people.page(
                connection, email=None, campaign_id=campaign_id, before=before, limit=PEOPLE_A_PAGE + 1
            )
        chosen: dict[str, Any] = {"campaign_id": campaign_id, "audience": audience, "state": state}
        shown_rows = rows[:PEOPLE_A_PAGE]
        older = None
        if len(rows) > PEOPLE_A_PAGE:
            older = url_for(".listed", **chosen, cursor=cursor_from(shown_rows[-1].id))
        return _page(connection, shown_rows, chosen=chosen, older=older)


def _one_of(words: Any, name: str) -> str | None:
    given = request.args.get(name, "")
    return given if given in words else None


def _page(connection: Connection, rows: Sequence[Row[Any]], **more: Any) -> str:
    live = campaigns.page(connection, after=None, limit=MOST_CAMPAIGNS)
    told = {"sought": "", "chosen": {}, "older": None, **more}
    return render_template(
        "console/people.html",
        rows=rows,
        names=campaigns.names(connection, {row.campaign_id for row in rows}),
        campaigns=live,
        is_first=not request.args.get("cursor"),
        cause_of=cause_of,
        **told,
        now=services().now(),
        **WORDS,
    )


def cause_of(person: Row[Any]) -> str | None:
    """Why the referral stands as it does."""
    return Cause.JOINED_BEFORE_SETUP.value if person.joined_before_setup else person.qualification_cause


# One


@pages.get("/people/<id:person_id>")
def shown(person_id: int) -> Any:
    before = _place_in(request.args.get("cursor") or None)
    with services().database.reading() as connection:
        person = known_person(connection, person_id)
        timeline = timeline_page(connection, person, before)
        others = people.others_of(connection, person, MOST_OTHERS)
        names = campaigns.names(connection, {row.campaign_id for row in (person, *others)})
        spaces = api_shown.workspaces_of(connection, [person])
        unsettled = open_events(connection, person)
    return render_template(
        "console/person.html",
        person=person,
        who=who_is(person),
        names=names,
        others=others,
        timeline=timeline,
        told={one.row.event_id for one in timeline.moments if one.kind == "activity"},
        older=_older(person_id, timeline.older),
        is_first=before is None,
        waiting=[row for row in unsettled if row.status != "dead"],
        given_up=[row for row in unsettled if row.status == "dead"],
        workspace=spaces.get(person.workspace_id),
        contact_url=api_shown.contact_url,
        contact=_contact(person, timeline.moments),
        cause=cause_of(person),
        cause_of=cause_of,
        is_lead=person.audience == Audience.LEADS.value,
        now=services().now(),
        **WORDS,
    )


def who_is(person: Row[Any]) -> str:
    """The surest name there is for somebody."""
    name = person.email or person.first_name or person.code or person.referral_factory_id
    return str(name) if name else "Somebody without a name"


@dataclass(frozen=True, slots=True)
class InIntercom:
    """The person's contact. One ``left_alone`` was there before, and is not theirs here. ``cause`` says what became
    of it since: archived, deleted, merged."""

    id: str | None
    role: str | None
    cause: str | None = None
    left_alone: bool = False


_GONE = ("contact_archived", "contact_deleted", "contact_merged", "archived_contact")


def _contact(person: Row[Any], moments: Sequence[Any]) -> InIntercom:
    deeds = [one.row for one in moments if one.kind == "activity"]
    told = next((row for row in deeds if row.contact_id), None)
    cause = person.qualification_cause if person.qualification_cause in _GONE else None
    if told is not None and cause is None and told.cause in _GONE:
        cause = told.cause
    if person.contact_id is None and told is not None:
        return InIntercom(told.contact_id, told.contact_role, cause, left_alone=True)
    return InIntercom(person.contact_id, person.contact_role, cause)


def _place_in(cursor: str | None) -> Place | None:
    """Raises: InvalidRequest 422 for a cursor that is none of ours."""
    parts = texts_in(cursor, 2)
    if parts is None:
        return None
    activity_id, at = id_from(parts[0]), _moment(parts[1])
    if activity_id is None or at is None:
        raise InvalidRequest("This is no page of this list. Open the person's page anew.")
    return Place(activity_id, at)


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _older(person_id: int, place: Place | None) -> str | None:
    if place is None:
        return None
    cursor = cursor_from([str(place.activity_id), place.at.isoformat()])
    return url_for(".shown", person_id=person_id, cursor=cursor, _anchor="timeline")


# What is done by hand


@pages.post("/people/<id:person_id>/<any(qualify, disqualify):do>")
def qualified(person_id: int, do: str) -> Any:
    try:
        qualify_by_hand(services(), person_id, qualified=do == "qualify", asked_by=actor())
    except (InvalidRequest, ApiError) as error:
        say_refusal(error)
    else:
        flash(
            f"Done: they are {'qualified' if do == 'qualify' else 'disqualified'} in Referral Factory too.", "success"
        )
    return redirect(url_for(".shown", person_id=person_id), 303)


@pages.post("/people/<id:person_id>/erase")
def erased(person_id: int) -> Any:
    try:
        erase_person(services(), person_id, actor())
    except InvalidRequest as error:
        say_refusal(error)
        return redirect(url_for(".shown", person_id=person_id), 303)
    flash(
        "Erased. What names them beside others is removed within moments. If they sign up again, they are new.",
        "success",
    )
    return redirect(url_for(".listed"), 303)
