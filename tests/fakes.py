"""Both vendors in memory, honest to what is known of them, for tests that need no wire.

They pass the same contract suite as the clients (``tests/integrations/test_contract.py``).
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.core.audiences import Attribute, AttributeType
from app.core.errors import ApiError, Rejected, Vendor
from app.core.people import CUSTOM, META, Audience, Contact, ContactDraft, Person, Role, Scalar, normalised_email
from app.integrations.intercom import Conflict, ContactPage, Gone, GoneKind, NotRestorable, Order
from app.integrations.referral_factory import Enrolment, PeoplePage
from schemas.intercom import CREATED_AS, Segment, Workspace
from schemas.referral_factory import CAMPAIGN_ID, Campaign

T = TypeVar("T")
DAY = 86_400


@dataclass
class Failure:
    """One scripted failure: before the call's effect, or after it, when only the answer is lost."""

    error: ApiError
    after_effect: bool


class Scripted:
    """Calls are noted, and fail as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._failures: dict[str, deque[Failure]] = defaultdict(deque)

    def fail(self, operation: str, error: ApiError, *, after_effect: bool = False, times: int = 1) -> None:
        """The next ``times`` calls of ``operation`` end in ``error``."""
        self._failures[operation].extend([Failure(error, after_effect)] * times)

    def called(self, operation: str) -> int:
        """How often ``operation`` was asked for."""
        return sum(name == operation for name, _ in self.calls)

    def _run(self, operation: str, arguments: tuple[Any, ...], effect: Callable[[], T]) -> T:
        self.calls.append((operation, arguments))
        failure = self._failures[operation].popleft() if self._failures[operation] else None
        if failure:
            failure.error.operation = operation
        if failure and not failure.after_effect:
            raise failure.error
        result = effect()
        if failure:
            raise failure.error
        return result


def _standard(path: str, *, writable: bool = True) -> Attribute:
    return Attribute(path, path, path.replace("_", " ").capitalize(), AttributeType.TEXT, (), writable, custom=False)


def custom(name: str, type_: AttributeType = AttributeType.TEXT, **more: Any) -> Attribute:
    """A custom attribute for a fake's catalogue."""
    return Attribute(CUSTOM + name, name, name, type_, **more)


class FakeIntercom(Scripted):
    """One workspace. ``search_lag`` keeps new contacts and changes from searches until ``index()``.

    ``now`` is its clock, Unix seconds, moved by the test. ``refuse`` and ``ignore`` say what happens to values.
    """

    def __init__(self, app_id: str = "app1", attributes: Sequence[Attribute] = ()) -> None:
        super().__init__()
        self.workspace = Workspace(app_id, "Fake workspace", "America/New_York", "us")
        self.now = 1_795_000_000
        self.search_lag = False
        self.contacts: dict[str, Contact] = {}
        self.archived: dict[str, Contact] = {}
        self.deleted: dict[str, Contact] = {}
        self.merged: dict[str, str] = {}
        self.catalogue = {each.path: each for each in (*map(_standard, _STANDARD), *attributes)}
        self.segment_list: list[Segment] = []
        self.members: dict[str, set[str]] = defaultdict(set)
        self.forbidden: set[str] = set()
        self.page_size = 150
        self._refused: dict[str, bool] = {}
        self._ignored: set[str] = set()
        self._indexed: dict[str, Contact] = {}
        self._ids = itertools.count(1)

    # What the test does to the workspace

    def index(self) -> None:
        """The search knows everything that has happened so far."""
        self._indexed = dict(self.contacts)

    def put(self, email: str | None, role: Role = Role.USER, **fields: Any) -> Contact:
        """A contact that others have made; searchable at once unless the search lags."""
        made = Contact(self._new_id(), role, email, **{"created_at": self.now, "updated_at": self.now, **fields})
        return self._keep(made)

    def change(self, contact_id: str, **fields: Any) -> Contact:
        """A teammate, or the customer's own code, changes a contact."""
        return self._keep(replace(self.contacts[contact_id], updated_at=self.now, **fields))

    def archive(self, contact_id: str) -> None:
        self.archived[contact_id] = self._take(contact_id)

    def delete(self, contact_id: str) -> None:
        self.deleted[contact_id] = self._take(contact_id)

    def merge(self, lead_id: str, into: str) -> None:
        self._take(lead_id)
        self.merged[lead_id] = into

    def refuse(self, path: str, *, named: bool = True) -> None:
        """A write with this attribute is answered 400, which names it or not."""
        self._refused[path] = named

    def ignore(self, path: str) -> None:
        """A write with this attribute is answered 200 and leaves it as it was."""
        self._ignored.add(path)

    # What the product asks

    def me(self) -> Workspace:
        return self._run("me", (), lambda: self.workspace)

    def search_email(self, email: str) -> list[Contact]:
        wanted = normalised_email(email)
        return self._run(
            "search_email",
            (wanted,),
            lambda: [each for each in self._searchable() if normalised_email(each.email) == wanted],
        )

    def search(
        self, query: Mapping[str, object], cursor: str | None = None, order: Order = Order.CHANGED
    ) -> ContactPage:
        return self._run("search", (query, cursor), lambda: self._page(query, cursor, order))

    def contact(self, contact_id: str) -> Contact | Gone:
        return self._run("contact", (contact_id,), lambda: self._now(contact_id))

    def create(self, draft: ContactDraft) -> Contact | Conflict:
        return self._run("create", (draft,), lambda: self._create(draft))

    def update(self, contact_id: str, draft: ContactDraft) -> Contact | Gone | Conflict:
        return self._run("update", (contact_id, draft), lambda: self._update(contact_id, draft))

    def unarchive(self, contact_id: str) -> Contact | Gone | NotRestorable:
        return self._run("unarchive", (contact_id,), lambda: self._unarchive(contact_id))

    def attributes(self) -> list[Attribute]:
        return self._run("attributes", (), lambda: list(self.catalogue.values()))

    def create_attribute(self, name: str, type_: AttributeType, options: Sequence[str] = ()) -> Attribute:
        return self._run(
            "create_attribute", (name, type_, tuple(options)), lambda: self._make(name, type_, tuple(options))
        )

    def segments(self) -> list[Segment]:
        return self._run("segments", (), lambda: [self._counted(each) for each in self.segment_list])

    def probe_contacts(self) -> bool:
        return self._run("probe_contacts", (), lambda: "contacts" not in self.forbidden)

    def probe_attributes(self) -> bool:
        return self._run("probe_attributes", (), lambda: "attributes" not in self.forbidden)

    def probe_segments(self) -> bool:
        return self._run("probe_segments", (), lambda: "segments" not in self.forbidden)

    # How it decides

    def _new_id(self) -> str:
        return f"{next(self._ids):024x}"

    def _keep(self, contact: Contact) -> Contact:
        self.contacts[contact.id] = contact
        if not self.search_lag:
            self._indexed[contact.id] = contact
        return contact

    def _take(self, contact_id: str) -> Contact:
        self._indexed.pop(contact_id, None)
        return self.contacts.pop(contact_id)

    def _searchable(self) -> list[Contact]:
        return [each for each in self._indexed.values() if each.id in self.contacts]

    def _now(self, contact_id: str) -> Contact | Gone:
        if contact_id in self.merged:
            return Gone(GoneKind.MERGED, self.merged[contact_id])
        return self.contacts.get(contact_id) or Gone()

    def _create(self, draft: ContactDraft) -> Contact | Conflict:
        self._check(draft)
        blank = Contact(self._new_id(), draft.role or Role.USER, created_at=self.now, updated_at=self.now)
        wanted = self._written(blank, draft)
        return self._holder(wanted) or self._keep(wanted)

    def _update(self, contact_id: str, draft: ContactDraft) -> Contact | Gone | Conflict:
        found = self._now(contact_id)
        if isinstance(found, Gone):
            return found
        if found.role is Role.USER and draft.role is Role.LEAD:
            raise _rejected("Contact with user role can't be converted to a lead", 400, "client_error")
        self._check(draft)
        wanted = self._written(replace(found, role=draft.role or found.role, updated_at=self.now), draft)
        return self._holder(wanted) or self._keep(wanted)

    def _holder(self, wanted: Contact) -> Conflict | None:
        """Leads never conflict; users conflict with users, live, archived or deleted, by email."""
        if wanted.role is Role.LEAD or not wanted.email:
            return None
        for kept, words in ((self.contacts, "A"), (self.archived, "An archived"), (self.deleted, "An archived")):
            for each in kept.values():
                same = normalised_email(each.email) == normalised_email(wanted.email)
                if same and each.role is Role.USER and each.id != wanted.id:
                    text = f"{words} contact matching those details already exists with id={each.id}"
                    return Conflict(each.id, archived="archived" in words, message=text)
        return None

    def _check(self, draft: ContactDraft) -> None:
        """One attribute that is not taken fails the whole write."""
        for path in draft.values:
            if path.startswith(CUSTOM) and path not in self.catalogue:
                name = path.removeprefix(CUSTOM)
                raise _rejected(f"Custom attribute '{name}' does not exist", 400, "parameter_invalid", path)
            if path in self._refused:
                named = (path,) if self._refused[path] else ()
                raise _rejected("A value is not valid", 400, "parameter_invalid", *named)

    def _written(self, contact: Contact, draft: ContactDraft) -> Contact:
        taken = {path: value for path, value in draft.values.items() if path not in self._ignored}
        below = {path.removeprefix(CUSTOM): value for path, value in taken.items() if path.startswith(CUSTOM)}
        standard: dict[str, Any] = {path: value for path, value in taken.items() if path in _STANDARD}
        if "email" in standard:
            standard["email"] = normalised_email(standard["email"])
        return replace(contact, custom_attributes={**contact.custom_attributes, **below}, **standard)

    def _unarchive(self, contact_id: str) -> Contact | Gone | NotRestorable:
        if contact_id in self.deleted:
            return NotRestorable("User has been marked for permanent deletion and is not restorable.")
        if contact_id in self.archived:
            return self._keep(self.archived.pop(contact_id))
        return self._now(contact_id)

    def _make(self, name: str, type_: AttributeType, options: tuple[str, ...]) -> Attribute:
        if type_ not in CREATED_AS:
            raise ValueError(f"an attribute of type {type_} can't be made")
        if CUSTOM + name in self.catalogue:
            text = f"You already have '{name}' in your people data. To save this, use a different name."
            raise _rejected(text, 400, "parameter_invalid")
        made = custom(name, type_, options=options)
        self.catalogue[made.path] = made
        return made

    def _counted(self, segment: Segment) -> Segment:
        return replace(segment, count=len(self.members[segment.id] & set(self.contacts)))

    def _page(self, query: Mapping[str, object], cursor: str | None, order: Order) -> ContactPage:
        """A cursor names a place, not a number: what is changed meanwhile may move behind it."""
        field, direction = order.value

        def place(contact: Contact) -> tuple[int, int]:
            return getattr(contact, field) or 0, int(contact.id, 16)

        newest_first = direction == "descending"
        found = [each for each in self._searchable() if self._matches(each, query)]
        found.sort(key=place, reverse=newest_first)
        total = len(found)
        if cursor is not None:
            after = tuple(map(int, cursor.split(":")))
            found = [each for each in found if (place(each) < after if newest_first else place(each) > after)]
        shown, more = found[: self.page_size], found[self.page_size :]
        return ContactPage(tuple(shown), ":".join(map(str, place(shown[-1]))) if more else None, total)

    def _matches(self, contact: Contact, query: Mapping[str, Any]) -> bool:
        """Dates are compared by whole days (here of UTC): ``>`` begins with the next day."""
        operator, value = query["operator"], query["value"]
        if operator in ("AND", "OR"):
            return (all if operator == "AND" else any)(self._matches(contact, each) for each in value)
        if query["field"] == "segment_id":
            return contact.id in self.members[value]
        own = contact.value(query["field"])
        if query["field"] in ("created_at", "updated_at"):
            own, value = int(str(own or 0)) // DAY, int(value) // DAY
        compared: dict[str, bool] = {"=": own == value, "!=": own != value}
        if operator in (">", "<"):
            return bool(own > value if operator == ">" else own < value)
        return compared[operator]


_STANDARD = ("name", "email", "phone", "language_override")


def _rejected(message: str, status: int, code: str, *fields: str) -> Rejected:
    return Rejected(Vendor.INTERCOM, message, status=status, code=code, fields=fields)


class FakeReferralFactory(Scripted):
    """One program. ``today`` is the day it writes; ``page_size`` bounds the pages of ``users``."""

    def __init__(self, *campaigns: Campaign) -> None:
        super().__init__()
        self.today = "2026-11-22"
        self.page_size = 250
        self.campaign_list = list(campaigns) or [Campaign("1", "Summer referral", "summer", "launched")]
        self.people: dict[str, Person] = {}
        self.notified: list[str] = []
        self._ids = itertools.count(101)

    # What the test does to the program

    def sign_up(
        self,
        email: str,
        *,
        campaign_id: str = "1",
        referrer: Person | None = None,
        source: str = "Direct",
        **meta: Any,
    ) -> Person:
        """Someone joins on the campaign's page: by a referrer's link as a lead, else as a referrer."""
        enrolment = Enrolment(campaign_id, email.partition("@")[0].capitalize(), email, meta)
        return self._shown(self._add(enrolment, referrer, source), counts=False)

    def remove(self, user_id: str) -> None:
        del self.people[user_id]

    # What the product asks

    def campaigns(self, *, counts: bool = False) -> list[Campaign]:
        return self._run("campaigns", (), lambda: [self._counted(each, counts) for each in self.campaign_list])

    def campaign(self, campaign_id: str) -> Campaign | None:
        def find() -> Campaign | None:
            named = (each for each in self.campaign_list if campaign_id in (each.referral_factory_id, each.code))
            return next(named, None)

        return self._run("campaign", (campaign_id,), find)

    def user(self, identifier: str, *, counts: bool = False) -> Person | None:
        def find() -> Person | None:
            found = self._find(identifier)
            return self._shown(found, counts) if found else None

        return self._run("user", (identifier,), find)

    def find_by_email(self, campaign_id: str, email: str) -> list[Person]:
        return self._run("find_by_email", (campaign_id, email), lambda: self._of(campaign_id, email))

    def users(self, cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
        def page() -> PeoplePage:
            start, everybody = int(cursor or 0), list(self.people.values())
            end = start + self.page_size
            shown = tuple(self._shown(each, counts) for each in everybody[start:end])
            return PeoplePage(shown, str(end) if end < len(everybody) else None)

        return self._run("users", (cursor,), page)

    def create_user(self, enrolment: Enrolment) -> Person:
        return self._run("create_user", (enrolment,), lambda: self._enrol(enrolment))

    def update_user(
        self,
        user_id: str,
        *,
        first_name: str | None = None,
        email: str | None = None,
        meta: Mapping[str, Scalar] | None = None,
    ) -> bool:
        changes: dict[str, Any] = {META + label: value for label, value in (meta or {}).items()}
        changes |= {
            name: value for name, value in (("first_name", first_name), ("email", email)) if value is not None
        }
        return self._run("update_user", (user_id, changes), lambda: self._change(self.people.get(user_id), changes))

    def qualify(self, *, user_id: str | None = None, code: str | None = None, qualified: bool = True) -> bool:
        if user_id is None and code is None:
            raise ValueError("who is to be qualified needs an id or a code")
        whom = user_id if user_id is not None else str(code)
        return self._run("qualify", (whom, qualified), lambda: self._qualify(self._find(whom), qualified))

    # How it decides

    def _find(self, identifier: str) -> Person | None:
        return next((each for each in self.people.values() if identifier in (each.text("id"), each.code)), None)

    def _of(self, campaign_id: str, email: str) -> list[Person]:
        wanted = normalised_email(email)
        return [
            self._shown(each, counts=False)
            for each in self.people.values()
            if each.text(CAMPAIGN_ID) == campaign_id and normalised_email(each.email) == wanted
        ]

    def _enrol(self, enrolment: Enrolment) -> Person:
        referrer = self._find(enrolment.referrer_code) if enrolment.referrer_code else None
        if enrolment.referrer_code and not referrer:
            raise _invalid("The selected referrer is invalid.", "referrer")
        added = self._add(enrolment, referrer, "Api")
        if enrolment.notify:
            self.notified.append(enrolment.email)
        return self._shown(added, counts=False)

    def _add(self, enrolment: Enrolment, referrer: Person | None, source: str) -> Person:
        audience = Audience.LEADS if referrer else Audience.REFERRERS
        if any(each.audience is audience for each in self._of(enrolment.campaign_id, enrolment.email)):
            raise _invalid("The email has already been taken.", "email")
        id_ = next(self._ids)
        values: dict[str, Any] = {
            "id": id_,
            "code": f"code{id_}",
            "email": enrolment.email,
            "first_name": enrolment.first_name,
            "url": f"https://example.com/code{id_}",
            "source": source,
            "signed_up_at": self.today,
            "qualified_at": None,
            CAMPAIGN_ID: enrolment.campaign_id,
            **_referrer_of(referrer),
            **{META + label: value for label, value in enrolment.meta.items()},
        }
        self.people[str(id_)] = Person(audience, values)
        return self.people[str(id_)]

    def _shown(self, person: Person, counts: bool) -> Person:
        if not counts:
            return person
        theirs = [each for each in self.people.values() if each.values["referrer.id"] == person.values["id"]]
        qualified = sum(each.values["qualified_at"] is not None for each in theirs)
        return replace(person, values={**person.values, "referrals": len(theirs), "qualified_referrals": qualified})

    def _counted(self, campaign: Campaign, counts: bool) -> Campaign:
        own = [each for each in self.people.values() if each.text(CAMPAIGN_ID) == campaign.referral_factory_id]
        return replace(campaign, users=len(own)) if counts else campaign

    def _change(self, person: Person | None, changes: Mapping[str, Any]) -> bool:
        if person is None:
            return False
        taken = self._of(person.text(CAMPAIGN_ID) or "", str(changes.get("email", "")))
        if any(each.audience is person.audience and each.values["id"] != person.values["id"] for each in taken):
            raise _invalid("The email has already been taken.", "email")
        self.people[str(person.values["id"])] = replace(person, values={**person.values, **changes})
        return True

    def _qualify(self, person: Person | None, qualified: bool) -> bool:
        if person is not None and person.audience is not Audience.LEADS:
            raise _invalid("Only an invited person can be qualified.", "id")
        return self._change(person, {"qualified_at": self.today if qualified else None})


def _referrer_of(referrer: Person | None) -> dict[str, Any]:
    """The API names a referrer by id only; of nobody's, all is known to be blank."""
    if referrer:
        return {"referrer.id": referrer.values["id"]}
    return {f"referrer.{name}": None for name in ("id", "code", "email", "first_name", "url")}


def _invalid(message: str, field: str) -> Rejected:
    text = f"Validation errors in your request {message}"
    return Rejected(Vendor.REFERRAL_FACTORY, text, status=422, code="422", fields=(field,))
