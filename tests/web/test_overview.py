"""The first page of the console: empty, full, failing, and with names that would be more than names."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html import escape
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.core.causes import CATALOGUE, Cause
from app.storage import accounts, campaigns, workspaces
from app.storage.circuits import Broken, open_
from app.storage.database import Database
from app.storage.tables import activity
from app.usecases.count_hours import LATE, count_hours
from app.usecases.services import Services
from app.usecases.sign_in import begin_session
from app.web import api, console, problems
from app.web.console.charts import Bars, svg_response
from tests.product import START, Product
from tests.usecases.test_counting import comes, happens

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "' onclick='alert(1)",
    "‮txt.exe‬ \u202bשלום",
    "🦄" * 20,
    "x" * 10_000,
    "&lt;b&gt; & ]]>",
]


def client_of(services: Services, token: str | None = None) -> FlaskClient:
    """A teammate's browser, signed in."""
    app = Flask("app.web")
    app.extensions["referloop"] = services
    app.secret_key = "of a test"
    app.extensions["referloop.admin_token"] = None
    problems.register(app)
    api.register(app)
    console.register(app)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = token or _signed_in(services)
    return client


def _signed_in(services: Services) -> str:
    person = {"email": "tim@example.com", "password_hash": "-", "owner": True, "may_manage": True}
    with services.database.writing() as connection:
        user_id = accounts.add(connection, created_at=services.now(), **person)
        return begin_session(connection, user_id, "a browser", services.now())


@pytest.fixture
def client(product: Product) -> FlaskClient:
    return client_of(product.services)


def text(client: FlaskClient, address: str = "/", status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.get_data(as_text=True)


def later(product: Product) -> None:
    product.advance(LATE.total_seconds() + 1)
    count_hours(product.services)


def part(page: str, name: str) -> str:
    """The text from one mark of the page to the next of its kind."""
    kind, _, _ = name.partition("=")
    found = re.search(rf'{re.escape(name)}"?(.*?)(?: {kind}=|</section>|\Z)', page, re.S)
    assert found, name
    return found[1]


class TestFirstSteps:
    def test_tick_off(self, product: Product, client: FlaskClient) -> None:
        page = text(client)
        assert re.findall(r'data-step="(\d)" data-done="(\w+)"', page) == [
            *((str(n), "yes") for n in range(1, 5)),
            ("5", "no"),
        ]
        product.receive_lead()
        product.work_until_idle()
        assert "What to do first" not in text(client)

    def test_of_an_empty_installation_are_all_that_is_shown(self, product: Product) -> None:
        with product.database.writing() as connection:
            for table in ("audience_versions", "campaigns", "attributes", "programs", "workspaces"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
        page = text(client_of(product.services))
        assert re.findall(r'data-done="(\w+)"', page) == ["no"] * 5
        assert 'href="/connections"' in page
        for title in ("Connections</h2>", "At work", "How far", "What stands"):
            assert title not in page


class TestAFullOverview:
    def test_shows_how_far_people_have_come(self, product: Product, client: FlaskClient) -> None:
        product.watched()
        numbers = re.findall(r'<td class="text-end">([\d,]+)', part(text(client), 'data-funnel="all'))
        assert numbers == ["1", "1", "0", "0"]

    def test_shows_problems_with_their_remedy_and_the_people(self, product: Product, client: FlaskClient) -> None:
        for number in range(53):
            happens(product, {"outcome": "skipped", "cause": "duplicate_skipped", "email": f"{number}@example.com"})
        later(product)
        shown = part(text(client), 'data-problem="duplicate_skipped')
        known = CATALOGUE[Cause.DUPLICATE_SKIPPED]
        for sentence in (known.title, known.explanation, known.remedy):
            assert str(escape(sentence)).replace("&#x27;", "&#39;") in shown.replace("&#34;", "&quot;")
        assert "53 people concerned" in shown
        first = text(client, "/problems/duplicate_skipped")
        (older,) = re.findall(r'href="(/problems/[^"]*)" rel="next"', first)
        second = text(client, older.replace("&amp;", "&"))
        found = re.findall(r"\b(\d+@example.com)", first + second)
        assert found == [f"{n}@example.com" for n in range(52, -1, -1)]
        assert 'rel="next"' not in second

    def test_names_the_fields_that_a_problem_is_about(self, product: Product, client: FlaskClient) -> None:
        seats = {"to": "custom_attributes.Seats", "cause": "value_wrong_type"}
        happens(product, {"fields": [{"to": "name", "cause": None}, seats], "contact_id": "c1"})
        later(product)
        page = text(client, "/problems/value_wrong_type")
        assert "Seats" in page
        assert 'href="https://app.intercom.com/a/apps/app1/users/c1/all-conversations"' in page

    def test_has_a_chart_and_a_table_of_what_came_and_what_became_of_it(
        self, product: Product, client: FlaskClient
    ) -> None:
        comes(product, {}, {"source": "referral_factory", "topic": "joined"})
        happens(product, {}, {}, {"outcome": "failed"})
        page = text(client)
        assert "Intercom 1, Referral Factory 1." in part(page, 'data-chart="received-day')
        assert "Created 2, Failed 1." in part(page, 'data-chart="done-month')
        addresses = re.findall(r'src="(/overview/[^"]*)"', page)
        assert len(addresses) == 4
        for address in addresses:
            assert client.get(address).content_type == "image/svg+xml"

    def test_says_what_waits(self, product: Product, client: FlaskClient) -> None:
        comes(product, {"status": "dead", "cause": "webhook_not_understood"}, {"status": "retrying"})
        page = text(client)
        assert ">1</div>" in part(page, 'data-waiting="retrying')
        assert "1 event given up" in part(page, 'data-given-up="webhook_not_understood')

    def test_of_a_cause_that_concerns_nobody_says_so(self, client: FlaskClient) -> None:
        assert "nobody’s way any more" in text(client, "/problems/duplicate_skipped")

    @pytest.mark.parametrize("address", ["/problems/no-cause", "/problems/<b>", "/overview/received-year.svg"])
    def test_of_what_there_is_not_is_none(self, client: FlaskClient, address: str) -> None:
        assert client.get(address).status_code == 404

    @pytest.mark.parametrize("cursor", ["x", "bnVsbA", "-1", "é", "MA"])
    def test_refuses_a_cursor_of_another_list(self, client: FlaskClient, cursor: str) -> None:
        assert client.get("/problems/duplicate_skipped", query_string={"cursor": cursor}).status_code == 422


class TestAFailingOne:
    def test_shows_a_lost_workspace_in_red(self, product: Product, client: FlaskClient) -> None:
        with product.database.writing() as connection:
            workspaces.change(
                connection, product.workspace_id, state="disconnected", state_cause="intercom_unauthorized"
            )
        comes(product, {"status": "received", "held_by": f"workspace:{product.workspace_id}"})
        page = text(client)
        assert f'border-danger" data-connection="intercom:{product.workspace_id}' in page
        shown = part(page, f'data-connection="intercom:{product.workspace_id}')
        assert CATALOGUE[Cause.INTERCOM_UNAUTHORIZED].title in shown
        assert "1 event waits for it" in shown
        assert "Reconnect" in shown

    def test_names_missing_permissions_and_open_circuits(self, product: Product, client: FlaskClient) -> None:
        name = f"intercom:{product.workspace_id}:contacts_write"
        with product.database.writing() as connection:
            workspaces.miss_permission(connection, product.workspace_id, "contacts_write")
            open_(connection, Broken(name, "intercom_permission_missing", LATE), START)
        shown = part(text(client), f'data-connection="intercom:{product.workspace_id}')
        assert "Missing permissions:</span> contacts_write" in shown
        assert CATALOGUE[Cause.INTERCOM_PERMISSION_MISSING].title in shown

    def test_says_that_nobody_works(self, product: Product, client: FlaskClient) -> None:
        product.receive_lead()
        product.work_until_idle()
        assert "data-behind" in text(client)
        later(product)
        assert "data-behind" not in text(client)

    def test_without_its_database_says_so_in_plain_words(self, product: Product) -> None:
        away = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
        client = client_of(replace(product.services, database=away), "a-token")
        for address in ("/", "/problems/duplicate_skipped", "/overview/done-day.svg"):
            answer = client.get(address)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
            assert "database" in answer.get_data(as_text=True)


class TestNames:
    @pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
    def test_stay_names(self, product: Product, client: FlaskClient, name: str) -> None:
        with product.database.writing() as connection:
            workspaces.change(connection, product.workspace_id, name=name)
            campaigns.change(connection, product.campaign_id, name=name)
            connection.execute(activity.delete())
        field = {"to": f"custom_attributes.{name}", "cause": "value_wrong_type"}
        happens(
            product, {"email": name, "detail": name, "fields": [field], "outcome": name[:300], "contact_id": name}
        )
        comes(product, {"source": name[:300]})
        for counted in (False, True):
            if counted:
                later(product)
            for address in ("/", "/problems/value_wrong_type"):
                page = text(client, address)
                assert "<script>alert" not in page
                assert "<img src=x" not in page
                assert not re.search(r"<[^>]* onclick='", page)
                assert ">49<" not in page
            for what in ("received", "done"):
                drawn = client.get(f"/overview/{what}-day.svg").data
                ElementTree.fromstring(drawn)
                assert b"<script" not in drawn
                assert b"<img" not in drawn
        assert "Somebody" not in text(client, "/problems/value_wrong_type")


class TestCharts:
    @pytest.mark.parametrize(
        ("most", "ticks"),
        [(0, "0 1"), (1, "0 1"), (4, "0 1 2 3 4"), (5, "0 2 4 6"), (41, "0 20 40 60"), (2500, "0 1,000 2,000 3,000")],
    )
    def test_are_read_off_in_whole_numbers_and_whole_words(self, most: int, ticks: str) -> None:
        drawn = svg_response(Bars(["22 Nov", "23 Nov"], {"created": [most, 0]}, {}), "auto").get_data()
        words = [one.text for one in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
        assert set(words) == {"22 Nov", "23 Nov", *ticks.split()}

    @pytest.mark.parametrize("theme", ["auto", "light", "dark"])
    @pytest.mark.parametrize("counts", [{}, {"created": [0, 0]}, {"created": [1, 2], "failed": [0, 10**6]}])
    def test_are_drawn_without_scripts_links_or_loose_styles(self, theme: str, counts: dict[str, list[int]]) -> None:
        answer = svg_response(Bars(["1", "2"], counts, {"created": "Created"}), theme)
        drawn = answer.get_data(as_text=True)
        root = ElementTree.fromstring(drawn)
        tags = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert tags.isdisjoint({"script", "a", "image", "use", "foreignObject"})
        assert [name for node in root.iter() for name in node.attrib if re.search("style|href|^on", name)] == []
        assert set(re.findall(r"https?://[^\"\s<]*", drawn)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert "url(" not in drawn
        assert "@import" not in drawn

    def test_are_allowed_their_own_style_and_nothing_else(self) -> None:
        answer = svg_response(Bars(["1"], {"created": [1]}, {}), "auto")
        root = ElementTree.fromstring(answer.data)
        (style,) = [node.text or "" for node in root.iter() if node.tag.endswith("}style")]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert answer.headers["Content-Security-Policy"] == f"default-src 'none'; style-src 'sha256-{digest}'"

    def test_follow_the_reader_where_they_have_chosen_no_colours(self) -> None:
        bars = Bars(["1"], {"created": [1]}, {})
        drawn = {theme: svg_response(bars, theme).get_data(as_text=True) for theme in ("auto", "light", "dark")}
        assert [theme for theme, text in drawn.items() if "prefers-color-scheme" in text] == ["auto"]
        assert len(set(drawn.values())) == 3
