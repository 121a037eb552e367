"""The console's progress bars."""

from __future__ import annotations

import time

from fastdeploy._twin import clock, logs


class Bar:
    """A tqdm bar that is drawn again and again, also while nothing moves (engine.py:802-830).

    The real ones are drawn by a thread, which dies where their pipe has no reader.
    """

    #: A hang of many minutes must not fill a test's disk at a small time scale.
    LEAST_S = 0.1

    def __init__(self, title: str) -> None:
        self.title, self.percent = title, -1
        self.is_broken = False
        self.begun = self.drawn = time.monotonic()
        self.show(0)

    def show(self, percent: int) -> None:
        now = time.monotonic()
        if percent == self.percent and now - self.drawn < max(self.LEAST_S, clock.scaled(0.5)):
            return
        self.percent, self.drawn = percent, now
        try:
            logs.write(logs.bar(self.title, percent, clock.unscaled(now - self.begun)))
        except BrokenPipeError:
            self.is_broken = True

    def end(self) -> None:
        self.show(100)
        logs.stderr("\n")
