"""However late, often and shuffled notifications come, whoever works on them, and whatever fails meanwhile: what
becomes of a lead depends on what the contact was, one after the other, and on nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.core.errors import ApiError, RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Contact, Person
from app.storage import inbox
from app.storage.database import Database
from app.storage.tables import events, metadata
from app.usecases import process_event
from app.usecases.check_connections import probe_circuits, probe_connections
from app.usecases.process_event import Batch, Outcome
from app.usecases.sweep import sweep
from tests.fakes import FakeReferralFactory
from tests.product import FakeVendors, Product

EXAMPLES = 120
EMAIL = "friend@example.com"
EMAILS = (EMAIL, "frida@work.example")
OWNERS = ("one", "two")
FIRST = {"trial": None, "free": "free", "pro": "pro", "blank": None}
"""What stood there before we came, if we did not make the contact."""

Step = tuple[Any, ...]


class CountingReferralFactory(FakeReferralFactory):
    """Counts who is qualified though they are already."""

    twice = 0

    def _qualify(self, person: Person | None, qualified: bool) -> bool:
        self.twice += int(person is not None and person.values["qualified_at"] is not None)
        return super()._qualify(person, qualified)


class World:
    def __init__(self, database: Database, first: str) -> None:
        with database.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        self.product = Product(database)
        api = CountingReferralFactory()
        self.api = self.product.referral_factory = api
        self.product.services = replace(self.product.services, vendors=FakeVendors(self.product.intercom, self.api))
        self.product.change(duplicates="fill_blanks")
        if first != "trial":
            self.product.intercom.put(EMAIL, created_at=1, custom_attributes={"plan": FIRST[first]})
        self.contact = self.product.watched()
        self.values: list[object] = []
        self.converted_before = first == "pro"
        self.states: list[Contact] = []
        self.told: set[int] = set()
        self.batches: dict[str, list[tuple[Any, Batch]]] = defaultdict(list)
        self.unsettled: dict[str, list[Outcome]] = defaultdict(list)
        self._remember(self.contact.custom_attributes["plan"])

    def _remember(self, value: object) -> None:
        self.values.append(value)
        self.states.append(self.product.intercom.contacts[self.contact.id])

    def take(self, step: Step) -> None:
        getattr(self, step[0])(*step[1:])

    # The world around

    def change(self, value: object, seconds: int) -> None:
        self.product.turns(self.contact, seconds, plan=value)
        self._remember(value)

    def rename(self, which: int) -> None:
        self.product.advance(1)
        self.product.intercom.change(self.contact.id, email=EMAILS[which])
        self._remember(self.values[-1])

    def tell(self, index: int, again: bool) -> None:
        """One of the states that were, old or new; ``again`` under another notification's id."""
        index %= len(self.states)
        self.told.add(index)
        key = f"again_{index}_{self.product.time}" if again else f"state_{index}"
        self.product.notified(self.states[index], "contact.lead.updated", key=key)

    def fault(self, operation: str, error: ApiError, after_effect: bool) -> None:
        vendor = self.product.intercom if error.vendor is Vendor.INTERCOM else self.api
        vendor.fail(operation, error, after_effect=after_effect)

    # Workers

    def claim(self, owner: str) -> None:
        batch = process_event.claim(self.product.services, owner, 3)
        self.batches[owner] += [(event, batch) for event in batch.events]

    def process(self, owner: str) -> None:
        if self.batches[owner]:
            event, batch = self.batches[owner].pop(0)
            outcome = process_event.process(self.product.services, event, batch)
            assert outcome.settling.cause != "internal_error", "a bug ends an event of itself"
            self.unsettled[owner].append(outcome)

    def settle(self, owner: str) -> None:
        process_event.settle(self.product.services, owner, self.unsettled.pop(owner, []))

    def crash(self, owner: str) -> None:
        self.batches.pop(owner, None)
        self.unsettled.pop(owner, None)

    def overtake(self) -> None:
        """Whoever holds something has slept for longer than its lease."""
        self.product.advance(61)
        sweep(self.product.services)

    def replay(self) -> None:
        with self.product.database.writing() as connection:
            settled = [row.id for row in self._events() if row.status in inbox.SETTLED and row.source == "intercom"]
            inbox.replay(connection, settled, self.product.time)

    # The end

    def _events(self) -> list[Any]:
        with self.product.database.reading() as connection:
            return list(connection.execute(select(events)))

    def come_to_rest(self) -> None:
        self.api._failures.clear()
        self.product.intercom._failures.clear()
        for owner in OWNERS:
            while self.batches[owner]:
                self.process(owner)
            self.settle(owner)
        for index in set(range(len(self.states))) - self.told:
            self.tell(index, again=False)
        for _ in range(40):
            sweep(self.product.services)
            probe_connections(self.product.services)
            probe_circuits(self.product.services)
            self.product.work_until_idle()
            if all(row.status in inbox.SETTLED for row in self._events()):
                break
            self.product.advance(60)

    def check(self) -> None:
        assert {row.status for row in self._events()} <= set(inbox.SETTLED)
        (row,) = [one for one in self.product.people() if one.audience == "leads"]
        if self.converted_before:
            expected = "closed"
        else:
            since = self.values.index("trial") if "trial" in self.values else len(self.values)
            expected = "qualified" if "pro" in self.values[since:] else "open"
        assert row.qualification_state == expected
        assert (self.api.people[row.referral_factory_id].values["qualified_at"] is not None) is (
            expected == "qualified"
        )
        assert self.api.twice == 0
        assert len([one for one in self.product.told() if one[0] == "qualified"]) == int(expected == "qualified")


def faults() -> st.SearchStrategy[Step]:
    def of(vendor: Vendor, operation: str) -> st.SearchStrategy[Step]:
        lost = st.builds(lambda: Unavailable(vendor, "no answer"))
        refused = st.one_of(
            st.builds(lambda: Unavailable(vendor, "away", status=503, down=True)),
            st.builds(lambda: Unavailable(vendor, "away", sent=False, down=True)),
            st.builds(lambda: RateLimited(vendor, "later", after=5.0)),
            st.builds(lambda: Unauthorized(vendor, "no", status=403)),
        )
        scripted = st.tuples(lost, st.booleans()) | st.tuples(refused, st.just(False))
        return scripted.map(lambda one: ("fault", operation, *one))

    return st.one_of(
        of(Vendor.INTERCOM, "contact"),
        of(Vendor.REFERRAL_FACTORY, "qualify"),
        of(Vendor.REFERRAL_FACTORY, "qualify"),
        of(Vendor.REFERRAL_FACTORY, "user"),
    )


owners = st.sampled_from(OWNERS)
changes = st.tuples(st.just("change"), st.sampled_from(("trial", "pro", "free", None)), st.sampled_from((1, 5, 60)))
tells = st.tuples(st.just("tell"), st.integers(0, 20), st.booleans())
hands = st.one_of(
    *(st.tuples(st.just(name), owners) for name in ("claim", "claim", "process", "process", "settle", "crash")),
    st.tuples(st.just("overtake")),
)
others = st.tuples(st.just("rename"), st.integers(0, 1)) | st.tuples(st.just("replay"))
steps = st.lists(changes | tells | tells | tells | hands | hands | hands | faults() | others, min_size=5, max_size=30)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    own = Database(f"sqlite:///{tmp_path_factory.mktemp('watching') / 'test.db'}")
    metadata.create_all(own.engine)
    yield own
    own.close()


def test_the_end_depends_on_what_the_contact_was_alone(database: Database) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.sampled_from(tuple(FIRST)), steps)
    def run(first: str, taken: list[Step]) -> None:
        world = World(database, first)
        for step in taken:
            world.take(step)
        world.come_to_rest()
        world.check()
        world.replay()
        world.come_to_rest()
        world.check()

    run()
