"""What the forms of the front page offer, and what they send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.intercom.state import Contact, Workspace

# What a person may switch on without knowing the format of a rule: words, and the rule.
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "intercom-down": (
        "Intercom is unavailable (503)",
        {"vendor": "intercom", "kind": "unavailable"},
    ),
    "intercom-limit": (
        "Intercom says: too many calls (429)",
        {"vendor": "intercom", "kind": "429"},
    ),
    "intercom-after": (
        "Intercom writes a new contact, then answers with an error",
        {"vendor": "intercom", "kind": "error_after", "method": "POST", "path": "/contacts"},
    ),
    "intercom-cut": (
        "Intercom writes a new contact, then hangs up",
        {"vendor": "intercom", "kind": "reset_after", "method": "POST", "path": "/contacts"},
    ),
    "intercom-slow": (
        "Intercom takes 3 seconds a call",
        {"vendor": "intercom", "kind": "slow", "ms": 3000},
    ),
    "factory-down": (
        "Referral Factory is unavailable (503)",
        {"vendor": "referral_factory", "kind": "unavailable"},
    ),
    "factory-after": (
        "Referral Factory adds a person, then answers with an error",
        {"vendor": "referral_factory", "kind": "error_after", "method": "POST", "path": "/users"},
    ),
}

KIND_WORDS = {
    "error_before": "Answers with an error",
    "error_after": "Writes, then answers with an error",
    "timeout_before": "Doesn’t answer",
    "timeout_after": "Writes, then doesn’t answer",
    "reset_before": "Hangs up",
    "reset_after": "Writes, then hangs up",
    "slow": "Is slow",
    "429": "Says: too many calls (429)",
    "unavailable": "Is unavailable (503)",
    "empty_body": "Answers with nothing",
    "html_body": "Answers with a web page",
    "missing_request_id": "Leaves out the request’s id",
    "extra_fields": "Answers with unknown fields",
}

INPUTS = {"integer": "number", "float": "number", "date": "date"}


def attribute_fields(workspace: Workspace, contact: Contact) -> list[dict[str, Any]]:
    """The attributes of a contact as inputs of their types."""
    fields = []
    for attribute in workspace.attributes.values():
        if attribute["archived"] or attribute["model"] != "contact":
            continue
        value = contact["custom_attributes"].get(attribute["name"])
        options = [(option, option) for option in attribute["options"] or ()]
        if attribute["data_type"] == "boolean":
            options = [("true", "yes"), ("false", "no")]
        fields.append(
            {
                "key": f"attribute-{attribute['id']}",
                "label": attribute["name"],
                "options": options,
                "type": INPUTS.get(attribute["data_type"], "text"),
                "step": "any" if attribute["data_type"] == "float" else None,
                "value": _to_input(attribute["data_type"], value),
                "locked": not attribute["api_writable"],
            }
        )
    return fields


def _to_input(data_type: str, value: Any) -> str:
    if value is None:
        return ""
    if data_type == "date":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d")
    if data_type == "boolean":
        return "true" if value else "false"
    if data_type == "relationship":
        return ", ".join(instance["id"] for instance in value["instances"])
    return str(value)


def _from_input(data_type: str, text: str) -> Any:
    if text == "":
        return None
    if data_type == "integer":
        return int(text)
    if data_type == "float":
        return float(text)
    if data_type == "boolean":
        return text == "true"
    if data_type == "date":
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    if data_type == "relationship":
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def written(workspace: Workspace, contact: Contact, form: Mapping[str, str]) -> dict[str, Any]:
    """The body of an update: only what differs from what the form showed."""
    body: dict[str, Any] = {}
    for key in ("name", "email", "phone"):
        if key in form and form[key].strip() != (contact[key] or ""):
            body[key] = form[key].strip() or None
    custom: dict[str, Any] = {}
    for attribute in workspace.attributes.values():
        text = form.get(f"attribute-{attribute['id']}")
        before = contact["custom_attributes"].get(attribute["name"])
        if text is not None and text.strip() != _to_input(attribute["data_type"], before):
            custom[attribute["name"]] = _from_input(attribute["data_type"], text.strip())
    if custom:
        body["custom_attributes"] = custom
    return body
