"""What is known of a campaign, a person, a contact and the connections: all that a check looks at, as plain values.

Gathered in a bounded number of queries and at most a few reads of the vendors; nothing here is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from app.core.audiences import AudienceSettings, CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.diagnosis.checks import Question
from app.core.intercom_pages import contact_url, list_url
from app.core.people import Audience, Contact, Person, Role
from app.core.qualification import FirstSight, Span
from app.core.syncs import SyncSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know. ``email`` as normalised; ``attribute`` a path, a name or a label; ``segment`` an
    id or (a part of) a name."""

    question: Question | None = None
    email: str | None = None
    attribute: str | None = None
    segment: str | None = None

    def outright(self, question: Question) -> bool:
        """Whether this question was asked by itself. Then "nothing is amiss, for nothing was set up" is an answer
        too, which among all the others would only be in the way."""
        return self.question is question


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and whether they may change settings; if not, who can allow it."""

    name: str
    may_manage: bool
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What a vendor said a moment ago; ``cause`` where it could not be asked, and ``value`` is nothing then."""

    at: datetime
    value: T | None = None
    cause: Cause | None = None
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such contact any more. ``merged_into`` where that is what became of it, if Intercom names it."""

    merged: bool = False
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """A circuit that is open: a vendor, or one ``permission`` of a connection."""

    cause: Cause
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A workspace or a program. ``token`` says what the vendor answers to it now, where it was asked: the region in
    which it is taken (for a program, anything)."""

    id: int
    name: str
    connected: bool
    cause: Cause | None = None
    region: str | None = None
    app_id: str | None = None
    missing: tuple[str, ...] = ()
    refreshed_at: datetime | None = None
    away: tuple[Away, ...] = ()
    token: Read[str] | None = None
    other_region: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something received, or owed, that concerns the person or the campaign."""

    id: int
    source: str
    topic: str
    origin: str
    status: str
    received_at: datetime
    cause: Cause | None = None
    error: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    held_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in ("received", "retrying", "processing")


@dataclass(frozen=True, slots=True)
class Deed:
    """One row of activity."""

    id: int
    at: datetime
    audience: Audience | None
    verb: str
    outcome: str
    cause: Cause | None = None
    detail: str | None = None
    email: str | None = None
    contact_id: str | None = None
    contact_role: str | None = None
    fields: tuple[tuple[str, Cause | None], ...] = ()
    event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """One record of the person: as a lead or as a referrer of the campaign. ``deeds`` are newest first."""

    id: int
    audience: Audience
    person: Person
    contact_id: str | None = None
    contact_role: str | None = None
    made_by_us: bool = False
    joined_before_setup: bool = False
    joined_at: datetime | None = None
    sent_at: datetime | None = None
    enrolled_by: int | None = None
    state: str = "open"
    state_cause: Cause | None = None
    state_since: datetime | None = None
    first: FirstSight | None = None
    spans: tuple[Span, ...] = ()
    deeds: tuple[Deed, ...] = ()

    def last(self, *verbs: str) -> Deed | None:
        """The newest deed of these verbs."""
        return next((deed for deed in self.deeds if deed.verb in verbs), None)


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done lately in the campaign, counted: of one audience, one verb, one outcome and its cause. ``fields``
    counts the causes of single fields, by path and cause. ``latest`` is the newest of them."""

    audience: Audience | None
    verb: str
    outcome: str
    cause: Cause | None
    count: int
    latest: Deed


@dataclass(frozen=True, slots=True)
class Segment:
    id: str
    name: str
    person_type: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a contact in a sync, or how many of those that were looked at came to the same."""

    outcome: str
    cause: Cause | None = None
    detail: str | None = None
    at: datetime | None = None
    contact_id: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Sync:
    """A run of contacts into the campaign. ``left_out`` counts the causes among those outcomes that were read;
    ``of_contact`` is that of the contact that is asked about."""

    id: int
    state: str
    settings: SyncSettings
    cause: Cause | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_look_at: datetime | None = None
    seconds_left: int | None = None
    total: int | None = None
    looked_at: int = 0
    added: int = 0
    existing: int = 0
    skipped: int = 0
    failed: int = 0
    left_out: tuple[Outcome, ...] = ()
    of_contact: Outcome | None = None
    is_member: Read[bool] | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ("completed", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another live campaign of the workspace, and the attributes that its people's links go to."""

    campaign_id: int
    name: str
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What came of Referral Factory for the campaign, among the newest that were received of all. ``found`` counts
    what reconciles of the program have found in the last week that no webhook had told."""

    last_at: Mapping[str, datetime] = field(default_factory=dict)
    found: int = 0
    found_at: datetime | None = None
    last_from_intercom: datetime | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """The user limits. ``left`` is ``None`` where nothing bounds, or nobody has counted yet."""

    account_limit: int | None = None
    campaign_limit: int | None = None
    left: int | None = None
    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    now: datetime
    asked: Asked
    asker: Asker | None = None
    campaign_id: int
    campaign_name: str
    archived: bool = False
    rules: CampaignRules
    audiences: Mapping[Audience, AudienceSettings]
    known_meta: Mapping[Audience, Sequence[str]] = field(default_factory=dict)
    workspace: Connection
    program: Connection
    catalogue: Catalogue
    refused: frozenset[tuple[str, str]] = frozenset()
    segments: Sequence[Segment] = ()
    others: Sequence[Elsewhere] = ()
    webhooks: Webhooks = Webhooks()
    people: Sequence[Known] = ()
    """The records of the person who is asked about; empty where nobody is known under the address."""
    erased_at: datetime | None = None
    events: Sequence[Event] = ()
    """Of the person: those that are not settled, or dead, or made by a search for what was missed; else the
    campaign's that are not settled or dead. Newest first, of a bounded number."""
    deeds: Sequence[Deed] = ()
    """Of the person, newest first; empty where nobody is asked about."""
    tallies: Sequence[Tally] = ()
    """Of the campaign, where nobody is asked about."""
    fields_left_out: Mapping[tuple[str, Cause], int] = field(default_factory=dict)
    before_setup: Mapping[Audience, int] = field(default_factory=dict)
    syncs: Sequence[Sync] = ()
    """Newest first, dry runs left out."""
    room: Room = Room()
    contact: Read[Contact | Gone] | None = None
    """The person's contact as Intercom shows it now; a read without value and cause found nobody."""
    referral: Read[Sequence[Person]] | None = None
    """The person as Referral Factory has them now; empty where it knows nobody."""
    reconcile_seconds: float = 300.0

    @property
    def person_asked(self) -> bool:
        return self.asked.email is not None

    def of(self, audience: Audience) -> Known | None:
        return next((one for one in self.people if one.audience is audience), None)

    def settings(self, audience: Audience) -> AudienceSettings:
        return self.audiences.get(audience, AudienceSettings())

    def contact_url(self, contact_id: str | None) -> str | None:
        """Where a teammate sees the contact in Intercom."""
        space = self.workspace
        if contact_id is None or space.region is None or space.app_id is None:
            return None
        return contact_url(space.region, space.app_id, contact_id)

    def list_url(self, role: Role) -> str | None:
        """The same of everybody of a role."""
        space = self.workspace
        if space.region is None or space.app_id is None:
            return None
        return list_url(space.region, space.app_id, role)

    @property
    def contact_now(self) -> Contact | None:
        value = self.contact.value if self.contact is not None else None
        return value if isinstance(value, Contact) else None


def role_of(contact: Contact | None, known: Known | None) -> Role | None:
    """As Intercom shows it now, else as we know it."""
    if contact is not None:
        return contact.role
    return Role(known.contact_role) if known is not None and known.contact_role else None
