"""Ports and addresses of this machine: what listens, who owns it, what can still be bound."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from launcher.host import kernel, processes, sockets
from launcher.host.memory import SHM

_QUEUE_OPTION = re.compile(r"^--engine[-_]worker[-_]queue[-_]port(?:=(.*))?$", re.DOTALL)
_QUEUE_NAME = re.compile(
    r"(?:\w{1,80}_signal|get_profile_block_num|(?:kv_cache|model_weights|prefix_tree)_status)"
    r"\.(?P<segment>\d{2,5})"
    r"|fd_task_queue_(?P<socket>\d{2,5})\.sock"
)
_OTHER_NAME = re.compile(r"(?P<api>\d{2,5})\.socket|router_(?P<router>\d{2,5})\.ipc")


@dataclass(frozen=True)
class Holder:
    """Who listens on a port; `pid` and `command` are None where we may not look."""

    address: str
    port: int
    uid: int
    pid: int | None = None
    command: str | None = None

    def owner(self) -> str:
        """`pid 1234 (python)`, or what little is known."""
        if self.pid is None:
            return f"a process of uid {self.uid} that we may not see"
        return f"pid {self.pid} ({self.command or 'unknown'})"


@dataclass(frozen=True)
class QueuePort:
    """A FastDeploy engine-worker-queue port in use on this host, and how it was learnt.

    `pid` is the server that was seen to use it, None for traces below /dev/shm. `uid` owns that
    process or trace: any user can make up either (see `is_confirmed`).
    """

    port: int
    pid: int | None
    how: str
    uid: int | None = None

    def is_confirmed(self) -> bool:
        """True where it is this user's own, or the kernel shows a listener or the queue's key."""
        if self.uid in (None, os.geteuid()):
            return True
        if any(one.port == self.port for one in sockets.listeners()):
            return True
        return any(
            kernel.project_of(queue.key, bits) == self.port & ((1 << bits) - 1)
            for queue in kernel.message_queues()
            for bits in (8, 20)
        )


def holders(ports: Iterable[int]) -> tuple[Holder, ...]:
    """The listeners on `ports` with their owners, as far as /proc shows them."""
    port_set = set(ports)
    chosen = [one for one in sockets.listeners() if one.port in port_set]
    if not chosen:
        return ()
    owners = sockets.owners({one.inode for one in chosen}, sorted(processes.pids()))
    port_holders = []
    for one in chosen:
        pid = owners.get(one.inode)
        command = processes.name(pid) if pid is not None else ""
        port_holders.append(Holder(one.address, one.port, one.uid, pid, command or None))
    return tuple(port_holders)


def refused(address: str, port: int) -> str | None:
    """Why `address:port` cannot be bound now, in words; None where it can."""
    try:
        error = sockets.bind_error(address, port)
    except OverflowError:
        return f"{port} is not a port number"
    if error is None:
        return None
    if isinstance(error, socket.gaierror):
        return f"the name {address} cannot be resolved"
    if error.errno == errno.EADDRINUSE:
        return "address already in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is not an address of this machine"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has"
    return os.strerror(error.errno) if error.errno else str(error)


def queue_ports() -> tuple[QueuePort, ...]:
    """Engine-worker-queue ports of every FastDeploy server that leaves a trace on this host.

    Read from the command lines in /proc and from names below /dev/shm; the latter may be
    leftovers of a dead server, which still occupy the System V queue of their low byte.
    """
    ports_by_number: dict[int, QueuePort] = {}
    for pid, argv in _command_lines():
        for port in _queue_option(argv):
            how = f"command line of pid {pid}"
            ports_by_number.setdefault(port, QueuePort(port, pid, how, processes.uid(pid)))
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(SHM)):
            traced = trace(name)
            if traced is not None and traced.queue:
                path = f"{SHM}/{name}"
                ports_by_number.setdefault(
                    traced.port, QueuePort(traced.port, None, path, _owner(path))
                )
    return tuple(ports_by_number[port] for port in sorted(ports_by_number))


def _owner(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def blocked_ports() -> set[int]:
    """Ports whose names below /dev/shm another user has: a server there could not make its own."""
    ports = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(SHM):
            traced = trace(name)
            if traced is not None and _owner(f"{SHM}/{name}") not in (None, os.geteuid()):
                ports.add(traced.port)
    return ports


@dataclass(frozen=True)
class Trace:
    """What a name below /dev/shm tells of a FastDeploy server; `queue`: it is its queue port."""

    port: int
    queue: bool


def trace(name: str) -> Trace | None:
    """The port that a FastDeploy server wrote into the name; None for other programs' names."""
    for pattern, queue in ((_QUEUE_NAME, True), (_OTHER_NAME, False)):
        match = pattern.fullmatch(name)
        if match:
            return Trace(int(next(group for group in match.groups() if group)), queue)
    return None


def _queue_option(argv: list[str]) -> list[int]:
    values: list[str] = []
    for at, word in enumerate(argv):
        match = _QUEUE_OPTION.match(word)
        if match:
            values.append(match[1] if match[1] is not None else " ".join(argv[at + 1 : at + 2]))
    parts = (part.strip() for value in values for part in value.split(","))
    # Any user's command line comes here: no other digits than ASCII's, no number without a bound.
    return [int(part) for part in parts if re.fullmatch("[0-9]{1,5}", part)]


def _command_lines() -> list[tuple[int, list[str]]]:
    lines = []
    for pid in processes.pids():
        raw = processes.raw_command_line(pid)
        if pid != os.getpid() and b"queue" in raw:
            lines.append((pid, raw.decode(errors="replace").split("\0")))
    return lines
