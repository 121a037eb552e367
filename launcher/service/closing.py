"""Ends a front door as soon as its last request has ended.

By itself HAProxy waits until its clients have closed the connections that they keep open between
two requests, or `DoorSettings.keep_alive` is over. (A reload has to wait for them: the client is
served on. After `down` no request on them could be answered.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.door.door import running_requests
from launcher.errors import DeployError
from launcher.instance.store import InstanceDir
from launcher.instance.teardown import end_drain

POLL = 0.2
"""Seconds between two looks: HAProxy does not tell when the last request has ended."""
LOOKS = 2
"""Looks in a row without a request: one may end and the next arrive on the same connection."""


@contextmanager
def ended_when_idle(door: InstanceDir) -> Iterator[None]:
    """While the front door is being stopped: see that it waits for requests only."""
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(door, over), daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def _watch(door: InstanceDir, over: threading.Event) -> None:
    idle = 0
    while idle < LOOKS:
        if over.wait(POLL):
            return
        try:
            running = running_requests(door)
        except DeployError:  # it has ended, or is about to
            running = None
        idle = idle + 1 if running == 0 else 0
    end_drain(door, "no request runs any more")
