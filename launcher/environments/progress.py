"""What a person sees on stderr while an engine is installed."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from launcher.plain import plain

PLAIN_INTERVAL = 10.0
"""Seconds between two lines of progress where stderr is not a terminal."""


class Progress:
    """Stages with elapsed time: one line that is redrawn on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`, by default stderr."""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._started = time.monotonic()
        self._stage = ""
        self._detail = ""
        self._shown = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def note(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._stream.write(f"{plain(text)}\n")
        self._stream.flush()

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self._stage, self._detail = text, ""
        self._shown = time.monotonic()
        if self._live:
            self._draw()
        else:
            self.note(f"[{self.elapsed:5.0f} s] {text}")

    def detail(self, text: str) -> None:
        """What the stage is busy with now."""
        self._detail = text
        self.tick()

    def tick(self) -> None:
        """Time has passed; called every half second or so."""
        now = time.monotonic()
        if self._live:
            self._draw()
        elif now - self._shown >= PLAIN_INTERVAL:
            self._shown = now
            self.note(f"[{self.elapsed:5.0f} s] {self._stage}: {self._detail or 'still at it'}")

    def close(self) -> None:
        """Leave a clean line behind."""
        self._clear()

    def _draw(self) -> None:
        text = f"[{self.elapsed:5.0f} s] {self._stage}"
        if self._detail:
            text += f": {self._detail}"
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{plain(text)[:width]}")
        self._stream.flush()

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
