"""Which Redis is used: what is given, then this machine's, then the packages', then a plain message."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local import redis_server
from local.errors import CannotStartError
from local.redis_server import Given, Program

PROGRAMS = {
    "/bin/redis-server": Program("/bin/redis-server", "Redis", (7, 0)),
    "/bin/valkey-server": Program("/bin/valkey-server", "Valkey", (8, 1)),
    "/old/redis-server": Program("/old/redis-server", "Redis", (6, 0)),
    "/packages/valkey-server": Program("/packages/valkey-server", "Valkey", (9, 1)),
}


@pytest.mark.parametrize(
    ("url", "on_path", "bundled", "expected"),
    [
        ("redis://there:1/0", ["/bin/redis-server"], "/packages/valkey-server", "redis://there:1/0"),
        (None, ["/bin/redis-server", "/bin/valkey-server"], "/packages/valkey-server", "/bin/redis-server"),
        (None, ["/bin/valkey-server"], "/packages/valkey-server", "/bin/valkey-server"),
        (None, [], "/packages/valkey-server", "/packages/valkey-server"),
        (None, ["/old/redis-server"], "/packages/valkey-server", "/packages/valkey-server"),
        (None, ["/broken/redis-server", "/bin/valkey-server"], None, "/bin/valkey-server"),
        (None, ["/broken/redis-server"], None, None),
        (None, ["/old/redis-server"], None, None),
        (None, [], "/broken/valkey-server", None),
        (None, [], None, None),
    ],
)
def test_the_order(url: str | None, on_path: list[str], bundled: str | None, expected: str | None) -> None:
    here = {Path(path).name: path for path in on_path}

    def choose() -> Given | Program:
        return redis_server.choose(url, on_path=here.get, bundled=lambda: bundled, identify=PROGRAMS.get)

    if expected is None:
        with pytest.raises(CannotStartError, match="apt install redis-server"):
            choose()
        return
    chosen = choose()
    assert expected == (chosen.url if isinstance(chosen, Given) else chosen.path)


@pytest.mark.parametrize(
    ("said", "kind", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1", "Redis", (7, 0)),
        ("Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=1", "Valkey", (9, 1)),
    ],
)
def test_a_program_says_what_it_is(said: str, kind: str, version: tuple[int, int], tmp_path: Path) -> None:
    assert redis_server.ask_version(_script(tmp_path, f"echo '{said}'")) == Program(
        str(tmp_path / "server"), kind, version
    )


@pytest.mark.parametrize("does", ["exit 1", "echo something else"])
def test_what_says_nothing_known_is_no_server(does: str, tmp_path: Path) -> None:
    assert redis_server.ask_version(_script(tmp_path, does)) is None


def test_what_is_not_there_is_no_server(tmp_path: Path) -> None:
    assert redis_server.ask_version(str(tmp_path / "server")) is None


@pytest.fixture(params=["machine", "packages"])
def program(request: pytest.FixtureRequest) -> Program:
    """A server of this machine, and the one of the packages."""
    nothing = dict[str, str]().get
    try:
        if request.param == "machine":
            return redis_server.choose(None, bundled=lambda: None)  # type: ignore[return-value]
        return redis_server.choose(None, on_path=nothing)  # type: ignore[return-value]
    except CannotStartError:
        pytest.skip(f"no Redis server from the {request.param} here")


@pytest.mark.enable_socket
def test_ours_answers_and_keeps_what_it_had_and_lets_nobody_else_in(program: Program, tmp_path: Path) -> None:
    with redis_server.running(program, tmp_path) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("doorbell", "rung")
        port = client.connection_pool.connection_kwargs["port"]
        with (
            redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("doorbell")
    assert server.gone
    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob("server.conf")} == {0}
    with redis_server.running(program, tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("doorbell") == b"rung"


@pytest.mark.enable_socket
def test_a_given_one_that_does_not_answer_is_named_without_its_password() -> None:
    with (
        pytest.raises(CannotStartError, match=r"REDIS_URL is set, but .* at 127\.0\.0\.1:1\.") as raised,
        redis_server.running(Given("redis://:hidden@127.0.0.1:1/0"), Path()),
    ):
        pass
    assert "hidden" not in str(raised.value)


@pytest.mark.enable_socket
def test_one_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    broken = Program(_script(tmp_path, "echo no room left; exit 1"), "Redis", (7, 0))
    with pytest.raises(CannotStartError, match="no room left"), redis_server.running(broken, tmp_path):
        pass


def test_a_folder_of_any_name_can_hold_it(tmp_path: Path) -> None:
    text = redis_server.configuration(1, "x", tmp_path / 'with "quotes", spaces and é')
    assert 'with \\"quotes\\", spaces and é"' in text


def _script(folder: Path, does: str) -> str:
    path = folder / "server"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)
