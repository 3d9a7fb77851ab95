"""The clients against the simulated vendors: faults, limits, permissions."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from app.core.errors import ApiError, RateLimited, Unauthorized, Unavailable, Vendor
from app.core.people import Contact, ContactDraft, Role
from app.integrations.budget import RedisBudget, Unlimited
from app.integrations.http import Http, Limits
from app.integrations.intercom import WINDOW_SECONDS, Conflict, IntercomClient
from app.integrations.referral_factory import Enrolment, ReferralFactoryClient
from sandbox.seed import DEFAULT_ACCOUNT, DEFAULT_ACCOUNT_TOKEN, DEFAULT_APP_ID, DEFAULT_TOKEN
from sandbox.server import Sandbox, start

pytestmark = pytest.mark.enable_socket

QUICK = Limits(connect=1.0, read=0.5, whole=2.0)
ANN = ContactDraft({"name": "Ann", "email": "ann@example.com"}, Role.USER)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(index_delay_seconds=0) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http() as made:
        yield made


@pytest.fixture
def intercom(sandbox: Sandbox, http: Http) -> IntercomClient:
    return IntercomClient(sandbox.intercom_url, DEFAULT_TOKEN, http, Unlimited(), limits=QUICK)


@pytest.fixture
def program(sandbox: Sandbox, http: Http) -> ReferralFactoryClient:
    return ReferralFactoryClient(sandbox.referral_factory_url, DEFAULT_ACCOUNT_TOKEN, http, Unlimited(), limits=QUICK)


@pytest.mark.parametrize("kind", ["error_after", "timeout_after", "reset_after", "empty_body", "html_body"])
def test_a_lost_answer_to_a_create_leaves_a_contact_and_says_so(
    sandbox: Sandbox, intercom: IntercomClient, kind: str
) -> None:
    sandbox.state.faults.add({"kind": kind, "method": "POST", "path": "/contacts", "count": 1, "seconds": 0.8})
    with pytest.raises(Unavailable) as lost:
        intercom.create(ANN)
    assert lost.value.sent
    assert isinstance(intercom.create(ANN), Conflict)
    assert len(intercom.search_email("ann@example.com")) == 1


@pytest.mark.parametrize("kind", ["error_before", "timeout_before", "reset_before", "unavailable", "429"])
def test_a_failure_before_the_effect_leaves_nothing(sandbox: Sandbox, intercom: IntercomClient, kind: str) -> None:
    sandbox.state.faults.add({"kind": kind, "method": "POST", "path": "/contacts", "count": 1, "seconds": 0.8})
    with pytest.raises(ApiError):
        intercom.create(ANN)
    assert isinstance(intercom.create(ANN), Contact)


@pytest.mark.parametrize("kind", ["empty_body", "html_body"])
def test_a_search_without_a_body_never_means_none_found(
    sandbox: Sandbox, intercom: IntercomClient, kind: str
) -> None:
    sandbox.state.faults.add({"kind": kind, "path": "/contacts/search", "count": 1})
    with pytest.raises(Unavailable):
        intercom.search_email("ann@example.com")


def test_a_refused_token(sandbox: Sandbox, http: Http) -> None:
    with pytest.raises(Unauthorized) as refused:
        IntercomClient(sandbox.intercom_url, "other", http, Unlimited()).me()
    assert str(refused.value) == "Access Token Invalid"
    with pytest.raises(Unauthorized):
        ReferralFactoryClient(sandbox.referral_factory_url, "other", http, Unlimited()).campaigns()


def test_a_missing_permission_is_found_by_its_probe(sandbox: Sandbox, intercom: IntercomClient) -> None:
    sandbox.state.workspaces[DEFAULT_APP_ID].missing_permissions = {"segments_read"}
    assert intercom.probe_contacts()
    assert intercom.probe_attributes()
    assert not intercom.probe_segments()


def test_segments_say_whom_they_hold(intercom: IntercomClient) -> None:
    kinds = {segment.name: (segment.person_type, segment.count) for segment in intercom.segments()}
    assert kinds["All leads"] == (Role.LEAD, 0)
    assert kinds["All users"] == (Role.USER, 0)


def test_referral_factory_blocks_who_calls_too_often(sandbox: Sandbox, program: ReferralFactoryClient) -> None:
    sandbox.state.settings.change({"referral_factory_calls_per_minute": 2})
    program.campaigns()
    program.campaigns()
    for _ in range(4):
        with pytest.raises(RateLimited) as limited:
            program.campaigns()
        assert limited.value.after == 60.0
    with pytest.raises(Unavailable) as blocked:
        program.campaigns()
    assert blocked.value.down


def test_an_unknown_outcome_of_an_enrolment_is_seen_by_looking(
    sandbox: Sandbox, program: ReferralFactoryClient
) -> None:
    sandbox.state.faults.add({"kind": "reset_after", "method": "POST", "path": "/users", "count": 1})
    with pytest.raises(Unavailable):
        program.create_user(Enrolment("1", "Ann", "ann@example.com", {}))
    assert len(program.find_by_email("1", "ann@example.com")) == 1


def test_the_header_s_limit_is_kept_without_a_single_429(sandbox: Sandbox, http: Http, redis: Redis) -> None:
    sandbox.state.settings.change({"intercom_calls_per_10s": 83})
    budget = RedisBudget(
        redis,
        "budget:sandbox",
        1666,
        WINDOW_SECONDS,
        vendor=Vendor.INTERCOM,
        led_by_headers=True,
        patience_seconds=15,
    )
    client = IntercomClient(sandbox.intercom_url, DEFAULT_TOKEN, http, budget)
    client.me()
    made, end = [], time.monotonic() + 6

    def work() -> None:
        while time.monotonic() < end:
            client.me()
            made.append(1)

    crew = [threading.Thread(target=work) for _ in range(8)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert budget.limit == 83
    assert 40 <= len(made) <= 70


def test_the_budget_of_a_program_is_kept_within_a_sliding_minute(sandbox: Sandbox, http: Http, redis: Redis) -> None:
    budget = RedisBudget(redis, "budget:program", 570, 60.0, vendor=Vendor.REFERRAL_FACTORY)
    client = ReferralFactoryClient(sandbox.referral_factory_url, DEFAULT_ACCOUNT_TOKEN, http, budget)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        client.user("101")
    assert sandbox.state.abuse.peak[DEFAULT_ACCOUNT] <= 12 + 3 * 9.5
