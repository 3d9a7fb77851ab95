"""What is attacked: the whole application as it is served, on a SQLite file, with the vendors in memory; and how many
bad requests were tried."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import EnvironBuilder

from app.core.causes import Cause
from app.factory import make_app
from app.storage.database import Database
from app.storage.tables import metadata
from app.wiring import Wired
from tests.product import RecordingBell
from tests.web.api.conftest import PROGRAM, WORKSPACE, Vendors
from tests.web.console.visitor import OWNER, PASSWORD
from tests.web.installation import TOKEN, settings_for

BAD_REQUESTS = int(os.environ.get("ATTACK_BAD_REQUESTS", "1000"))
"""About how many are to be tried by chance, besides some thousands that are tried always."""

TRIED: Counter[str] = Counter()
"""Requests that were tried, by what was attacked."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PROBLEM = "application/problem+json"


def examples(share: float) -> int:
    """How many of all that are to be tried fall to a test."""
    return max(10, int(BAD_REQUESTS * share))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    lines: Sequence[tuple[str, str]]
    """All headers, those too that come several times."""
    body: bytes
    broken: str
    """What was raised and not meant to be."""

    @property
    def cookies(self) -> dict[str, str]:
        """That are to be kept."""
        set_ = (value.partition(";")[0].partition("=") for name, value in self.lines if name == "Set-Cookie")
        return {name: value for name, _, value in set_}

    @property
    def problem(self) -> Any:
        assert self.headers.get("Content-Type") == PROBLEM, (self.status, self.headers, self.body[:300])
        return json.loads(self.body)


class Target:
    def __init__(self, database: Database) -> None:
        settings = settings_for(database, ADMIN_EMAIL=OWNER, ADMIN_PASSWORD=PASSWORD)
        self.wired = Wired(settings, threads=1)
        self.vendors, self.bell = Vendors(), RecordingBell()
        self.wired.services = replace(
            self.wired.services, vendors=self.vendors, bell=self.bell, bulk_bell=RecordingBell()
        )
        self.wired.redis_answers = lambda: False  # type: ignore[method-assign]
        self.app: Flask = make_app(settings, self.wired)
        self._broken: list[str] = []
        for handlers in (self.app.error_handler_spec["console"], self.app.error_handler_spec[None]):
            handlers[None][Exception] = self._noting(handlers[None][Exception])
        self.database, self.base = database, settings.public_url
        self._watch = sqlite3.connect(str(database.engine.url.database))
        self.workspace = self.api("POST", "/workspaces", WORKSPACE)
        self.program = self.api("POST", "/programs", PROGRAM)
        names = {"program_id": self.program["id"], "workspace_id": self.workspace["id"], "referral_factory_id": 1}
        self.campaign = self.api("POST", "/campaigns", names)
        self.door = urlsplit(self.campaign["webhook"]["urls"]["joined"]).path
        self.secret: str = self.campaign["webhook"]["secret"]

    def close(self) -> None:
        self._watch.close()
        self.wired.close()

    def _noting(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same answer, but what broke is to be seen in the test's report."""

        def noted(error: Exception) -> Any:
            self._broken.extend(traceback.format_exception(error))
            return handler(error)

        return noted

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call that is meant well."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.app.test_client().open(f"/api/v1{path}", method=method, json=body, headers=headers)
        assert answer.status_code < 300, (answer.status_code, answer.text)
        return answer.get_json()

    def send(
        self,
        attacked: str,
        method: str,
        path: bytes | str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request as a server would hand it over: the path's bytes and the headers are as they were sent."""
        TRIED[attacked] += 1
        self._broken.clear()
        environ = _environ(method, path, body, headers or {})
        said: list[Any] = []
        answered = self.app(environ, lambda status, found, _=None: said.extend((status, found)))  # type: ignore[arg-type,misc,return-value]
        found = b"".join(answered)
        if hasattr(answered, "close"):
            answered.close()
        return Answer(int(said[0].split()[0]), dict(said[1]), said[1], found, "".join(self._broken))

    def stored(self) -> dict[str, int]:
        """How many rows each table holds."""
        with self.database.reading() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    def version(self) -> int:
        """Another one after whatever was committed."""
        number: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
        return number

    def refuses(self, answer: Answer) -> None:
        """A refusal is the sender's fault, and says why by a cause of the catalogue."""
        assert 400 <= answer.status < 500, (answer.status, answer.body[:500], answer.broken)
        problem = answer.problem
        assert problem["status"] == answer.status
        assert problem["cause"] in set(Cause)
        assert problem["detail"]


def _environ(method: str, path: bytes | str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    raw = path.encode("utf-8", "surrogatepass") if isinstance(path, str) else path
    before, _, query = raw.partition(b"?")
    environ = EnvironBuilder(path="/", method="GET", base_url="http://127.0.0.1:8000").get_environ()
    environ.update(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": before.decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
    )
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


def signed(body: bytes, secret: str = WORKSPACE["client_secret"]) -> dict[str, str]:
    """As Intercom proves itself."""
    digest = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return {"Content-Type": JSON, "X-Hub-Signature": f"sha1={digest}"}
