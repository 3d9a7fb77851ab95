"""Ports of this machine: whether one is free, and finding one."""

from __future__ import annotations

import errno
import socket

from local.errors import CannotStartError

HOST = "127.0.0.1"


def check(port: int, purpose: str, variable: str) -> None:
    """Make sure that a port can be listened on.

    Raises:
        CannotStartError: naming the port, whom it was for, and the variable that changes it.
    """
    try:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((HOST, port))
            attempt.listen()
    except OSError as error:
        other = f"or choose another port: {variable}={port + 10 if port < 65000 else 8080} make run"
        if error.errno == errno.EADDRINUSE:
            raise CannotStartError(
                f"Port {port}, which {purpose} needs, is taken by another program. Stop that program, {other}"
            ) from None
        raise CannotStartError(
            f"Port {port} can't be used for {purpose}: {error.strerror}. Mend that, {other}"
        ) from None


def number(text: str, variable: str) -> int:
    """Read a port's number strictly.

    Raises:
        CannotStartError: if it is none.
    """
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise CannotStartError(f"{variable} must be a whole number from 1 to 65535.")


def free() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
