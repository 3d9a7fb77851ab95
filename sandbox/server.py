"""The app, and two ways to serve it: in a thread for tests, and as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox import contact_controls, control, gate, pages, persistence, vendor_controls
from sandbox.intercom import catalogue_doors, contact_doors
from sandbox.intercom import doors as intercom
from sandbox.persistence import Keeper
from sandbox.referral_factory import doors as referral_factory
from sandbox.settings import Settings
from sandbox.world import World

THREADS = 96
STOP_SECONDS = 10  # for writing a large state; usually it takes a fraction of one
LAST_ANSWERS_SECONDS = 0.2
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

# The rules of these modules are registered when they are imported, before any app takes the blueprints.
_WITH_RULES = (catalogue_doors, contact_doors, contact_controls, vendor_controls)


def make_app(world: World) -> Flask:
    """A Flask app over a world."""
    app = Flask("sandbox", static_folder="static", root_path=str(Path(__file__).parent))
    app.extensions["sandbox"] = world
    # A cut connection travels up to the server, which closes it.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    gate.guard(app)
    for blueprint in (intercom.doors, referral_factory.doors, control.control, pages.pages):
        app.register_blueprint(blueprint)
    return app


class _Handler(WSGIRequestHandler):
    """Keep-alive, and nothing on the terminal."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class Sandbox:
    """A running sandbox in this process."""

    def __init__(self, host: str, port: int, settings: dict[str, Any], seed: int) -> None:
        self.state = World(Settings(**settings), seed)
        self.app = make_app(self.state)
        self._server = make_server(host, port, self.app, threaded=True, request_handler=_Handler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"http://{host}:{self._server.server_port}"
        if "public_url" not in settings:
            self.state.settings.change({"public_url": self.url})
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.state.sender.start()

    @property
    def intercom_url(self) -> str:
        """Where Intercom is."""
        return f"{self.url}/intercom"

    @property
    def referral_factory_url(self) -> str:
        """Where Referral Factory is."""
        return f"{self.url}/referral-factory"

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self.state.clock.advance(seconds)

    def close(self) -> None:
        """Stop serving and sending."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)
        self.state.sender.stop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(*, host: str = "127.0.0.1", port: int = 0, seed: int = 1, **settings: Any) -> Sandbox:
    """Start a sandbox in a thread, on a free port unless one is given; settings are the switches."""
    return Sandbox(host, port, settings, seed)


class _Process(BaseApplication):
    """One gunicorn worker with many threads: all state is in its memory."""

    def __init__(self, options: dict[str, Any], build: Any) -> None:
        self._options = options
        self._build = build
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        app: Flask = self._build()
        return app


def serve(host: str, port: int, seed: int, settings: dict[str, Any], state: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; exits the process."""
    _check_port(host, port)
    settings = {"public_url": f"http://{host}:{port}", **settings}
    world = World(Settings(**settings), seed)
    keeper = _keeper(world, state, frozenset(settings)) if state is not None else None

    def build() -> Flask:
        # In the worker: threads don't survive the fork.
        if keeper is not None:
            keeper.start()
        world.sender.start()
        return make_app(world)

    def leave(_number: Any, _frame: Any) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        time.sleep(LAST_ANSWERS_SECONDS)
        if keeper is not None:
            keeper.close()
        # Not by way of the server's own end, which waits for calls that are held up on purpose.
        os._exit(0)

    def listen_for_the_end(_worker: Any) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, leave)

    options = {
        "bind": f"{host}:{port}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": THREADS,
        "worker_connections": 1000,
        "keepalive": 75,
        "timeout": 0,
        "graceful_timeout": STOP_SECONDS,
        "post_worker_init": listen_for_the_end,
        "loglevel": "warning",
        "control_socket_disable": True,
        "proc_name": "sandbox",
    }
    print(f"Sandbox: {settings['public_url']}", flush=True)  # noqa: T201 - it is a command
    _Process(options, build).run()


def _keeper(world: World, state: Path, given: frozenset[str]) -> Keeper:
    try:
        persistence.load(world, state, given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"The sandbox can't read its state from {state}: {error}.")
    return Keeper(world, state)


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"The sandbox can't listen on {host}:{port}: {error.strerror}.")
