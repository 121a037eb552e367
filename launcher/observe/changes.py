"""Wakes a command when something of an instance may have changed, without asking again and again.

Three tell of it: the kernel of a change in the instance's folder (inotify), its keeper of an event
(its socket: with a full disk nothing changes in the folder), and the kernel of the keeper's end
(a pidfd: a killed keeper changes nothing at all).
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Collection

from launcher.host.inotify import CONTENT, CREATE, MOVED_TO, Inotify
from launcher.instance.store import InstanceDir
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.control import Client
from launcher.keeper.identity import is_same_process

GAP = 0.05
"""Seconds between two wake-ups at least: an engine in an error loop has thousands of events."""
BLIND = 1.0
"""Seconds between two wake-ups where the kernel has no inotify queue left for this user."""
CONNECT_TIMEOUT = 1.0
"""Seconds for connecting to a keeper that has many clients."""
RECONNECT = 1.0
"""Seconds until a keeper that hung up is connected to again."""
LONGEST_WAIT = 24 * 3600.0
"""Seconds of one wait; poll counts milliseconds in 32 bits."""


class Changes:
    """The changes of one instance, which need not exist yet.

    Call `arm`, look at the instance, then `wait`: a change between the two is not missed.
    """

    def __init__(self, instance: InstanceDir, wake: Collection[int] = ()) -> None:
        """Know the instance; `wake` are descriptors whose end (POLLHUP) ends a wait too."""
        self._folder = instance.folder
        self._wake = tuple(wake)
        self._inotify: Inotify | None = None
        with contextlib.suppress(OSError):
            self._inotify = Inotify()
        self._keeper: tuple[ProcessClaim, int] | None = None
        self._client: tuple[Client, int] | None = None
        self._connect_at = 0.0
        self._woken_at = 0.0

    def arm(self, keeper: ProcessClaim | None = None) -> None:
        """Note every change from now on; `keeper` is the recorded one, where there is one."""
        self._watch()
        self._watch_end(keeper)
        if self._client is None and time.monotonic() >= self._connect_at:
            self._connect()

    def wait(self, timeout: float | None = None) -> bool:
        """Return when something may have changed; False where `timeout` seconds passed before.

        Raises:
            BrokenPipeError: a descriptor of `wake` has lost its other end.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            now = time.monotonic()
            left = LONGEST_WAIT if end is None else max(0.0, end - now)
            changed = self._poll(min(left, self._patience(now)))
            if changed:
                break
            if end is not None and time.monotonic() >= end:
                return False
            if self._inotify is None or self._must_connect(time.monotonic()):
                break
        now = time.monotonic()
        pause = self._woken_at + GAP - now
        if end is not None:
            pause = min(pause, end - now)
        if pause > 0:
            time.sleep(pause)
        self._woken_at = time.monotonic()
        return True

    def close(self) -> None:
        """Give back all descriptors."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        if self._client is not None:
            self._client[0].close()
            self._client = None
        self._watch_end(None)

    # -- what tells -----------------------------------------------------------------------------

    def _watch(self) -> None:
        """The folder, and what is above it: it may be made, removed and made again."""
        if self._inotify is None:
            return
        for parent in self._folder.parents:
            if self._inotify.watch(parent, CREATE | MOVED_TO):
                break
        self._inotify.watch(self._folder, CONTENT)

    def _watch_end(self, keeper: ProcessClaim | None) -> None:
        if self._keeper is not None:
            if self._keeper[0] == keeper:
                return
            os.close(self._keeper[1])
            self._keeper = None
        if keeper is None:
            return
        try:
            descriptor = os.pidfd_open(keeper.pid)
        except OSError:
            return  # it has ended
        if is_same_process(keeper.pid, keeper.start):
            self._keeper = (keeper, descriptor)
        else:
            os.close(descriptor)

    def _connect(self) -> None:
        self._connect_at = time.monotonic() + RECONNECT
        try:
            client = Client(self._folder, CONNECT_TIMEOUT)
        except OSError:
            return
        try:
            self._client = (client, client.subscribe())
        except OSError:
            client.close()

    def _must_connect(self, now: float) -> bool:
        return self._keeper is not None and self._client is None and now >= self._connect_at

    def _patience(self, now: float) -> float:
        """Seconds for which the descriptors alone are waited for."""
        if self._inotify is None:
            return BLIND
        if self._keeper is not None and self._client is None:
            return max(0.0, self._connect_at - now)
        return LONGEST_WAIT

    def _poll(self, timeout: float) -> bool:
        poller = select.poll()
        for descriptor in self._wake:
            poller.register(descriptor, 0)  # its end is told unasked
        if self._inotify is not None:
            poller.register(self._inotify.descriptor, select.POLLIN)
        if self._client is not None:
            poller.register(self._client[1], select.POLLIN)
        if self._keeper is not None:
            poller.register(self._keeper[1], select.POLLIN)
        ready = [descriptor for descriptor, _ in poller.poll(min(timeout, LONGEST_WAIT) * 1000)]
        if any(descriptor in self._wake for descriptor in ready):
            raise BrokenPipeError("the reader has gone")
        if self._inotify is not None and self._inotify.descriptor in ready:
            self._inotify.drain()
        if self._client is not None and self._client[1] in ready:
            self._take_events(self._client[0])
        if self._keeper is not None and self._keeper[1] in ready:
            os.close(self._keeper[1])
            self._keeper = None
        return bool(ready)

    def _take_events(self, client: Client) -> None:
        alive = False
        with contextlib.suppress(OSError):
            alive = client.discard()
        if not alive:
            client.close()
            self._client = None
            self._connect_at = time.monotonic() + RECONNECT
