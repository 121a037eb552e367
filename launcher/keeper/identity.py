"""Which process is which: an identity that survives pid reuse, reboots and clock changes.

A process is ours only if its identity was recorded while its parentage was known, or it carries
the instance's token in its environment, or its session was recorded as ours while alive. Nothing
is signalled before that is proved through a pidfd.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from launcher.keeper.claim import ProcessClaim

TOKEN_VARIABLE = "ERNIE_DEPLOY_INSTANCE"  # noqa: S105 - a variable's name, not a secret
"""Variable that marks every process of an instance; its value is `<name>:<random>`."""


FOLDER_VARIABLE = "ERNIE_DEPLOY_FOLDER"
"""Variable that tells each of them the folder of its instance, which may be deleted."""


@dataclass(frozen=True)
class Host:
    """Where pids mean something: this machine, this boot, this pid namespace."""

    machine: str
    boot: str
    pid_namespace: str


@dataclass(frozen=True)
class Process:
    """One process: pid, start in clock ticks since boot (field 22 of /proc/PID/stat), session.

    Raw ticks are kept because a create time derived from the clock moves with the clock.
    """

    pid: int
    start: int
    session: int
    parent: int
    name: str
    state: str = "S"

    @property
    def claim(self) -> ProcessClaim:
        """What `state.json` keeps of a process."""
        return ProcessClaim(self.pid, self.start, self.session, self.name)


def this_host() -> Host:
    """The identity of the machine, boot and pid namespace we run in."""
    machine = ""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError):
            machine = Path(path).read_text().strip()
        if machine:
            break
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Host(machine or os.uname().nodename, boot, str(Path("/proc/self/ns/pid").readlink()))


def look(pid: int) -> Process | None:
    """The process that has this pid now, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name may hold spaces and brackets; the fields after the last bracket do not.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if len(fields) < 20:
        return None
    return Process(
        pid=pid,
        start=int(fields[19]),
        session=int(fields[3]),
        parent=int(fields[1]),
        name=head.partition("(")[2],
        state=fields[0],
    )


def is_same_process(pid: int, start: int) -> bool:
    """True while the process with this pid and start lives (a zombie does not)."""
    now = look(pid)
    return now is not None and now.start == start and now.state not in "ZX"


def environment_token(pid: int) -> str | None:
    """The instance token a process was started with, where it can still be read.

    setproctitle overwrites `/proc/PID/environ` (gunicorn's master does) unless SPT_NOENV=1 was
    set; a missing token therefore proves nothing.
    """
    return environment(pid, (TOKEN_VARIABLE,)).get(TOKEN_VARIABLE)


def environment(pid: int, names: Collection[str]) -> dict[str, str]:
    """Those variables of these names that a process was started with and that can be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    variables: dict[str, str] = {}
    for name in names:
        key = name.encode() + b"="
        at = 0 if raw.startswith(key) else raw.find(b"\0" + key) + 1
        if at or raw.startswith(key):
            variables[name] = os.fsdecode(raw[at + len(key) :].partition(b"\0")[0])
    return variables


def send(pid: int, start: int, number: signal.Signals) -> bool:
    """Signal exactly that process; False where it is gone. Opens the pidfd first, then verifies."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_same_process(pid, start):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


_KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""False where the kernel was built without CONFIG_PROC_CHILDREN (gVisor, some containers)."""


def children(pid: int) -> list[int]:
    """Direct children, over all threads of `pid`; empty where it is gone."""
    if not _KERNEL_LISTS_CHILDREN:
        return [process.pid for process in every_process() if process.parent == pid]
    pids: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return pids
    for thread in threads:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
            pids += [int(word) for word in text.split()]
    return pids


def descendants(root: Process) -> list[Process]:
    """Every process below `root`, zombies included; `root` itself is not.

    A pid that was read from the kernel's list may be another process's when it is looked at, so a
    child counts only while its parent is the one that was asked for children (or `root`, which
    may adopt), and that parent still lives.
    """
    processes: list[Process] = []
    pids = {root.pid}
    todo = [root]
    while todo:
        parent = todo.pop()
        below = [look(pid) for pid in children(parent.pid) if pid not in pids]
        now = look(parent.pid)
        if now is None or now.start != parent.start:
            continue  # whose children those were cannot be told any more
        for process in below:
            if process is not None and process.parent in (parent.pid, root.pid):
                pids.add(process.pid)
                processes.append(process)
                todo.append(process)
    return processes


def myself() -> Process:
    """The calling process."""
    me = look(os.getpid())
    if me is None:
        raise RuntimeError("/proc does not show this process")
    return me


def every_process() -> list[Process]:
    """All processes that can be seen."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [process for pid in pids if (process := look(pid)) is not None]
