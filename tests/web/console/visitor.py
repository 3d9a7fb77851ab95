"""An installation as it is served, and somebody's browser: it keeps cookies and sends forms with their marks."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from app.factory import make_app
from app.storage.database import Database
from app.usecases.invite_teammate import invite_teammate
from app.usecases.sign_in import From, SignedIn, sign_in, signed_in
from app.wiring import Wired
from tests.web.installation import settings_for

OWNER, TEAMMATE = "anna@example.com", "tom@example.com"
PASSWORD = "a few words in a row"


class Installation:
    def __init__(self, database: Database, **environ: str) -> None:
        settings = settings_for(database, ADMIN_EMAIL=OWNER, ADMIN_PASSWORD=PASSWORD, **environ)
        self.wired = Wired(settings, threads=1)
        self.app: Flask = make_app(settings, self.wired)
        for handlers in (self.app.error_handler_spec["console"], self.app.error_handler_spec[None]):
            del handlers[None][Exception]  # what breaks is to be seen
        self.app.testing = True
        self.services = self.wired.services
        self.base = settings.public_url

    def close(self) -> None:
        self.wired.close()

    def invited(self, email: str = TEAMMATE, **rights: bool) -> str:
        """The path of a link for somebody."""
        return f"/invitations/{invite_teammate(self.services, self.owner(), email, **rights)}"

    def owner(self) -> SignedIn:
        found = signed_in(self.services, sign_in(self.services, OWNER, PASSWORD, From("192.0.2.1")))
        assert found is not None
        return found

    def visitor(self) -> Visitor:
        return Visitor(self)

    def signed_in(self, email: str = OWNER, password: str = PASSWORD) -> Visitor:
        visitor = self.visitor()
        assert visitor.sign_in(email, password).status_code == 303
        return visitor

    def teammate(self, **rights: bool) -> Visitor:
        """Somebody who has followed their link."""
        link, visitor = self.invited(**rights), self.visitor()
        visitor.get(link)
        assert visitor.post(link, password=PASSWORD, again=PASSWORD).status_code == 303
        return visitor


class Visitor:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.client = installation.app.test_client()

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url=self.installation.base, **more)

    def mark(self, path: str = "/sign-in") -> str:
        """What the forms of a page are marked with."""
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(path).text)
        assert found
        return unescape(found[1])

    def post(self, path: str, *, marked_by: str | None = None, **fields: Any) -> TestResponse:
        mark = self.mark(
            marked_by or (path if "/invitations/" in path or path.startswith("/sign-in") else "/account")
        )
        return self.send(path, csrf_token=mark, **fields)

    def send(self, path: str, **fields: Any) -> TestResponse:
        """As it is, without a mark unless one is given."""
        base = self.installation.base
        return self.client.post(path, base_url=base, data=fields, headers={"Referer": f"{base}/"})

    def sign_in(self, email: str = OWNER, password: str = PASSWORD, to: str = "/sign-in") -> TestResponse:
        return self.post(to, email=email, password=password)

    def session(self) -> dict[str, Any]:
        """What the cookie holds."""
        with self.client.session_transaction(base_url=self.installation.base) as session:
            return dict(session)

    @property
    def cookie(self) -> str:
        """The session's, as it is sent."""
        found = self.client.get_cookie("session", domain=self._domain)
        return found.value if found is not None else ""

    def bring(self, cookie: str) -> None:
        """Somebody has put this into the browser."""
        self.client.set_cookie("session", cookie, domain=self._domain)

    @property
    def _domain(self) -> str:
        return urlsplit(self.installation.base).hostname or ""
