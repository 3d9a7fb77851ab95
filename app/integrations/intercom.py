"""Intercom: what is asked of a workspace, and the client that asks.

An expected "no" is a value: a conflict (409), a contact that is gone (404, 410), one that can't be restored. All else
that is not done is an error of ``app.core.errors``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from app.core.audiences import Attribute, AttributeType
from app.core.errors import NotUnderstood, Rejected, Unauthorized, Vendor
from app.core.people import CUSTOM, Contact, ContactDraft, normalised_email
from app.integrations.budget import Budget
from app.integrations.http import LIMITS, Answer, Http, Limits, Line, Observe, refusal_of, unobserved
from schemas.intercom import (
    CREATED_AS,
    Segment,
    Workspace,
    attribute_from,
    body_from,
    contact_from,
    identity_from,
    segment_from,
    text_of,
)

API_VERSION: Final = "2.16"
"""Sent with each call: without it the app's own setting decides, and that can change under us."""

HOSTS: Final[Mapping[str, str]] = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
"""By a workspace's region (``servers`` of the 2.16 description). A token of another region is answered 401."""

WINDOW_SECONDS: Final = 10.0
"""Calls are counted in windows of ten seconds
(https://developers.intercom.com/docs/references/2.16/rest-api/errors/rate-limiting)."""

MOST_PER_PAGE: Final = 150

_ID: Final = re.compile(r"\bid=([0-9a-f]{24}|\w+)")
_CANONICAL: Final = re.compile(r"/contacts/([^/>?\s]+)>\s*;\s*rel=\"?canonical")
_NAMED: Final = re.compile(r"[Cc]ustom attribute '(.+?)' ")

T = TypeVar("T")


class GoneKind(StrEnum):
    """``MISSING``: unknown, archived or deleted, which Intercom does not tell apart. ``MERGED``: into another."""

    MISSING = "missing"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such contact any more; where it was merged, ``canonical_id`` is the survivor, if it is named."""

    kind: GoneKind = GoneKind.MISSING
    canonical_id: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another contact holds these details. ``contact_id`` where the text names it; ``several`` where several do."""

    contact_id: str | None = None
    archived: bool = False
    several: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class NotRestorable:
    """Deleted for good: unarchiving will never work."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class ContactPage:
    """Contacts of one page of a search; ``cursor`` asks for the next, ``None`` after the last."""

    contacts: tuple[Contact, ...]
    cursor: str | None = None
    total: int | None = None


class Order(Enum):
    """In which order contacts are searched, as ``sort`` has it. Those that change meanwhile move to the end or, with
    the last changed first, to the front; by creation everybody keeps their place, our own writes notwithstanding."""

    CREATED = ("created_at", "ascending")
    CHANGED = ("updated_at", "ascending")
    CHANGED_LAST_FIRST = ("updated_at", "descending")


class Intercom(Protocol):
    """What the product asks of a workspace. Every call may raise ``Unavailable``, ``RateLimited``, ``Unauthorized``
    and ``Rejected``."""

    def me(self) -> Workspace:
        """Whose token this is."""

    def search_email(self, email: str) -> list[Contact]:
        """All live contacts of an address, leads and users together. New ones may be missing for minutes."""

    def search(
        self, query: Mapping[str, object], cursor: str | None = None, order: Order = Order.CHANGED
    ) -> ContactPage:
        """One page of the contacts that a query of Intercom's form matches."""

    def contact(self, contact_id: str) -> Contact | Gone:
        """The contact as it is now."""

    def create(self, draft: ContactDraft) -> Contact | Conflict:
        """Make a contact; the draft has a role."""

    def update(self, contact_id: str, draft: ContactDraft) -> Contact | Gone | Conflict:
        """Write the draft's values; others stay."""

    def unarchive(self, contact_id: str) -> Contact | Gone | NotRestorable:
        """Bring an archived contact back, and read it."""

    def attributes(self) -> list[Attribute]:
        """All attributes of contacts, archived ones included."""

    def create_attribute(self, name: str, type_: AttributeType, options: Sequence[str] = ()) -> Attribute:
        """Make a custom attribute. Raises ``ValueError`` for a type that can't be made (Reference)."""

    def segments(self) -> list[Segment]:
        """All segments, with counts."""

    def probe_contacts(self) -> bool:
        """Whether the token may read contacts."""

    def probe_attributes(self) -> bool:
        """Whether the token may read data attributes."""

    def probe_segments(self) -> bool:
        """Whether the token may read segments."""


class IntercomClient:
    """``Intercom`` over HTTP, for one workspace's token. Threads may share it."""

    def __init__(
        self,
        base_url: str,
        token: str,
        http: Http,
        budget: Budget,
        observe: Observe = unobserved,
        *,
        bulk: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Intercom-Version": API_VERSION,
            "User-Agent": "Referloop",
        }
        self._line = Line(
            Vendor.INTERCOM, base_url, token, http, budget, observe, headers, limits, fallback_wait=10.0, bulk=bulk
        )

    def me(self) -> Workspace:
        answer = self._line.call("me", "GET", "/me")
        return self._read(identity_from, answer.payload, answer)

    def search_email(self, email: str) -> list[Contact]:
        """One call, not by role: a role would hide the user behind the lead.

        A 200 that holds no list is an error and never "none found", which would make a second contact. Rows of
        another address are dropped, for the index may be older than what it shows.
        """
        wanted = normalised_email(email)
        answer = self._search("search_email", {"query": {"field": "email", "operator": "=", "value": wanted}})
        found = (self._read(contact_from, row, answer) for row in self._rows(answer, "data"))
        return [contact for contact in found if normalised_email(contact.email) == wanted]

    def search(
        self, query: Mapping[str, object], cursor: str | None = None, order: Order = Order.CHANGED
    ) -> ContactPage:
        field, direction = order.value
        body = {"query": query, "sort": {"field": field, "order": direction}}
        answer = self._search("search", body, cursor)
        contacts = tuple(self._read(contact_from, row, answer) for row in self._rows(answer, "data"))
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        total = payload.get("total_count")
        return ContactPage(contacts, next_cursor(payload), total if isinstance(total, int) else None)

    def contact(self, contact_id: str) -> Contact | Gone:
        """A merged contact answers 410 with a ``Link`` to the survivor (2.16), or 404 (2.15 and before)."""
        answer = self._line.call("contact", "GET", _path(contact_id), expected=(404, 410))
        return self._contact_or_gone(answer)

    def create(self, draft: ContactDraft) -> Contact | Conflict:
        """There is no upsert; 200 is success. A 409 names the other's id in its text only
        (https://developers.intercom.com/docs/references/2.4/rest-api/contacts/create-contact)."""
        answer = self._write("create", "POST", "/contacts", body_from(draft), expected=(409,))
        return conflict_of(answer) if answer.status == 409 else self._contact(answer)

    def update(self, contact_id: str, draft: ContactDraft) -> Contact | Gone | Conflict:
        answer = self._write("update", "PUT", _path(contact_id), body_from(draft), expected=(404, 409, 410))
        return conflict_of(answer) if answer.status == 409 else self._contact_or_gone(answer)

    def unarchive(self, contact_id: str) -> Contact | Gone | NotRestorable:
        """The reply of an unarchive is a mere reference, so the contact is read after it.

        A deleted contact was answered 400 ``bad_request`` and at one time 500, both with a text that says so.
        """
        path = f"{_path(contact_id)}/unarchive"
        answer = self._line.call("unarchive", "POST", path, expected=(400, 404, 410, 422, 500), empty_ok=True)
        if 200 <= answer.status < 300:
            return self.contact(contact_id)
        if answer.status in (404, 410):
            return gone_of(answer)
        said = refusal_of(answer.payload)
        if said.code == "not_restorable" or "restorable" in said.message or "permanent deletion" in said.message:
            return NotRestorable(said.message)
        raise self._line.refused(answer)

    def attributes(self) -> list[Attribute]:
        """Not paged. The server's ``model`` filter is checked here: companies' attributes are no targets."""
        params = {"model": "contact", "include_archived": "true"}
        answer = self._line.call("attributes", "GET", "/data_attributes", params=params)
        rows = [row for row in self._rows(answer, "data") if _field(row, "model") in (None, "contact")]
        return [self._read(attribute_from, row, answer) for row in rows]

    def create_attribute(self, name: str, type_: AttributeType, options: Sequence[str] = ()) -> Attribute:
        if type_ not in CREATED_AS:
            raise ValueError(f"an attribute of type {type_} can't be made")
        body: dict[str, object] = {"name": name, "model": "contact", "data_type": CREATED_AS[type_]}
        if options:
            body["options"] = [{"value": option} for option in options]
        answer = self._line.call("create_attribute", "POST", "/data_attributes", body=body)
        return self._read(attribute_from, answer.payload, answer)

    def segments(self) -> list[Segment]:
        """No paging was ever seen, but the description allows for it: whatever names a next page is followed."""
        found: dict[str, Segment] = {}
        params, seen = {"include_count": "true"}, set[str]()
        while True:
            answer = self._line.call("segments", "GET", "/segments", params=params)
            for segment in (self._read(segment_from, row, answer) for row in self._rows(answer, "segments", "data")):
                found[segment.id] = segment
            cursor = next_cursor(answer.payload)
            if cursor is None or cursor in seen:
                return list(found.values())
            seen.add(cursor)
            params = {"include_count": "true", "starting_after": cursor}

    def probe_contacts(self) -> bool:
        return self._permitted("probe_contacts", "/contacts", {"per_page": "1"})

    def probe_attributes(self) -> bool:
        return self._permitted("probe_attributes", "/data_attributes", {"model": "contact"})

    def probe_segments(self) -> bool:
        return self._permitted("probe_segments", "/segments", {})

    def _permitted(self, operation: str, path: str, params: Mapping[str, str]) -> bool:
        try:
            self._line.call(operation, "GET", path, params=params, empty_ok=True)
        except Unauthorized:
            return False
        return True

    def _search(self, operation: str, body: Mapping[str, object], cursor: str | None = None) -> Answer:
        """The cursor goes into the body (in the address it is ignored, for ever page 1), and never as a null."""
        pagination: dict[str, object] = {"per_page": MOST_PER_PAGE}
        if cursor is not None:
            pagination["starting_after"] = cursor
        return self._line.call(operation, "POST", "/contacts/search", body={**body, "pagination": pagination})

    def _write(
        self, operation: str, method: str, path: str, body: Mapping[str, object], expected: Sequence[int]
    ) -> Answer:
        try:
            return self._line.call(operation, method, path, body=body, expected=expected)
        except Rejected as error:
            error.fields = named_paths(str(error), error.fields)
            raise

    def _contact(self, answer: Answer) -> Contact:
        return self._read(contact_from, answer.payload, answer)

    def _contact_or_gone(self, answer: Answer) -> Contact | Gone:
        return gone_of(answer) if answer.status in (404, 410) else self._contact(answer)

    def _rows(self, answer: Answer, *names: str) -> list[object]:
        """The list of an answer. One that has none is broken, not empty."""
        for name in names:
            rows = _field(answer.payload, name)
            if isinstance(rows, list):
                return rows
        raise self._line.broken("answered without the list that was asked for", answer)

    def _read(self, read: Callable[[object], T], payload: object, answer: Answer) -> T:
        try:
            return read(payload)
        except NotUnderstood as error:
            raise self._line.broken(f"answered in a form we do not know ({error})", answer) from error


def conflict_of(answer: Answer) -> Conflict:
    """What a 409 says. It has two meanings: another contact holds these details (its id in the text, "archived" if
    it is), or several users do (https://developers.intercom.com/docs/references/2.17/rest-api/errors/http-responses).
    Its body may be empty."""
    message = refusal_of(answer.payload).message
    named = _ID.search(message)
    return Conflict(
        contact_id=named[1] if named else None,
        archived="archived" in message.lower(),
        several="multiple" in message.lower(),
        message=message,
    )


def gone_of(answer: Answer) -> Gone:
    """What a 404 or 410 says; a merged contact's survivor stands in the ``Link`` header."""
    if answer.status != 410:
        return Gone()
    link = _CANONICAL.search(answer.headers.get("Link", ""))
    named = link or _ID.search(refusal_of(answer.payload).message)
    return Gone(GoneKind.MERGED, named[1] if named else None)


def named_paths(message: str, fields: Sequence[str]) -> tuple[str, ...]:
    """The attributes that a refusal names, by path: in its ``field`` or only in its text."""
    named = [CUSTOM + name for name in _NAMED.findall(message + " ")]
    return tuple(dict.fromkeys([*named, *fields]))


def next_cursor(payload: object) -> str | None:
    """The cursor of the next page, in the forms seen: ``pages.next.starting_after``, or a whole address."""
    following = _field(_field(payload, "pages"), "next")
    if isinstance(following, str):
        return dict(parse_qsl(urlsplit(following).query)).get("starting_after")
    return text_of(_field(following, "starting_after"))


def _field(payload: object, name: str) -> object:
    return payload.get(name) if isinstance(payload, dict) else None


def _path(contact_id: str) -> str:
    return f"/contacts/{quote(contact_id, safe='')}"
