"""Who listens on a TCP port, and what a client there has to dial."""

from __future__ import annotations

import os

from launcher.host import tcp
from launcher.host.tcp import Listener


def listeners(port: int) -> list[Listener]:
    """The sockets that listen on TCP port `port`."""
    return [one for one in tcp.listeners() if one.port == port]


def holder(inode: int, pids: list[int]) -> int | None:
    """The first of `pids` that has the socket `inode` open."""
    return tcp.owners([inode], pids).get(inode)


def describe_holder(port: int) -> str | None:
    """The listener of `port`, for a message: `pid 12 (nginx: master process)`; None without one."""
    listening = listeners(port)
    if not listening:
        return None
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for listener in listening:
        pid = holder(listener.inode, pids)
        if pid is not None:
            return f"pid {pid} ({command_line(pid)})"
    return f"a process of user {listening[0].uid} that cannot be looked at from here"


def command_line(pid: int) -> str:
    """The command line of a process, shortened to 120 characters."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        if not text:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                text = file.read().strip()
    except OSError:
        return "gone"
    return text if len(text) <= 120 else text[:117] + "..."


def reachable(address: str) -> str:
    """The address a client on this machine uses for a server bound to `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)  # noqa: S104
