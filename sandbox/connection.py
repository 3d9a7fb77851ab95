"""Hanging up on a caller, under either server."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import Any, NoReturn


class HungUp(BrokenPipeError):
    """The call ends without an answer."""


def cut(environ: dict[str, Any]) -> NoReturn:
    """Close the caller's connection without an answer."""
    hang_up(environ)
    raise HungUp(errno.EPIPE, "the connection was cut on purpose")


def hang_up(environ: dict[str, Any]) -> None:
    """Close the caller's connection: with a reset, where there is a socket."""
    caller = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if caller is None:
        return
    with contextlib.suppress(OSError):
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.shutdown(socket.SHUT_RDWR)
