"""One command to a socket of HAProxy, and its whole answer: bounded in time and length."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

from launcher.errors import DeadlineError, PreconditionError

DEADLINE = 10.0
"""Seconds for one command; HAProxy answers within milliseconds, also with 200 open streams."""
LONGEST_ANSWER = 8 * 1024 * 1024
LONGEST_COMMAND = 4096


def exchange(
    path: Path, command: str, deadline: float = DEADLINE, *, shown: str | None = None
) -> str:
    """The answer to `command`; messages have `shown` instead where that may not be told.

    Raises:
        PreconditionError: `door-not-running`: nothing listens there; or the answer is too long.
        DeadlineError: the answer is not complete in time.
        ValueError: `command` is not one printable line.
    """
    if not (command.isascii() and command.isprintable()) or len(command) > LONGEST_COMMAND:
        raise ValueError(f"not a command: {(shown or command)[:80]!r}")
    shown = command if shown is None else shown
    end = time.monotonic() + deadline
    data = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(deadline)
            client.connect(str(path))
            _check_owner(client, path)
            client.sendall(command.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            while len(data) <= LONGEST_ANSWER:
                client.settimeout(max(0.001, end - time.monotonic()))
                chunk = client.recv(65536)
                if not chunk:
                    return data.decode(errors="replace")
                data += chunk
    except TimeoutError:
        raise DeadlineError.of(
            "door-timeout", f"HAProxy does not answer `{shown}` within {deadline:g} s", str(path)
        ) from None
    except OSError as error:
        raise PreconditionError.of(
            "door-not-running", f"HAProxy cannot be reached: {error.strerror or error}", str(path),
            "its keeper restarts it; `ernie-deploy status` shows the front door",
        ) from None  # fmt: skip
    raise PreconditionError.of(
        "door-answer", f"HAProxy's answer to `{shown}` is longer than {LONGEST_ANSWER} bytes",
        str(path),
    )  # fmt: skip


def _check_owner(client: socket.socket, path: Path) -> None:
    """Refuse a listener of another user."""
    raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    if uid != os.geteuid():
        raise PreconditionError.of(
            "door-not-running", f"the socket is served by the user {uid}", str(path)
        )
