"""One exchange over a real socket: what becomes of each kind of answer, and of none."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.core.errors import ApiError, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.integrations.budget import Unlimited
from app.integrations.http import Http, Limits, Line, redacted, refusal_of

pytestmark = pytest.mark.enable_socket

QUICK = Limits(connect=0.5, read=0.3, whole=1.0)


class Noted(Unlimited):
    """A budget that notes what it is told."""

    def __init__(self) -> None:
        self.held: list[float] = []
        self.learnt: list[dict[str, str]] = []

    def learn(self, headers: object) -> None:
        self.learnt.append(dict(headers))  # type: ignore[call-overload]

    def hold(self, seconds: float) -> None:
        self.held.append(seconds)


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(max_body_bytes=100_000) as made:
        yield made


def line(http: Http, url: str, vendor: Vendor = Vendor.INTERCOM, **options: object) -> Line:
    return Line(vendor, url, "secret-token", http, Unlimited(), limits=QUICK, **options)  # type: ignore[arg-type]


def failure(http: Http, server: HTTPServer, vendor: Vendor = Vendor.INTERCOM, **answer: object) -> ApiError:
    """The error that an answer becomes."""
    server.expect_request("/x").respond_with_response(Response(**answer))  # type: ignore[arg-type]
    with pytest.raises(ApiError) as caught:
        line(http, server.url_for(""), vendor).call("test", "GET", "/x")
    assert caught.value.vendor is vendor
    return caught.value


def test_an_answer_is_read_whole(http: Http, httpserver: HTTPServer) -> None:
    body = gzip.compress(b'{"ok": true, "request_id": "r1"}')
    httpserver.expect_request("/x").respond_with_data(body, headers={"Content-Encoding": "gzip"})
    answer = line(http, httpserver.url_for("")).call("test", "GET", "/x")
    assert answer.payload == {"ok": True, "request_id": "r1"}
    assert answer.request_id == "r1"


def test_what_is_sent(http: Http, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        request.get_data()
        seen.append(request)
        return Response("{}", headers={"Set-Cookie": "a=b"})

    httpserver.expect_request("/base/x").respond_with_handler(answer)
    with_headers = line(http, httpserver.url_for("/base/"), headers={"Accept": "application/json"})
    for _ in range(2):
        with_headers.call("test", "POST", "/x", params={"a": "b c"}, body={"name": "Zoë"})
    assert seen[1].headers["Authorization"] == "Bearer secret-token"
    assert seen[1].headers["Accept"] == "application/json"
    assert seen[1].args["a"] == "b c"
    assert json.loads(seen[1].get_data()) == {"name": "Zoë"}
    assert "Cookie" not in seen[1].headers


class KeepAlive(BaseHTTPRequestHandler):
    """Answers, and keeps the line open; notes who calls."""

    protocol_version = "HTTP/1.1"
    ports: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        self.ports.add(self.client_address[1])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Roomy(ThreadingHTTPServer):
    request_queue_size = 64  # sixteen come at once, and five is what there would be room for


def test_connections_are_kept_and_shared_by_threads() -> None:
    with Roomy(("127.0.0.1", 0), KeepAlive) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with Http() as http, ThreadPoolExecutor(16) as crew:
            patient = Limits(connect=10, read=10, whole=20)  # it is about the connections, not about time
            shared = replace(line(http, f"http://127.0.0.1:{server.server_port}"), limits=patient)
            list(crew.map(lambda _: shared.call("test", "GET", "/x"), range(300)))
        server.shutdown()
        thread.join()
    assert len(KeepAlive.ports) <= 16


@pytest.mark.parametrize("status", [500, 502, 504, 408, 301])
def test_what_may_pass(http: Http, httpserver: HTTPServer, status: int) -> None:
    error = failure(http, httpserver, status=status, response="oops", headers={"X-Request-Id": "r9"})
    assert isinstance(error, Unavailable)
    assert (error.sent, error.down, error.status, error.request_id) == (True, False, status, "r9")


def test_a_redirect_is_not_followed(http: Http, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/y").respond_with_json({})
    failure(http, httpserver, status=302, headers={"Location": httpserver.url_for("/y")})
    assert [request.path for request, _ in httpserver.log] == ["/x"]


def test_503_means_the_vendor_is_down(http: Http, httpserver: HTTPServer) -> None:
    error = failure(http, httpserver, status=503)
    assert isinstance(error, Unavailable)
    assert error.down


@pytest.mark.parametrize("body", ["", "<html>Welcome</html>", '{"type": "li', "[" * 50_000])
def test_a_200_without_a_readable_body_is_no_answer(http: Http, httpserver: HTTPServer, body: str) -> None:
    error = failure(http, httpserver, response=body)
    assert isinstance(error, Unavailable)
    assert (error.sent, error.down) == (True, False)


def test_a_body_may_be_declared_unneeded(http: Http, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("")
    assert line(http, httpserver.url_for("")).call("test", "PUT", "/x", empty_ok=True).payload is None


def test_an_expected_status_is_an_answer(http: Http, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("", status=409)
    assert line(http, httpserver.url_for("")).call("test", "PUT", "/x", expected=(409,)).status == 409


def test_a_body_has_a_bound(http: Http, httpserver: HTTPServer) -> None:
    error = failure(http, httpserver, response=json.dumps("x" * 200_000))
    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token(http: Http, httpserver: HTTPServer, status: int) -> None:
    body = {"type": "error.list", "errors": [{"code": "unauthorized", "message": "Token secret-token blocked"}]}
    error = failure(http, httpserver, status=status, response=json.dumps(body))
    assert isinstance(error, Unauthorized)
    assert str(error) == "Token *** blocked"


@pytest.mark.parametrize("body", ['{"message": "Your address has been blocked."}', "<html>Forbidden</html>"])
def test_a_blocked_address_is_not_a_refused_token(http: Http, httpserver: HTTPServer, body: str) -> None:
    error = failure(http, httpserver, Vendor.REFERRAL_FACTORY, status=403, response=body)
    assert isinstance(error, Unavailable)
    assert (error.sent, error.down) == (False, True)


def test_administrators_only_is_a_refused_token(http: Http, httpserver: HTTPServer) -> None:
    body = '{"message": "administrators only"}'
    assert isinstance(failure(http, httpserver, Vendor.REFERRAL_FACTORY, status=403, response=body), Unauthorized)


def test_a_refusal_keeps_the_vendors_words(http: Http, httpserver: HTTPServer) -> None:
    body = {
        "type": "error.list",
        "request_id": "r2",
        "errors": [{"code": "parameter_invalid", "message": "ann@example.com is taken", "field": "email"}],
    }
    error = failure(http, httpserver, status=422, response=json.dumps(body))
    assert isinstance(error, Rejected)
    assert (error.code, error.fields, error.request_id) == ("parameter_invalid", ("email",), "r2")
    assert str(error) == "*** is taken"


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"errors": null}', "7"])
def test_a_refusal_may_say_nothing(http: Http, httpserver: HTTPServer, body: str) -> None:
    error = failure(http, httpserver, status=404, response=body)
    assert isinstance(error, Rejected)
    assert str(error) == "Intercom answered 404."


def test_429_holds_the_budget_until_the_reset(http: Http) -> None:
    lines = ("HTTP/1.1 429 Too Many Requests", "Date: Sun, 22 Nov 2026 12:00:00 GMT", "X-RateLimit-Reset: 1795348812")
    url, thread = raw_server("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    budget = Noted()
    with pytest.raises(RateLimited) as limited:
        Line(Vendor.INTERCOM, url, "t", http, budget).call("test", "GET", "/x")
    thread.join()
    assert limited.value.after == 12.0
    assert budget.held == [12.0]
    assert budget.learnt[0]["X-RateLimit-Reset"] == "1795348812"


def test_429_without_headers_falls_back(http: Http, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("", status=429)
    with pytest.raises(RateLimited) as limited:
        line(http, httpserver.url_for(""), fallback_wait=60.0).call("test", "GET", "/x")
    assert limited.value.after == 60.0


def test_a_refused_connection_was_never_sent(http: Http) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable) as away:
        line(http, f"http://127.0.0.1:{port}").call("test", "GET", "/x")
    assert (away.value.sent, away.value.down) == (False, True)


def test_an_unknown_name_was_never_sent(http: Http) -> None:
    with pytest.raises(Unavailable) as away:
        line(http, "http://nowhere.invalid").call("test", "GET", "/x")
    assert (away.value.sent, away.value.down) == (False, True)


def raw_server(*parts: bytes, wait: float = 0.0) -> tuple[str, threading.Thread]:
    """A server that reads one request, says ``parts`` with pauses, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(65536)
            stop = threading.Event()
            for part in parts:
                try:
                    peer.sendall(part)
                except OSError:
                    return
                stop.wait(wait)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "wait"),
    [
        ((), 0.0),
        ((b"",), 0.6),
        ((HEAD, b'{"a":'), 0.0),
        ((HEAD, b'{"a":'), 0.6),
        ((HEAD, *[b"1"] * 20), 0.15),
        ((b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',), 0.0),
        ((b"SSH-2.0-OpenSSH\r\n",), 0.0),
    ],
    ids=["hung up", "silent", "cut", "stuck", "dripping", "cut chunk", "no http"],
)
def test_after_sending_the_outcome_is_unknown(http: Http, parts: tuple[bytes, ...], wait: float) -> None:
    url, thread = raw_server(*parts, wait=wait)
    with pytest.raises(Unavailable) as away:
        line(http, url).call("test", "POST", "/x", body={})
    assert (away.value.sent, away.value.down) == (True, False)
    thread.join()


def test_each_call_is_observed(http: Http, httpserver: HTTPServer) -> None:
    seen: list[tuple[Vendor, str, int]] = []
    httpserver.expect_request("/x").respond_with_data("", status=500)

    def observe(vendor: Vendor, operation: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((vendor, operation, status))

    for url in (httpserver.url_for(""), "http://nowhere.invalid"):
        with pytest.raises(Unavailable):
            line(http, url, observe=observe).call("update", "PUT", "/x")
    assert seen == [(Vendor.INTERCOM, "update", 500), (Vendor.INTERCOM, "update", 0)]


def test_the_token_is_not_shown(http: Http) -> None:
    assert "secret-token" not in repr(line(http, "http://x"))


@pytest.mark.parametrize(
    ("payload", "message", "code", "fields"),
    [
        ({"errors": [{"code": "c", "message": "m"}]}, "m", "c", ()),
        ({"message": "m"}, "m", "", ()),
        (
            {"code": 422, "message": "m", "errors": {"email": [{"field": "email", "message": "n"}]}},
            "m n",
            "422",
            ("email",),
        ),
        ({"errors": {"email": ["taken", "odd"]}}, "taken odd", "", ("email",)),
        ({"errors": {"email": "taken"}}, "taken", "", ("email",)),
        ([{"code": "c", "message": "m"}], "m", "c", ()),
        ("m", "m", "", ()),
        ({"error": "m"}, "m", "", ()),
        (None, "", "", ()),
        (7, "", "", ()),
    ],
)
def test_every_form_of_refusal_is_read(payload: object, message: str, code: str, fields: tuple[str, ...]) -> None:
    said = refusal_of(payload)
    assert (said.message, said.code, said.fields) == (message, code, fields)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no ann.b+c@mail.example.co.uk here", "no *** here"),
        ("<ann@example.com>: 'b@c.de'", "<***>: '***'"),
        ("Authorization: Bearer abc123", "Authorization: ***"),
        ("token abc", "token ***"),
        ("x" * 400, "x" * 300),
        ("exists with id=5da6f18e3d7cf967e4582d05", "exists with id=5da6f18e3d7cf967e4582d05"),
    ],
)
def test_messages_are_redacted(message: str, shown: str) -> None:
    assert redacted(message, "abc") == shown.replace("abc", "***")
