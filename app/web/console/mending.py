"""What a check offers to do about it: a button that does it, or the page on which it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import flash

from app.core.causes import CATALOGUE, Cause
from app.core.diagnosis import Action, Check, Question
from app.core.diagnosis.system import Area
from app.core.errors import ApiError, InvalidRequest
from app.storage import evidence
from app.usecases.control_sync import resume_sync, run_sync
from app.usecases.qualify_by_hand import qualify_by_hand
from app.usecases.refresh_catalogue import refresh_workspace
from app.usecases.replay_events import replay_chosen, replay_event, replay_events
from app.usecases.services import Services
from app.usecases.set_up_campaign import known_campaign
from app.usecases.start_reconcile import start_reconcile
from app.web.console.forms import refusal
from schemas.api_fields import id_from

Target = Mapping[str, str]

MOST_REPLAYED = 200
"""Of a campaign's given-up events, so many at a click."""


@dataclass(frozen=True, slots=True)
class Mend:
    """``url`` is the page on which it is done; without one it is done by a button, which sends ``fields``. What
    can't be taken back has a ``warning``, and is asked twice."""

    text: str
    url: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    warning: str | None = None


# Shown


def mend_of(check: Check, campaign_id: int | None = None) -> Mend | None:
    """What can be clicked for a check; ``campaign_id`` is whose question it answers."""
    action = check.action
    if action is None:
        return None
    if action.name in _BUTTONS:
        # That it is about those that were given up goes without saying.
        fields = {"do": action.name, **{name: value for name, value in action.target.items() if name != "status"}}
        return Mend(_text(action), fields=fields, warning=_WARNINGS.get(action.name))
    return _page(check, action, campaign_id)


_BUTTONS: Mapping[str, str] = {
    "qualify_person": "Qualify by hand",
    "refresh_catalogue": "Refresh attributes and segments",
    "replay_events": "Replay all of these events",
    "resume_sync": "Resume the sync",
    "run_sync": "Have the sync look now",
    "start_reconcile": "Look for what was missed now",
}

_WARNINGS: Mapping[str, str] = {
    "qualify_person": "Referral Factory is told at once that this lead is qualified, and may issue the reward. The "
    "qualification can be taken back; a reward that was issued can't.",
}


def _text(action: Action) -> str:
    return "Replay the event" if "event_id" in action.target else _BUTTONS[action.name]


def _page(check: Check, action: Action, campaign_id: int | None) -> Mend | None:
    target = action.target
    campaign = f"/campaigns/{target.get('campaign_id', campaign_id)}"
    audience = target.get("audience", "leads")
    match action.name:
        case "set_up_audience":
            return Mend(f"Open the settings of {audience}", f"{campaign}/{audience}#{_place_of(check)}")
        case "change_duplicates":
            return Mend("Change what happens to duplicates", f"{campaign}/{audience}#duplicates")
        case "change_campaign":
            return Mend("Open the campaign’s own settings", f"{campaign}#own-settings")
        case "show_webhook":
            return Mend("Show where webhooks go", f"{campaign}#webhooks")
        case "start_backfill":
            return Mend("Send those who joined before", f"{campaign}/backfill")
        case "start_sync":
            return Mend("Start a sync", f"{campaign}/sync")
        case "create_attribute":
            known = campaign_id is not None
            return Mend("Create an attribute", f"{campaign}/referrers#new_name") if known else None
    return _of_connection(action.name, target)


def _of_connection(name: str, target: Target) -> Mend | None:
    match name:
        case "reconnect_workspace":
            return Mend("Open the workspace’s connection", f"/workspaces/{target['workspace_id']}#token-title")
        case "reconnect_program":
            return Mend("Open the program’s connection", f"/programs/{target['program_id']}#token-title")
        case "change_user_limit":
            return Mend("Open the user limit", f"/programs/{target['program_id']}#settings-title")
        case "show_sync":
            return Mend("Open the sync", f"/syncs/{target['sync_id']}")
    return None


def _place_of(check: Check) -> str:
    """Which part of an audience's settings is meant."""
    if check.cause is Cause.ACTION_IS_NOTHING:
        return "action"
    return "qualification" if check.question in (Question.NOT_QUALIFIED, Area.RULES) else "rows"


# Done


def mend(services: Services, target: Target, actor: str) -> None:
    """Do what a button says, and say what came of it on the page that is shown next."""
    do = _DEEDS.get(target.get("do", ""))
    if do is None:
        flash("That button is not known. Choose one of those on this page.", "warning")
        return
    try:
        flash(do(services, target, actor), "success")
    except (InvalidRequest, ApiError) as error:
        flash(_refused(error), "danger")


def _refused(error: InvalidRequest | ApiError) -> str:
    if isinstance(error, InvalidRequest) and error.status == 404:
        return error.detail
    refused = refusal(error)
    words = CATALOGUE[refused.cause]
    if refused.cause == Cause.INVALID_REQUEST:
        return refused.detail
    return " ".join(dict.fromkeys((f"{words.title}.", refused.detail, words.remedy)))


def _id(target: Target, name: str) -> int:
    """Raises: InvalidRequest 422."""
    found = id_from(target.get(name, ""))
    if found is None:
        raise _unsaid()
    return found


def _unsaid() -> InvalidRequest:
    return InvalidRequest("That button does not say what it is for. Open its page again.")


def _qualify(services: Services, target: Target, actor: str) -> str:
    qualify_by_hand(services, _id(target, "person_id"), qualified=True, asked_by=actor)
    return "Qualified, in Referral Factory too."


def _refresh(services: Services, target: Target, _actor: str) -> str:
    found = refresh_workspace(services, _id(target, "workspace_id"))
    return f"Read anew from Intercom: {found.attributes} attributes and {found.segments} segments."


def _replay(services: Services, target: Target, actor: str) -> str:
    if "event_id" in target:
        replay_event(services, _id(target, "event_id"), actor)
        return "The event is worked on again. Look again in a moment."
    if "campaign_id" in target:
        number = replay_chosen(services, _given_up(services, _id(target, "campaign_id"), target.get("cause")), actor)
    elif cause := target.get("cause"):
        number = replay_events(services, actor, status="dead", source=None, topic=None, cause=cause)
    else:
        raise _unsaid()
    return f"{number} {'event is' if number == 1 else 'events are'} worked on again. Look again in a moment."


def _given_up(services: Services, campaign_id: int, cause: str | None) -> list[int]:
    """The same events that the check has counted.

    Raises: InvalidRequest 404.
    """
    campaign = known_campaign(services, campaign_id)
    with services.database.reading() as connection:
        rows = evidence.events_of_campaign(connection, campaign_id, campaign.workspace_id, MOST_REPLAYED)
    return [row.id for row in rows if row.status == "dead" and (row.cause or Cause.INTERNAL_ERROR) == cause]


def _resume(services: Services, target: Target, actor: str) -> str:
    resume_sync(services, _id(target, "sync_id"), actor)
    return "The sync goes on where it stopped."


def _run(services: Services, target: Target, actor: str) -> str:
    run_sync(services, _id(target, "sync_id"), actor)
    return "The sync looks now."


def _reconcile(services: Services, target: Target, actor: str) -> str:
    start_reconcile(services, _id(target, "workspace_id"), actor)
    return "The search begins within seconds. Look again in a moment."


_DEEDS: Mapping[str, Callable[[Services, Target, str], str]] = {
    "qualify_person": _qualify,
    "refresh_catalogue": _refresh,
    "replay_events": _replay,
    "resume_sync": _resume,
    "run_sync": _run,
    "start_reconcile": _reconcile,
}
