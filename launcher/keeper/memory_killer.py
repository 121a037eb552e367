"""Whether the kernel's memory killer ended a process of the engine.

The kernel's log names the process, but may not be readable (a container, `dmesg_restrict`). The
counter of our cgroup only says that some process of it was killed: it is believed where a process
of the engine died by SIGKILL, or of an unknown cause, at that time.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path

from launcher.errors import Problem
from launcher.host import memory, memory_killer
from launcher.host.memory_killer import KillCount
from launcher.keeper.failure import Failure

RECENT = 60.0
"""Seconds in which a rise of the counter may be the cause of a failure."""
REMEMBERED = 256
"""Deaths; engines make many processes that live for milliseconds."""
GIB = 1024**3


class MemoryKiller:
    """Remembers the counter and the deaths of one run."""

    def __init__(
        self, own: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the counter of the engine's own cgroup `own`, else of ours."""
        self._own = own
        self._clock = clock
        self._last = memory_killer.kill_count(own=own)
        self._rose_at: float | None = None
        self._deaths: collections.deque[tuple[int, int | None]] = collections.deque(
            maxlen=REMEMBERED
        )

    def died(self, pid: int, status: int | None) -> None:
        """A process of the engine ended with this wait status, None where it is not known."""
        self._deaths.append((pid, status))

    def look(self) -> None:
        """Note when the counter rises."""
        count = memory_killer.kill_count(own=self._own)
        if count is not None and self._last is not None and count.count > self._last.count:
            self._rose_at = self._clock()
        self._last = count or self._last

    def explain(self, failure: Failure, living: Collection[int]) -> Failure:
        """The failure as the memory killer's, where that is proved; `living` are the engine's."""
        pids = {pid for pid, _ in self._deaths} | set(living)
        killed = memory_killer.killed_of(pids)
        if killed is not None:
            return _failure(failure, f"{killed.pid} ({killed.name})", killed.line, self._own)
        self.look()
        recent = self._rose_at is not None and self._clock() - self._rose_at <= RECENT
        if failure.certain or not recent or self._last is None:
            return failure
        victim = next((pid for pid, status in reversed(self._deaths) if _by_sigkill(status)), None)
        if victim is None:
            return failure
        return _failure(failure, str(victim), _counter_text(self._last), self._own)


def _by_sigkill(status: int | None) -> bool:
    """True where a process may have died by SIGKILL; a shell's exit code for that is 137."""
    if status is None:
        return True
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    return os.waitstatus_to_exitcode(status) == 128 + signal.SIGKILL


def _counter_text(count: KillCount) -> str:
    return f"{count.how}: {'oom_kill' if count.exact else 'limit reached'} {count.count}"


def _failure(failure: Failure, victim: str, where: str, own: Path | None) -> Failure:
    limit = memory.limit()
    most = memory.limit_of(own) if own is not None else None
    if most is not None and most < (limit.value or most + 1):
        cause, raising = f"its `memory-max` is {most / GIB:.1f} GiB", "a larger `memory-max`"
    elif limit.value is None:
        cause, raising = "the memory of this machine is used up", "a machine with more memory"
    else:
        cause = f"the memory limit is {limit.value / GIB:.1f} GiB ({limit.how})"
        raising = "a higher limit"
    problem = Problem(
        "memory-killed",
        f"the kernel's memory killer ended the engine's process {victim}: {cause}",
        where,
        f"`ernie-deploy plan PROFILE --memory` shows what it needs; give it {raising}, ask for less"
        " in the profile, or end what else uses the memory",
    )
    return dataclasses.replace(failure, problem=problem, certain=True, retry=True)
