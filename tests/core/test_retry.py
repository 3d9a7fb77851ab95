import pytest

from app.core.causes import Cause
from app.core.errors import NotUnderstood, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.retry import GiveUp, Park, RetryIn, Scope, decide

INTERCOM, RF = Vendor.INTERCOM, Vendor.REFERRAL_FACTORY
SCHEDULE = (10, 60, 300)


@pytest.mark.parametrize(
    ("vendor", "cause"),
    [(INTERCOM, Cause.INTERCOM_UNAVAILABLE), (RF, Cause.REFERRAL_FACTORY_UNAVAILABLE)],
)
def test_what_may_pass_is_retried_by_the_schedule_and_then_given_up(vendor, cause):
    error = Unavailable(vendor, "502", status=502)
    assert [decide(error, attempt, SCHEDULE) for attempt in range(5)] == [
        RetryIn(10, cause),
        RetryIn(60, cause),
        RetryIn(300, cause),
        GiveUp(cause),
        GiveUp(cause),
    ]
    assert decide(error, 0, ()) == GiveUp(cause)


@pytest.mark.parametrize("attempt", [0, 2, 99])
def test_a_vendor_that_is_down_spends_no_attempt(attempt):
    error = Unavailable(INTERCOM, "refused", sent=False, down=True)
    assert decide(error, attempt, SCHEDULE) == Park(Scope.VENDOR, INTERCOM, Cause.INTERCOM_UNAVAILABLE)
    error = Unavailable(RF, "503", status=503, down=True)
    assert decide(error, attempt, SCHEDULE) == Park(Scope.VENDOR, RF, Cause.REFERRAL_FACTORY_UNAVAILABLE)


@pytest.mark.parametrize("attempt", [0, 99])
def test_a_spent_limit_waits_the_time_the_vendor_names_and_spends_no_attempt(attempt):
    error = RateLimited(INTERCOM, "429", after=7.5)
    assert decide(error, attempt, SCHEDULE) == RetryIn(7.5, Cause.RATE_LIMITED, spends_attempt=False)


@pytest.mark.parametrize(
    ("error", "token_works", "scope", "cause"),
    [
        (Unauthorized(INTERCOM, "401", status=401), False, Scope.CONNECTION, Cause.INTERCOM_UNAUTHORIZED),
        (Unauthorized(INTERCOM, "403", status=403), True, Scope.PERMISSION, Cause.INTERCOM_PERMISSION_MISSING),
        (Unauthorized(RF, "401", status=401), False, Scope.CONNECTION, Cause.REFERRAL_FACTORY_UNAUTHORIZED),
        (Unauthorized(RF, "403", status=403), True, Scope.PERMISSION, Cause.REFERRAL_FACTORY_UNAUTHORIZED),
    ],
)
def test_a_refused_token_parks_the_connection_or_what_needs_the_permission(error, token_works, scope, cause):
    assert decide(error, 99, SCHEDULE, token_works=token_works) == Park(scope, error.vendor, cause)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Rejected(INTERCOM, "bad", status=400), Cause.VALUE_REFUSED_BY_INTERCOM),
        (Rejected(INTERCOM, "bad", status=422), Cause.VALUE_REFUSED_BY_INTERCOM),
        (Rejected(INTERCOM, "gone", status=404), Cause.CONTACT_DELETED),
        (Rejected(RF, "gone", status=404), Cause.UNKNOWN_IN_REFERRAL_FACTORY),
        (Rejected(RF, "bad", status=422), Cause.REFERRAL_FACTORY_REFUSED),
        (NotUnderstood("no email"), Cause.WEBHOOK_NOT_UNDERSTOOD),
        (KeyError("a bug"), Cause.INTERNAL_ERROR),
    ],
)
def test_what_would_fail_again_is_given_up_at_once(error, cause):
    assert decide(error, 0, SCHEDULE) == GiveUp(cause)


def test_what_can_be_seen_only_later_is_not_asked_for_sooner():
    error = Unavailable(INTERCOM, "timeout")
    error.after = 180.0
    assert decide(error, 0, SCHEDULE).seconds == 180
    error.after = 1.0
    assert decide(error, 0, SCHEDULE).seconds == SCHEDULE[0]


def test_chance_lengthens_a_wait_by_at_most_a_tenth_and_never_shortens_it():
    error = Unavailable(INTERCOM, "502")
    waits = [decide(error, 1, SCHEDULE, random=random).seconds for random in (0.0, 0.5, 1.0)]
    assert waits == pytest.approx([60, 63, 66])
    assert decide(RateLimited(RF, "429", after=-3), 0, SCHEDULE, random=1.0).seconds == 0
