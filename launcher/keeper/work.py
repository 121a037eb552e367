"""How much a process has worked, and how much groups of processes do while processes come and go.

The numbers are the kernel's: CPU time, bytes read and written, and major page faults, by which a
file that is mapped instead of read is loaded.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass

from launcher.host import processes
from launcher.host.processes import Process

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What one process has used so far: CPU seconds and bytes.

    `waited` are the CPU seconds of its dead children; `io` includes theirs, as the kernel counts.
    """

    cpu: float
    waited: float
    io: int

    def at_least(self, before: Usage) -> Usage:
        """Without falls: a counter that may not be read for a moment has not been undone."""
        return Usage(
            max(self.cpu, before.cpu), max(self.waited, before.waited), max(self.io, before.io)
        )


@dataclass(frozen=True)
class Work:
    """What was done between two looks: CPU seconds and bytes."""

    cpu: float
    io: int


def read(pid: int) -> Usage | None:
    """The usage of one process; None where it is gone."""
    now = processes.stat(pid)
    if now is None:
        return None
    own = now.number(processes.USER_TIME) + now.number(processes.SYSTEM_TIME)
    waited = now.number(processes.CHILDREN_USER_TIME) + now.number(processes.CHILDREN_SYSTEM_TIME)
    faulted = (now.number(processes.FAULTS) + now.number(processes.CHILDREN_FAULTS)) * PAGE
    return Usage(own / TICKS, waited / TICKS, faulted + _transferred(pid))


def _transferred(pid: int) -> int:
    # A process that may not be looked at so closely still shows its CPU time. Weights read through
    # mmap appear only in read_bytes, the page cache and pipes in rchar.
    counters = processes.transferred(pid)
    return sum(counters.get(name, 0) for name in ("rchar", "wchar", "read_bytes"))


@dataclass(frozen=True)
class _Sample:
    group: Hashable
    parent: int
    usage: Usage


class Meter:
    """Sums up the work of groups of processes from look to look."""

    def __init__(self) -> None:
        """Nothing was looked at yet: of every process its whole life counts at first."""
        self._seen: dict[tuple[int, int], _Sample] = {}

    def look(self, groups: Mapping[Hashable, list[Process]]) -> dict[Hashable, Work]:
        """The work of each group since the last look.

        A child that died between two looks is in its parent's account by now, whole: what was
        counted of it while it lived is taken off there.
        """
        samples: dict[tuple[int, int], _Sample] = {}
        own: dict[Hashable, float] = defaultdict(float)
        waited: dict[Hashable, float] = defaultdict(float)
        io: dict[Hashable, int] = defaultdict(int)
        nothing = Usage(0.0, 0.0, 0)
        for group, members in groups.items():
            for process in members:
                usage = read(process.pid)
                if usage is None:
                    continue
                key = (process.pid, process.start)
                before = self._seen[key].usage if key in self._seen else nothing
                usage = usage.at_least(before)
                samples[key] = _Sample(group, process.parent, usage)
                own[group] += usage.cpu - before.cpu
                waited[group] += usage.waited - before.waited
                io[group] += usage.io - before.io
        accounts = {pid: entry.group for (pid, _), entry in samples.items()}
        for key, dead in self._seen.items():
            heir = self._heir(dead.parent, accounts) if key not in samples else None
            if heir is not None:
                waited[accounts[heir]] -= dead.usage.cpu + dead.usage.waited
                io[accounts[heir]] -= dead.usage.io
        self._seen = samples
        return {g: Work(own[g] + max(0.0, waited[g]), max(0, io[g])) for g in groups}

    def _heir(self, pid: int, living: Container[int]) -> int | None:
        """The living process that waited for a dead one's ancestors, or None: we did, or init."""
        parents = {number: entry.parent for (number, _), entry in self._seen.items()}
        for _ in range(len(parents) + 1):
            if pid in living:
                return pid
            if pid not in parents:
                break
            pid = parents[pid]
        return None
