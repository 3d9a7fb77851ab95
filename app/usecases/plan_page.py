"""What is to be done for each contact of a page of a sync, decided from what is known: nothing is called here.

A contact that was worked on in this look is not worked on again, so a page can be done twice. One whose call may have
been answered to nobody (``pending``) is looked for first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.enrolment import Enrol, Existing, Skip, Values, carried, decide
from app.core.erasure import Who
from app.core.identity import person_key
from app.core.people import Contact, normalised_email
from app.core.syncs import Contacts, SyncSettings
from app.storage import erasures, links, people, sync_outcomes
from app.storage.links import Link
from app.storage.sync_outcomes import ADDED, EXISTING, FAILED, LISTED, PENDING, SKIPPED, UPDATED
from app.storage.syncs import Turn
from app.storage.vault import Vault
from app.usecases.pass_by import are_erased
from app.usecases.setups import Setup
from app.usecases.user_limit import Limits

PASSING = frozenset(
    {Cause.INTERCOM_UNAVAILABLE, Cause.REFERRAL_FACTORY_UNAVAILABLE, Cause.USER_LIMIT_REACHED, Cause.INTERNAL_ERROR}
)
"""What may have passed by the next look, though the contact has not changed."""

IN_CAMPAIGN = (ADDED, EXISTING, UPDATED)


@dataclass(frozen=True, slots=True)
class Run:
    """A page's turn with all that was set up for it."""

    turn: Turn
    setup: Setup
    settings: SyncSettings
    limits: Limits
    index_delay: timedelta
    vault: Vault
    event_id: int | None = None
    """The webhook that has told of the contact, so it is looked at whatever the last look has seen."""

    @property
    def id(self) -> int:
        return int(self.turn.row.id)

    @property
    def owner(self) -> str:
        """Of people's leases: the same however often a page is done, for the run is nobody else's meanwhile."""
        return f"sync:{self.id}"

    @property
    def told(self) -> bool:
        return self.event_id is not None

    @property
    def dry(self) -> bool:
        return bool(self.turn.row.dry_run)

    @property
    def first_look(self) -> bool:
        return int(self.turn.row.look) <= 1

    def person_key(self, email: str) -> str:
        return person_key(self.setup.workspace.id, email)

    def erased(self, connection: Connection, contacts: Sequence[Contact]) -> dict[str, str]:
        """Who of them was erased on request, by contact, and what their outcome is called."""
        mark = erasures.mark(connection, self.vault)
        if mark is None:
            return {}
        workspace_id = self.setup.workspace.id
        named = [Who(workspace_id, email=normalised_email(one.email), contact_id=one.id) for one in contacts]
        gone = zip(contacts, are_erased(connection, self.vault, named), strict=True)
        return {one.id: mark.outcome(self.id, one.id) for one, erased in gone if erased}

    def not_erased(self, connection: Connection, emails: Collection[str]) -> set[str]:
        """Those of the addresses that are of nobody who was erased on request."""
        named = [Who(self.setup.workspace.id, email=one) for one in emails]
        gone = zip(emails, are_erased(connection, self.vault, named), strict=True)
        return {one for one, erased in gone if not erased}


class Kind(StrEnum):
    """What is to be done. ``LINK``: they are in the campaign, ``MADE``: through this run."""

    SKIP = "skip"
    ENROL = "enrol"
    MADE = "made"
    LINK = "link"
    CARRY = "carry"


@dataclass(frozen=True, slots=True)
class Task:
    """One contact. ``person`` is the referrer's row as far as they are known here, ``former`` what became of the
    contact before, ``followers`` the contacts of the page that have the same email. Without ``has_room``, it is only
    looked whether they have been enrolled."""

    contact: Contact
    kind: Kind
    values: Values | None = None
    cause: Cause | None = None
    detail: str | None = None
    person: Row[Any] | None = None
    former: Row[Any] | None = None
    followers: list[Task] = field(default_factory=list)
    has_room: bool = True

    @property
    def look_first(self) -> bool:
        """Whether a call that enrols them may have been made already, and nobody has said no."""
        return self.former is not None and self.is_pending and self.former.cause is None

    @property
    def is_pending(self) -> bool:
        return self.former is not None and self.former.outcome == PENDING

    @property
    def attempts(self) -> int:
        """How often a vendor has failed at this contact; kept with the pending row."""
        detail = self.former.detail if self.former is not None and self.is_pending else None
        return int(detail) if detail and detail.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a page's contacts, whatever their number in as many queries."""

    outcomes: Mapping[str, Row[Any]]
    namesakes: Mapping[str, Row[Any]]
    """Outcomes of this run by email: of whichever contact came with it first."""
    referrers: Mapping[str, Row[Any]]
    carried: Mapping[int, Row[Any]]
    links: Mapping[str, Link]
    listed: Collection[str] = ()
    """Addresses that Referral Factory's list has in the campaign, in a dry run that had to read it."""
    erased: Mapping[str, str] = field(default_factory=dict)
    """Who was erased on request, as ``Run.erased`` says."""


def load(connection: Connection, run: Run, contacts: Sequence[Contact]) -> Known:
    erased = run.erased(connection, contacts)
    subjects = [*(contact.id for contact in contacts), *erased.values()]
    outcomes = sync_outcomes.of_subjects(connection, run.id, subjects)
    emails = {email for contact in contacts if (email := normalised_email(contact.email))}
    namesakes: dict[str, Row[Any]] = {}
    of_emails = sync_outcomes.of_emails(connection, run.id, emails)
    for row in of_emails:
        if row.outcome in (*IN_CAMPAIGN, PENDING):
            first = namesakes.get(row.email)
            namesakes[row.email] = row if first is None or row.id < first.id else first
    ids = {row.person_id for row in outcomes.values() if row.person_id is not None}
    return Known(
        outcomes,
        namesakes,
        people.referrers_by_emails(connection, run.setup.campaign_id, emails),
        {row.id: row for row in people.by_ids(connection, ids)} if ids else {},
        links.links_of(connection, {run.person_key(email) for email in emails}),
        {row.email for row in of_emails if row.outcome == LISTED},
        erased,
    )


def plan(run: Run, contacts: Sequence[Contact], known: Known) -> list[Task]:
    """Those contacts with whom something is to be done, in their order; each with its followers."""
    found = [_task(run, contact, known) for contact in {contact.id: contact for contact in contacts}.values()]
    tasks = [task for task in found if task is not None]
    leaders: dict[str, Task] = {}
    for task in tasks:
        if task.values is not None and task.kind is Kind.ENROL:
            leaders.setdefault(task.values.email, task)
    return [task for task in tasks if not _follows(task, leaders)]


def _follows(task: Task, leaders: Mapping[str, Task]) -> bool:
    """Whether another contact of the page is to be enrolled with the same email; then it takes this one along."""
    unknown = task.kind is Kind.ENROL or (task.kind is Kind.LINK and task.person is None)
    leader = leaders.get(task.values.email) if task.values is not None and unknown else None
    if leader is None or leader is task:
        return False
    same = f"The contact {leader.contact.id} has the same email."
    leader.followers.append(Task(task.contact, Kind.LINK, task.values, detail=same, former=task.former))
    return True


def _task(run: Run, contact: Contact, known: Known) -> Task | None:
    if contact.id in known.erased:
        told = known.erased[contact.id] in known.outcomes
        return None if told else Task(contact, Kind.SKIP, cause=Cause.ERASED_ON_REQUEST)
    former = known.outcomes.get(contact.id)
    if former is None and not _is_due(run, contact):
        return None
    if former is None or former.outcome == PENDING:
        return _first(run, contact, known, former)
    if not run.told and (former.at >= run.turn.row.begun_at or run.first_look):
        return None  # it was looked at, and our own write has brought it up again
    due = _is_due(run, contact) or former.cause in PASSING
    return _again(run, contact, known, former) if due else None


def _is_due(run: Run, contact: Contact) -> bool:
    """Whether a contact may have changed since the last look. Intercom compares whole days, so this is compared here,
    and what its index was late to show counts as changed."""
    since: datetime | None = run.turn.row.known_until
    if run.told or since is None or run.settings.contacts is Contacts.SEGMENT or contact.updated_at is None:
        return True
    return contact.updated_at >= int((since - run.index_delay).timestamp())


def _first(run: Run, contact: Contact, known: Known, former: Row[Any] | None) -> Task:
    email = normalised_email(contact.email)
    person = known.referrers.get(email)
    namesake = known.namesakes.get(email)
    same = namesake.subject if namesake is not None and namesake.subject != contact.id else None
    in_campaign = same is None and (person is not None or email in known.listed)
    decision = decide(contact, run.settings, in_campaign=in_campaign, same_email=same)
    match decision:
        case Skip(cause, detail):
            return Task(contact, Kind.SKIP, None, cause, detail, former=former)
        case Enrol(values):
            return Task(contact, Kind.ENROL, values, former=former)
        case Existing(values, detail):
            asked = former.at if former is not None and former.outcome == PENDING and former.cause is None else None
            made = asked is not None and person is not None and person.enrolled_by == run.id
            if asked is not None and not made and (person is None or person.created_at >= asked):
                # Their webhook may have told of them since, which can't say that they have joined by our call.
                return Task(contact, Kind.ENROL, values, former=former)
            kind = Kind.MADE if made else Kind.LINK
            return Task(contact, kind, values, None, None if made else detail, person, former)


def _again(run: Run, contact: Contact, known: Known, former: Row[Any]) -> Task | None:
    """In a later look: only what has changed."""
    values = carried(contact, run.settings)
    if isinstance(values, Skip):
        stays = former.outcome != SKIPPED or (former.cause, former.detail) == (values.cause.value, values.detail)
        in_campaign = former.person_id is not None or former.outcome in IN_CAMPAIGN
        return None if stays and (in_campaign or former.outcome == SKIPPED) else _first(run, contact, known, former)
    if former.outcome in (*IN_CAMPAIGN, FAILED) and former.values_digest == values.digest:
        return None
    if former.person_id is not None and former.person_id in known.carried:
        return Task(contact, Kind.CARRY, values, person=known.carried[former.person_id], former=former)
    if former.outcome in IN_CAMPAIGN and former.email == values.email:
        return None  # in the campaign as a lead, or with the same email as another contact
    return _first(run, contact, known, former)
