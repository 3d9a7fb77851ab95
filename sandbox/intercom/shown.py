"""How a contact looks from outside: in answers, in search and in notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.intercom.state import Contact, Workspace

_NEVER = {
    "has_hard_bounced": False,
    "marked_email_as_spam": False,
    "last_replied_at": None,
    "last_contacted_at": None,
    "last_email_opened_at": None,
    "last_email_clicked_at": None,
    "browser": None,
    "browser_version": None,
    "browser_language": None,
    "os": None,
    "location": {
        "type": "location",
        "country": None,
        "region": None,
        "city": None,
        "country_code": None,
        "continent_code": None,
    },
    "android_app_name": None,
    "android_app_version": None,
    "android_device": None,
    "android_os_version": None,
    "android_sdk_version": None,
    "android_last_seen_at": None,
    "ios_app_name": None,
    "ios_app_version": None,
    "ios_device": None,
    "ios_os_version": None,
    "ios_sdk_version": None,
    "ios_last_seen_at": None,
    "social_profiles": {"type": "list", "data": []},
    "utm_campaign": None,
    "utm_content": None,
    "utm_medium": None,
    "utm_source": None,
    "utm_term": None,
    "referrer": None,
    "sms_consent": False,
    "unsubscribed_from_sms": False,
    "enabled_push_messaging": None,
}


def contact(workspace: Workspace, kept: Contact, *, searched: bool = False) -> dict[str, Any]:
    """A contact in an answer. Lists and search show every attribute, null where unset, and no email as null."""
    custom = kept["custom_attributes"]
    if searched:
        custom = {
            name: custom.get(name)
            for name, attribute in workspace.attributes.items()
            if not attribute["archived"] and attribute["model"] == "contact"
        }
    else:
        custom = {
            name: value
            for name, value in custom.items()
            if name in workspace.attributes and not workspace.attributes[name]["archived"]
        }
    return _body(workspace, kept, custom, email=(kept["email"] or None) if searched else kept["email"])


def _body(workspace: Workspace, kept: Contact, custom: dict[str, Any], *, email: str | None) -> dict[str, Any]:
    path = f"/contacts/{kept['id']}"
    return {
        "type": "contact",
        "id": kept["id"],
        "workspace_id": workspace.app_id,
        "external_id": kept["external_id"],
        "role": kept["role"],
        "email": email,
        "email_domain": email.rpartition("@")[2] if email else email,
        "phone": kept["phone"],
        "name": kept["name"],
        "avatar": {"type": "avatar", "image_url": kept["avatar"]} if kept["avatar"] else None,
        "owner_id": kept["owner_id"],
        "unsubscribed_from_emails": kept["unsubscribed_from_emails"],
        "language_override": kept["language_override"],
        "created_at": int(kept["created_at"]),
        "updated_at": int(kept["updated_at"]),
        "signed_up_at": kept["signed_up_at"],
        "last_seen_at": kept["last_seen_at"],
        **_NEVER,
        "custom_attributes": custom,
        "tags": _sub_list(path, "tags", [_tag(tag) for tag in kept["tags"]]),
        "notes": _sub_list(path, "notes", []),
        "companies": _sub_list(path, "companies", []),
        "opted_out_subscription_types": _sub_list(path, "subscriptions", []),
        "opted_in_subscription_types": _sub_list(path, "subscriptions", []),
    }


def _tag(tag_id: str) -> dict[str, str]:
    return {"type": "tag", "id": tag_id, "url": f"/tags/{tag_id}"}


def _sub_list(path: str, name: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    # Ten rows at most, and has_more stays false all the same: seen at Intercom.
    return {
        "type": "list",
        "data": rows[:10],
        "url": f"{path}/{name}",
        "total_count": len(rows),
        "has_more": False,
    }


def reference(kept: Contact, **more: Any) -> dict[str, Any]:
    """The few words Intercom says about a contact that is gone."""
    return {"id": kept["id"], "external_id": kept["external_id"], "type": "contact", **more}


def notified(workspace: Workspace, kept: Contact) -> dict[str, Any]:
    """A contact in a notification: the same, but with ISO times."""
    item = contact(workspace, kept)
    del item["email_domain"]  # not seen in notifications
    for key in ("created_at", "updated_at", "signed_up_at", "last_seen_at"):
        if kept[key] is not None:
            item[key] = datetime.fromtimestamp(kept[key], UTC).isoformat(timespec="milliseconds")
    return item


def segment(kept: dict[str, Any]) -> dict[str, Any]:
    """A segment in an answer, without its count."""
    return {
        "type": "segment",
        "id": kept["id"],
        "name": kept["name"],
        "created_at": int(kept["created_at"]),
        "updated_at": int(kept["updated_at"]),
        "person_type": kept["person_type"],
    }


def tag(kept: dict[str, Any]) -> dict[str, Any]:
    """A tag in an answer."""
    return {"type": "tag", "id": kept["id"], "name": kept["name"]}
