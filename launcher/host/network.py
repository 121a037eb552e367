"""Ports and addresses of this machine: what listens, who owns it, what can still be bound."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.host.memory import SHM

PROC = Path("/proc")
_LISTEN = "0A"
_QUEUE_OPTION = re.compile(r"^--engine[-_]worker[-_]queue[-_]port(?:=(.*))?$", re.DOTALL)
_QUEUE_NAME = re.compile(
    r"(?:\w+_signal|get_profile_block_num|kv_cache_status|model_weights_status)\.(?P<segment>\d{2,5})"
    r"|fd_task_queue_(?P<socket>\d{2,5})\.sock"
)
_OTHER_NAME = re.compile(r"(?P<api>\d{2,5})\.socket|router_(?P<router>\d{2,5})\.ipc")


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket; `pid` and `command` are None where we may not look."""

    address: str
    port: int
    inode: int
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

    `pid` is the server that was seen to use it, None for traces below /dev/shm.
    """

    port: int
    pid: int | None
    how: str


def listeners() -> tuple[Listener, ...]:
    """Every listening TCP socket of this network namespace, without owners."""
    found = []
    for name, width in (("tcp", 8), ("tcp6", 32)):
        try:
            lines = (PROC / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] != _LISTEN:
                continue
            address, _, port = words[1].partition(":")
            text = _address(address[:width])
            found.append(Listener(text, int(port, 16), int(words[9]), int(words[7])))
    return tuple(found)


def holders(ports: Iterable[int]) -> tuple[Listener, ...]:
    """The listeners on `ports` with their owners, as far as /proc shows them."""
    wanted = set(ports)
    chosen = [one for one in listeners() if one.port in wanted]
    if not chosen:
        return ()
    owners = _owners({one.inode for one in chosen})
    return tuple(
        Listener(
            one.address,
            one.port,
            one.inode,
            one.uid,
            owners.get(one.inode),
            _command(owners.get(one.inode)),
        )
        for one in chosen
    )


def refused(address: str, port: int) -> str | None:
    """Why `address:port` cannot be bound now, None where it can; nothing stays bound.

    Sets SO_REUSEADDR as servers do, so that connections in TIME_WAIT do not count as taken; a
    live listener still does, because the probe listens too.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except socket.gaierror:
        return f"the name {address} cannot be resolved"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "address already in use"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{address} is not an address of this machine"
        if error.errno == errno.EACCES:
            return f"port {port} needs more rights than this user has"
        return os.strerror(error.errno) if error.errno else str(error)
    except OverflowError:
        return f"{port} is not a port number"
    return None


def queue_ports() -> tuple[QueuePort, ...]:
    """Engine-worker-queue ports of every FastDeploy server that leaves a trace on this host.

    Read from the command lines in /proc and from names below /dev/shm; the latter may be
    leftovers of a dead server, which still occupy the System V queue of their low byte.
    """
    found: dict[int, QueuePort] = {}
    for pid, words in _command_lines():
        for port in _queue_option(words):
            found.setdefault(port, QueuePort(port, pid, f"command line of pid {pid}"))
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(SHM)):
            traced = trace(name)
            if traced is not None and traced.queue:
                found.setdefault(traced.port, QueuePort(traced.port, None, f"{SHM}/{name}"))
    return tuple(found[port] for port in sorted(found))


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


def _queue_option(words: list[str]) -> list[int]:
    values: list[str] = []
    for at, word in enumerate(words):
        match = _QUEUE_OPTION.match(word)
        if match:
            values.append(match[1] if match[1] is not None else " ".join(words[at + 1 : at + 2]))
    return [int(part) for value in values for part in value.split(",") if part.strip().isdigit()]


def _command_lines() -> list[tuple[int, list[str]]]:
    lines = []
    for name in os.listdir(PROC):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                raw = (PROC / name / "cmdline").read_bytes()
                if b"queue" in raw:
                    lines.append((int(name), raw.decode(errors="replace").split("\0")))
    return lines


def _owners(inodes: set[int]) -> dict[int, int]:
    """Socket inode to the lowest pid that holds it."""
    owners: dict[int, int] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for name in sorted((n for n in os.listdir(PROC) if n.isdigit()), key=int):
        with contextlib.suppress(OSError):
            for descriptor in os.scandir(PROC / name / "fd"):
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(descriptor.path))
                    if inode is not None:
                        owners.setdefault(inode, int(name))
        if len(owners) == len(wanted):
            break
    return owners


def _command(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        return (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _address(text: str) -> str:
    """An address of /proc/net/tcp: groups of four bytes, each in host order (little endian)."""
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)
