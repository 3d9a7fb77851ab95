"""What is done with an event."""

from __future__ import annotations

import os
from typing import Any

import requests

INTERCOM = os.environ.get("INTERCOM_API_URL", "https://api.intercom.io")
HEADERS = {"Authorization": f"Bearer {os.environ.get('INTERCOM_TOKEN', '')}", "Intercom-Version": "2.16"}


def send_lead(person: dict[str, Any]) -> None:
    """Search for a person by email, and create a lead where there is none."""
    query = {"field": "email", "operator": "=", "value": person["email"]}
    found = requests.post(f"{INTERCOM}/contacts/search", json={"query": query}, headers=HEADERS, timeout=20)
    found.raise_for_status()
    if found.json()["data"]:
        return
    contact = {
        "role": "lead",
        "email": person["email"],
        "name": person["first_name"],
        "custom_attributes": {
            "Referrer First Name": person["referrer_first_name"],
            "Referrer Email": person["referrer_email"],
            "Company name": person["Company"],
            "Referral Campaign": "Summer referral",
            "plan": "trial",
        },
    }
    requests.post(f"{INTERCOM}/contacts", json=contact, headers=HEADERS, timeout=20).raise_for_status()


def look_at(notification: dict[str, Any]) -> None:
    """Nothing is done with what Intercom says: the door is what is measured."""
