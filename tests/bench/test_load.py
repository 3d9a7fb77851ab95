"""The load against a real, tiny server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from bench.load import Request, send

pytestmark = pytest.mark.enable_socket


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: ClassVar[Counter[bytes]] = Counter()
    secrets: ClassVar[Counter[str]] = Counter()
    callers: ClassVar[Counter[int]] = Counter()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _Door.bodies[body] += 1
        _Door.secrets[self.headers["X-Secret"]] += 1
        _Door.callers[self.client_address[1]] += 1
        self.send_response(503 if body == b"7" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[str]:
    for counted in (_Door.bodies, _Door.secrets, _Door.callers):
        counted.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join()


def test_each_request_is_sent_once_over_kept_connections(door: str) -> None:
    requests = (Request(str(number).encode(), "X-Secret: s") for number in range(200))
    result = send(door, requests, 8, go_on=lambda: True)
    assert result.statuses == {200: 199, 503: 1}
    assert set(_Door.bodies.values()) == {1}
    assert _Door.secrets == {"s": 200}
    assert len(_Door.callers) == 8
    assert len(result.latencies) == 200
    assert list(result.latencies) == sorted(result.latencies)
    assert result.rate == pytest.approx(200 / result.seconds)
    assert result.percentile(0.5) <= result.percentile(0.99) <= result.seconds


def test_a_load_ends_when_it_is_told_to_and_every_request_has_its_answer(door: str) -> None:
    def endless() -> Iterator[Request]:
        while True:
            yield Request(b"{}", "X-Secret: s")

    until = time.monotonic() + 0.3
    result = send(door, endless(), 4, go_on=lambda: time.monotonic() < until)
    assert 0.2 < result.seconds < 3
    assert result.statuses == {200: _Door.bodies[b"{}"]}


class _Closing(_Door):
    """As gunicorn's default worker, which keeps no connection."""

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()


def test_a_server_that_keeps_no_connection_is_met_by_another_each_time(door: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Closing)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        requests = (Request(str(number).encode(), "X-Secret: s") for number in range(50))
        result = send(f"http://127.0.0.1:{server.server_port}/hook", requests, 4, go_on=lambda: True)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert result.statuses == {200: 49, 503: 1}
    assert len(_Door.callers) == 50
