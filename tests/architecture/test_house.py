"""The rules of the house that no type checker sees: who imports whom, what starts when, what must fit together."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from flask import Flask

from app import queue
from app.core.causes import CATALOGUE, Cause
from app.factory import make_app
from app.wiring import Wired
from config import settings
from tests.web.installation import settings_for
from workers import children

ROOT = Path(__file__).resolve().parents[2]
OURS = ("app", "config", "schemas", "workers", "local", "sandbox", "bench", "migrations")
PRODUCT = ("app", "config", "schemas", "workers")


def sources(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def modules(*packages: str) -> list[str]:
    return [
        name
        for package in packages
        for name in (package, *(one.name for one in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")))
    ]


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


class TestModules:
    def test_import_only_from_below(self) -> None:
        command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    def test_have_names_that_say_what_is_in_them(self) -> None:
        vague = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "shared", "base"}
        named = {
            part
            for name in modules("app", "config", "schemas", "workers", "local", "sandbox")
            for part in name.split(".")
        }
        assert not vague & named

    def test_read_the_environment_at_the_doors_only(self) -> None:
        doors = {
            "app/wsgi.py",
            "app/recover.py",
            "app/terminal.py",
            "app/metrics.py",  # whether several processes count together, which its library asks of the environment
            "config/gunicorn.py",
            "migrations/env.py",
            "workers/__main__.py",
            "workers/main.py",  # names the folder for that library
        }
        reading = {
            path
            for path, tree in sources(*OURS)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv")
            if isinstance(node.value, ast.Name) and node.value.id == "os"
        }
        assert {path for path in reading if not path.startswith(("local/", "bench/", "sandbox/"))} == doors
        for path, tree in sources(*OURS):
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module == "os":
                    assert not {"environ", "getenv"} & {name.name for name in node.names}, path

    def test_that_read_it_for_one_library_read_nothing_else(self) -> None:
        for path in ("app/metrics.py", "workers/main.py"):
            text = (ROOT / path).read_text()
            found = re.findall(r'os\.environ(?:\.get\(|\[)"(\w+)"', text)
            assert set(found) == {"PROMETHEUS_MULTIPROC_DIR"}
            assert len(found) == text.count("os.environ")

    @pytest.mark.parametrize("package", PRODUCT)
    def test_start_nothing_when_they_are_imported(self, package: str) -> None:
        doors = {"app.wsgi", "config.gunicorn", "workers.__main__"}
        done = python(
            """
import importlib, socket, sys, threading
import sqlalchemy, sqlalchemy.event, sqlalchemy.pool
import redis.connection
import requests  # one of its libraries tries a socket of its own
def forbid(what):
    def start(*_, **__):
        raise SystemExit(f"{what} while importing {current}")
    return start
socket.socket.connect = socket.socket.bind = forbid("a socket")
redis.connection.ConnectionPool.__init__ = forbid("a Redis client")
sqlalchemy.pool.Pool.__init__ = forbid("an engine")
threading.Thread.start = forbid("a thread")
for current in sys.argv[1:]:
    importlib.import_module(current)
""",
            *[name for name in modules(package) if name not in doors],
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_patch_nothing_of_ours_in_tests(self) -> None:
        pattern = re.compile(r"\b(?:mocker\.patch|mock\.patch|patch)\(\s*[\"'](?:app|config|schemas|workers)\.")
        found = [path for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())]
        assert found == []


class TestQueues:
    def test_every_job_can_be_called(self) -> None:
        children.check()
        jobs = [
            value for name, value in vars(queue).items() if isinstance(value, str) and value.startswith("workers.")
        ]
        assert set(queue.JOBS.values()) == set(jobs)
        for job in jobs:
            module, _, name = job.rpartition(".")
            assert callable(getattr(import_module(module), name))

    def test_every_queue_that_work_is_put_into_has_a_listener(self) -> None:
        tree = ast.parse((ROOT / "workers/children.py").read_text())
        listening = {
            function.name: getattr(queue, call.args[1].id)
            for function in tree.body
            if isinstance(function, ast.FunctionDef)
            for call in ast.walk(function)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "_listen"
            if isinstance(call.args[1], ast.Name)
        }
        assert set(queue.QUEUES) == set(queue.JOBS) == set(listening.values())
        main = ast.parse((ROOT / "workers/main.py").read_text())
        started = {node.attr for node in ast.walk(main) if isinstance(node, ast.Attribute)}
        assert listening.keys() <= started

    def test_jobs_are_named_in_one_place(self) -> None:
        bare = [
            path
            for path, tree in sources(*PRODUCT)
            if path != "app/queue.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "workers.jobs." in node.value
        ]
        assert bare == []


OPEN = {
    "/static/<path:filename>": "the page's style",
    "/bootstrap/static/<path:filename>": "the console's style",
    "/sign-in": "where one signs in",
    "/invitations/<token>": "the link's token is its proof",
    "/healthz": "for platforms",
    "/readyz": "for platforms",
    "/metrics": "labels are of closed sets",
    "/webhooks/intercom": "a signature is its proof",
    "/webhooks/referral-factory/<key>/<topic>": "a secret is its proof",
    "/api/v1/openapi.json": "the description is no secret",
    "/api/v1/docs": "its page",
    "/api/v1/docs/<name>": "its page's parts",
    "/api/v1/docs/start.js": "its page's parts",
}


class TestRoutes:
    @pytest.fixture
    def app(self, tmp_path: Path) -> Iterator[Flask]:
        wired = Wired(settings_for(f"sqlite:///{tmp_path / 'test.db'}"), threads=1)
        yield make_app(wired.settings, wired)
        wired.close()

    def test_ask_for_a_token_or_a_sign_in_unless_they_are_known_to_be_open(self, app: Flask) -> None:
        client, unguarded = app.test_client(), set()
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<any\((\w+)[^>]*>|<[^>]+>", lambda part: part[1] or "1", rule.rule)
            for method in (rule.methods or set()) - {"OPTIONS"}:
                for headers in ({}, {"Authorization": "Bearer not-a-token-of-this-installation"}):
                    with client.open(path, method=method, headers=headers) as answer:
                        asked = answer.status_code == 302 and answer.location.partition("?")[0] == "/sign-in"
                        if answer.status_code != 401 and not asked:
                            unguarded.add(rule.rule)
        assert unguarded <= OPEN.keys()

    def test_that_are_listed_as_open_are_there(self, app: Flask) -> None:
        assert {rule.rule.rstrip("/") or "/" for rule in app.url_map.iter_rules()} >= OPEN.keys()

    def test_that_lead_nowhere_in_the_api_ask_for_a_token_too(self, app: Flask) -> None:
        assert app.test_client().get("/api/v1/nowhere").status_code == 401


class TestCauses:
    def test_that_the_code_names_are_all_of_the_catalogue(self) -> None:
        named = {
            (path, node.attr)
            for path, tree in sources(*PRODUCT)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Cause"
            if node.attr.isupper()
        }
        assert named
        assert [one for one in named if one[1] not in Cause.__members__] == []

    def test_that_are_spelt_out_are_of_the_catalogue(self) -> None:
        spelt = {
            keyword.value.value
            for _, tree in sources(*PRODUCT)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "cause" and isinstance(keyword.value, ast.Constant)
            if isinstance(keyword.value.value, str)
        }
        assert spelt <= set(Cause)

    def test_have_their_texts(self) -> None:
        for cause in Cause:
            text = CATALOGUE[cause]
            assert text.title.strip()
            assert text.explanation.strip()
            assert text.remedy.strip()


CONTRACT = [
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "ENCRYPTION_KEYS",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "ADMIN_API_TOKEN",
    "PUBLIC_URL",
    "PORT",
    "INTERCOM_API_URL",
    "REFERRAL_FACTORY_API_URL",
    "INTERCOM_CALLS_PER_10S",
    "REFERRAL_FACTORY_CALLS_PER_MINUTE",
    "INTERCOM_INDEX_DELAY_SECONDS",
    "RECONCILE_INTERVAL_SECONDS",
    "SYNC_INTERVAL_SECONDS",
    "RETRY_SCHEDULE_SECONDS",
    "EVENT_RETENTION_DAYS",
    "WEB_CONCURRENCY",
    "WORKER_CONCURRENCY",
    "SENTRY_DSN",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "METRICS_PORT",
]
ADDED = ["REDIS_TLS_VERIFY", "ALERT_WEBHOOK_URL", "ALERT_EMAIL", "SMTP_URL"]


class TestSettings:
    def test_are_those_of_the_contract_and_those_that_operators_needed_besides(self) -> None:
        assert set(settings._Environment().fields) == {*CONTRACT, *ADDED}

    @pytest.mark.parametrize("name", CONTRACT)
    def test_are_documented(self, name: str) -> None:
        assert f"`{name}`" in (ROOT / "README.md").read_text()

    @pytest.mark.parametrize("name", [*CONTRACT, *ADDED])
    def test_say_to_operators_when_they_matter(self, name: str) -> None:
        assert f"`{name}`" in (ROOT / "docs/operations.md").read_text()
