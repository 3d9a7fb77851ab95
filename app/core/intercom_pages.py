"""Where a teammate sees something in Intercom's own console."""

from __future__ import annotations

from app.core.people import Role

HOSTS = {"us": "app.intercom.com", "eu": "app.eu.intercom.com", "au": "app.au.intercom.com"}
"""By a workspace's region."""


def contact_url(region: str, app_id: str, contact_id: str) -> str:
    return f"{_app(region, app_id)}/users/{contact_id}/all-conversations"


def list_url(region: str, app_id: str, role: Role) -> str:
    """The list in which they are: that of all users; leads have none of their own that is known, but are in all."""
    return f"{_app(region, app_id)}/users/segments/{'all-users' if role is Role.USER else 'all'}"


def _app(region: str, app_id: str) -> str:
    return f"https://{HOSTS.get(region, HOSTS['us'])}/a/apps/{app_id}"
