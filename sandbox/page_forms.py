"""What the forms of the front page offer, and what they send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.faults import WEBHOOK, Rule
from sandbox.intercom.state import Contact, Workspace
from sandbox.world import World

QUALIFICATION = {"vendor": "referral_factory", "method": "PUT", "path": "/users/qualification"}

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
    "factory-unqualified": (
        "Referral Factory doesn’t find the person to qualify (404)",
        {**QUALIFICATION, "kind": "error_before", "status": 404},
    ),
    "factory-refuses": (
        "Referral Factory refuses to qualify (422)",
        {**QUALIFICATION, "kind": "error_before", "status": 422},
    ),
    "factory-qualified": (
        "Referral Factory qualifies a person, then answers with an error",
        {**QUALIFICATION, "kind": "error_after"},
    ),
    "factory-cut": (
        "Referral Factory qualifies a person, then hangs up",
        {**QUALIFICATION, "kind": "reset_after"},
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

VENDORS = {"intercom": "Intercom", "referral_factory": "Referral Factory"}

# What may happen to a vendor's notifications: words to choose it by, words for it, the switches for all of them, and
# the kind of rule for the next few. The choice without switches is what is normal.
PLIGHTS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "normal": ("Sent as normal", "sent as normal", {}, ""),
    "lose": ("Lost", "lost", {"lose": 1.0}, "webhook_lose"),
    "double": ("Sent twice", "sent twice", {"duplicate": 1.0, "copies": 2}, "webhook_double"),
    "triple": ("Sent three times", "sent three times", {"duplicate": 1.0, "copies": 3}, "webhook_triple"),
    "overtaken": ("Sent out of order", "sent out of order", {"reorder": 1.0}, "webhook_overtaken"),
}
NORMAL = {"lose": 0.0, "duplicate": 0.0, "copies": 2, "reorder": 0.0, "delay": 0.0}
FATE_WORDS = {
    "send": "",
    "lose": "lost on purpose",
    "double": "sent twice",
    "triple": "sent three times",
    "late": "sent late",
    "overtaken": "held back until the next one has gone, or for half a minute",
}


def set_plight(world: World, vendor: str, choice: str, count: int | None) -> None:
    """Have a vendor's notifications lost, doubled and so on: all of them, or the next `count`."""
    _, _, switches, kind = PLIGHTS[choice]
    world.faults.remove_where(lambda rule: rule.kind in WEBHOOK and rule.vendor in (None, vendor))
    if count is not None and kind:
        world.faults.add({"vendor": vendor, "kind": kind, "count": count})
        switches = {}
    world.settings.change({f"{vendor}_webhook_{name}": value for name, value in {**NORMAL, **switches}.items()})


def plight(world: World, vendor: str) -> list[str]:
    """What happens to a vendor's notifications, in words; nothing where all is as it should be."""
    switches = {name: getattr(world.settings, f"{vendor}_webhook_{name}") for name in NORMAL}
    words = [
        said
        for said in (
            _share(switches["lose"], "lost"),
            _share(
                switches["duplicate"], {2: "sent twice", 3: "sent three times"}.get(switches["copies"], "repeated")
            ),
            _share(switches["reorder"], "sent out of order"),
            _share(switches["delay"], "sent late"),
        )
        if said
    ]
    rules = [rule for rule in world.faults.rules if rule.kind in WEBHOOK and rule.vendor in (None, vendor)]
    return words + [said for rule in rules if (said := _ruled(rule))]


def _share(probability: float, what: str) -> str:
    if probability <= 0:
        return ""
    return f"all are {what}" if probability >= 1 else f"{probability:.0%} are {what}"


def _ruled(rule: Rule) -> str:
    what = (
        next(words for _, words, _, kind in PLIGHTS.values() if kind == rule.kind) if rule.kind in _KINDS else "late"
    )
    if rule.path or rule.body or rule.probability is not None or rule.every is not None:
        return f"some are {what}"
    if rule.count is None:
        return f"all are {what}"
    left = rule.count - rule.struck
    return f"the next {'one is' if left == 1 else f'{left} are'} {what}" if left > 0 else ""


_KINDS = {kind for _, _, _, kind in PLIGHTS.values()}


def outcome(notifications: list[str]) -> str:
    """What becomes of the notifications of a change, for whoever made it."""
    if not notifications:
        return "No notification goes out, so Referloop doesn’t hear of it by webhook."
    if set(notifications) == {"lose"}:
        return "The notification is lost on purpose, so Referloop doesn’t hear of it by webhook."
    odd = {FATE_WORDS.get(word, word) for word in notifications} - {""}
    return f"Referloop hears of it by webhook{' (' + ', '.join(sorted(odd)) + ')' if odd else ''}."


INPUTS = {"integer": "number", "float": "number", "date": "date"}


def attribute_fields(workspace: Workspace, contact: Contact) -> list[dict[str, Any]]:
    """The attributes of a contact as inputs of their types."""
    fields = []
    for attribute in _shown_attributes(workspace):
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


TAKES = {
    "integer": "takes a whole number",
    "float": "takes a number",
    "boolean": "takes yes or no",
    "date": "takes a day, such as 2026-12-24",
}
YES_NO = {"true": True, "yes": True, "false": False, "no": False}


def _from_input(attribute: dict[str, Any], text: str) -> Any:
    data_type = attribute["data_type"]
    try:
        return _value(data_type, text)
    except (ValueError, KeyError):
        raise ValueError(f"{attribute['name']} {TAKES[data_type]}.") from None


def _value(data_type: str, text: str) -> Any:
    if text == "":
        return None
    if data_type == "integer":
        return int(text)
    if data_type == "float":
        return float(text)
    if data_type == "boolean":
        return YES_NO[text.lower()]
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
            custom[attribute["name"]] = _from_input(attribute, text.strip())
    if custom:
        body["custom_attributes"] = custom
    return body


def converted(workspace: Workspace, form: Mapping[str, str]) -> dict[str, Any]:
    """The body of an update of the one attribute that the form names."""
    for attribute in _shown_attributes(workspace):
        if str(attribute["id"]) == form.get("attribute"):
            text = form.get("value", "").strip()
            value = _from_input(attribute, text)
            options = attribute["options"]
            if options and value is not None and value not in options:
                raise ValueError(f"{attribute['name']} takes {' or '.join(options)}.")
            return {"custom_attributes": {attribute["name"]: value}}
    raise ValueError("There is no such attribute.")


def conversions(workspace: Workspace, contact: Contact) -> dict[str, Any]:
    """What the form to convert a contact offers: attributes with their values, and values to choose from."""
    rows = [
        {
            "id": str(attribute["id"]),
            "name": attribute["name"],
            "now": _to_input(attribute["data_type"], contact["custom_attributes"].get(attribute["name"])),
            "options": attribute["options"] or [],
        }
        for attribute in _shown_attributes(workspace)
    ]
    chosen = next((row["id"] for row in rows if row["options"]), None)
    values = dict.fromkeys(option for row in rows for option in row["options"])
    return {"rows": rows, "chosen": chosen, "values": [*values, "yes", "no"]}


def _shown_attributes(workspace: Workspace) -> list[dict[str, Any]]:
    return [each for each in workspace.attributes.values() if not each["archived"] and each["model"] == "contact"]
