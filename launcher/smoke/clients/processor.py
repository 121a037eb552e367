"""How long this side has waited for a processor: time that is not the server's.

On a machine short of processors a client reads late what was sent in time. Linux counts, for each
thread, the nanoseconds in which it was ready to run and did not (`schedstat`, second number).
"""

from __future__ import annotations

from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")


def waited() -> float:
    """Seconds for which the calling thread has waited for a processor; 0 if it is not counted."""
    try:
        return int(SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
