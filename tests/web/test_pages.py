"""The first page: who sees people there, and that nothing of theirs is ever taken for the page's own."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient
from pytest_socket import enable_socket
from sqlalchemy import insert
from werkzeug.test import TestResponse

from app.factory import make_app
from app.storage import inbox
from app.storage.database import Database
from app.storage.inbox import NewEvent
from app.storage.tables import activity, campaigns, events, programs, workspaces
from app.wiring import Wired
from tests.web.installation import TOKEN, settings_for

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOMEBODY = "lea@example.com"
PUBLIC = "https://referloop.example.com"


class Site:
    """An installation at a public address or on its own machine, with one campaign."""

    def __init__(self, database: Database, campaign: str = "Summer referral") -> None:
        self.database = database
        self._wired: list[Wired] = []
        with database.writing() as connection:
            connection.execute(
                insert(workspaces).values(
                    id=1,
                    app_id="app1",
                    name="W",
                    region="us",
                    timezone="UTC",
                    state="connected",
                    missing_permissions=[],
                    created_at=NOW,
                )
            )
            connection.execute(insert(programs).values(id=1, name="P", state="connected", created_at=NOW))
            connection.execute(
                insert(campaigns).values(
                    id=1,
                    program_id=1,
                    workspace_id=1,
                    referral_factory_id="1",
                    name=campaign,
                    fields={},
                    webhook_key="key",
                    webhook_secret="secret",
                    extended_types=False,
                    crm_fields=[],
                    created_at=NOW,
                )
            )

    def client(self, **environ: str) -> FlaskClient:
        settings = settings_for(self.database, **environ)
        self._wired.append(Wired(settings, threads=2))
        return make_app(settings, self._wired[-1]).test_client()

    def happens(self, **changes: Any) -> None:
        row = {
            "at": NOW,
            "campaign_id": 1,
            "audience": "leads",
            "verb": "send",
            "outcome": "created",
            "email": SOMEBODY,
            "workspace_id": 1,
            "fields": [],
        }
        with self.database.writing() as connection:
            connection.execute(insert(activity).values({**row, **changes}))

    def close(self) -> None:
        for wired in self._wired:
            wired.close()


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    site = Site(database)
    yield site
    site.close()


def basic(password: str, name: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def page(answer: TestResponse) -> str:
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    return answer.get_data(as_text=True)


def get(
    client: FlaskClient, *, host: str = "127.0.0.1:8000", address: str = "127.0.0.1", **more: Any
) -> TestResponse:
    return client.get("/", headers={"Host": host, **more}, environ_overrides={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("public", "asked", "shown"),
    [
        ("http://127.0.0.1:8000", {}, True),
        ("http://localhost:8000", {"host": "localhost:8000"}, True),
        ("http://[::1]:8000", {"host": "[::1]:8000", "address": "::1"}, True),
        (PUBLIC, {"host": "referloop.example.com"}, False),
        (PUBLIC, {}, False),
        ("http://127.0.0.1:8000", {"address": "192.0.2.7"}, False),
        ("http://127.0.0.1:8000", {"X-Forwarded-For": "192.0.2.7"}, False),
        ("http://127.0.0.1:8000", {"Forwarded": "for=192.0.2.7"}, False),
        # A name of somebody's that leads to this machine: their page could read ours in the visitor's browser.
        ("http://127.0.0.1:8000", {"host": "rebound.example.com"}, False),
        ("http://127.0.0.1:8000", {"host": "[not an address"}, False),
    ],
)
def test_people_are_shown_without_a_token_on_their_own_machine_only(
    site: Site, public: str, asked: dict[str, str], shown: bool
) -> None:
    site.happens()
    answer = get(site.client(PUBLIC_URL=public), **asked)
    assert answer.status_code in (200, 400)
    assert (SOMEBODY in answer.get_data(as_text=True)) is shown


@pytest.mark.parametrize(("password", "shown"), [(TOKEN, True), ("wrong", False), ("", False), (TOKEN + "x", False)])
def test_at_a_public_address_a_token_shows_them(site: Site, password: str, shown: bool) -> None:
    site.happens()
    client = site.client(PUBLIC_URL=PUBLIC)
    text = page(client.get("/", headers=basic(password)))
    assert (SOMEBODY in text) is shown
    assert ("Sign in with an API token" in text) is not shown


def test_without_a_token_of_its_own_an_installation_shows_nobody(site: Site) -> None:
    site.happens()
    client = site.client(PUBLIC_URL=PUBLIC, ADMIN_API_TOKEN="")
    for headers in ({}, basic(""), basic("None"), {"Authorization": f"Bearer {TOKEN}"}):
        assert SOMEBODY not in page(client.get("/", headers=headers))


def test_who_wants_to_sign_in_is_asked_for_a_token_and_told_of_nobody(site: Site) -> None:
    site.happens()
    client = site.client(PUBLIC_URL=PUBLIC)
    asked = client.get("/?sign-in")
    assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, "Basic")
    assert SOMEBODY not in asked.get_data(as_text=True)
    assert client.get("/?sign-in", headers=basic("wrong")).status_code == 401
    assert SOMEBODY in page(client.get("/?sign-in", headers=basic(TOKEN)))


ODD = {
    "a script": "<script>alert(1)</script>",
    "quotes": "\"'><img src=x onerror=alert(1)>",
    "an entity": "&lt;b&gt; &amp; </li>",
    "a template": "{{ 7 * 7 }} {% raw %}",
    "right to left": "‮שלום‬",
    "emoji": "👩‍👩‍👧 Zoë",
    "ten thousand characters": "x" * 10_000,
}


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize("text", ODD.values(), ids=list(ODD))
def test_what_people_wrote_is_shown_as_they_wrote_it(database: Database, text: str) -> None:
    site = Site(database, campaign=text)
    site.happens(email=text, fields=[{"to": text, "cause": "value_too_long"}, {"to": "name", "cause": None}])
    site.happens(email=None, code=text)
    site.happens(email=None, referral_factory_id=text, outcome="skipped", cause="duplicate_skipped")
    shown = page(get(site.client()))
    site.close()
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)).count(text) == 7
    tags = Tags(shown)
    assert not {"script", "img", "b"} & set(tags.seen)
    assert not any(name.startswith("on") or text in (value or "") for name, value in tags.attributes)


def test_a_name_that_is_too_long_for_a_line_does_not_widen_the_page(site: Site) -> None:
    css = site.client().get("/static/plain.css")
    assert "overflow-wrap" in css.get_data(as_text=True)
    css.close()


def test_tells_what_was_done_newest_first_and_what_waits(site: Site) -> None:
    for n in range(30):
        site.happens(email=f"lead{n:02d}@example.com")
    new = [NewEvent(f"k{n}", "intercom", "ping", 1, None, None, "application/json", b"{}", NOW) for n in range(4)]
    with site.database.writing() as connection:
        ids = [receipt.event_id for receipt in inbox.keep(connection, new)]
        for event_id, status in zip(ids[1:], ("retrying", "dead", "done"), strict=True):
            connection.execute(events.update().where(events.c.id == event_id).values(status=status))
    text = page(get(site.client()))
    assert re.findall(r"lead\d\d@", text) == [f"lead{n:02d}@" for n in range(29, 4, -1)]
    assert "2 waiting · 1 of them to be tried again · 1 given up" in text
    assert "22 November 2026, 12:00:00 UTC" in text


def test_says_what_to_do_while_nothing_has_happened(site: Site) -> None:
    assert "Nothing yet." in page(get(site.client()))


def test_says_so_while_the_database_is_away() -> None:
    enable_socket()
    settings = settings_for("postgresql://nobody@127.0.0.1:1/none")
    wired = Wired(settings, threads=2)
    text = page(get(make_app(settings, wired).test_client()))
    wired.close()
    assert "The database can’t be reached at the moment." in text


def test_runs_no_script_and_loads_nothing_from_elsewhere(site: Site) -> None:
    answer = get(site.client())
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|style=|https?://", page(answer))
