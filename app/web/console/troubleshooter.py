"""Why? The guide's questions, asked of a campaign and a person: answered with evidence, and the button that mends it.

Everything is in the address, so that an answer can be sent to a colleague as a link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy import Connection, Row
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from app.core.diagnosis import TITLES, Asker, Check, Question, Verdict
from app.core.diagnosis.checks import Telling
from app.core.intercom_pages import contact_url
from app.core.people import is_email, normalised_email
from app.core.text import storable
from app.storage import campaigns, people, workspaces
from app.usecases.diagnose import diagnose
from app.usecases.find_campaigns import campaigns_of
from app.web.console.access import actor, granters, services, who
from app.web.console.check_words import ContactUrl, Shown, shown, told_once
from app.web.console.mending import mend
from schemas.api_fields import id_from

troubleshooter = Blueprint("troubleshooter", __name__)

MOST_CAMPAIGNS = 500
MOST_SUGGESTED = 200
MOST_TYPED = 300

NEEDS: Mapping[Question | None, tuple[str, ...]] = {
    None: ("email",),
    Question.CANNOT_CONNECT: (),
    Question.NONE_ARRIVE: (),
    Question.SOME_DO_NOT_ARRIVE: ("email",),
    Question.ATTRIBUTE_NOT_UPDATED: ("email", "attribute"),
    Question.DOES_NOT_UPDATE: ("email",),
    Question.ATTRIBUTE_NOT_SELECTABLE: ("attribute",),
    Question.LINK_ATTRIBUTE_NOT_SELECTABLE: ("attribute",),
    Question.NOT_QUALIFIED: ("email",),
    Question.SEGMENT_NOT_FOUND: ("segment",),
    Question.SYNC_ADDED_FEW: ("email",),
    Question.NO_LINK_IN_INTERCOM: ("email",),
    Question.NEW_CONTACTS_NOT_ENROLLED: ("email",),
}
"""What each question is about, besides a campaign."""

LOOKED_AT: Mapping[Question | None, str] = {
    None: "Everything that can be known of a person or a campaign.",
    Question.CANNOT_CONNECT: "Your rights, both access tokens, the region and each permission.",
    Question.NONE_ARRIVE: "Action, name and email, types of attributes, the connections, and whether webhooks come.",
    Question.SOME_DO_NOT_ARRIVE: "When they joined, duplicates, refused values, events that wait or were given up.",
    Question.ATTRIBUTE_NOT_UPDATED: "Each field: its type, options and length, and what Intercom said to it.",
    Question.DOES_NOT_UPDATE: "The duplicates policy, and what it has kept.",
    Question.ATTRIBUTE_NOT_SELECTABLE: "Whether it was read, is archived, can be filled, or is taken already.",
    Question.LINK_ATTRIBUTE_NOT_SELECTABLE: "The same, and whether it is single-line text no other campaign uses.",
    Question.NOT_QUALIFIED: "The rule, each value that was seen and when, and what Referral Factory says.",
    Question.SEGMENT_NOT_FOUND: "When segments were read, names that are near, and whether it is gone.",
    Question.SYNC_ADDED_FEW: "Blank values, the user limit, who was there already, and how far it is.",
    Question.NO_LINK_IN_INTERCOM: "Where the link goes, whether the attribute can hold it, and what was written.",
    Question.NEW_CONTACTS_NOT_ENROLLED: "Whether the sync goes on, when it looks next, and whom it takes.",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """What stands in the address, as typed."""

    campaign_id: int | None = None
    email: str = ""
    question: Question | None = None
    attribute: str = ""
    segment: str = ""
    is_sent: bool = False
    """Whether its form was sent, be it empty."""

    @classmethod
    def of(cls, given: MultiDict[str, str]) -> Asking:
        def typed(name: str) -> str:
            return (storable(given.get(name, ""), MOST_TYPED) or "").strip()

        asked = given.get("question", "")
        return cls(
            campaign_id=id_from(given.get("campaign_id", "")),
            email=typed("email"),
            question=Question(asked) if asked in set(Question) else None,
            attribute=typed("attribute"),
            segment=typed("segment") or typed("segment_id"),
            is_sent="campaign_id" in given,
        )

    @property
    def needs(self) -> tuple[str, ...]:
        return NEEDS[self.question]

    @property
    def is_begun(self) -> bool:
        """Whether there is something to answer yet; a question alone only opens its form."""
        return self.is_sent or bool(self.email and "email" in self.needs)

    @property
    def emails(self) -> tuple[str, ...]:
        """In the form in which people are kept. A space within is a slip, or was a plus before it came out of an
        address."""
        parts = normalised_email(self.email).split()
        return tuple(dict.fromkeys(("".join(parts), "+".join(parts)))) if parts else ()

    @property
    def looks_wrong(self) -> bool:
        """Whether it is no address. It is looked for all the same: somebody may have signed up with it."""
        return "email" in self.needs and bool(self.emails) and not any(is_email(one) for one in self.emails)

    def query(self, **changes: Any) -> dict[str, Any]:
        """The address that asks it, without what is empty."""
        asked = {
            "question": self.question,
            "campaign_id": self.campaign_id,
            "email": self.email,
            "attribute": self.attribute,
            "segment": self.segment,
        }
        return {name: value for name, value in {**asked, **changes}.items() if value}


@dataclass(frozen=True, slots=True)
class Place:
    """Of which campaign it is answered, and under which spelling of the address; ``others`` is where the person came
    up too."""

    campaign: Row[Any] | None
    email: str
    others: Sequence[Row[Any]] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """``headline`` in one sentence. ``first`` is the most telling problem, ``rest`` what else is not in order."""

    at: datetime
    headline: str
    colour: str
    first: Shown | None
    rest: Sequence[Shown]
    well: Sequence[Shown]

    @property
    def number(self) -> int:
        return len(self.rest) + len(self.well) + (self.first is not None)

    @property
    def amiss(self) -> int:
        return self.number - len(self.well)


# The page


@troubleshooter.get("/troubleshooter")
def page() -> str:
    asking = Asking.of(request.args)
    with services().database.reading() as connection:
        live = campaigns.page(connection, after=None, limit=MOST_CAMPAIGNS)
        place = _place(connection, asking, live)
        told = _told_of(connection, place)
    begun = asking.is_begun
    answer = _answer(asking, place, told["workspace"]) if begun and place.campaign is not None else None
    mine = asking.query(campaign_id=place.campaign.id) if place.campaign is not None else asking.query()
    return render_template(
        "console/troubleshooter.html",
        asking=asking,
        titles=TITLES,
        looked_at=LOOKED_AT[asking.question],
        live=_with(live, place.campaign),
        place=place,
        answer=answer,
        nobody=begun and place.campaign is None and bool(live),
        here=url_for(".page", **mine),
        link=services().public_url + url_for(".page", **mine),
        mending=url_for(".mended", **mine),
        **told,
    )


def _with(live: Sequence[Row[Any]], chosen: Row[Any] | None) -> list[Row[Any]]:
    """An archived campaign can be asked about, too."""
    known = chosen is None or any(one.id == chosen.id for one in live)
    return [*live, *([] if known or chosen is None else [chosen])]


def _place(connection: Connection, asking: Asking, live: Sequence[Row[Any]]) -> Place:
    """The campaign that is named, else the one in which the person came up last, else the only one there is."""
    email, found = _person(connection, asking.emails) if "email" in asking.needs else ("", ())
    wanted = asking.campaign_id or next(iter(found), None) or (live[0].id if len(live) == 1 else None)
    rows = {one: campaigns.get(connection, one) for one in dict.fromkeys((wanted, *found[:10])) if one is not None}
    others = [row for one, row in rows.items() if row is not None and one != wanted and one in found]
    return Place(rows.get(wanted) if wanted is not None else None, email, others)


def _person(connection: Connection, emails: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The first spelling under which somebody came up, and in which campaigns; else the first that is an address."""
    for email in emails:
        if found := campaigns_of(connection, email):
            return email, found
    return next((one for one in emails if is_email(one)), next(iter(emails), "")), ()


def _told_of(connection: Connection, place: Place) -> dict[str, Any]:
    """What the form suggests, and where the person has pages of their own."""
    campaign = place.campaign
    if campaign is None:
        return {"workspace": None, "attributes": [], "segments": [], "records": []}
    catalogue = workspaces.catalogue(connection, campaign.workspace_id)
    records: Sequence[Row[Any]] = ()
    if place.email:
        records = people.page(connection, email=place.email, campaign_id=campaign.id, before=None, limit=5)
    return {
        "workspace": workspaces.get(connection, campaign.workspace_id),
        "attributes": sorted({one.name for one in catalogue.values()})[:MOST_SUGGESTED],
        "segments": [row.name for row in workspaces.all_segments(connection, campaign.workspace_id)][:MOST_SUGGESTED],
        "records": records,
    }


# The answer


def _answer(asking: Asking, place: Place, workspace: Row[Any] | None) -> Answer:
    """Raises: InvalidRequest 404 for an unknown campaign."""
    assert place.campaign is not None  # noqa: S101
    needs = asking.needs if asking.question is not None else ("email", "attribute", "segment")
    checks = diagnose(
        services(),
        place.campaign.id,
        email=place.email or None,
        question=asking.question,
        attribute=(asking.attribute or None) if "attribute" in needs else None,
        segment=(asking.segment or None) if "segment" in needs else None,
        asker=_asker(),
    )
    return answer_of(checks, services().now(), asking.question, place.campaign.id, _contact_url(workspace))


def _asker() -> Asker:
    may_manage = who().rights.may_manage
    return Asker(who().email, may_manage=may_manage, owners=() if may_manage else tuple(granters()))


def _contact_url(workspace: Row[Any] | None) -> ContactUrl:
    if workspace is None or not workspace.region or not workspace.app_id:
        return lambda _: None
    return lambda contact_id: contact_url(workspace.region, workspace.app_id, contact_id)


def answer_of(
    checks: Sequence[Check], at: datetime, question: Question | None, campaign_id: int, contact: ContactUrl
) -> Answer:
    """The checks as they are told: one first, then what else is not in order, then what is."""
    amiss = [one for one in checks if one.verdict is not Verdict.OK]
    told = told_once([shown(one, campaign_id, contact) for one in amiss])
    well = [shown(one, campaign_id, contact) for one in checks if one.verdict is Verdict.OK]
    first = amiss[0] if amiss else None
    headline, colour = _headline(first, question)
    return Answer(at, headline, colour, told[0] if told else None, told[1:], well)


def _headline(first: Check | None, question: Question | None) -> tuple[str, str]:
    if first is None:
        return "Nothing stands in the way", "success"
    if first.verdict is Verdict.UNKNOWN:
        return "Nothing that could be looked up stands in the way, but not everything could be", "secondary"
    title = shown(first).title
    if first.telling is Telling.NOTE and question is None:
        return f"Nothing stands in the way. Worth knowing: {title}", "info"
    lead = _LEADS.get(first.telling, "This is why")
    return f"{lead}: {title}", "warning" if first.telling in (Telling.WAITS, Telling.NOTE) else "danger"


_LEADS: Mapping[Telling, str] = {
    Telling.CONNECTION: "Nothing gets through at the moment",
    Telling.CAMPAIGN: "It is so for everybody here",
    Telling.WAITS: "It waits, and may pass by itself",
}


# What is done about it


@troubleshooter.post("/troubleshooter")
def mended() -> Response:
    """A button does what it says; then the same is asked again."""
    mend(services(), request.form.to_dict(), actor())
    return redirect(url_for(".page", **Asking.of(request.args).query()), 303)
