"""Which way a reconcile goes, how far back it looks, and what it counts as found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.core.audiences import Attribute, AttributeType, QualificationRule
from app.core.causes import Cause
from app.core.people import Audience, Contact, Role
from app.core.qualification import FirstSight, Referral, Span
from app.core.reconcile import (
    OVERLAP,
    PageSeen,
    Way,
    finding_of,
    finding_of_gone,
    first_way,
    is_found,
    is_gone_unknown,
    is_ripe,
    looks_back_to,
    mark_of,
    pages_left,
    way_on,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = QualificationRule("custom_attributes.plan", "trial", ("pro",))
PLAN = Attribute("custom_attributes.plan", "plan", "plan", AttributeType.TEXT)


class TestWhichWay:
    @pytest.mark.parametrize(
        ("watched", "known_until", "all_due_at", "way"),
        [
            (500, NOW - DAY, NOW + DAY, Way.CHANGED),
            (2, NOW - DAY, NOW + DAY, Way.CHANGED),
            (1, NOW - DAY, NOW + DAY, Way.OPEN),
            (0, NOW - DAY, NOW + DAY, Way.OPEN),
            (500, None, NOW + DAY, Way.OPEN),
            (500, NOW - DAY, None, Way.OPEN),
            (500, NOW - DAY, NOW, Way.OPEN),
            (500, NOW - DAY, NOW - DAY, Way.OPEN),
        ],
    )
    def test_at_first(
        self, watched: int, known_until: datetime | None, all_due_at: datetime | None, way: Way
    ) -> None:
        assert first_way(watched, known_until=known_until, all_due_at=all_due_at, now=NOW) is way

    @pytest.mark.parametrize(
        ("page", "left"),
        [
            (PageSeen(150, 1000, 900), 8),  # 1.5 a second, 800 seconds to go: 1200 contacts
            (PageSeen(150, 1000, 100), 0),
            (PageSeen(150, 1000, 50), 0),
            (PageSeen(150, 1000, 1000), 900),  # all in one second
            (PageSeen(150, 1000, 1000, total=450), 2),
            (PageSeen(150, 1000, 900, total=150), 0),
            (PageSeen(0, 0, 0), 0),
        ],
    )
    def test_pages_are_estimated_from_how_many_changed_how_fast(self, page: PageSeen, left: int) -> None:
        assert pages_left(1, page, 100) == left

    @pytest.mark.parametrize(
        ("watched", "pages_read", "way"),
        [(9, 1, Way.CHANGED), (8, 1, Way.CHANGED), (7, 1, Way.OPEN), (9, 9, Way.OPEN), (9, 8, Way.CHANGED)],
    )
    def test_after_a_page_the_cheaper_one(self, watched: int, pages_read: int, way: Way) -> None:
        assert way_on(watched, pages_read, PageSeen(150, 1000, 900), 100) is way


# What Intercom does with "updated_at > mark": whole days of the workspace's time zone
# (https://developers.intercom.com/docs/references/2.16/rest-api/api.intercom.io/contacts/searchcontacts).


def _matches(updated_at: int, mark: int, zone: ZoneInfo) -> bool:
    def day(seconds: int) -> date:
        return datetime.fromtimestamp(seconds, zone).date()

    return day(updated_at) > day(mark)


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago",
         "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca"]  # fmt: skip
# The end of summer time in New York, Berlin and on Lord Howe; the beginning; and a common day.
TURNS = ["2026-11-01", "2026-10-25", "2026-04-05", "2026-03-08", "2026-03-29", "2026-06-15"]


class TestHowFarBack:
    @pytest.mark.parametrize("zone", ZONES)
    @pytest.mark.parametrize("turn", TURNS)
    def test_whatever_changed_since_is_among_the_matches_in_every_time_zone(self, zone: str, turn: str) -> None:
        start = int(datetime.fromisoformat(turn).replace(tzinfo=UTC).timestamp()) - 86_400
        for looked_back_to in range(start, start + 5 * 86_400, 1_799):
            for later in (0, 1, 3_599, 86_399):
                assert _matches(looked_back_to + later, mark_of(looked_back_to), ZoneInfo(zone))

    def test_one_day_would_not_be_enough(self) -> None:
        """On a day of 25 hours, its last second and the same a day of 24 hours before are one day."""
        zone = ZoneInfo("America/New_York")
        last = int(datetime(2026, 11, 1, 23, 59, 59, tzinfo=zone).timestamp())
        assert not _matches(last, last - 86_400, zone)
        assert _matches(last, last - int(OVERLAP.total_seconds()), zone)

    def test_the_index_may_be_late_and_the_clocks_may_differ(self) -> None:
        assert looks_back_to(NOW, timedelta(seconds=180)) == int(NOW.timestamp()) - 240
        assert looks_back_to(NOW + timedelta(microseconds=1), timedelta()) == int(NOW.timestamp()) - 60


def contact(value: object, updated_at: int | None = 100, role: Role = Role.LEAD) -> Contact:
    return Contact("c1", role, "a@example.com", custom_attributes={"plan": value}, updated_at=updated_at)


def referral(*spans: Span, first: FirstSight | None = None, cause: Cause | None = None) -> Referral:
    return Referral(Audience.LEADS, "open", cause, first or FirstSight("trial", 10, True), spans)


UNWATCHED = Referral(Audience.LEADS, "open")


class TestFound:
    @pytest.mark.parametrize(
        ("seen", "known", "found"),
        [
            (contact("trial"), referral(), False),
            (contact("pro"), referral(), True),
            (contact(None), referral(), True),
            (contact("trial"), UNWATCHED, True),
            # What a search shows late is older than what was seen since.
            (contact("basic", 50), referral(Span("trial", 10, 60)), False),
            (contact("basic", 60), referral(Span("trial", 10, 60)), True),
            # Seen before, and again after another value.
            (contact("trial", 100), referral(Span("basic", 20, 60)), True),
            (contact("trial", 100), referral(Span("basic", 20, 60), Span("trial", 10, 90)), False),
            # Two values in one second: either is known.
            (contact("basic", 60), referral(Span("basic", 60, 60), Span("trial", 10, 60)), False),
            (contact("trial", 60), referral(Span("basic", 60, 60), Span("trial", 10, 60)), False),
            (contact("other", 60), referral(Span("basic", 60, 60), Span("trial", 10, 60)), True),
            # Another spelling is another value: whether it matters is not decided here.
            (contact("Trial"), referral(), True),
            (contact("pro", None), referral(), True),
            # What is known decides already.
            (contact("pro"), referral(Span("pro", 20, 100)), True),
            (contact("pro"), referral(first=FirstSight("pro", 100, False)), True),
            # There again.
            (contact("trial"), referral(cause=Cause.CONTACT_ARCHIVED), True),
        ],
    )
    def test_where_something_is_to_be_decided(self, seen: Contact, known: Referral, found: bool) -> None:
        assert is_found(seen, known, RULE, PLAN) is found

    def test_by_a_rule_that_was_changed(self) -> None:
        known = referral(Span("team", 20, 100))
        assert not is_found(contact("team"), known, RULE, PLAN)
        wider = QualificationRule("custom_attributes.plan", "trial", ("pro", "team"))
        assert is_found(contact("team"), known, wider, PLAN)

    def test_an_attribute_that_is_gone_decides_nothing(self) -> None:
        assert not is_found(contact("pro"), referral(Span("pro", 20, 100)), RULE, None)

    def test_a_role(self) -> None:
        rule = QualificationRule("role", None, ("user",))
        role = Attribute("role", "role", "Role", AttributeType.TEXT, custom=False)
        known = referral(first=FirstSight("lead", 10, True))
        assert not is_found(contact(None), known, rule, role)
        assert is_found(contact(None, role=Role.USER), known, rule, role)

    @pytest.mark.parametrize(
        ("cause", "news"),
        [
            (None, True),
            (Cause.VALUE_NOT_A_TARGET, True),
            (Cause.CONTACT_ARCHIVED, False),
            (Cause.CONTACT_DELETED, False),
        ],
    )
    def test_gone_once(self, cause: Cause | None, news: bool) -> None:
        assert is_gone_unknown(referral(cause=cause)) is news


@pytest.mark.parametrize(("updated_at", "ripe"), [(-6, True), (-5, True), (-4, False), (9, False), (None, True)])
def test_a_notification_may_be_on_its_way(updated_at: int | None, ripe: bool) -> None:
    at = None if updated_at is None else int(NOW.timestamp()) + updated_at
    assert is_ripe(contact("pro", at), NOW) is ripe


class TestTheSameFinding:
    def test_is_one_of_the_same_update_and_rules(self) -> None:
        other = QualificationRule("custom_attributes.stage", None, ("won",))
        once = finding_of(contact("pro"), [RULE, other])
        assert once == finding_of(contact("basic"), [other, RULE])
        different = {
            once,
            finding_of(contact("pro", 101), [RULE, other]),
            finding_of(contact("pro"), [RULE]),
            finding_of_gone(None, referral()),
            finding_of_gone("c2", referral()),
            finding_of_gone(None, referral(Span("trial", 10, 60))),
        }
        assert len(different) == 6


def test_a_conversion_that_referral_factory_refused_waits_for_a_person() -> None:
    first = FirstSight("trial", 1_000, True)
    spans = (Span("trial", 1_000, 1_000), Span("pro", 2_000, 2_000))
    contact = Contact("c1", Role.LEAD, custom_attributes={"plan": "pro"}, updated_at=2_000)
    seen = Referral(Audience.LEADS, "open", None, first, spans)
    assert is_found(contact, seen, RULE, PLAN)
    assert not is_found(contact, replace(seen, cause=Cause.REFERRAL_FACTORY_REFUSED), RULE, PLAN)
