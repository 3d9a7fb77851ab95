"""``python -m local``: check, prepare, run everything, stop everything."""

from __future__ import annotations

import io
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile

from config.settings import ROOT, VAR, Settings, SettingsError
from local import environment, notes, ports, redis_server
from local.errors import CannotStartError
from local.guide import Guide
from local.notes import Notes
from local.runner import Log, Runner
from local.seed import Places


def main(environ: Mapping[str, str]) -> int:
    """Run until stopped; the result is the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it puts in the background without
    notes.make_private(VAR)
    with notes.only_one(VAR):
        port = ports.number(environ.get("PORT", "").strip() or "8000", "PORT")
        sandbox_port = ports.number(environ.get("SANDBOX_PORT", "").strip() or "9100", "SANDBOX_PORT")
        ports.check(port, "the web process", "PORT")
        ports.check(sandbox_port, "the sandbox", "SANDBOX_PORT")
        known = notes.load(VAR)
        chosen = redis_server.choose(environ.get("REDIS_URL", "").strip() or None)
        children = environment.for_children(
            environ, known, port=port, sandbox_port=sandbox_port, terminal=sys.stdout.isatty()
        )
        Settings.from_env(children, needs_redis=False)
        notes.save(VAR, known)
        commands = parse_procfile((ROOT / "Procfile").read_text()).processes
        migrate(commands.pop("release"), children)
        with redis_server.running(chosen, VAR) as redis:
            together = {"REDIS_URL": redis.url, "PROMETHEUS_MULTIPROC_DIR": str(fresh(VAR / "metrics"))}
            return run(commands, children | together, redis, known, sandbox_port)


def fresh(folder: Path) -> Path:
    """An empty folder: web and worker keep their counts in one, so that `/metrics` has those of both."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def migrate(command: str, children: Mapping[str, str]) -> None:
    """Bring the database up to date.

    Raises:
        CannotStartError: with what the migration said.
    """
    done = subprocess.run(  # noqa: S603
        shlex.split(command), cwd=ROOT, env=dict(children), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotStartError(f"The database could not be prepared ({command}):\n{done.stdout}{done.stderr}")


def run(
    commands: Mapping[str, str],
    children: dict[str, str],
    redis: redis_server.Running,
    known: Notes,
    sandbox_port: int,
) -> int:
    """Run the Procfile's processes and the sandbox until one falls or a person stops them."""
    places = Places(f"http://{ports.HOST}:{children['PORT']}", f"http://{ports.HOST}:{sandbox_port}")
    log = Log(sys.stdout)
    runner = Runner(log, redis)
    for name, command in with_sandbox(commands, children, sandbox_port).items():
        runner.add_process(name, f"exec {command}", env=children, cwd=str(ROOT))
    simulated = children["INTERCOM_API_URL"].startswith(places.sandbox)
    guide = Guide(places, known, VAR, redis.url, children, simulated=simulated)
    runner.run(lambda: guide.set_out(runner))
    if runner.fallen:
        log.say(obituary(runner, runner.fallen))
        return 1
    if guide.trouble:
        log.say(f"\n{guide.trouble}")
        return 1
    log.say("Referloop has stopped. `make run` starts it again, with everything as it was.")
    return 0


def with_sandbox(commands: Mapping[str, str], children: Mapping[str, str], sandbox_port: int) -> dict[str, str]:
    """The Procfile's processes, for this machine only, and the sandbox."""
    state = shlex.quote(str(VAR / "sandbox.json"))
    delay = children["INTERCOM_INDEX_DELAY_SECONDS"]
    sandbox = f"python -m sandbox --port {sandbox_port} --state {state} --index-delay-seconds {delay}"
    here = dict(commands)
    here["web"] += f" --bind {ports.HOST}:{children['PORT']}"
    return {"sandbox": sandbox, **here}


def obituary(runner: Runner, name: str) -> str:
    """Which process ended by itself, how, and its last words."""
    status = runner.status(name)
    how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    words = "\n".join(f"  {line}" for line in runner.last_words(name))
    return f"\n{name} {how}, so everything was stopped. Its last words:\n{words}"


def entry() -> Any:
    """From the command line: faults in plain words, and a quiet end on Ctrl-C."""
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack the letters of a name, or of a frame
    os.chdir(ROOT)
    try:
        return main(os.environ)
    except (CannotStartError, SettingsError) as fault:
        return f"\n{fault}"
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(entry())
