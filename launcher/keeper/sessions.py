"""Sessions of an instance's processes, recorded so that a reused number proves nothing.

A process cannot join a session: it is born in its parent's, and leaves it only for a new one that
has its own pid as the number. The number is free for anybody once no member lives. So a process is
in the very session that was recorded only if that session has lived on ever since, and that is
proved by one member that is recorded itself or was there before the session was last seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping

from launcher.keeper.claim import SessionClaim
from launcher.keeper.identity import Process


def ticks_now() -> int:
    """Clock ticks since boot, as field 22 of /proc/PID/stat counts them."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def claims_of(stored: Iterable[SessionClaim | int]) -> dict[int, int]:
    """Session numbers with their last sight.

    Records of older keepers hold bare numbers: those were never seen by a clock, so only a
    recorded member proves that such a session still is the one that was meant.
    """
    seen_by_number: dict[int, int] = {}
    for entry in stored:
        number, last_seen = (entry, 0) if isinstance(entry, int) else (entry.id, entry.last_seen)
        seen_by_number[number] = max(last_seen, seen_by_number.get(number, 0))
    return seen_by_number


def still_ours(
    claims: Mapping[int, int],
    processes: Iterable[Process],
    recorded: Collection[tuple[int, int]],
) -> set[int]:
    """The recorded sessions that still are what was recorded.

    `processes` are all that live now, `recorded` pids with start ticks that are ours.
    """
    ours = set()
    for process in processes:
        last_seen = claims.get(process.session)
        if last_seen is None:
            continue
        # Ticks are whole numbers: in the tick of the last sight the order cannot be told.
        if process.start < last_seen or (process.pid, process.start) in recorded:
            ours.add(process.session)
    return ours
