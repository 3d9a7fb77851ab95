"""Segments: a rule and who falls under it, as the search index sees them.

A rule is one of {"all": true}, {"attribute": NAME, "equals": VALUE}, {"created_within_days": N},
{"email_contains": TEXT}. `person_type` is "user", or "contact", which means leads.
"""

from __future__ import annotations

from typing import Any

from sandbox.intercom.state import Contact, Workspace

RULES = ("all", "attribute", "created_within_days", "email_contains")


def make(
    workspace: Workspace, now: float, name: str, person_type: str = "user", rule: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Add a segment, as the workspace's owner would: the API has no way to."""
    rule = rule or {"all": True}
    if person_type not in ("user", "contact"):
        raise ValueError("person_type must be user or contact")
    if not any(key in rule for key in RULES):
        raise ValueError(f"a rule has one of {', '.join(RULES)}")
    segment: dict[str, Any] = {
        "id": workspace.new_id(now)[:18] + f"{len(workspace.segments) + 1:06x}",
        "name": name,
        "person_type": person_type,
        "rule": rule,
        "created_at": now,
        "updated_at": now,
    }
    workspace.segments[segment["id"]] = segment
    return segment


def belongs(segment: dict[str, Any], contact: Contact, now: float) -> bool:
    """Whether a contact falls under a segment's rule."""
    if contact["role"] != ("user" if segment["person_type"] == "user" else "lead"):
        return False
    rule = segment["rule"]
    if "attribute" in rule:
        name = rule["attribute"].removeprefix("custom_attributes.")
        value = contact.get(name) if name in contact else contact["custom_attributes"].get(name)
        return bool(value == rule.get("equals"))
    if "created_within_days" in rule:
        return bool(contact["created_at"] >= now - rule["created_within_days"] * 86400)
    if "email_contains" in rule:
        return rule["email_contains"] in contact["email"]
    return True


def counts(workspace: Workspace, now: float) -> dict[str, int]:
    """How many each segment has."""
    index = workspace.index
    index.catch_up(now)
    people = list(index.contacts.values())
    return {
        segment["id"]: sum(belongs(segment, contact, now) for contact in people)
        for segment in workspace.segments.values()
    }
