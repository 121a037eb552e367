"""Waiting for what will happen, with a deadline and a name for it."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    question: Callable[[], T], what: str, *, deadline: float = 600.0, interval: float = 0.02
) -> T:
    """Ask until the answer is true and return it; fail by name after `deadline` seconds.

    Deadlines are generous: they exist to end a hang, not to measure a noisy machine.
    """
    end = time.monotonic() + deadline
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain for: {what}")
        time.sleep(interval)
