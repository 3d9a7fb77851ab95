"""The controls of one vendor's state, but for contacts. The module `sandbox.control` lists them all."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sandbox import seed
from sandbox.control import knob
from sandbox.intercom import attributes, notifications, segments
from sandbox.intercom.state import Workspace
from sandbox.referral_factory import hooks, people
from sandbox.referral_factory.people import Joined
from sandbox.referral_factory.state import Account, Person
from sandbox.world import World


def workspace_of(world: World, app_id: str) -> Workspace:
    if app_id not in world.workspaces:
        raise LookupError(f"there is no workspace {app_id}")
    return world.workspaces[app_id]


def _shown(workspace: Workspace) -> dict[str, Any]:
    return {
        "app_id": workspace.app_id,
        "name": workspace.name,
        "timezone": workspace.timezone,
        "region": workspace.region,
        "tokens": workspace.tokens,
        "client_secret": workspace.client_secret,
        "missing_permissions": workspace.missing_permissions,
        "contacts": workspace.live_count,
        "segments": list(workspace.segments.values()),
        "webhook": dict(workspace.subscription.__dict__),
    }


@knob("/workspaces", "GET")
def workspaces(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Every workspace."""
    return {"workspaces": [_shown(workspace) for workspace in world.workspaces.values()]}


@knob("/workspaces", "POST")
def workspace_add(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Make a workspace."""
    with world.lock:
        if given["app_id"] in world.workspaces:
            raise ValueError(f"there is a workspace {given['app_id']} already")
        attributes_given = given.pop("attributes", None)
        return _shown(seed.add_workspace(world, **given, attributes_given=attributes_given))


@knob("/intercom/<app_id>", "PUT")
def workspace_change(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Change a workspace: tokens, secret, permissions."""
    with world.lock:
        workspace = workspace_of(world, app_id)
        for name, value in given.items():
            if name not in ("tokens", "client_secret", "timezone", "region", "name", "missing_permissions"):
                raise ValueError(f"{name} can't be changed")
            setattr(workspace, name, value)
        return _shown(workspace)


@knob("/intercom/<app_id>/revoke", "POST")
def workspace_revoke(world: World, _given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """End every token."""
    with world.lock:
        workspace_of(world, app_id).tokens = []
    return {"ok": True}


@knob("/intercom/<app_id>/attributes", "POST")
def attribute_put(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Make or change an attribute, past the API's rules."""
    with world.lock:
        workspace = workspace_of(world, app_id)
        known = workspace.attributes.get(given["name"])
        if known is None:
            return attributes.make(workspace, world.clock.now(), **given)
        known.update(given)
        return known


@knob("/intercom/<app_id>/segments", "POST")
def segment_add(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Make a segment."""
    with world.lock:
        return segments.make(workspace_of(world, app_id), world.clock.now(), **given)


@knob("/intercom/<app_id>/segments/<segment_id>", "DELETE")
def segment_remove(world: World, _given: dict[str, Any], app_id: str, segment_id: str) -> dict[str, Any]:
    """Delete a segment."""
    with world.lock:
        return dict(workspace_of(world, app_id).segments.pop(segment_id))


@knob("/intercom/<app_id>/webhook", "POST")
def webhook(world: World, given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Save the address and topics of notifications; the address is asked with a HEAD."""
    # Without the lock: the receiver may be slow, and calls must go on.
    workspace = workspace_of(world, app_id)
    topics = given.get("topics", list(notifications.TOPICS))
    return {"head": notifications.subscribe(world, workspace, given.get("url"), topics)}


@knob("/intercom/<app_id>/ping", "POST")
def ping(world: World, _given: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Send the test notification."""
    notifications.ping(world, workspace_of(world, app_id))
    return {"ok": True}


def _account(world: World, name: str) -> Account:
    if name not in world.factory.accounts:
        raise LookupError(f"there is no account {name}")
    return world.factory.accounts[name]


def _account_shown(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "token": account.token,
        "user_limit": account.user_limit,
        "campaigns": list(account.campaigns.values()),
        "people": len(account.people),
        "webhooks": account.webhooks,
    }


@knob("/accounts", "GET")
def accounts(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Every account."""
    return {"accounts": [_account_shown(account) for account in world.factory.accounts.values()]}


@knob("/accounts", "POST")
def account_add(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Make an account."""
    with world.lock:
        if given["name"] in world.factory.accounts:
            raise ValueError(f"there is an account {given['name']} already")
        campaigns = given.pop("campaigns", [])
        account = seed.add_account(world, **given)
        for campaign in campaigns:
            world.factory.add_campaign(account, campaign.pop("name"), **campaign)
        return _account_shown(account)


@knob("/accounts/<name>", "PUT")
def account_change(world: World, given: dict[str, Any], name: str) -> dict[str, Any]:
    """Change the token or the limit."""
    with world.lock:
        account = _account(world, name)
        for key in ("token", "user_limit"):
            if key in given:
                setattr(account, key, given[key])
        return _account_shown(account)


@knob("/accounts/<name>/campaigns", "POST")
def campaign_add(world: World, given: dict[str, Any], name: str) -> dict[str, Any]:
    """Make a campaign."""
    with world.lock:
        return world.factory.add_campaign(_account(world, name), given.pop("name"), **given)


def _hooks_of(world: World, name: str) -> tuple[Account, int | None]:
    """An account's webhooks, or those of one campaign where `name` is its id."""
    if name in world.factory.accounts:
        return world.factory.accounts[name], None
    found = world.factory.campaign(int(name)) if name.isdigit() else world.factory.campaign_by_code(name)
    if found is None:
        raise LookupError(f"there is no account or campaign {name}")
    return found[0], found[1]["id"]


@knob("/referral-factory/<name>/webhooks", "POST")
def hook_add(world: World, given: dict[str, Any], name: str) -> dict[str, Any]:
    """Make a webhook."""
    with world.lock:
        account, campaign_id = _hooks_of(world, name)
        if campaign_id is not None:
            given["campaign_id"] = campaign_id
        hook = hooks.make(given, max((each["id"] for each in account.webhooks), default=0) + 1)
        same = ("url", "topic", "campaign_id")
        others = [each for each in account.webhooks if any(each[key] != hook[key] for key in same)]
        account.webhooks = [*others, hook]
        return hook


@knob("/referral-factory/<name>/webhooks", "DELETE")
def hooks_remove(world: World, _given: dict[str, Any], name: str) -> dict[str, Any]:
    """Delete webhooks."""
    with world.lock:
        account, campaign_id = _hooks_of(world, name)
        account.webhooks = [
            hook for hook in account.webhooks if campaign_id is not None and hook["campaign_id"] != campaign_id
        ]
    return {"ok": True}


def sign_up(world: World, given: dict[str, Any]) -> Joined:
    """Somebody joins by a page of Referral Factory: a lead by a referrer's link, else a referrer."""
    with world.lock:
        body = {
            "first_name": given.get("first_name"),
            "email": given.get("email"),
            "meta": [{"field": label, "value": value} for label, value in (given.get("meta") or {}).items()],
        }
        if given.get("code"):
            found = world.factory.person_by_code(str(given["code"]))
            if found is None:
                raise LookupError("there is no such link")
            account, referrer = found
            if account.is_over_limit():
                raise ValueError("the account is over its user limit: its links have stopped working")
            body["campaign_id"] = referrer["campaign_id"]
            body["referrer"] = {"field": "code", "value": referrer["code"]}
        else:
            campaign = world.factory.campaign(int(given["campaign_id"]))
            if campaign is None:
                raise LookupError("there is no such campaign")
            account, body["campaign_id"] = campaign[0], campaign[1]["id"]
        source = given.get("source") or ("Referred" if given.get("code") else "Direct")
        joined = people.create(world.factory, account, world.clock.now(), body, source)
        world.changes += 1
        hooks.fire(world, "joined", joined)
        return joined


@knob("/referral-factory/sign-up", "POST")
def signed_up(world: World, given: dict[str, Any]) -> Person:
    """Sign up without a page."""
    return sign_up(world, given).person


@knob("/referral-factory/users", "POST")
def people_add(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """People as POST of the API makes them, without a word to anybody: one, or many below "users"."""
    with world.lock:
        many = given.get("users")
        made = [_person_add(world, each) for each in ([given] if many is None else many)]
        return made[0] if many is None else {"users": made}


def _person_add(world: World, given: dict[str, Any]) -> Person:
    found = world.factory.campaign(int(given["campaign_id"]))
    if found is None:
        raise LookupError(f"there is no campaign {given['campaign_id']}")
    return people.create(world.factory, found[0], world.clock.now(), given, given.get("source", "Added")).person


@knob("/referral-factory/users/<int:number>", "DELETE")
def person_remove(world: World, _given: dict[str, Any], number: int) -> Person:
    """Delete a person, as the account's owner would."""
    with world.lock:
        account = _holder(world, number)
        person = account.people[number]
        account.remove(person)
        return person


@knob("/referral-factory/users/<int:number>/qualify", "POST")
def person_qualify(world: World, given: dict[str, Any], number: int) -> Person:
    """Qualify a person, or take that back, as the account's owner would: not counted among the calls."""
    with world.lock:
        account = _holder(world, number)
        body = {"qualified": given.get("qualified", True)}
        person, changed = people.qualify(account, world.settings, world.clock.now(), account.people[number], body)
        if changed and person["qualified_at"] and not given.get("silent"):
            hooks.fire(world, "qualified", Joined(account, account.campaigns[person["campaign_id"]], person))
        return person


@knob("/referral-factory/qualifications", "GET")
def qualifications(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """How often each person was asked to be qualified, and how often that changed them."""
    with world.lock:
        known = {
            number: each for account in world.factory.accounts.values() for number, each in account.people.items()
        }
        return {
            "people": [
                _tallied(number, known.get(number, {}), tally)
                for number, tally in sorted(world.qualifications.items())
                if number
            ],
            "nobody": world.qualifications.get(0, Counter())["received"],
        }


def _tallied(number: int, person: Person, tally: Counter[str]) -> dict[str, Any]:
    return {
        "id": number,
        "email": person.get("email"),
        "campaign_id": person.get("campaign_id"),
        "qualified_at": person.get("qualified_at"),
        "received": tally["received"],
        "changed": tally["qualified"] + tally["reverted"],
        "qualified": tally["qualified"],
        "reverted": tally["reverted"],
    }


def _holder(world: World, number: int) -> Account:
    for account in world.factory.accounts.values():
        if number in account.people:
            return account
    raise LookupError(f"there is no person {number}")


@knob("/referral-factory/reward-issued", "POST")
def reward_issued(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Tell of a reward that was issued to a person."""
    with world.lock:
        account = _holder(world, int(given["id"]))
        person = account.people[int(given["id"])]
        campaign = account.campaigns[person["campaign_id"]]
        hooks.fire(world, "reward-issued", Joined(account, campaign, person))
    return {"ok": True}


@knob("/referral-factory/unblock", "POST")
def unblock(world: World, _given: dict[str, Any]) -> dict[str, Any]:
    """Forgive every address."""
    with world.lock:
        world.abuse.unblock()
    return {"ok": True}
