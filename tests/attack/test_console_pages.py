"""The console against forged posts, tampered cookies, redirects to elsewhere, other hosts' names, paths out of its
folders, forms of any size and cells that are formulas."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zlib
from html import unescape
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.routing import Rule

from app.web.console.access import MOST_BYTES, own_path
from tests.attack.target import FORM, JSON, Answer, Target, examples
from tests.web.console.visitor import OWNER, PASSWORD

CONSOLE = "the console"
rushed = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


class Browser:
    """Keeps cookies, and sends what it is told to."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str | bytes, body: bytes = b"", **headers: str) -> Answer:
        sent = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.target.send(CONSOLE, method, path, body, sent)
        self.cookies |= answer.cookies
        return answer

    def post(self, path: str, marked: bool = True, **fields: str) -> Answer:
        given_ = {**fields, **({"csrf_token": self.mark()} if marked else {})}
        form = urlencode(given_).encode()
        return self.send("POST", path, form, Content_Type=FORM, Referer=f"{self.target.base}/", Host="127.0.0.1:8000")

    def mark(self) -> str:
        page = self.send("GET", "/account" if "session" in self.cookies and self.inside else "/sign-in").body.decode()
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert found, page[:500]
        return unescape(found[1])

    inside = False

    def sign_in(self) -> Browser:
        answer = self.post("/sign-in", email=OWNER, password=PASSWORD)
        assert answer.status == 303, answer.body[-500:]
        self.inside = True
        return self


@pytest.fixture(scope="module")
def owner(target: Target) -> Browser:
    return Browser(target).sign_in()


def pages(target: Target, method: str) -> list[Rule]:
    return [
        rule
        for rule in target.app.url_map.iter_rules()
        if rule.endpoint.startswith("console.") and method in (rule.methods or ())
    ]


def filled(rule: Rule) -> str:
    """An address of a page, about what there is."""
    sample = {
        "audience": "leads",
        "form": "token",
        "do": "pause",
        "step": "contacts",
        "name": "signups",
        "cause": "not_found",
        "token": "x" * 40,
    }
    path = re.sub(r"<any\((\w+)[^<>]*>", r"\1", rule.rule)
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda found: sample.get(found[1], "1"), path)


def holds(answer: Answer) -> None:
    assert answer.status < 500, answer.broken or answer.body[:500]


# Forged posts


def test_nothing_is_posted_without_this_browsers_own_mark(target: Target, owner: Browser) -> None:
    marks = ["", "x", "null", base64.b64encode(b"{}").decode(), Browser(target).mark()]
    before = target.version()
    for rule in pages(target, "POST"):
        for mark in marks:
            form = urlencode({"csrf_token": mark, "email": "eve@example.com"}).encode()
            answer = owner.send("POST", filled(rule), form, Content_Type=FORM, Referer=f"{target.base}/")
            assert answer.status == 400, (rule.rule, answer.status, answer.broken)
    assert target.version() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Content_Type": JSON},
        {"Content_Type": "text/plain"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"X_CSRFToken": "x"},
        {"X_HTTP_Method_Override": "GET"},
    ],
    ids=str,
)
def test_no_other_site_posts_in_somebodys_name(target: Target, owner: Browser, headers: dict[str, str]) -> None:
    before = target.version()
    for rule in pages(target, "POST"):
        sent = {"Content_Type": FORM, "Referer": "https://evil.example/", **headers}
        answer = owner.send("POST", filled(rule), b'{"csrf_token": "x"}', **sent)
        assert answer.status == 400, (rule.rule, answer.status, answer.broken)
    assert target.version() == before


def test_a_method_is_the_one_of_the_request_line(target: Target, owner: Browser) -> None:
    """Neither a header nor a field makes another one of it, and no page answers to a method it does not name."""
    before = target.version()
    for rule in pages(target, "POST"):
        path = filled(rule)
        for trick in ({"X_HTTP_Method_Override": "POST"}, {"X_HTTP_Method": "POST"}, {"X_Method_Override": "POST"}):
            holds(owner.send("GET", f"{path}?_method=POST", **trick))
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "post", "PROPFIND"):
            assert owner.send(method, path).status in (400, 404, 405), (method, path)
    assert target.version() == before


def test_strangers_see_and_do_nothing(target: Target) -> None:
    before = target.version()
    for method in ("GET", "POST"):
        for rule in pages(target, method):
            view: Any = target.app.view_functions[rule.endpoint]
            if getattr(view, "open_to_all", False):
                continue
            answer = Browser(target).send(method, filled(rule), b"a=1", Content_Type=FORM)
            assert answer.status in (302, 303, 400), (method, rule.rule, answer.status)
            assert answer.status == 400 or answer.headers["Location"].startswith("/sign-in"), answer.headers
    assert target.version() == before


# Cookies


def test_a_tampered_cookie_is_no_cookie(target: Target, owner: Browser) -> None:
    """Another payload, another signature, another key, none at all, compressed: nobody is signed in."""
    good = owner.cookies["session"]
    payload, stamp, signature = good.rsplit(".", 2)
    inside = json.dumps({"_user_id": "1", "_fresh": True}).encode()
    plain = base64.urlsafe_b64encode(inside).rstrip(b"=").decode()
    packed = "." + base64.urlsafe_b64encode(zlib.compress(inside * 1000)).rstrip(b"=").decode()
    bomb = "." + base64.urlsafe_b64encode(zlib.compress(bytes(50_000_000))).rstrip(b"=").decode()
    forged = [
        "",
        ".",
        "..",
        "...",
        "x",
        good[:-1],
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        f"{payload}.{stamp}",
        payload,
        f"{plain}.{stamp}.{signature}",
        f"{packed}.{stamp}.{signature}",
        f"{bomb}.{stamp}.{signature}",
        f"{plain}..",
        f"{payload}.AAAAAA.{signature}",
        f"{payload[::-1]}.{stamp}.{signature}",
        "\xff\xfe",
        "x" * 60_000,
        f"{good}.{signature}",
    ]
    before = target.version()
    for cookie in forged:
        browser = Browser(target)
        browser.cookies = {"session": cookie}
        answer = browser.send("GET", "/account")
        assert (answer.status, answer.headers.get("Location", "")[:8]) == (302, "/sign-in"), cookie[:60]
    assert target.version() == before


def test_any_bytes_for_a_cookie_are_a_strangers(target: Target) -> None:
    @settings(rushed, max_examples=examples(0.05))
    @given(cookie=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80))
    def one(cookie: str) -> None:
        for sent in (cookie, f"session={cookie}", f"theme={cookie}; session={cookie}", f"remember_token={cookie}"):
            answer = target.send(CONSOLE, "GET", "/account", b"", {"Cookie": sent})
            assert answer.status == 302, (answer.status, answer.broken)

    one()


@pytest.mark.parametrize("cookie", ["1|é", "é|é", "|", "1|" + "0" * 128, "|é"])
def test_nobody_is_remembered_beyond_the_session(target: Target, cookie: str) -> None:
    answer = target.send(CONSOLE, "GET", "/account", b"", {"Cookie": f"remember_token={cookie}"})
    assert (answer.status, answer.headers["Location"][:8]) == (302, "/sign-in")


def test_cookies_are_out_of_scripts_and_other_sites_reach(target: Target) -> None:
    browser = Browser(target)
    answer = browser.send("GET", "/sign-in")
    (cookie,) = [value for name, value in answer.lines if name == "Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


# Where it leads

ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/%09/evil.example/..",
    "http:///evil.example",
    "//evil.example:80@127.0.0.1",
    "/.//evil.example",
    "/..//evil.example",
    "//[::1",
    "/\u2028//evil.example",
    " //evil.example",
    "/\x00//evil.example",
    "?next=//evil.example",
    "//127.0.0.1@evil.example",
    "/\r\nSet-Cookie: a=b",
    "/\ud800",
]


@pytest.mark.parametrize("wanted", ELSEWHERE, ids=ascii)
def test_nobody_is_led_to_another_site(target: Target, wanted: str) -> None:
    query = quote(wanted.encode("utf-8", "surrogatepass"))
    browser = Browser(target)
    answers = [browser.post(f"/sign-in?next={query}", email=OWNER, password=PASSWORD)]
    browser.inside = True
    answers.append(browser.send("GET", f"/sign-in?next={query}"))
    answers.append(browser.post("/theme", next=wanted.encode("utf-8", "replace").decode(), theme="dark"))
    for answer in answers:
        assert answer.status in (302, 303), (answer.status, answer.broken)
        stays_here(answer.headers["Location"])
        assert "a=b" not in [value for name, value in answer.lines if name == "Set-Cookie"]


def stays_here(location: str) -> None:
    """As browsers read it: they leave tabs and line ends out, and take a backslash for a slash."""
    seen = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    assert seen.startswith("/"), location
    assert not seen.startswith("//"), location
    assert not urlsplit(seen).netloc


def test_whatever_is_wanted_the_way_stays_here() -> None:
    pieces = st.sampled_from(
        ["/", "\\", ".", "..", "evil.example", ":", "@", "\t", "\n", "\r", " ", "?", "#", "%2f", "http", "\x00"]
    )

    @settings(rushed, max_examples=max(500, examples(0.2)))
    @given(st.lists(pieces, max_size=8).map("".join) | st.text(max_size=20))
    def one(wanted: str) -> None:
        stays_here(own_path(wanted))

    one()


HOSTS = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1:8000@evil.example",
    "",
    "a" * 5000,
    "é.example",
    "x y",
    "[::1",
    "evil\\.example",
    "127.0.0.1:8000, evil.example",
    "127.0.0.1:99999",
    "<script>",
    "evil.example/path",
]


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
def test_a_hosts_name_of_the_senders_making_is_in_no_link(target: Target, owner: Browser, host: str) -> None:
    host = host.encode().decode("latin-1")
    for name in ("Host", "X_Forwarded_Host", "X_Host", "Forwarded", "X_Forwarded_Prefix", "X_Original_URL"):
        for path in ("/", "/sign-in", "/campaigns/1", "/people", "/static/console.css", "/campaigns/", "/nowhere"):
            answer = owner.send("GET", path, **{name: host})
            holds(answer)
            if host:
                assert host.encode("latin-1") not in answer.body
                assert "evil" not in answer.headers.get("Location", "")


# Out of its folders

UP = [
    "../factory.py",
    "..%2ffactory.py",
    "%2e%2e/factory.py",
    "....//factory.py",
    "..\\factory.py",
    "..%5cfactory.py",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "../../../../../../etc/passwd",
    "..%252f..%252fetc/passwd",
    "..%c0%af..%c0%afetc/passwd",
    "console.css%00.py",
    ".",
    "..",
    "a" * 5000,
    "\x00",
    "CON",
    "file:///etc/passwd",
    "../templates/console/base.html",
    "console.css/../../factory.py",
]


@pytest.mark.parametrize("up", UP, ids=lambda one: ascii(one)[:30])
def test_nothing_but_its_files_is_served(target: Target, up: str) -> None:
    for folder in (b"/static/", b"/bootstrap/static/", b"/api/v1/docs/", b"/overview/", b"/problems/"):
        for path in (folder + up.encode(), folder + unquote_to_bytes(up)):
            answer = target.send(CONSOLE, "GET", path)
            assert answer.status in (302, 308, 400, 401, 404), (path, answer.status, answer.broken)
            assert b"root:" not in answer.body
            assert b"make_app" not in answer.body
            if answer.status in (302, 308):
                stays_here(urlsplit(answer.headers["Location"])._replace(scheme="", netloc="").geturl())


# Forms


def test_forms_of_any_content_break_no_page(target: Target, owner: Browser) -> None:
    """With this browser's own mark, so that they are read."""
    posts = [one for one in pages(target, "POST") if not re.search(r"sign-out|sessions|password|/sign-in", one.rule)]
    mark = owner.mark()
    fields = [
        "email",
        "name",
        "region",
        "access_token",
        "client_secret",
        "action",
        "to",
        "from",
        "value",
        "do",
        "next",
        "rows",
        "mapping-0-to",
        "mapping-0-from",
        "mapping-99999999999-to",
        "contacts",
        "segment_id",
        "ids",
        "id",
        "confirm",
        "settings",
        "body",
        "duplicates",
        "theme",
        "password",
        "may_manage",
        "cause",
        "status",
        "version",
    ]
    value = st.sampled_from(
        [
            "",
            "1",
            "on",
            "-1",
            "9" * 40,
            "\x00",
            "{}",
            "[]",
            "[" * 3000,
            "null",
            "leads",
            "all",
            "create_lead",
            "<script>",
            "{{7*7}}",
            "\u202e",
            "a" * 20_000,
            "a@b.co",
            "٣",
        ]
    ) | st.text(max_size=20)

    @settings(rushed, max_examples=examples(0.1))
    @given(
        rule=st.sampled_from(posts),
        form=st.lists(st.tuples(st.sampled_from(fields) | st.text(max_size=10), value), max_size=12),
    )
    def one(rule: Rule, form: list[tuple[str, str]]) -> None:
        pairs = [(a.encode("utf-8", "replace"), b.encode("utf-8", "replace")) for a, b in form]
        body = urlencode([(b"csrf_token", mark.encode()), *pairs]).encode()
        answer = owner.send("POST", filled(rule), body, Content_Type=FORM, Referer=f"{target.base}/")
        assert answer.status < 500 or answer.status == 503, answer.broken or answer.body[:500]
        if 300 <= answer.status < 400:
            stays_here(answer.headers["Location"])

    one()


def test_filters_of_any_content_break_no_page(target: Target, owner: Browser) -> None:
    names = [
        "q",
        "email",
        "before",
        "after",
        "cursor",
        "person",
        "kind",
        "status",
        "cause",
        "outcome",
        "verb",
        "campaign",
        "campaign_id",
        "workspace",
        "from",
        "to",
        "since",
        "until",
        "page",
        "limit",
        "period",
        "days",
        "state",
        "topic",
        "next",
    ]
    value = st.sampled_from(
        [
            "",
            "1",
            "-1",
            "9" * 40,
            "\x00",
            "\ud800",
            "2026-02-30",
            "2026-13-01T25:61:61Z",
            "0000-00-00",
            "W10",
            "bnVsbA",
            "9999-12-31",
            "1e9",
            "'",
            "%",
            "_",
            "é",
            "a@b.co",
            "all",
        ]
    ) | st.text(max_size=20)

    @settings(rushed, max_examples=examples(0.15))
    @given(
        rule=st.sampled_from(pages(target, "GET")),
        query=st.lists(st.tuples(st.sampled_from(names), value), min_size=1, max_size=4),
    )
    def one(rule: Rule, query: list[tuple[str, str]]) -> None:
        asked = urlencode([(name, said.encode("utf-8", "surrogatepass")) for name, said in query])
        answer = owner.send("GET", f"{filled(rule)}?{asked}")
        assert answer.status < 500 or answer.status == 503, (rule.rule, query, answer.broken or answer.body[:500])

    one()


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 3 * MOST_BYTES])
@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=x", "text/plain"])
def test_an_oversized_form_is_refused_unread(target: Target, owner: Browser, size: int, kind: str) -> None:
    before = target.version()
    body = (
        b"a=" + b"x" * size
        if kind == FORM
        else b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * size
    )
    for path in ("/sign-in", "/teammates", "/campaigns/1/leads", "/campaigns/1/settings"):
        answer = owner.send("POST", path, body, Content_Type=kind, Referer=f"{target.base}/")
        assert answer.status in (400, 413), (path, answer.status, answer.broken)
    assert target.version() == before


def test_forms_of_a_hundred_thousand_fields_are_no_way_to_stop_us(target: Target, owner: Browser) -> None:
    body = b"&".join(b"f%d=1" % number for number in range(100_000))
    parts = (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n' for _ in range(20_000)) + b"--x--"
    )
    for sent, kind in ((body, FORM), (parts, "multipart/form-data; boundary=x")):
        answer = owner.send("POST", "/teammates", sent, Content_Type=kind, Referer=f"{target.base}/")
        assert answer.status in (400, 413), (answer.status, answer.broken)


# What is taken out


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_of_a_file_is_a_formula(start: str) -> None:
    from app.web.api.syncs import _as_csv, _defused

    text = f'{start}cmd|"/c calc"!A1,"\n=1+1'
    ((cell,),) = csv.reader(io.StringIO(_as_csv([(_defused(text),)])))
    assert cell == f"'{text}"
