"""Unix sockets that stand in for ports: a file that a killed server left blocks the next start.

FastDeploy's own check takes a dead file for a free port, and its bind then fails with
`Address already in use`: measured with 2.6 (exit code 1 after 24 s).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from launcher.errors import Problem
from launcher.preparation.owners import Owners

CONNECT_DEADLINE = 1.0
"""Seconds until a listener whose queue is full counts as alive."""


def clear(path: str, port: int, where: str) -> Problem | None:
    """Make way for a socket at `path`; the problem where that cannot be done.

    Removed is only a dead socket that an instance of this user recorded, or can alone have made,
    and that has ended.
    """
    try:
        before = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Problem("socket-left", f"{path} cannot be looked at: {error.strerror}", where)
    choose = "choose another port, or `auto`"
    owner = Owners().of_file(path, port)
    if not stat.S_ISSOCK(before.st_mode):
        return Problem(
            "socket-left", f"{path} is in the way of the engine's queue and is not a socket", where,
            f"look what it is, then `rm {path}`; or {choose}",
        )  # fmt: skip
    if not is_dead(path):
        whose = f"{owner.describe()}" if owner else "a server that runs"
        return Problem(
            "port-taken", f"{path}, the socket of port {port}, is in use by {whose}", where,
            f"end that server, or {choose}",
        )  # fmt: skip
    if owner is not None and owner.is_dead and _remove(path, before):
        return None
    return Problem(
        "socket-left",
        f"{path} was left by a server that has ended: the engine takes its port for free, but "
        "cannot bind its queue there",
        where,
        f"`rm {path}` (nothing listens on it); or {choose}",
    )


def is_dead(path: str) -> bool:
    """True where the kernel refuses a connection: the socket has no listener."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_DEADLINE)
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno in (errno.ECONNREFUSED, errno.ENOENT)
    return False


def _remove(path: str, before: os.stat_result) -> bool:
    """Remove the file that was looked at; True where nothing is in the way any more."""
    with contextlib.suppress(FileNotFoundError):
        now = os.lstat(path)
        if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino) or not is_dead(path):
            return False
        try:
            os.unlink(path)
        except PermissionError:
            return False
    return True
