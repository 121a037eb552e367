"""The cgroup v2 that a keeper makes for its engine.

Every process that the engine makes is born in it, whatever session it moves to and whichever
process adopts it, and only a privileged hand takes one out. So it finds processes that have lost
all other marks, can limit their memory together, and `cgroup.kill` ends them at once, also those
that are made faster than they can be found. Where none can be made, the engine runs without.

Its name holds the instance's token, so it is known as ours without any record.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Collection
from pathlib import Path

from launcher.host import cgroups
from launcher.host.cgroups import KEEPER_LEAF
from launcher.host.processes import Process, look

EMPTY_DEADLINE = 1.0
"""Seconds until a cgroup whose last process was killed is empty for the kernel as well."""
_NAME = "ernie-deploy"
_DEEPEST = 8
"""Levels of cgroups that an engine may have made within its own."""


def name_of(token: str) -> str:
    """The name of the cgroup of the instance with this token (`<instance>:<random>`)."""
    return f"{_NAME}-{token.replace(':', '-').replace('/', '-')}"


def planned(token: str) -> Path | None:
    """Where the cgroup will be; None where none can be made."""
    folder = cgroups.support().folder
    return folder / name_of(token) if folder is not None and token else None


def make(
    path: Path | None, memory_max: int | None, helpers: Collection[int]
) -> tuple[OwnCgroup | None, str | None]:
    """The cgroup at `path`, None where it cannot be made; and why `memory_max` is not its limit."""
    cgroup = OwnCgroup(path) if path is not None else None
    if cgroup is None or not cgroup.make():
        return None, None if memory_max is None else "no cgroup v2 can be written here"
    problem = cgroup.limit_memory(memory_max, helpers) if memory_max is not None else None
    return cgroup, problem


def of_processes(pids: Collection[int], token: str) -> str | None:
    """The folder of this instance's cgroup where one of its processes is in it."""
    for pid in pids:
        folder = cgroups.folder_of(pid)
        if folder is not None and folder.name == name_of(token):
            return str(folder)
    return None


class OwnCgroup:
    """The cgroup of one engine, by its path; it may not exist (yet, or any more)."""

    def __init__(self, path: Path) -> None:
        """Nothing is made."""
        self.path = path

    @classmethod
    def recorded(cls, path: str | None, token: str) -> OwnCgroup | None:
        """The one that a state names; None where there is none or the name is not the token's."""
        if path is None or not token or os.path.basename(path) != name_of(token):
            return None
        return cls(Path(path))

    def make(self) -> bool:
        """Make it, also where an earlier run's is still there; False where that is refused."""
        try:
            self.path.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            return False
        if cgroups.words(self.path / "cgroup.type") not in ([], ["domain"]):
            self.remove()
            return False
        return True

    def limit_memory(self, most: int, helpers: Collection[int]) -> str | None:
        """Set `memory.max` to `most` bytes; returns why that cannot be done, None where it is.

        `helpers` are the keeper's own processes. Where they and the keeper are all that is in the
        parent, they go to a leaf of their own, so that the parent may pass its controller on.
        """
        parent = self.path.parent
        if "memory" not in cgroups.words(parent / "cgroup.controllers"):
            return f"{parent} has no memory controller"
        problem = enable(parent, "memory", helpers)
        if problem is not None:
            return problem
        try:
            (self.path / "memory.max").write_text(f"{most}\n", encoding="ascii")
        except OSError as error:
            return f"{self.path / 'memory.max'}: {error.strerror}"
        return None

    @property
    def counts_memory(self) -> bool:
        """True where the kernel counts the memory of this cgroup by itself."""
        return (self.path / "memory.events").exists()

    def open_door(self) -> int | None:
        """A descriptor by which a process enters when it writes `0`; None where it cannot be."""
        try:
            return os.open(self.path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def has_taken(self, pid: int) -> bool:
        """True where this process runs, or ran until its end, in the cgroup."""
        return cgroups.folder_of(pid) == self.path

    def members(self) -> set[int]:
        """The processes in it and in cgroups that were made within it."""
        members: set[int] = set()
        for folder in self._folders():
            members |= cgroups.pids(folder)
        return members

    def kill(self, is_ours: Callable[[Process], bool]) -> bool:
        """SIGKILL to all its processes at once; True where that was done.

        Not where one of them was moved in from outside: the parent of each is another of them, or
        `is_ours` is true for it. A process that the engine makes meanwhile is killed as well.
        """
        members = self.members()
        if not members or 0 in members:
            return False
        for pid in members:
            process = look(pid)
            if process is None or process.state in "ZX" or process.parent in members:
                continue
            if not is_ours(process):
                return False
        try:
            (self.path / "cgroup.kill").write_text("1\n", encoding="ascii")
        except OSError:  # kernels before 5.14 have no such file
            return False
        return True

    def remove(self) -> bool:
        """Remove it, with what was made within it; False where it stays (it has processes)."""
        end = time.monotonic() + EMPTY_DEADLINE
        while True:
            if self._remove_folders():
                return True
            if self.members() or not self._wait_for_change(end):
                return self._remove_folders()

    def _remove_folders(self) -> bool:
        for folder in reversed(self._folders()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return not self.path.exists()

    def _wait_for_change(self, end: float) -> bool:
        """Wait until the kernel tells that the last process is gone; False after the deadline."""
        left = end - time.monotonic()
        if left <= 0:
            return False
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.read(descriptor, 4096)
                poller = select.poll()
                poller.register(descriptor, select.POLLPRI)
                # The end of a process and the answer of rmdir are not one event in every kernel.
                poller.poll(min(left, 0.05) * 1000)
            finally:
                os.close(descriptor)
        return True

    def _folders(self) -> list[Path]:
        """It and all below it, parents first; none where it does not exist."""
        folders = [self.path] if self.path.is_dir() else []
        level = folders
        for _ in range(_DEEPEST):
            level = [Path(entry.path) for folder in level for entry in _entries(folder)]
            folders = folders + level
        return folders


def enable(parent: Path, controller: str, helpers: Collection[int]) -> str | None:
    """Let `parent` pass a controller on to the cgroups below it; returns why it cannot."""
    control = parent / "cgroup.subtree_control"
    if controller in cgroups.words(control):
        return None
    problem = _write(control, f"+{controller}")
    if problem is None:
        return None
    ours = {os.getpid(), *helpers}
    inside = cgroups.pids(parent)
    if not inside or not inside <= ours:
        return f"{parent} has other processes, so it cannot pass its {controller} controller on"
    leaf = parent / KEEPER_LEAF
    with contextlib.suppress(OSError):
        leaf.mkdir(exist_ok=True)
        for pid in inside:
            (leaf / "cgroup.procs").write_text(f"{pid}\n", encoding="ascii")
    problem = _write(control, f"+{controller}")
    if problem is not None:  # back to where we came from
        with contextlib.suppress(OSError):
            for pid in cgroups.pids(leaf):
                (parent / "cgroup.procs").write_text(f"{pid}\n", encoding="ascii")
            leaf.rmdir()
    return problem


def _write(path: Path, text: str) -> str | None:
    try:
        path.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
