"""The wait between a failure and our first signal, in which the logs may still get its cause.

One process tells of a failure (a worker's death, a line of the front end) while another still
writes the reason. How long that takes depends on the load of the machine; it has no fixed time:
it is over when every process has ended, or when each has come to rest and no log grows any more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from launcher.keeper.identity import look
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree

QUIET = 0.3
"""Seconds in which no log grows; less than the pause of a progress bar that never ends."""
QUIET_IN_HURRY = 0.15
"""The same where clients wait for a restart."""
LONGEST = 5.0
"""Seconds after which the rest is ended, though it still writes or computes."""
HURRY = 0.5
"""Seconds after which clients that wait for a restart are more urgent than a longer text.

On a busy machine nothing is written in that time, and a restart is slow whatever it begins with.
"""
LOOK = 0.05
"""Seconds between two looks at who rests; the end of a process is told by the kernel."""
AT_WORK = "RD"
"""States of a process that wants to go on: it runs, waits for a processor, or for a disk."""


def wait_for_last_words(
    loop: Loop, tree: Tree, written: Callable[[], int], *, hurry: bool = False
) -> None:
    """Return once nothing more is to be expected; `written` tells how long the logs are by now.

    With `hurry` it takes `HURRY` at most, unless the machine is busy.
    """
    longest = HURRY if hurry and not _is_busy() else LONGEST
    quiet = QUIET_IN_HURRY if hurry else QUIET
    started = grown_at = time.monotonic()
    size = written()
    awake = set(tree.pids)
    while tree.processes and time.monotonic() - started < longest:
        loop.run_until(lambda: not tree.processes, LOOK)
        now, before, size = time.monotonic(), size, written()
        if size != before:
            grown_at = now
        # Who has rested once since the failure had its turn on the processor.
        awake &= {pid for pid in tree.pids if (it := look(pid)) and it.state in AT_WORK}
        if not awake and now - grown_at >= quiet:
            return


def _is_busy() -> bool:
    """Whether more wants to run than there are processors, on average over a minute."""
    return os.getloadavg()[0] > 2 * len(os.sched_getaffinity(0))
