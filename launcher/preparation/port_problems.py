"""Who has a port or a lease that is in the way, and what to do about it: for messages."""

from __future__ import annotations

import contextlib
import errno
import os

from launcher.engines.base import PortNeed
from launcher.errors import Problem
from launcher.host import processes, sockets
from launcher.host.sockets import describe_holder
from launcher.preparation import lease_folder
from launcher.preparation.owners import Owner, Owners


def lessees(name: str) -> list[int]:
    """The processes of this user that have the lease `name` open."""
    files: set[tuple[int, int]] = set()
    with lease_folder.open_all() as folders:
        for folder in folders:
            with contextlib.suppress(OSError):
                info = os.stat(name, dir_fd=folder, follow_symlinks=False)
                files.add((info.st_dev, info.st_ino))
    holder_pids = []
    for pid in processes.pids():
        # Only files of that name are looked at: a stat of a dead network mount would hang.
        named = (path for path, target in processes.open_files(pid) if target.endswith(f"/{name}"))
        if any(_file(path) in files for path in named):
            holder_pids.append(pid)
    return holder_pids


def _file(descriptor: str) -> tuple[int, int] | None:
    try:
        info = os.stat(descriptor)
    except OSError:
        return None
    return info.st_dev, info.st_ino


def describe_processes(pids: list[int]) -> str:
    """The instance that one of them belongs to, or the first of them."""
    if not pids:
        return "another instance of this user"
    owner = _owner(pids)
    if owner is not None:
        return owner.describe()
    return f"pid {pids[0]} ({processes.summary(pids[0])})"


def _owner(pids: list[int]) -> Owner | None:
    owners = Owners()
    return next((owner for pid in pids if (owner := owners.of_process(pid)) is not None), None)


def down_hint(pids: list[int]) -> str:
    """The way out that ends a dead instance's remains, to be read before the others."""
    owner = _owner(pids)
    return f"`{owner.down()}`, or " if owner is not None and owner.is_dead else ""


def refusal(error: OSError, need: PortNeed, port: int) -> Problem:
    """Why a port of the profile cannot be listened on."""
    where = f"ports.{need.name}"
    if error.errno == errno.EADDRINUSE:
        who = describe_holder(port) or "a program that cannot be looked at from here"
        owner = _owner(_holders(port))
        remedy = "end that program"
        if owner is not None:
            who, remedy = f"{owner.describe()}: {who}", f"`{owner.down()}`"
        return Problem(
            "port-taken", f"port {port} ({need.name}) is in use by {who}", where,
            f"{remedy}, or choose another port, or `ports: {{{need.name}: auto}}`",
        )  # fmt: skip
    return Problem("port-refused", f"port {port} ({need.name}): {error.strerror}", where)


def _holders(port: int) -> list[int]:
    """The processes that listen on a port, as far as they can be seen."""
    inodes = {one.inode for one in sockets.listeners_on(port)}
    return sorted(set(sockets.owners(inodes, processes.pids()).values()))


def host_problem(host: str, error: OSError, where: str = "host") -> Problem:
    """Said now: a server would only find out when it binds, after the whole model load."""
    summary = "is not an address of this machine"
    if error.errno != errno.EADDRNOTAVAIL:
        summary = f"cannot be listened on: {error.strerror}"
    return Problem(
        "host-not-local", f"{host} {summary}", where,
        f"`{where}: 127.0.0.1` serves this machine only, `{where}: 0.0.0.0` all its addresses",
    )  # fmt: skip
