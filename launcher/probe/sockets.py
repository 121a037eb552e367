"""Who listens on a TCP port: the kernel's tables, read from /proc."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """One listening socket; `address` is the kernel's hexadecimal form."""

    port: int
    address: str
    inode: int
    uid: int


def listeners(port: int) -> list[Listener]:
    """The sockets that listen on TCP port `port` in this network namespace, IPv4 and IPv6."""
    found = []
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTEN and fields[1].endswith(wanted):
                    address = fields[1].partition(":")[0]
                    found.append(Listener(port, address, int(fields[9]), int(fields[7])))
    return found


def holder(inode: int, pids: list[int]) -> int | None:
    """The first of `pids` that has the socket `inode` open."""
    wanted = f"socket:[{inode}]"
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return pid
    return None


def describe_holder(port: int) -> str | None:
    """Who listens on `port`, for a message: `pid 12 (nginx: master process)`; None if nobody."""
    found = listeners(port)
    if not found:
        return None
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for listener in found:
        pid = holder(listener.inode, pids)
        if pid is not None:
            return f"pid {pid} ({command_line(pid)})"
    return f"a process of user {found[0].uid} that cannot be looked at from here"


def command_line(pid: int) -> str:
    """The command line of a process, shortened to 120 characters."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        if not words:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                words = file.read().strip()
    except OSError:
        return "gone"
    return words if len(words) <= 120 else words[:117] + "..."


def accepts(address: str, port: int, timeout: float = 1.0) -> bool:
    """True where a TCP connection to `address`:`port` is accepted."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout):
        return True
    return False


def bind_error(address: str, port: int) -> OSError | None:
    """Why `address`:`port` cannot be listened on now, or None where it can.

    SO_REUSEADDR as servers set it, so that connections in TIME_WAIT do not count.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def reachable(address: str) -> str:
    """The address a client on this machine uses for a server bound to `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)  # noqa: S104
