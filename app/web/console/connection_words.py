"""What the connections' pages call things: the vendor's regions, permissions and topics in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Permission:
    """``text`` is what it allows; ``boxes`` are the names of the boxes to tick in Intercom's Developer Hub."""

    text: str
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of Intercom's webhooks; ``needed`` says that it is to be subscribed."""

    name: str
    why: str
    needed: bool = True


REGIONS = (("us", "United States"), ("eu", "Europe"), ("au", "Australia"))

_ONE, _ALL = "Read one user and one company", "Read and list users and companies"
_WRITE, _READ_AND_WRITE = "Write users and companies", "Read and write users"

# https://developers.intercom.com/docs/build-an-integration/learn-more/authentication/oauth-scopes
PERMISSIONS: Mapping[str, Permission] = MappingProxyType(
    {
        "contacts_read": Permission("Find and read contacts", (_ALL, _ONE)),
        "attributes_read": Permission("Read the list of attributes", (_ALL,)),
        "segments_read": Permission("Read the list of segments", (_ALL,)),
        "contacts_write": Permission("Create and update contacts", (_WRITE, _READ_AND_WRITE)),
        "attributes_write": Permission("Create attributes", ("Write data attributes",)),
        "access": Permission("A call that was refused without saying why", (_ALL, _ONE, _WRITE, _READ_AND_WRITE)),
    }
)

TOPICS = (
    Topic("contact.user.created", "New users, for ongoing syncs and conversions"),
    Topic("contact.user.updated", "A user's attribute changes: this is what qualifies leads"),
    Topic("contact.lead.created", "New leads, for ongoing syncs"),
    Topic("contact.lead.updated", "A lead's attribute changes: this is what qualifies leads"),
    Topic("contact.lead.added_email", "A lead leaves an email"),
    Topic("contact.lead.signed_up", "A lead becomes a user"),
    Topic("contact.email.updated", "An email address changes"),
    Topic("contact.merged", "Two contacts become one, and the referral follows"),
    Topic("contact.archived", "A contact is archived"),
    Topic("contact.unarchive", "An archived contact comes back"),
    Topic("contact.deleted", "A contact is deleted"),
)
