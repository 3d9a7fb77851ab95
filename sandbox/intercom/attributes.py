"""The catalogue of attributes, and what happens to a value that doesn't fit."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from sandbox.intercom.refusals import Refused, invalid

if TYPE_CHECKING:
    from sandbox.intercom.state import Workspace
    from sandbox.settings import Settings

MOST_CUSTOM = 250
LONGEST_TEXT = 255
CREATE_TYPES = ("string", "integer", "float", "boolean", "datetime", "date", "options")

# name, label, data type, whether the API may write it
STANDARD: tuple[tuple[str, str, str, bool], ...] = (
    ("role", "Type", "string", True),
    ("name", "Name", "string", True),
    ("owner_id", "Owner", "integer", True),
    ("email", "Email", "string", True),
    ("phone", "Phone", "string", True),
    ("external_id", "User ID", "string", True),
    ("signed_up_at", "Signed up", "date", True),
    ("last_seen_at", "Last seen", "date", True),
    ("language_override", "Language override", "string", True),
    ("unsubscribed_from_emails", "Unsubscribed from emails", "boolean", True),
    ("id", "Intercom ID", "string", False),
    ("workspace_id", "Workspace ID", "string", False),
    ("email_domain", "Email domain", "string", False),
    ("created_at", "First seen", "date", False),
    ("updated_at", "Last updated", "date", False),
    ("last_contacted_at", "Last contacted", "date", False),
    ("last_replied_at", "Last replied", "date", False),
    ("last_email_opened_at", "Last opened email", "date", False),
    ("last_email_clicked_at", "Last clicked on link in email", "date", False),
    ("browser", "Browser", "string", False),
    ("browser_language", "Browser language", "string", False),
    ("os", "Operating system", "string", False),
    ("location.country", "Country", "string", False),
    ("location.region", "Region", "string", False),
    ("location.city", "City", "string", False),
    ("marked_email_as_spam", "Marked email as spam", "boolean", False),
    ("has_hard_bounced", "Has hard bounced", "boolean", False),
)


def make(workspace: Workspace, now: float, name: str, data_type: str, **more: Any) -> dict[str, Any]:
    """Add a custom attribute without any check: how the workspace's owner would, or its seeding."""
    attribute = {
        "id": 1000 + len(workspace.attributes) + 1,
        "model": "contact",
        "name": name,
        "data_type": data_type,
        "description": "",
        "options": None,
        "api_writable": True,
        "messenger_writable": False,
        "archived": False,
        "created_at": now,
        "updated_at": now,
        "pattern": None,
        "longest": None,
        "answers": {},
        **more,
    }
    workspace.attributes[name] = attribute
    return attribute


def create(workspace: Workspace, body: dict[str, Any], now: float) -> dict[str, Any]:
    """POST /data_attributes."""
    name, data_type = body.get("name"), body.get("data_type")
    if body.get("model") not in ("contact", "company"):
        raise invalid("The Data Attribute model field must be either contact or company")
    if data_type not in CREATE_TYPES:
        raise invalid("Data Type isn't an option")
    if not isinstance(name, str) or not re.fullmatch(r"[^\W_][\w \-$€£¥]*", name) or len(name) > 190 or "$" in name:
        raise invalid(
            "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens"
        )
    _check_name_is_free(workspace, name, body["model"])
    options = _options(body.get("options")) if body.get("options") is not None else None
    if (data_type == "options" or options is not None) and len(options or ()) < 2:
        raise invalid("You must have at least two options on a list type data attribute")
    if sum(not attribute["archived"] for attribute in workspace.attributes.values()) >= MOST_CUSTOM:
        raise invalid("You have reached the limit of custom data attributes")
    kept_type = {"options": "string", "datetime": "date"}.get(data_type, data_type)
    return make(
        workspace,
        now,
        name,
        kept_type,
        model=body["model"],
        options=options,
        description=str(body.get("description") or ""),
        messenger_writable=bool(body.get("messenger_writable")),
    )


def _check_name_is_free(workspace: Workspace, name: str, model: str) -> None:
    if name.lower() in {word.lower() for row in STANDARD for word in row[:2]}:
        raise invalid(f"'{name}' is one of our standard attributes for your people data")
    taken = workspace.attributes.get(name)
    if taken is not None:
        words = {"contact": "people", "company": "company"}
        raise invalid(
            f"You already have '{name}' in your {words[taken['model']]} data. "
            f"To save this as new {words[model]} data, use a different name."
        )


def _options(given: Any) -> list[str]:
    if not isinstance(given, list):
        raise invalid("Options isn't an array")
    return [str(option["value"] if isinstance(option, dict) else option) for option in given]


def update(workspace: Workspace, attribute_id: str, body: dict[str, Any], now: float) -> dict[str, Any]:
    """PUT /data_attributes/{id}: all but the type and the name."""
    for attribute in workspace.attributes.values():
        if str(attribute["id"]) == attribute_id:
            break
    else:
        raise Refused(404, "field_not_found", "We couldn't find that data attribute to update")
    if "options" in body:
        attribute["options"] = _options(body["options"])
    for key in ("archived", "messenger_writable"):
        if key in body:
            attribute[key] = bool(body[key])
    if "description" in body:
        attribute["description"] = str(body["description"] or "")
    attribute["updated_at"] = now
    return attribute


def take(workspace: Workspace, settings: Settings, given: Any, *, by_teammate: bool = False) -> dict[str, Any]:
    """The custom attributes of a write as they will be stored; raises what Intercom would answer."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid("custom_attributes must be an object", "type_mismatch")
    taken: dict[str, Any] = {}
    for name, value in given.items():
        kept, value = _take_one(workspace, settings, name, value, by_teammate=by_teammate)
        if kept:
            taken[name] = value
    return taken


def _take_one(
    workspace: Workspace, settings: Settings, name: str, value: Any, *, by_teammate: bool
) -> tuple[bool, Any]:
    attribute = workspace.attributes.get(name)
    if attribute is None or attribute["model"] != "contact":
        return _refuse(settings.unknown_attribute, name, "unknown"), None
    answers = attribute["answers"]  # an attribute may answer otherwise than its workspace
    if attribute["archived"]:
        return _refuse(answers.get("archived_attribute", settings.archived_attribute), name, "unknown"), None
    if not attribute["api_writable"] and not by_teammate:
        return _refuse(answers.get("locked_attribute", settings.locked_attribute), name, "locked"), None
    if value is None:
        return True, None
    if not fits(attribute["data_type"], value):
        return _refuse(answers.get("type_mismatch", settings.type_mismatch), name, "type"), None
    if attribute["options"] and value not in attribute["options"]:
        return _refuse(answers.get("list_outside_options", settings.list_outside_options), name, "option"), value
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        answer = answers.get("text_too_long", settings.text_too_long)
        if answer == "truncate":
            return True, value[:LONGEST_TEXT]
        return _refuse(answer, name, "long"), value
    if isinstance(value, str) and not _obeys(attribute, value):
        return _refuse(answers.get("rule_violation", settings.rule_violation), name, "rule"), None
    if attribute["data_type"] == "relationship":
        instances = [str(instance) for instance in value]
        return True, {"type": f"{name}.list", "instances": [{"id": instance} for instance in instances]}
    return True, value


def fits(data_type: str, value: Any) -> bool:
    """Whether a JSON value is of an attribute's type."""
    if data_type == "string":
        return isinstance(value, str)
    if data_type == "boolean":
        return isinstance(value, bool)
    if data_type == "relationship":
        return isinstance(value, list)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if data_type == "float" else isinstance(value, int)


def _obeys(attribute: dict[str, Any], value: str) -> bool:
    if attribute["longest"] is not None and len(value) > attribute["longest"]:
        return False
    return attribute["pattern"] is None or re.fullmatch(attribute["pattern"], value) is not None


_WORDS = {
    "unknown": "Custom attribute '{name}' does not exist",
    "locked": "Custom attribute '{name}' is not writable",
    "type": "Custom attribute '{name}' has a value of the wrong type",
    "option": "Custom attribute '{name}' has no such option",
    "long": "Custom attribute '{name}' is too long",
    "rule": "Custom attribute '{name}' is not valid",
}


def _refuse(answer: str, name: str, why: str) -> bool:
    """Raise the 400 that the switch asks for; else whether the value is kept."""
    code = "type_mismatch" if why == "type" else "parameter_invalid"
    if answer == "named":
        raise Refused(400, code, _WORDS[why].format(name=name))
    if answer == "unnamed":
        raise Refused(400, code, "A value that was sent is not valid")
    return answer == "accept"


def shown(attribute: dict[str, Any]) -> dict[str, Any]:
    """A custom attribute as the API shows it. Rules set in the UI are not exposed, as at Intercom."""
    answer = {
        "type": "data_attribute",
        "id": attribute["id"],
        "model": attribute["model"],
        "name": attribute["name"],
        "full_name": f"custom_attributes.{attribute['name']}",
        "label": attribute["name"],
        "description": attribute["description"],
        "data_type": attribute["data_type"],
        "api_writable": attribute["api_writable"],
        "messenger_writable": attribute["messenger_writable"],
        "ui_writable": True,
        "custom": True,
        "archived": attribute["archived"],
        "created_at": int(attribute["created_at"]),
        "updated_at": int(attribute["updated_at"]),
        "admin_id": "1",
    }
    if attribute["options"]:
        answer["options"] = list(attribute["options"])
    return answer


def shown_standard() -> list[dict[str, Any]]:
    """The standard attributes as the API shows them: without an id."""
    return [
        {
            "type": "data_attribute",
            "model": "contact",
            "name": full_name.rsplit(".", 1)[-1],
            "full_name": full_name,
            "label": label,
            "description": "",
            "data_type": data_type,
            "api_writable": writable,
            "messenger_writable": False,
            "ui_writable": writable,
            "custom": False,
            "archived": False,
        }
        for full_name, label, data_type, writable in STANDARD
    ]


def listed(workspace: Workspace, *, model: str | None, archived: bool) -> list[dict[str, Any]]:
    """GET /data_attributes."""
    rows = shown_standard() if model in (None, "contact") else []
    for attribute in workspace.attributes.values():
        if (archived or not attribute["archived"]) and model in (None, attribute["model"]):
            rows.append(shown(attribute))
    return rows
