"""Any interleaving of two workers, over any sequence of faults, makes at most one contact of a person.

Steps are drawn and run one after the other; a worker can also be held up in the middle of a call, while the other one
works. Time is honest: search shows a write ``LAG`` seconds after it, a call takes up to ``SLOW`` seconds to take
effect, and the product waits for the sum of both before it believes that nothing is there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.core.errors import ApiError, RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Contact, Role, normalised_email
from app.storage import inbox
from app.storage.database import Database
from app.storage.inbox import Event
from app.storage.tables import events, metadata
from app.usecases import process_event
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.process_event import Batch, Outcome
from app.usecases.sweep import sweep
from tests.fakes import FakeIntercom
from tests.product import ATTRIBUTES, SETTINGS, FakeVendors, Product, lead

EXAMPLES = 120
SLOW, LAG = 20, 160
PEOPLE = ("ann@example.com", "bob@example.com", "cleo@example.com")
SPELLINGS = (str.lower, str.upper, str.title)
OWNERS = ("one", "two")

Step = tuple[Any, ...]


class LateIntercom(FakeIntercom):
    """Search shows each write ``LAG`` seconds after it. ``holdups`` are steps of others in the middle of a call."""

    def __init__(self) -> None:
        self.holdups: dict[str, deque[Any]] = {}
        self._unseen: deque[tuple[int, Contact]] = deque()
        super().__init__(attributes=ATTRIBUTES)

    def calm(self) -> None:
        self._failures.clear()
        self.holdups.clear()

    def _keep(self, contact: Contact) -> Contact:
        self.contacts[contact.id] = contact
        self._unseen.append((self.now, contact))
        return contact

    def _searchable(self) -> list[Contact]:
        while self._unseen and self._unseen[0][0] + LAG <= self.now:
            contact = self._unseen.popleft()[1]
            self._indexed[contact.id] = contact
        return super()._searchable()

    def _run(self, operation: str, arguments: tuple[Any, ...], effect: Any) -> Any:
        waiting = self.holdups.get(operation)
        if waiting:
            waiting.popleft()()
        return super()._run(operation, arguments, effect)


@dataclass
class Hands:
    """What one worker holds: events not begun, and outcomes not settled."""

    name: str
    claimed: deque[tuple[Event, Batch]] = field(default_factory=deque)
    unsettled: list[Outcome] = field(default_factory=list)


class World:
    """The product with two workers, whose every move is a step."""

    def __init__(self, database: Database, action: str, duplicates: str) -> None:
        with database.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        self.product = Product(database)
        self.intercom = LateIntercom()
        self.product.intercom = self.intercom
        self.product.services = replace(
            self.product.services, vendors=FakeVendors(self.intercom, self.product.referral_factory)
        )
        self.product.advance(0)
        assert self.product.services.index_delay.total_seconds() == LAG + SLOW
        product = self.product
        second = product.add_campaign(product.workspace_id, product.program_id, "2")
        self.campaigns = (product.campaign_id, second)
        for campaign in self.campaigns:
            product.set_up(Audience.LEADS, {**SETTINGS, "action": action, "duplicates": duplicates}, campaign)
        self.hands = {owner: Hands(owner) for owner in OWNERS}
        self.received: set[str] = set()
        self.touched: set[str] = set()
        self.foreign: set[str] = set()
        self._crashes = 0

    def take(self, step: Step) -> None:
        getattr(self, step[0])(*step[1:])

    # The vendors and the world around

    def receive(self, person: int, spelling: int, campaign: int, company: str) -> None:
        email = PEOPLE[person]
        self.received.add(email)
        self.product.receive(
            to_campaign=self.campaigns[campaign],
            **lead(id=10 * campaign + person, email=SPELLINGS[spelling](email), Company=company),
        )

    def advance(self, seconds: int) -> None:
        self.product.advance(seconds)

    def fault(self, operation: str, error: ApiError, after_effect: bool) -> None:
        self.intercom.fail(operation, error, after_effect=after_effect)

    def revoke(self, operation: str) -> None:
        self.intercom.fail(operation, Unauthorized(Vendor.INTERCOM, "no", status=401))
        self.intercom.fail("me", Unauthorized(Vendor.INTERCOM, "no", status=401))

    def stranger(self, person: int, state: str) -> None:
        """Others have made a user with the person's email, who is live, archived or deleted."""
        email = PEOPLE[person]
        known = (self.intercom.contacts, self.intercom.archived, self.intercom.deleted)
        if any(one.email == email for kept in known for one in kept.values()):
            return
        self.touched.add(email)
        made = self.intercom.put(email, Role.USER, created_at=1)
        self.foreign.add(made.id)
        if state == "archived":
            self.intercom.archive(made.id)
        if state == "deleted":
            self.intercom.delete(made.id)

    def remove(self, person: int, state: str) -> None:
        """A teammate archives or deletes what is there of the person."""
        for contact in [one for one in self.intercom.contacts.values() if one.email == PEOPLE[person]]:
            self.touched.add(PEOPLE[person])
            (self.intercom.archive if state == "archived" else self.intercom.delete)(contact.id)

    # The workers

    def claim(self, owner: str, limit: int) -> bool:
        hands = self.hands[owner]
        batch = process_event.claim(self.product.services, hands.name, limit)
        hands.claimed.extend((event, batch) for event in batch.events)
        return bool(batch.events)

    def process(self, owner: str) -> None:
        hands = self.hands[owner]
        if hands.claimed:
            event, batch = hands.claimed.popleft()
            outcome = process_event.process(self.product.services, event, batch)
            assert outcome.settling.cause != "internal_error", "a bug ends an event of itself"
            hands.unsettled.append(outcome)

    def settle(self, owner: str) -> None:
        hands = self.hands[owner]
        outcomes, hands.unsettled = hands.unsettled, []
        process_event.settle(self.product.services, hands.name, outcomes)

    def work(self, owner: str) -> None:
        self.claim(owner, 5)
        while self.hands[owner].claimed:
            self.process(owner)
        self.settle(owner)

    def crash(self, owner: str) -> None:
        """Another process takes its place."""
        self._crashes += 1
        self.hands[owner] = Hands(f"{owner}-{self._crashes}")

    def hold_up(self, operation: str, seconds: int) -> None:
        """The next call is sent late: meanwhile time passes, and another worker comes along."""

        def meanwhile() -> None:
            self.advance(min(seconds, SLOW) if operation == "create" else seconds)
            self.sweep()
            self._crashes += 1
            other = f"other-{self._crashes}"
            self.hands[other] = Hands(other)
            self.work(other)

        self.intercom.holdups.setdefault(operation, deque()).append(meanwhile)

    def overtake(self, owner: str) -> None:
        """A worker that holds something sleeps for longer than its lease, while the other one works."""
        self.advance(61)
        self.sweep()
        self.work(next(one for one in OWNERS if one != owner))

    def sweep(self) -> None:
        sweep(self.product.services)

    def probe(self) -> None:
        probe_connections(self.product.services)
        probe_circuits(self.product.services)

    # The end

    def come_to_rest(self) -> None:
        """All faults are over, and everybody goes on until nothing is left to do."""
        self.intercom.calm()
        for owner in self.hands:
            while self.hands[owner].claimed:
                self.process(owner)
            self.settle(owner)
        for _ in range(60):
            self.sweep()
            self.probe()
            while self.claim("one", 50):
                self.work("one")
            if all(status in inbox.SETTLED for status in self.statuses()):
                return
            self.advance(60)

    def statuses(self) -> list[str]:
        return [event.status for event in self.events()]

    def events(self) -> list[Any]:
        with self.product.database.reading() as connection:
            return list(connection.execute(select(events)))

    def replay(self) -> None:
        with self.product.database.writing() as connection:
            inbox.replay(connection, [one.id for one in self.events() if one.status == "dead"], self.product.time)

    def made(self) -> Counter[str]:
        """Live contacts of ours by email."""
        ours = [one for one in self.intercom.contacts.values() if one.id not in self.foreign]
        return Counter(normalised_email(one.email) for one in ours)

    def check(self) -> None:
        assert all(status in inbox.SETTLED for status in self.statuses())
        assert all(one.cause for one in self.events() if one.status == "dead")
        assert not [email for email, count in self.made().items() if count > 1]

    def check_arrived(self) -> None:
        assert set(self.statuses()) <= {"done"}
        untouched = self.received - self.touched
        assert {email for email in untouched if self.made()[email] != 1} == set()
        rows = [row for row in self.product.activity() if row.email in untouched]
        assert {row.cause for row in rows if row.outcome == "skipped"} <= {"superseded"}
        assert {row.email for row in rows if row.outcome == "created"} == untouched


def errors() -> st.SearchStrategy[tuple[ApiError, bool]]:
    def unavailable(**more: Any) -> st.SearchStrategy[ApiError]:
        return st.builds(lambda: Unavailable(Vendor.INTERCOM, "no answer", **more))

    lost = unavailable() | unavailable(status=500)
    refused = (
        unavailable(status=503, down=True)
        | unavailable(sent=False, down=True)
        | st.builds(lambda: RateLimited(Vendor.INTERCOM, "later", after=5.0))
        | st.builds(lambda: Unauthorized(Vendor.INTERCOM, "no", status=403))
    )
    return st.tuples(lost, st.booleans()) | st.tuples(refused, st.just(False))


operations = st.sampled_from(("search_email", "create", "create", "contact", "update", "unarchive"))
persons = st.integers(0, len(PEOPLE) - 1)
owners = st.sampled_from(OWNERS)
received = st.tuples(st.just("receive"), persons, st.integers(0, 2), st.integers(0, 1), st.sampled_from(("A", "B")))
moves = st.one_of(
    st.tuples(st.just("claim"), owners, st.integers(1, 3)),
    st.tuples(st.just("process"), owners),
    st.tuples(st.just("settle"), owners),
    st.tuples(st.just("work"), owners),
    st.tuples(st.just("crash"), owners),
    st.tuples(st.just("overtake"), owners),
)
times = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from((1, 10, 61, 100, LAG, LAG + SLOW, 300))),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("probe")),
)
faults = st.one_of(
    st.builds(lambda operation, error: ("fault", operation, *error), operations, errors()),
    st.tuples(st.just("revoke"), operations),
    st.tuples(st.just("hold_up"), operations, st.sampled_from((1, 61, 400))),
)
others = st.one_of(
    st.tuples(st.just("stranger"), persons, st.sampled_from(("live", "archived", "deleted"))),
    st.tuples(st.just("remove"), persons, st.sampled_from(("archived", "deleted"))),
)
steps = st.lists(
    received | received | moves | moves | moves | times | faults | faults | others, min_size=10, max_size=40
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    own = Database(f"sqlite:///{tmp_path_factory.mktemp('interleavings') / 'test.db'}")
    metadata.create_all(own.engine)
    yield own
    own.close()


@pytest.mark.parametrize("action", ["create_lead", "create_user"])
def test_whatever_happens_in_whatever_order_nobody_is_made_twice_and_nobody_is_lost(
    database: Database, action: str
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.sampled_from(("skip", "update", "fill_blanks")), steps)
    def run(duplicates: str, taken: list[Step]) -> None:
        world = World(database, action, duplicates)
        for step in taken:
            world.take(step)
        world.come_to_rest()
        world.check()
        world.replay()
        world.come_to_rest()
        world.check()
        world.check_arrived()

    run()
