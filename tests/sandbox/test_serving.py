"""The sandbox as a server: in a thread, as a command, and with a file that outlives it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox import persistence, seed, server
from sandbox.settings import Settings
from sandbox.world import World
from tests.sandbox.conftest import Caller

ROOT = Path(__file__).parents[2]
TOKEN = {"Authorization": f"Bearer {seed.DEFAULT_TOKEN}"}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as kept:
        kept.headers.update(TOKEN)
        yield kept


@pytest.mark.enable_socket
def test_in_a_thread_on_a_free_port(session: requests.Session) -> None:
    with server.start() as first, server.start(index_delay_seconds=0, seed=5) as second:
        assert first.url != second.url
        assert session.get(f"{first.intercom_url}/me", timeout=5).json()["type"] == "admin"
        link = session.get(
            f"{second.referral_factory_url}/users/1",
            headers={"Authorization": f"Bearer {seed.DEFAULT_ACCOUNT_TOKEN}"},
            timeout=5,
        ).json()["data"]["url"]
        assert link.startswith(f"{second.url}/r/")
        before = second.state.clock.now()
        second.advance(3600)
        assert second.state.clock.now() - before >= 3600


@pytest.mark.enable_socket
@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "reset_before"])
def test_a_cut_connection_looks_like_one(session: requests.Session, kind: str) -> None:
    with server.start() as sandbox:
        rule = {"kind": kind, "seconds": 0.05, "count": 1, "path": "/contacts"}
        session.post(f"{sandbox.url}/control/faults", json=rule, timeout=5)
        with pytest.raises(requests.ConnectionError):
            session.post(f"{sandbox.intercom_url}/contacts", json={"email": "a@b.co"}, timeout=5)
        answer = session.post(f"{sandbox.intercom_url}/contacts", json={"email": "a@b.co"}, timeout=5)
        assert answer.status_code == (200 if kind == "reset_before" else 409)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command(port: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sandbox", "--port", str(port), *more]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )


def _wait(session: requests.Session, port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            session.get(f"http://127.0.0.1:{port}/intercom/me", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the sandbox did not start")


def _stop(process: subprocess.Popen[str], how: signal.Signals) -> tuple[float, str]:
    started = time.monotonic()
    process.send_signal(how)
    output, _ = process.communicate(timeout=10)
    return time.monotonic() - started, output


@pytest.mark.enable_socket
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_as_a_command_it_keeps_its_people_in_a_file(
    session: requests.Session, tmp_path: Path, how: signal.Signals
) -> None:
    port, state = _free_port(), tmp_path / "deep" / "state.json"
    process = _command(port, "--state", str(state), "--index-delay-seconds", "0")
    try:
        _wait(session, port)
        url = f"http://127.0.0.1:{port}"
        made = session.post(f"{url}/intercom/contacts", json={"email": "a@b.co"}, timeout=5).json()
        taken = _command(port)
        output, _ = taken.communicate(timeout=10)
        assert taken.returncode != 0
        assert output == f"The sandbox can't listen on 127.0.0.1:{port}: Address already in use.\n"
    finally:
        seconds, output = _stop(process, how)
    assert seconds < 2
    assert output == f"Sandbox: http://127.0.0.1:{port}\n"
    again = World()
    assert persistence.load(again, state)
    assert again.workspaces["sandbox1"].contacts[made["id"]]["email"] == "a@b.co"


def _lived_in() -> World:
    world = World(Settings(index_delay_seconds=0, latency_ms=5))
    client = server.make_app(world).test_client()
    intercom = Caller(client, "/intercom", seed.DEFAULT_TOKEN)
    control = Caller(client, "/control")
    world.clock.advance(1000)
    control("POST", "/seed", {"contacts": 30, "segments": 3})
    made = intercom("POST", "/contacts", {"role": "user", "email": "a@b.co", "external_id": "7"}).json
    tag = intercom("POST", "/tags", {"name": "VIP"}).json["id"]
    intercom("POST", f"/contacts/{made['id']}/tags", {"id": tag})
    intercom("POST", f"/contacts/{made['id']}/archive")
    control("POST", "/referral-factory/1/webhooks", {"url": "http://localhost/", "topic": "reward-issued"})
    control("POST", "/referral-factory/sign-up", {"campaign_id": 1, "first_name": "F", "email": "f@b.co"})
    control("PUT", "/accounts/sandbox", {"user_limit": 10})
    return world


def test_a_snapshot_brings_everything_back() -> None:
    world = _lived_in()
    kept = json.loads(json.dumps(persistence.snapshot(world)))
    again = World(Settings(latency_ms=9))
    persistence.restore(again, json.loads(json.dumps(kept)), frozenset({"latency_ms"}))
    assert json.loads(json.dumps(persistence.snapshot(again))) == {
        **kept,
        "settings": {**kept["settings"], "latency_ms": 9},
    }
    workspace = again.workspaces["sandbox1"]
    assert workspace.live_count == 30
    taken = workspace.with_external_id("7")
    assert taken is not None
    assert taken["state"] == "archived"
    assert len(workspace.index.contacts) == 30
    account = again.factory.accounts["sandbox"]
    assert account.by_email(1, "F@b.co")
    assert again.factory.next_person == 3


def test_a_state_file_is_written_only_after_changes_and_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    world = World()
    keeper = persistence.Keeper(world, path)
    keeper.save()
    assert not path.exists()
    world.changes += 1
    keeper.save()
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert persistence.load(World(), path)
    path.write_text(json.dumps({"form": 0}))
    with pytest.raises(ValueError, match="another version"):
        persistence.load(World(), path)


@pytest.mark.enable_socket
def test_an_unreadable_state_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("{")
    process = _command(_free_port(), "--state", str(path))
    output, _ = process.communicate(timeout=10)
    assert process.returncode != 0
    assert re.fullmatch(r"The sandbox can't read its state from .+\.\n", output)


@pytest.mark.enable_socket
def test_a_refused_body_is_not_taken_for_the_next_call(session: requests.Session) -> None:
    with server.start() as sandbox:
        for _ in range(3):
            refused = session.post(
                f"{sandbox.intercom_url}/contacts",
                json={"email": "a@b.co"},
                headers={"Authorization": "none"},
                timeout=5,
            )
            assert refused.status_code == 401
            assert session.get(f"{sandbox.intercom_url}/me", timeout=5).status_code == 200


def test_seeding_is_the_same_each_time(control: Caller, world: World) -> None:
    def people() -> list[Any]:
        control("POST", "/reset")
        control("POST", "/seed", {"contacts": 100, "segments": 120})
        workspace = world.workspaces["sandbox1"]
        assert len(workspace.segments) == 124
        return [(each["email"], each["role"], each["name"]) for each in workspace.live()]

    first = people()
    assert people() == first
    assert len({email for email, _role, _name in first}) > 90
    assert "" in {email for email, _role, _name in first}
