"""The sync wizard: the vendor's steps in their order, each with an address of its own that holds what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from app.core.audiences import AttributeType
from app.core.causes import Cause
from app.core.errors import ApiError, FieldError, InvalidRequest
from app.core.mapping import LINK
from app.core.people import CUSTOM, META
from app.core.syncs import EMAIL, FIRST_NAME, Contacts
from app.storage import campaigns, syncs
from app.usecases.preview_sync import preview_sync
from app.usecases.refresh_catalogue import create_attribute, refresh_workspace
from app.usecases.set_up_sync import SyncSetup, sync_setup
from app.usecases.start_sync import checked_settings, start_sync
from app.web.console.access import actor, services
from app.web.console.run_words import CONTACTS, FORESEEN, STATES
from app.web.console.sync_draft import LONGEST, Draft, draft_in, text_of
from app.web.problems import vendor_cause

sync_wizard = Blueprint("sync_wizard", __name__)

Form = MultiDict[str, str]

WRITTEN_BACK = {
    LINK: "Referral Link",
    "referrals": "Referrals Count",
    "qualified_referrals": "Converted Referrals Count",
}
"""By the vendor's words, in the vendor's order."""

MOST_RUNS_NAMED = 20


# The steps


@dataclass(frozen=True, slots=True)
class Step:
    """``owns`` are the settings that are made in it: the first parts of the pointers of its faults. ``read`` makes
    them of the form."""

    name: str
    title: str
    owns: tuple[str, ...] = ()
    read: Callable[[Form, Draft], Draft] = lambda _form, _draft: {}

    def mine(self, faults: Iterable[FieldError]) -> list[FieldError]:
        return [fault for fault in faults if fault.pointer.split("/")[1] in self.owns]


def _contacts(form: Form, draft: Draft) -> Draft:
    chosen = form.get("contacts", "")
    segment = {"segment_id": draft.get("segment_id")} if chosen == Contacts.SEGMENT else {"segment_id": None}
    return {"contacts": chosen, **segment}


def _segment(form: Form, _draft: Draft) -> Draft:
    return {"segment_id": form.get("segment_id")}


def _maps(form: Form, _draft: Draft) -> Draft:
    listed = zip(form.getlist("from"), form.getlist("to"), strict=False)
    rows = [(source, to) for source, to in listed if source]
    added = form.get("added_from", ""), form.get("added_to", "").strip()
    if any(added):
        rows.append((added[0], META + added[1]))
    back = ((name, form.get(f"back_{name}", "")) for name in WRITTEN_BACK)
    return {
        "mapping": [{"from": source, "to": to} for source, to in rows],
        "write_back": [{"from": name, "to": to} for name, to in back if to],
    }


def _schedule(form: Form, _draft: Draft) -> Draft:
    return {"schedule": form.get("schedule", ""), "notify": "notify" in form}


STEPS = (
    Step("contacts", "Contacts", ("contacts",), _contacts),
    Step("segment", "Segment", ("segment_id",), _segment),
    Step("mapping", "Mapping", ("mapping", "write_back"), _maps),
    Step("schedule", "One-time or ongoing", ("schedule", "notify"), _schedule),
    Step("confirm", "Confirm"),
)
FIRST = STEPS[0]


def _steps_of(draft: Draft) -> list[Step]:
    """Only a sync of a segment asks which."""
    return [step for step in STEPS if step.name != "segment" or draft.get("contacts") == Contacts.SEGMENT]


def _after(step: Step, draft: Draft) -> Step:
    steps = _steps_of(draft)
    return steps[steps.index(step) + 1]


def _before(step: Step, draft: Draft) -> Step:
    steps = _steps_of(draft)
    return steps[steps.index(step) - 1] if step in steps[1:] else FIRST


# What is shown


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is in the wizard, and with what."""

    setup: SyncSetup
    step: Step
    draft: Draft

    @property
    def campaign(self) -> Any:
        return self.setup.ground.campaign

    def url(self, step: Step | str | None = None, **more: Any) -> str:
        name = step.name if isinstance(step, Step) else step or self.step.name
        address = url_for(".shown", campaign_id=self.campaign.id, step=name, draft=text_of(self.draft), **more)
        return str(address)

    def faults(self) -> list[FieldError]:
        """Of what was chosen in this step before, which may have been right then."""
        chosen = any(name in self.draft for name in self.step.owns)
        return self.step.mine(self.setup.faults(self.draft)) if chosen else []

    def unmade(self) -> Step | None:
        """The first of the steps before this one in which something is missing or wrong."""
        if "contacts" not in self.draft:
            return FIRST if self.step is not FIRST else None
        steps = _steps_of(self.draft)
        if self.step not in steps:
            return FIRST
        faults = self.setup.faults(self.draft)
        return next((step for step in steps[: steps.index(self.step)] if step.mine(faults)), None)


@sync_wizard.get("/campaigns/<id:campaign_id>/sync")
def begun(campaign_id: int) -> Response:
    return redirect(url_for(".shown", campaign_id=campaign_id, step=FIRST.name))


@sync_wizard.get("/campaigns/<id:campaign_id>/sync/<step>")
def shown(campaign_id: int, step: str) -> Any:
    draft = draft_in(request.args.get("draft", ""))
    try:
        place = Place(sync_setup(services(), campaign_id), _named(step), draft)
    except InvalidRequest as refusal:
        return _not_now(campaign_id, refusal)
    unmade = place.unmade()
    return _page(place, place.faults()) if unmade is None else redirect(place.url(unmade))


def _named(name: str) -> Step:
    step = next((step for step in STEPS if step.name == name), None)
    return step or abort(404)


def _not_now(campaign_id: int, refusal: InvalidRequest) -> Any:
    """A campaign that no sync can be made for as things stand."""
    with services().database.reading() as connection:
        campaign = campaigns.get(connection, campaign_id)
    if campaign is None or refusal.status != 409:
        raise refusal
    return render_template("console/sync_not_now.html", campaign=campaign, cause=refusal.cause)


def _page(
    place: Place, faults: Sequence[FieldError] = (), status: int = 200, search: str | None = None, **more: Any
) -> Any:
    setup, draft = place.setup, place.draft
    with services().database.reading() as connection:
        running = syncs.not_over(connection, place.campaign.id, MOST_RUNS_NAMED)
        names = syncs.segment_names(connection, running)
    wanted = (request.args.get("q", "") if search is None else search).strip()
    page = render_template(
        f"console/sync_{place.step.name}.html",
        place=place,
        campaign=place.campaign,
        workspace=setup.ground.workspace,
        steps=_steps_of(draft),
        back=_before(place.step, draft),
        draft=draft,
        text=text_of(draft),
        faults=faults,
        by_field=_by_field(draft, faults),
        running=running,
        segment_names=names,
        wanted=wanted,
        written_back=WRITTEN_BACK,
        contacts=CONTACTS,
        outcome_words=FORESEEN,
        states=STATES,
        every_minutes=max(1, round(services().sync_interval.total_seconds() / 60)),
        **_choices(place, wanted),
        **more,
    )
    return page, status


def _choices(place: Place, wanted: str) -> dict[str, Any]:
    setup, draft = place.setup, place.draft
    if place.step.name == "segment":
        words, chosen = wanted.casefold().split(), draft.get("segment_id")
        found = [one for one in setup.segments if all(word in one.name.casefold() for word in words)]
        return {"segments": sorted(found, key=lambda one: one.id != chosen), "all_segments": len(setup.segments)}
    if place.step.name == "mapping":
        return {
            "carried": setup.carried(),
            "targets": _targets(setup, draft),
            "sources": {row["to"]: row["from"] for row in draft.get("mapping", _USUAL)},
            "back_choices": {name: setup.written_back(name) for name in WRITTEN_BACK},
            "backs": {row["from"]: row["to"] for row in draft.get("write_back", _usual_back(setup))},
        }
    segment = next((one for one in setup.segments if one.id == draft.get("segment_id")), None)
    labels = {attribute.path: attribute.label for attribute, _ in setup.carried()}
    return {"segment": segment, "labels": labels, "target_words": dict(_targets(setup, draft))}


_USUAL = ({"from": "name", "to": FIRST_NAME}, {"from": "email", "to": EMAIL})


def _usual_back(setup: SyncSetup) -> list[dict[str, str]]:
    """Where an attribute that can be chosen has the vendor's own name, it is."""
    fitting = (
        {"from": name, "to": attribute.path}
        for name, label in WRITTEN_BACK.items()
        for attribute, why_not in setup.written_back(name)
        if why_not is None and attribute.label.casefold() == label.casefold()
    )
    return list(fitting)


def _targets(setup: SyncSetup, draft: Draft) -> list[tuple[str, str]]:
    """The campaign's fields with their names, and those that are in the draft only."""
    known = {FIRST_NAME: "Name", EMAIL: "Email", **{META + label: label for label in setup.labels}}
    named = {row["to"]: row["to"].removeprefix(META) for row in draft.get("mapping", ())}
    return list({**named, **known, **{to: known.get(to, label) for to, label in named.items()}}.items())


def _by_field(draft: Draft, faults: Sequence[FieldError]) -> dict[str, list[FieldError]]:
    """Faults under the names of their fields in the form; what has none is under the empty name."""
    found: dict[str, list[FieldError]] = {}
    for fault in faults:
        found.setdefault(_field_of(draft, fault), []).append(fault)
    return found


_UNMAPPED = {Cause.NAME_NOT_MAPPED: FIRST_NAME, Cause.EMAIL_NOT_MAPPED: EMAIL}


def _field_of(draft: Draft, fault: FieldError) -> str:
    first, *rest = fault.pointer.split("/")[1:]
    if first == "mapping" and not rest:
        return _UNMAPPED.get(Cause(fault.cause), "")
    if first == "mapping":
        return _row_at(draft, first, rest[0], "to")
    if first == "write_back":
        return f"back_{_row_at(draft, first, rest[0], 'from')}" if rest else ""
    return first


def _row_at(draft: Draft, name: str, place: str, of: str) -> str:
    rows = draft.get(name, [])
    return str(rows[int(place)][of]) if place.isdigit() and int(place) < len(rows) else ""


# What is done


@sync_wizard.post("/campaigns/<id:campaign_id>/sync/<step>")
def taken(campaign_id: int, step: str) -> Any:
    """The settings of a step are read, and the next one is shown; or what else was asked for in it is done."""
    before = draft_in(request.form.get("draft", ""))
    try:
        setup = sync_setup(services(), campaign_id)
    except InvalidRequest as refusal:
        return _not_now(campaign_id, refusal)
    at = _named(step)
    place = Place(setup, at, {**before, **at.read(request.form, before)})
    if at.name == "confirm":
        return _confirmed(place)
    if "create" in request.form:
        return _created(place, request.form["create"])
    asked = request.form.get("do")
    if asked == "back":
        return redirect(place.url(_before(at, place.draft)))
    if asked == "refresh":
        return _refreshed(place)
    faults = _faults(place)
    return _page(place, faults, 422) if faults else redirect(place.url(_after(at, place.draft)))


def _faults(place: Place) -> list[FieldError]:
    """Of this step; of what is made in later ones nothing is said yet.

    Nothing is asked for but ``checked_settings``, which may ask Referral Factory for a field it does not know.
    """
    if len(text_of(place.draft)) > LONGEST:
        detail = "This is more than the wizard can carry. Map fewer fields here, or start the sync through the API."
        return [FieldError(f"/{place.step.owns[0]}", Cause.INVALID_REQUEST, detail)]
    try:
        checked_settings(services(), place.setup.ground, place.draft)
    except InvalidRequest as refusal:
        return place.step.mine(refusal.errors)
    return []


def _refreshed(place: Place) -> Any:
    try:
        found = refresh_workspace(services(), place.setup.ground.workspace.id)
        flash(f"Read anew: {found.segments} segments and {found.attributes} attributes.", "success")
    except (InvalidRequest, ApiError) as refusal:
        flash(f"Intercom's lists could not be read, so they are as before. {refusal}", "danger")
    return redirect(place.url(q=request.form.get("q") or None))


def _created(place: Place, name: str) -> Any:
    """The attribute is made and chosen."""
    if name not in WRITTEN_BACK:
        abort(400)
    called = request.form.get(f"name_{name}", "").strip()
    try:
        made = _attribute(place, name, called)
    except InvalidRequest as refusal:
        fault = FieldError(f"/{name}", refusal.cause, refusal.errors[0].detail if refusal.errors else refusal.detail)
        return _page(place, status=refusal.status, create_faults={name: fault}, called={name: called})
    except ApiError as error:
        fault = FieldError(f"/{name}", vendor_cause(error), f"The attribute could not be made. {error}")
        return _page(place, status=422, create_faults={name: fault}, called={name: called})
    others = [row for row in place.draft["write_back"] if row["from"] != name]
    chosen = Place(place.setup, place.step, {**place.draft, "write_back": [*others, {"from": name, "to": made}]})
    flash(f"The attribute “{made.removeprefix(CUSTOM)}” is in Intercom now, and chosen here.", "success")
    return redirect(chosen.url())


def _attribute(place: Place, name: str, called: str) -> str:
    """Raises: as ``create_attribute``."""
    if not called:
        raise InvalidRequest("Give the attribute a name.")
    type_ = AttributeType.TEXT if name == LINK else AttributeType.NUMBER
    workspace_id = place.setup.ground.workspace.id
    return create_attribute(services(), workspace_id, actor(), name=called, type_=type_, options=()).path


def _confirmed(place: Place) -> Any:
    """Counted, or begun."""
    unmade = place.unmade()
    if unmade is not None:
        return redirect(place.url(unmade))
    begins = request.form.get("do") == "start"
    try:
        return _begin(place) if begins else _count(place)
    except InvalidRequest as refusal:
        status = 200 if _is_part() else refusal.status
        return _page(place, refusal.errors, status, refusal=refusal, begins=begins)
    except ApiError as error:
        return _page(place, (), 200 if _is_part() else 503, stood_in_the_way=error, its_cause=vendor_cause(error))


def _is_part() -> bool:
    """Whether a script asks, to put the answer into the page that is there."""
    return "X-Part" in request.headers


def _begin(place: Place) -> Any:
    sync_id = start_sync(services(), place.campaign.id, place.draft, actor())
    flash(f"Sync {sync_id} has begun. Nothing more is needed: this page shows how far it is.", "success")
    return redirect(url_for("console.syncs.shown", sync_id=sync_id))


def _count(place: Place) -> Any:
    found = preview_sync(services(), place.campaign.id, place.draft, actor())
    if isinstance(found, int):
        flash("There are too many contacts to be counted while you wait, so they are counted here.", "info")
        return redirect(url_for("console.syncs.shown", sync_id=found))
    return _page(place, previewed=found)
