"""The kernel's tables of TCP sockets: what listens, which process has it, what can be bound.

Imported by the keeper, which lives for months: nothing heavy here.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int
    uid: int


def listeners() -> tuple[Listener, ...]:
    """Every listening TCP socket of this network namespace, IPv4 and IPv6."""
    listeners_ = []
    for name in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            address, _, port = fields[1].partition(":")
            listeners_.append(
                Listener(_address(address), int(port, 16), int(fields[9]), int(fields[7]))
            )
    return tuple(listeners_)


def owners(inodes: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Socket inode to the first of `pids` that has it open, as far as we may look."""
    inodes_by_link = {f"socket:[{inode}]": inode for inode in inodes}
    pids_by_inode: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(PROC / str(pid) / "fd"):
                with contextlib.suppress(OSError):
                    inode = inodes_by_link.get(os.readlink(PROC / str(pid) / "fd" / descriptor))
                    if inode is not None:
                        pids_by_inode.setdefault(inode, pid)
        if len(pids_by_inode) == len(inodes_by_link):
            break
    return pids_by_inode


def bind_error(address: str, port: int) -> OSError | None:
    """Why `address`:`port` cannot be listened on now, None where it can; nothing stays bound.

    SO_REUSEADDR as servers set it, so that connections in TIME_WAIT do not count as taken; a live
    listener still does, because the probe listens too.

    Raises:
        OverflowError: that is no port number.
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


def _address(text: str) -> str:
    """An address of /proc/net/tcp: groups of four bytes, each in host order (little endian)."""
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)
