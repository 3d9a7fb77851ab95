"""The controls, all JSON, below /control.

Both vendors
    GET    /settings                     every switch (sandbox/settings.py says what each means)
    PUT    /settings                     {"index_delay_seconds": 0, "latency_ms": 80}
    POST   /reset                        back to the seeded beginning; switches stay
    GET    /clock                        {"now", "ahead"}
    POST   /clock/advance                {"seconds": 180}
    GET    /faults                       the rules with how often they struck
    POST   /faults                       one rule, see sandbox/faults.py
    DELETE /faults                       all rules; DELETE /faults/<id> one
    POST   /faults/seed                  {"seed": 7}
    GET    /log?vendor=&limit=           calls received, the latest last
    GET    /counts                       calls by vendor, method, path and status; peaks of the limits;
                                         emails that several live contacts share
    POST   /counts/reset                 empties log, counts and limits
    GET    /webhooks?limit=              notifications sent, with their answers; and those lost on purpose; each with
                                         "about" (the contact's or person's id) and "fate" (sandbox/fates.py)
    GET    /state                        everything, as the state file has it
    POST   /seed                         {"contacts": 1000, "segments": 250, "seed": 1, "app_id": "sandbox1"}

Intercom
    GET    /workspaces
    POST   /workspaces                   {"app_id", "token", "client_secret", "name"?, "timezone"?, "region"?,
                                         "attributes"?: [{"name", "data_type", "options"?, "api_writable"?,
                                         "archived"?, "pattern"?, "longest"?, "answers"?: {switch: value}}]}
    PUT    /intercom/<app_id>            {"tokens": [...], "client_secret", "timezone", "missing_permissions":
                                         ["contacts_read", "contacts_write", "attributes_read",
                                         "attributes_write", "segments_read", "tags_read", "tags_write"]}
    POST   /intercom/<app_id>/revoke     every token ends
    POST   /intercom/<app_id>/attributes one attribute as above, or changes to one that exists
    POST   /intercom/<app_id>/segments   {"name", "person_type": "user" or "contact", "rule": {...}}
    DELETE /intercom/<app_id>/segments/<id>
    POST   /intercom/<app_id>/webhook    {"url", "topics": [...]}; topics left out: all
    POST   /intercom/<app_id>/ping
    POST   /intercom/<app_id>/auto-merge {"email", "notification"?}: the oldest lead goes into the user seen last
    POST   /intercom/<app_id>/contacts   a contact made by a teammate or a visit, as POST of the API; like all
                                         a teammate does it is notified even without echo, and may set
                                         attributes that are locked for the API
    PUT    /intercom/<app_id>/contacts/<id>  a change by a teammate, as PUT of the API
    POST   /intercom/<app_id>/contacts/<id>/<archive, unarchive, delete, block, promote (to a user) or merge>
                                         merge takes {"into"}?; left out: the user of the same email
    POST   /intercom/<app_id>/contacts/changes
                                         {"changes": [{"id", "action"?: one of those or "save", "notification"?,
                                         and what a PUT takes}, ...], "notification"?, "chances"?: {"lose": 0.1,
                                         "double": 0.1}, "seed"?: 1}; without "id" a contact is made. Answers
                                         {"results": [{"id", "state", "notifications": ["lose"]} or
                                         {"id", "error"}], "refused": 0}
                                         "notification" in any of these: send, lose, double, triple, late, overtaken,
                                         or silent; left out: what rules and switches say. See sandbox/fates.py
    GET    /intercom/<app_id>/contacts   every contact in every state, past index and paging

Referral Factory
    GET    /accounts
    POST   /accounts                     {"name", "token", "user_limit"?, "campaigns"?: [...]}
    PUT    /accounts/<name>              {"token"?, "user_limit"?}: a new token ends the old one
    POST   /accounts/<name>/campaigns    {"name", "id"?, "code"?, "fields"?: {"person_invited": [{"label"}]}}
    POST   /referral-factory/<account or campaign id>/webhooks
                                         {"url", "topic", "headers"?, "method"?, "encoding"?, "fields"?,
                                         "names"?: {...} or "alternative", "sources"?}; one with the same
                                         url, topic and campaign is replaced
    DELETE /referral-factory/<account or campaign id>/webhooks
    POST   /referral-factory/sign-up     {"code"} of a referrer, or {"campaign_id"}; "first_name", "email",
                                         "meta"?: {label: value}, "source"?
    POST   /referral-factory/users       people without any webhook: as POST of the API, or {"users": [...]}
    DELETE /referral-factory/users/<id>
    POST   /referral-factory/users/<id>/qualify
                                         {"qualified"?: true, "silent"?: false}: by the account's owner, not counted
    GET    /referral-factory/qualifications
                                         since the last reset of counts, how often PUT /users/qualification named
                                         whom, and how often it took effect, whatever was answered: {"people":
                                         [{"id", "email", "campaign_id", "qualified_at", "received", "changed",
                                         "qualified", "reverted"}], "nobody": calls that named nobody}
    POST   /referral-factory/reward-issued  {"id"}
    POST   /referral-factory/unblock
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, current_app, request

from sandbox import persistence, seed
from sandbox.intercom.refusals import Refused as IntercomRefused
from sandbox.referral_factory.people import Refused as FactoryRefused
from sandbox.world import World

control = Blueprint("control", __name__, url_prefix="/control")

View = Callable[..., Any]


def knob(rule: str, method: str) -> Callable[[View], View]:
    """Serve a control by a function of the world, the body and the rule's variables."""

    def register(view: View) -> View:
        @wraps(view)
        def served(**variables: Any) -> Response:
            world: World = current_app.extensions["sandbox"]
            given = json.loads(request.get_data() or b"{}")
            if not isinstance(given, dict):
                raise ValueError("the body must be an object")
            try:
                return said(view(world, given, **variables))
            finally:
                if method != "GET":
                    world.changes += 1

        control.add_url_rule(rule, f"{method} {rule}", served, methods=[method])
        return view

    return register


def said(payload: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(payload, default=str), status, mimetype="application/json")


@control.errorhandler(ValueError)
@control.errorhandler(KeyError)
@control.errorhandler(TypeError)
def _wrong(error: Exception) -> Response:
    return said({"error": f"{type(error).__name__}: {error}"}, 400)


@control.errorhandler(IntercomRefused)
@control.errorhandler(FactoryRefused)
def _refused(error: IntercomRefused | FactoryRefused) -> Response:
    return said({"error": str(error)}, error.status)


@control.errorhandler(LookupError)
def _unknown(error: LookupError) -> Response:
    return said({"error": str(error)}, 404)


@knob("/settings", "GET")
def settings(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Every switch."""
    return world.settings.as_dict()


@knob("/settings", "PUT")
def settings_change(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Change switches, all or none."""
    with world.lock:
        world.settings.change(given)
    return world.settings.as_dict()


@knob("/reset", "POST")
def reset(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Back to the seeded beginning."""
    world.begin()
    return {"ok": True}


@knob("/clock", "GET")
def clock(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """The simulated time."""
    return {"now": world.clock.now(), "ahead": world.clock.ahead}


@knob("/clock/advance", "POST")
def advance(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Put the clock forward."""
    world.clock.advance(float(given["seconds"]))
    return {"now": world.clock.now(), "ahead": world.clock.ahead}


@knob("/faults", "GET")
def faults(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """The rules in force."""
    return {"faults": world.faults.as_list()}


@knob("/faults", "POST")
def fault_add(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Put a rule in force."""
    with world.lock:
        rule = world.faults.add(given)
    return {"id": rule.id}


@knob("/faults", "DELETE")
def faults_end(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """End all rules."""
    with world.lock:
        world.faults.remove()
    return {"ok": True}


@knob("/faults/<int:number>", "DELETE")
def fault_end(world: World, _given: dict[str, Any], number: int) -> dict[str, Any]:
    """End one rule."""
    with world.lock:
        world.faults.remove(number)
    return {"ok": True}


@knob("/faults/seed", "POST")
def faults_seed(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Start the dice anew."""
    with world.lock:
        world.faults.reseed(int(given["seed"]))
        world.sender.dice.seed(int(given["seed"]))
    return {"ok": True}


@knob("/log", "GET")
def log(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Calls received."""
    with world.lock:
        calls = list(world.log)
    vendor = request.args.get("vendor")
    calls = [call for call in calls if vendor in (None, call["vendor"])]
    return {"calls": calls[-request.args.get("limit", 1000, type=int) :]}


@knob("/counts", "GET")
def counts(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """What was called how often, and whom there are twice."""
    with world.lock:
        calls = [
            {"vendor": vendor, "method": method, "path": path, "status": status, "calls": number}
            for (vendor, method, path, status), number in sorted(world.calls.items())
        ]
        return {
            "calls": calls,
            "total": sum(world.calls.values()),
            "peaks": {
                "intercom_calls_in_10s": dict(world.buckets.peak),
                "referral_factory_calls_in_60s": dict(world.abuse.peak),
            },
            "blocked_addresses": dict(world.abuse.blocked_until),
            "contacts": {app_id: each.live_count for app_id, each in world.workspaces.items()},
            "shared_emails": {app_id: each.shared_emails() for app_id, each in world.workspaces.items()},
            "people": {name: len(each.people) for name, each in world.factory.accounts.items()},
        }


@knob("/counts/reset", "POST")
def counts_reset(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Empty the log, the counts and the limits."""
    with world.lock:
        world.forget_calls()
    return {"ok": True}


@knob("/webhooks", "GET")
def webhooks(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Notifications, the latest last."""
    limit = request.args.get("limit", 100, type=int)
    with world.lock:
        return {
            "waiting": world.sender.waiting(),
            "sent": [delivery.as_dict() for delivery in list(world.sender.recent)[-limit:]],
            "lost": [delivery.as_dict() for delivery in list(world.sender.lost)[-limit:]],
        }


@knob("/state", "GET")
def state(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Everything, as it would be written to the state file."""
    return persistence.snapshot(world)


@knob("/seed", "POST")
def seed_more(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Contacts and segments in bulk."""
    with world.lock:
        workspace = world.workspaces[given.get("app_id", seed.DEFAULT_APP_ID)]
        seed.bulk_contacts(world, workspace, int(given.get("contacts", 0)), int(given.get("seed", 1)))
        seed.bulk_segments(world, workspace, int(given.get("segments", 0)))
        return {"contacts": workspace.live_count, "segments": len(workspace.segments)}
