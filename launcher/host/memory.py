"""Memory of this machine and of the container around us, and what /dev/shm can hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from launcher.host import processes

CGROUP_ROOT = Path("/sys/fs/cgroup")
SHM = "/dev/shm"  # noqa: S108 - the kernel's fixed place, not a temporary file of ours
_UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2^63."""


@dataclass(frozen=True)
class Limit:
    """A cgroup limit: `value` is None where there is none; `used` and `how` as read."""

    value: int | None
    used: int | None
    how: str


@dataclass(frozen=True)
class Memory:
    """Host memory in bytes; `limit` is the container's.

    `usable` is what a new process tree can take: MemAvailable, or what is left below the limit.
    """

    total: int
    available: int
    limit: Limit
    how: str = "/proc/meminfo"

    @property
    def usable(self) -> int:
        """Bytes that can be taken before the kernel kills a process."""
        if self.limit.value is None:
            return self.available
        return min(self.available, max(self.limit.value - (self.limit.used or 0), 0))


@dataclass(frozen=True)
class FileSystem:
    """Space of one file system in bytes; `free` is what an unprivileged process may use."""

    path: str
    total: int
    free: int
    how: str = "statvfs"


def read() -> Memory:
    """Memory as the kernel reports it.

    Raises:
        OSError: /proc is not mounted.
    """
    fields = {}
    for line in Path(processes.PROC, "meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024
    return Memory(fields["MemTotal"], fields.get("MemAvailable", fields["MemFree"]), limit())


def limit(root: Path = CGROUP_ROOT) -> Limit:
    """The tightest memory limit of our cgroup and its ancestors."""
    return _tightest(root, "memory.max", "memory.current", "memory", "memory.limit_in_bytes")


def limit_of(cgroup: Path) -> int | None:
    """The memory limit of one cgroup v2 in bytes; None where it has none of its own."""
    return _number(cgroup / "memory.max")


def pids(root: Path = CGROUP_ROOT) -> Limit:
    """The tightest limit on the number of tasks of our cgroup and its ancestors."""
    return _tightest(root, "pids.max", "pids.current", "pids", "pids.max")


def shm(path: str = SHM) -> FileSystem | None:
    """What `path` can hold, None where it does not exist."""
    try:
        stat = os.statvfs(path)
    except OSError:
        return None
    return FileSystem(path, stat.f_frsize * stat.f_blocks, stat.f_frsize * stat.f_bavail)


def _tightest(root: Path, name: str, used: str, controller: str, name_v1: str) -> Limit:
    best = Limit(None, None, f"{root}: no {name}")
    for folder in folders(root, controller):
        v1 = folder.is_relative_to(root / controller)
        value = _number(folder / (name_v1 if v1 else name))
        if value is None:
            continue
        usage = {"memory.current": "memory.usage_in_bytes"}.get(used, used) if v1 else used
        if best.value is None or value < best.value:
            best = Limit(value, _number(folder / usage), str(folder / name))
    return best


def folders(root: Path, controller: str) -> list[Path]:
    """The folders of our cgroup and its ancestors that may hold a limit."""
    folders = []
    for line in processes.own_cgroups() or ["0::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controller if controllers else root
        own = base / path.lstrip("/")
        # In a container with a private cgroup namespace the path may not exist below the mount;
        # the mount itself is then our own group.
        folders += [f for f in (own, *own.parents) if f == base or f.is_relative_to(base)]
    return folders or [root]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    if not text.isdigit() or int(text) >= _UNLIMITED:
        return None
    return int(text)
