"""Progress of bytes: percentage, rate and remaining time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from launcher.environments.progress import Progress

WINDOW = 10.0
"""Seconds over which the rate is measured."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Meter:
    """Counts bytes of a stage and shows them."""

    def __init__(
        self, progress: Progress, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Count up to `total` bytes."""
        self._progress, self._total, self._clock = progress, total, clock
        self._count = 0
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, count: int, *, transferred: bool = True) -> None:
        """Some bytes more; those that were there before do not count in the rate."""
        self._count += count
        if not transferred:
            self._samples = deque((when, have + count) for when, have in self._samples)

    def count(self, count: int) -> None:
        """Some bytes more, and draw the line."""
        self.add(count)
        self.show()

    def show(self) -> None:
        """Draw the line; called a few times a second."""
        now = self._clock()
        self._samples.append((now, self._count))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        self._progress.detail(self.text())

    def text(self) -> str:
        """`42 % of 39.1 GiB, 81.2 MiB/s, 4 min left`."""
        count = min(max(self._count, 0), self._total)
        percent = 100 * count // self._total if self._total else 100
        text = f"{percent} % of {size_text(self._total)}"
        rate = self.rate()
        if rate > 0:
            text += f", {size_text(rate)}/s, {duration_text((self._total - count) / rate)} left"
        return text

    def rate(self) -> float:
        """Bytes per second over the window."""
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) / (last - first)) if last > first else 0.0


def size_text(size: float) -> str:
    """Bytes with three digits: `39.1 GiB`, `412 MiB`, `17 B`."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit takes every size")


def duration_text(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
