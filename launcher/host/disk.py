"""Free space for the weights, the logs and the state."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.host.memory import FileSystem


def space(path: Path) -> FileSystem:
    """The file system that holds `path`, or would hold it: the nearest existing ancestor.

    Raises:
        OSError: not even `/` can be asked.
    """
    probe = path.absolute()
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    stat = os.statvfs(probe)
    free = stat.f_frsize * stat.f_bavail
    return FileSystem(str(probe), stat.f_frsize * stat.f_blocks, free, f"statvfs {probe}")


def writable(path: Path) -> bool:
    """True where `path`, or the nearest existing ancestor it would be made in, can be written."""
    probe = path.absolute()
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    if probe != path.absolute() and not probe.is_dir():
        return False
    return os.access(probe, os.W_OK | (os.X_OK if probe.is_dir() else 0))
