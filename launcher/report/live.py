"""One line of a terminal that is redrawn while something runs, and leaves nothing behind.

The cursor is never hidden and the terminal's modes are never changed: whatever ends the process,
`kill -9` included, the terminal stays usable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TextIO

from launcher.report import terminal
from launcher.report.terminal import Terminal

INTERVAL = 0.25
"""Seconds between two drawings: the elapsed time has to be seen to move."""
PATIENCE = 1.0
"""Seconds to wait for a drawing that a halted terminal (Ctrl-S) does not take."""


class LiveLine:
    """Draws what `text` returns until it is closed; lines that stay go above it.

    `text` gets the terminal as it is now (its width may change) and returns a styled line that
    fits it; it is called by a thread of ours, under the lock that `print` takes.
    """

    def __init__(self, stream: TextIO, text: Callable[[Terminal], str]) -> None:
        """Nothing is drawn before `start`."""
        self._stream = stream
        self._text = text
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._drawn = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Draw the line from now on."""
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._run, name="live line", daemon=True)
            self._thread.start()

    def refresh(self) -> None:
        """Draw now what has changed."""
        if self._thread is not None:
            with self._lock:
                self._draw()

    def print(self, line: str) -> None:
        """Write a line that stays, above the live one."""
        with self._lock:
            self._clear()
            self._stream.write(f"{line}\n")
            self._draw()
            self._stream.flush()

    def close(self) -> None:
        """Take the live line away; the cursor stands at the start of an empty line."""
        self._closed.set()
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._clear()
                self._stream.flush()
            finally:
                self._lock.release()

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            with self._lock:
                try:
                    self._draw()
                except (OSError, ValueError):
                    return  # the terminal went away: the next write reports it

    def _draw(self) -> None:
        if self._closed.is_set() or self._thread is None:
            return
        # One write, clear and text together: no reader sees a half-drawn line.
        self._stream.write(f"\r\x1b[K{self._text(terminal.of(self._stream))}")
        self._stream.flush()
        self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._drawn = False
