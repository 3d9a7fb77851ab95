"""What the measures send, what they take for wrong, and what they read of the machine and the store."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.storage.database import Database
from app.storage.tables import events, metadata, workspaces
from bench import __main__ as command
from bench import conversions, crowd, door, full, leads, machine, strangers, syncs
from bench.load import Result
from bench.store import Settled, Store
from local.seed import INTERCOM_SECRET


def test_notifications_are_of_the_usual_size_signed_and_each_its_own() -> None:
    sent = list(itertools.islice(door.notifications(), 50))
    assert {len(request.body) for request in sent} == {door.BYTES}
    assert len({json.loads(request.body)["id"] for request in sent}) == 50
    for request in sent:
        digest = hmac.new(INTERCOM_SECRET.encode(), request.body, hashlib.sha1).hexdigest()
        assert request.headers == f"X-Hub-Signature: sha1={digest}"


def test_signups_are_complete_and_each_is_somebody_else() -> None:
    sent = [json.loads(request.body) for request in leads.joined("run1-", 20, "a-secret")]
    assert len({one["email"] for one in sent}) == 20
    assert {"first_name", "email", "referrer_first_name", "referrer_email", "Company"} <= sent[0].keys()


def test_only_answers_of_200_count_as_taken() -> None:
    taken = door._taken(Result(2.0, (0.01,) * 100, {200: 90, 503: 10}), server_cpu=0.2, load_cpu=0.1)
    assert (taken.rate, taken.others, taken.p99) == (45.0, 10, 10.0)
    assert (taken.server_cpu, taken.load_cpu) == (2.0, 1.0)
    assert door._faults("sqlite", taken, kept=90) == ["door on sqlite: 10 of 100 answers were not 200"]
    (lost,) = door._faults("sqlite", door._taken(Result(1.0, (0.01,) * 5, {200: 5}), 0, 0), kept=4)
    assert lost == "door on sqlite: 5 webhooks were answered with 200, 4 were kept"


@pytest.mark.parametrize(
    ("made", "told", "shared", "faults"),
    [(10, 10, 0, 0), (9, 10, 0, 1), (11, 10, 1, 2), (10, 9, 0, 1), (0, 0, 0, 2)],
)
def test_every_lead_is_one_contact_and_none_is_there_twice(made: int, told: int, shared: int, faults: int) -> None:
    assert len(leads.faults("sqlite", 10, made, told, shared)) == faults


@pytest.mark.parametrize(("told", "payloads", "number"), [(0, 0, 0), (1, 0, 1), (0, 5, 1), (1, 5, 2)])
def test_nothing_may_be_told_or_kept_of_strangers(told: int, payloads: int, number: int) -> None:
    assert len(strangers.faults("sqlite", told, payloads)) == number


@pytest.mark.parametrize(
    ("people", "right"),
    [
        ([(1, 1), (1, 1)], True),
        ([(1, 1)], False),  # one was forgotten
        ([(1, 1), (2, 1)], False),  # one was asked for twice
        ([(1, 1), (1, 0)], False),  # one was refused
        ([(1, 1), (1, 1), (1, 1)], False),  # somebody had not converted
    ],
)
def test_each_conversion_is_one_call_that_takes_effect(people: list[tuple[int, int]], right: bool) -> None:
    told = [{"received": received, "changed": changed} for received, changed in people]
    assert (conversions.faults("sqlite", 2, told) == []) is right


def test_of_many_conversions_the_middle_and_the_slow_end_are_told() -> None:
    middle, slow = conversions.rows("sqlite", [number / 100 for number in range(1, 201)])
    assert (middle.median, slow.median) == (1.005, 1.99)
    assert slow.verdict == "ok"


@pytest.mark.skipif(not machine.TELLS, reason="this system has no /proc")
def test_cpu_and_memory_of_a_process_and_what_it_started() -> None:
    burn = "import subprocess, sys, time\nwhile time.process_time() < 0.3: pass\n"
    child = f"{burn}print('ready', flush=True)\nsys.stdin.read()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(machine.tree([process.pid])) == 2
        assert 0.3 <= machine.cpu_seconds([process.pid]) < 5
        assert 2 < machine.peak_megabytes(process.pid) < 500
        assert 2 < machine.shared_megabytes(machine.tree([process.pid])) < 500
        process.communicate("")
    assert machine.cpu_seconds([process.pid]) == 0


def test_the_machine_is_described() -> None:
    told = machine.description()
    assert 1 <= told["cores"] <= (os.cpu_count() or 1)
    assert told["Python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_rate_runs_from_the_first_settled_to_the_last(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    _kept(url, settled=[0, 0, 1, 2, 2, None])
    with closing(Store(url)) as store:
        assert (store.events(), store.last_event()) == (6, 6)
        assert store.settled(after=0) == Settled(5, 1.5)
        assert store.settled(after=4) == Settled(1, 0.0)
        assert store.settled(after=6) == Settled(0, 0.0)
        assert store.created(after=0) == 0
        assert (store.open(), store.activity(after=0), store.payloads(after=0)) == (1, 0, 0)


def _kept(url: str, settled: list[int | None]) -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    rows = [
        {
            "dedupe_key": str(number),
            "source": "intercom",
            "topic": "ping",
            "workspace_id": 1,
            "content_type": "application/json",
            "status": "received" if seconds is None else "done",
            "attempts": 0,
            "received_at": began,
            "next_attempt_at": began,
            "settled_at": None if seconds is None else began + timedelta(seconds=seconds),
        }
        for number, seconds in enumerate(settled)
    ]
    workspace = {
        "app_id": "app",
        "name": "A workspace",
        "region": "us",
        "timezone": "UTC",
        "state": "connected",
        "missing_permissions": [],
        "created_at": began,
    }
    with closing(Database(url)) as database:
        metadata.create_all(database.engine)
        with database.writing() as connection:
            connection.execute(insert(workspaces).values(workspace))
            connection.execute(insert(events), rows)


def test_arguments_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--runs", "0"], ["--only", "everything"], ["--database", "oracle"]):
        with pytest.raises(SystemExit) as refused:
            command.main(wrong)
        assert refused.value.code == 2
    assert "must be 1 or more" in capsys.readouterr().err


def test_a_budget_is_measured_in_the_stride_of_a_run() -> None:
    seen = [syncs.Seen(at, contacts, calls) for at, contacts, calls in ((0, 0, 0), (10, 100, 500), (70, 900, 6200))]
    assert syncs.used([*seen, syncs.Seen(170, 1000, 6300)]) == pytest.approx(100)


def test_growth_is_that_of_memory_beside_the_rate_of_the_beginning() -> None:
    steps = ((0, 0, 90), (10, 1000, 100), (60, 6000, 102), (160, 16000, 104), (200, 20000, 105))
    rate, _, grown = syncs.rows("sqlite", 20000, [syncs.Seen(*step) for step in steps])
    assert (rate.values, rate.ratio) == ((100,), 1)
    assert grown.median == pytest.approx(5)
    assert grown.verdict == "ok"


def test_a_crowd_has_contacts_of_every_kind() -> None:
    made = crowd.crowd("some", 1000)
    assert made.expected == {
        ("added", None): 820,
        ("existing", "already_in_campaign"): 130,
        ("skipped", "blank_mapped_value"): 50,
    }
    assert len(made.contacts) == 1000
    assert len(made.addresses) == 920
    assert {one["email"].lower() for one in made.there} <= made.addresses


def test_the_tables_are_filled_with_settled_events_each_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'full.db'}"
    database = Database(url)
    metadata.create_all(database.engine)
    database.close()
    with closing(Store(url)) as store:
        full.fill(store, "sqlite", 2500)
        assert (store.events(), store.open()) == (2500, 0)
        assert store.settled(0).number == 2500
