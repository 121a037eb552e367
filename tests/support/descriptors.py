"""The descriptors of a test's own process: having none left for a moment, leaving none open."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

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
def none_left_open() -> Iterator[None]:
    """Fails where more than `MOST_LEFT` descriptors were opened meanwhile and are still open.

    From 1024 on `select` refuses them, and tests of the same process fail that did nothing wrong.
    """
    before = opened()
    yield
    if len(os.listdir("/proc/self/fd")) <= len(before) + MOST_LEFT:
        return
    gc.collect()
    left = {number: name for number, name in opened().items() if number not in before}
    assert len(left) <= MOST_LEFT, f"left open: {left}"
