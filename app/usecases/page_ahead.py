"""A run's next page is read, and most of it begun, while the last contacts of the page before are worked on: between
two pages a budget would lie idle.

Who of the next page may be somebody of this one, by contact or by email, is decided on once this one is kept. The
others stand noted as any that are begun, so a process that dies leaves nobody who is not looked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from app.core.people import Contact, normalised_email
from app.integrations.intercom import ContactPage
from app.storage.syncs import Turn
from app.usecases.enrol_contact import Desk, Result
from app.usecases.plan_page import Run, Task

AHEAD_SECONDS = 20.0
"""How long a page that was read ahead is as good as a new one."""

FEW = 64
"""With so many contacts of a page left, more than threads that work on them, the next page is begun."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A page whose contacts are being worked on, but for ``later``. It is whole where all could be begun. ``halt`` is
    the page's that has begun it, too: what ends one ends both."""

    page: ContactPage
    run: Run
    desk: Desk
    halt: threading.Event
    futures: Mapping[Future[list[Result]], Task]
    later: Sequence[Contact]
    whole: bool

    def left(self) -> list[Result]:
        """Nothing more is begun; what came of those who were."""
        self.halt.set()
        wait(self.futures)
        return results_of(self.futures)


class Ahead:
    """What one page of a run leaves to the next. ``goes_on`` says whether there will be a next one at once."""

    def __init__(self, goes_on: Callable[[], bool] = lambda: False) -> None:
        self.goes_on = goes_on
        self.begun: Begun | None = None
        self.turn: Turn | None = None
        """Of the page that was begun: the run was nobody else's in between."""
        self._cursor: str | None = None
        self._page: Future[ContactPage] | None = None
        self._asked_at = 0.0

    def ask(self, crew: ThreadPoolExecutor, read: Callable[[], ContactPage], cursor: str | None) -> None:
        self._cursor, self._asked_at = cursor, time.monotonic()
        self._page = crew.submit(read) if cursor is not None else None

    def page(self, cursor: str | None) -> ContactPage | None:
        """The page of that cursor, unless it was not asked for, or is old by now. Raises: ApiError."""
        asked, self._page = self._page, None
        if asked is None or cursor != self._cursor or time.monotonic() - self._asked_at > AHEAD_SECONDS:
            return None
        return asked.result()

    def has_read(self, cursor: str) -> bool:
        """Whether ``page`` would give it without waiting, and without an error."""
        page = self._page
        return page is not None and cursor == self._cursor and page.done() and page.exception() is None

    def taken_over(self) -> Begun | None:
        """What the page before has begun of this one; it is this one's from now on."""
        begun, self.begun, self.turn = self.begun, None, None
        return begun

    def given_up(self) -> list[Result]:
        """The next page will not follow at once: what came of its contacts is to be kept with this one's."""
        begun = self.taken_over()
        return begun.left() if begun is not None else []


def results_of(futures: Mapping[Future[list[Result]], Task]) -> list[Result]:
    return [result for future in futures for result in future.result()]


def apart(contacts: Sequence[Contact], here: Collection[Contact]) -> tuple[list[Contact], list[Contact]]:
    """The contacts that are nobody of ``here``, and those that may be."""
    ids, emails = {one.id for one in here}, {normalised_email(one.email) for one in here} - {""}
    others: tuple[list[Contact], list[Contact]] = [], []
    for contact in contacts:
        others[contact.id in ids or normalised_email(contact.email) in emails].append(contact)
    return others
