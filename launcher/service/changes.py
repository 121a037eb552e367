"""Wakes a command when something of a service may have changed: one queue for all its folders."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from launcher import paths
from launcher.host.inotify import CONTENT, ENTRIES, Inotify

GAP = 0.05
"""Seconds between two wake-ups at least: an engine in an error loop has thousands of events."""
LONGEST = 1.0
"""Seconds after which it wakes anyway: HAProxy's counters tell nothing by themselves."""


class ServiceChanges:
    """The changes of a service and of its instances, which come and go.

    Call `arm` with the folders of now, look at them, then `wait`: a change between is not missed.
    """

    def __init__(self, folder: Path, wake: Collection[int] = ()) -> None:
        """`folder` is the service's; `wake` are descriptors whose end ends a wait."""
        self._folder = folder
        self._wake = tuple(wake)
        self._inotify: Inotify | None = None
        with contextlib.suppress(OSError):
            self._inotify = Inotify()

    def arm(self, folders: Iterable[Path]) -> None:
        """Note every change from now on, in the service's folder and in these."""
        if self._inotify is not None:
            self._inotify.drain()
            self._inotify.watch(paths.instances(), ENTRIES)
            for folder in (self._folder, *folders):
                self._inotify.watch(folder, CONTENT)

    def wait(self, timeout: float | None = None) -> None:
        """Return when something may have changed, after `timeout` or `LONGEST` seconds at last.

        Raises:
            BrokenPipeError: a descriptor of `wake` has lost its other end.
        """
        seconds = LONGEST if timeout is None else max(0.0, min(LONGEST, timeout))
        poll = select.poll()
        if self._inotify is not None:
            poll.register(self._inotify.descriptor, select.POLLIN)
        for descriptor in self._wake:
            poll.register(descriptor, 0)
        for descriptor, events in poll.poll(seconds * 1000):
            if descriptor in self._wake and events & (select.POLLHUP | select.POLLERR):
                raise BrokenPipeError
        time.sleep(min(GAP, seconds))

    def close(self) -> None:
        """Give back the queue."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
