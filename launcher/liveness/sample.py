"""What the keeper saw of a server at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STOPPED = "T"
"""State of /proc/PID/stat: stopped by a signal (proc(5))."""
TRACED = "t"
"""Stopped by a debugger or a profiler, which lets it go on when it is done."""
UNINTERRUPTIBLE = "D"
"""Waits for a device or a disk, and sees no signal until that answers."""
DEAD = frozenset("ZXx")
"""The process has ended; its entry is still there."""


@dataclass(frozen=True)
class ProcessSample:
    """A process of the engine's tree.

    `role` is `main`, `worker` or `other`. `state` is the letter of /proc/PID/stat, empty where
    the process is gone. `cpu` is the processor time of all its threads since its start in seconds,
    `ended` that of the processes which it has started and that have ended, `queued` the time that
    its first thread was ready to run and no processor was free (schedstat), `io` the bytes that it
    has read and written.
    """

    pid: int
    name: str
    role: str
    state: str
    cpu: float = 0.0
    queued: float = 0.0
    io: int = 0
    ended: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or could."""
        return bool(self.state) and self.state not in DEAD

    @property
    def is_vital(self) -> bool:
        """Whether the engine cannot work without it."""
        return self.role != "other"

    def __str__(self) -> str:
        """For a reason."""
        return f"{self.name} ({self.pid})"


@dataclass(frozen=True)
class Answer:
    """The answer to the health question: `status`, None where there was none, and what was seen."""

    status: int | None
    message: str = ""

    def __str__(self) -> str:
        """For a reason."""
        return self.message or f"the health question was answered with {self.status}"


@dataclass(frozen=True)
class Canary:
    """A short completion that the keeper asked for: when it was sent and how it ended.

    `refused`: the server answered that it has too many requests, which tells nothing of its work.
    """

    sent: float
    ok: bool
    message: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Sample:
    """Everything that was seen of a server at `at` (seconds of a monotonic clock).

    `late`: seconds by which the sample came later than planned, time in which the machine was
    suspended included; the keeper did not run in that time. `health` is None where it was not
    asked, or where the keeper did not get the processor for the question. `counters` maps the
    metrics of the policy to their values, None where they could not be read. `heartbeat` is the
    age of the oldest worker's heartbeat in seconds. `log_bytes` is the size of all logs. `gpu` is
    the use of the busiest GPU (0 to 1), None where it was not asked. `connections` are those that
    the listening socket holds and the server has not accepted, None where it was not looked.
    `canaries` ended since the sample before; `canary_sent` is when the one was sent that has not
    ended.
    """

    at: float
    late: float = 0.0
    processes: tuple[ProcessSample, ...] = ()
    health: Answer | None = None
    counters: Mapping[str, float] | None = None
    heartbeat: float | None = None
    log_bytes: int | None = None
    gpu: float | None = None
    connections: int | None = None
    paused: bool | None = None
    canaries: tuple[Canary, ...] = field(default=())
    canary_sent: float | None = None
