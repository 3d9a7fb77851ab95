"""A campaign that is ready to play with, made as an operator would make it: by the product's own API.

Each step first looks whether it is done, so a start that was interrupted is completed by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from local.errors import CannotStartError

PATIENCE = 30

INTERCOM_APP = "sandbox1"
INTERCOM_TOKEN = "intercom-sandbox-token"  # noqa: S105  the sandbox's, known to everybody
INTERCOM_SECRET = "intercom-sandbox-secret"  # noqa: S105
REFERRAL_FACTORY_TOKEN = "referral-factory-sandbox-token"  # noqa: S105
CAMPAIGN = "Summer referral"
OUR_PATH = "/webhooks/referral-factory/"

AUDIENCES: dict[str, dict[str, Any]] = {
    "leads": {
        "action": "create_lead",
        "mapping": [
            {"from": {"field": "first_name"}, "to": "name"},
            {"from": {"field": "email"}, "to": "email"},
            {"from": {"field": "referrer.first_name"}, "to": "custom_attributes.Referrer First Name"},
            {"from": {"field": "referrer.email"}, "to": "custom_attributes.Referrer Email"},
            {"from": {"field": "meta.Company"}, "to": "custom_attributes.Company name"},
            {"from": {"value": CAMPAIGN}, "to": "custom_attributes.Referral Campaign"},
        ],
        "duplicates": "skip",
        "qualification": {
            "attribute": "custom_attributes.plan",
            "initial_value": "trial",
            "target_values": ["pro"],
        },
    },
    "referrers": {
        "action": "create_user",
        "mapping": [
            {"from": {"field": "first_name"}, "to": "name"},
            {"from": {"field": "email"}, "to": "email"},
            {"from": {"field": "url"}, "to": "custom_attributes.Referral Link"},
            {"from": {"field": "referrals"}, "to": "custom_attributes.Referrals"},
            {"from": {"field": "qualified_referrals"}, "to": "custom_attributes.Converted referrals"},
        ],
        "duplicates": "fill_blanks",
        "qualification": None,
    },
}


class Door:
    """One HTTP address, asked in JSON, with refusals told in the words of the answer."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self._base = base
        self._session = requests.Session()
        self._session.trust_env = False  # this machine is never reached by a proxy
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, None)

    def items(self, path: str) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self._ask("GET", path, None, {"limit": 200, **({"cursor": cursor} if cursor else {})})
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def _ask(self, method: str, path: str, body: Any, query: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._session.request(method, self._base + path, json=body, params=query, timeout=PATIENCE)
        except requests.RequestException as error:
            raise CannotStartError(f"{method} {self._base}{path} got no answer: {error}") from None
        if not answer.ok:
            raise CannotStartError(f"{method} {self._base}{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None


@dataclass(frozen=True)
class Places:
    """Where the two programs listen on this machine."""

    web: str
    sandbox: str


def seed(places: Places, token: str, campaign_id: int | str | None) -> int | str | None:
    """See to it that the sandbox and a campaign here know each other.

    Args:
        places: the addresses.
        token: one of the API's.
        campaign_id: the campaign of an earlier run. It is left as people made it, or gone.

    Returns:
        The campaign's id.

    Raises:
        CannotStartError: with what was asked and answered.
    """
    api, sandbox = Door(f"{places.web}/api/v1", token), Door(f"{places.sandbox}/control")
    webhook = None
    if campaign_id is None:
        campaign_id, webhook = _campaign(api)
        for audience, settings in AUDIENCES.items():
            api.put(f"/campaigns/{campaign_id}/audiences/{audience}", settings)
    _tell_intercom(sandbox, f"{places.web}/webhooks/intercom")
    _tell_referral_factory(api, sandbox, places, campaign_id, webhook)
    return campaign_id


def _campaign(api: Door) -> tuple[int | str, dict[str, Any] | None]:
    """The sandbox's campaign, connected; its webhook only if it was made just now, for its secret is told once."""
    workspace = _first(api.items("/workspaces"), app_id=INTERCOM_APP) or api.post(
        "/workspaces",
        {
            "name": "Sandbox workspace",
            "region": "us",
            "access_token": INTERCOM_TOKEN,
            "client_secret": INTERCOM_SECRET,
        },
    )
    program = _first(api.items("/programs"), name="Sandbox program") or api.post(
        "/programs", {"name": "Sandbox program", "access_token": REFERRAL_FACTORY_TOKEN}
    )
    theirs = _first(api.items(f"/programs/{program['id']}/campaigns"), name=CAMPAIGN)
    if theirs is None:
        raise CannotStartError(f"The sandbox has no campaign {CAMPAIGN!r}.")
    number = theirs["referral_factory_id"]
    known = _first(api.items("/campaigns"), referral_factory_id=number)
    if known:
        return known["id"], None
    body = {"program_id": program["id"], "referral_factory_id": number, "workspace_id": workspace["id"]}
    made = api.post("/campaigns", body)
    return made["id"], made["webhook"]


def _tell_intercom(sandbox: Door, url: str) -> None:
    sandbox.post(f"/intercom/{INTERCOM_APP}/webhook", {"url": url})


def _tell_referral_factory(
    api: Door, sandbox: Door, places: Places, campaign_id: int | str, webhook: dict[str, Any] | None
) -> None:
    """Register the campaign's addresses, unless the sandbox kept them from an earlier run."""
    campaign = _first(api.items("/campaigns"), id=campaign_id)
    if campaign is None:  # archived since
        return
    number, urls = campaign["referral_factory_id"], campaign["webhook"]["urls"]
    # Here rather than at PUBLIC_URL, which may lead elsewhere.
    wanted = {topic.replace("_", "-"): places.web + urlsplit(url).path for topic, url in urls.items()}
    if webhook is None:
        if _registered(sandbox, number) == set(wanted.values()):
            return
        webhook = {**campaign["webhook"], **api.post(f"/campaigns/{campaign_id}/webhook/rotate", {})}
    path = f"/referral-factory/{number}/webhooks"
    sandbox.delete(path)
    for topic, url in wanted.items():
        sandbox.post(path, {"url": url, "topic": topic, "headers": {webhook["header"]: webhook["secret"]}})


def _registered(sandbox: Door, number: int) -> set[str]:
    """The addresses of ours that the sandbox's Referral Factory calls for a campaign."""
    hooks = [hook for account in sandbox.get("/accounts")["accounts"] for hook in account["webhooks"]]
    return {hook["url"] for hook in hooks if hook["campaign_id"] == number and OUR_PATH in hook["url"]}


def _first(items: list[dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
    return next((item for item in items if all(item.get(name) == value for name, value in wanted.items())), None)
