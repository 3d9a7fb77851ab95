"""The naive service is honest: it lets in who proves it, and does for a signup what the product does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from bench.leads import joined
from bench.naive import jobs

pytestmark = pytest.mark.enable_socket


class _Intercom(BaseHTTPRequestHandler):
    called: ClassVar[list[tuple[str, Any]]] = []
    known: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.called.append((self.path, body))
        answer = json.dumps({"data": self.known} if self.path.endswith("/search") else {"id": "c1"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def intercom(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Intercom]]:
    _Intercom.called.clear()
    _Intercom.known.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Intercom)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setattr(jobs, "INTERCOM", f"http://127.0.0.1:{server.server_port}")
    yield _Intercom
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("known", "calls"), [([], ["/contacts/search", "/contacts"]), ([{}], ["/contacts/search"])])
def test_a_signup_is_searched_for_and_created_where_it_is_not_there(
    intercom: type[_Intercom], known: list[dict[str, str]], calls: list[str]
) -> None:
    intercom.known.extend(known)
    (signup,) = joined("a", 1, "secret")
    jobs.send_lead(json.loads(signup.body))
    assert [path for path, _ in intercom.called] == calls
    assert intercom.called[0][1]["query"]["value"] == "a0@example.com"
