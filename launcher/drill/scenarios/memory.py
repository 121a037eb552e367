"""The kernel's memory killer: by a cgroup's limit where one can be written, else simulated."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.drill.bar import Bar
from launcher.drill.scenario import Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.drill.undo import LeaveCgroup, Rewrite, undone
from launcher.host.memory import CGROUP_ROOT
from launcher.host.processes import cgroups
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.state import State

KERNEL_TIME = 30.0
"""Seconds in which the kernel has to kill: at the next page that the process asks for."""


@dataclass(frozen=True)
class _Files:
    """A cgroup of the memory controller, of version 1 or 2."""

    folder: Path
    limit: str
    unlimited: str
    used: str


def _cgroup(pid: int, root: Path = CGROUP_ROOT) -> _Files | None:
    """The memory cgroup of a process; None without that controller."""
    for line in cgroups(pid):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            folder = root / "memory" / path.lstrip("/")
            return _Files(folder, "memory.limit_in_bytes", "-1", "memory.usage_in_bytes")
    for line in cgroups(pid):
        if line.startswith("0::"):
            folder = root / line[3:].lstrip("/")
            return _Files(folder, "memory.max", "max", "memory.current")
    return None


def _victim(subject: Subject, state: State) -> ProcessClaim | None:
    """A worker holds the most memory; an engine without one has a single process."""
    return subject.worker(state) or subject.main(state)


@contextmanager
def _inject(stage: Stage) -> Iterator[Fault]:
    victim = _victim(stage.subject, stage.state)
    files = _cgroup(victim.pid) if victim is not None else None
    with ExitStack() as stack:
        reason = "no memory cgroup can be written here"
        if victim is not None and files is not None:
            limited_at = time.time()
            limited = _limit(stage, stack, victim, files)
            moment = _first_death(stage.state.processes, KERNEL_TIME) if limited else None
            if moment is not None:
                yield Fault(moment, limited_at, note=limited)
                return
            if limited:
                reason = f"the kernel killed nothing within {KERNEL_TIME:g} s ({limited})"
        fault = roles.kill_role(stage.subject, stage.state, _victim)
        fault.simulated, fault.note = True, f"SIGKILL to a worker: {reason}"
        yield fault


def _limit(stage: Stage, stack: ExitStack, victim: ProcessClaim, files: _Files) -> str:
    """Limit the memory of the victim; says how, empty where that is not possible.

    The limit of a cgroup in which only the instance is, is lowered below what is in use. Else the
    victim moves into a new cgroup, in which the next page it asks for is one too many.
    """
    with contextlib.suppress(OSError):
        if files.limit == "memory.max" and _is_own(stage, files.folder):
            before = (files.folder / files.limit).read_text(encoding="ascii").strip()
            stack.enter_context(
                undone(stage.undo, Rewrite(str(files.folder / files.limit), before))
            )
            used = int((files.folder / files.used).read_text(encoding="ascii"))
            (files.folder / files.limit).write_text(str(used // 2), encoding="ascii")
            return f"{files.limit} of the engine's cgroup"
    for parent in (files.folder, files.folder.parent):
        with contextlib.suppress(OSError):
            return _move(stage, stack, victim, files, parent)
    return ""


def _is_own(stage: Stage, folder: Path) -> bool:
    pids = {int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split()}
    return bool(pids) and pids <= stage.subject.tree(stage.state)


def _move(stage: Stage, stack: ExitStack, victim: ProcessClaim, files: _Files, parent: Path) -> str:
    folder = parent / f"ernie-deploy-drill-{os.getpid()}"
    folder.mkdir()
    leave = LeaveCgroup(str(folder), str(files.folder), files.limit, files.unlimited)
    with ExitStack() as attempt:
        attempt.enter_context(undone(stage.undo, leave))
        (folder / files.limit).write_text("4096", encoding="ascii")
        (folder / "cgroup.procs").write_text(str(victim.pid), encoding="ascii")
        stack.push(attempt.pop_all())
    return f"{files.limit} of 4096 bytes in a cgroup of its own"


def _first_death(processes: Iterable[ProcessClaim], timeout: float) -> float | None:
    """The moment at which the first of them ended; None where none did."""
    poller = select.poll()
    with ExitStack() as stack:
        for claim in processes:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(claim.pid)
                stack.callback(os.close, descriptor)
                poller.register(descriptor, select.POLLIN)
        return time.time() if poller.poll(timeout * 1000) else None


SCENARIOS = (
    Scenario(
        "memory-killer",
        "a memory limit under which the kernel kills a worker",
        "a host or a container that is out of memory",
        Bar(detection=roles.DEATH, restart=roles.RESTART),
        _inject,
    ),
)
