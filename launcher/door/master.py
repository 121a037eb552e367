"""HAProxy's master process: which workers there are, and a reload without a closed port."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from launcher.door.socket_client import exchange
from launcher.errors import DeadlineError, DeployError, PreconditionError

RELOAD_DEADLINE = 30.0
"""Seconds for a reload: reading a configuration takes milliseconds, certificates some more."""
SETTLE = 5.0
"""Seconds in which a master that starts itself anew listens again; some 20 ms on 2 cores."""
POLL = 0.02
"""Seconds between two looks: release 2.6 tells nothing at the end of a reload."""
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+)(?:\s+\[failed: (\d+)\])?", re.MULTILINE)
_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)

_STOPPING = re.compile(r"^Stopping: 1$", re.MULTILINE)
_REQUEST = re.compile(r"^0x[0-9a-f]+: .*? fe=(?!GLOBAL\b|MASTER\b)", re.MULTILINE)
"""A session of `show sess`; that of the question itself is GLOBAL's or MASTER's."""


@dataclass(frozen=True)
class Processes:
    """The master's `show proc`: `reloads` since its start, how many of the last have `failed` in a
    row, the pid of the worker that takes requests, and of those that only end theirs.
    """

    reloads: int
    failed: int
    worker: int | None
    old: tuple[int, ...]


@dataclass(frozen=True)
class Reload:
    """How a reload ended; where it was refused, the old worker goes on. `message` is HAProxy's."""

    done: bool
    message: str = ""


def processes(master_socket: Path) -> Processes | None:
    """The processes now; None while the master starts itself anew.

    Raises:
        DeadlineError: the master does not answer.
    """
    try:
        text = exchange(master_socket, "show proc")
    except DeadlineError:
        raise
    except DeployError:
        return None
    master = _MASTER.search(text)
    if master is None:
        return None
    current, _, old = text.partition("# old workers")
    worker = _WORKER.search(current)
    return Processes(
        int(master[2]),
        int(master[3] or 0),
        int(worker[1]) if worker else None,
        tuple(int(pid) for pid in _WORKER.findall(old)),
    )


def old_workers(master_socket: Path) -> tuple[int, ...]:
    """Pids of workers that only end the requests they have.

    Raises:
        DeployError: the master does not answer.
    """
    return _settled(master_socket).old


def worker_command(master_socket: Path, pid: int, command: str) -> str | None:
    """A worker's answer by way of the master; None where the worker has ended.

    Raises:
        DeployError: the master does not answer.
    """
    answer = exchange(master_socket, f"@!{pid} {command}")
    return None if "Can't find the target" in answer or not answer.strip() else answer


def running_requests(master_socket: Path) -> int | None:
    """Requests at work in a door that was told to end, in all its workers; None where it was not.

    A client's kept connection between two requests is none.

    Raises:
        DeployError: the master does not answer.
    """
    now = processes(master_socket)
    if now is None:
        return None
    running = 0
    # The one that took requests until now may be the first to have ended.
    for pid in (*([] if now.worker is None else [now.worker]), *now.old):
        facts = worker_command(master_socket, pid, "show info")
        if facts is not None and not _STOPPING.search(facts):
            return None
        # A session of HTTP begins with a request's head and ends with its answer.
        sessions = worker_command(master_socket, pid, "show sess") or ""
        running += len(_REQUEST.findall(sessions))
    return running


def reload(master_socket: Path, deadline: float = RELOAD_DEADLINE) -> Reload:
    """Load the configuration file again, keeping every port open and every request running.

    `deadline` in seconds.

    Raises:
        DeadlineError: HAProxy does not come to an end with it.
        PreconditionError: no master listens there.
    """
    end = time.monotonic() + deadline
    before = _settled(master_socket)
    message = _order_reload(master_socket)
    while time.monotonic() < end:
        now = processes(master_socket)
        if now is not None and now.reloads > before.reloads:
            if now.failed:
                return Reload(False, message)
            if now.worker not in (None, before.worker):
                return Reload(True, message)
        time.sleep(POLL)
    raise DeadlineError.of(
        "door-timeout", f"the reload of HAProxy has not ended in {deadline:g} s", str(master_socket)
    )


def _settled(master_socket: Path) -> Processes:
    """The processes, once the master listens: it does a moment after its worker, also at a start.

    Raises:
        DeployError: the master does not answer.
    """
    end = time.monotonic() + SETTLE
    while time.monotonic() < end and master_socket.exists():
        now = processes(master_socket)
        if now is not None:
            return now
        time.sleep(POLL)
    answer = exchange(master_socket, "show proc")  # its error says why
    raise PreconditionError.of(
        "door-answer", f"HAProxy's answer to `show proc` cannot be used: {answer[:80]!r}"
    )


def _order_reload(master_socket: Path) -> str:
    """Ask for it; from release 2.7 on the answer holds the alerts, before there is none."""
    try:
        answer = exchange(master_socket, "reload")
    except DeployError:
        return ""  # the master closes every connection when it starts itself anew
    _, _, alerts = answer.partition("--\n")
    return " ".join(alerts.split())
