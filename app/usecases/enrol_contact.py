"""One contact of a sync becomes a referrer, and the link comes back: the calls, and what came of them.

Nobody is enrolled twice: Referral Factory refuses an address that is in the campaign, and where an answer never came,
the next attempt looks before it calls.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sentry_sdk
import structlog

from app.core.causes import Cause
from app.core.errors import ApiError, RateLimited, Rejected, Shut, Unauthorized, Unavailable, Vendor
from app.core.mapping import LINK, WRITTEN_BACK, FieldResult, draft_rows, source_fields
from app.core.people import META, Audience, Person, Value
from app.integrations.referral_factory import Enrolment
from app.storage.sync_outcomes import ADDED, EXISTING, FAILED, PENDING, SKIPPED, UPDATED
from app.usecases.plan_page import Kind, Run, Task
from app.usecases.records import person_of
from app.usecases.services import Services
from app.usecases.ways_out import WaysOut
from app.usecases.write_back import write_differing
from app.usecases.write_contact import Notes, without_refused

MOST_ATTEMPTS = 5
"""How often a vendor may fail at one contact, and work for others, before the run goes on without."""

ENOUGH_FAILURES = 5
"""After so many of one page the vendor is at fault, not the contacts."""

_NO_REFERRALS = {"referrals": 0, "qualified_referrals": 0}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Result:
    """What became of a contact. ``outcome`` is ``None`` where nothing was done, ``pending`` where it is not known, or
    not all was done; ``person`` is what Referral Factory says of the referrer, where it is to be kept."""

    task: Task
    outcome: str | None = None
    cause: Cause | None = None
    detail: str | None = None
    person: Person | None = None
    made: bool = False
    """They are a referrer through this run."""
    written: bool = False
    """The contact has all that is written back."""
    notes: Notes = field(default_factory=Notes)
    fields: tuple[FieldResult, ...] = ()
    spent: bool = False
    """An attempt was spent: it is done again, and not for ever."""
    given_up: bool = False
    absent: bool = False
    """A call that was not answered has enrolled nobody: they are as before, and have their turn again."""
    error: ApiError | None = None


class Desk:
    """Works on the contacts of one page, in as many threads as there are. ``halt`` is set where the page is to be
    left: nothing more is begun then."""

    def __init__(self, services: Services, run: Run, ways: WaysOut, halt: threading.Event) -> None:
        self._services, self._run, self._ways, self._halt = services, run, ways, halt
        self._failures = 0
        self._api = ways.referral_factory()

    def work(self, task: Task) -> list[Result]:
        """The contact, then those with the same email. Never raises."""
        first = self._worked_on(Result(task))
        return [first, *(self._follow(first, follower) for follower in task.followers)]

    def _follow(self, first: Result, task: Task) -> Result:
        """Whoever has the same email ends as the first does, and has the link too."""
        result = Result(task)
        if first.outcome not in (ADDED, EXISTING):
            if first.outcome in (SKIPPED, FAILED):
                result.outcome, result.cause, result.detail = first.outcome, first.cause, first.detail
            return result
        result.person = first.person
        return self._worked_on(result)

    def _worked_on(self, result: Result) -> Result:
        if self._halt.is_set():
            return result
        try:
            self._carry_out(result)
        except ApiError as error:
            self._failed(result, error)
        except Exception as error:  # a bug at one contact must not keep the page's others from their turn
            sentry_sdk.capture_exception(error)
            log.exception("contact_failed", sync_id=self._run.id, contact_id=result.task.contact.id)
            result.outcome, result.cause = (ADDED if result.made else FAILED), Cause.INTERNAL_ERROR
        return result

    def _carry_out(self, result: Result) -> None:
        match result.task.kind:
            case Kind.SKIP:
                result.outcome, result.cause, result.detail = SKIPPED, result.task.cause, result.task.detail
            case Kind.ENROL:
                self._enrol(result)
            case Kind.MADE | Kind.LINK:
                self._link(result)
            case Kind.CARRY:
                self._carry(result)

    # Enrolling

    def _enrol(self, result: Result) -> None:
        values = result.task.values
        assert values is not None  # noqa: S101 - as planned
        found = self._found(values.email) if result.task.look_first else []
        referrer = next((one for one in found if one.audience is Audience.REFERRERS), None)
        if referrer is not None:
            self._added(result, referrer)
            return
        if not result.task.has_room:
            result.absent = True
            return
        enrolment = Enrolment(
            self._run.setup.referral_factory_id,
            values.first_name,
            values.email,
            values.meta,
            notify=self._run.settings.notify,
        )
        try:
            made = self._api.create_user(enrolment)
        except Rejected as error:
            self._refused(result, values.email, error)
            return
        self._added(result, made)

    def _found(self, email: str) -> Sequence[Person]:
        return self._api.find_by_email(self._run.setup.referral_factory_id, email)

    def _added(self, result: Result, person: Person) -> None:
        values = result.task.values
        assert values is not None  # noqa: S101 - as planned
        said = {name: value for name, value in person.values.items() if value is not None}
        ours = {"first_name": values.first_name, **{META + label: one for label, one in values.meta.items()}}
        result.made = True
        result.person = Person(Audience.REFERRERS, {**ours, **person.values, **said, "email": values.email})
        self._write(result, {**_NO_REFERRALS, **said}, fresh=True)
        result.outcome = ADDED

    def _refused(self, result: Result, email: str, error: Rejected) -> None:
        """An address that is in the campaign already, in whatever case, or something that is wrong with them."""
        if error.status == 422:
            result.cause = Cause.ALREADY_IN_CAMPAIGN  # whoever comes next need not look for what we have made
        found = self._found(email) if error.status == 422 else []
        result.person = _referrer(found, email)
        if result.person is not None:
            self._existing(result)
        elif found:
            result.outcome, result.cause = EXISTING, Cause.ALREADY_IN_CAMPAIGN
            result.detail = "They are in the campaign as a lead, and Referral Factory takes no second one."
        else:
            result.outcome, result.cause, result.detail = FAILED, Cause.REFERRAL_FACTORY_REFUSED, str(error)

    # Linking

    def _link(self, result: Result) -> None:
        task = result.task
        if task.kind is Kind.MADE and task.person is not None:
            known = task.person._mapping["values"]
            result.made, result.person = True, person_of(task.person)
            self._write(result, {**_NO_REFERRALS, **known, **_link_of(task.person.url)}, fresh=True)
            result.outcome = ADDED
            return
        if result.person is None and task.person is not None:
            result.person = person_of(task.person)
        if result.person is None and task.values is not None:
            # A killed worker has enrolled who came with the same email, and has told nobody.
            result.person = _referrer(self._found(task.values.email), task.values.email)
        self._existing(result)

    def _existing(self, result: Result) -> None:
        """The counts of those who are there already only Referral Factory knows."""
        person, wanted = result.person, self._wanted()
        if person is not None and wanted:
            values: Mapping[str, Value] = person.values
            if result.task.person is not None:
                values = {**values, **_link_of(result.task.person.url)}
            name = person.referral_factory_id or person.code
            if wanted != {LINK} or not values.get(LINK):
                found = self._api.user(name, counts=True) if name else None
                if found is None:
                    result.person = None
                    result.outcome, result.cause = FAILED, Cause.UNKNOWN_IN_REFERRAL_FACTORY
                    return
                values = {**values, **found.values}
                result.person = replace(person, values=values)
            self._write(result, values, fresh=False)
        result.outcome, result.cause = EXISTING, Cause.ALREADY_IN_CAMPAIGN
        result.detail = result.detail or result.task.detail

    def _wanted(self) -> set[str]:
        return {name for row in self._run.settings.write_back for name in source_fields(row.source)}

    def _write(self, result: Result, values: Mapping[str, Value], *, fresh: bool) -> None:
        """Write what the sync maps to the contact; a ``fresh`` one has nothing of it yet, and is not read before."""
        setup, rows = self._run.setup, self._run.settings.write_back
        if not rows:
            return
        back = {name: values[name] for name in WRITTEN_BACK if name in values}
        drafted = draft_rows(Person(Audience.REFERRERS, back), rows, setup.catalogue, setup.rules)
        drafted = without_refused(drafted, setup)
        contact = result.task.contact
        sent = write_differing(
            self._services, self._ways, setup, contact.id, drafted, result.notes, known=contact if fresh else None
        )
        result.fields = sent.fields
        refused = [one for one in sent.fields if one.cause is not None]
        result.written = not refused and sent.outcome in ("updated", "ignored")
        if not result.written:
            result.cause = sent.cause or (refused[0].cause if refused else None)
            result.detail = ", ".join(one.to for one in refused) or None

    # Later looks

    def _carry(self, result: Result) -> None:
        """What has changed in Intercom is carried to Referral Factory, the email included."""
        task = result.task
        assert task.values is not None  # noqa: S101 - as planned
        assert task.person is not None  # noqa: S101 - as planned
        values, row = task.values, task.person
        name = row.referral_factory_id or row.code
        try:
            there = bool(name) and self._api.update_user(
                name, first_name=values.first_name, email=values.email, meta=values.meta
            )
        except Rejected as error:
            result.outcome, result.cause, result.detail = FAILED, Cause.REFERRAL_FACTORY_REFUSED, str(error)
            return
        if not there:
            result.outcome, result.cause = FAILED, Cause.UNKNOWN_IN_REFERRAL_FACTORY
            return
        new = {"first_name": values.first_name, "email": values.email}
        meta = {META + label: value for label, value in values.meta.items()}
        result.person = replace(person_of(row), values={**person_of(row).values, **new, **meta})
        result.outcome = UPDATED

    # What stood in the way

    def _failed(self, result: Result, error: ApiError) -> None:
        """It is done later; what may have been done already, only after having looked. A vendor that fails at this
        contact again and again, and works for others, is not asked for ever."""
        away = isinstance(error, RateLimited | Unauthorized | Shut) or (isinstance(error, Unavailable) and error.down)
        self._failures += not away
        if away or self._failures >= ENOUGH_FAILURES:
            self._halt.set()
        if not away and (result.task.attempts + 1 >= MOST_ATTEMPTS or result.task.kind is Kind.CARRY):
            self._give_up(result, error)
            return
        result.error, result.spent = error, not away
        unknown = isinstance(error, Unavailable) and error.sent
        if result.made or unknown or result.spent or result.task.is_pending:
            result.outcome = PENDING
        if result.task.kind is Kind.LINK:
            result.cause = Cause.ALREADY_IN_CAMPAIGN

    def _give_up(self, result: Result, error: ApiError) -> None:
        intercom = error.vendor is Vendor.INTERCOM
        result.cause = Cause.INTERCOM_UNAVAILABLE if intercom else Cause.REFERRAL_FACTORY_UNAVAILABLE
        result.detail = str(error)
        result.outcome, result.given_up = (ADDED if result.made else FAILED), True


def _referrer(found: Sequence[Person], email: str) -> Person | None:
    """With the address as we have it."""
    referrer = next((one for one in found if one.audience is Audience.REFERRERS), None)
    return replace(referrer, values={**referrer.values, "email": email}) if referrer is not None else None


def _link_of(url: str | None) -> dict[str, str]:
    return {LINK: url} if url else {}
