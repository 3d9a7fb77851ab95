"""Signing in and out, links, rights and tokens: who gets in, who does not, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from app.core.access import (
    ATTEMPTS_LAST,
    ATTEMPTS_OF_ACCOUNT,
    ATTEMPTS_OF_ADDRESS,
    IDLE,
    INVITATION_LASTS,
    LASTS,
)
from app.core.errors import InvalidRequest
from app.storage import accounts, audit_log
from app.storage.tables import api_tokens, invitations, sessions, users
from app.usecases.accept_invitation import accept_invitation, known_invitation
from app.usecases.change_password import change_password
from app.usecases.change_rights import change_rights, remove_teammate
from app.usecases.end_sessions import end_own_session, end_sessions, sign_out
from app.usecases.first_owner import make_first_owner
from app.usecases.invite_teammate import (
    invite_teammate,
    make_recovery,
    pending_invitations,
    withdraw_invitation,
)
from app.usecases.make_api_token import caller_by, make_api_token, revoke_api_token
from app.usecases.recover_owner import recover_owner
from app.usecases.sign_in import From, SignedIn, sessions_of, sign_in, signed_in
from app.usecases.sweep import remove_old
from tests.product import Product

OWNER, TEAMMATE = "anna@example.com", "tom@example.com"
PASSWORD, ANOTHER = "a few words in a row", "quite some other words"
HERE = From("192.0.2.1", "a browser")


@pytest.fixture
def house(product: Product) -> Product:
    """With an owner."""
    make_first_owner(product.services, OWNER, PASSWORD)
    return product


def come_in(house: Product, email: str = OWNER, password: str = PASSWORD, came: From = HERE) -> SignedIn:
    found = signed_in(house.services, sign_in(house.services, email, password, came))
    assert found is not None
    return found


def joins(house: Product, email: str = TEAMMATE, **rights: bool) -> SignedIn:
    """Somebody is invited, and comes."""
    link = invite_teammate(house.services, come_in(house), email, **rights)
    found = signed_in(house.services, accept_invitation(house.services, link, PASSWORD, HERE))
    assert found is not None
    return found


def log_of(house: Product, kind: str | None = None) -> list[Any]:
    with house.database.reading() as connection:
        return list(reversed(audit_log.page(connection, person=None, kind=kind, before=None, limit=200)))


def refused(call: Callable[[], object], status: int) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        call()
    assert caught.value.status == status
    return caught.value


class TestSigningIn:
    def test_takes_the_email_however_it_is_spelt(self, house: Product) -> None:
        assert come_in(house, f"  {OWNER.upper()} ").email == OWNER

    def test_answers_an_unknown_email_and_a_wrong_password_alike(self, house: Product) -> None:
        wrong = refused(lambda: sign_in(house.services, OWNER, "wrong", HERE), 401)
        unknown = refused(lambda: sign_in(house.services, "nobody@example.com", "wrong", HERE), 401)
        nul = refused(lambda: sign_in(house.services, "no\0body\ud800@example.com", "wro\0ng\ud800", HERE), 401)
        assert (wrong.detail, wrong.cause) == (unknown.detail, unknown.cause) == (nul.detail, nul.cause)

    def test_begins_a_session_of_which_only_a_digest_is_kept(self, house: Product) -> None:
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        with house.database.reading() as connection:
            row = connection.execute(select(sessions)).one()
        assert token not in str(row)
        assert len(token) >= 32

    def test_is_another_session_each_time(self, house: Product) -> None:
        assert come_in(house).session_id != come_in(house).session_id

    def test_keeps_a_password_as_argon2_makes_them_today(self, house: Product) -> None:
        cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
        with house.database.writing() as connection:
            accounts.change(connection, 1, password_hash=cheap)
        come_in(house)
        with house.database.reading() as connection:
            kept = connection.execute(select(users.c.password_hash)).scalar_one()
        assert kept != cheap
        assert not PasswordHasher().check_needs_rehash(kept)
        come_in(house)

    def test_is_refused_after_too_many_attempts_also_with_the_right_password(self, house: Product) -> None:
        for number in range(ATTEMPTS_OF_ACCOUNT):
            came = From(f"192.0.2.{number}")
            refused(lambda came=came: sign_in(house.services, OWNER, "wrong", came), 401)  # type: ignore[misc]
        refused(lambda: sign_in(house.services, OWNER, PASSWORD, From("198.51.100.1")), 429)
        house.advance(ATTEMPTS_LAST.total_seconds())
        assert come_in(house).email == OWNER

    def test_counts_by_address_too(self, house: Product) -> None:
        # So many passwords take their time: the counter is filled by accounts that are refused before.
        from app.usecases.sign_in import count_attempt

        for number in range(ATTEMPTS_OF_ADDRESS):
            count_attempt(house.services, f"{number}@example.com", HERE)
        refused(lambda: sign_in(house.services, OWNER, PASSWORD, HERE), 429)
        assert come_in(house, came=From("198.51.100.1")).email == OWNER

    def test_forgets_the_attempts_of_who_got_in(self, house: Product) -> None:
        for _ in range(ATTEMPTS_OF_ACCOUNT + 2):
            come_in(house)


class TestASession:
    @pytest.mark.parametrize(("after", "lasts"), [(IDLE - timedelta(seconds=1), True), (IDLE, False)])
    def test_ends_when_nobody_uses_it(self, house: Product, after: timedelta, lasts: bool) -> None:
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        house.advance(after.total_seconds())
        assert (signed_in(house.services, token) is not None) is lasts

    def test_ends_in_any_case_some_day(self, house: Product) -> None:
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        steps = LASTS // (IDLE / 2)
        for _ in range(steps - 1):
            house.advance((IDLE / 2).total_seconds())
            assert signed_in(house.services, token) is not None
        house.advance((IDLE / 2).total_seconds())
        assert signed_in(house.services, token) is None

    def test_is_written_down_once_in_a_while(self, house: Product) -> None:
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        house.advance(60)
        with house.statements() as seen:
            signed_in(house.services, token)
        assert not [one for one in seen if one.startswith("UPDATE")]
        house.advance(300)
        with house.statements() as seen:
            signed_in(house.services, token)
        assert [one for one in seen if one.startswith("UPDATE")]

    def test_ends_at_signing_out(self, house: Product) -> None:
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        found = signed_in(house.services, token)
        assert found is not None
        sign_out(house.services, found)
        assert signed_in(house.services, token) is None

    def test_is_ended_by_who_has_it_and_nobody_else(self, house: Product) -> None:
        tom, anna = joins(house), come_in(house)
        refused(lambda: end_own_session(house.services, tom, anna.session_id), 404)
        other = come_in(house)
        end_own_session(house.services, anna, other.session_id)
        assert other.session_id not in [one.id for one in sessions_of(house.services, anna.user_id)]

    def test_of_others_ends_by_an_owner(self, house: Product) -> None:
        tom, anna = joins(house), come_in(house)
        assert end_sessions(house.services, anna, tom.user_id) == 1
        assert sessions_of(house.services, tom.user_id) == []
        assert sessions_of(house.services, anna.user_id) != []
        assert log_of(house, "sessions_ended")[-1].subject == f"user:{tom.user_id}"

    def test_that_is_over_is_swept_away(self, house: Product) -> None:
        come_in(house)
        house.advance(LASTS.total_seconds() - 1)
        token = sign_in(house.services, OWNER, PASSWORD, HERE)
        house.advance(2)
        assert remove_old(house.services) == 1
        assert signed_in(house.services, token) is not None

    def test_of_another_browser_ends_with_the_password(self, house: Product) -> None:
        first = sign_in(house.services, OWNER, PASSWORD, HERE)
        token = change_password(house.services, come_in(house), PASSWORD, ANOTHER, HERE)
        assert signed_in(house.services, first) is None
        assert signed_in(house.services, token) is not None
        assert come_in(house, password=ANOTHER).email == OWNER
        refused(lambda: sign_in(house.services, OWNER, PASSWORD, HERE), 401)

    @pytest.mark.parametrize(("current", "new"), [("wrong", ANOTHER), (PASSWORD, "short")])
    def test_stays_where_the_password_does(self, house: Product, current: str, new: str) -> None:
        anna = come_in(house)
        refused(lambda: change_password(house.services, anna, current, new, HERE), 422)
        assert come_in(house).email == OWNER


class TestALink:
    def test_lets_a_newcomer_in_with_the_rights_it_brings(self, house: Product) -> None:
        tom = joins(house, may_manage=True)
        assert (tom.email, tom.rights.may_manage, tom.rights.is_owner) == (TEAMMATE, True, False)
        made, accepted = log_of(house, "invitation_made")[0], log_of(house, "invitation_accepted")[0]
        assert (made.person, made.name, made.after) == (OWNER, TEAMMATE, {"owner": False, "may_manage": True})
        assert (accepted.person, accepted.after) == (TEAMMATE, {"owner": False, "may_manage": True})

    def test_is_kept_as_a_digest(self, house: Product) -> None:
        link = invite_teammate(house.services, come_in(house), TEAMMATE)
        with house.database.reading() as connection:
            assert link not in str(connection.execute(select(invitations)).all())
        assert link not in str(log_of(house))

    def test_works_once(self, house: Product) -> None:
        link = invite_teammate(house.services, come_in(house), TEAMMATE)
        accept_invitation(house.services, link, PASSWORD, HERE)
        again = refused(lambda: accept_invitation(house.services, link, ANOTHER, HERE), 404)
        assert "used already" in again.detail

    def test_is_too_old_after_a_week(self, house: Product) -> None:
        link = invite_teammate(house.services, come_in(house), TEAMMATE)
        house.advance(INVITATION_LASTS.total_seconds())
        assert "too old" in refused(lambda: known_invitation(house.services, link), 404).detail
        assert pending_invitations(house.services) == []

    def test_can_be_withdrawn(self, house: Product) -> None:
        anna = come_in(house)
        link = invite_teammate(house.services, anna, TEAMMATE)
        withdraw_invitation(house.services, anna, pending_invitations(house.services)[0].id)
        assert "withdrawn" in refused(lambda: known_invitation(house.services, link), 404).detail
        refused(lambda: withdraw_invitation(house.services, anna, 1), 404)

    def test_takes_the_place_of_the_one_before(self, house: Product) -> None:
        anna = come_in(house)
        former = invite_teammate(house.services, anna, TEAMMATE)
        link = invite_teammate(house.services, anna, TEAMMATE)
        refused(lambda: known_invitation(house.services, former), 404)
        assert known_invitation(house.services, link).email == TEAMMATE

    @pytest.mark.parametrize("token", ["", "made-up", "\0", "\ud800"])
    def test_that_is_none_of_ours_is_refused(self, house: Product, token: str) -> None:
        assert "not one of ours" in refused(lambda: known_invitation(house.services, token), 404).detail

    @pytest.mark.parametrize("email", ["", "anna", "a@b", "a b@example.com", "@example.com"])
    def test_is_for_an_email(self, house: Product, email: str) -> None:
        refused(lambda: invite_teammate(house.services, come_in(house), email), 422)

    def test_is_not_for_who_is_here(self, house: Product) -> None:
        refused(lambda: invite_teammate(house.services, come_in(house), OWNER.upper()), 409)

    def test_is_not_used_up_by_a_password_that_can_not_be_chosen(self, house: Product) -> None:
        link = invite_teammate(house.services, come_in(house), TEAMMATE)
        refused(lambda: accept_invitation(house.services, link, "short", HERE), 422)
        accept_invitation(house.services, link, PASSWORD, HERE)

    def test_of_recovery_changes_the_password_and_no_right(self, house: Product) -> None:
        tom = joins(house, may_manage=True)
        link = make_recovery(house.services, come_in(house), tom.user_id)
        accept_invitation(house.services, link, ANOTHER, HERE)
        back = come_in(house, TEAMMATE, ANOTHER)
        assert back.rights == tom.rights
        assert tom.session_id not in [one.id for one in sessions_of(house.services, tom.user_id)]
        refused(lambda: sign_in(house.services, TEAMMATE, PASSWORD, HERE), 401)

    @pytest.mark.parametrize("email", [OWNER, TEAMMATE, "new@example.com"])
    def test_of_the_command_makes_an_owner_of_anybody(self, house: Product, email: str) -> None:
        joins(house)
        path = recover_owner(house.services, email)
        accept_invitation(house.services, path.rpartition("/")[2], ANOTHER, HERE)
        assert come_in(house, email, ANOTHER).rights.is_owner
        assert log_of(house, "recovery_made")[0].person == "recovery command"


class TestRights:
    def test_are_given_and_taken_at_once(self, house: Product) -> None:
        joins(house)
        token = sign_in(house.services, TEAMMATE, PASSWORD, HERE)
        tom = signed_in(house.services, token)
        assert tom is not None
        assert not tom.rights.may_manage
        for given in (True, False):
            change_rights(house.services, come_in(house), tom.user_id, owner=False, may_manage=given)
            now = signed_in(house.services, token)
            assert now is not None
            assert now.rights.may_manage is given
        first = log_of(house, "rights_changed")[0]
        assert (first.person, first.name) == (OWNER, TEAMMATE)
        assert (first.before, first.after) == ({"may_manage": False}, {"may_manage": True})

    def test_never_leave_nobody_an_owner(self, house: Product) -> None:
        anna = come_in(house)
        refused(lambda: change_rights(house.services, anna, anna.user_id, owner=False, may_manage=True), 409)
        refused(lambda: remove_teammate(house.services, anna, anna.user_id), 409)
        tom = joins(house, owner=True)
        change_rights(house.services, anna, anna.user_id, owner=False, may_manage=True)
        refused(lambda: remove_teammate(house.services, tom, tom.user_id), 409)

    def test_of_who_is_removed_end_everywhere(self, house: Product) -> None:
        joins(house, owner=True)
        session = sign_in(house.services, TEAMMATE, PASSWORD, HERE)
        tom = signed_in(house.services, session)
        assert tom is not None
        token = make_api_token(house.services, tom, "Report")
        link = invite_teammate(house.services, tom, "friend@example.com", owner=True)
        remove_teammate(house.services, come_in(house), tom.user_id)
        assert signed_in(house.services, session) is None
        assert caller_by(house.services, token) is None
        refused(lambda: known_invitation(house.services, link), 404)
        refused(lambda: sign_in(house.services, TEAMMATE, PASSWORD, HERE), 401)

    def test_of_who_comes_back_are_those_of_the_new_link(self, house: Product) -> None:
        tom = joins(house, may_manage=True)
        token = make_api_token(house.services, tom, "Report")
        remove_teammate(house.services, come_in(house), tom.user_id)
        back = joins(house)
        assert back.user_id == tom.user_id
        assert not back.rights.may_manage
        assert caller_by(house.services, token) is None


class TestAnApiToken:
    def test_has_its_makers_rights_of_the_moment(self, house: Product) -> None:
        tom = joins(house, may_manage=True)
        token = make_api_token(house.services, tom, "Weekly report")
        caller = caller_by(house.services, token)
        assert caller is not None
        assert (caller.actor, caller.rights.may_manage) == (f"{TEAMMATE} through Weekly report", True)
        change_rights(house.services, come_in(house), tom.user_id, owner=False, may_manage=False)
        caller = caller_by(house.services, token)
        assert caller is not None
        assert not caller.rights.may_manage

    def test_is_kept_as_a_digest_and_logged_by_name(self, house: Product) -> None:
        token = make_api_token(house.services, come_in(house), "Weekly report")
        with house.database.reading() as connection:
            assert token not in str(connection.execute(select(api_tokens)).all())
        assert token not in str(log_of(house))
        assert log_of(house, "api_token_made")[0].name == "Weekly report"

    def test_no_longer_works_when_it_is_revoked(self, house: Product) -> None:
        anna = come_in(house)
        token = make_api_token(house.services, anna, "Weekly report")
        revoke_api_token(house.services, anna, 1)
        assert caller_by(house.services, token) is None
        refused(lambda: revoke_api_token(house.services, anna, 1), 404)

    def test_is_revoked_by_its_maker_or_an_owner(self, house: Product) -> None:
        tom, eve = joins(house, may_manage=True), joins(house, "eve@example.com", may_manage=True)
        make_api_token(house.services, tom, "Weekly report")
        refused(lambda: revoke_api_token(house.services, eve, 1), 404)
        revoke_api_token(house.services, come_in(house), 1)

    @pytest.mark.parametrize("name", ["", "  ", "\0"])
    def test_has_a_name(self, house: Product, name: str) -> None:
        refused(lambda: make_api_token(house.services, come_in(house), name), 422)

    def test_tells_when_it_was_used_last(self, house: Product) -> None:
        token = make_api_token(house.services, come_in(house), "Weekly report")
        caller_by(house.services, token)
        with house.database.reading() as connection:
            assert connection.execute(select(api_tokens.c.used_at)).scalar_one() == house.time
