"""What happened is counted once and wholly, and problems stand until they are mended: whatever dies or is removed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from app.core.causes import CATALOGUE, Cause
from app.core.errors import Unauthorized, Vendor
from app.core.problems import NO_PROBLEM
from app.storage import counts, overview
from app.storage.counts import ACTIVITY
from app.storage.tables import activity, activity_hours, count_marks, event_hours, events, problems
from app.usecases import count_hours as counting
from app.usecases.count_hours import BITE, BITES, LATE, count_hours
from app.usecases.show_overview import DAY, DONE, MONTH, RECEIVED, show_overview, show_series
from app.usecases.sweep import remove_old, remove_strangers
from tests.product import START, Product

HOUR = timedelta(hours=1)


def happens(product: Product, *rows: dict[str, Any]) -> None:
    told = {
        "at": product.time,
        "campaign_id": product.campaign_id,
        "audience": "leads",
        "verb": "send",
        "outcome": "created",
        "cause": None,
        "email": "lea@example.com",
        "workspace_id": product.workspace_id,
        "fields": [],
    }
    with product.database.writing() as connection:
        connection.execute(insert(activity), [{**told, **row} for row in rows])


def comes(product: Product, *rows: dict[str, Any]) -> None:
    told = {
        "source": "intercom",
        "topic": "contact.user.updated",
        "workspace_id": product.workspace_id,
        "content_type": "application/json",
        "status": "done",
        "cause": None,
        "attempts": 0,
        "received_at": product.time,
        "settled_at": product.time,
        "next_attempt_at": product.time,
        "origin": "webhook",
    }
    with product.database.writing() as connection:
        known = connection.execute(select(events.c.id).order_by(events.c.id.desc()).limit(1)).scalar() or 0
        keyed = [{**told, **row, "dedupe_key": f"k{known + n}"} for n, row in enumerate(rows)]
        connection.execute(insert(events), keyed)


def kept(product: Product) -> dict[tuple[datetime, str], int]:
    """What stands in the table, whatever is shown."""
    with product.database.reading() as connection:
        return {(row.hour, row.outcome): row._mapping["count"] for row in connection.execute(select(activity_hours))}


def shown(product: Product, what: str = DONE, span: str = DAY) -> dict[str, int]:
    series = show_series(product.services, what, span)
    return {name: sum(values) for name, values in series.counts.items()}


def standing(product: Product) -> list[tuple[str, int]]:
    return [(one.cause, one.number) for one in show_overview(product.services).problems]


class TestCounting:
    def test_counts_by_the_hour(self, product: Product) -> None:
        happens(product, {}, {}, {"outcome": "skipped", "cause": "duplicate_skipped"}, {"at": START - HOUR})
        product.advance(LATE.total_seconds() + 1)
        assert count_hours(product.services) == 1
        assert kept(product) == {(START, "created"): 2, (START, "skipped"): 1, (START - HOUR, "created"): 1}

    def test_counts_a_row_once_however_often_it_is_done(self, product: Product) -> None:
        happens(product, {}, {})
        product.advance(3600)
        for _ in range(3):
            count_hours(product.services)
        assert kept(product) == {(START, "created"): 2}

    def test_leaves_the_newest_for_who_looks(self, product: Product) -> None:
        happens(product, {})
        assert count_hours(product.services) == 0
        assert kept(product) == {}
        assert shown(product) == {"created": 1}

    def test_forgets_none_that_is_committed_late(self, product: Product) -> None:
        """A lower id may become visible after a higher one, for as long as a transaction lasts."""
        happens(product, {}, {}, {})
        with product.database.writing() as connection:
            late = connection.execute(select(activity).where(activity.c.id == 2)).one()
            connection.execute(delete(activity).where(activity.c.id == 2))
        product.advance(60)
        count_hours(product.services)
        with product.database.writing() as connection:
            connection.execute(insert(activity).values(dict(late._mapping)))
        product.advance(LATE.total_seconds())
        count_hours(product.services)
        assert kept(product) == {(START, "created"): 3}

    def test_of_two_workers_with_the_same_rows_one_keeps_them(
        self, product: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        happens(product, {}, {})
        product.advance(3600)
        read = counts.activity_after

        def slowly(*arguments: Any) -> Any:
            rows = read(*arguments)
            if rows and not monkeypatch.undo():
                count_hours(product.services)  # the other one, meanwhile
            return rows

        monkeypatch.setattr(counting.counts, "activity_after", slowly)
        count_hours(product.services)
        assert kept(product) == {(START, "created"): 2}

    def test_a_worker_that_dies_keeps_nothing_of_its_bite(
        self, product: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        happens(product, {"outcome": "failed", "cause": "internal_error"})
        product.advance(3600)
        with monkeypatch.context() as patched:
            patched.setattr(counting.counts, "stand", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                count_hours(product.services)
        assert kept(product) == {}
        count_hours(product.services)
        assert kept(product) == {(START, "failed"): 1}
        assert standing(product) == [("internal_error", 1)]

    def test_takes_up_a_history_in_bites(self, product: Product) -> None:
        """An installation that upgrades has rows from before there was a count."""
        with product.database.writing() as connection:
            connection.execute(
                insert(count_marks), [{"name": name, "position": 0} for name in ("activity", "events")]
            )
        long = [{"at": START - HOUR * (n % 40 * 24), "email": f"{n}@example.com"} for n in range(BITE + 5)]
        happens(product, *long)
        product.advance(3600)
        assert count_hours(product.services) == 2 < BITES
        assert sum(kept(product).values()) == BITE + 5
        assert sum(shown(product, span=MONTH).values()) == sum(
            1 for row in long if row["at"] > START - 30 * 24 * HOUR
        )

    def test_stays_where_old_rows_are_removed(self, product: Product) -> None:
        happens(product, {}, {"outcome": "failed", "cause": "internal_error"})
        product.advance(3600)
        count_hours(product.services)
        product.advance(100 * 24 * 3600)
        remove_old(product.services)
        count_hours(product.services)
        assert kept(product) == {(START, "created"): 1, (START, "failed"): 1}
        assert standing(product) == []

    def test_of_webhooks_counts_each_by_its_source(self, product: Product) -> None:
        comes(product, {}, {}, {"source": "referral_factory", "topic": "joined"}, {"origin": "write_back"})
        assert shown(product, RECEIVED) == {"intercom": 2, "referral_factory": 1}
        product.advance(3600)
        count_hours(product.services)
        with product.database.reading() as connection:
            rows = {(row.hour, row.source): row._mapping["count"] for row in connection.execute(select(event_hours))}
        assert rows == {(START, "intercom"): 2, (START, "referral_factory"): 1}
        assert shown(product, RECEIVED) == {"intercom": 2, "referral_factory": 1}

    def test_work_of_our_own_about_something_old_moves_no_mark_past_new_webhooks(self, product: Product) -> None:
        comes(
            product,
            {},
            {"origin": "follow_up", "received_at": START - HOUR, "settled_at": None, "status": "received"},
        )
        count_hours(product.services)
        with product.database.reading() as connection:
            assert counts.position(connection, counts.EVENTS) == 0

    def test_strangers_are_counted_before_they_are_removed(self, product: Product) -> None:
        with product.database.writing() as connection:
            connection.execute(insert(count_marks), [{"name": "events", "position": 0}])
        comes(product, {"cause": "not_a_tracked_lead"})
        product.advance(5 * 3600)
        assert remove_strangers(product.services) == 0
        count_hours(product.services)
        assert remove_strangers(product.services) == 1
        assert shown(product, RECEIVED) == {"intercom": 1}


class TestSeries:
    def test_of_a_day_has_24_hours_and_of_a_month_30_days_the_last_of_which_go_on(self, product: Product) -> None:
        happens(product, {"at": START - 23 * HOUR}, {"at": START - 24 * HOUR}, {"at": START - 31 * 24 * HOUR}, {})
        for _ in range(2):
            day, month = (show_series(product.services, DONE, span) for span in (DAY, MONTH))
            assert (len(day.starts), day.starts[-1]) == (24, START)
            assert day.counts == {"created": [1, *[0] * 22, 1]}
            assert (len(month.starts), month.starts[-1]) == (30, START.replace(hour=0))
            assert month.counts == {"created": [*[0] * 28, 2, 1]}
            product.advance(LATE.total_seconds() + 1)
            count_hours(product.services)


SKIPPED = {"cause": "duplicate_skipped"}

FIELDS = [{"to": "name", "cause": None}, {"to": "custom_attributes.Seats", "cause": "value_wrong_type"}]


class TestProblems:
    @pytest.mark.parametrize(
        ("told", "stands"),
        [
            ([{"cause": "duplicate_skipped"}], [("duplicate_skipped", 1)]),
            ([{"cause": "duplicate_skipped"}] * 2, [("duplicate_skipped", 1)]),
            ([SKIPPED, {**SKIPPED, "audience": "referrers"}], [("duplicate_skipped", 2)]),
            ([SKIPPED, {**SKIPPED, "email": None, "code": "x"}], [("duplicate_skipped", 2)]),
            ([{"cause": "duplicate_skipped"}, {}], []),
            ([{"cause": "duplicate_skipped"}, {"cause": "superseded"}], [("duplicate_skipped", 1)]),
            ([{"cause": "duplicate_skipped"}, {"cause": "already_in_campaign"}], []),
            ([{"cause": "duplicate_skipped"}, {"verb": "qualify"}], [("duplicate_skipped", 1)]),
            ([{"fields": FIELDS}], [("value_wrong_type", 1)]),
            ([{"fields": FIELDS}, {"fields": FIELDS[:1]}], []),
            ([{"fields": FIELDS, "cause": "self_referral"}], [("self_referral", 1), ("value_wrong_type", 1)]),
            ([{"cause": "value_not_a_target", "verb": "qualify"}], []),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("at_once", [True, False])
    def test_stand_until_it_goes_well(
        self, product: Product, told: list[dict[str, Any]], stands: list[tuple[str, int]], at_once: bool
    ) -> None:
        for row in told:
            happens(product, row)
            if not at_once:
                product.advance(3600)
                count_hours(product.services)
        product.advance(3600)
        count_hours(product.services)
        assert standing(product) == stands

    def test_stand_since_they_came_up_first(self, product: Product) -> None:
        for _ in range(3):
            happens(product, {"cause": "duplicate_skipped"})
            product.advance(3600)
            count_hours(product.services)
        (group,) = show_overview(product.services).problems
        assert group.since == START
        with product.database.reading() as connection:
            (row,) = overview.people_with(connection, "duplicate_skipped", before=None, limit=10)
        assert (row.since, row.at, row.email) == (START, START + 2 * HOUR, "lea@example.com")

    def test_go_with_the_activity_that_tells_of_them(self, product: Product) -> None:
        """A person who is erased, or whose activity has grown old, is named nowhere."""
        happens(product, {"cause": "duplicate_skipped"})
        product.advance(3600)
        count_hours(product.services)
        with product.database.writing() as connection:
            connection.execute(delete(activity))
        with product.database.reading() as connection:
            assert connection.execute(select(problems)).all() == []

    def test_of_activity_that_is_removed_while_it_is_counted_are_none(
        self, product: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        happens(product, {"cause": "duplicate_skipped"})
        product.advance(3600)
        move = counts.move

        def removed_first(connection: Any, *arguments: Any) -> bool:
            connection.execute(delete(activity))
            return move(connection, *arguments)

        monkeypatch.setattr(counting.counts, "move", removed_first)
        count_hours(product.services)
        assert standing(product) == []
        with product.database.reading() as connection:
            assert counts.position(connection, ACTIVITY) == 1

    def test_are_listed_by_pages(self, product: Product) -> None:
        happens(product, *({"cause": "duplicate_skipped", "email": f"{n}@example.com"} for n in range(5)))
        product.advance(3600)
        count_hours(product.services)
        found, before = [], None
        with product.database.reading() as connection:
            while rows := overview.people_with(connection, "duplicate_skipped", before=before, limit=2):
                found += [row.email for row in rows]
                before = rows[-1].problem_id
        assert found == [f"{n}@example.com" for n in (4, 3, 2, 1, 0)]

    def test_are_none_where_the_remedy_is_that_nothing_is_needed(self) -> None:
        needless = {one for one in Cause if CATALOGUE[one].remedy in ("Nothing is needed.", "Nothing is needed")}
        assert needless <= NO_PROBLEM


class TestOverview:
    def test_of_an_installation_says_what_is_to_be_done_first(self, product: Product) -> None:
        steps = show_overview(product.services).steps
        assert (steps.workspace, steps.program, steps.campaign, steps.audience) == (True, True, True, True)
        assert not steps.person
        assert not steps.all_done
        product.receive_lead()
        product.work_until_idle()
        assert show_overview(product.services).steps.all_done

    def test_counts_how_far_people_have_come(self, product: Product) -> None:
        friend = product.watched()
        product.turns(friend, plan="pro")
        product.tell(product.intercom.contacts[friend.id])
        other = product.add_campaign(product.workspace_id, product.program_id, "2")
        found = {(one.campaign_id, one.audience): one for one in show_overview(product.services).funnel}
        leads = found[product.campaign_id, "leads"]
        assert (leads.joined, leads.in_intercom, leads.qualified) == (1, 1, 1)
        assert (other, "leads") not in found

    def test_names_what_is_away_and_what_waits_for_it(self, product: Product) -> None:
        product.receive_lead()
        for operation in ("me", "search", "contact", "create"):
            product.intercom.fail(operation, Unauthorized(Vendor.INTERCOM, "no", status=401), times=9)  # type: ignore[arg-type]
        product.work_until_idle()
        workspace, program = show_overview(product.services).connections
        assert workspace.row.state == "disconnected"
        (away,) = workspace.away
        assert (away.cause, away.held.events, away.held.oldest) == ("intercom_unauthorized", 1, START)
        assert (workspace.is_well, program.is_well) == (False, True)

    def test_tells_of_the_oldest_that_waits_and_of_what_was_given_up(self, product: Product) -> None:
        comes(
            product,
            {"status": "dead", "cause": "webhook_not_understood"},
            {"status": "dead", "cause": "webhook_not_understood"},
            {"status": "retrying", "received_at": START - HOUR},
            {"status": "received"},
        )
        found = show_overview(product.services)
        assert found.waiting.counts == {"received": 1, "processing": 0, "retrying": 1, "dead": 2}
        assert found.waiting.oldest == START - HOUR
        assert [(one.cause, one.number) for one in found.given_up] == [("webhook_not_understood", 2)]

    def test_says_where_nobody_counts(self, product: Product) -> None:
        assert show_overview(product.services).is_behind
        count_hours(product.services)
        assert not show_overview(product.services).is_behind
        product.advance(3600)
        assert show_overview(product.services).is_behind

    def test_asks_no_more_where_there_is_more(self, product: Product) -> None:
        with product.statements() as few:
            show_overview(product.services)
        for number in range(2, 8):
            product.add_campaign(product.workspace_id, product.program_id, str(number))
        product.receive_lead()
        product.work_until_idle()
        with product.statements() as many:
            show_overview(product.services)
        assert len(many) == len(few)
