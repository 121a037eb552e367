"""How long this side has waited for a processor: time that is not the server's.

On a machine short of processors a client reads late what was sent in time. Linux counts, for each
thread, the nanoseconds in which it was ready to run and did not.
"""

from __future__ import annotations

from launcher.host.processes import seconds_waited_for_processor as waited

__all__ = ["waited"]
