"""A load of webhooks: many kept-alive connections from one process, at little cost to the machine they share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A body and the headers that prove it."""

    body: bytes
    headers: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a load met with. Latencies are in seconds, sorted."""

    seconds: float
    latencies: tuple[float, ...]
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def send(url: str, requests: Iterator[Request], connections: int, *, go_on: Callable[[], bool]) -> Result:
    """Send ``requests`` over ``connections`` at once for as long as there are any and ``go_on`` says so."""
    return asyncio.run(_send(url, requests, connections, go_on))


async def _send(url: str, requests: Iterator[Request], connections: int, go_on: Callable[[], bool]) -> Result:
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    parts = urlsplit(url)

    async def one_connection() -> None:
        streams = None
        for request in requests:
            if not go_on():
                break
            started = time.perf_counter()
            reader, writer = streams or await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(_head(parts.path, parts.netloc, request) + request.body)
            status, is_kept = await _answer(reader)
            latencies.append(time.perf_counter() - started)
            statuses[status] = statuses.get(status, 0) + 1
            streams = (reader, writer) if is_kept else await _closed(writer)
        if streams:
            await _closed(streams[1])

    started = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return Result(time.perf_counter() - started, tuple(sorted(latencies)), statuses)


def _head(path: str, host: str, request: Request) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(request.body)}\r\n{request.headers}\r\n\r\n"
    ).encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Its status, and whether the server keeps the connection, which some do not."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12]), b"connection: close" not in head


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
