"""A loop that turns in a thread of its own, for what has to answer while the keeper is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from launcher.keeper.loop import Loop, Outcome, nothing

T = TypeVar("T")

LONGEST = 30.0
"""Seconds that work which was handed over may take; it is of milliseconds."""


class LoopThread:
    """Not running until `start`; what `do` is given before that, or after `close`, is done at once.

    The loop and everything on it belongs to the thread while it runs.
    """

    def __init__(self) -> None:
        """A loop without a thread."""
        self.loop = Loop()
        self._ends = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to turn.

        Raises:
            RuntimeError: the limit of threads is reached.
        """
        thread = threading.Thread(
            target=self.loop.run_until, args=(lambda: self._ends,), daemon=True
        )
        thread.start()
        self._thread = thread

    def do(self, work: Callable[[], T]) -> T:
        """The result of `work`, done between two events of the loop; what it raises is raised.

        Raises:
            TimeoutError: the loop does not come to it.
        """
        if self._thread is None:
            return work()
        outcome: Outcome[T] = Outcome()
        done = threading.Event()

        def run() -> None:
            outcome.of(work)
            done.set()

        self.loop.call_soon(run)
        if not done.wait(LONGEST):
            raise TimeoutError(f"the thread did not come to it within {LONGEST:g} s")
        return outcome.take()

    def close(self) -> None:
        """Turn no more; what is on the loop is closed by whom it belongs to."""
        if self._thread is not None:
            self._ends = True
            self.loop.call_soon(nothing)
            self._thread.join(LONGEST)
            self._thread = None
