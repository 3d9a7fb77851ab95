"""What can be done to a contact, and whom it conflicts with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.intercom import attributes
from sandbox.intercom.refusals import Refused, invalid, not_found
from sandbox.intercom.state import ARCHIVED, BLANK, BLOCKED, DELETED, LIVE, MERGED, Contact, Workspace

if TYPE_CHECKING:
    from sandbox.settings import Settings

TEXTS = ("name", "phone", "language_override", "avatar")
TIMES = ("signed_up_at", "last_seen_at")


@dataclass
class Change:
    """A contact's new state and the topics of the notifications it causes."""

    contact: Contact
    topics: list[str] = field(default_factory=list)


def create(
    workspace: Workspace, settings: Settings, now: float, body: dict[str, Any], *, by_teammate: bool = False
) -> Change:
    """POST /contacts."""
    if not any(body.get(key) for key in ("email", "external_id", "role")):
        raise invalid("One of email, external_id or role is required", "parameter_missing")
    role = "lead" if body.get("role") == "lead" else "user"
    written = _written(workspace, settings, body, by_teammate=by_teammate)
    email, external_id = written.get("email") or "", _text(body.get("external_id"))
    if role == "lead":
        external_id = workspace.new_uuid()
    else:
        if not email and not external_id:
            raise invalid("A user needs an email or an external_id", "parameter_missing")
        _check_conflicts(workspace, settings, external_id, email, ignore=None)
    contact = {
        **BLANK,
        **written,
        "id": workspace.new_id(now),
        "role": role,
        "external_id": external_id,
        "created_at": now,
        "updated_at": now,
    }
    workspace.store(contact, now, settings.index_delay_seconds)
    return Change(contact, [f"contact.{role}.created"])


def find(workspace: Workspace, contact_id: str, version: tuple[int, int] = (2, 16)) -> Contact:
    """A live contact by its id; a merged one is 410 with the way to its successor, or 404 before 2.16."""
    contact = workspace.contacts.get(contact_id)
    if contact is None or contact["state"] in (ARCHIVED, DELETED, BLOCKED):
        raise not_found()
    if contact["state"] == MERGED:
        raise _gone(workspace, contact, version)
    return contact


def _gone(workspace: Workspace, contact: Contact, version: tuple[int, int]) -> Refused:
    successor = contact
    for _ in range(3):
        if successor["state"] != MERGED:
            break
        successor = workspace.contacts[successor["merged_into"]]
    if version < (2, 16) or successor["state"] != LIVE:
        return not_found()
    return Refused(
        410,
        "contact_merged",
        "This contact has been merged. See the 'Link' header for the canonical contact.",
        headers={"Link": f'</contacts/{successor["id"]}>; rel="canonical"'},
    )


def find_by_external_id(workspace: Workspace, external_id: str) -> Contact:
    """A live user by its own identity, past the search index."""
    contact = workspace.with_external_id(external_id)
    if contact is None or contact["state"] != LIVE:
        raise not_found()
    return contact


def update(
    workspace: Workspace,
    settings: Settings,
    now: float,
    contact: Contact,
    body: dict[str, Any],
    *,
    by_teammate: bool = False,
) -> Change:
    """PUT /contacts/{id}: keys that are not in the body stay."""
    promoted = contact["role"] == "lead" and body.get("role") == "user"
    if contact["role"] == "user" and body.get("role") == "lead":
        raise Refused(400, "client_error", "Contact with user role can't be converted to a lead")
    written = _written(workspace, settings, body, by_teammate=by_teammate)
    if promoted or contact["role"] == "user":
        written.update(_identity(workspace, settings, contact, body, written, promoted=promoted))
    if promoted:
        written["role"] = "user"
    if "custom_attributes" in written:
        written["custom_attributes"] = {**contact["custom_attributes"], **written["custom_attributes"]}
    changed = {key for key, value in written.items() if contact[key] != value}
    if not changed and not settings.unchanged_put_counts:
        return Change(contact)
    after = {**contact, **written, "updated_at": now}
    workspace.store(after, now, settings.index_delay_seconds)
    return Change(after, _topics(contact, after, changed))


def _identity(
    workspace: Workspace,
    settings: Settings,
    contact: Contact,
    body: dict[str, Any],
    written: dict[str, Any],
    *,
    promoted: bool,
) -> dict[str, Any]:
    given = _text(body.get("external_id"))
    email = str(written.get("email", contact["email"]))
    stays_apart = contact["role"] == "user" and contact["external_id"]
    new_email = email if promoted or email != contact["email"] else ""
    if given and given != contact["external_id"]:
        _check_conflicts(workspace, settings, given, new_email, ignore=contact["id"])
        return {"external_id": given}
    if new_email:
        identity = contact["external_id"] if stays_apart else None
        _check_conflicts(workspace, settings, identity, new_email, ignore=contact["id"])
    return {}


def _topics(before: Contact, after: Contact, changed: set[str]) -> list[str]:
    topics: list[str] = []
    if "role" in changed:
        topics.append("contact.lead.signed_up")
    if "email" in changed and after["email"]:
        if after["role"] == "lead" and not before["email"]:
            topics.append("contact.lead.added_email")
        else:
            topics.append("contact.email.updated")
    if not changed <= {"role", "external_id"} or not changed:
        topics.append(f"contact.{after['role']}.updated")
    return topics


def _check_conflicts(
    workspace: Workspace, settings: Settings, external_id: str | None, email: str, *, ignore: str | None
) -> None:
    if external_id:
        holder = workspace.with_external_id(external_id)
        if holder is not None and holder["id"] != ignore:
            raise _conflict(settings, holder)
    if not email or (external_id and settings.new_external_id_with_used_email == "second_user"):
        return
    users = [user for user in workspace.with_email(email, "user") if user["id"] != ignore]
    alive = [user for user in users if user["state"] == LIVE]
    if len(alive) > 1 and settings.several_users_conflict == "unnamed":
        message = "Multiple existing users match this email address - must be more specific using user_id"
        raise Refused(409, "conflict", message)
    if users:
        raise _conflict(settings, (alive or users)[0])


def _conflict(settings: Settings, holder: Contact) -> Refused:
    which = "A" if holder["state"] == LIVE else "An archived"
    named = f" with id={holder['id']}" if settings.conflict_names_id else ""
    return Refused(409, "conflict", f"{which} contact matching those details already exists{named}")


def _written(workspace: Workspace, settings: Settings, body: dict[str, Any], *, by_teammate: bool) -> dict[str, Any]:
    """The fields a write sets. Unknown keys at the top are passed over, as Intercom does."""
    if "email_verified" in body and not body.get("email"):
        raise invalid("email_verified can only be sent together with email")
    written: dict[str, Any] = {}
    if "email" in body:
        if not isinstance(body["email"], str | None):
            raise invalid("email must be a string", "type_mismatch")
        written["email"] = (body["email"] or "").strip().lower()
    for key in TEXTS:
        if key in body:
            written[key] = _text(body[key])
    for key in TIMES:
        if key in body:
            written[key] = _time(key, body[key])
    if "owner_id" in body:
        if body["owner_id"] is not None and str(body["owner_id"]) != "1":
            raise invalid("The owner specified is not a member of the workspace")
        written["owner_id"] = _text(body["owner_id"])
    if "unsubscribed_from_emails" in body:
        written["unsubscribed_from_emails"] = bool(body["unsubscribed_from_emails"])
    if body.get("custom_attributes") is not None:
        given = body["custom_attributes"]
        written["custom_attributes"] = attributes.take(workspace, settings, given, by_teammate=by_teammate)
    return written


def _text(value: Any) -> str | None:
    if isinstance(value, dict | list):
        raise invalid("A text was expected", "type_mismatch")
    return None if value is None or value == "" else str(value)


def _time(key: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{key} must be a Unix timestamp", "type_mismatch")
    return int(value)


def archive(workspace: Workspace, settings: Settings, now: float, contact: Contact) -> Change:
    """Hide a contact; its identity stays taken."""
    return _leave(workspace, settings, now, contact, ARCHIVED, "contact.archived")


def delete(workspace: Workspace, settings: Settings, now: float, contact: Contact) -> Change:
    """Remove a contact for good. Its identity stays taken, and unarchive refuses."""
    return _leave(workspace, settings, now, contact, DELETED, "contact.deleted")


def block(workspace: Workspace, settings: Settings, now: float, contact: Contact) -> Change:
    """Block a contact: archived, and never to return."""
    return _leave(workspace, settings, now, contact, BLOCKED, "contact.archived")


def _leave(workspace: Workspace, settings: Settings, now: float, contact: Contact, state: str, topic: str) -> Change:
    after = {**contact, "state": state, "updated_at": now}
    workspace.store(after, now, settings.index_delay_seconds)
    return Change(after, [topic])


def unarchive(workspace: Workspace, settings: Settings, now: float, contact_id: str) -> Change:
    """Bring an archived contact back, under the same id."""
    contact = workspace.contacts.get(contact_id)
    if contact is None or contact["state"] == MERGED:
        raise not_found()
    if contact["state"] in (DELETED, BLOCKED):
        message = "User has been marked for permanent deletion and is not restorable."
        raise Refused(400, "bad_request" if contact["state"] == DELETED else "not_restorable", message)
    if contact["state"] == LIVE:
        return Change(contact)
    after = {**contact, "state": LIVE, "updated_at": now}
    workspace.store(after, now, settings.index_delay_seconds)
    return Change(after, ["contact.unarchive"])


def merge(
    workspace: Workspace,
    settings: Settings,
    now: float,
    body: dict[str, Any],
    version: tuple[int, int] = (2, 16),
) -> tuple[Change, Contact]:
    """POST /contacts/merge: a lead into a user; what the user has, stays. Returns the lead as well."""
    lead, user = (workspace.contacts.get(str(body.get(key))) for key in ("from", "into"))
    if lead is None or user is None or lead["state"] != LIVE or user["state"] != LIVE:
        raise not_found("Contact Not Found")
    if (lead["role"], user["role"]) != ("lead", "user"):
        message = "Merging can only be performed on a lead into a user"
        raise Refused(400, "invalid_merge", message, names_request=False)
    same = any(lead[key] and lead[key] == user[key] for key in ("email", "phone"))
    if version >= (2, 16) and not same and not body.get("skip_duplicate_validation"):
        message = (
            "Contacts can only be merged when they are duplicates (matching email or phone). "
            "Pass skip_duplicate_validation=true to override this check."
        )
        raise Refused(400, "invalid_merge", message, names_request=False)
    return merge_now(workspace, settings, now, lead, user), lead


def merge_now(workspace: Workspace, settings: Settings, now: float, lead: Contact, user: Contact) -> Change:
    """Merge without asking: also what Intercom does by itself in the background."""
    missing = {key: lead[key] for key in ("email", "phone", "name", *TIMES) if lead[key] and not user[key]}
    custom = {
        **lead["custom_attributes"],
        **{key: value for key, value in user["custom_attributes"].items() if value is not None},
    }
    tags = tuple(dict.fromkeys((*user["tags"], *lead["tags"])))
    after = {**user, **missing, "custom_attributes": custom, "tags": tags, "updated_at": now}
    gone = {**lead, "state": MERGED, "merged_into": user["id"], "merged_at": now}
    workspace.store(gone, now, settings.index_delay_seconds)
    workspace.store(after, now, settings.index_delay_seconds)
    return Change(after, ["contact.merged"])


def auto_merge(workspace: Workspace, settings: Settings, now: float, email: str) -> tuple[Change, Contact] | None:
    """What happens at a user's next visit: the oldest lead of the email goes into the user seen last."""
    leads = [lead for lead in workspace.with_email(email, "lead") if lead["state"] == LIVE]
    user = user_seen_last(workspace, email)
    if not leads or user is None:
        return None
    return merge_now(workspace, settings, now, leads[0], user), leads[0]


def user_seen_last(workspace: Workspace, email: str) -> Contact | None:
    """The user of an email into whom a lead of that email would be merged."""
    users = [user for user in workspace.with_email(email, "user") if user["state"] == LIVE] if email else []
    return max(users, key=lambda contact: (contact["last_seen_at"] or 0, contact["updated_at"]), default=None)


def merge_history(workspace: Workspace, contact: Contact) -> list[dict[str, Any]]:
    """What was merged into a user, the latest first."""
    merged = [other for other in workspace.contacts.values() if other["merged_into"] == contact["id"]]
    return [
        {
            "type": "merge_history",
            "source_contact_id": other["id"],
            "source_contact_role": other["role"],
            "merged_at": int(other["merged_at"]),
        }
        for other in sorted(merged, key=lambda other: -other["merged_at"])
    ]
