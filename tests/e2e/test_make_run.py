"""`make run` as a newcomer has it: a fresh clone, nothing set, no service; a signup, a conversion, the end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.ports import free
from local.redis_server import from_packages

ROOT = Path(__file__).resolve().parents[2]
BOX_ENDS = "╯"

pytestmark = pytest.mark.enable_socket


@dataclass
class Here:
    """A clone that runs, and where."""

    clone: Path
    make: subprocess.Popen[bytes]
    output: Path
    web: str
    sandbox: str

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def secret(self, name: str) -> str:
        found = re.search(rf"│\s+{name}\s+(\S+)", self.said())
        assert found, self.said()
        return found[1]

    def api(self, path: str, token: str) -> Any:
        answer = requests.get(f"{self.web}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def interrupt(self) -> None:
        """Ctrl-C reaches everything that the terminal runs in front."""
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.wait(20)


def await_(what: Callable[[], Any], seconds: float, here: Here) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, here.said()
        assert here.make.poll() is None, here.said()
        time.sleep(0.02)
    return found


def run(clone: Path, path: str) -> Here:
    """Start it with the interpreter's own environment, so that nothing is installed twice."""
    web, sandbox = free(), free()
    output = clone.with_suffix(f".{web}.log")
    with output.open("wb") as out:
        make = subprocess.Popen(
            ["make", "run", f"VENV={sys.prefix}"],
            cwd=clone,
            env={"PATH": path, "HOME": str(clone), "PORT": str(web), "SANDBOX_PORT": str(sandbox)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    here = Here(clone, make, output, f"http://127.0.0.1:{web}", f"http://127.0.0.1:{sandbox}")
    await_(lambda: BOX_ENDS in here.said(), 90, here)
    return here


def still_running(clone: Path) -> list[str]:
    """Every process that works in the clone, wherever its parent went."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(clone):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    yield clone
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(clone):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue


TOOLS = ("make", "sh", "cmp", "cp", "touch", "git")


@pytest.fixture(params=["with a Redis server on the PATH", "without one"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH with the tools that are asked for, and a Redis server or none."""
    if request.param == "without one":
        if from_packages() is None:
            pytest.skip("the packages bring no Redis server for this machine")
        return path_of(tmp_path, *TOOLS)
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server on this machine")
    return path_of(tmp_path, *TOOLS, "redis-server")


def path_of(tmp_path: Path, *tools: str) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in tools:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return str(folder)


def sign_up(here: Here, email: str) -> float:
    """Sign a friend up through the first referral link of the sandbox's page, as a browser would."""
    page = requests.get(here.sandbox, timeout=10).text
    link = re.search(r'href="(/r/[^"]+)"', page)
    assert link, page
    began = time.monotonic()
    answer = requests.post(here.sandbox + link[1], data={"first_name": "Frida", "email": email}, timeout=10)
    assert answer.ok, answer.text
    return began


def contact(here: Here, email: str) -> Any:
    contacts = requests.get(f"{here.sandbox}/control/intercom/sandbox1/contacts", timeout=10).json()["contacts"]
    return next((one for one in contacts if one["email"] == email), None)


def test_a_fresh_clone_runs_sends_a_signup_within_two_seconds_and_stops(clone: Path, path: str) -> None:
    here = run(clone, path)
    token = here.secret("API token")
    assert here.secret("Password")

    began = sign_up(here, "frida@example.com")
    arrived = await_(lambda: contact(here, "frida@example.com"), 10, here)
    took = time.monotonic() - began
    assert took < 2, f"the contact was there after {took:.2f} s"
    assert (arrived["name"], arrived["role"]) == ("Frida", "lead")
    assert arrived["custom_attributes"]["plan"] == "trial"

    rows = await_(lambda: here.api("/activity?email=frida@example.com", token)["items"], 5, here)
    assert [(row["verb"], row["outcome"], row["contact"]["id"]) for row in rows] == [
        ("send", "created", arrived["id"])
    ]

    here.interrupt()
    assert still_running(clone) == []

    again = run(clone, path)
    assert "shown only this once" not in again.said()
    assert token not in again.said()
    assert again.api("/activity?email=frida@example.com", token)["items"] == rows
    assert contact(again, "frida@example.com")["id"] == arrived["id"]
    sign_up(again, "gustav@example.com")
    await_(lambda: contact(again, "gustav@example.com"), 10, again)
    again.interrupt()
    assert still_running(clone) == []


def posted(here: Here, path: str, **form: str) -> str:
    """A form of the sandbox's pages, filled in as by a person; the page that follows."""
    answer = requests.post(here.sandbox + path, data=form, timeout=10)
    assert answer.ok, answer.text
    return answer.text


def linked(page: str, pattern: str) -> str:
    found = re.search(rf'href="({pattern})"', page)
    assert found, page
    return found[1]


def test_the_vendors_own_steps_end_with_a_qualified_referral_that_its_referrer_sees(
    clone: Path, tmp_path: Path
) -> None:
    """Join, invite, convert, look (https://referral-factory.com/help/articles/how-to-qualify-leads-automatically-via-intercom)."""
    redis = [] if from_packages() else ["redis-server"]
    if redis and not shutil.which("redis-server"):
        pytest.skip("there is no Redis server on this machine")
    here = run(clone, path_of(tmp_path, *TOOLS, *redis))
    assert "set the plan from trial to pro" in here.said()
    token = here.secret("API token")

    join = linked(requests.get(here.sandbox, timeout=10).text, '/join/[^"]+')
    link = linked(posted(here, join, first_name="Rosa", email="rosa@example.com"), '/r/[^"]+')
    posted(here, link, first_name="Frida", email="frida@example.com")

    def counts() -> Any:
        rosa = contact(here, "rosa@example.com")
        attributes = rosa["custom_attributes"] if rosa else {}
        return attributes.get("Referrals"), attributes.get("Converted referrals")

    friend = await_(lambda: contact(here, "frida@example.com"), 20, here)
    await_(lambda: counts() == (1, 0), 20, here)
    assert contact(here, "rosa@example.com")["custom_attributes"]["Referral Link"].endswith(link)

    form = f"/contacts/sandbox1/{friend['id']}"
    page = requests.get(here.sandbox + form, timeout=10).text
    plan = re.search(r'<option value="(\d+)"[^>]*>plan \(now trial\)', page)
    assert plan, page
    began = time.monotonic()
    posted(here, form, action="convert", attribute=plan[1], value="pro")
    await_(lambda: counts() == (1, 1), 20, here)
    took = time.monotonic() - began
    assert took < 3, f"qualified and counted after {took:.2f} s"

    assert "<b>Qualified</b>" in requests.get(here.sandbox + form, timeout=10).text
    (once,) = requests.get(f"{here.sandbox}/control/referral-factory/qualifications", timeout=10).json()["people"]
    assert (once["email"], once["received"], once["changed"]) == ("frida@example.com", 1, 1)
    (row,) = here.api("/activity?email=frida@example.com&verb=qualify&outcome=qualified", token)["items"]
    assert row["contact"]["id"] == friend["id"]
    here.interrupt()
    assert still_running(clone) == []
