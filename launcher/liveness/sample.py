"""What the keeper saw of a server at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STOPPED = frozenset("Tt")
"""States of /proc/PID/stat: stopped by a signal, or by a debugger (proc(5))."""
DEAD = frozenset("ZXx")
"""The process has ended; its entry is still there."""


@dataclass(frozen=True)
class ProcessSample:
    """A process of the engine's tree.

    `role` is `main`, `worker` or `other`. `state` is the letter of /proc/PID/stat, empty where
    the process is gone. `cpu` is the processor time of all its threads since its start in seconds,
    `queued` the time that they were ready to run and no processor was free (schedstat).
    """

    pid: int
    name: str
    role: str
    state: str
    cpu: float = 0.0
    queued: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or could."""
        return bool(self.state) and self.state not in DEAD

    @property
    def is_vital(self) -> bool:
        """Whether the engine cannot work without it."""
        return self.role != "other"


@dataclass(frozen=True)
class Answer:
    """The answer to a GET: `status`, or None and the reason in `error`; `seconds` it took."""

    status: int | None
    error: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        """For a reason."""
        return f"answered {self.status}" if self.status is not None else self.error


@dataclass(frozen=True)
class Canary:
    """A short completion that the keeper asked for: when it was sent and how it ended."""

    sent: float
    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Sample:
    """Everything that was seen of a server at `at` (seconds of a monotonic clock).

    `late`: seconds by which the sample came later than planned; the keeper did not run in that
    time. `health` is None where it was not asked. `counters` maps the metrics of the policy to
    their values, None where they could not be read. `heartbeat` is the age of the oldest
    worker's heartbeat in seconds. `log_bytes` is the size of all logs, `io_bytes` what the tree
    has read and written. `gpu` is the use of the busiest GPU (0 to 1). `canaries` ended since the
    sample before.
    """

    at: float
    late: float = 0.0
    processes: tuple[ProcessSample, ...] = ()
    health: Answer | None = None
    counters: Mapping[str, float] | None = None
    heartbeat: float | None = None
    log_bytes: int | None = None
    io_bytes: int | None = None
    gpu: float | None = None
    paused: bool | None = None
    canaries: tuple[Canary, ...] = field(default=())
