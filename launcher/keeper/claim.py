"""What is claimed as an instance's, with the identity that proves it; `state.json` keeps these."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from launcher.codec import written
from launcher.host.processes import Process


@dataclass(frozen=True)
class ProcessClaim:
    """A process: pid, and start in clock ticks since boot. `start` 0 proves nothing."""

    pid: int
    start: int
    session: int | None = field(default=None, metadata=written(omit=True))
    name: str | None = field(default=None, metadata=written(omit=True))

    @classmethod
    def of(cls, process: Process) -> ProcessClaim:
        """What is kept of a living process."""
        return cls(process.pid, process.start, process.session, process.name)


@dataclass(frozen=True)
class EngineClaim:
    """The engine's first process; `start` 0 where it ended before it was seen."""

    pid: int
    start: int = 0


@dataclass(frozen=True)
class SessionClaim:
    """A session: `last_seen` are the clock ticks since boot of the last look at a member."""

    id: int
    last_seen: int = field(metadata=written("seen"))


@dataclass(frozen=True)
class FileClaim:
    """A file or folder: device, inode and birth time (nanoseconds; None: the filesystem has none).

    `shared`: its name is not ours alone, other servers may use it.
    """

    path: str
    device: int
    inode: int
    born: int | None = None
    shared: bool = field(default=False, metadata=written(omit=True))

    @property
    def identity(self) -> FileClaim:
        """The same, without what says nothing about which file it is."""
        return replace(self, shared=False)


@dataclass(frozen=True)
class QueueClaim:
    """A System V message queue: key, id, creation (Unix seconds), and the path its key is from."""

    key: int
    id: int
    created: int
    path: str = ""
