"""The console as somebody at a browser sees it: signed in, with the forms of its pages filled in and sent."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from app.storage import accounts
from app.usecases.sign_in import begin_session
from app.web import console
from tests.web.api.conftest import World

HERE = "https://referloop.example.com"


class Marketer:
    """Signed in over ``world``. Of each page the last one is kept, and forms are sent from it."""

    def __init__(self, world: World, email: str = "mara@example.com", *, may_manage: bool = True) -> None:
        self.world = world
        if "console" not in world.app.blueprints:
            world.app.secret_key = "of a test"
            world.app._got_first_request = False
            console.register(world.app)
            for handlers in (world.app.error_handler_spec["console"], world.app.error_handler_spec[None]):
                del handlers[None][Exception]  # what breaks is to be seen
            world.app.testing = True
        self.client = world.app.test_client()
        with world.database.writing() as connection:
            user_id = accounts.add(
                connection,
                email=email,
                password_hash="-",
                owner=False,
                may_manage=may_manage,
                created_at=world.time,
            )
            token = begin_session(connection, user_id, "a browser", world.time)
        with self.client.session_transaction(base_url=HERE) as session:
            session["_user_id"] = token
        self.answer: TestResponse
        self.path = "/"

    def get(self, path: str, status: int = 200, **query: Any) -> str:
        return self._came("GET", path, status, **({"query_string": query} if query else {}))

    def post(self, path: str, status: int = 302, *, headers: dict[str, str] | None = None, **fields: Any) -> str:
        """A form is sent; where it leads to another page, that one is opened. ``do_`` is the field ``do``."""
        sent = {name.rstrip("_"): value for name, value in fields.items()}
        marked = {"Referer": HERE, **(headers or {})}
        data = {"csrf_token": self._mark(), **sent}
        page = self._came("POST", path, status, data=data, headers=marked)
        if status in (302, 303):
            return self.get(self.answer.headers["Location"])
        return page

    def send(self, status: int = 302, *, form: int = 0, **fields: Any) -> str:
        """A form of the page that is shown is sent, as it stands there and with what is filled in."""
        page = _Forms.of(self.text)[form]
        filled = {**page.fields, **{name.rstrip("_"): value for name, value in fields.items()}}
        return self.post(page.action or self.path, status, **filled)

    def _came(self, method: str, path: str, status: int, **more: Any) -> str:
        self.answer = self.client.open(path, method=method, base_url=HERE, **more)
        text = self.answer.get_data(as_text=True)
        assert self.answer.status_code == status, (self.answer.status_code, plain(text)[:2000])
        if status not in (302, 303):
            parts = urlsplit(path)
            self.path = parts.path + (f"?{parts.query}" if parts.query else "")
        return text

    @property
    def text(self) -> str:
        return self.answer.get_data(as_text=True)

    @property
    def words(self) -> str:
        """What is to be read on the page."""
        return plain(self.text)

    def _mark(self) -> str:
        page = self.client.get("/account", base_url=HERE).get_data(as_text=True)
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found
        return unescape(found[1])


def plain(html: str) -> str:
    """The words of a page, without its marks."""
    body = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", " ", html)
    return re.sub(r"\s+", " ", unescape(re.sub(r"(?s)<[^>]+>", " ", body))).strip()


class Form:
    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, Any] = {}

    def add(self, name: str, value: str) -> None:
        if name in self.fields:
            former = self.fields[name]
            self.fields[name] = [*(former if isinstance(former, list) else [former]), value]
        else:
            self.fields[name] = value


class _Forms(HTMLParser):
    """The forms of a page's content with what a browser would send of them; buttons are pressed by who sends."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = self._main = False
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []

    @classmethod
    def of(cls, html: str) -> list[Form]:
        made = cls()
        made.feed(html)
        return made.forms

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self._main = self._main or tag == "main"
        if tag == "form" and self._main and has.get("method") == "post":
            self.forms.append(Form(has.get("action", "")))
            self._inside = True
        elif self._inside and tag == "input" and "name" in has and has["name"] != "csrf_token":
            ticked = has.get("type") in ("radio", "checkbox")
            if not ticked or "checked" in has:
                self.forms[-1].add(has["name"], has.get("value", "on" if ticked else ""))
        elif self._inside and tag == "select":
            self._select, self._options = has["name"], []
        elif self._select is not None and tag == "option":
            self._options.append((has.get("value", ""), "selected" in has))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select is not None:
            chosen = [value for value, selected in self._options if selected]
            self.forms[-1].add(self._select, (chosen or [value for value, _ in self._options])[0])
            self._select = None
