"""A sync, page by page: contacts are read from Intercom, decided on together, and worked on by threads.

A page is one step: taken by one worker, worked on, and kept with the place of the next in one transaction. What was
done of a page that a vendor, a pause or the end of the process has cut short is kept too; then the rest is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.causes import Cause
from app.core.errors import ApiError, Rejected, Vendor
from app.core.people import Contact
from app.core.reconcile import OVERLAP
from app.core.syncs import Contacts, query_of
from app.integrations.budget import Pace
from app.integrations.intercom import ContactPage, Intercom, Order
from app.storage import campaigns, sync_outcomes, syncs
from app.storage.circuits import permission_circuit, vendor_circuit
from app.storage.database import is_unreachable
from app.storage.inbox import LEASE
from app.storage.sync_outcomes import ADDED, EXISTING, PENDING, SKIPPED
from app.usecases import left_out
from app.usecases.check_connections import token_works
from app.usecases.enrol_contact import Desk, Result
from app.usecases.keep_page import begin, hold_on, keep, without_room
from app.usecases.list_referrers import LIST_WHOLE, forget_list, page_of_list, referrers_among
from app.usecases.page_ahead import FEW, Ahead, Begun, apart, results_of
from app.usecases.plan_page import Kind, Run, Task, load, plan
from app.usecases.reconcile_steps import delay_after
from app.usecases.services import Services
from app.usecases.setups import load_setups
from app.usecases.user_limit import COUNTED_FOR, Limits, count_users, room
from app.usecases.ways_out import ACCESS, CONTACTS_READ, CONTACTS_WRITE, WaysOut
from schemas.syncs import sync_settings_from

LOOK_SECONDS = 0.5
"""How soon a page sees that its run was paused, or the process is to end."""

HOLD_ON_SECONDS = LEASE.total_seconds() / 4
BUSY_SECONDS = 1.0
SHUT_SECONDS = 5.0

MOST_CURSORS = 200
"""Digests kept of the pages of a run: the first and the last ones, so that a run's row does not grow with it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Ended:
    """The run is over, or can't go on."""

    state: str
    cause: Cause


class SyncPage:
    """A run's next page, from its being taken to its being kept."""

    def __init__(
        self,
        services: Services,
        turn: syncs.Turn,
        crew: ThreadPoolExecutor,
        stopping: threading.Event,
        ahead: Ahead,
    ) -> None:
        self._services, self._turn, self._crew, self._stopping = services, turn, crew, stopping
        self._ahead = ahead
        self._began = time.monotonic()
        self._begun = ahead.taken_over()
        self._halt = self._begun.halt if self._begun is not None else threading.Event()
        self._gone: list[Task] = []

    def do(self) -> bool:
        """Whether something was kept, so that the next may follow at once."""
        try:
            return self._do()
        except BaseException:
            self._halt.set()  # who of it waits for a thread would be begun beside the page's next turn
            raise

    def _do(self) -> bool:
        run, begun = self._run(), self._begun
        if begun is not None and not self._may_go_on(run):
            return self._leave(begun)
        if isinstance(run, _Ended):
            return self._end(run)
        if cause := self._shut(run):
            return self._put_off(SHUT_SECONDS, cause)
        ways = WaysOut(self._services, run.setup, Pace.BULK)
        if run.dry and self._turn.row.position < LIST_WHOLE:
            return self._list(run, ways)
        try:
            page = begun.page if begun is not None else self._read(run, ways)
        except ApiError as error:
            return self._after(run, error, [])
        if isinstance(page, _Ended):
            return self._end(page)
        tasks = [*self._plan(run, begun.later if begun is not None else page.contacts), *self._gone]
        try:
            self._count(run, ways, tasks)
        except ApiError as error:
            return self._after(run, error, [])
        if run.dry:
            return self._keep(run, self._imagined(run, tasks), page)
        rest = begin(self._services, run, tasks)
        if rest is None:
            return self._leave(begun) if begun is not None else False
        ours, whole = rest
        read = partial(ways.intercom().search, self._query(run), page.cursor, self._order(run))
        self._ahead.ask(self._crew, read, None if left_out.is_place(page.cursor) else page.cursor)
        results = self._work(run, ways, page, ours)
        failed = next((one.error for one in results if one.error is not None), None)
        if failed is not None:
            return self._after(run, failed, [*results, *self._ahead.given_up()])
        if begun is not None:
            whole = whole and begun.whole
        if not whole or any(one.outcome in (None, PENDING) for one in results):
            seconds = 0.0 if self._halt.is_set() else BUSY_SECONDS
            return self._cut_short(run, [*results, *self._ahead.given_up()], seconds, None)
        return self._keep(run, results, page)

    def _may_go_on(self, run: Run | _Ended) -> bool:
        """With a page that was begun while the one before was worked on."""
        if self._stopping.is_set() or self._turn.row.state != syncs.RUNNING or isinstance(run, _Ended):
            return False
        return not run.limits.are_set and self._shut(run) is None

    def _leave(self, begun: Begun) -> bool:
        """Keep what was done of a page that was begun; its next turn tells why it does not go on."""
        return self._cut_short(replace(begun.run, turn=self._turn), begun.left(), 0.0, None)

    # What is needed

    def _run(self) -> Run | _Ended:
        row, services = self._turn.row, self._services
        with services.database.reading() as connection:
            setup = load_setups(connection, [row.campaign_id], services.now()).get(row.campaign_id)
            campaign = campaigns.get(connection, row.campaign_id)
        if setup is None or campaign is None or setup.archived:
            return _Ended(syncs.CANCELLED, Cause.CAMPAIGN_ARCHIVED)
        limits = Limits(
            setup.program.id,
            setup.campaign_id,
            setup.referral_factory_id,
            setup.program.user_limit,
            campaign.user_limit,
        )
        return Run(self._turn, setup, sync_settings_from(row.settings), limits, services.index_delay, services.vault)

    def _shut(self, run: Run) -> Cause | None:
        """Why nobody is called at the moment. Whoever is let through to a vendor that is away is live work."""
        intercom, program = Vendor.INTERCOM.value, Vendor.REFERRAL_FACTORY.value
        workspace_id, program_id = run.setup.workspace.id, run.setup.program.id
        names = [
            vendor_circuit(intercom, workspace_id),
            permission_circuit(intercom, workspace_id, CONTACTS_READ),
            vendor_circuit(program, program_id),
            permission_circuit(program, program_id, ACCESS),
        ]
        if run.settings.write_back:
            names.append(permission_circuit(intercom, workspace_id, CONTACTS_WRITE))
        cause = next((run.setup.open_circuits[name] for name in names if name in run.setup.open_circuits), None)
        return Cause(cause) if cause is not None else None

    def _list(self, run: Run, ways: WaysOut) -> bool:
        """The next page of who is in the campaign: no refusal would tell a dry run of them."""
        try:
            page = page_of_list(self._services, run, ways.referral_factory)
        except ApiError as error:
            return self._after(run, error, [])
        if page.cursor is None:
            moved: dict[str, Any] = {"cursor": None, "seen_cursors": [], "position": LIST_WHOLE}
        else:
            moved = self._following(page.cursor)
        emails, now = referrers_among(page.people, run.limits.referral_factory_id), self._services.now()
        with self._services.database.writing() as connection:
            if syncs.is_still(connection, self._turn):
                sync_outcomes.note_listed(connection, run.id, run.not_erased(connection, emails), now)
                # Not among the seconds that pages of contacts take.
                syncs.keep(connection, self._turn, syncs.Progress(), busy_seconds=0.0, due_at=now, moved=moved)
        return True

    def _read(self, run: Run, ways: WaysOut) -> ContactPage | _Ended:
        """Raises: ApiError."""
        row = self._turn.row
        if left_out.is_place(row.cursor):
            return self._read_left_out(run, ways)
        intercom, refused = ways.intercom(), None
        page = ContactPage(())
        try:
            page = self._ahead.page(row.cursor) or intercom.search(self._query(run), row.cursor, self._order(run))
        except Rejected as error:
            refused = error
        of_segment = run.settings.contacts is Contacts.SEGMENT and row.cursor is None
        if of_segment and not page.contacts and not _is_there(intercom, run.settings.segment_id):
            return _Ended(syncs.FAILED, Cause.SEGMENT_GONE)
        if refused is not None:
            raise refused
        return page

    def _read_left_out(self, run: Run, ways: WaysOut) -> ContactPage:
        """Raises: ApiError."""
        count_users(
            self._services, ways.referral_factory, run.limits, run.id, wanted=1, counted_for=self._counted_for()
        )
        with self._services.database.writing() as connection:
            free = room(connection, run.limits, run.id, self._services.now())
            rows, following = left_out.next_left_out(connection, run, free)
        page, self._gone = left_out.read_left_out(run, rows, ways.intercom(), self._crew)
        return replace(page, cursor=following)

    def _query(self, run: Run) -> Mapping[str, object]:
        known_until = None if run.settings.contacts is Contacts.SEGMENT else self._turn.row.known_until
        return query_of(run.settings, int((known_until - OVERLAP).timestamp()) if known_until is not None else None)

    def _order(self, run: Run) -> Order:
        """What has changed is read as it did; all there are in an order that our own writing does not change, else
        they would all come again."""
        everybody = run.settings.contacts is Contacts.SEGMENT or self._turn.row.known_until is None
        return Order.CREATED if everybody else Order.CHANGED

    def _plan(self, run: Run, contacts: Sequence[Contact]) -> list[Task]:
        with self._services.database.reading() as connection:
            known = load(connection, run, contacts)
        return plan(run, contacts, known)

    def _count(self, run: Run, ways: WaysOut, tasks: Sequence[Task]) -> None:
        """See to it that the room is known. Raises: ApiError."""
        # Whoever may have been enrolled by a call that was not answered is to be among those who are counted.
        unknown = any(task.look_first for task in tasks)
        lately = timedelta() if unknown else self._counted_for()
        wanted = sum(task.kind is Kind.ENROL for task in tasks)
        count_users(self._services, ways.referral_factory, run.limits, run.id, wanted=wanted, counted_for=lately)

    def _counted_for(self) -> timedelta:
        """A look begins with a count of its own."""
        since: timedelta = self._services.now() - self._turn.row.begun_at
        return min(COUNTED_FOR, since) if self._turn.row.cursor is None else COUNTED_FOR

    def _imagined(self, run: Run, tasks: Sequence[Task]) -> list[Result]:
        with self._services.database.writing() as connection:
            free = room(connection, run.limits, run.id, self._services.now())
        in_room = without_room(tasks, None if free is None else max(0, free - self._turn.row.added))
        return [_imagined(each) for one in in_room for each in (one, *one.followers)]

    # Working

    def _work(self, run: Run, ways: WaysOut, page: ContactPage, tasks: Sequence[Task]) -> list[Result]:
        """Until all is done, and the next page is begun if it may be."""
        begun = self._begun
        desk = begun.desk if begun is not None else Desk(self._services, run, ways, self._halt)
        futures = dict(begun.futures) if begun is not None else {}
        futures |= {self._crew.submit(desk.work, task): task for task in tasks}
        waiting, held_at = set(futures), time.monotonic()
        many = set(list(futures)[:-FEW][-1:])  # while that one is not done
        while waiting:
            wait(many or waiting, timeout=LOOK_SECONDS)
            waiting = {one for one in waiting if not one.done()}
            many &= waiting
            if not waiting:
                break
            try:
                if self._stopping.is_set() or not self._goes_on(run):
                    self._halt.set()
                if time.monotonic() - held_at > HOLD_ON_SECONDS:
                    hold_on(self._services, run)
                    held_at = time.monotonic()
                if not many:
                    self._begin_next(run, ways, page)
            except DBAPIError as error:
                if not is_unreachable(error):
                    raise
        return results_of(futures)

    def _begin_next(self, run: Run, ways: WaysOut, page: ContactPage) -> None:
        """Begin the next page, where it was read and whatever comes of this one can't matter to it: room does."""
        ahead, cursor = self._ahead, page.cursor
        if cursor is None or run.limits.are_set or self._halt.is_set() or self._turn.repeats(cursor):
            return
        if ahead.begun is not None or not ahead.goes_on() or not ahead.has_read(cursor):
            return
        following = ahead.page(cursor)
        if following is None:
            return
        contacts, later = apart(following.contacts, page.contacts)
        begun = begin(self._services, run, self._plan(run, contacts))
        if begun is not None:
            ours, whole = begun
            desk = Desk(self._services, run, ways, self._halt)
            futures = {self._crew.submit(desk.work, task): task for task in ours}
            ahead.begun = Begun(following, run, desk, self._halt, futures, later, whole)

    def _goes_on(self, run: Run) -> bool:
        with self._services.database.reading() as connection:
            row = syncs.get(connection, run.id)
        return row is not None and row.state == syncs.RUNNING and row.steps == self._turn.steps

    # Keeping

    def _keep(self, run: Run, results: Sequence[Result], page: ContactPage) -> bool:
        """The page is done: on to the next, or to the end of the look."""
        row, services = self._turn.row, self._services
        moved: dict[str, Any] = {}
        due_at = services.now()
        if run.first_look and row.cursor is None and page.total is not None:
            moved["total"] = page.total
        cursor = page.cursor or self._place_after_list(run)
        if cursor is not None:
            moved |= self._following(cursor)
        elif run.settings.ongoing and not run.dry:
            looked = {"cursor": None, "seen_cursors": [], "known_until": row.begun_at}
            moved |= {**looked, "state": syncs.WATCHING_UNLESS_PAUSED}
            due_at = max(due_at, row.begun_at + services.sync_interval)
        else:
            moved |= _over(services, syncs.COMPLETED, self._limit_reached(results))
        if self._ahead.begun is not None:
            due_at += LEASE  # the next page is ours
        kept = self._kept(run, results, due_at, moved)
        if not kept:
            self._give_up_next(run)
        if run.dry and cursor is None:
            forget_list(services, run)
        return kept

    def _give_up_next(self, run: Run) -> None:
        """Another worker has done this page."""
        if left := self._ahead.given_up():
            self._kept(run, left, self._services.now(), {})

    def _place_after_list(self, run: Run) -> str | None:
        if left_out.is_place(self._turn.row.cursor):
            return None
        with self._services.database.reading() as connection:
            return left_out.first_place(connection, run)

    def _following(self, cursor: str) -> dict[str, Any]:
        """On to the next page; a list that leads in a circle has failed."""
        if self._turn.repeats(cursor):
            return _over(self._services, syncs.FAILED, Cause.CURSOR_REPEATED)
        return {"cursor": cursor, "seen_cursors": _bounded(self._turn.cursors)}

    def _limit_reached(self, results: Sequence[Result]) -> Cause | None:
        """Whether anybody was left out for want of room, which the run says too."""
        limit = Cause.USER_LIMIT_REACHED
        with self._services.database.reading() as connection:
            before = sync_outcomes.page(connection, self._turn.row.id, cause=limit, limit=1)
        return limit if before or any(one.cause is limit for one in results) else None

    def _cut_short(self, run: Run, results: Sequence[Result], seconds: float, cause: Cause | None) -> bool:
        due_at = self._services.now() + timedelta(seconds=seconds)
        kept = self._kept(run, results, due_at, {"cause": cause.value if cause else None})
        return kept and any(one.outcome not in (None, PENDING) for one in results)

    def _kept(self, run: Run, results: Sequence[Result], due_at: Any, moved: Mapping[str, Any]) -> bool:
        seconds = time.monotonic() - self._began
        for attempt in range(3):
            try:
                kept = keep(self._services, run, results, due_at=due_at, moved=moved, busy_seconds=seconds)
                break
            except IntegrityError:
                # A webhook that names no email made somebody of the page at the same moment.
                if attempt == 2:
                    raise
        if kept is None:
            return False
        progress, self._ahead.turn = kept
        self._services.metrics.synced(_counts(progress), seconds)
        log.info("page_kept", seconds=round(seconds, 3), **asdict(progress))
        return True

    def _end(self, ended: _Ended) -> bool:
        moved = _over(self._services, ended.state, ended.cause)
        with self._services.database.writing() as connection:
            if syncs.is_still(connection, self._turn):
                now = self._services.now()
                syncs.keep(connection, self._turn, syncs.Progress(), busy_seconds=0.0, due_at=now, moved=moved)
        log.info("sync_ended", state=ended.state, cause=ended.cause)
        return True

    def _put_off(self, seconds: float, cause: Cause) -> bool:
        with self._services.database.writing() as connection:
            due_at = self._services.now() + timedelta(seconds=seconds)
            syncs.put_off(connection, self._turn, due_at, cause)
        log.info("page_put_off", cause=cause, seconds=seconds)
        return False

    def _after(self, run: Run, error: ApiError, results: Sequence[Result]) -> bool:
        """A vendor stood in the way: soon again, after a refusal later, without a token once it is connected."""
        if isinstance(error, Rejected) and not results and self._turn.row.cursor is not None:
            return self._start_over(run)
        delay = delay_after(error, lambda: not token_works(self._services, run.setup, error))
        log.info("page_cut_short", cause=delay.cause, error=str(error))
        if not results:
            return self._put_off(delay.seconds, delay.cause or Cause.WAITING_IN_QUEUE)
        self._cut_short(run, results, delay.seconds, delay.cause)
        return False

    def _start_over(self, run: Run) -> bool:
        """This page is refused for good, for a cursor may be too old: on from the first one. What was done stands."""
        log.info("look_started_over", sync_id=run.id)
        due_at = self._services.now() + timedelta(seconds=SHUT_SECONDS)
        self._kept(run, [], due_at, {"cursor": None, "seen_cursors": []})
        return False


def _is_there(intercom: Intercom, segment_id: str | None) -> bool:
    return segment_id in {segment.id for segment in intercom.segments()}


def _over(services: Services, state: str, cause: Cause | None) -> dict[str, Any]:
    return {"state": state, "cause": cause.value if cause else None, "finished_at": services.now()}


def _bounded(cursors: Sequence[str]) -> list[str]:
    return [*cursors[:1], *cursors[1:][-MOST_CURSORS:]]


def _counts(progress: syncs.Progress) -> dict[str, int]:
    names = (sync_outcomes.ADDED, EXISTING, sync_outcomes.UPDATED, SKIPPED, sync_outcomes.FAILED)
    return {name: getattr(progress, name) for name in names}


def _imagined(task: Task) -> Result:
    """What would become of a contact, as far as can be known without asking."""
    outcomes = {Kind.SKIP: SKIPPED, Kind.ENROL: ADDED, Kind.MADE: ADDED, Kind.LINK: EXISTING}
    cause = Cause.ALREADY_IN_CAMPAIGN if task.kind is Kind.LINK else task.cause
    return Result(task, outcomes.get(task.kind, EXISTING), cause, task.detail)
