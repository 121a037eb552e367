"""Waiting for what will happen, with a deadline and a name for it."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    question: Callable[[], T],
    what: str | Callable[[], str],
    *,
    deadline: float = 600.0,
    interval: float = 0.02,
) -> T:
    """Ask until the answer is true and return it; fail by name after `deadline` seconds.

    A name that is made then, by a function, can show the logs of that moment.

    Deadlines are generous: they exist to end a hang, not to measure a noisy machine.
    """
    end = time.monotonic() + deadline
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            name = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {deadline:g} s in vain for: {name}")
        time.sleep(interval)


class Clock:
    """Prints how long each step of a drill took, for the figures of the docs."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self, what: str) -> None:
        """Print the seconds since the step before."""
        now = time.monotonic()
        print(f"{what}: {now - self._last:.1f} s")
        self._last = now


def slowness() -> float:
    """How many times longer than alone on the machine work takes now, 1 to 60.

    For tests in which a time-out is the subject, so that only a short one makes them quick: it is
    multiplied by this, because what must not run into it takes longer on a busy machine.
    """
    begun, used = time.perf_counter(), time.thread_time()
    while time.thread_time() - used < 0.02:
        pass
    now = (time.perf_counter() - begun) / (time.thread_time() - used)
    queue = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return min(60.0, max(1.0, now, queue))
