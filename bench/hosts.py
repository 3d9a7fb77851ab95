"""Another host, as far as the network goes: a namespace of its own, and a wire that can be cut. For root on Linux."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence

HERE, THERE, WIDTH = "10.203.117.1", "10.203.117.2", 30
PIECE = 65536
IP = "ip"


def may_make_hosts() -> bool:
    """Whether namespaces can be made here; asked by making one."""
    if shutil.which(IP) is None or os.geteuid() != 0:
        return False
    name = f"referloop-try-{os.getpid()}"
    made = subprocess.run([IP, "netns", "add", name], capture_output=True, check=False).returncode == 0
    subprocess.run([IP, "netns", "del", name], capture_output=True, check=False)
    return made


class FarHost:
    """Reaches this machine's servers, which listen on its loopback only, by relays at the wire's end."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._name = f"referloop-far-{os.getpid()}"
        self._wire = f"rl{os.getpid() % 10**7}"
        self._relays = [Relay(HERE, port) for port in ports]

    def __enter__(self) -> FarHost:
        try:
            _ip("netns", "add", self._name)
            _ip("link", "add", self._wire, "type", "veth", "peer", "name", "far", "netns", self._name)
            _ip("address", "add", f"{HERE}/{WIDTH}", "dev", self._wire)
            self.mend()
            self._there("address", "add", f"{THERE}/{WIDTH}", "dev", "far")
            for device in ("lo", "far"):
                self._there("link", "set", device, "up")
            for relay in self._relays:
                relay.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for relay in self._relays:
            relay.close()
        # The wire goes with the namespace that holds its other end.
        for what in (("link", "del", self._wire), ("netns", "del", self._name)):
            subprocess.run([IP, *what], capture_output=True, check=False)

    def _there(self, *arguments: str) -> None:
        _ip("-netns", self._name, *arguments)

    def command(self, command: Sequence[str]) -> list[str]:
        """The same, there."""
        return [IP, "netns", "exec", self._name, *command]

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The same addresses as they are reached from there."""
        return {name: value.replace("127.0.0.1", HERE) for name, value in environ.items()}

    def cut(self) -> None:
        """What is on its way is lost, and nobody is told."""
        _ip("link", "set", self._wire, "down")

    def mend(self) -> None:
        _ip("link", "set", self._wire, "up")


def _ip(*arguments: str) -> None:
    subprocess.run([IP, *arguments], check=True, capture_output=True)


class Relay:
    """Carries connections to ``address`` on to the same port of this machine's loopback."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._door: socket.socket | None = None

    def start(self) -> None:
        self._door = socket.create_server((self._address, self._port))
        threading.Thread(target=self._serve, args=(self._door,), daemon=True).start()

    def close(self) -> None:
        if self._door is not None:
            self._door.close()

    def _serve(self, door: socket.socket) -> None:
        for near in _accepted(door):
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as far:
            others = {near: far, far: near}
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    piece = ready.recv(PIECE)
                    if not piece:
                        return
                    others[ready].sendall(piece)


def _accepted(door: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # closed
        while True:
            yield door.accept()[0]
