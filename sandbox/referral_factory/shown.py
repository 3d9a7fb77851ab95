"""How people and campaigns look from outside."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sandbox.referral_factory.state import LEAD, REFERRER, Account, Campaign, Person


def person(account: Account, kept: Person, base: str, *, analytics: bool = False) -> dict[str, Any]:
    """A person in an answer. Counts come only when asked for."""
    url = f"{base}/r/{kept['code']}"
    brought, qualified = account.count(kept["id"])
    answer = {
        "id": kept["id"],
        "campaign_id": kept["campaign_id"],
        "referrer_id": kept["referrer_id"],
        "first_name": kept["first_name"],
        "email": kept["email"],
        "code": kept["code"],
        "reach": kept["reach"],
        "source": kept["source"],
        "type": kept["type"],
        "ip": "203.0.113.7",
        "url": url,
        "promotion": None,
        "qr": {"src": f"{url}/qr-code", "download": f"{url}/download-qr-code"},
        "signed_up_at": kept["signed_up_at"],
        "qualified_at": kept["qualified_at"],
        "unsubscribed_at": kept["unsubscribed_at"],
        "meta": kept["meta"],
        "sharing": {
            "socials": [{"social": "email", "url": f"mailto:?body={quote(url, safe='')}"}],
            "subject": None,
            "text": None,
        },
    }
    if analytics:
        answer["analytics"] = {
            "reach": kept["reach"],
            "referrals": brought,
            "qualified_referrals": qualified,
        }
    return answer


def campaign(account: Account, kept: Campaign, base: str, *, analytics: bool = False) -> dict[str, Any]:
    """A campaign in an answer."""
    answer = {
        "id": kept["id"],
        "name": kept["name"],
        "code": kept["code"],
        "lang": kept["lang"],
        "url": f"{base}/join/{kept['code']}",
        "reach": 0,
        "status": kept["status"],
        "starts_at": kept["starts_at"],
        "ends_at": kept["ends_at"],
        "created_at": kept["created_at"],
        "fields": {kind: kept["fields"][kind] for kind in (REFERRER, LEAD)},
        "assets": {"logo": {"type": "image", "path": None}},
    }
    if analytics:
        people = [each for each in account.people.values() if each["campaign_id"] == kept["id"]]
        leads = [each for each in people if each["type"] == LEAD]
        answer["analytics"] = {
            "reach": 0,
            "users": len(people),
            "referrals": len(leads),
            "qualified_referrals": sum(each["qualified_at"] is not None for each in leads),
        }
    return answer
