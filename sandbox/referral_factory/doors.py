"""Referral Factory over HTTP."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, current_app, g, request

from sandbox import connection
from sandbox.referral_factory import hooks, people, shown
from sandbox.referral_factory.people import Joined, Refused
from sandbox.referral_factory.state import Account, Person
from sandbox.world import World

doors = Blueprint("referral_factory", __name__, url_prefix="/referral-factory")

PER_PAGE = 25
MOST_PER_PAGE = 250

View = Callable[..., Any]


def _the_world() -> World:
    world: World = current_app.extensions["sandbox"]
    return world


def door(rule: str, method: str, status: int = 200) -> Callable[[View], View]:
    """Serve a rule by a function of the world, the account and the rule's variables."""

    def register(view: View) -> View:
        @wraps(view)
        def served(**variables: str) -> Response:
            world = _the_world()
            with world.lock:
                payload = view(world, g.account, **variables)
                if method != "GET":
                    world.changes += 1
            return _answer(payload, status)

        doors.add_url_rule(rule, f"{method} {rule}", served, methods=[method], strict_slashes=False)
        return view

    return register


def _answer(payload: Any, status: int) -> Response:
    return Response(json.dumps(payload), status, mimetype="application/json")


@doors.before_request
def _admit() -> Response | None:
    world = _the_world()
    settings = world.settings
    address = request.remote_addr or ""
    with world.lock:
        now = world.clock.now()
        if world.abuse.is_blocked(address, now):
            return _blocked(str(settings.referral_factory_block_answer))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        account = world.factory.by_token(token)
        if account is None:
            raise Refused(401, "Unauthenticated.")
        sliding = settings.referral_factory_window == "sliding"
        limit = int(settings.referral_factory_calls_per_minute)
        if not world.abuse.take(account.name, now, limit, sliding=sliding):
            most = int(settings.referral_factory_abuses_before_block)
            world.abuse.refuse(address, now, most, settings.referral_factory_block_seconds)
            raise Refused(429, "Too Many Attempts.")
        slow = world.faults.chance(settings.referral_factory_slow_probability)
    g.account = account
    if slow:
        time.sleep(settings.referral_factory_slow_seconds)
    accepted = request.headers.get("Accept", "")
    if accepted and not any(kind in accepted for kind in ("application/json", "*/*", "application/*")):
        raise Refused(406, "The format that was asked for is not JSON.")
    return None


def _blocked(how: str) -> Response:
    if how == "close":
        connection.cut(request.environ)
    message = "Too Many Attempts." if how == "429" else "Your address has been blocked."
    return _answer({"message": message}, 429 if how == "429" else 403)


def _body() -> dict[str, Any]:
    raw = request.get_data()
    if not raw:
        return {}
    try:
        given = json.loads(raw)
    except ValueError:
        raise Refused(406, "The body is not JSON.") from None
    if not isinstance(given, dict):
        raise Refused(400, "The body must be an object.")
    return given


@doors.errorhandler(Refused)
def _refuse(refused: Refused) -> Response:
    # Some refusals carry only a message, some the errors by field: seen so at the vendor.
    payload: dict[str, Any] = {"message": refused.message}
    if refused.errors:
        payload = {
            "code": refused.status,
            "message": refused.message,
            "errors": {field: [{"field": field, "message": message}] for field, message in refused.errors.items()},
        }
    return _answer(payload, refused.status)


@doors.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
@doors.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def _nowhere(**_path: str) -> Response:
    raise Refused(404, "Not found")


def _wants(relation: str) -> bool:
    return relation in request.args.get("with", "").split(",")


def _page(rows: list[Any], show: Callable[[Any], Any], given: dict[str, Any]) -> dict[str, Any]:
    per_page = _number(given.get("per_page"), PER_PAGE, MOST_PER_PAGE)
    page = _number(given.get("page"), 1, 10**9)
    last = max(1, -(-len(rows) // per_page))
    start = (page - 1) * per_page
    chosen = rows[start : start + per_page]
    return {
        "data": [show(row) for row in chosen],
        "links": {
            "first": _link(1, per_page),
            "last": _link(last, per_page),
            "prev": _link(page - 1, per_page) if page > 1 else None,
            "next": _link(page + 1, per_page) if page < last else None,
        },
        "meta": {
            "current_page": page,
            "from": start + 1 if chosen else None,
            "last_page": last,
            "per_page": per_page,
            "to": start + len(chosen) if chosen else None,
            "total": len(rows),
        },
    }


def _number(given: Any, default: int, most: int) -> int:
    try:
        return max(1, min(int(given), most))
    except (TypeError, ValueError):
        return default


def _link(page: int, per_page: int) -> str:
    kept = f"&with={request.args['with']}" if "with" in request.args else ""
    return f"{request.base_url}?page={page}&per_page={per_page}{kept}"


@door("/campaigns", "GET")
def campaigns(world: World, account: Account) -> dict[str, Any]:
    """All campaigns."""
    analytics, base = _wants("campaign.analytics"), world.settings.public_url
    rows = list(account.campaigns.values())
    return _page(rows, lambda kept: shown.campaign(account, kept, base, analytics=analytics), dict(request.args))


@door("/campaigns/search", "POST")
def campaigns_searched(world: World, account: Account) -> dict[str, Any]:
    """Campaigns by id, code, name or status."""
    given = _body()
    wanted = (given.get("filters") or {}).get("value") or []
    rows = [
        kept
        for kept in account.campaigns.values()
        if all(str(kept.get(row.get("field"))) == str(row.get("value")) for row in wanted)
    ]
    base = world.settings.public_url
    return _page(rows, lambda kept: shown.campaign(account, kept, base), {**request.args, **given})


@door("/campaigns/<identifier>", "GET")
def campaign(world: World, account: Account, identifier: str) -> dict[str, Any]:
    """One campaign, by id or code."""
    for kept in account.campaigns.values():
        if identifier in (str(kept["id"]), kept["code"]):
            analytics = _wants("campaign.analytics")
            return {"data": shown.campaign(account, kept, world.settings.public_url, analytics=analytics)}
    raise Refused(404, "Not found")


def _shown(world: World, account: Account, person: Person) -> dict[str, Any]:
    return shown.person(account, person, world.settings.public_url, analytics=_wants("user.analytics"))


@door("/users", "GET")
def users(world: World, account: Account) -> dict[str, Any]:
    """Everybody of the account. There is no filter: `campaign_id` in the address is passed over."""
    return _page(account.order, lambda number: _shown(world, account, account.people[number]), dict(request.args))


@door("/users", "POST", 201)
def user_create(world: World, account: Account) -> dict[str, Any]:
    """Add a referrer or a lead."""
    joined = people.create(world.factory, account, world.clock.now(), _body(), "Api")
    hooks.fire(world, "joined", joined)
    return {"data": _shown(world, account, joined.person)}


@door("/users/search", "POST")
def users_searched(world: World, account: Account) -> dict[str, Any]:
    """People whose fields equal the given values."""
    given = _body()
    rows = people.search(account, given.get("filters"))
    return _page(rows, lambda person: _shown(world, account, person), {**request.args, **given})


@door("/users/qualification", "PUT")
def user_qualify(world: World, account: Account) -> dict[str, Any]:
    """Qualify a lead, or take that back."""
    given = _body()
    try:
        person = people.named(account, world.settings, given)
    except Refused:
        world.qualifications.setdefault(0, Counter())["received"] += 1
        raise
    tally = world.qualifications.setdefault(person["id"], Counter())
    tally["received"] += 1
    person, changed = people.qualify(account, world.settings, world.clock.now(), person, given)
    if changed:
        tally["qualified" if person["qualified_at"] else "reverted"] += 1
    if changed and person["qualified_at"]:
        hooks.fire(world, "qualified", Joined(account, account.campaigns[person["campaign_id"]], person))
    return {"data": _shown(world, account, person)}


@door("/users/<identifier>", "GET")
def user(world: World, account: Account, identifier: str) -> dict[str, Any]:
    """One person, by id or code."""
    return {"data": _shown(world, account, people.find(account, world.settings, identifier))}


@door("/users/<int:number>", "PUT")
def user_update(world: World, account: Account, number: int) -> dict[str, Any]:
    """Change a person."""
    person = people.find(account, world.settings, str(number))
    return {"data": _shown(world, account, people.update(account, person, _body()))}


@door("/users/<int:number>", "DELETE")
def user_delete(world: World, account: Account, number: int) -> dict[str, Any]:
    """Delete a person."""
    account.remove(people.find(account, world.settings, str(number)))
    return {"message": "Deleted"}
