"""The receipt of an end: what is left of an instance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Receipt:
    """Counts of what is left, all 0 when the instance went away without a trace.

    `left` names each thing that is left, `foreign` what was seen but not touched because it is not
    ours. `seconds` is how long the end took.
    """

    processes: int
    ports: int
    shm: int
    queues: int
    temporary: int
    left: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """True where nothing is left."""
        return not any((self.processes, self.ports, self.shm, self.queues, self.temporary))
