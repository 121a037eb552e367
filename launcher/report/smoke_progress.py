"""A smoke run while it goes on: which checks run, how many have ended, how long it has taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

from launcher.report import terminal
from launcher.report.live import LiveLine
from launcher.report.terminal import Terminal, cells, one_line


class SmokeProgress:
    """One live line on `stream`; plain lines on a terminal that cannot redraw one.

    Checks run side by side, so its methods are called by several threads.
    """

    def __init__(self, stream: TextIO) -> None:
        """Nothing is shown before the first check begins."""
        self._stream = stream
        self._live = LiveLine(stream, self._text) if terminal.of(stream).live else None
        self._lock = threading.Lock()
        self._total = 0
        self._ended = self._failed = 0
        self._running: dict[str, float] = {}
        self._began = time.monotonic()

    def __enter__(self) -> SmokeProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.close()

    def planned(self, names: Sequence[str]) -> None:
        """These checks are going to run."""
        self._total = len(names)
        self._began = time.monotonic()

    def begun(self, name: str) -> None:
        """A check begins."""
        with self._lock:
            self._running[name] = time.monotonic()
        if self._live is not None:
            self._live.start()
            self._live.refresh()

    def ended(self, name: str, verdict: str) -> None:
        """A check has ended."""
        with self._lock:
            self._running.pop(name, None)
            self._ended += 1
            self._failed += verdict in ("fail", "inconclusive")
            number = self._ended
        if self._live is not None:
            self._live.refresh()
        else:
            self._stream.write(f"  {number} of {self._total}  {one_line(name)}: {verdict}\n")
            self._stream.flush()

    def _text(self, screen: Terminal) -> str:
        with self._lock:
            # The one that has run longest is the one a reader waits for.
            running = sorted(self._running, key=lambda name: self._running[name])
            ended, failed = self._ended, self._failed
        elapsed = time.monotonic() - self._began
        first = min(ended + 1, self._total)
        head = f"{elapsed:7.1f} s  check {first} of {self._total}"
        failures = f"  {failed} not passed" if failed else ""
        room = screen.width - 1 - cells(head) - cells(failures)
        names = one_line(", ".join(running))
        tail = f"  {names}" if running else ""
        return head + screen.style(failures, "yellow") + screen.clip(tail, max(0, room))
