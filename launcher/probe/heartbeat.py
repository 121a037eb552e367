"""The heartbeat of an engine's workers, read from shared memory without asking the engine.

FastDeploy's workers write the time of their last loop as int32 seconds since the epoch into
`/dev/shm/worker_healthy_live_signal.<Q>`, one number per rank of this host (0: that rank has not
written yet): fastdeploy/worker/worker_process.py, releases 2.0 to 2.6. Its own `/health` reads
the same numbers and says 404 when the first is older than 30 s.
"""

from __future__ import annotations

import os
import stat
import struct

LARGEST = 4096
"""Bytes that are read: a thousand ranks."""


def age(path: str, now: float) -> float | None:
    """Seconds between `now` (the epoch's clock) and the oldest heartbeat of a rank.

    None where this user has none, or no rank has written yet. A clock that was
    set back gives 0.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        content = os.read(file, LARGEST)
    except OSError:
        return None
    finally:
        os.close(file)
    usable = len(content) - len(content) % 4
    times = [time for (time,) in struct.iter_unpack("=i", content[:usable]) if time > 0]
    return max(0.0, now - min(times)) if times else None
