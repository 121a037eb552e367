"""A full /dev/shm, and a full disk under the instance, where nothing else is affected."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher import paths
from launcher.drill.bar import Bar
from launcher.drill.scenario import Course, Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.drill.undo import FileSizeLimit, undone
from launcher.errors import PreconditionError
from launcher.host import disk, memory
from launcher.host.memory import FileSystem
from launcher.keeper.state import State

LARGEST_FILL = 1 << 30
"""Bytes that a drill fills at most: /dev/shm is memory."""
SLACK = 1 << 20
"""Bytes in /dev/shm beyond the instance's files that do not count as another program's."""
FULL_FOR = 5.0
"""Seconds for which /dev/shm stays full after the engine was killed."""


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Take all free space of a file system in the block.

    The file has no name, so that the kernel frees it with this process, however that ends.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        size = disk.space(folder).free
        while size:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError:
                size //= 2
        yield


# -- /dev/shm -----------------------------------------------------------------------------------


def _shm_obstacle(subject: Subject, state: State) -> str | None:
    if not subject.restarts:
        return "`restart.policy` is `never`: nothing asks for shared memory again"
    return shm_obstacle(memory.shm(), memory.read().usable, own_shm(state))


def own_shm(state: State) -> int:
    """Bytes of the instance's own files in /dev/shm."""
    size = 0
    for claim in state.shm:
        try:
            size += os.stat(claim.path).st_blocks * 512
        except OSError:
            continue  # it is gone
    return size


def shm_obstacle(shm: FileSystem | None, usable: int, own: int) -> str | None:
    """Why /dev/shm must not be filled; None where only the instance would notice."""
    if shm is None:
        return f"there is no {memory.SHM}"
    if shm.free > LARGEST_FILL or shm.free > usable // 2:
        free = shm.free / 2**20
        return (
            f"{memory.SHM} has {free:.0f} MiB free: filling it takes that much memory from the"
            " machine (try it in a container with a small --shm-size)"
        )
    if shm.total - shm.free - own > SLACK:
        return f"other processes use {memory.SHM}: filling it would break them"
    return None


@contextmanager
def _shm(stage: Stage) -> Iterator[Fault]:
    with _filled(Path(memory.SHM)):
        fault = roles.kill_role(stage.subject, stage.state, Subject.main)
        yield fault
        time.sleep(FULL_FOR)
    fault.cleared_at = time.time()


# -- the disk -----------------------------------------------------------------------------------


def _own_file_system(folder: Path) -> bool:
    """True where a small file system holds the state directory and nothing above it."""
    home = paths.home()
    try:
        separate = os.stat(home).st_dev != os.stat(home.parent).st_dev
        return separate and disk.space(folder).free <= LARGEST_FILL
    except OSError:
        return False


@contextmanager
def _disk(stage: Stage) -> Iterator[Fault]:
    folder = stage.subject.instance.folder
    if _own_file_system(folder):
        with _filled(folder):
            yield Fault(time.time(), note=f"the file system of {paths.home()} was filled")
        return
    keeper = stage.subject.keeper(stage.state)
    if keeper is None:
        raise PreconditionError.of(
            "instance-not-ready", f"{stage.subject.instance.name} has no keeper", str(folder)
        )
    soft, hard = resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE)
    with undone(stage.undo, FileSizeLimit(keeper.pid, keeper.start, soft)):
        resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (0, hard))
        yield Fault(
            time.time(), simulated=True,
            note="no file of the keeper can grow (RLIMIT_FSIZE): its disk has other users",
        )  # fmt: skip


SCENARIOS = (
    Scenario(
        "shm-full",
        "shared memory filled, then kill -9 of the first process",
        "another program that fills /dev/shm, a container with too small a --shm-size",
        # A start without room fails, rightly, and is not tried again: a full disk is a cause that
        # another start does not change.
        Bar(detection=roles.DEATH, false_verdicts=None),
        _shm,
        obstacle=_shm_obstacle,
    ),
    Scenario(
        "disk-full",
        "the file system of the instance's folder filled for 15 s",
        "logs that fill the disk",
        Bar(failed=0),
        _disk,
        Course.UNDISTURBED,
    ),
)
