"""Tests that need a cgroup v2 which can be written, and how to see what is in one."""

import os
from pathlib import Path

import pytest

from launcher.host import cgroups

SUPPORT = cgroups.support()

needs_cgroup = pytest.mark.skipif(SUPPORT.folder is None, reason=SUPPORT.message)


def of(pid: int) -> Path:
    """The cgroup v2 of a process."""
    folder = cgroups.folder_of(pid)
    assert folder is not None
    return folder


def move(pid: int, folder: Path) -> None:
    """As an administrator does it."""
    (folder / "cgroup.procs").write_text(f"{pid}\n")


def exists(name: str) -> bool:
    """Whether there is a cgroup of this name where ours are made."""
    return SUPPORT.folder is not None and os.path.isdir(SUPPORT.folder / name)
