"""The descriptors of a test's own process: having none left for a moment, leaving none open."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.waiting import wait_for

MOST_LEFT = 8
"""Descriptors that one test may leave open: caches, and what a module keeps for good."""


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The test's own process can open no file meanwhile; what is open stays so."""
    gc.collect()  # what an earlier test left would be closed in here, and its number be free
    gc.disable()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        gc.enable()


def opened() -> dict[str, str]:
    """What is open in this process, by number."""
    names = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            names[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return names


@contextmanager
def none_left_open(seconds: float = 20.0) -> Iterator[None]:
    """Fails where more than `MOST_LEFT` descriptors were opened meanwhile and stay open.

    From 1024 on `select` refuses them, and tests of the same process fail that did nothing wrong.
    `seconds` is what threads left behind have for closing theirs: a run of the smoke suite that
    was cut short does not wait for its requests.
    """
    before = opened()
    yield
    if _few_more_than(before):
        return
    gc.collect()
    wait_for(lambda: _few_more_than(before), lambda: f"{_since(before)} to close", deadline=seconds)


def _few_more_than(before: dict[str, str]) -> bool:
    return len(os.listdir("/proc/self/fd")) <= len(before) + MOST_LEFT


def _since(before: dict[str, str]) -> dict[str, str]:
    """What is open and was not, by number."""
    return {number: name for number, name in opened().items() if number not in before}
