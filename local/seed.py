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

TOPICS = [
    "contact.lead.created",
    "contact.lead.updated",
    "contact.lead.added_email",
    "contact.lead.signed_up",
    "contact.email.updated",
    "contact.user.created",
    "contact.user.updated",
    "contact.archived",
    "contact.unarchive",
    "contact.deleted",
    "contact.merged",
]

ATTRIBUTES = ("plan", "Referral Campaign", "Referred By", "Referral Link", "Referral Code")

AUDIENCES: dict[str, dict[str, Any]] = {
    "leads": {
        "action": "create_lead",
        "mapping": [
            {"from": {"field": "first_name"}, "to": "name"},
            {"from": {"field": "email"}, "to": "email"},
            {"from": {"field": "referrer.first_name"}, "to": "custom_attributes.Referred By"},
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
            {"from": {"field": "code"}, "to": "custom_attributes.Referral Code"},
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
    _attributes(api, workspace["id"])
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


def _attributes(api: Door, workspace_id: int | str) -> None:
    present = {attribute["path"] for attribute in api.items(f"/workspaces/{workspace_id}/attributes")}
    for name in ATTRIBUTES:
        if f"custom_attributes.{name}" not in present:
            api.post(f"/workspaces/{workspace_id}/attributes", {"name": name, "type": "text"})


def _tell_intercom(sandbox: Door, url: str) -> None:
    sandbox.post(f"/intercom/{INTERCOM_APP}/webhook", {"url": url, "topics": TOPICS})


def _tell_referral_factory(
    api: Door, sandbox: Door, places: Places, campaign_id: int | str, webhook: dict[str, Any] | None
) -> None:
    """Register the campaign's addresses, unless the sandbox kept them from an earlier run."""
    campaign = _first(api.items("/campaigns"), id=campaign_id)
    if campaign is None:  # archived since
        return
    path = f"/referral-factory/{campaign['referral_factory_id']}/webhooks"
    if webhook is None:
        registered = {hook["url"] for hook in sandbox.items(path)}
        if any(url.startswith(f"{places.web}/") for url in registered):
            return
        webhook = {**campaign["webhook"], **api.post(f"/campaigns/{campaign_id}/webhook/rotate", {})}
    for topic, url in webhook["urls"].items():
        here = places.web + urlsplit(url).path  # PUBLIC_URL may lead elsewhere
        headers = {webhook["header"]: webhook["secret"]}
        sandbox.post(path, {"url": here, "topic": topic.replace("_", "-"), "headers": headers})


def _first(items: list[dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
    return next((item for item in items if all(item.get(name) == value for name, value in wanted.items())), None)
