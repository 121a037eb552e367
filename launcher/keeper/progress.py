"""Is a loading engine getting anywhere? Work is measured, because silence is not a hang.

vllm#35547: a fixed time-out killed a slow load at 65 %. So a load is given up only when no phase
line came for the whole no-progress deadline and nothing worked in that time: on average over all
of it, because an engine that hangs still does something now and then (FastDeploy's front end uses
6 to 9 % of a core, in bursts, while its worker stands still).
"""

from __future__ import annotations

import collections
import re
import time
from collections.abc import Hashable, Mapping, Sequence

from launcher.keeper import command_line
from launcher.keeper.identity import Process
from launcher.keeper.work import Meter, Work
from launcher.plan.model import ProgressRule

LEAST_BYTES = 1024 * 1024
"""Bytes that do not count as work in any deadline: log lines, polls, our own questions."""
STEPS = 50
"""Sums that are kept of one deadline; it is measured to this part of itself."""


class Window:
    """The work of one group of processes over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        """Nothing was done yet."""
        self._seconds = seconds
        self._cpu, self._io = 0.0, 0
        self._sums: collections.deque[tuple[float, float, int]] = collections.deque()
        self.changed = 0.0

    def add(self, now: float, work: Work) -> None:
        """Count what was done up to `now`."""
        self._cpu += work.cpu
        self._io += work.io
        if work.cpu or work.io:
            self.changed = now
        if not self._sums or now - self._sums[-1][0] >= self._seconds / STEPS:
            self._sums.append((now, self._cpu, self._io))
        # One sum older than the window is kept: it is where the window begins.
        while len(self._sums) > 1 and self._sums[1][0] <= now - self._seconds:
            self._sums.popleft()

    def work(self, now: float) -> Work:
        """What was done in the last `seconds`, or since the first look where that is later."""
        if self._sums and self._sums[0][0] <= now - self._seconds:
            _, cpu, io = self._sums[0]
            return Work(self._cpu - cpu, self._io - io)
        return Work(self._cpu, self._io)


class Progress:
    """Remembers when the engine last said something, and what its processes have done since."""

    def __init__(self, rule: ProgressRule, seconds: float) -> None:
        """Progress is now; `seconds` is the no-progress deadline."""
        self._rule = rule
        self._seconds = seconds
        self._workers = [re.compile(pattern) for pattern in rule.workers]
        self._last = time.monotonic()
        self._meter = Meter()
        self._windows: dict[Hashable, Window] = {}
        self._known: set[Hashable] = set()

    def note(self) -> None:
        """Something visible happened: a phase line, a rung of the readiness ladder."""
        self._last = time.monotonic()

    def stalled(self, processes: Sequence[Process], lines: Mapping[int, str]) -> bool:
        """Measure the tree; True once nothing has happened for the whole deadline.

        `lines` are the command lines of `processes`, by pid.
        """
        now = time.monotonic()
        groups = self._group(processes, lines)
        workers = groups.keys() - {None}
        if workers - self._known:
            self._last = now  # a worker that was not there before is progress by itself
        self._known |= workers
        for group, work in self._meter.look(groups).items():
            self._windows.setdefault(group, Window(self._seconds)).add(now, work)
        self._forget(now, groups)
        if now - self._last < self._seconds:
            return False
        return not any(
            self._works(window.work(now), background=group is None and bool(workers))
            for group, window in self._windows.items()
        )

    def _group(
        self, processes: Sequence[Process], lines: Mapping[int, str]
    ) -> dict[Hashable, list[Process]]:
        """The processes by worker; those below no worker are under None."""
        matched = command_line.matching(processes, lines, self._workers)
        for pid in command_line.forks(processes, lines):
            matched.pop(pid, None)  # it works for its parent
        by_pid = {process.pid: process for process in processes}
        groups: dict[Hashable, list[Process]] = {None: []}
        for process in processes:
            above: Process | None = process
            for _ in range(len(by_pid)):
                if above is None or above.pid in matched:
                    break
                above = by_pid.get(above.parent)
            key = (above.pid, above.start) if above is not None and above.pid in matched else None
            groups.setdefault(key, []).append(process)
        return groups

    def _works(self, work: Work, *, background: bool) -> bool:
        """Parts of both bars add up: a load that changes from reading to computing goes on."""
        rule = self._rule
        cpu, io = (rule.background_cpu, rule.background_io) if background else (rule.cpu, rule.io)
        bytes_needed = max(LEAST_BYTES, io * self._seconds)
        return work.cpu / (cpu * self._seconds) + work.io / bytes_needed >= 1.0

    def _forget(self, now: float, groups: Mapping[Hashable, list[Process]]) -> None:
        """Workers that are dead count as long as what they did lies within the deadline."""
        for group, window in list(self._windows.items()):
            if group not in groups and window.changed < now - self._seconds:
                del self._windows[group]
                self._known.discard(group)
