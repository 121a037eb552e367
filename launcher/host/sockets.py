"""The kernel's tables of sockets: what listens, which process has it, what can be bound.

Imported by the keeper, which lives for months: nothing heavy here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from launcher.host import processes
from launcher.host.processes import PROC

_LISTEN, _ESTABLISHED = "0A", "01"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int
    uid: int


@dataclass(frozen=True)
class Connection:
    """An established TCP connection to a port of this machine.

    `address` is the other end's. `peer_inode` is the other end's socket where that is on this
    machine, else None.
    """

    address: str
    peer_inode: int | None


@dataclass(frozen=True)
class UnixSocket:
    """A Unix socket that is bound to a path, or to a name that begins with `@`."""

    path: str
    inode: int


def listeners() -> tuple[Listener, ...]:
    """Every listening TCP socket of this network namespace, IPv4 and IPv6."""
    listening = []
    for table in ("tcp", "tcp6"):
        # A row is split only where it can be one: most are of connections, there may be a million.
        for fields in _rows(table, 11, f" {_LISTEN} "):
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            address, _, port = fields[1].partition(":")
            listening.append(
                Listener(_address(address), int(port, 16), int(fields[9]), int(fields[7]))
            )
    return tuple(listening)


def listeners_on(port: int) -> list[Listener]:
    """The sockets that listen on TCP port `port`."""
    return [one for one in listeners() if one.port == port]


def connections_to(port: int) -> list[Connection]:
    """The established connections of clients to TCP port `port` of this machine."""
    ends: dict[tuple[str, str], int] = {}
    accepted: list[tuple[str, str]] = []
    for table in ("tcp", "tcp6"):
        for fields in _rows(table, 11):
            if len(fields) < 10 or fields[3] != _ESTABLISHED:
                continue
            near, far = fields[1], fields[2]
            ends[near, far] = int(fields[9])
            if int(near.partition(":")[2], 16) == port:
                accepted.append((near, far))
    return [
        Connection(_plain(_address(far.partition(":")[0])), _other_end(ends, near, far))
        for near, far in accepted
    ]


def _other_end(ends: dict[tuple[str, str], int], near: str, far: str) -> int | None:
    """The socket at the other end; a server on `::` sees a client of IPv4 by a mapped address."""
    inode = ends.get((far, near))
    return ends.get((far[-13:], near[-13:])) if inode is None else inode


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def waiting_connections(port: int) -> int | None:
    """Connections to TCP port `port` that the server has not accepted; None where nothing listens.

    The kernel counts them as the receive queue of a listening socket.
    """
    waiting = None
    for table in ("tcp", "tcp6"):
        for fields in _rows(table, 11):
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            if int(fields[1].partition(":")[2], 16) == port:
                waiting = (waiting or 0) + int(fields[4].partition(":")[2], 16)
    return waiting


def unix_sockets() -> list[UnixSocket]:
    """Every Unix socket of this network namespace that has a path or a name."""
    return [
        UnixSocket(fields[7].removesuffix("\n"), int(fields[6]))
        for fields in _rows("unix", 7)
        if len(fields) > 7 and fields[6].isdigit()
    ]


def owners(inodes: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Socket inode to the first of `pids` that has it open, as far as we may look."""
    inodes_by_link = {f"socket:[{inode}]": inode for inode in inodes}
    pids_by_inode: dict[int, int] = {}
    for pid in pids:
        for _, target in processes.open_files(pid):
            inode = inodes_by_link.get(target)
            if inode is not None:
                pids_by_inode.setdefault(inode, pid)
        if len(pids_by_inode) == len(inodes_by_link):
            break
    return pids_by_inode


def holder(inode: int, pids: Iterable[int]) -> int | None:
    """The first of `pids` that has the socket `inode` open."""
    return owners([inode], pids).get(inode)


def describe_holder(port: int) -> str | None:
    """The listener of `port`, for a message: `pid 12 (nginx: master process)`; None without one."""
    listening = listeners_on(port)
    if not listening:
        return None
    everybody = processes.pids()
    for listener in listening:
        pid = holder(listener.inode, everybody)
        if pid is not None:
            return f"pid {pid} ({processes.summary(pid)})"
    return f"a process of user {listening[0].uid} that cannot be looked at from here"


def bind_error(address: str, port: int) -> OSError | None:
    """Why `address`:`port` cannot be listened on now, None where it can; nothing stays bound.

    SO_REUSEADDR as servers set it, so that connections in TIME_WAIT do not count as taken; a live
    listener still does, because the probe listens too.

    Raises:
        OverflowError: that is not a port number.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        return error
    return None


def reachable(address: str) -> str:
    """The address a client on this machine uses for a server bound to `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)  # noqa: S104


class Listeners:
    """The listening sockets at the first question, for all who ask in the same moment."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._lock = threading.Lock()
        self._known: tuple[Listener, ...] | None = None

    def on(self, port: int) -> list[Listener]:
        """The sockets that listen on TCP port `port`."""
        with self._lock:
            if self._known is None:
                self._known = listeners()
        return [one for one in self._known if one.port == port]


def _rows(table: str, most: int, having: str = "") -> Iterator[list[str]]:
    """The rows of a table that hold `having`, each split into `most` + 1 fields at most.

    Line by line, whatever its length: a busy machine has a million connections.
    """
    path = os.path.join(PROC, "net", table)
    try:
        # A path may hold any byte; only a line feed ends a row.
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            next(file, None)  # the names of the columns
            for line in file:
                if having in line:
                    yield line.split(maxsplit=most)
    except OSError as error:
        if error.errno in processes.OUR_LIMITS:
            raise
        return  # a kernel without IPv6


def _address(text: str) -> str:
    """An address of net/tcp: groups of four bytes, each in host order (little endian)."""
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)
