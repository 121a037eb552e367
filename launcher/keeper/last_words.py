"""The wait between a failure and our first signal, in which the logs may still get its cause.

One process tells of a failure (a worker's death, a line of the front end) while another still
writes the reason. How long that takes depends on the load of the machine; it has no fixed time:
it is over when every process has ended, or when each has come to rest and no log grows any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from launcher.keeper.identity import look
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree

QUIET = 0.3
"""Seconds in which no log grows; less than the pause of a progress bar that never ends."""
LONGEST = 5.0
"""Seconds after which the rest is ended, though it still writes or computes."""
LOOK = 0.1
"""Seconds between two looks at who rests; the end of a process is told by the kernel."""
AT_WORK = "RD"
"""States of a process that wants to go on: it runs, waits for a processor, or for a disk."""


def wait_for_last_words(loop: Loop, tree: Tree, written: Callable[[], int]) -> None:
    """Return once nothing more is to be expected; `written` tells how long the logs are by now."""
    started = grown_at = time.monotonic()
    size = written()
    awake = set(tree.pids)
    while tree.processes and time.monotonic() - started < LONGEST:
        loop.run_until(lambda: not tree.processes, LOOK)
        now, before, size = time.monotonic(), size, written()
        if size != before:
            grown_at = now
        # Who has rested once since the failure had its turn on the processor.
        awake &= {pid for pid in tree.pids if (it := look(pid)) and it.state in AT_WORK}
        if not awake and now - grown_at >= QUIET:
            return
