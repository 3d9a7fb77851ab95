"""The front page for people: both vendors' screens, as far as a test of the integration needs them.

The forms have no protection against forged requests: this is a toy for one's own machine, with nothing to steal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from sandbox import teammate
from sandbox.faults import KINDS, WEBHOOK
from sandbox.intercom.refusals import Refused as IntercomRefused
from sandbox.intercom.state import Contact, Workspace
from sandbox.page_forms import (
    FATE_WORDS,
    FAULTS,
    KIND_WORDS,
    PLIGHTS,
    VENDORS,
    attribute_fields,
    conversions,
    converted,
    outcome,
    plight,
    set_plight,
    written,
)
from sandbox.referral_factory import people
from sandbox.referral_factory.state import LEAD, REFERRER, Account, Campaign, Person
from sandbox.vendor_controls import sign_up
from sandbox.webhooks import Delivery
from sandbox.world import World

pages = Blueprint("pages", __name__)

SHOWN = 50

Answer = str | tuple[str, int] | Response


def _world() -> World:
    world: World = current_app.extensions["sandbox"]
    return world


@pages.app_template_filter("moment")
def moment(seconds: float | None) -> str:
    """A time in words: UTC, to the second."""
    if seconds is None:
        return "—"
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M:%S")


@pages.app_template_filter("worded")
def worded(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(instance["id"] for instance in value.get("instances", ()))
    return "—" if value is None or value == "" else str(value)


@pages.get("/")
def front() -> Answer:
    """The one page."""
    world = _world()
    with world.lock:
        chosen = request.args.get("workspace", "")
        workspace = world.workspaces.get(chosen) or next(iter(world.workspaces.values()))
        return render_template(
            "front.html",
            said=request.args.get("said"),
            now=world.clock.now(),
            delay=world.settings.index_delay_seconds,
            accounts=list(world.factory.accounts.values()),
            campaigns=_campaigns(world),
            referrers=_people(world, REFERRER),
            leads=_people(world, LEAD),
            workspaces=list(world.workspaces.values()),
            workspace=workspace,
            contacts=_newest(workspace),
            searchable=workspace.index.contacts,
            deliveries=_deliveries(world),
            plights=[(VENDORS[vendor], plight(world, vendor)) for vendor in VENDORS],
            plight_choices=PLIGHTS,
            vendors=VENDORS,
            fate_words=FATE_WORDS,
            faults=[rule for rule in world.faults.as_list() if rule["kind"] not in WEBHOOK],
            fault_choices=FAULTS,
            kind_words=KIND_WORDS,
        )


def _campaigns(world: World) -> list[tuple[Account, Campaign]]:
    return [
        (account, campaign) for account in world.factory.accounts.values() for campaign in account.campaigns.values()
    ]


def _people(world: World, kind: str) -> list[dict[str, Any]]:
    """The latest people of a kind, each with their campaign, referrer and counts."""
    rows = []
    for account in world.factory.accounts.values():
        numbers = (number for number in reversed(account.order) if account.people[number]["type"] == kind)
        rows += [_row(account, account.people[number]) for number in islice(numbers, SHOWN)]
    return rows


def _row(account: Account, person: Person) -> dict[str, Any]:
    """A person with their campaign, referrer and counts."""
    referrer: Person = account.people.get(person["referrer_id"] or 0) or {}
    brought, qualified = account.count(person["id"])
    return {
        **person,
        "campaign": account.campaigns[person["campaign_id"]]["name"],
        "referrer": referrer.get("email"),
        "referrals": brought,
        "qualified": qualified,
    }


def _deliveries(world: World) -> list[Delivery]:
    """The latest notifications, also those that were lost on purpose."""
    latest = (islice(reversed(each), 20) for each in (world.sender.recent, world.sender.lost))
    return sorted(chain.from_iterable(latest), key=lambda delivery: -delivery.created_at)[:20]


def _newest(workspace: Workspace) -> list[Contact]:
    workspace.index.catch_up(_world().clock.now())
    kept = (workspace.contacts[contact_id] for contact_id in reversed(workspace.order))
    return list(islice((contact for contact in kept if contact["state"] != "deleted"), SHOWN))


@pages.get("/join/<code>")
def join_form(code: str) -> Answer:
    """Referral Factory's page where a referrer joins."""
    found = _world().factory.campaign_by_code(code)
    if found is None:
        return _gone("This campaign does not exist.")
    return render_template("sign_up.html", campaign=found[1], referrer=None, fields=found[1]["fields"][REFERRER])


@pages.post("/join/<code>")
def join(code: str) -> Answer:
    """A referrer joins."""
    found = _world().factory.campaign_by_code(code)
    if found is None:
        return _gone("This campaign does not exist.")
    return _sign_up(found[1], None, {"campaign_id": found[1]["id"]})


@pages.get("/r/<code>")
def link(code: str) -> Answer:
    """A referral link: where a friend signs up."""
    found = _world().factory.person_by_code(code)
    if found is None or found[1]["type"] != REFERRER:
        return _gone("This referral link does not exist.")
    account, referrer = found
    if account.is_over_limit():
        return _gone("This account is over its user limit, so its referral links have stopped working.")
    campaign = account.campaigns[referrer["campaign_id"]]
    return render_template("sign_up.html", campaign=campaign, referrer=referrer, fields=campaign["fields"][LEAD])


@pages.post("/r/<code>")
def link_sign_up(code: str) -> Answer:
    """A friend signs up."""
    found = _world().factory.person_by_code(code)
    if found is None or found[1]["type"] != REFERRER:
        return _gone("This referral link does not exist.")
    account, referrer = found
    return _sign_up(account.campaigns[referrer["campaign_id"]], referrer, {"code": code})


def _sign_up(campaign: Campaign, referrer: Person | None, given: dict[str, Any]) -> Answer:
    fields = campaign["fields"][LEAD if referrer else REFERRER]
    form = request.form
    meta = {field["label"]: form[f"meta-{field['id']}"] for field in fields if form.get(f"meta-{field['id']}")}
    given = {**given, "first_name": form.get("first_name"), "email": form.get("email"), "meta": meta}
    shown = {"campaign": campaign, "referrer": referrer, "fields": fields, "form": form}
    try:
        joined = sign_up(_world(), given)
    except people.Refused as refused:
        wrong = " ".join((refused.errors or {"": refused.message}).values())
        return render_template("sign_up.html", wrong=wrong, **shown), 422
    except ValueError as error:
        return render_template("sign_up.html", wrong=f"{error}.", **shown), 422
    return render_template("sign_up.html", joined=joined.person, **shown)


def _gone(why: str) -> Answer:
    return render_template("message.html", title="Not here", text=why), 404


def _found(app_id: str, contact_id: str) -> tuple[Workspace, Contact] | None:
    workspace = _world().workspaces.get(app_id)
    contact = workspace.contacts.get(contact_id) if workspace else None
    return (workspace, contact) if workspace and contact else None


@pages.get("/contacts/<app_id>/<contact_id>")
def contact_form(app_id: str, contact_id: str) -> Answer:
    """A contact, to look at and to change."""
    found = _found(app_id, contact_id)
    if found is None:
        return _gone("This contact does not exist.")
    return _contact_page(*found, said=request.args.get("said"))


def _contact_page(workspace: Workspace, contact: Contact, said: str | None = None, wrong: str | None = None) -> str:
    return render_template(
        "contact.html",
        workspace=workspace,
        contact=contact,
        fields=attribute_fields(workspace, contact),
        conversions=conversions(workspace, contact),
        form=request.form,
        into=teammate.into_whom(workspace, contact),
        notified=workspace.subscription.url and workspace.subscription.active,
        plight=plight(_world(), "intercom"),
        people=_same_people(_world(), contact["email"]),
        said=said,
        wrong=wrong,
    )


def _same_people(world: World, email: str) -> list[dict[str, Any]]:
    """Who at Referral Factory has a contact's email."""
    if not email:
        return []
    return [
        _row(account, person)
        for account in world.factory.accounts.values()
        for campaign_id in account.campaigns
        for person in account.by_email(campaign_id, email)
    ]


@pages.post("/contacts/<app_id>/<contact_id>")
def contact_change(app_id: str, contact_id: str) -> Answer:
    """A teammate changes a contact in Intercom."""
    found = _found(app_id, contact_id)
    if found is None:
        return _gone("This contact does not exist.")
    workspace, contact = found
    world = _world()
    try:
        with world.lock:
            action = request.form.get("action", "save")
            if action == "convert":
                action, body = "save", converted(workspace, request.form)
            else:
                body = written(workspace, contact, request.form) if action == "save" else {}
            done = teammate.act(world, workspace, contact_id, action, body)
            world.changes += 1
    except (IntercomRefused, ValueError, LookupError) as error:
        return _contact_page(workspace, contact, wrong=_words(error, workspace, contact)), 400
    said = f"Done. {outcome(done.notifications)}"
    return redirect(url_for(".contact_form", app_id=app_id, contact_id=contact_id, said=said), 303)


def _words(error: Exception, workspace: Workspace, contact: Contact) -> str:
    if isinstance(error, IntercomRefused) and error.status == 409 and teammate.into_whom(workspace, contact):
        return "A user with this email exists already. Merge this lead into that user instead."
    return f"Intercom refuses: {error}" if isinstance(error, IntercomRefused) else str(error)


@pages.post("/faults")
def fault() -> Answer:
    """Switch a fault on, or all off."""
    world = _world()
    choice = request.form.get("choice", "")
    with world.lock:
        if choice in FAULTS:
            rule = dict(FAULTS[choice][1])
            count = request.form.get("count", "")
            if count.isdigit():
                rule["count"] = int(count)
            world.faults.add(rule)
            said = "The fault is on."
        else:
            world.faults.remove_where(lambda rule: rule.kind not in WEBHOOK)
            said = "All faults are off."
    return redirect(url_for(".front", said=said, _anchor="faults"), 303)


@pages.post("/notifications")
def notifications() -> Answer:
    """Choose what happens to a vendor's notifications."""
    world = _world()
    vendor, choice, count = (request.form.get(name, "") for name in ("vendor", "choice", "count"))
    if vendor not in VENDORS or choice not in PLIGHTS:
        return _gone("There is no such choice.")
    with world.lock:
        set_plight(world, vendor, choice, int(count) if count.isdecimal() and int(count) else None)
        world.changes += 1
    return redirect(url_for(".front", said=f"Chosen for {VENDORS[vendor]}’s notifications.", _anchor="webhooks"), 303)


@pages.post("/clock")
def clock() -> Answer:
    """Put the clock forward."""
    _world().clock.advance(max(0.0, request.form.get("seconds", 0.0, type=float)))
    return redirect(url_for(".front", said="The clock has been put forward.", _anchor="contacts"), 303)


@pages.get("/faults/kinds")
def kinds() -> Answer:
    """The names of all kinds of faults, for scripts."""
    return Response("\n".join(KINDS) + "\n", mimetype="text/plain")
