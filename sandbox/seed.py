"""What a fresh sandbox holds, and people in bulk: the same ones each time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from sandbox.intercom import attributes, segments
from sandbox.intercom.state import BLANK, Workspace
from sandbox.referral_factory import people
from sandbox.referral_factory.state import LEAD, REFERRER, Account

if TYPE_CHECKING:
    from sandbox.world import World

DEFAULT_APP_ID = "sandbox1"
DEFAULT_TOKEN = "intercom-sandbox-token"  # noqa: S105 - opens nothing but the sandbox
DEFAULT_CLIENT_SECRET = "intercom-sandbox-secret"  # noqa: S105
DEFAULT_ACCOUNT = "sandbox"
DEFAULT_ACCOUNT_TOKEN = "referral-factory-sandbox-token"  # noqa: S105
PLANS = ("trial", "pro", "team")

FIRST_NAMES = ("Ada", "Ben", "Chloé", "Dmitri", "Elif", "Finn", "Grace", "Hana", "Ines", "José", "Kai", "Łucja")
LAST_NAMES = ("Adams", "Brown", "Castro", "Dubois", "Eriksen", "Fischer", "Green", "Haddad", "Ito", "Jensen")

# name, data type, and what else is said of it
DEFAULT_ATTRIBUTES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Referral Link", "string", {}),
    ("Referrer Email", "string", {}),
    ("Referrer First Name", "string", {}),
    ("Referral Campaign", "string", {}),
    ("Company name", "string", {}),
    ("plan", "string", {"options": list(PLANS)}),
    ("Referrals", "integer", {}),
    ("Converted referrals", "integer", {}),
    ("Lifetime value", "float", {}),
    ("Newsletter", "boolean", {}),
    ("Trial ends", "date", {}),
    ("Account manager", "relationship", {}),
    ("Health score", "integer", {"api_writable": False}),
    ("Old campaign", "string", {"archived": True}),
)


def defaults(world: World) -> None:
    """One workspace and one account, ready to be connected."""
    add_workspace(
        world,
        app_id=DEFAULT_APP_ID,
        name="Sandbox workspace",
        token=DEFAULT_TOKEN,
        client_secret=DEFAULT_CLIENT_SECRET,
    )
    account = add_account(world, name=DEFAULT_ACCOUNT, token=DEFAULT_ACCOUNT_TOKEN)
    fields = {LEAD: [{"label": "Last Name"}, {"label": "Company"}], REFERRER: [{"label": "Last Name"}]}
    world.factory.add_campaign(account, "Summer referral", id=1, code="summer", fields=fields)
    world.factory.add_campaign(account, "Winter referral", id=2, code="winter", fields=fields)
    rita = {"campaign_id": 1, "first_name": "Rita Referrer", "email": "rita@example.com"}
    people.create(world.factory, account, world.clock.now(), rita, "Direct")


def add_workspace(
    world: World,
    *,
    app_id: str,
    token: str,
    client_secret: str,
    name: str | None = None,
    timezone: str = "America/New_York",
    region: str = "US",
    attributes_given: list[dict[str, Any]] | None = None,
) -> Workspace:
    """A workspace with the default attributes and segments, or with those given."""
    now = world.clock.now()
    workspace = Workspace(
        app_id=app_id,
        name=name or app_id,
        timezone=timezone,
        region=region,
        tokens=[token],
        client_secret=client_secret,
        created_at=now,
        seed=world.seed_number,
    )
    if attributes_given is None:
        for title, data_type, more in DEFAULT_ATTRIBUTES:
            attributes.make(workspace, now, title, data_type, **more)
    else:
        for given in attributes_given:
            attributes.make(workspace, now, **given)
    segments.make(workspace, now, "All users", "user")
    segments.make(workspace, now, "All leads", "contact")
    if "plan" in workspace.attributes:
        segments.make(workspace, now, "On plan pro", "user", {"attribute": "plan", "equals": "pro"})
    segments.make(workspace, now, "New this week", "user", {"created_within_days": 7})
    world.workspaces[app_id] = workspace
    return workspace


def add_account(world: World, *, name: str, token: str, user_limit: int | None = None) -> Account:
    """An account without campaigns."""
    account = Account(name=name, token=token, user_limit=user_limit)
    world.factory.accounts[name] = account
    return account


def bulk_contacts(world: World, workspace: Workspace, number: int, seed_number: int) -> None:
    """Contacts in bulk, searchable at once: two users for each lead, created over the last 90 days."""
    dice = random.Random(f"contacts/{seed_number}")
    now = world.clock.now()
    start = len(workspace.order)
    for place in range(start, start + number):
        role = "lead" if place % 3 == 2 else "user"
        created = now - dice.random() * 90 * 86400
        first, last = dice.choice(FIRST_NAMES), dice.choice(LAST_NAMES)
        custom: dict[str, Any] = {"plan": dice.choice(PLANS)} if "plan" in workspace.attributes else {}
        contact = {
            **BLANK,
            "id": workspace.new_id(created),
            "role": role,
            "external_id": workspace.new_uuid() if role == "lead" else f"seed-{seed_number}-{place}",
            # One in fifty is blank, as in real workspaces.
            "email": "" if place % 50 == 49 else f"person{place}@example.com",
            "name": None if place % 70 == 69 else f"{first} {last}",
            "created_at": created,
            "updated_at": created + dice.random() * (now - created),
            "custom_attributes": custom,
        }
        workspace.store(contact, now, 0.0)


def bulk_segments(world: World, workspace: Workspace, number: int) -> None:
    """Segments in bulk, more than the hundred that some programs read."""
    now = world.clock.now()
    for place in range(1, number + 1):
        person_type = "contact" if place % 4 == 0 else "user"
        rule = {"email_contains": f"person{place}"}
        segments.make(workspace, now, f"Segment {place:03d}", person_type, rule)
