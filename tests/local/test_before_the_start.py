"""What is checked before anything is started, and what it says."""

from __future__ import annotations

import ast
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import check_python, environment, notes, ports
from local.errors import CannotStartError
from local.notes import Notes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 10, 13)])
def test_an_old_python_is_told_what_is_needed(version: tuple[int, ...]) -> None:
    said = check_python.complaint(version, "python3")
    numbers = ".".join(map(str, version))
    assert said is not None
    assert said.startswith(f"Referloop needs Python 3.11 or later; this is {numbers} (python3). Set PYTHON=")


def test_an_old_python_is_told_of_a_newer_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "python3.12").touch(mode=0o755)
    said = check_python.complaint((3, 9, 1), "python3", path=f"/nowhere:{tmp_path}")
    assert said is not None
    assert said.endswith("make run PYTHON=python3.12")


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2), (4, 0, 0)])
def test_a_newer_python_will_do(version: tuple[int, ...]) -> None:
    assert check_python.complaint(version, "python3") is None


def test_a_python_without_environments_is_told_the_package() -> None:
    said = check_python.complaint((3, 11, 2), "python3", has_venv=False)
    assert said is not None
    assert "apt install python3-venv" in said


def test_the_check_itself_is_written_for_old_pythons() -> None:
    ast.parse((ROOT / "local" / "check_python.py").read_text(), feature_version=(3, 4))


def test_old_pythons_of_this_machine_are_told() -> None:
    for name in ("python2.7", "python3.6", "python3.8", "python3.10"):
        program = shutil.which(name)
        if program and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
            check = [program, str(ROOT / "local" / "check_python.py"), name]
            done = subprocess.run(check, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert done.stderr.startswith("Referloop needs Python 3.11 or later; this is ")


def test_this_python_passes() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "local" / "check_python.py")], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.enable_socket
def test_a_taken_port_is_named_with_the_way_out(taken: int) -> None:
    with pytest.raises(CannotStartError) as raised:
        ports.check(taken, "the sandbox", "SANDBOX_PORT")
    assert f"Port {taken}, which the sandbox needs, is taken by another program." in str(raised.value)
    assert "SANDBOX_PORT=" in str(raised.value)


@pytest.mark.enable_socket
def test_a_free_port_passes() -> None:
    ports.check(ports.free(), "the web process", "PORT")


@pytest.mark.parametrize("text", ["", "abc", "0", "65536", "-1", "8000.0", "٣"])
def test_a_port_is_a_number(text: str) -> None:
    with pytest.raises(CannotStartError, match="PORT must be a whole number from 1 to 65535"):
        ports.number(text, "PORT")


def test_what_is_kept_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    notes.make_private(folder)
    notes.save(folder, notes.load(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "local.json").stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob(".local*"))


def test_the_next_run_finds_the_token(tmp_path: Path) -> None:
    first = notes.load(tmp_path)
    assert len(first.api_token) >= 24
    assert first.password is not None
    notes.save(tmp_path, first)
    assert notes.load(tmp_path) == first


def test_unreadable_notes_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "local.json").write_text('{"api_token": ')
    with pytest.raises(CannotStartError, match=r"local\.json can't be read"):
        notes.load(tmp_path)


def test_one_folder_runs_once(tmp_path: Path) -> None:
    refusal = pytest.raises(CannotStartError, match=r"already running from this folder \(process \d+\)")
    with notes.only_one(tmp_path), refusal, notes.only_one(tmp_path):
        pass
    with notes.only_one(tmp_path):
        pass


def _children(environ: dict[str, str], password: str | None = "made-up") -> dict[str, str]:
    known = Notes(password=password, api_token="a-token-of-this-installation")
    return environment.for_children(environ, known, port=8000, sandbox_port=9100)


def test_the_processes_meet_the_sandbox_and_nothing_left_over_in_the_shell() -> None:
    children = _children({"PATH": "/bin", "PYTHONPATH": "/evil", "FLASK_APP": "evil", "GUNICORN_CMD_ARGS": "--evil"})
    assert "evil" not in str(children)
    assert children["INTERCOM_API_URL"] == "http://127.0.0.1:9100/intercom"
    assert children["REFERRAL_FACTORY_API_URL"] == "http://127.0.0.1:9100/referral-factory"
    assert children["INTERCOM_INDEX_DELAY_SECONDS"] == "5"
    assert children["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert children["ADMIN_API_TOKEN"] == "a-token-of-this-installation"
    assert (children["ADMIN_EMAIL"], children["ADMIN_PASSWORD"]) == ("owner@example.com", "made-up")


def test_what_a_person_has_set_goes_first() -> None:
    given = {
        "ADMIN_EMAIL": "ada@example.com",
        "ADMIN_PASSWORD": "her own password",
        "ADMIN_API_TOKEN": "her own token of enough length",
        "INTERCOM_INDEX_DELAY_SECONDS": "60",
        "DATABASE_URL": "postgresql://here/db",
        "LOG_LEVEL": "debug",
    }
    assert given.items() <= _children(given).items()


def test_an_empty_variable_counts_as_unset() -> None:
    assert "LOG_LEVEL" not in _children({"LOG_LEVEL": " "})


def test_once_the_owner_exists_no_password_is_handed_on() -> None:
    assert not {"ADMIN_EMAIL", "ADMIN_PASSWORD"} & _children({}, password=None).keys()


@pytest.mark.parametrize("given", [{}, {"NO_PROXY": "corp"}, {"no_proxy": "corp"}])
def test_a_proxy_is_kept_for_the_world_and_never_asked_for_this_machine(given: dict[str, str]) -> None:
    children = _children({"https_proxy": "http://proxy:3128", **given})
    assert children["https_proxy"] == "http://proxy:3128"
    assert children["no_proxy"] == children["NO_PROXY"]
    assert children["no_proxy"].endswith("127.0.0.1,localhost")
    assert "corp" in children["no_proxy"] or not given
