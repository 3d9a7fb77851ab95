"""Who comes in, who may do what, and what is refused: forged forms, fixed sessions, others' links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.core.access import ATTEMPTS_OF_ACCOUNT, Asks
from app.factory import make_app
from app.storage.database import Database
from app.usecases.change_rights import change_rights
from app.usecases.make_api_token import make_api_token
from app.web.console.access import own_path
from tests.web.console.visitor import OWNER, PASSWORD, TEAMMATE, Installation, Visitor

ANOTHER = "quite some other words"


@pytest.fixture
def here(database: Database) -> Iterator[Installation]:
    made = Installation(database)
    yield made
    made.close()


def routes(app: Flask, method: str) -> Iterator[tuple[str, str]]:
    """Endpoint and address of each page of the console."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("console.") and method in (rule.methods or ()):
            path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
            yield rule.endpoint, re.sub(r"<[^>]+>", "999", path)


def asks(app: Flask, endpoint: str) -> Asks:
    found: Asks = getattr(app.view_functions[endpoint], "asks", Asks.RIGHT_TO_MANAGE)
    return found


def is_open(app: Flask, endpoint: str) -> bool:
    return bool(getattr(app.view_functions[endpoint], "open_to_all", False))


OPEN = {
    "console.sign_in.show",
    "console.sign_in.come_in",
    "console.sign_in.show_invitation",
    "console.sign_in.accept",
}
OWN = {
    "console.sign_in.go_out",
    "console.sign_in.choose_theme",
    "console.account.change",
    "console.account.end",
    "console.account.end_others",
}


def plain(answer: TestResponse) -> str:
    """The page without the marks of its forms, which tell the time."""
    return re.sub(r'name="csrf_token"[^>]*>', "", answer.text)


class TestWithoutSigningIn:
    def test_every_page_leads_to_the_sign_in(self, here: Installation) -> None:
        visitor, checked = here.visitor(), 0
        for method in ("GET", "POST"):
            for endpoint, path in routes(here.app, method):
                if endpoint in OPEN:
                    continue
                answer = visitor.client.open(path, method=method, base_url=here.base)
                assert answer.status_code == 302, path
                assert answer.location.partition("?")[0] == "/sign-in", path
                checked += 1
        assert checked > 10

    def test_only_these_are_open(self, here: Installation) -> None:
        found = {endpoint for method in ("GET", "POST") for endpoint, _ in routes(here.app, method)}
        assert {endpoint for endpoint in found if is_open(here.app, endpoint)} == OPEN

    def test_one_comes_to_the_page_that_was_wanted(self, here: Installation) -> None:
        visitor = here.visitor()
        asked = visitor.get("/audit-log?kind=rights_changed")
        assert visitor.sign_in(to=asked.location).location == "/audit-log?kind=rights_changed"

    def test_nobody_signs_up(self, here: Installation) -> None:
        for path in ("/sign-up", "/register", "/signup"):
            assert here.visitor().get(path).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "to"),
    [
        ("/campaigns/1?tab=leads", "/campaigns/1?tab=leads"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("///evil.example", "/"),
        ("/%2f/evil.example", "/%2f/evil.example"),
    ],
)
def test_one_goes_on_to_a_path_of_ours_only(wanted: str | None, to: str) -> None:
    assert own_path(wanted) == to


class TestTheSignIn:
    def test_answers_an_unknown_email_and_a_wrong_password_alike(self, here: Installation) -> None:
        visitor = here.visitor()
        wrong, unknown = visitor.sign_in(OWNER, "wrong"), visitor.sign_in("nobody@example.com", "wrong")
        assert wrong.status_code == unknown.status_code == 401
        assert plain(wrong).replace(OWNER, "") == plain(unknown).replace("nobody@example.com", "")

    def test_is_throttled_without_redis(self, here: Installation) -> None:
        """Nothing listens where this installation's Redis should be."""
        visitor = here.visitor()
        for _ in range(ATTEMPTS_OF_ACCOUNT):
            assert visitor.sign_in(OWNER, "wrong").status_code == 401
        answer = visitor.sign_in(OWNER, PASSWORD)
        assert answer.status_code == 429
        assert "too many attempts" in answer.text

    def test_begins_another_session_than_the_one_that_was_brought(self, here: Installation) -> None:
        visitor = here.visitor()
        visitor.mark()
        brought, marked = visitor.cookie, visitor.session()["csrf_token"]
        visitor.sign_in()
        visitor.mark("/account")
        assert visitor.session()["csrf_token"] != marked
        stranger = here.visitor()
        stranger.bring(brought)
        assert stranger.get("/account").status_code == 302

    def test_gives_another_token_each_time(self, here: Installation) -> None:
        visitor = here.signed_in()
        first = visitor.session()["_user_id"]
        visitor.post("/sign-out")
        visitor.sign_in()
        assert visitor.session()["_user_id"] != first
        assert not first.isdigit()

    def test_is_undone_on_the_server_too(self, here: Installation) -> None:
        visitor = here.signed_in()
        kept = visitor.cookie
        visitor.bring(kept)
        assert visitor.get("/account").status_code == 200
        visitor.post("/sign-out")
        visitor.bring(kept)
        assert visitor.get("/account").status_code == 302

    @pytest.mark.parametrize(("address", "secure"), [("http://127.0.0.1:8000", False), ("https://example.com", True)])
    def test_gives_a_cookie_that_scripts_and_other_sites_do_not_get(
        self, database: Database, address: str, secure: bool
    ) -> None:
        here = Installation(database, PUBLIC_URL=address)
        answer = here.visitor().sign_in()
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["session"]
        assert (cookie["httponly"], cookie["samesite"], bool(cookie["secure"])) == (True, "Lax", secure)
        here.close()


class TestForms:
    def test_without_the_mark_are_refused(self, here: Installation) -> None:
        visitor, checked = here.signed_in(), 0
        for _endpoint, path in routes(here.app, "POST"):
            answer = visitor.send(path)
            assert answer.status_code == 400, path
            assert "own mark" in answer.text
            checked += 1
        assert checked > 10

    def test_with_somebody_elses_mark_are_refused(self, here: Installation) -> None:
        mark = here.teammate().mark("/account")
        assert here.signed_in().send("/teammates", csrf_token=mark, email="x@example.com").status_code == 400

    def test_with_a_mark_from_before_the_sign_in_are_refused(self, here: Installation) -> None:
        visitor = here.visitor()
        mark = visitor.mark()
        visitor.sign_in()
        assert visitor.send("/sign-out", csrf_token=mark).status_code == 400

    def test_of_the_sign_in_are_marked_too(self, here: Installation) -> None:
        assert here.visitor().send("/sign-in", email=OWNER, password=PASSWORD).status_code == 400


class TestATeammate:
    def test_changes_nothing_without_the_right(self, here: Installation) -> None:
        visitor, checked = here.teammate(), 0
        mark = visitor.mark("/account")
        for endpoint, path in routes(here.app, "POST"):
            if endpoint in OPEN | OWN:
                continue
            answer = visitor.send(path, csrf_token=mark)
            assert answer.status_code == 403, path
            assert 'data-cause="teammate_not_permitted"' in answer.text
            assert OWNER in answer.text
            checked += 1
        assert checked > 8

    def test_has_these_doings_of_their_own(self, here: Installation) -> None:
        found = {endpoint for endpoint, _ in routes(here.app, "POST")}
        assert {one for one in found if asks(here.app, one) is Asks.NOTHING_MORE} == OWN

    def test_sees_the_pages_with_the_reason_and_whom_to_ask(self, here: Installation) -> None:
        visitor = here.teammate()
        for path in ("/teammates", "/tokens", "/audit-log", "/account"):
            page = visitor.get(path)
            assert page.status_code == 200
            assert 'data-cause="teammate_not_permitted"' in page.text
            assert f"Ask {OWNER}" in page.text

    def test_with_the_right_does_all_but_an_owners_doings(self, here: Installation) -> None:
        visitor = here.teammate(may_manage=True)
        mark = visitor.mark("/account")
        assert visitor.send("/tokens", csrf_token=mark, name="Report").status_code == 200
        for endpoint, path in routes(here.app, "POST"):
            if asks(here.app, endpoint) is Asks.OWNER:
                assert visitor.send(path, csrf_token=mark).status_code == 403, path
        assert 'data-cause="teammate_not_permitted"' not in visitor.get("/tokens").text

    def test_loses_the_right_at_once(self, here: Installation) -> None:
        visitor = here.teammate(may_manage=True)
        change_rights(here.services, here.owner(), 2, owner=False, may_manage=False)
        assert visitor.post("/tokens", name="Report").status_code == 403

    def test_ends_no_session_of_others(self, here: Installation) -> None:
        owner = here.signed_in()
        here.teammate().post("/account/sessions/1/end")
        assert owner.get("/account").status_code == 200

    def test_changes_their_password_and_stays_in(self, here: Installation) -> None:
        visitor = here.teammate()
        elsewhere = here.signed_in(TEAMMATE)
        fields = {"current": PASSWORD, "password": ANOTHER, "again": ANOTHER}
        assert visitor.post("/account/password", **fields).status_code == 303
        assert visitor.get("/account").status_code == 200
        assert elsewhere.get("/account").status_code == 302

    def test_chooses_light_or_dark(self, here: Installation) -> None:
        visitor = here.teammate()
        assert visitor.post("/theme", theme="dark", next="/tokens").location == "/tokens"
        assert 'data-bs-theme="dark"' in visitor.get("/tokens").text
        visitor.post("/theme", theme="auto", next="//evil.example")
        assert "data-bs-theme" not in visitor.get("/tokens").text


class TestAnOwner:
    def test_invites_somebody_by_a_link_that_is_shown_once(self, here: Installation) -> None:
        visitor = here.signed_in()
        answer = visitor.post("/teammates", email="new@example.com", level="manage")
        assert answer.status_code == 200, answer.text[-3000:]
        found = re.search(re.escape(here.base) + r"(/invitations/[\w-]+)", answer.text)
        assert found
        assert found[1] not in visitor.get("/teammates").text
        newcomer = here.visitor()
        assert "new@example.com" in newcomer.get(found[1]).text
        assert newcomer.post(found[1], password=PASSWORD, again=PASSWORD).location == "/"
        assert "Teammate who may manage" in newcomer.get("/teammates").text

    def test_is_told_why_they_must_stay_one(self, here: Installation) -> None:
        answer = here.signed_in().post("/teammates/1/rights", level="look")
        assert answer.status_code == 409
        assert "last owner" in answer.text

    def test_removes_signs_out_and_helps_others(self, here: Installation) -> None:
        visitor, teammate = here.signed_in(), here.teammate()
        assert "/invitations/" in visitor.post("/teammates/2/recovery").text
        assert visitor.post("/teammates/links/2/withdraw").status_code == 303
        assert visitor.post("/teammates/2/sessions/end").status_code == 303
        assert teammate.get("/account").status_code == 302
        teammate.sign_in(TEAMMATE)
        assert visitor.post("/teammates/2/remove").status_code == 303
        assert teammate.get("/account").status_code == 302
        assert teammate.sign_in(TEAMMATE).status_code == 401

    def test_reads_in_the_log_what_was_done_and_by_whom(self, here: Installation) -> None:
        visitor = here.signed_in()
        visitor.post("/teammates", email="<b>x</b>@example.com", level="look")
        here.teammate()
        visitor.post("/teammates/2/rights", level="manage")
        page = visitor.get("/audit-log?kind=rights_changed&person=ANNA@example.com").text
        assert "Rights changed" in page
        assert '<td class="text-break">false</td><td class="text-break">true</td>' in page
        assert "No change fits" in visitor.get("/audit-log?person=nobody@example.com").text
        assert "&lt;b&gt;" in visitor.get("/audit-log").text
        assert "<b>x" not in visitor.get("/audit-log").text
        assert visitor.get("/audit-log?before=nonsense").status_code == 422


class TestALink:
    def test_that_was_used_is_refused_in_plain_words(self, here: Installation) -> None:
        link = here.invited()
        first, second = here.visitor(), here.visitor()
        mark = second.mark(link)
        first.post(link, password=PASSWORD, again=PASSWORD)
        answer = second.send(link, csrf_token=mark, password=ANOTHER, again=ANOTHER)
        assert answer.status_code == 404
        assert "used already" in answer.text
        assert "Ask an owner for a new one" in answer.text

    @pytest.mark.parametrize("link", ["/invitations/made-up", "/invitations/%00", "/invitations/%ED%A0%80"])
    def test_that_is_none_is_refused_in_plain_words(self, here: Installation, link: str) -> None:
        answer = here.visitor().get(link)
        assert answer.status_code == 404
        assert "not one of ours" in answer.text

    def test_of_another_lets_nobody_be_both(self, here: Installation) -> None:
        """Whoever is signed in already is the other one then, and their own session is left alone."""
        link, owner = here.invited(), here.signed_in()
        assert TEAMMATE in owner.get(link).text
        owner.post(link, marked_by="/account", password=PASSWORD, again=PASSWORD)
        page = owner.get("/account").text
        assert TEAMMATE in page
        assert OWNER not in re.sub(r"Ask [^<]+", "", page)


class TestPages:
    @pytest.mark.parametrize(
        "path", ["/sign-in", "/teammates", "/tokens", "/audit-log", "/account", "/tokens?before=x"]
    )
    def test_have_no_code_of_their_own_and_are_not_kept(self, here: Installation, path: str) -> None:
        answer = (here.visitor() if path == "/sign-in" else here.signed_in()).get(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", answer.text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))
        assert "//" not in re.sub(
            r"https?://127\.0\.0\.1:8000", "", "".join(re.findall(r'(?:src|href)="[^"]+"', answer.text))
        )

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # elsewhere a missing table is no absence
    def test_say_so_while_the_database_is_away(self, here: Installation) -> None:
        visitor = here.signed_in()
        here.app = make_app(here.wired.settings, here.wired)  # as it is served
        served = here.visitor()
        served.bring(visitor.cookie)
        with here.services.database.writing() as connection:
            connection.execute(text("ALTER TABLE sessions RENAME TO elsewhere"))
        answer = served.get("/teammates")
        assert answer.status_code == 503
        assert "The database can't be reached" in answer.text


class TestAnApiToken:
    def bearer(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def test_reads_and_writes_with_its_makers_rights(self, here: Installation) -> None:
        visitor = here.teammate(may_manage=True)
        page = visitor.post("/tokens", name="Report").text
        found = re.search(r"referloop_[\w-]+", page)
        assert found
        client, headers = here.app.test_client(), self.bearer(found[0])
        assert found[0] not in visitor.get("/tokens").text
        assert client.get("/api/v1/workspaces", headers=headers).status_code == 200
        assert client.post("/api/v1/events/replay", headers=headers).status_code == 200
        change_rights(here.services, here.owner(), 2, owner=False, may_manage=False)
        assert client.get("/api/v1/workspaces", headers=headers).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.open("/api/v1/workspaces/1", method=method, headers=headers)
            assert answer.status_code == 403
            assert answer.get_json(force=True)["cause"] == "teammate_not_permitted"
        here.signed_in().post("/teammates/2/remove")
        assert client.get("/api/v1/workspaces", headers=headers).status_code == 401

    def test_that_was_revoked_is_refused(self, here: Installation) -> None:
        token = make_api_token(here.services, here.owner(), "Report")
        visitor: Visitor = here.signed_in()
        assert visitor.post("/tokens/1/revoke").status_code == 303
        assert here.app.test_client().get("/api/v1/workspaces", headers=self.bearer(token)).status_code == 401

    def test_opens_no_page_of_the_console(self, here: Installation) -> None:
        token = make_api_token(here.services, here.owner(), "Report")
        assert here.app.test_client().get("/teammates", headers=self.bearer(token)).status_code == 302
