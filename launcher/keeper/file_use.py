"""Who uses a file or folder: by open files, mappings, environments, sockets and names.

Use is the proof of whose a leftover is. Each process is looked at once for any number of paths: a
server has some twenty files, and a host may have fifty servers with a folder each.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from launcher.host import processes, sockets

SHM = Path("/dev/shm")  # noqa: S108 - POSIX shared memory is what this is about
_IN_SHM = re.compile(rb"/dev/shm/[^/\n]+(?<! \(deleted\))$", re.M)


def is_in_shm(path: str) -> bool:
    """True for a file directly in /dev/shm."""
    return os.path.dirname(path) == str(SHM)


def users(path: str, pids: Iterable[int]) -> list[int]:
    """Those of `pids` that have `path` or what is in it open, mapped, or in their environment.

    A file that was deleted does not count: FastDeploy 2.0 to 2.2 remove the one folder that all
    servers of a host share, and make it anew, whenever one of them starts.
    """
    return [pid for pid in pids if mentioned([path], [pid])]


def mentioned(paths: Collection[str], pids: Iterable[int]) -> set[str]:
    """Those of `paths` that one of `pids` uses, as `users` says it."""
    used: set[str] = set()
    if not paths:
        return used
    common = os.fsencode(os.path.commonpath(paths))
    for pid in pids:
        for text in _mentions(pid):
            if common in text:
                used |= {path for path in paths if path not in used and _is_named(path, text)}
    return used


def _is_named(path: str, text: bytes) -> bool:
    encoded = os.fsencode(path)
    if encoded not in text:
        return False
    # /tmp/prom_main is not /tmp/prom_main_0f3e.
    following = rb"(?![^/\0\n:])(?![^\0\n]* \(deleted\)$)"
    return re.search(re.escape(encoded) + following, text, re.M) is not None


def used_in_shm(pids: Iterable[int]) -> set[str]:
    """The files directly in /dev/shm that one of `pids` maps or has open."""
    return {
        os.fsdecode(path)
        for pid in pids
        for text in _mentions(pid, environment=False)
        if b"/dev/shm/" in text
        for path in _IN_SHM.findall(text)
    }


def is_bound(path: str, pids: Iterable[int]) -> bool:
    """True where a process other than `pids` listens on the Unix socket at `path`.

    Some of FastDeploy's sockets (`processor_cache.ipc`) have one name for all servers of a host.
    """
    ours = list(pids)
    inodes = [one.inode for one in sockets.unix_sockets() if one.path == path]
    return any(sockets.holder(inode, ours) is None for inode in inodes)


_PID_IN_NAME = re.compile(r"(?:^|_|pid)(\d+)(?=[_.]|$)")


def is_named_after(path: str, pids: set[int]) -> bool:
    """True where the name of `path`, or of something in it, holds one of `pids`.

    prometheus_client calls its files `counter_<pid>.db`, FastDeploy a lock
    `fd_weight_clear_update_lock__pid<pid>_port<port>.lock`: a process that has died or closed
    them is still known by them.
    """
    names = [os.path.basename(path)]
    with contextlib.suppress(OSError):
        names += os.listdir(path)
    return any(int(number) in pids for name in names for number in _PID_IN_NAME.findall(name))


def _mentions(pid: int, *, environment: bool = True) -> Iterator[bytes]:
    if environment:
        yield processes.raw_environment(pid)
    yield processes.maps(pid)
    for _, target in processes.open_files(pid):
        yield os.fsencode(target)
