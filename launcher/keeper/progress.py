"""Is a loading engine getting anywhere? Work is measured, because silence is not a hang.

vllm#35547: a fixed time-out killed a slow load at 65 %. So the no-progress deadline counts only
time in which no phase line came, the tree used less than 5 % of a core, and moved less than 1 MiB.
"""

from __future__ import annotations

import time

from launcher.keeper.identity import Process
from launcher.keeper.tree import usage
from launcher.plan.model import Deadlines

BUSY_SHARE = 0.05
"""Share of one core from which the tree counts as working."""
BUSY_BYTES = 1024 * 1024
"""Bytes of input and output between two looks from which it counts as working."""


class Progress:
    """Remembers when the engine last did something."""

    def __init__(self, deadlines: Deadlines) -> None:
        """Progress is now."""
        self._limit = deadlines.no_progress
        self._last = self._looked = time.monotonic()
        self._seconds, self._bytes = 0.0, 0

    def note(self) -> None:
        """Something visible happened: a phase line, a rung of the readiness ladder."""
        self._last = time.monotonic()

    def stalled(self, processes: list[Process]) -> bool:
        """Measure the tree; True once nothing has happened for the whole deadline."""
        now = time.monotonic()
        seconds, transferred = usage([p.pid for p in processes])
        interval = max(now - self._looked, 1e-3)
        # The sums fall when a process ends; an end is news as well.
        worked = abs(seconds - self._seconds) / interval >= BUSY_SHARE
        moved = abs(transferred - self._bytes) >= BUSY_BYTES
        if worked or moved:
            self._last = now
        self._looked, self._seconds, self._bytes = now, seconds, transferred
        return now - self._last >= self._limit
