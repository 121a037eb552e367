"""What the kernel tells of its memory killer: counters of our cgroup, and lines of its log."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.host import processes
from launcher.host.memory import CGROUP_ROOT, folders

KERNEL_LOG = "/dev/kmsg"
_RECORD = 8192
"""Bytes; the kernel gives one record per read, none is longer."""
_MOST_RECORDS = 20_000
_LONGEST_READ = 0.5
"""Seconds; a kernel that logs faster than we read is not read to its end."""
_MEMORY = 300.0
"""Seconds; an older line is of an earlier process with the same number."""
_FIRST_NAMESPACE = "pid:[4026531836]"
"""The machine's own pid namespace (PROC_PID_INIT_INO): the kernel's log has its numbers."""
_KILLED = re.compile(r": Kill(?:ed)? process (?P<pid>\d{1,10}) \((?P<name>[^)]{0,32})")
_CAUSE = "ut of memory"


@dataclass(frozen=True)
class KillCount:
    """How often the memory killer chose a process of a cgroup; `how` is the file that says so.

    `exact` is False where the kernel only counts how often the limit was met (cgroup v1 of kernels
    before 4.13): most of these times it found memory to free.
    """

    count: int
    how: str
    exact: bool = True


@dataclass(frozen=True)
class Killed:
    """A line of the kernel's log that names the process it has killed."""

    pid: int
    name: str
    line: str


def kill_count(root: Path = CGROUP_ROOT, own: Path | None = None) -> KillCount | None:
    """The counter of our own cgroup, or of the cgroup v2 `own`; None where there is none."""
    for folder in [own] if own else folders(root, "memory"):
        for name, key in (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill")):
            count = _field(folder / name, key)
            if count is not None:
                return KillCount(count, str(folder / name))
        count = _field(folder / "memory.failcnt", "")
        if count is not None:
            return KillCount(count, str(folder / "memory.failcnt"), exact=False)
    return None


def _field(path: Path, key: str) -> int | None:
    """The number after `key`, or the file's only number where `key` is empty."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.rpartition(" ")
        if name == key and value.isdigit():
            return int(value)
    return None


def killed_of(pids: Collection[int], log: str = KERNEL_LOG) -> Killed | None:
    """The newest line of the last minutes by which the kernel killed one of `pids`.

    None as well where the log may not be read, or counts in another pid namespace than we do.
    """
    if not pids or not _counts_like_the_kernel():
        return None
    newest = None
    for seconds, message in _records(log):
        match = _KILLED.search(message) if _CAUSE in message else None
        if match and int(match["pid"]) in pids and seconds > time.monotonic() - _MEMORY:
            newest = Killed(int(match["pid"]), match["name"], message.strip())
    return newest


def _counts_like_the_kernel() -> bool:
    try:
        return processes.pid_namespace() == _FIRST_NAMESPACE
    except OSError:
        return False


def _records(log: str) -> Iterator[tuple[float, str]]:
    """Seconds since boot and text of each record that the kernel still has, oldest first."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        end = time.monotonic() + _LONGEST_READ
        for _ in range(_MOST_RECORDS):
            with contextlib.suppress(BrokenPipeError):  # overwritten while we read; the next one
                record = os.read(descriptor, _RECORD).decode(errors="replace")
                if not record or time.monotonic() > end:
                    return
                head, _, message = record.partition(";")
                fields = head.split(",")
                if len(fields) > 2 and fields[2].isdigit():
                    yield int(fields[2]) / 1e6, message.partition("\n")[0]
    except OSError:  # BlockingIOError: that was the last one
        return
    finally:
        os.close(descriptor)
